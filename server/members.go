package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/kv"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// roster is the members of the cluster at one moment, as clients of etcd see them.
//
// A server that was added as a voter is a learner to Raft until it has caught up, and then becomes a voter by itself. To clients it is a voter
// from the beginning, as in etcd: who adds a voter looks for no learner and would not promote one, and whether it counts
// in majorities yet is of no use to them. A member on its way out is gone.
type roster struct {
	members []*pb.Member   // by id
	want    []balsa.Member // what leaves them as they are, for Change.Members
	leaving []uint64
	version uint64
}

// roster is what this member knows.
func (s *member) roster() roster {
	known := map[uint64]kv.MemberAttributes{}
	for _, a := range s.store.Members() {
		known[a.ID] = a
	}
	st := s.node.Status()
	r := roster{version: st.MembersVersion}
	for _, m := range st.Members {
		id := uint64(m.ID)
		if m.Leaving {
			r.leaving = append(r.leaving, id)
			continue
		}
		learner := isLearner(m)
		r.want = append(r.want, balsa.Member{ID: m.ID, Address: m.Address, Learner: learner, Priority: m.Priority})
		r.members = append(r.members, &pb.Member{
			ID: id, Name: known[id].Name, ClientURLs: known[id].ClientURLs, PeerURLs: s.peerURLsOf(m, known[id].PeerURLs), IsLearner: learner,
		})
	}
	slices.SortFunc(r.members, func(a, b *pb.Member) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return r
}

// isLearner says whether a client is to take m for a learner.
func isLearner(m balsa.Member) bool { return m.Learner && !m.Promoting }

// peerURLsOf returns all of a member's peer URLs. What is recorded, or was given when the cluster first started, holds only while it
// has the address that Raft knows: the two are not changed in one step.
func (s *member) peerURLsOf(m balsa.Member, recorded []string) []string {
	first, _ := s.config.member(uint64(m.ID))
	atAddress := func(u string) bool { return peerAddress(u) == m.Address }
	for _, urls := range [][]string{recorded, first.PeerURLs} {
		if slices.ContainsFunc(urls, atAddress) {
			return urls
		}
	}
	return []string{"http://" + m.Address}
}

func (r roster) find(id uint64) *pb.Member {
	if i := slices.IndexFunc(r.members, func(m *pb.Member) bool { return m.ID == id }); i >= 0 {
		return r.members[i]
	}
	return nil
}

// anyAt reports whether a member other than id is reached at one of the URLs.
func (r roster) anyAt(urls []string, id uint64) bool {
	return slices.ContainsFunc(r.members, func(m *pb.Member) bool {
		return m.ID != id && slices.ContainsFunc(m.PeerURLs, func(u string) bool { return slices.Contains(urls, u) })
	})
}

func (r roster) learners() (n int) {
	for _, m := range r.members {
		if m.IsLearner {
			n++
		}
	}
	return n
}

// started returns how many voters but id there are, and how many of them have started: the others have published no name.
func (r roster) started(id uint64) (voters, started int) {
	for _, m := range r.members {
		if m.ID == id || m.IsLearner {
			continue
		}
		voters++
		if m.Name != "" {
			started++
		}
	}
	return voters, started
}

// A voter may be added, promoted or removed only if a majority of the voters that there are then has started: etcd's rules, word for word. Safety
// would not need them here, for a server that has not started counts for nothing. They keep an operator from adding one server after
// the other and starting none.

func (r roster) mayAdd() bool {
	voters, started := r.started(0)
	return started == 1 && voters == 1 || started > (voters+1)/2
}

func (r roster) mayPromote() bool {
	voters, started := r.started(0)
	return started+1 > (voters+1)/2
}

func (r roster) mayRemove(id uint64) bool {
	voters, started := r.started(id)
	return started > voters/2
}

// notEnoughStarted is the error of a change that those rules forbid, unless the client wants it at any rate.
func (s *member) notEnoughStarted(ctx context.Context, now roster) error {
	if forced(ctx) {
		return nil
	}
	why := "there would be no voter"
	if waiting := now.names(func(m balsa.Member) bool { return now.find(uint64(m.ID)).Name == "" }); waiting != "" {
		why = "too few of the voters would have started; not started yet: " + waiting
	}
	s.tellReason(ctx, why)
	return errNotEnoughStarted
}

// without returns the wish without the member id.
func (r roster) without(id uint64) []balsa.Member {
	return slices.DeleteFunc(slices.Clone(r.want), func(m balsa.Member) bool { return uint64(m.ID) == id })
}

// with returns the wish with what set does to the member id.
func (r roster) with(id uint64, set func(*balsa.Member)) []balsa.Member {
	want := slices.Clone(r.want)
	for i := range want {
		if uint64(want[i].ID) == id {
			set(&want[i])
		}
	}
	return want
}

// changeMembers begins to make the members what decide makes of them. decide is called again, with again set, when somebody else has changed them
// meanwhile, or may have; then what it wants may be there already. It returns no members if there is nothing to do. The errors of changeMembers are
// the client's.
func (s *member) changeMembers(ctx context.Context, decide func(r roster, again bool) (balsa.Change, error)) error {
	waiting, cancel := s.deadline(ctx)
	defer cancel()
	for again := false; ; again = true {
		if _, err := s.node.Read(waiting, balsa.Linearizable); err != nil {
			return readError(ctx, err)
		}
		r := s.roster()
		change, err := decide(r, again)
		if err != nil || len(change.Members) == 0 {
			return err
		}
		change.Base = r.version
		// Every call changes one member, and none is to wait for another's server, which may never start.
		change.Begin, change.Apart, change.Force = true, true, forced(ctx)
		if err = s.node.ChangeMembers(waiting, change); err == nil {
			return nil
		}
		var refused *balsa.ChangeError
		stale := errors.As(err, &refused) && refused.Reason == balsa.ChangeStale
		if !stale && !errors.Is(err, balsa.ErrSuperseded) {
			if refused != nil {
				s.tellReason(ctx, refused.Detail)
			}
			return changeError(ctx, err)
		}
	}
}

// awaitPause is how often a change is looked at that is on its way. It takes a few round trips.
const awaitPause = 2 * time.Millisecond

// awaitMember waits until done is true of a member, which is zero if it is none, as far as this member knows.
func (s *member) awaitMember(ctx context.Context, id uint64, done func(balsa.Member) bool) error {
	waiting, cancel := s.deadline(ctx)
	defer cancel()
	for {
		var m balsa.Member
		for _, known := range s.node.Status().Members {
			if uint64(known.ID) == id {
				m = known
			}
		}
		if done(m) {
			return nil
		}
		select {
		case <-time.After(awaitPause):
		case <-waiting.Done():
			return readError(ctx, waiting.Err())
		case <-s.node.Done():
			return readError(ctx, s.node.Err())
		}
	}
}

// forgetStrangers removes what is known of those that are no members any more. Whoever has applied a record of a member knows a configuration
// with that member, or a later one: it is recorded after it was added.
func (s *member) forgetStrangers(ctx context.Context) error {
	known := s.store.Members() // before the status, or it could name one that was added after that
	members := s.node.Status().Members
	for _, a := range known {
		if slices.ContainsFunc(members, func(m balsa.Member) bool { return uint64(m.ID) == a.ID }) {
			continue
		}
		if _, err := s.node.Propose(ctx, kv.Command{Forget: &kv.ForgetMember{ID: a.ID}}); err != nil {
			return err
		}
	}
	return nil
}

// recordPeerURLs records all of a member's peer URLs, if there are several, or were.
func (s *member) recordPeerURLs(ctx context.Context, id uint64, urls []string) error {
	recorded := slices.ContainsFunc(s.store.Members(), func(a kv.MemberAttributes) bool { return a.ID == id && len(a.PeerURLs) > 0 })
	if len(urls) == 1 && !recorded {
		return nil // the address says it all
	}
	waiting, cancel := s.deadline(ctx)
	defer cancel()
	result, err := s.node.Propose(waiting, kv.Command{PeerURLs: &kv.MemberPeerURLs{ID: id, URLs: urls}})
	if err != nil {
		return proposeError(ctx, err)
	}
	return result.Value.Err
}
