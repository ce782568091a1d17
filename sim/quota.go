package sim

import (
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
)

// A leader takes no more commands than its quota while it cannot commit them, or its memory and its disk fill up for as long as it is cut off.

// quota is what a leader has taken in its term and does not know to be committed, as far as it has begun to save it.
type quota struct {
	term  raft.Term
	taken []takenEntry
	bytes uint64 // of them
}

type takenEntry struct {
	index raft.Index
	bytes uint64
}

// checkQuota takes in what is going to be saved: a leader that has something uncommitted takes what is within its quota together with that. What it takes first may be
// larger, and what it writes on its own behalf comes on top.
func (m *member) checkQuota(batch []wal.Save) {
	limit, q := m.w.knobs.raft.UncommittedBytesMax, &m.quota
	if limit == 0 {
		return // too much for a run
	}
	for i := range batch {
		before := uint64(0) // what came with an earlier save: this one's was taken behind it
		for k := range batch[i].Entries {
			e := &batch[i].Entries[k]
			if l := m.w.checker.leaders[e.Term]; l.member != m.id || l.incarnation != m.incarnation || batch[i].HardState.CurrentTerm > e.Term { // it may get its own back from a later leader
				continue
			}
			if k == 0 || q.term != e.Term {
				q.commit(e.Term, m.commit)
				before = q.bytes
			}
			if e.Type != raft.EntryCommand || e.Index <= m.commit {
				continue
			}
			q.taken = append(q.taken, takenEntry{e.Index, e.Size()})
			if q.bytes += e.Size(); before > 0 && q.bytes > limit {
				m.w.fail("Quota", "n%d leads term %d, knows entries up to %d to be committed, and has taken %d bytes behind them, up to entry %d; it may take %d", m.id, e.Term, m.commit, q.bytes, e.Index, limit)
				return
			}
		}
	}
}

// commit lets go of what is committed, or of another term.
func (q *quota) commit(term raft.Term, to raft.Index) {
	if q.term != term {
		*q = quota{term: term, taken: q.taken[:0]}
	}
	n := 0
	for n < len(q.taken) && q.taken[n].index <= to {
		q.bytes -= q.taken[n].bytes
		n++
	}
	q.taken = q.taken[:copy(q.taken, q.taken[n:])]
}
