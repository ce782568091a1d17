package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// model is what a log should hold.
type model map[raft.GroupID]*modelGroup

// modelGroup has the entries behind entry base.
type modelGroup struct {
	state    raft.HardState
	base     raft.Index
	baseTerm raft.Term
	entries  []raft.Entry
}

func (g *modelGroup) first() raft.Index { return g.base + 1 }
func (g *modelGroup) last() raft.Index  { return g.base + raft.Index(len(g.entries)) }

func (g *modelGroup) term(i raft.Index) raft.Term {
	if i == g.base {
		return g.baseTerm
	}
	return g.entries[i-g.base-1].Term
}

func (m model) clone() model {
	c := make(model)
	for id, g := range m {
		n := *g
		n.entries = slices.Clone(g.entries)
		c[id] = &n
	}
	return c
}

// apply returns the model after a batch; m stays.
func (m model) apply(batch []Save) model {
	m = m.clone()
	for _, s := range batch {
		g := m[s.Group]
		if g == nil {
			if s.HardState == (raft.HardState{}) && s.First <= 1 && len(s.Entries) == 0 {
				continue
			}
			g = new(modelGroup)
			m[s.Group] = g
		}
		g.state = s.HardState
		switch {
		case s.Reset:
			g.base, g.baseTerm, g.entries = s.First-1, s.BaseTerm, nil
		case s.First > 0:
			g.entries = g.entries[s.First-g.first():]
			g.base, g.baseTerm = s.First-1, s.BaseTerm
		}
		if len(s.Entries) > 0 {
			g.entries = append(slices.Clip(g.entries[:s.Entries[0].Index-g.first()]), s.Entries...)
		}
	}
	return m
}

func (m model) group(id raft.GroupID) *modelGroup {
	if g := m[id]; g != nil {
		return g
	}
	return new(modelGroup)
}

// diff says in what a log just opened differs from the model, or returns nil.
func (m model) diff(l *Log) error {
	groups := l.Groups()
	if len(groups) != len(m) {
		return fmt.Errorf("%d groups, want %d", len(groups), len(m))
	}
	for i, r := range groups {
		if i > 0 && groups[i-1].Group >= r.Group {
			return errors.New("groups are not ascending")
		}
		g := m[r.Group]
		if g == nil {
			return fmt.Errorf("group %d, which there is not", r.Group)
		}
		want := Recovered{
			Group: r.Group, HardState: g.state, FirstIndex: g.first(), BaseTerm: g.baseTerm, LastIndex: g.last(), Terms: runs(g.entries),
		}
		if fmt.Sprint(r) != fmt.Sprint(want) {
			return fmt.Errorf("group is %+v, want %+v", r, want)
		}
		if err := sameEntries(l, r.Group, g); err != nil {
			return err
		}
	}
	return checkIndex(l)
}

// checkIndex says where the counts of what is alive differ from what is in the index.
func checkIndex(l *Log) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var live int64
	bySegment := make(map[*segment]int64)
	for id, g := range l.groups {
		var bytes int64
		for _, s := range g.spans {
			bytes += int64(s.length)
			bySegment[l.segmentOf(s)] += int64(s.length)
		}
		if bytes != g.bytes {
			return fmt.Errorf("group %d counts %d bytes and has %d", id, g.bytes, bytes)
		}
		if len(g.spans) > 0 != (g.last >= g.first) || len(g.terms) > 0 != (g.last >= g.first) {
			return fmt.Errorf("group %d, %d..%d, has %d spans and %d terms", id, g.first, g.last, len(g.spans), len(g.terms))
		}
		if len(g.spans) > 1 && g.spans[1].first <= g.first {
			return fmt.Errorf("group %d, %d..%d, keeps a span of which nothing is left", id, g.first, g.last)
		}
		live += bytes
	}
	for _, s := range l.segments {
		if s.live != bySegment[s] {
			return fmt.Errorf("%s counts %d bytes alive and has %d", segmentName(s.seq), s.live, bySegment[s])
		}
	}
	if l.live != live {
		return fmt.Errorf("the log counts %d bytes alive and has %d", l.live, live)
	}
	return nil
}

func runs(es []raft.Entry) (rs []raft.TermRun) {
	for i, e := range es {
		if i == 0 || es[i-1].Term != e.Term {
			rs = append(rs, raft.TermRun{Term: e.Term, First: e.Index})
		}
	}
	return rs
}

