package sim

import (
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// A leader comes to send a snapshot to a member only when it leads a later term, because its disk is slow. Others have brought the member forward meanwhile, and it has led, and has
// entries that nobody else has: the snapshot is of what it has, and says nothing of what it has behind that.

// demandSentLater has a member get such a snapshot.
func (w *world) demandSentLater() {
	leader, voters := w.leader(), w.voters()
	if len(voters) != 3 {
		return // two are a majority, whoever is cut off
	}
	at := w.anotherVoter()
	var next *member
	for _, m := range voters {
		if m != leader && m != at {
			next = m
		}
	}
	w.tell("n%d is to be sent a snapshot by n%d, and that takes until n%d has brought it forward", at.id, leader.id, next.id)
	w.sendLater(leader, at, next)
	w.network.withheld = nil
	w.network.mend()
	for _, m := range voters {
		m.restart()
		m.hold(host.PartSnapshotter, false)
		m.hold(host.PartSender, false)
	}
}

func (w *world) sendLater(leader, at, next *member) {
	limit := 20 * w.knobs.electionTimeout()
	last := at.disk.durable.last()
	at.die(death{})
	next.hold(host.PartSnapshotter, true) // so that its log has what is lacking there
	w.writeUntil(leader, w.logMax(), func() bool { return leader.disk.durable.first > last+1 })
	leader.hold(host.PartSnapshotter, true)
	leader.hold(host.PartSender, true)
	at.restart()
	at.hold(host.PartSnapshotter, true)
	w.run(w.now+limit, func() bool { return !leader.up || !leader.host.Idle(host.PartSender) })
	if !w.handsTo(leader, next) || !w.handsTo(next, at) {
		return
	}
	w.network.leaveAlone(at)
	for range 10 {
		w.clients.begin(w.clients.write(-1, at, 0))
	}
	w.run(w.now+limit, func() bool { return w.leader() == leader || w.leader() == next })
	if w.leader() == next && !w.handsTo(next, leader) || w.leader() != leader || w.failure != nil {
		return
	}
	w.network.withheld = exceptSnapshots(at) // what else it hears takes away what it has
	w.network.mend()
	leader.hold(host.PartSender, false)
	w.run(w.now+limit, func() bool { return !at.up || at.group.Status().Term >= leader.group.Status().Term })
	w.run(w.now+time.Second, nil)
}

// handsTo has a leader hand over to another one, and reports whether that one leads then, and has all.
func (w *world) handsTo(leader, to *member) bool {
	limit := 20 * w.knobs.electionTimeout()
	has := func() bool { return leader.up && to.up && to.disk.durable.last() == leader.disk.durable.last() }
	w.run(w.now+limit, has)
	if w.failure != nil || !has() || w.leader() != leader {
		return false
	}
	leader.transfer(to.id)
	w.run(w.now+limit, func() bool { return w.leader() == to })
	return w.failure == nil && w.leader() == to
}

// hasOthersBehind reports whether a member has the last entry of a snapshot, and behind it others than the leader who has sent it.
func (c *checker) hasOthersBehind(m *member, in *raft.InstallSnapshot) bool {
	log := &m.disk.durable
	i := log.last()
	return i > in.LastIncludedIndex && log.at(in.LastIncludedIndex).term == in.LastIncludedTerm && c.logs[in.Term][i] != log.at(i).term
}
