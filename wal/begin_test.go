package wal

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// forget is a Save by which the log begins with entry first from now on.
func forget(g raft.GroupID, term raft.Term, first raft.Index, base raft.Term) Save {
	return Save{Group: g, HardState: stateOf(term), First: first, BaseTerm: base}
}

// install is a Save by which a snapshot takes the place of the log; texts are entries behind it.
func install(g raft.GroupID, term raft.Term, first raft.Index, base raft.Term, texts ...string) Save {
	s := put(g, term, first, texts...)
	s.First, s.BaseTerm, s.Reset = first, base, true
	return s
}

// The log begins where it is told to, at once and after each way of opening it again.
func TestBegin(t *testing.T) {
	long := strings.Repeat("x", 20000)
	for _, c := range []struct {
		name  string
		saves []Save
	}{
		{"in a record", []Save{put(1, 1, 1, "a", "b", "c", "d"), forget(1, 1, 3, 1)}},
		{"at a record", []Save{put(1, 1, 1, "a", "b"), put(1, 1, 3, "c", "d"), forget(1, 1, 3, 1)}},
		{"at a term", []Save{put(1, 1, 1, "a", "b"), put(1, 2, 3, "c", "d"), forget(1, 2, 3, 1)}},
		{"in a term", []Save{put(1, 1, 1, "a", "b"), put(1, 2, 3, "c", "d"), forget(1, 2, 4, 2)}},
		{"behind all", []Save{put(1, 1, 1, "a", "b"), forget(1, 1, 3, 1), put(1, 1, 3, "c")}},
		{"everything", []Save{put(1, 1, 1, "a", "b"), forget(1, 1, 3, 1)}},
		{"nothing", []Save{put(1, 1, 1, "a", "b"), forget(1, 1, 1, 0)}},
		{"again and again", []Save{put(1, 1, 1, "a", "b", "c", "d"), forget(1, 1, 2, 1), forget(1, 1, 2, 1), forget(1, 1, 3, 1), put(1, 1, 5, "e"), forget(1, 1, 5, 1)}},
		{"entries that were appended with it", []Save{{Group: 1, HardState: stateOf(1)}, func() Save {
			s := put(1, 1, 1, "a", "b")
			s.First = 1
			return s
		}(), forget(1, 1, 2, 1)}},
		{"superseded at the beginning", []Save{put(1, 1, 1, "a", "b", "c", "d"), forget(1, 1, 3, 1), put(1, 2, 3, "C")}},
		{"superseded in the record that begins before", []Save{put(1, 1, 1, "a", "b", "c", "d"), forget(1, 1, 3, 1), put(1, 2, 4, "D"), put(1, 3, 3, "CC")}},
		{"over segments", []Save{put(1, 1, 1, long, "b"), put(1, 1, 3, long), put(1, 1, 4, long, "d"), forget(1, 1, 5, 1), put(1, 1, 6, long)}},
		{"N2 a snapshot before conflicting entries", []Save{put(1, 1, 1, "a"), put(1, 1, 2, "b", "c", "d", "e"), install(1, 3, 4, 3), put(1, 3, 4, "D")}},
		{"N2 and with entries of its own", []Save{put(1, 1, 1, "a", "b", "c", "d", "e"), install(1, 3, 4, 3, "D")}},
		{"N6 a snapshot far behind the end", []Save{put(1, 1, 1, "a", "b"), install(1, 2, 101, 2), put(1, 2, 101, "next")}},
		{"a snapshot for an empty log", []Save{install(1, 5, 101, 4, "next")}},
		{"a snapshot at the very end", []Save{put(1, 1, 1, "a", "b"), install(1, 1, 3, 1)}},
		{"a snapshot where the log begins", []Save{put(1, 1, 1, "a", "b", "c"), forget(1, 1, 3, 1), install(1, 2, 3, 1, "C")}},
		{"a snapshot after a snapshot", []Save{install(1, 5, 101, 4, "next"), install(1, 5, 101, 4), install(1, 6, 200, 6), put(1, 6, 200, "x")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, batches := range [][][]Save{{c.saves}, each(c.saves)} {
				d := memfs.New()
				l := mustOpen(t, d, small)
				m := model{}
				for _, batch := range batches {
					mustAppend(t, l, batch...)
					m = m.apply(batch)
					if err := sameEntries(l, 1, m.group(1)); err != nil {
						t.Fatal(err)
					}
					if err := checkIndex(l); err != nil {
						t.Fatal(err)
					}
				}
				if err := l.Vouch(); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					l = holds(t, d, small, m)
				}
				holds(t, d.CrashClone(memfs.CrashConfig{}), small, m)
			}
		})
	}
}

