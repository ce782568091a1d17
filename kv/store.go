package kv

import (
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/balsa-raft/balsa"
)

// Store is the state machine. Balsa applies commands to it; its reads may be called by any goroutine at any time. Its
// state is in memory: the replicated log, which is applied again when a member starts, makes it durable.
type Store struct {
	// mu guards the memory of everything below. Consistency is the revisions' business: see view.
	mu sync.RWMutex

	state

	sub  int32 // changes made so far by the command being applied
	work int   // commands applied since readers could have the lock

	pins pins // has a lock of its own
}

var _ balsa.StateMachine[Command, Response] = (*Store)(nil)

// state is what the commands have made; Restore replaces it as a whole.
type state struct {
	current   int64  // the revision of the last command that changed something
	compacted int64  // of the last compaction; -1: none
	keys      *index // views that began before a Restore stay with the one they have
	changes   changeLog
	bytes     int64
	members   map[uint64]MemberAttributes
}

const (
	// workPerSlice is how many commands are applied before readers may have the lock: about 100 us.
	workPerSlice = 64
	// trimPerBatch is the least that Apply trims per batch, if there is something to trim: about 100 us.
	trimPerBatch = 1024
)

// New returns an empty store, which as in etcd has revision 1.
func New() *Store {
	return &Store{state: newState()}
}

func newState() state {
	return state{
		current:   1,
		compacted: -1,
		keys:      &index{byKey: map[string]*chain{}},
		members:   map[uint64]MemberAttributes{},
	}
}

// Apply executes committed commands. It never fails: a command that makes no sense is answered with an error, and
// changes nothing, on every member.
func (s *Store) Apply(batch iter.Seq[balsa.Entry[Command, Response]]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.changes.len
	for entry := range batch {
		entry.Reply(s.apply(entry.Command))
		if s.work++; s.work >= workPerSlice {
			s.yield()
		}
	}
	// A change takes two steps. Twice that for each that the batch brought: writes can not outrun it.
	s.trim(max(trimPerBatch, 4*(s.changes.len-changed)))
	return nil
}

// yield lets readers that wait have the lock. The command being applied may be half done.
func (s *Store) yield() {
	s.work = 0
	s.mu.Unlock()
	s.mu.Lock()
}

// apply executes one command. The caller holds mu.
func (s *Store) apply(c Command) Response {
	if err := c.checkKind(); err != nil {
		return Response{Err: err}
	}
	v := view{s: s, keys: s.keys, current: s.current, compacted: s.compacted, applying: true}
	response := v.command(c)
	// What the command wrote becomes visible here, all at once.
	s.current, s.sub = v.current, 0
	return response
}

func (v *view) command(c Command) (r Response) {
	// Commands were checked before they were proposed, but by another member, perhaps of another version. And what
	// held then need not hold now.
	switch {
	case c.Put != nil:
		if r.Err = c.Put.Check(); r.Err == nil {
			r.Err = v.checkPut(c.Put)
		}
		if r.Err == nil {
			r.Put = v.put(c.Put)
		}
	case c.DeleteRange != nil:
		if r.Err = c.DeleteRange.Check(); r.Err == nil {
			r.DeleteRange = v.deleteRange(c.DeleteRange)
		}
	case c.Txn != nil:
		if r.Err = c.Txn.check(opsMaxApplied, txnDepthMax); r.Err == nil {
			r.Txn, r.Err = v.txn(c.Txn)
		}
	case c.Compact != nil:
		r.Compact, r.Err = v.s.compact(c.Compact)
	case c.Publish != nil:
		v.s.publish(c.Publish)
	case c.PeerURLs != nil:
		v.s.setPeerURLs(c.PeerURLs)
	case c.Forget != nil:
		delete(v.s.members, c.Forget.ID)
	}
	return r
}

// publish records what a member says of itself.
func (s *Store) publish(m *MemberAttributes) {
	s.members[m.ID] = MemberAttributes{
		ID: m.ID, Name: m.Name, ClientURLs: slices.Clone(m.ClientURLs), PeerURLs: s.members[m.ID].PeerURLs,
	}
}

// setPeerURLs records where a member is reached, whether it has published anything or not.
func (s *Store) setPeerURLs(p *MemberPeerURLs) {
	m := s.members[p.ID]
	m.ID, m.PeerURLs = p.ID, append([]string(nil), p.URLs...)
	s.members[p.ID] = m
}

// Revision returns the revision of the last command that changed something, 1 if there was none, and that of the
// last compaction, -1 if there was none.
func (s *Store) Revision() (current, compacted int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.current, s.compacted
}

// Members returns what is known of members, by id.
func (s *Store) Members() []MemberAttributes {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.membersLocked()
}

func (s *Store) membersLocked() []MemberAttributes {
	members := make([]MemberAttributes, 0, len(s.members))
	for _, id := range slices.Sorted(maps.Keys(s.members)) {
		m := s.members[id]
		m.ClientURLs, m.PeerURLs = slices.Clone(m.ClientURLs), slices.Clone(m.PeerURLs)
		members = append(members, m)
	}
	return members
}

// Size returns about how many bytes of memory the keys take with all their versions, those included that a compaction
// has made superfluous but are not freed yet. Members with equal state may differ in it.
func (s *Store) Size() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bytes
}
