package wal

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// countOps counts the operations that change a disk.
func countOps(d *memfs.FS) map[memfs.Op]int {
	n := make(map[memfs.Op]int)
	d.SetHook(func(op memfs.Op, _ string) error { n[op]++; return nil })
	return n
}

func TestAppendIsOneWriteAndOneSync(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	ops := countOps(d)
	mustAppend(t, l, put(1, 1, 1, "a", "b"), put(2, 1, 1, "c"), put(3, 4, 1))
	if len(ops) != 2 || ops[memfs.OpWriteAt] != 1 || ops[memfs.OpSync] != 1 {
		t.Errorf("operations %v", ops)
	}
	clear(ops)
	for _, batch := range [][]Save{
		nil,
		{},
		{{Group: 1, HardState: stateOf(1)}, {Group: 3, HardState: stateOf(4)}}, // as they are
		{{Group: 9}}, // a group that has nothing
	} {
		mustAppend(t, l, batch...)
	}
	if len(ops) != 0 {
		t.Errorf("nothing new was appended with %v", ops)
	}
	if st := l.Stats(); st.Appends != 1 || st.Written != blockBytes {
		t.Errorf("stats %+v", st)
	}
	want := model{}.apply([]Save{put(1, 1, 1, "a", "b"), put(2, 1, 1, "c"), put(3, 4, 1)})
	holds(t, d, small, want)
}

func TestOneGroupManyTimesInABatch(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	batch := []Save{
		put(1, 1, 1, "a", "b", "c"),
		put(1, 1, 4, "d"),
		put(1, 2, 3, "C"),
		{Group: 1, HardState: raft.HardState{CurrentTerm: 2, VotedFor: 3}},
		{Group: 1, HardState: raft.HardState{CurrentTerm: 3}},
	}
	mustAppend(t, l, batch...)
	want := model{}.apply(batch)
	if err := sameEntries(l, 1, want.group(1)); err != nil {
		t.Error(err)
	}
	holds(t, d, small, want)
}

// Entries of a higher term supersede, wherever they begin: in the middle of a record, at its beginning, at the first
// entry of all (R24), in another segment, and again and again.
func TestR23_Supersede(t *testing.T) {
	for _, c := range []struct {
		name  string
		saves []Save
	}{
		{"in a record", []Save{put(1, 1, 1, "a", "b", "c", "d"), put(1, 2, 3, "C")}},
		{"at a record", []Save{put(1, 1, 1, "a", "b"), put(1, 1, 3, "c", "d"), put(1, 2, 3, "C")}},
		{"over records", []Save{put(1, 1, 1, "a", "b"), put(1, 1, 3, "c"), put(1, 1, 4, "d"), put(1, 2, 2, "B", "C", "D", "E", "F")}},
		{"R24 at the first entry", []Save{put(1, 1, 1, "a", "b"), put(1, 2, 1, "A")}},
		{"twice in a record", []Save{put(1, 1, 1, "a", "b", "c", "d"), put(1, 2, 4, "D"), put(1, 3, 2, "B")}},
		{"and grow again", []Save{put(1, 1, 1, "a", "b", "c", "d"), put(1, 2, 2, "B"), put(1, 2, 3, "C"), put(1, 3, 3, "CC"), put(1, 3, 4, "DD")}},
		{"across segments", []Save{put(1, 1, 1, "a", "b"), put(1, 1, 3, strings.Repeat("c", 20000)), put(1, 1, 4, strings.Repeat("d", 20000)), put(1, 2, 2, "B")}},
		{"R13 by larger ones", []Save{put(1, 1, 1, "a", "b", "c", "d"), put(1, 2, 1, strings.Repeat("A", 40000), strings.Repeat("B", 40000))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := memfs.New()
			l := mustOpen(t, d, small)
			m := model{}
			for i, s := range c.saves {
				mustAppend(t, l, s)
				m = m.apply([]Save{s})
				if err := sameEntries(l, 1, m.group(1)); err != nil {
					t.Fatalf("after save %d: %v", i, err)
				}
				if _, err := l.Entries(1, raft.Index(len(m.group(1).entries))+1, 100, 1); !errors.Is(err, ErrNotFound) {
					t.Fatalf("after save %d an entry behind the end: %v", i, err)
				}
			}
			for range 3 {
				holds(t, d, small, m)
			}
		})
	}
}

