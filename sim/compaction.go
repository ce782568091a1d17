package sim

import (
	"strings"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// What compaction promises once nothing goes wrong: that logs get shorter, and that a snapshot's stream goes on soon after a message was lost.

// demandCompaction checks that all members forget their logs' beginnings while commands come: the log is bounded by what the options say of it, and by the
// size of the state.
func (w *world) demandCompaction() {
	at := w.checker.committedTo()
	short := func() bool {
		for _, m := range w.cluster() {
			if !m.up || m.disk.durable.first <= at {
				return false
			}
		}
		return true
	}
	if limit := w.logMax(); !w.writeUntil(w.leader(), limit, short) && w.failure == nil {
		for _, m := range w.cluster() {
			if m.disk.durable.first <= at {
				w.fail("Liveness", "more than %d bytes of commands were executed behind entry %d, and n%d's log begins with entry %d: %v", limit, at, m.id, m.disk.durable.first, m)
			}
		}
	}
}

// logMax is after how many bytes of commands a log must have been compacted: as much as makes a snapshot due, three times, and what is kept before it.
func (w *world) logMax() int64 {
	c := w.knobs.compaction
	size := int64(0)
	for _, m := range w.cluster() {
		names, err := m.disk.fs.List(snapshotsDir)
		if err != nil {
			continue
		}
		for _, name := range names {
			if !strings.Contains(name, ".") {
				size = max(size, int64(len(contents(m.disk.fs, snapshotsDir+"/"+name))))
			}
		}
	}
	const grows = 4000 // the state may, meanwhile
	return 3*(max(c.LogBytes, size+grows)) + 2*c.TailBytes
}

// writeUntil writes on m until done says so. It reports false if more than so many bytes were written, and some time has passed.
func (w *world) writeUntil(m *member, bytesMax int64, done func() bool) bool {
	const atOnce = 4
	was := w.knobs.valueBytes
	w.knobs.valueBytes = max(was, 300)
	defer func() { w.knobs.valueBytes = was }()
	written, writes, waiting := int64(0), 0, 0
	// What is large is executed at once, and at the next snapshot all of it may be what is kept before it.
	enough := func() bool { return done() || written > bytesMax && writes > 4*atOnce }
	var next func()
	next = func() {
		if enough() || !m.up {
			return
		}
		op := w.clients.write(-1, m, w.rand.IntN(w.knobs.keys))
		op.patient = true
		waiting++
		op.done = func(op *operation) {
			waiting--
			delay := time.Millisecond
			if op.Outcome == OutcomeApplied {
				written += int64(len(op.proposal.Data))
				writes++
			} else {
				delay = tick
			}
			w.after(delay, next)
		}
		w.clients.begin(op)
	}
	for range atOnce {
		next()
	}
	w.run(w.now+w.patience(), func() bool { return waiting == 0 && enough() })
	// Whether a snapshot is due is looked at when something is executed, and while one is slowly written none is: the next command brings the next one.
	for range 6 {
		if w.run(w.now+10*time.Second, done); done() || w.failure != nil || !m.up {
			break
		}
		w.clients.begin(w.clients.write(-1, m, 0))
	}
	return done()
}

// lostChunk is a message of a snapshot's stream that is to be lost in a network that is well otherwise.
type lostChunk struct {
	to   *member
	in   int  // chunks until it
	lost bool // it was

	of     raft.Index    // the snapshot
	has    uint64        // what the member has said to have of it
	moved  time.Duration // when that last rose
	longer time.Duration // the longest that it did not, since the loss
}

// loses takes in a message, and reports whether it is the one to be lost.
func (l *lostChunk) loses(w *world, from, to raft.NodeID, m raft.Message) bool {
	if l == nil {
		return false
	}
	switch msg := m.(type) {
	case raft.InstallSnapshot:
		if to != l.to.id || l.lost {
			return false
		}
		if l.in--; l.in <= 0 {
			l.lost, l.moved = true, w.now
			w.report.ChunksLost++
			w.tell("a chunk of a snapshot to n%d is lost, and nothing else", to)
			return true
		}
	case raft.InstallSnapshotReply:
		if from == l.to.id && l.lost && (msg.Offset > l.has || msg.LastIncludedIndex != l.of) {
			l.of, l.has = msg.LastIncludedIndex, msg.Offset
			l.look(w)
			l.moved = w.now
		}
	}
	return false
}

func (l *lostChunk) look(w *world) { l.longer = max(l.longer, w.now-l.moved) }

// demandStream checks that a member gets a snapshot of which a chunk is lost, without waiting for long.
func (w *world) demandStream() {
	leader, voters := w.leader(), w.voters()
	var at *member
	for _, i := range w.rand.Perm(len(voters)) {
		if voters[i] != leader {
			at = voters[i]
		}
	}
	last := at.disk.durable.last()
	at.die(death{})
	if !w.writeUntil(leader, w.logMax(), func() bool { return leader.disk.durable.first > last+1 }) {
		if w.failure == nil && leader.up {
			w.fail("Liveness", "n%d's log is not compacted while a member is away: %v", leader.id, leader)
		}
		return
	}
	l := &lostChunk{to: at, in: pick(w.rand, 1, 1+w.rand.IntN(4), 1+w.rand.IntN(20))}
	w.network.chunk = l
	at.restart()
	w.run(w.now+w.patience(), func() bool { return w.converged() == "" })
	w.network.chunk = nil
	// By the leader's clock. A chunk may have to wait for the rate, and a snapshot may give way to another.
	c := w.knobs.compaction
	limit := 6*time.Second + 4*latencyCalm
	if c.BytesPerSecond > 0 {
		limit += time.Duration(8*c.ChunkBytes) * time.Second / time.Duration(c.BytesPerSecond)
	}
	if waited := l.longer * time.Duration(leader.rate) / 1000; w.failure == nil && waited > limit {
		w.fail("Liveness", "a chunk of a snapshot was lost on its way to n%d, and it took %v until there was more of it: nothing else was wrong", at.id, waited)
	}
}
