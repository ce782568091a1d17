package wal

import (
	"fmt"
	"hash/crc32"
	"sort"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// group is the index of one group's log: where its entries are, and their terms.
type group struct {
	// What is durable. Guarded by Log.mu.
	hardState raft.HardState
	first     raft.Index
	last      raft.Index // first-1 when empty
	terms     []raft.TermRun
	spans     []span

	// What the batch that is being written makes of it. Owned by the holder of Log.writing.
	stagedState raft.HardState
	stagedLast  raft.Index
}

// span says where the entries of one record are: from first on, up to the next span's first.
type span struct {
	first   raft.Index
	segment uint32 // its seq, from the log's first one
	offset  uint32 // of the record
	length  uint32
	crc     uint32 // of the record, so that reading one needs not read its whole frame
}

func newGroup() *group { return &group{first: 1} }

// appendEntries adds es, which stand in s. They may supersede a suffix.
func (g *group) appendEntries(es []raft.Entry, s span) {
	g.truncate(es[0].Index)
	g.spans = append(g.spans, s)
	for i := range es {
		if n := len(g.terms); n == 0 || g.terms[n-1].Term != es[i].Term {
			g.terms = append(g.terms, raft.TermRun{Term: es[i].Term, First: es[i].Index})
		}
	}
	g.last = es[len(es)-1].Index
}

// truncate drops the entries from i on. The span that i lies in keeps its beginning.
func (g *group) truncate(i raft.Index) {
	if i > g.last {
		return
	}
	n := sort.Search(len(g.spans), func(k int) bool { return g.spans[k].first >= i })
	g.spans = g.spans[:n]
	n = sort.Search(len(g.terms), func(k int) bool { return g.terms[k].First >= i })
	g.terms = g.terms[:n]
	g.last = i - 1
}

// find is the span that holds entry i.
func (g *group) find(i raft.Index) int {
	return sort.Search(len(g.spans), func(k int) bool { return g.spans[k].first > i }) - 1
}

func (g *group) lastTerm() raft.Term {
	if len(g.terms) == 0 {
		return 0
	}
	return g.terms[len(g.terms)-1].Term
}

// restore puts a record that was found at offset at of segment seq into the index. It fails if the record cannot follow
// what is there, which is for the caller to report: bytes on disk prove nothing about the program.
func (l *Log) restore(rec wire.Record, seq uint64, at int64, record []byte) error {
	g := l.groups[rec.Group]
	if g == nil {
		g = newGroup()
		l.groups[rec.Group] = g
	}
	if rec.Kind == wire.RecordState {
		if rec.HardState.CurrentTerm < g.hardState.CurrentTerm {
			return fmt.Errorf("group %d goes from term %d back to %d", rec.Group, g.hardState.CurrentTerm, rec.HardState.CurrentTerm)
		}
		g.hardState, g.stagedState = rec.HardState, rec.HardState
		return nil
	}
	first := rec.Entries[0].Index
	if first < g.first || first > g.last+1 {
		return fmt.Errorf("group %d goes on with entry %d, and its log is %d..%d", rec.Group, first, g.first, g.last)
	}
	g.appendEntries(rec.Entries, span{
		first:   first,
		segment: uint32(seq - l.firstSeq),
		offset:  uint32(at),
		length:  uint32(len(record)),
		crc:     crc32.Checksum(record, castagnoli),
	})
	g.stagedLast = g.last
	return nil
}