func TestEntriesRangesAndLimits(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	m := model{}
	for i := range 20 {
		s := put(1, raft.Term(1+i/7), raft.Index(1+3*i), strings.Repeat("x", i), strings.Repeat("y", 100), "z")
		mustAppend(t, l, s)
		m = m.apply([]Save{s})
	}
	all := m.group(1).entries
	for from := raft.Index(1); from <= 60; from++ {
		for to := from; to <= 62; to += 1 + to%3 {
			for _, limit := range []uint64{0, 33, 200, 1000, math.MaxUint64} {
				got, err := l.Entries(1, from, to, limit)
				if err != nil {
					t.Fatal(err)
				}
				want, bytes := raft.Index(0), uint64(0)
				for want == 0 || from+want <= min(to, 60) && bytes+all[from+want-1].Size() <= limit {
					bytes += all[from+want-1].Size()
					want++
				}
				if len(got) != int(want) || got[0].Index != from {
					t.Fatalf("Entries(%d, %d, %d): %d entries from %d, want %d", from, to, limit, len(got), got[0].Index, want)
				}
				for i, e := range got {
					if w := all[from-1+raft.Index(i)]; e.Term != w.Term || string(e.Data) != string(w.Data) {
						t.Fatalf("Entries(%d, %d, %d): %v, want %v", from, to, limit, e, w)
					}
				}
			}
		}
	}
	for _, c := range []struct {
		g    raft.GroupID
		from raft.Index
	}{{1, 0}, {1, 61}, {2, 1}} {
		if _, err := l.Entries(c.g, c.from, 100, 1); !errors.Is(err, ErrNotFound) {
			t.Errorf("group %d from %d: %v", c.g, c.from, err)
		}
	}
	mustAppend(t, l, put(1, 9, 61, "the log goes on after that"))
}

// A batch may be larger than what is left in a segment, than a segment, and than a prepared one.
func TestLargeBatches(t *testing.T) {
	for _, prepare := range []bool{false, true} {
		d := memfs.New()
		l := mustOpen(t, d, small)
		m := model{}
		for i, size := range []int{1, 30_000, 27_000, 1, 100_000, 100_000, 1, 24_524, 300_000} {
			if prepare {
				if err := l.Prepare(); err != nil {
					t.Fatal(err)
				}
			}
			s := put(1, 1, raft.Index(1+2*i), strings.Repeat("x", size), strings.Repeat("y", size/2))
			mustAppend(t, l, s)
			m = m.apply([]Save{s})
		}
		if err := sameEntries(l, 1, m.group(1)); err != nil {
			t.Fatal(err)
		}
		// The last one is repeated in a segment of its own, and that one again.
		for range 2 {
			l = holds(t, d.CrashClone(memfs.CrashConfig{}), small, m)
			l = holds(t, d, small, m)
		}
	}
}

// Nobody waits for a large segment's zeros at first, and a log that is used gets there soon.
func TestSegmentsGrow(t *testing.T) {
	d := memfs.New()
	o := Options{SegmentBytes: 16 << 20}
	l := mustOpen(t, d, o)
	m := model{}
	bytes := int64(segmentBytesSmall)
	for i, size := range []int64{1, 4, 16, 16} {
		s := put(1, 1, raft.Index(i+1), strings.Repeat("x", int(size)<<18)) // or it would be moved
		mustAppend(t, l, s)
		m = m.apply([]Save{s})
		if st := l.Stats(); st.Segments != i+1 || st.Bytes != bytes || l.tail.size != size<<20 {
			t.Fatalf("segment %d has %d bytes: %+v", i, l.tail.size, st)
		}
		if err := l.Prepare(); err != nil {
			t.Fatal(err)
		}
		bytes += l.next.size
		ops := countOps(d)
		if err := l.Prepare(); err != nil || len(ops) > 0 {
			t.Errorf("prepared again with %v, %v", ops, err)
		}
		l.offset = l.tail.size // as if it was full
		if err := l.Vouch(); err != nil {
			t.Fatal(err)
		}
		if syncs := ops[memfs.OpSync]; ops[memfs.OpCreate] > 0 || syncs > 3 {
			t.Errorf("rotation did %v", ops)
		}
		d.SetHook(nil)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, d, o, m)
}

