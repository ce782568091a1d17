package sim

import "github.com/balsa-raft/balsa/raft"

// Rot in the journal of a machine that keeps its state itself. The machine finds by its checksums where what is sound ends, and goes on from there, as after a torn write: behind
// what it had synced, and that is all that it may do. Then the host must bring it forward, from the log or from the member's own snapshot, although it had counted on
// what was synced when it forgot its log. No other member is needed for that, so it may be any member, whatever the others are.

// rotJournal damages the journal of a member's machine, perhaps, and has the member start again.
func (w *world) rotJournal(m *member) {
	if !w.knobs.keeps {
		return
	}
	w.rotsOfJournals++
	w.with(w.stream(ofJournals, uint64(m.id), w.rotsOfJournals), func() {
		b := contents(m.disk.fs.KillClone(), journalFile)
		if len(b) == 0 || m.shelf != nil {
			return
		}
		at := w.rand.Int64N(int64(len(b)))
		if err := m.disk.fs.Flip(journalFile, at, byte(1<<w.rand.IntN(8))); err != nil {
			return
		}
		m.disk.rottenJournal = true
		m.tell("has rot in its machine's own journal, at %d of %d bytes", at, len(b))
		if m.up && w.chance(500) {
			w.kill(m, death{power: w.chance(500), keep: 1})
		}
	})
}

// lookAtJournal takes in how far a machine's own journal is sound at a start, and how far the newest snapshot is.
func (m *member) lookAtJournal(last, snapshot raft.Index) {
	if !m.disk.rottenJournal {
		return
	}
	m.disk.rottenJournal = false
	if last < m.disk.keeps {
		m.w.reach(keptRotten)
		m.w.reachIf(keptRottenBehind, last < snapshot)
		m.disk.keeps = last
	}
}
