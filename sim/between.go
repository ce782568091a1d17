package sim

import (
	"slices"

	"github.com/balsa-raft/balsa/raft"
)

// A member is cut off, and its operator replaces it under its id by a server with an empty folder. That one connects, and does no more, so both are given up, and the member, whose process has
// run all the time, is added again. What it had passed on before, and waits for an answer to, it passes on once more.

// demandOtherBetween checks that all goes on then, as if the other folder had never been.
func (w *world) demandOtherBetween() {
	leader, m := w.leader(), w.anotherVoter()
	own, _ := leader.group.Status().Configuration.Member(m.id)
	last := leader.group.Status().LastIndex
	w.network.withheld = func(_, to raft.NodeID, _ raft.Message) bool { return to == m.id }
	op := w.clients.write(-1, m, 0)
	op.patient = true
	w.clients.begin(op)
	w.run(w.now+w.knobs.electionTimeout(), func() bool { return leader.group.Status().LastIndex > last })
	w.network.leaveAlone(m)
	w.run(w.now+w.knobs.electionTimeout(), nil) // what is under way arrives
	w.network.withheld = nil
	without := func(want []raft.Member) []raft.Member { return leftOut(m, want) }
	w.demandMembers(without)
	other := w.rand.Uint64() | 1
	w.tell("n%d is added with folder %x", m.id, other)
	if w.addsUnder(own, m, 0) {
		leader.host.Admit(m.id, other)
		leader.wake()
		w.run(w.now+w.knobs.electionTimeout(), func() bool { return leader.hasWith(m.id, other) })
		w.endWishes(w.now)
		w.demandMembers(without)
		w.addsUnder(own, m, 0)
	}
	w.network.mend()
	if w.failure == nil {
		w.addAgain(own)
	}
	w.reachIf(goesOnAsBefore, w.failure == nil && m.up && leader.up && leader.hasWith(m.id, m.identity.Incarnation))
}

// addsUnder has the leader add a server, and reports whether all others know of it, and of that folder.
func (w *world) addsUnder(own raft.Member, m *member, folder uint64) bool {
	leader := w.leader()
	if w.failure != nil || leader == nil {
		return false
	}
	leader.wishFor(append(leader.wants(), raft.Member{ID: own.ID, Suffrage: raft.Voter, Priority: own.Priority}), false, 0)
	known := func() bool {
		return !slices.ContainsFunc(w.cluster(), func(o *member) bool { return o != m && !(o.up && o.hasWith(m.id, folder)) })
	}
	w.run(w.now+w.patience()/10, known)
	return w.failure == nil && known()
}

// hasWith reports whether the configuration that a member goes by has another one with that folder.
func (m *member) hasWith(id raft.NodeID, folder uint64) bool {
	is, in := m.group.Configuration().Member(id)
	return in && is.Incarnation == folder
}
