package sim

import "github.com/balsa-raft/balsa/raft"

// A member is removed while it is cut off, asks for votes, and is told that it is none any more. Before it hears that it is added again, with the folder that it has. The word comes when it knows
// that, and hears no leader.

// lateWord is what it is told, on its way.
type lateWord struct {
	to    *member
	words []packet
}

// keeps reports whether a message is kept back. l may be nil.
func (l *lateWord) keeps(p packet, to raft.NodeID, m raft.Message) bool {
	if l == nil || to != l.to.id {
		return false
	}
	reply, ok := m.(raft.RequestVoteReply)
	if !ok || reply.Stranger == 0 {
		return false
	}
	l.words = append(l.words, p)
	return true
}

// demandLateWord checks that it does not stop because of that: it has heard of its removal, and of more.
func (w *world) demandLateWord() {
	m := w.anotherVoter()
	l := &lateWord{to: m}
	w.network.late = l
	defer func() { w.network.late = nil }()
	w.network.leaveAlone(m)
	m.tell("is cut off, will be removed, and hears late of that")
	if w.demandMembers(func(want []raft.Member) []raft.Member { return without(m, want) }); w.failure != nil {
		return
	}
	for _, o := range w.voters() { // those that answer it, and do not lead: a leader would bring it the log
		if o != w.leader() {
			w.network.link(m.id, o.id).cut, w.network.link(o.id, m.id).cut = false, false
		}
	}
	w.run(w.now+4*w.knobs.electionTimeout(), func() bool { return len(l.words) > 0 })
	w.network.mend()
	w.demandMembers(func(want []raft.Member) []raft.Member {
		return append(without(m, want), raft.Member{ID: m.id, Suffrage: raft.Voter})
	})
	if leader := w.leader(); w.failure != nil || leader == nil || leader == m || !m.up {
		return
	}
	w.run(w.now+w.knobs.electionTimeout(), func() bool { return m.commit >= w.checker.committedTo() })
	for _, o := range w.members {
		if o != m && o.up {
			o.die(death{})
		}
	}
	w.run(w.now+w.knobs.electionTimeout(), nil) // until it hears no leader any more
	m.tell("hears now that it was removed, and is a member again")
	w.network.late = nil
	for _, p := range l.words {
		w.network.arrive(p, m.id)
	}
	w.run(w.now+4*w.knobs.electionTimeout(), nil)
	w.reachIf(toldLate, w.failure == nil && len(l.words) > 0)
	for _, o := range w.members {
		o.restart()
	}
	w.run(w.now+w.patience(), func() bool { return w.leader() != nil })
}