// A log that is opened over and over, without or with a clean end, does not grow.
func TestIdleRestartsLeaveNothing(t *testing.T) {
	for _, closed := range []bool{false, true} {
		d := memfs.New()
		l := mustOpen(t, d, small)
		m := model{}.apply([]Save{put(1, 1, 1, "a")})
		mustAppend(t, l, put(1, 1, 1, "a"))
		var files []string
		for i := range 6 {
			if err := l.Prepare(); err != nil {
				t.Fatal(err)
			}
			if closed {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			l = holds(t, d, small, m)
			names, err := d.List(dir)
			if err != nil {
				t.Fatal(err)
			}
			if i == 1 {
				files = names
			}
			if i > 1 && len(names) != len(files) {
				t.Fatalf("closed %v, after %d restarts: %q, earlier %q", closed, i+1, names, files)
			}
		}
	}
}

func TestR14_NothingIsShared(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	data := []byte("original")
	es := []raft.Entry{{Term: 1, Index: 1, Data: data}}
	batch := []Save{{Group: 1, HardState: stateOf(1), Entries: es}}
	mustAppend(t, l, batch...)
	copy(data, "mutated!")
	es[0] = raft.Entry{Term: 7, Index: 9}
	batch[0] = Save{}
	want := model{}.apply([]Save{put(1, 1, 1, "original")})
	for range 2 {
		got, err := l.Entries(1, 1, 1, 1)
		if err != nil || string(got[0].Data) != "original" {
			t.Fatalf("%v, %v", got, err)
		}
		copy(got[0].Data, "MUTATED!")
	}
	mustAppend(t, l, Save{Group: 1, HardState: stateOf(2)})
	want[1].state = stateOf(2)
	holds(t, d, small, want)
}

// The state stands before the entries: whatever is durable of a batch, no log has entries of a term that its server has not reached.
func TestD7_StateGoesBeforeEntries(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	mustAppend(t, l, put(1, 5, 1, "a"))
	if got := describeRecords(contentsOf(t, d, segmentPath(1))[blockBytes+frameHeaderBytes:]); len(got) < 2 || got[0].First != 0 || got[1].First != 1 {
		t.Errorf("records are %v", got)
	}
}

func TestBrokenPromisesPanic(t *testing.T) {
	voted := Save{Group: 1, HardState: raft.HardState{CurrentTerm: 3, VotedFor: 2}}
	for _, c := range []struct {
		name string
		save Save
	}{
		{"gap", put(1, 3, 5, "x")},
		{"gap in a new group", put(2, 1, 2, "x")},
		{"index zero", put(1, 3, 0, "x")},
		{"term falls", Save{Group: 1, HardState: stateOf(2)}},
		{"S7 second vote", Save{Group: 1, HardState: raft.HardState{CurrentTerm: 3, VotedFor: 1}}},
		{"S7 vote withdrawn", Save{Group: 1, HardState: stateOf(3)}},
		{"entry of a later term", Save{Group: 1, HardState: voted.HardState, Entries: []raft.Entry{{Term: 4, Index: 4}}}},
		{"hole", Save{Group: 1, HardState: voted.HardState, Entries: []raft.Entry{{Term: 3, Index: 4}, {Term: 3, Index: 6}}}},
		{"terms that fall behind the base", func() Save {
			s := put(1, 1, 9, "x")
			s.HardState, s.First, s.BaseTerm, s.Reset = voted.HardState, 9, 2, true
			return s
		}()},
		{"R10 entries before the beginning", func() Save {
			s := put(1, 3, 2, "x")
			s.HardState, s.First, s.BaseTerm = voted.HardState, 3, 1
			return s
		}()},
		{"a beginning behind a gap", Save{Group: 1, HardState: voted.HardState, First: 5, BaseTerm: 1}},
		{"a beginning of another term", Save{Group: 1, HardState: voted.HardState, First: 3, BaseTerm: 2}},
		{"a beginning of no term", Save{Group: 1, HardState: voted.HardState, First: 3}},
		{"a beginning before the first entry", Save{Group: 1, HardState: voted.HardState, First: 1, BaseTerm: 1}},
		{"a snapshot of a later term", Save{Group: 1, HardState: voted.HardState, First: 9, BaseTerm: 4, Reset: true}},
		{"a reset to nowhere", Save{Group: 1, HardState: voted.HardState, Reset: true}},
		{"a base of nothing", Save{Group: 1, HardState: voted.HardState, BaseTerm: 1}},
		{"falling terms", Save{Group: 1, HardState: voted.HardState, Entries: []raft.Entry{{Term: 3, Index: 4}, {Term: 2, Index: 5}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := memfs.New()
			l := mustOpen(t, d, small)
			first := put(1, 1, 1, "a", "b", "c")
			mustAppend(t, l, first, voted)
			func() {
				defer func() {
					if recover() == nil {
						t.Error("no panic")
					}
				}()
				l.Append([]Save{c.save})
			}()
			holds(t, d, small, model{}.apply([]Save{first, voted}))
		})
	}
}

func TestOptions(t *testing.T) {
	for _, bytes := range []int64{-1, 1, blockBytes, 3*blockBytes + 1, segmentBytesMax + blockBytes} {
		if _, err := Open(memfs.New(), dir, Options{SegmentBytes: bytes}); err == nil || !strings.Contains(err.Error(), "SegmentBytes") {
			t.Errorf("%d: %v", bytes, err)
		}
	}
	d := memfs.New()
	mustOpen(t, d, small)
	_, err := Open(d, dir, Options{SegmentBytes: small.SegmentBytes, ID: 8})
	if err == nil || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "another member") {
		t.Errorf("opened another member's log: %v", err)
	}
	// The size of segments may change.
	l := mustOpen(t, d, Options{SegmentBytes: 3 * blockBytes, ID: small.ID})
	mustAppend(t, l, put(1, 1, 1, strings.Repeat("x", 50000)))
	holds(t, d, Options{ID: small.ID}, model{}.apply([]Save{put(1, 1, 1, strings.Repeat("x", 50000))}))
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	d := memfs.New()
	mustOpen(t, d, small)
	names := []string{"LOCK", "wal-1", "wal-000000000000000A", "wal-0000000000000000", "wal-00000000000000001", "xwal-0000000000000009", "snapshot.tmp"}
	for _, name := range names {
		if _, err := d.Create(dir + "/" + name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Create(dir + "/wal-prepare.tmp"); err != nil {
		t.Fatal(err)
	}
	holds(t, d, small, model{})
	got, err := d.List(dir)
	if err != nil || len(got) != len(names)+1 {
		t.Fatalf("the folder holds %q, %v", got, err)
	}
}

func TestClose(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	mustAppend(t, l, put(1, 1, 1, "a"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, errEntries := l.Entries(1, 1, 1, 1)
	for _, err := range []error{l.Append(nil), l.Append([]Save{put(1, 1, 2, "b")}), l.Prepare(), l.Vouch(), errEntries} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	holds(t, d, small, model{}.apply([]Save{put(1, 1, 1, "a")}))
}

// Readers and the preparer run beside the appender. Every read sees a log that there was: entries of one index have
// the data of their term. Meanwhile the log's beginning is forgotten, and segments are given back and used again.
func TestConcurrentUse(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	text := func(term raft.Term, i raft.Index) string { return fmt.Sprintf("%d of term %d", i, term) }
	var wg sync.WaitGroup
	done := make(chan struct{})
	background := func(f func() error) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := f(); err != nil {
					t.Error(err)
					return
				}
				runtime.Gosched() // or the appender hardly ever gets a turn
			}
		})
	}
	background(l.Prepare)
	background(l.Vouch)
	var first atomic.Uint64 // of the log
	first.Store(1)
	read := func() error {
		l.Stats()
		l.GroupBytes(1)
		from := raft.Index(first.Load())
		es, err := l.Entries(1, from, from+39, 1<<20)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		var last raft.Term
		for i, e := range es {
			if e.Index != from+raft.Index(i) || e.Term < last || string(e.Data) != text(e.Term, e.Index) {
				return fmt.Errorf("read %v", es)
			}
			last = e.Term
		}
		return err
	}
	background(read)
	background(read)
	base := raft.Index(0)
	for term := raft.Term(1); term <= 40; term++ {
		from := base + 1 + raft.Index((term*7)%30)
		if term%4 == 1 {
			from = base + 1
		}
		for i := from; i < from+10; i += 2 {
			mustAppend(t, l, put(1, term, i, text(term, i), text(term, i+1)))
		}
		for i := base + 1; term%2 == 1 && i <= base+40; i++ {
			mustAppend(t, l, put(1, term, i, text(term, i)))
		}
		switch last := l.groups[1].last; term % 8 {
		case 3:
			base = base + 15
			mustAppend(t, l, forget(1, term, base+1, l.groups[1].term(base)))
		case 7:
			base = last + 7
			mustAppend(t, l, install(1, term, base+1, term, text(term, base+1)))
		}
		first.Store(uint64(base + 1))
		if l.groups[1].last < base+30 {
			for i := l.groups[1].last + 1; i <= base+30; i++ {
				mustAppend(t, l, put(1, term, i, text(term, i)))
			}
		}
	}
	close(done)
	wg.Wait()
	if err := l.Prepare(); err != nil {
		t.Error(err)
	}
	if st := l.Stats(); st.Recycled == 0 {
		t.Errorf("nothing was given back: %+v", st)
	}
	if err := checkIndex(l); err != nil {
		t.Error(err)
	}
}
