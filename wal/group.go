package wal

import (
	"fmt"
	"hash/crc32"
	"slices"
	"sort"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// group is the index of one group's log: where its entries are, and their terms.
//
// Invariant: terms and spans cover first..last without gaps, and are empty if there is no entry. terms begins at first;
// the first span may begin before it, because its record does. Only during recovery, spans may be holes, of term 0.
type group struct {
	id raft.GroupID

	// What is durable. Guarded by Log.mu.
	hardState raft.HardState
	first     raft.Index
	baseTerm  raft.Term  // of entry first-1
	last      raft.Index // first-1 when empty
	terms     []raft.TermRun
	spans     []span
	bytes     int64 // of the records of spans

	// What the batch that is being written makes of it. Owned by the holder of Log.writing.
	stagedState raft.HardState
	stagedFirst raft.Index
	stagedBase  raft.Term
	stagedLast  raft.Index
}

// span says where the entries of one record are: from first on, up to the next span's first. If its length is zero it
// is a hole: entries that were in a segment that is gone.
type span struct {
	first   raft.Index
	segment uint32 // its seq, from the log's first one
	offset  uint32 // of the record
	length  uint32
	crc     uint32 // of the record, so that reading one needs not read its whole frame
}

func newGroup(id raft.GroupID) *group { return &group{id: id, first: 1, stagedFirst: 1} }

func (s span) isHole() bool { return s.length == 0 }

// isNothing says that the group is as one that never was.
func (g *group) isNothing() bool {
	return g.hardState == (raft.HardState{}) && g.first == 1 && g.last == 0
}

// find is the span that holds entry i.
func (g *group) find(i raft.Index) int {
	return sort.Search(len(g.spans), func(k int) bool { return g.spans[k].first > i }) - 1
}

// findTerm is the run of terms that holds entry i.
func (g *group) findTerm(i raft.Index) int {
	return sort.Search(len(g.terms), func(k int) bool { return g.terms[k].First > i }) - 1
}

// end is the last entry of span k.
func (g *group) end(k int) raft.Index {
	if k+1 < len(g.spans) {
		return g.spans[k+1].first - 1
	}
	return g.last
}

// term is that of entry i, which is in the log, or just before its first one; 0 in a hole.
func (g *group) term(i raft.Index) raft.Term {
	if i == g.first-1 {
		return g.baseTerm
	}
	return g.terms[g.findTerm(i)].Term
}

// check reports why a record cannot follow what the group has.
func (g *group) check(rec *wire.Record) error {
	switch rec.Kind {
	case wire.RecordState:
		if is, was := rec.HardState.CurrentTerm, g.hardState.CurrentTerm; is < was {
			return fmt.Errorf("group %d goes from term %d back to %d", g.id, was, is)
		}
		return nil
	case wire.RecordBegin:
		return g.checkBegin(rec)
	case wire.RecordEntries:
		if first := rec.Entries[0].Index; first < g.first || first > g.last+1 {
			return fmt.Errorf("group %d goes on with entry %d, and its log is %d..%d", g.id, first, g.first, g.last)
		}
		return nil
	case wire.RecordMoved:
		return g.checkMoved(rec.Entries)
	}
	return fmt.Errorf("a record of kind %d stands where none can be", rec.Kind)
}

func (g *group) checkBegin(rec *wire.Record) error {
	switch {
	case rec.First < g.first:
		return fmt.Errorf("group %d begins with entry %d, and its log is %d..%d", g.id, rec.First, g.first, g.last)
	case rec.First > g.last+1 && !rec.Reset:
		return fmt.Errorf("group %d forgets what is before entry %d, and its log is %d..%d", g.id, rec.First, g.first, g.last)
	case rec.BaseTerm > g.hardState.CurrentTerm:
		return fmt.Errorf("group %d begins behind term %d in term %d", g.id, rec.BaseTerm, g.hardState.CurrentTerm)
	case rec.First == g.first || !rec.Reset:
		if t := g.term(rec.First - 1); t != rec.BaseTerm && t != 0 {
			return fmt.Errorf("group %d begins behind entry %d of term %d, and has it of term %d", g.id, rec.First-1, rec.BaseTerm, t)
		}
	}
	return nil
}

// checkMoved wants the entries to be those that are alive of one record, as far as they are known.
func (g *group) checkMoved(es []raft.Entry) error {
	first, last := es[0].Index, es[len(es)-1].Index
	if first < g.first || last > g.last {
		return fmt.Errorf("group %d moves entries %d..%d, and its log is %d..%d", g.id, first, last, g.first, g.last)
	}
	k := g.find(first)
	from, to := max(g.spans[k].first, g.first), g.end(k)
	if last > to || !g.spans[k].isHole() && (first != from || last != to) {
		return fmt.Errorf("group %d moves entries %d..%d, and those of the record there are %d..%d", g.id, first, last, from, to)
	}
	for i := range es {
		if t := g.term(es[i].Index); t != es[i].Term && t != 0 {
			return fmt.Errorf("group %d moves entry %d of term %d, and has it of term %d", g.id, es[i].Index, es[i].Term, t)
		}
	}
	return nil
}

// apply does to the index what a record says that passes check. s is where the record is, if it holds entries.
func (l *Log) apply(g *group, rec *wire.Record, s span) {
	switch rec.Kind {
	case wire.RecordState:
		g.hardState = rec.HardState
	case wire.RecordBegin:
		l.begin(g, rec)
	case wire.RecordEntries:
		l.appendEntries(g, rec.Entries, s)
	case wire.RecordMoved:
		l.moveEntries(g, rec.Entries, s)
	}
}

// begin drops the entries before rec.First, and after a reset all of them.
func (l *Log) begin(g *group, rec *wire.Record) {
	if rec.Reset || rec.First > g.last {
		l.truncate(g, g.first)
		g.last = rec.First - 1
	} else {
		n := g.find(rec.First)
		l.release(g, g.spans[:n])
		g.spans = slices.Delete(g.spans, 0, n)
		g.terms = slices.Delete(g.terms, 0, g.findTerm(rec.First))
		g.terms[0].First = rec.First
	}
	g.first, g.baseTerm = rec.First, rec.BaseTerm
}

// appendEntries adds es, which stand in s. They may supersede a suffix.
func (l *Log) appendEntries(g *group, es []raft.Entry, s span) {
	l.truncate(g, es[0].Index)
	l.retain(g, s)
	g.spans = append(g.spans, s)
	for i := range es {
		if n := len(g.terms); n == 0 || g.terms[n-1].Term != es[i].Term {
			g.terms = append(g.terms, raft.TermRun{Term: es[i].Term, First: es[i].Index})
		}
	}
	g.last = es[len(es)-1].Index
}

// moveEntries makes the index tell of es, which the group has, in s. They are what is alive of a span, or part of a hole.
func (l *Log) moveEntries(g *group, es []raft.Entry, s span) {
	k := g.find(s.first)
	old, end, last := g.spans[k], g.end(k), es[len(es)-1].Index
	var spans []span
	if old.isHole() {
		g.fillTerms(es)
		if from := max(old.first, g.first); from < s.first {
			spans = append(spans, span{first: from})
		}
	}
	spans = append(spans, s)
	if last < end {
		spans = append(spans, span{first: last + 1})
	}
	l.release(g, []span{old})
	l.retain(g, s)
	g.spans = slices.Replace(g.spans, k, k+1, spans...)
}

// fillTerms takes in the terms of entries that were a hole.
func (g *group) fillTerms(es []raft.Entry) {
	first, next := es[0].Index, es[len(es)-1].Index+1
	var terms []raft.TermRun
	add := func(term raft.Term, first raft.Index) {
		if n := len(terms); n == 0 || terms[n-1].Term != term {
			terms = append(terms, raft.TermRun{Term: term, First: first})
		}
	}
	for _, r := range g.terms {
		if r.First < first {
			add(r.Term, r.First)
		}
	}
	for i := range es {
		add(es[i].Term, es[i].Index)
	}
	if next <= g.last {
		add(g.term(next), next)
	}
	for _, r := range g.terms {
		if r.First > next {
			add(r.Term, r.First)
		}
	}
	g.terms = terms
}

// truncate drops the entries from i on. The span that i lies in keeps its beginning.
func (l *Log) truncate(g *group, i raft.Index) {
	if i > g.last {
		return
	}
	n := 0
	if i > g.first { // else a span that begins before first would stay, and hold nothing
		n = sort.Search(len(g.spans), func(k int) bool { return g.spans[k].first >= i })
	}
	l.release(g, g.spans[n:])
	g.spans = g.spans[:n]
	n = sort.Search(len(g.terms), func(k int) bool { return g.terms[k].First >= i })
	g.terms = g.terms[:n]
	g.last = i - 1
}

// retain counts a record as alive.
func (l *Log) retain(g *group, s span) {
	g.bytes += int64(s.length)
	l.live += int64(s.length)
	l.segmentOf(s).live += int64(s.length)
}

// release counts records as dead.
func (l *Log) release(g *group, spans []span) {
	for _, s := range spans {
		g.bytes -= int64(s.length)
		l.live -= int64(s.length)
		l.segmentOf(s).live -= int64(s.length)
	}
}

// segmentOf is the segment that a span in the index is in.
func (l *Log) segmentOf(s span) *segment {
	return l.segments[l.firstSeq+uint64(s.segment)-l.segments[0].seq]
}

// group returns a group, which it makes if there is none.
func (l *Log) group(id raft.GroupID) *group {
	g := l.groups[id]
	if g == nil {
		g = newGroup(id)
		l.groups[id] = g
		at := sort.Search(len(l.order), func(k int) bool { return l.order[k].id > id })
		l.order = slices.Insert(l.order, at, g)
	}
	return g
}

// groupCount is how many groups restate lists.
func (l *Log) groupCount() (n uint32) {
	for _, g := range l.order {
		if !g.isNothing() {
			n++
		}
	}
	return n
}

// restate puts a frame's payload behind the place of its header that says of all groups what is durable of them,
// except their entries.
func (l *Log) restate() (b []byte, records uint32) {
	b = make([]byte, frameHeaderBytes, blockBytes)
	for _, g := range l.order {
		if g.isNothing() {
			continue
		}
		records++
		b = wire.AppendGroupRecord(b, &wire.Record{
			Group: g.id, HardState: g.hardState, First: g.first, BaseTerm: g.baseTerm, Last: g.last,
		})
	}
	return b, records
}

// restore puts a record that was found at offset at of segment seq into the index. It fails if the record cannot follow
// what is there, which is for the caller to report: bytes on disk prove nothing about the program.
func (l *Log) restore(rec *wire.Record, seq uint64, at int64, record []byte) error {
	g := l.group(rec.Group)
	if err := g.check(rec); err != nil {
		return err
	}
	s := span{}
	if len(rec.Entries) > 0 {
		s = span{
			first:   rec.Entries[0].Index,
			segment: uint32(seq - l.firstSeq),
			offset:  uint32(at),
			length:  uint32(len(record)),
			crc:     crc32.Checksum(record, castagnoli),
		}
	}
	l.apply(g, rec, s)
	g.settleStaged()
	return nil
}

// settleStaged says that nothing is being written.
func (g *group) settleStaged() {
	g.stagedState, g.stagedFirst, g.stagedBase, g.stagedLast = g.hardState, g.first, g.baseTerm, g.last
}

// restoreGroup takes in what the first frame of the log's oldest segment says of a group: its entries are holes until
// they are found in this segment or a later one.
func (l *Log) restoreGroup(rec *wire.Record) error {
	if rec.Kind != wire.RecordGroup {
		return fmt.Errorf("a record of kind %d restates nothing", rec.Kind)
	}
	g := l.group(rec.Group)
	g.hardState, g.first, g.baseTerm, g.last = rec.HardState, rec.First, rec.BaseTerm, rec.Last
	if g.last >= g.first {
		g.spans, g.terms = []span{{first: g.first}}, []raft.TermRun{{First: g.first}}
	}
	g.settleStaged()
	return nil
}

// checkRestated reports where what the first frame of a segment says of a group is not what the segments before it say.
func (l *Log) checkRestated(rec *wire.Record) error {
	g := l.groups[rec.Group]
	switch {
	case rec.Kind != wire.RecordGroup:
		return fmt.Errorf("a record of kind %d restates nothing", rec.Kind)
	case g == nil:
		return fmt.Errorf("group %d is restated, and there was none", rec.Group)
	case rec.HardState != g.hardState || rec.First != g.first || rec.BaseTerm != g.baseTerm || rec.Last != g.last:
		return fmt.Errorf("group %d is restated as %+v, %d..%d behind term %d, and was %+v, %d..%d behind term %d", g.id,
			rec.HardState, rec.First, rec.Last, rec.BaseTerm, g.hardState, g.first, g.last, g.baseTerm)
	}
	return nil
}

// missing lists the entries that were not found.
func (l *Log) missing() (rs []Range) {
	for _, g := range l.order {
		for k, s := range g.spans {
			if s.isHole() {
				rs = append(rs, Range{Group: g.id, First: max(s.first, g.first), Last: g.end(k)})
			}
		}
	}
	return rs
}
