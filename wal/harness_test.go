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

type modelGroup struct {
	state   raft.HardState
	entries []raft.Entry
}

func (m model) clone() model {
	c := make(model)
	for id, g := range m {
		c[id] = &modelGroup{state: g.state, entries: slices.Clone(g.entries)}
	}
	return c
}

// apply returns the model after a batch; m stays.
func (m model) apply(batch []Save) model {
	m = m.clone()
	for _, s := range batch {
		g := m[s.Group]
		if g == nil {
			if s.HardState == (raft.HardState{}) && len(s.Entries) == 0 {
				continue
			}
			g = new(modelGroup)
			m[s.Group] = g
		}
		g.state = s.HardState
		if len(s.Entries) > 0 {
			g.entries = append(slices.Clip(g.entries[:s.Entries[0].Index-1]), s.Entries...)
		}
	}
	return m
}

func (m model) group(id raft.GroupID) modelGroup {
	if g := m[id]; g != nil {
		return *g
	}
	return modelGroup{}
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
		if r.HardState != g.state || r.FirstIndex != 1 || r.LastIndex != raft.Index(len(g.entries)) {
			return fmt.Errorf("group %d is %+v, want %+v with %d entries", r.Group, r, g.state, len(g.entries))
		}
		if want := runs(g.entries); !slices.Equal(r.Terms, want) {
			return fmt.Errorf("group %d has terms %v, want %v", r.Group, r.Terms, want)
		}
		if err := sameEntries(l, r.Group, g.entries); err != nil {
			return err
		}
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

func sameEntries(l *Log, id raft.GroupID, want []raft.Entry) error {
	if len(want) == 0 {
		if _, err := l.Entries(id, 1, 1, 1); !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("entry 1 of an empty log: %v", err)
		}
		return nil
	}
	got, err := l.Entries(id, 1, raft.Index(len(want)), 1<<40)
	if err != nil {
		return err
	}
	if len(got) != len(want) {
		return fmt.Errorf("group %d has %d entries, want %d", id, len(got), len(want))
	}
	for i, e := range got {
		if w := want[i]; e.Index != w.Index || e.Term != w.Term || e.Type != w.Type || !bytes.Equal(e.Data, w.Data) {
			return fmt.Errorf("group %d has entry %v, want %v", id, e, w)
		}
	}
	return nil
}

// randomBatch is something that a core could save next, of one to three groups.
func randomBatch(rnd *rand.Rand, m model) (batch []Save) {
	for range 1 + rnd.IntN(3) {
		id := raft.GroupID(1 + rnd.IntN(3))
		g := m.group(id)
		s := Save{Group: id, HardState: g.state}
		last := raft.Index(len(g.entries))
		if s.HardState.CurrentTerm == 0 || rnd.IntN(6) == 0 {
			s.HardState = raft.HardState{CurrentTerm: s.HardState.CurrentTerm + 1, VotedFor: raft.NodeID(rnd.IntN(4))}
			if last > 0 && rnd.IntN(2) == 0 {
				last = raft.Index(rnd.Uint64N(uint64(last))) // a new leader's entries supersede
			}
		} else if s.HardState.VotedFor == 0 && rnd.IntN(4) == 0 {
			s.HardState.VotedFor = raft.NodeID(1 + rnd.IntN(3))
		}
		for i := range rnd.IntN(5) {
			e := raft.Entry{Term: s.HardState.CurrentTerm, Index: last + 1 + raft.Index(i)}
			if e.Type = raft.EntryNoop; rnd.IntN(8) > 0 {
				e.Type, e.Data = raft.EntryCommand, randomData(rnd)
			}
			s.Entries = append(s.Entries, e)
		}
		batch = append(batch, s)
		m = m.apply(batch[len(batch)-1:])
	}
	return batch
}

func randomData(rnd *rand.Rand) []byte {
	sizes := []int{0, 1, 100, 100, 100, 600, 3000, 9000}
	b := make([]byte, sizes[rnd.IntN(len(sizes))])
	for i := 0; i < len(b); i += 1 + i/16 {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

const dir = "data/wal"

// small makes segments that a few batches fill.
var small = Options{SegmentBytes: 8 * blockBytes, ID: 7}

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

func lastOf(m model, g raft.GroupID) raft.Index { return raft.Index(len(m.group(g).entries)) }
