package sim

import "github.com/balsa-raft/balsa/host"

// A read of the log that takes so long that all that it reads is forgotten meanwhile, and the room may be used again. Either entries are read for a member that lags, or those that are to be moved to
// the log's end, so that their segment can be given back.

// demandLongReads has such reads on members of a mended cluster. It draws apart from all else.
func (w *world) demandLongReads() {
	const small = 500 // or nothing need be read
	if w.knobs.compaction.LogBytes == 0 {
		return
	}
	w.with(w.stream(ofLongReads, 0, 0), func() {
		if cache := w.knobs.raft.CacheBytesMax; cache > 0 && cache <= small {
			w.perhaps(200, w.voters, 3, func() { w.demandLongRead(host.PartSender) })
		}
		w.perhaps(100, w.voters, 1, func() { w.demandLongRead(host.PartPreparer) })
	})
}

// demandLongRead checks that the leader goes on: what it reads stays where it is for as long as that takes, or it does without.
func (w *world) demandLongRead(by host.Part) {
	m := w.leader()
	var late *member
	if by == host.PartSender {
		late = w.anotherVoter()
		late.die(death{})
	}
	w.writeUntil(m, 1, func() bool { return false })
	if !m.up || w.failure != nil {
		return
	}
	m.slowRead, m.slowReadBy = func() { w.forgets(m, by) }, by
	if late != nil {
		late.restart()
	}
	w.writeUntil(m, w.logMax(), func() bool { return m.slowRead == nil })
	m.slowRead = nil
}

// forgets is what happens during the read.
func (w *world) forgets(m *member, by host.Part) {
	part, nested, incarnation, last := m.part, m.nested, m.incarnation, m.disk.durable.last()
	m.hold(by, true)
	m.nested = true
	if by == host.PartSender {
		m.sendsLate = last
	}
	forgotten := func() bool { return m.disk.durable.first > last }
	w.writeUntil(m, w.logMax(), forgotten)
	segments := int64(w.knobs.spareSegments+2) * w.knobs.segmentBytes
	w.writeUntil(m, min(segments, 50_000), func() bool { return false }) // where it was, if that was given back
	w.reachIf(readForgotten, forgotten() && by == host.PartSender)
	w.reachIf(moveForgotten, forgotten() && by == host.PartPreparer)
	if m.part, m.nested = part, nested; !m.up || m.incarnation != incarnation {
		panic(died{})
	}
	m.hold(by, false)
}
