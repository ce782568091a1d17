package sim

import "github.com/balsa-raft/balsa/raft"

// Snapshots go to a member on a connection of their own. When that one is up again before the other, a member that was cut off hears of a later term, and of who leads it, by
// a snapshot alone.

// demandFirstWord has a member hear so of a new leader.
func (w *world) demandFirstWord() {
	old, at := w.leader(), w.anotherVoter()
	w.network.leaveAlone(at)
	term := at.group.Status().Term
	old.die(death{})
	old.restart()
	leads := func() bool { l := w.leader(); return l != nil && l.group.Status().Term > term }
	w.run(w.now+20*w.knobs.electionTimeout(), leads)
	if w.failure != nil || !leads() {
		return
	}
	next := w.leader()
	last := next.group.Status().LastIndex
	w.writeUntil(next, w.logMax(), func() bool { return next.disk.durable.first > last+1 })
	w.tell("n%d is sent snapshots, and nothing else", at.id)
	w.network.withheld = exceptSnapshots(at)
	w.network.mend()
	w.run(w.now+20*w.knobs.electionTimeout(), func() bool { return !at.up || at.group.Status().FirstIndex > last+1 })
	w.network.withheld = nil
}

// exceptSnapshots withholds all from and to a member, but snapshots.
func exceptSnapshots(at *member) func(from, to raft.NodeID, m raft.Message) bool {
	return func(from, to raft.NodeID, m raft.Message) bool {
		switch m.(type) {
		case raft.InstallSnapshot, raft.InstallSnapshotReply:
			return false
		}
		return from == at.id || to == at.id
	}
}
