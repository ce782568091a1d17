package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// Groups come and go: of eight, two are busy at a time, and the others' entries are wherever they were written. The log
// takes no more room than doc.go promises, and holds what it should.
func TestColdGroupsPinNothing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 8))
	d := memfs.New()
	l := mustOpen(t, d, small)
	m := model{}
	moved := uint64(0)
	batches := 1500
	if raced {
		batches = 400
	}
	for i := range batches {
		id := raft.GroupID(1 + (i/100+rnd.IntN(2))%8)
		g := m.group(id)
		s := Save{Group: id, HardState: stateOf(max(1, g.state.CurrentTerm+raft.Term(rnd.IntN(12)/11)))}
		if last := g.last(); last > g.base+6 && rnd.IntN(3) > 0 {
			s.First = last - raft.Index(rnd.IntN(5))
			s.BaseTerm = g.term(s.First - 1)
		}
		for k := range 1 + rnd.IntN(3) {
			s.Entries = append(s.Entries, raft.Entry{
				Term: s.HardState.CurrentTerm, Index: g.last() + 1 + raft.Index(k), Data: []byte(fmt.Sprint(i, strings.Repeat("x", rnd.IntN(1500)))),
			})
		}
		mustAppend(t, l, s)
		m = m.apply([]Save{s})
		if err := l.Prepare(); err != nil {
			t.Fatal(err)
		}
		st := l.Stats()
		if bytes := bytesOf(t, d); bytes != st.Bytes || bytes > aliveParts*st.Live+int64(pinnedMin+2+small.SparesMax)*small.SegmentBytes {
			t.Fatalf("after %d batches the folder has %d bytes, and the log says %+v", i, bytes, st)
		}
		if i%100 == 99 {
			moved += st.Moved
			l = holds(t, d, small, m)
		}
	}
	if moved < 5*blockBytes {
		t.Errorf("%d bytes were moved", moved)
	}
}

// pinned is a log whose oldest segment holds some entries of a group that is not used any more, and else only what can go.
func pinned(t *testing.T, saves ...Save) (*memfs.FS, *Log, model) {
	t.Helper()
	d := memfs.New()
	l := mustOpen(t, d, small)
	mustAppend(t, l, saves...)
	m := fill(t, l, model{}.apply(saves), 30, 3)
	if err := l.prepareNext(); err != nil {
		t.Fatal(err)
	}
	if len(l.segments) < 5 || l.segments[0].live == 0 {
		t.Fatalf("%d segments, %d bytes alive in the oldest", len(l.segments), l.segments[0].live)
	}
	return d, l, m
}