func sameEntries(l *Log, id raft.GroupID, g *modelGroup) error {
	if _, err := l.Entries(id, g.base, g.base, 1); !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("group %d still has entry %d: %v", id, g.base, err)
	}
	if len(g.entries) == 0 {
		if _, err := l.Entries(id, g.first(), g.first(), 1); !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("entry %d of an empty log: %v", g.first(), err)
		}
		return nil
	}
	got, err := l.Entries(id, g.first(), g.last(), 1<<40)
	if err != nil {
		return err
	}
	if len(got) != len(g.entries) {
		return fmt.Errorf("group %d has %d entries, want %d", id, len(got), len(g.entries))
	}
	for i, e := range got {
		if w := g.entries[i]; e.Index != w.Index || e.Term != w.Term || e.Type != w.Type || !bytes.Equal(e.Data, w.Data) {
			return fmt.Errorf("group %d has entry %v, want %v", id, e, w)
		}
	}
	return nil
}

// randomBatch is something that a core could save next, of some of the groups 1 to groups.
func randomBatch(rnd *rand.Rand, m model, groups int) (batch []Save) {
	for range 1 + rnd.IntN(groups) {
		id := raft.GroupID(1 + rnd.IntN(groups))
		batch = append(batch, randomSave(rnd, id, m.group(id)))
		m = m.apply(batch[len(batch)-1:])
	}
	return batch
}

func randomSave(rnd *rand.Rand, id raft.GroupID, g *modelGroup) Save {
	s := Save{Group: id, HardState: g.state}
	first, last := g.first(), g.last()
	superseding := false
	if s.HardState.CurrentTerm == 0 || rnd.IntN(6) == 0 {
		s.HardState = raft.HardState{CurrentTerm: s.HardState.CurrentTerm + 1, VotedFor: raft.NodeID(rnd.IntN(4))}
		superseding = rnd.IntN(2) == 0
	} else if s.HardState.VotedFor == 0 && rnd.IntN(4) == 0 {
		s.HardState.VotedFor = raft.NodeID(1 + rnd.IntN(3))
	}
	switch rnd.IntN(12) {
	case 0, 1: // the log's beginning is forgotten
		s.First = first + raft.Index(rnd.IntN(int(last-first)+2))
		s.BaseTerm = g.term(s.First - 1)
		first = s.First
	case 2: // a snapshot takes its place
		s.First = first + 1 + raft.Index(rnd.IntN(int(last-first)+10))
		s.BaseTerm, s.Reset = max(g.baseTerm, 1)+raft.Term(rnd.IntN(int(s.HardState.CurrentTerm-max(g.baseTerm, 1))+1)), true
		first, last = s.First, s.First-1
	}
	if superseding && last >= first { // a new leader's entries
		last = first - 1 + raft.Index(rnd.IntN(int(last-first)+1))
	}
	for i := range rnd.IntN(5) {
		e := raft.Entry{Term: s.HardState.CurrentTerm, Index: last + 1 + raft.Index(i)}
		if e.Type = raft.EntryNoop; rnd.IntN(8) > 0 {
			e.Type, e.Data = raft.EntryCommand, randomData(rnd)
		}
		s.Entries = append(s.Entries, e)
	}
	return s
}

func randomData(rnd *rand.Rand) []byte {
	sizes := []int{0, 1, 100, 100, 100, 600, 3000, 9000}
	b := make([]byte, sizes[rnd.IntN(len(sizes))])
	for i := 0; i < len(b); i += 1 + i/16 {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

const dir = "data/wal"

// small makes segments that a few batches fill.
var small = Options{SegmentBytes: 8 * blockBytes, SparesMax: 2, ID: 7}

func mustOpen(t testing.TB, d *memfs.FS, o Options) *Log {
	t.Helper()
	l, err := Open(d, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustAppend(t testing.TB, l *Log, batch ...Save) {
	t.Helper()
	if err := l.Append(batch); err != nil {
		t.Fatal(err)
	}
}

// put is a Save of entries from first on, one for each text.
func put(g raft.GroupID, term raft.Term, first raft.Index, texts ...string) Save {
	s := Save{Group: g, HardState: raft.HardState{CurrentTerm: term}}
	for i, text := range texts {
		s.Entries = append(s.Entries, raft.Entry{Term: term, Index: first + raft.Index(i), Data: []byte(text)})
	}
	return s
}

// holds checks that the log opens on the disk with what m says.
func holds(t testing.TB, d *memfs.FS, o Options, m model) *Log {
	t.Helper()
	l := mustOpen(t, d, o)
	if err := m.diff(l); err != nil {
		t.Fatal(err)
	}
	return l
}

func stateOf(term raft.Term) raft.HardState { return raft.HardState{CurrentTerm: term} }

func lastOf(m model, id raft.GroupID) raft.Index { return m.group(id).last() }
