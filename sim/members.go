package sim

import (
	"errors"
	"slices"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// The operator: members are added, removed, promoted, demoted and replaced while everything else goes on, and data folders are lost.

// standing is what part a server has in the cluster, as its operator sees it.
type standing uint8

const (
	isSpare   standing = iota // it was not started yet; or it was removed, and could come back with the folder that it has
	isMember                  // it runs, or will again
	isRefused                 // its folder was lost, and the others have told it so; or it is damaged
)

// wish is an operator's call to change the members.
type wish struct {
	*host.MembersChange
	id   uint64
	want []raft.Member
}

// harmMembers asks a member for other members.
func (w *world) harmMembers(m *member) {
	if !m.up || len(m.group.Status().Configuration.Members) == 0 {
		return
	}
	want := w.drawMembers(m)
	m.wish(want, w.chance(100) && len(w.lost()) == 0)
	if w.chance(200) { // and thinks better of it
		w.after(between(w.rand, 0, w.knobs.electionTimeout()), func() {
			if m.up && w.chaos && len(m.group.Status().Configuration.Members) > 0 {
				m.wish(w.drawMembers(m), false)
			}
		})
	}
}

// wish asks m for members, of those that it knows of.
func (m *member) wish(want []raft.Member, force bool) { m.wishFor(want, force, 500) }

// wishFor is wish for a change that is made a member at a time in so many of 1000 cases.
func (m *member) wishFor(want []raft.Member, force bool, apart int) {
	id, base := m.w.rand.Uint64()|1, m.group.Status().Configuration.Change
	m.w.checker.configurations.bases[id] = base
	if base == 0 {
		base = host.FirstBase
	}
	ch := &wish{id: id, want: want, MembersChange: m.group.ChangeMembers(raft.Change{ID: id, Base: base, Members: want, Force: force, Apart: m.w.chance(apart), Ready: m.w.chaos && m.w.chance(100)})}
	m.w.report.Changes++
	m.w.strikes(FaultMembers, m)
	m.tell("is asked for the members %v", describeMembers(want))
	m.wishes = append(m.wishes, ch)
	m.wake()
	if !m.w.chaos {
		return
	}
	incarnation := m.incarnation
	m.w.after(between(m.w.rand, 0, 4*m.w.knobs.electionTimeout()), func() {
		if m.up && m.incarnation == incarnation {
			m.group.AbandonChange(ch.MembersChange)
			m.wake()
		}
	})
}

// drawMembers is what an operator could want who looks at m: what m knows, and some things otherwise.
func (w *world) drawMembers(m *member) []raft.Member {
	want := m.wants()
	lost := w.lost()
	if len(lost) > 0 {
		want = slices.DeleteFunc(want, func(m raft.Member) bool { return slices.Contains(lost, m.ID) })
		return w.withAnother(want)
	}
	for range 1 + w.rand.IntN(3) {
		switch w.rand.IntN(4) {
		case 0, 1:
			want = w.withAnother(want)
		case 2:
			if i := w.rand.IntN(len(want)); len(want) > 1 {
				want = slices.Delete(want, i, i+1)
			}
		case 3:
			of := &want[w.rand.IntN(len(want))]
			of.Suffrage, of.Priority = pick(w.rand, raft.Learner, raft.Voter), pick[uint8](w.rand, 0, of.Priority, 1)
		}
	}
	if !slices.ContainsFunc(want, func(m raft.Member) bool { return m.Suffrage == raft.Voter }) {
		want[0].Suffrage = raft.Voter
	}
	return want
}

// withAnother adds a server that is none of them, if there is one, and starts it, sooner or later.
func (w *world) withAnother(want []raft.Member) []raft.Member {
	for _, i := range w.rand.Perm(len(w.members)) {
		m := w.members[i]
		if !slices.ContainsFunc(want, func(o raft.Member) bool { return o.ID == m.id }) && m.mayComeBack() {
			w.after(between(w.rand, 0, 2*w.knobs.electionTimeout()), m.install)
			return append(want, raft.Member{ID: m.id, Suffrage: pick(w.rand, raft.Voter, raft.Voter, raft.Learner)})
		}
	}
	return want
}

// install starts a spare server.
func (m *member) install() {
	if m.standing == isSpare && m.w.failure == nil {
		m.standing = isMember
		m.restart()
	}
}

// followWishes looks for changes that have ended.
func (m *member) followWishes() {
	m.wishes = slices.DeleteFunc(m.wishes, func(c *wish) bool {
		if !isClosed(c.Done()) {
			return false
		}
		m.tell("ends the change to %v: %v", describeMembers(c.want), c.Err())
		if c.Err() == nil {
			m.w.report.ChangesDone++
			m.w.checker.changed(m, c)
		}
		if refused := (*raft.ChangeError)(nil); errors.As(c.Err(), &refused) && !errors.Is(c.Err(), host.ErrUnknownOutcome) {
			m.w.checker.refusedChange(c)
		}
		return true
	})
}

// endChange has all servers back after a change of the members that went wrong, and checks that it comes to an end and that who is no member knows it.
func (w *world) endChange() {
	for _, m := range w.members {
		m.restart()
	}
	w.network.mend()
	w.endWishes(w.now)
	if w.failure == nil {
		w.settleMembers()
		w.demandGone()
	}
}

// endWishes ends the operator's patience. No change that was asked for before that time begins any more.
func (w *world) endWishes(before time.Duration) {
	w.network.changesFrom = before
	for _, m := range w.members {
		for _, ch := range m.wishes {
			m.group.AbandonChange(ch.MembersChange)
		}
		if m.up {
			m.resume()
			m.step(host.PartShard)
		}
	}
}

// harmWipe takes the data folder from a voter.
func (w *world) harmWipe(m *member) {
	if w.mayLose(m) {
		m.lose()
	}
}

// lose takes a member's folder.
func (m *member) lose() {
	w, c := m.w, m.w.checker
	w.report.Wipes++
	w.strikes(FaultWipe, m)
	if m.up {
		m.die(death{})
	}
	m.tell("loses its data folder")
	m.wiped = true
	m.had = folder{snapshot: c.snapshotOf(m), log: m.disk.durable.clone()}
	m.identity = host.Identity{}
	m.disk = newDisk()
}

// wouldBeginAnew reports whether, if m had an empty folder, those of the first members that do not know which folder it had were a majority of the first configuration
// together with it. They would begin the cluster once more: what they committed alone with the others is only in the folder that is lost, and m cannot
// be told from a member that has not started yet.
func (w *world) wouldBeginAnew(m *member) bool {
	ignorant := 0
	for _, o := range w.members[:w.knobs.members] {
		if o == m || !w.checker.knowsFolder(o, m) {
			ignorant++
		}
	}
	return int(m.id) <= w.knobs.members && ignorant > w.knobs.members/2
}

// knowsFolder reports whether the configuration in o's log says which folder m has.
func (c *checker) knowsFolder(o, m *member) bool {
	log := &o.disk.durable
	_, cfg := c.configurationIn(func(i raft.Index) raft.Term { return log.at(i).term }, log.last())
	is, _ := cfg.Member(m.id)
	return is.Incarnation != 0
}

// lost are the members whose folders were lost, or are damaged, and that are not replaced yet.
func (w *world) lost() (ids []raft.NodeID) {
	for _, m := range w.members {
		if (m.wiped || m.hasRot()) && !m.replaced() {
			ids = append(ids, m.id)
		}
	}
	return ids
}

// replaced reports whether the last committed configuration goes on without m.
func (m *member) replaced() bool {
	c := m.w.checker
	at, cfg := c.committedConfiguration(c.committedTo())
	_, in := cfg.Member(m.id)
	return !in && c.configurationsSettled(at)
}

// stops takes in that a member has stopped because of what the others say, or because it was removed. It reports false for other reasons.
func (m *member) stops(err error) bool {
	w := m.w
	switch {
	case errors.Is(err, host.ErrReplaced) && m.returns():
		return true
	case errors.Is(err, host.ErrReplaced):
		if !m.wiped {
			w.fail("Identity", "n%d is told that its folder is another one, and it was not lost: %v", m.id, err)
		}
		m.standing = isRefused
		w.report.Refusals++
	case errors.Is(err, host.ErrRemoved):
		at, cfg := w.checker.committedConfiguration(m.commit)
		if w.checker.isMember(cfg, m.id) { // it was told by one who knows more
			at, cfg = w.checker.lastWithout(m.id)
		}
		if w.checker.isMember(cfg, m.id) {
			w.fail("Identity", "n%d says that it was removed, and entry %d has it in %v", m.id, m.commit, cfg)
		}
		if at > 0 && at < m.commit && w.checker.isMemberAt(m.commit, m.id) {
			w.fail("Identity", "n%d stops because it was removed by entry %d, and knows that it was added again: %d is committed", m.id, at, m.commit)
		}
		m.standing = isSpare
		if m.disk.rotten {
			m.standing = isRefused
		}
		if !w.chaos {
			w.after(w.knobs.electionTimeout(), m.startMember)
		}
		w.report.Removals++
		w.reachIf(oldRefused, m.shelf != nil)
	default:
		return false
	}
	m.tell("stops: %v", err)
	m.die(death{})
	return true
}

// startMember starts a server that has stopped because it was told that it is no member, if it is one by then: who told it did not know yet that it was added again.
func (m *member) startMember() {
	if c := m.w.checker; c.isMemberAt(c.committedTo(), m.id) {
		m.install()
	}
}

// asks does what connections do when they are made: either side asks whether it is the right folder at the other end.
func (n *network) asks(from, to *member, incarnation uint64) bool {
	if err := to.host.Admit(from.id, incarnation); err != nil {
		n.w.reachIf(oldRefused, from.shelf != nil)
		if from.up && from.identity.Incarnation == incarnation {
			from.host.Refused(to.id, wire.WrongIncarnation, err.Error())
			from.wake()
		}
		return false
	}
	cfg := to.group.Configuration()
	known, _ := cfg.Member(from.id)
	self, _ := cfg.Member(to.id)
	n.w.reachIf(leaderLetIn, known.Incarnation != 0 && known.Incarnation != incarnation && self.Incarnation == to.identity.Incarnation && from == n.w.leader())
	return !from.up || from.host.Admit(to.id, to.identity.Incarnation) == nil
}

// repairMembers does what an operator does when all else is mended: servers that are to be members are started, and who was lost is removed.
func (w *world) repairMembers() {
	leader := w.leader()
	if leader == nil {
		return
	}
	lost := w.lost()
	cfg := leader.group.Status().Configuration
	var want []raft.Member
	missing := false
	for _, known := range cfg.Members {
		m := w.member(known.ID)
		if known.Suffrage != raft.NonMember || known.Old != raft.NonMember {
			m.install()
		}
		if m.isOutdated(leader) {
			m.lose() // what its operator does, and then replaces it
			lost = w.lost()
		}
		if (slices.Contains(lost, known.ID) || m.mistaken(known)) && known.Target != raft.NonMember {
			missing = true
		} else if known.Target != raft.NonMember {
			want = append(want, raft.Member{ID: known.ID, Suffrage: known.Target, Priority: known.Priority})
		}
	}
	if !slices.ContainsFunc(want, isVoter) { // the change under way was to end with nobody else
		want = w.remaining(cfg.Configuration, lost)
	}
	if missing && len(leader.wishes) == 0 {
		leader.wish(want, false)
	}
}

func isVoter(m raft.Member) bool { return m.Suffrage == raft.Voter }

// remaining is all members of a configuration, as voters, but for those that were lost.
func (w *world) remaining(cfg raft.Configuration, lost []raft.NodeID) (want []raft.Member) {
	for _, m := range cfg.Members {
		if !slices.Contains(lost, m.ID) {
			want = append(want, raft.Member{ID: m.ID, Suffrage: raft.Voter})
		}
	}
	return want
}

// isOutdated reports whether a member refuses the leader, because its own configuration, which is old, knows that one with another data folder, and nobody can tell it:
// nobody whom it can ask for a vote is a member still.
func (m *member) isOutdated(leader *member) bool {
	if !m.up || m == leader || m.host.Admit(leader.id, leader.identity.Incarnation) == nil {
		return false
	}
	own, now := m.group.Configuration(), leader.group.Configuration()
	return !slices.ContainsFunc(own.Members, func(o raft.Member) bool {
		other := m.w.member(o.ID)
		hears := m.w.network.hearEachOther(m, other) && m.w.network.hearEachOther(other, leader)
		return other != m && other != leader && other.up && hears && own.IsVoter(o.ID) && m.w.checker.isMember(now.Configuration, o.ID) && m.host.Admit(o.ID, other.identity.Incarnation) == nil
	})
}

// checkVouch takes in what a member says of its leader's folder.
func (c *checker) checkVouch(m *member, of raft.Vouch) {
	if of == (raft.Vouch{}) {
		return
	}
	at, cfg := c.committedConfiguration(of.Index)
	if known, _ := cfg.Member(of.ID); of.Index > c.committedTo() || known.Incarnation != of.Incarnation {
		c.w.fail("Vouch", "n%d says that n%d leads with folder %x by entry %d, and entry %d has it in %v", m.id, of.ID, of.Incarnation, of.Index, at, cfg)
	}
	c.w.reach(leaderVouchedFor)
}

// settleMembers lets the operator repair what is left of changes and losses, once everything else is mended.
func (w *world) settleMembers() {
	settled := func() bool {
		leader := w.leader()
		if leader == nil || leader.group.Err() != nil { // who has stopped leads nobody: the next leader may have a change in its log that nobody waits for
			return false
		}
		s := leader.group.Status()
		if !s.Configuration.AtRest() || s.Configuration.Index > s.CommitIndex {
			return false
		}
		return !slices.ContainsFunc(s.Configuration.Members, func(m raft.Member) bool {
			return w.member(m.ID).standing != isMember || w.member(m.ID).isOutdated(leader) || w.member(m.ID).wiped || w.member(m.ID).mistaken(m) || w.member(m.ID).disk.rotten
		})
	}
	for end := w.now + w.patience(); w.failure == nil && !settled(); {
		if w.now >= end {
			w.fail("Liveness", "everything is mended for %v, and the members are not settled: %v, lost %v", recoveryMax, w.leader(), w.lost())
			return
		}
		w.repairMembers()
		w.run(w.now+time.Second, settled)
	}
	w.endWishes(w.now) // of a leader that has handed over since
}

// cluster is the members of the configuration in force, as the leader has it; all but spares if there is no leader.
func (w *world) cluster() (of []*member) {
	leader := w.leader()
	for _, m := range w.members {
		if leader == nil && m.standing == isMember || leader != nil && w.checker.isMember(leader.group.Status().Configuration.Configuration, m.id) {
			of = append(of, m)
		}
	}
	return of
}

// voters are those of the cluster that count.
func (w *world) voters() (of []*member) {
	if leader := w.leader(); leader != nil {
		for _, id := range leader.group.Status().Configuration.Voters() {
			of = append(of, w.member(id))
		}
	}
	return of
}