// each is a batch a save.
func each(saves []Save) (batches [][]Save) {
	for _, s := range saves {
		batches = append(batches, []Save{s})
	}
	return batches
}

// A beginning is checked against what the entries before it in the same batch leave.
func TestBeginInTheBatchOfItsEntries(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	batch := []Save{put(1, 1, 1, "a", "b", "c", "d", "e"), put(2, 9, 1, "x"), put(1, 2, 3, "C", "D"), put(1, 3, 4, "DD"), forget(1, 3, 4, 2)}
	mustAppend(t, l, batch...)
	holds(t, d, small, model{}.apply(batch))
}

// What is as it was costs no I/O.
func TestBeginIsNotRepeated(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	mustAppend(t, l, put(1, 1, 1, "a", "b", "c"), forget(1, 1, 3, 1), install(2, 1, 50, 1))
	ops := countOps(d)
	mustAppend(t, l, forget(1, 1, 3, 1), install(2, 1, 50, 1), Save{Group: 3, First: 1})
	if len(ops) != 0 {
		t.Errorf("nothing new was appended with %v", ops)
	}
}

func TestBytesAreCounted(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	check := func(want1, want2 int64) {
		t.Helper()
		got1, got2, st := l.GroupBytes(1), l.GroupBytes(2), l.Stats()
		if got1 != want1 || got2 != want2 || st.Live != want1+want2 || l.GroupBytes(3) != 0 {
			t.Errorf("bytes are %d and %d, %d in all, want %d and %d", got1, got2, st.Live, want1, want2)
		}
	}
	record := func(n int) int64 { return 4 + 4*int64(n) } // n entries of one byte
	check(0, 0)
	mustAppend(t, l, put(1, 1, 1, "a", "b", "c"), put(2, 1, 1, "a"))
	check(record(3), record(1))
	mustAppend(t, l, put(1, 1, 4, "d", "e"))
	check(record(3)+record(2), record(1))
	mustAppend(t, l, forget(1, 1, 3, 1)) // the record of 1..3 still holds one
	check(record(3)+record(2), record(1))
	mustAppend(t, l, forget(1, 1, 4, 1))
	check(record(2), record(1))
	mustAppend(t, l, put(1, 2, 5, "E"))
	check(record(2)+record(1), record(1))
	l = mustOpen(t, d, small)
	check(record(2)+record(1), record(1))
	mustAppend(t, l, put(1, 3, 4, "D"))
	check(record(1), record(1))
	mustAppend(t, l, install(1, 3, 60, 3, "x"), forget(2, 1, 2, 1))
	check(record(1), 0)
	l = mustOpen(t, d, small)
	check(record(1), 0)
}

// R10: who asks for entries that are gone is told so, and the log goes on.
func TestR10_EntriesBeforeTheBeginning(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	m := model{}
	for i := range 50 {
		s := put(1, 1, raft.Index(i+1), fmt.Sprint(i+1))
		mustAppend(t, l, s)
		m = m.apply([]Save{s})
	}
	mustAppend(t, l, forget(1, 1, 41, 1))
	m = m.apply([]Save{forget(1, 1, 41, 1)})
	for _, from := range []raft.Index{0, 1, 39, 40} {
		if _, err := l.Entries(1, from, 45, 1<<20); !errors.Is(err, ErrNotFound) || errors.Is(err, ErrFailed) {
			t.Errorf("entries from %d: %v", from, err)
		}
	}
	holds(t, d, small, m)
}