func prepare(t *testing.T, l *Log, times int) {
	t.Helper()
	for range times {
		if err := l.Prepare(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMovedEntriesAreTheSame(t *testing.T) {
	partly := put(2, 1, 1, "a", "b", "c", "d", "e")
	for _, c := range []struct {
		name  string
		saves []Save
	}{
		{"one record", []Save{partly}},
		{"many records", []Save{partly, put(2, 1, 6, "f"), put(2, 3, 7, "g"), put(2, 4, 8, "h", "i"), put(3, 1, 1, "x")}},
		{"superseded in part", []Save{partly, put(2, 2, 4, "D")}},
		{"forgotten in part", []Save{partly, forget(2, 1, 3, 1)}},
		{"both in one record", []Save{partly, forget(2, 1, 3, 1), put(2, 2, 5, "E")}},
		{"behind a snapshot", []Save{partly, install(2, 2, 60, 2, "x", "y")}},
		{"a large one", []Save{put(2, 1, 1, strings.Repeat("x", 5000), "b")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, l, m := pinned(t, c.saves...)
			for range 3 { // they are moved again and again
				before := l.segments[0]
				prepare(t, l, 3)
				if l.segments[0] == before || l.Stats().Moved == 0 {
					t.Fatalf("the oldest segment is still there: %+v", l.Stats())
				}
				for _, id := range []raft.GroupID{1, 2} {
					if err := sameEntries(l, id, m.group(id)); err != nil {
						t.Fatal(err)
					}
				}
				m = fill(t, l, m, 30, 3)
				holds(t, d.KillClone(), small, m)
				holds(t, d.CrashClone(memfs.CrashConfig{}), small, m)
			}
			more := put(2, 9, lastOf(m, 2)+1, "more")
			mustAppend(t, l, more)
			holds(t, d, small, m.apply([]Save{more}))
		})
	}
}

// Between the reading of entries that are to be moved and their writing, others append.
func TestMovesThatComeTooLate(t *testing.T) {
	cold := []Save{put(2, 1, 1, "a", "b", "c", "d", "e"), put(2, 1, 6, "f", "g")}
	for _, c := range []struct {
		name string
		save Save
	}{
		{"nothing", Save{Group: 2, HardState: stateOf(1)}},
		{"appended to", put(2, 1, 8, "h")},
		{"superseded", put(2, 2, 1, "A")},
		{"superseded in part", put(2, 2, 4, "D")},
		{"superseded the second record", put(2, 2, 6, "F", "G")},
		{"forgotten", forget(2, 1, 8, 1)},
		{"forgotten in part", forget(2, 1, 3, 1)},
		{"forgotten the first record", forget(2, 1, 6, 1)},
		{"a snapshot", install(2, 2, 4, 2, "D")},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, l, m := pinned(t, cold...)
			pieces := l.movable(1 << 20)
			if len(pieces) != 2 {
				t.Fatalf("%d records are to be moved", len(pieces))
			}
			mustAppend(t, l, c.save)
			m = m.apply([]Save{c.save})
			if ok, err := l.movePieces(pieces); !ok || err != nil {
				t.Fatal(ok, err)
			}
			if err := errors.Join(sameEntries(l, 2, m.group(2)), checkIndex(l)); err != nil {
				t.Fatal(err)
			}
			if l.segments[0].live > 0 {
				t.Errorf("%d bytes are still alive in the oldest segment", l.segments[0].live)
			}
			if ok, err := l.movePieces(pieces); !ok || err != nil { // there is nothing left to do
				t.Fatal(ok, err)
			}
			prepare(t, l, 2)
			holds(t, d, small, m)
		})
	}
}

// Moved entries are vouched for like all others when the log is idle.
func TestMovesAreVouchedFor(t *testing.T) {
	d, l, m := pinned(t, put(2, 1, 1, "a"))
	if err := l.Vouch(); err != nil {
		t.Fatal(err)
	}
	if ok, err := l.movePieces(l.movable(1)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	at, file := l.offset-blockBytes, segmentPath(int(l.tail.seq))
	if err := l.Vouch(); err != nil {
		t.Fatal(err)
	}
	holds(t, d.KillClone(), small, m)
	if err := d.Flip(file, at+frameHeaderBytes, 1); err != nil {
		t.Fatal(err)
	}
	refused(t, d)
}

// A group that is busy has its entries where they soon die by themselves, and a log that is full of entries is not moved
// around.
func TestNothingIsMovedInVain(t *testing.T) {
	for kept := range raft.Index(40) {
		d := memfs.New()
		l := mustOpen(t, d, small)
		m := model{}
		for range 200 {
			m = fill(t, l, m, 1, 1+kept)
			prepare(t, l, 1)
		}
		if st := l.Stats(); st.Moved > 0 || st.Recycled < 10 {
			t.Errorf("%d entries kept: %+v", kept, st)
		}
	}
}

// A frame of moved entries makes Append wait, so it is small; and each call moves about what was appended since the last.
func TestMovesAreBounded(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, Options{ID: small.ID, SegmentBytes: 1 << 20})
	m := model{}
	for i := range 20 {
		s := put(2, 1, raft.Index(i+1), strings.Repeat("x", 3500))
		mustAppend(t, l, s)
		m = m.apply([]Save{s})
	}
	m = fill(t, l, m, 4*256, 1)
	l.moveMark = l.Stats().Written
	largest, frames, calls := 0, 0, 0
	for before := l.segments[0]; l.segments[0] == before && calls < 100; calls++ {
		m = fill(t, l, m, 1, 1)
		was := l.Stats()
		prepare(t, l, 1)
		is := l.Stats()
		frames += int(is.Appends - was.Appends)
		largest = max(largest, int(is.Written-was.Written))
	}
	if largest > 2*blockBytes || frames != 20 || calls > 12 {
		t.Errorf("moved in %d frames and %d calls, at most %d bytes in one", frames, calls, largest)
	}
	holds(t, d, Options{ID: small.ID, SegmentBytes: 1 << 20}, m)
}

// To move entries must not be what stops a log on a full disk.
func TestD9_MovingMakesNoSegment(t *testing.T) {
	d, l, m := pinned(t, put(2, 1, 1, strings.Repeat("x", 3000)))
	d.SetCapacity(bytesOf(t, d))
	for l.next != nil || l.offset < l.tail.size {
		m = fill(t, l, m, 1, 3)
	}
	if err := l.Prepare(); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFailed) {
		t.Fatalf("Prepare: %v", err)
	}
	d.SetCapacity(0)
	m = fill(t, l, m, 1, 3)
	prepare(t, l, 3)
	if st := l.Stats(); st.Moved == 0 || st.Recycled == 0 {
		t.Errorf("stats %+v", st)
	}
	holds(t, d, small, m)
}

// What is to be moved and cannot be read is lost, and the log must not go on as if it had it.
func TestMovingFindsRot(t *testing.T) {
	d, l, _ := pinned(t, put(2, 1, 1, "a"))
	if err := d.Flip(segmentPath(1), blockBytes+frameHeaderBytes+8, 1); err != nil {
		t.Fatal(err)
	}
	err := l.Prepare()
	if !errors.Is(err, ErrFailed) || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "group 2 entries 1..1") {
		t.Fatalf("Prepare: %v", err)
	}
}
