package wal

import (
	"hash/crc32"

	"github.com/balsa-raft/balsa/internal/must"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// Save is what one group wants to be durable, in this order: its hard state, where its log begins, its entries. All of
// a Save is durable, or nothing.
type Save struct {
	Group     raft.GroupID
	HardState raft.HardState // always the current one, changed or not

	// First, unless it is zero, says that the log begins with entry First, whose predecessor has BaseTerm (0 only if
	// First is 1): what is before may be forgotten. It never goes back, and is at most one behind the log's end, unless
	// with Reset.
	First    raft.Index
	BaseTerm raft.Term
	// Reset voids all that was in the log before this Save, also entries from First on: a snapshot took its place.
	Reset bool

	// Entries may begin at or below the log's last index: they then supersede the entry at their first index and all
	// after it.
	Entries []raft.Entry
}

// staged is an effect on the index of the frame that is being made.
type staged struct {
	group  *group
	record wire.Record
	span   span // if there are entries; offset is in the frame's payload
}

// recordBytesMax is about how much data is put into one record, because a record is read back as a whole.
const recordBytesMax = 64 << 10

// encode puts the batch's records behind the frame header's place in buf and lists what they do in staged. Each Save is
// checked against what those before it leave, before it is on disk for ever.
func (l *Log) encode(batch []Save) (records uint32) {
	l.resetBuf()
	l.staged = l.staged[:0]
	for i := range batch {
		s := &batch[i]
		g := l.groups[s.Group]
		if g == nil {
			if s.HardState == (raft.HardState{}) && s.First <= 1 && len(s.Entries) == 0 {
				continue
			}
			l.mu.Lock()
			g = l.group(s.Group)
			l.mu.Unlock()
		}
		// The state goes first: a log must never hold entries of a term that its server has not yet reached.
		l.encodeState(g, s)
		l.encodeBegin(g, s)
		l.encodeEntries(g, s)
	}
	return uint32(len(l.staged))
}

// The checks branch before they assert, because the arguments of an assertion cost an allocation each.

func (l *Log) encodeState(g *group, s *Save) {
	was, is := g.stagedState, s.HardState
	if is.CurrentTerm < was.CurrentTerm {
		must.Be(false, "term of group %d never falls: %d after %d", g.id, is.CurrentTerm, was.CurrentTerm)
	}
	if is.CurrentTerm == was.CurrentTerm && was.VotedFor != 0 && is.VotedFor != was.VotedFor {
		must.Be(false, "group %d votes once in term %d: %d after %d", g.id, is.CurrentTerm, is.VotedFor, was.VotedFor)
	}
	if is == was {
		return
	}
	l.buf = wire.AppendStateRecord(l.buf, g.id, is)
	l.staged = append(l.staged, staged{group: g, record: wire.Record{Kind: wire.RecordState, HardState: is}})
	g.stagedState = is
}

func (l *Log) encodeBegin(g *group, s *Save) {
	if s.First == 0 {
		if s.Reset || s.BaseTerm != 0 {
			must.Be(false, "a log of group %d that begins anew begins somewhere: behind term %d, reset %v", g.id, s.BaseTerm, s.Reset)
		}
		return
	}
	l.checkBegin(g, s)
	if s.First == g.stagedFirst && (!s.Reset || g.stagedLast < s.First) {
		return
	}
	l.buf = wire.AppendBeginRecord(l.buf, g.id, s.First, s.BaseTerm, s.Reset)
	l.staged = append(l.staged, staged{group: g, record: wire.Record{
		Kind: wire.RecordBegin, First: s.First, BaseTerm: s.BaseTerm, Reset: s.Reset,
	}})
	if s.Reset {
		g.stagedLast = s.First - 1
	}
	g.stagedFirst, g.stagedBase = s.First, s.BaseTerm
}

func (l *Log) checkBegin(g *group, s *Save) {
	if s.First < g.stagedFirst {
		must.Be(false, "the log of group %d, which begins with entry %d, never begins earlier: %d", g.id, g.stagedFirst, s.First)
	}
	if s.First > g.stagedLast+1 && !s.Reset {
		must.Be(false, "group %d forgets entries that it has: before %d in a log %d..%d", g.id, s.First, g.stagedFirst, g.stagedLast)
	}
	if (s.First == 1) != (s.BaseTerm == 0) || s.BaseTerm > s.HardState.CurrentTerm {
		must.Be(false, "the log of group %d begins behind an entry of a term up to %d: with %d behind term %d",
			g.id, s.HardState.CurrentTerm, s.First, s.BaseTerm)
	}
	if s.First == g.stagedFirst || !s.Reset {
		if t := l.stagedTerm(g, s.First-1); t != s.BaseTerm {
			must.Be(false, "the log of group %d begins behind the entry %d that it has, of term %d: behind term %d",
				g.id, s.First-1, t, s.BaseTerm)
		}
	}
}

// stagedTerm is the term of entry i, which is in the group's log as the batch makes it, or just before its first one.
func (l *Log) stagedTerm(g *group, i raft.Index) raft.Term {
	if i == g.stagedFirst-1 {
		return g.stagedBase
	}
	for k := len(l.staged) - 1; k >= 0; k-- {
		if s := &l.staged[k]; s.group == g && len(s.record.Entries) > 0 && s.span.first <= i {
			return s.record.Entries[i-s.span.first].Term
		}
	}
	return g.term(i)
}

func (l *Log) encodeEntries(g *group, s *Save) {
	if len(s.Entries) == 0 {
		return
	}
	checkEntries(g, s)
	for rest := s.Entries; len(rest) > 0; {
		n, bytes := 1, len(rest[0].Data)
		for n < len(rest) && bytes+len(rest[n].Data) <= recordBytesMax {
			bytes += len(rest[n].Data)
			n++
		}
		start := len(l.buf)
		l.buf = wire.AppendEntriesRecord(l.buf, g.id, rest[:n])
		l.stageEntries(g, wire.RecordEntries, rest[:n], start)
		rest = rest[n:]
	}
	g.stagedLast = s.Entries[len(s.Entries)-1].Index
}

// stageEntries stages es, whose record is in buf from start on.
func (l *Log) stageEntries(g *group, kind wire.RecordKind, es []raft.Entry, start int) {
	l.staged = append(l.staged, staged{
		group:  g,
		record: wire.Record{Kind: kind, Entries: es},
		span: span{
			first:  es[0].Index,
			offset: uint32(start),
			length: uint32(len(l.buf) - start),
			crc:    crc32.Checksum(l.buf[start:], castagnoli),
		},
	})
}

func checkEntries(g *group, s *Save) {
	first, term := s.Entries[0].Index, s.Entries[0].Term
	if first < g.stagedFirst || first > g.stagedLast+1 {
		must.Be(false, "entries of group %d follow its log %d..%d: first is %d", g.id, g.stagedFirst, g.stagedLast, first)
	}
	if first == g.stagedFirst && term < g.stagedBase {
		must.Be(false, "terms of group %d do not fall behind term %d, with which its log begins: %d", g.id, g.stagedBase, term)
	}
	for i := range s.Entries {
		e := &s.Entries[i]
		if e.Index != first+raft.Index(i) || e.Term < term || e.Term > s.HardState.CurrentTerm {
			must.Be(false, "entries of group %d are contiguous from %d and of ascending terms up to %d: %d has term %d",
				g.id, first, s.HardState.CurrentTerm, e.Index, e.Term)
		}
		term = e.Term
	}
}
