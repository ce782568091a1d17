package sim

import (
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// Snapshots at the wrong moment. One comes while the member is in the middle of something with the log that it replaces: its disk has not yet written, or has not yet said that it has
// written, entries that nobody wants any more; or entries have just been read to be executed. Or it is whole in the very moment in which the member hears of a later term than that of its leader. By chance alone the disk is faster than
// a snapshot, and a snapshot faster than an election.

// demandOvertaken checks that a member goes on well that is so overtaken, in a cluster in which all else is well.
func (w *world) demandOvertaken() {
	switch w.rand.IntN(4) {
	case 0:
		w.overtakeSaves()
	case 1:
		w.overtakeLoad()
	case 2:
		w.overtakeTerm()
	case 3:
		w.overtakeChange()
	}
}

// overtakeSaves cuts off a leader that is given more commands, and whose disk does not end to write them until it has the snapshot of the next leader.
func (w *world) overtakeSaves() {
	old := w.leader()
	last := old.group.Status().LastIndex
	w.network.leaveAlone(old)
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
	leader, at := w.leader(), w.anotherVoter()
	at.die(death{})
	at.restart() // so that the core remembers no entries
	at.hold(host.PartReader, true)
	w.run(w.now+w.knobs.electionTimeout(), func() bool { return !at.up || !at.host.Idle(host.PartReader) })
	if w.failure != nil || !at.up {
		return
	}
	last := at.disk.durable.last()
	w.network.leaveAlone(at)
	w.writeUntil(leader, w.logMax(), func() bool { return leader.disk.durable.first > last+1 })
	w.comeTo(at, last, host.PartReader)
}

// overtakeTerm has a member receive the last chunk of a snapshot and, before it has written it, hear of another leader.
func (w *world) overtakeTerm() {
	leader, at := w.leader(), w.anotherVoter()
	last := at.disk.durable.last()
	at.die(death{})
	w.writeUntil(leader, w.logMax(), func() bool { return leader.disk.durable.first > last+1 })
	at.restart()
	at.holdsLast = true
	w.run(w.now+20*w.knobs.electionTimeout(), func() bool { return at.held[host.PartReceiver] || !at.up || at.group.Status().FirstIndex > last+1 })
	if at.held[host.PartReceiver] && leader.up {
		leader.die(death{})
		w.run(w.now+20*w.knobs.electionTimeout(), func() bool { return !at.held[host.PartReceiver] })
		leader.restart()
	}
	at.holdsLast = false
	at.hold(host.PartReceiver, false)
}

// overtakeChange has a member ask for a change whose end it hears of by a snapshot alone. That the wait ends is demanded of all that goes on.
func (w *world) overtakeChange() {
	leader, at := w.leader(), w.anotherVoter()
	was := leader.group.Status().Configuration.Change
	at.wish(at.wants(), false)
	w.run(w.now+w.knobs.electionTimeout(), func() bool { return leader.up && leader.group.Status().Configuration.Change != was })
	w.network.leaveAlone(at)
	last := leader.group.Status().LastIndex
	w.writeUntil(leader, w.logMax(), func() bool { return leader.disk.durable.first > last+1 })
	w.reachIf(changeInSnapshot, len(at.wishes) > 0 && leader.disk.durable.first > last+1)
	w.network.mend()
}

// anotherVoter is one that does not lead.
func (w *world) anotherVoter() (at *member) {
	leader, voters := w.leader(), w.voters()
	for _, i := range w.rand.Perm(len(voters)) {
		if voters[i] != leader {
			at = voters[i]
		}
	}
	return at
}

// receivesLate lets a last chunk wait for a message of a later term than its own.
func (m *member) receivesLate(msg raft.Message) {
	switch msg := msg.(type) {
	case raft.InstallSnapshot:
		m.held[host.PartReceiver] = m.held[host.PartReceiver] || m.holdsLast && m.lastChunk
	case raft.AppendEntries:
		m.receiveBefore(msg.Term)
	case raft.RequestVote:
		if !msg.PreVote {
			m.receiveBefore(msg.Term)
		}
	}
}

// receiveBefore lets it wait no longer, just before the core hears of that term.
func (m *member) receiveBefore(term raft.Term) {
	if m.held[host.PartReceiver] && m.holdsLast && term > m.group.Status().Term {
		m.held[host.PartReceiver], m.holdsLast = false, false
		m.w.reach(installTermOver)
		m.step(host.PartReceiver)
	}
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
