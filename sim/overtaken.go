package sim

import (
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// A snapshot that comes while the member is in the middle of something with the log that it replaces: its disk has not yet written, or has not yet said that it has
// written, entries that nobody wants any more; or entries have just been read to be executed. By chance alone the disk is faster than a snapshot.

// demandOvertaken checks that a member goes on well that is so overtaken, in a cluster in which all else is well.
func (w *world) demandOvertaken() {
	if w.chance(500) {
		w.overtakeSaves()
	} else {
		w.overtakeLoad()
	}
}

// overtakeSaves cuts off a leader that is given more commands, and whose disk does not end to write them until it has the snapshot of the next leader.
func (w *world) overtakeSaves() {
	old := w.leader()
	last := old.group.Status().LastIndex
	w.network.cutBetween(map[raft.NodeID]bool{old.id: true})
	written := w.chance(500)
	old.hold(host.PartWriter, !written)
	was := w.knobs.valueBytes
	w.knobs.valueBytes = 0 // they are to be many
	for range 60 {
		w.clients.begin(w.clients.write(-1, old, w.rand.IntN(w.knobs.keys)))
	}
	w.knobs.valueBytes = was
	if written { // and the core is not told
		w.run(w.now+w.knobs.electionTimeout(), func() bool { return old.disk.durable.last() > last })
		old.hold(host.PartWriter, true)
	}
	w.run(w.now+w.patience(), func() bool { l := w.leader(); return l != nil && l != old })
	if next := w.leader(); w.failure == nil && next != nil && next != old {
		w.writeUntil(next, w.logMax(), func() bool { return next.disk.durable.first > last+1 })
	}
	w.comeTo(old, last, host.PartWriter)
}

// overtakeLoad has a member read entries to be executed from its log, which takes until it has a snapshot of more.
func (w *world) overtakeLoad() {
	leader, voters := w.leader(), w.voters()
	var at *member
	for _, i := range w.rand.Perm(len(voters)) {
		if voters[i] != leader {
			at = voters[i]
		}
	}
	at.die(death{})
	at.restart() // so that the core remembers no entries
	at.hold(host.PartReader, true)
	w.run(w.now+w.knobs.electionTimeout(), func() bool { return !at.up || !at.host.Idle(host.PartReader) })
	if w.failure != nil || !at.up {
		return
	}
	last := at.disk.durable.last()
	w.network.cutBetween(map[raft.NodeID]bool{at.id: true})
	w.writeUntil(leader, w.logMax(), func() bool { return leader.disk.durable.first > last+1 })
	w.comeTo(at, last, host.PartReader)
}

// comeTo lets a member hear of the others again, and its part go on soon after it has a snapshot of more than last.
func (w *world) comeTo(m *member, last raft.Index, p host.Part) {
	w.network.mend()
	w.run(w.now+20*w.knobs.electionTimeout(), func() bool { return !m.up || m.group.Status().FirstIndex > last+1 })
	w.run(w.now+between(w.rand, 0, 500*time.Millisecond), nil)
	m.hold(p, false)
}

// hold keeps a part from its work, or lets it go on.
func (m *member) hold(p host.Part, yes bool) {
	m.held[p] = yes
	if m.up && yes {
		m.tell("waits for its %v", p)
	}
}

// loadsFirst lets entries that are being read to be executed come right before the last chunk of the snapshot that replaces them.
func (m *member) loadsFirst() {
	if m.held[host.PartReader] && m.lastChunk {
		m.held[host.PartReader] = false
		m.step(host.PartReader)
	}
}

// coverOvertaken takes in that a snapshot up to i takes the place of the log.
func (m *member) coverOvertaken(i raft.Index) {
	s := m.group.Status() // of before
	m.w.reachIf(installOverSaves, s.LastIndex > i && s.DurableIndex < s.LastIndex && !m.host.Idle(host.PartWriter))
	m.w.reachIf(installOverLoad, m.loadedFor == m.stepsShard)
}
