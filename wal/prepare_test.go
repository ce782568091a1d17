package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// batchOf is about one block of entries behind those of m, and forgets all but the last kept ones if kept is not zero.
func batchOf(m model, text string, kept raft.Index) []Save {
	g := m.group(1)
	s := put(1, 1, g.last()+1, text, strings.Repeat("x", 3000))
	if last := s.Entries[1].Index; kept > 0 && last > kept {
		if first := min(last-kept+1, g.last()+1); first > g.first() {
			s.First, s.BaseTerm = first, 1
		}
	}
	return []Save{s}
}

// fill appends n batches.
func fill(t *testing.T, l *Log, m model, n int, kept raft.Index) model {
	t.Helper()
	for i := range n {
		batch := batchOf(m, fmt.Sprintf("batch %d", i), kept)
		mustAppend(t, l, batch...)
		m = m.apply(batch)
	}
	return m
}

func namesOf(t testing.TB, d *memfs.FS) []string {
	t.Helper()
	names, err := d.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func bytesOf(t testing.TB, d *memfs.FS) (bytes int64) {
	for _, name := range namesOf(t, d) {
		bytes += int64(len(contentsOf(t, d, path.Join(dir, name))))
	}
	return bytes
}

// However long a log is used, its folder has room for what is alive, the segment in use, and the spares; opening it reads
// no more than that, and using it writes no zeros any more.
func TestSteadyCompactionBoundsTheFolder(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	m := model{}
	boundSegments := 2 + 1 + small.SparesMax // 20 entries are at most 10 frames
	creates := 0
	for i := range 600 {
		if i == 100 {
			d.SetHook(func(op memfs.Op, _ string) error {
				if op == memfs.OpCreate {
					creates++
				}
				return nil
			})
		}
		if i == 300 {
			d.SetHook(nil)
			l = holds(t, d, small, m)
		}
		m = fill(t, l, m, 1, 20)
		if err := l.Prepare(); err != nil {
			t.Fatal(err)
		}
		st := l.Stats()
		if bytes := bytesOf(t, d); bytes != st.Bytes || bytes > int64(boundSegments)*small.SegmentBytes {
			t.Fatalf("after %d batches the folder has %d bytes, and the log says %+v", i, bytes, st)
		}
	}
	if st := l.Stats(); creates > 0 || st.Recycled < 30 {
		t.Errorf("%d files were created, %+v", creates, st)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	reads := 0
	d.SetHook(func(op memfs.Op, _ string) error {
		if op == memfs.OpReadAt {
			reads++
		}
		return nil
	})
	l = mustOpen(t, d, small)
	if reads > 2*boundSegments {
		t.Errorf("opening a log of %d segments took %d reads", boundSegments, reads)
	}
	if err := m.diff(l); err != nil {
		t.Fatal(err)
	}
}

// Many segments go at once. A crash between any two operations leaves no hole, whatever names it keeps.
func TestD5_CrashWhileSegmentsAreGivenBack(t *testing.T) {
	for n := 1; ; n++ {
		d := memfs.New()
		l := mustOpen(t, d, small)
		m := fill(t, l, model{}, 50, 0)
		before := len(l.segments)
		m = fill(t, l, m, 1, 3)
		hook := &memfs.Fault{N: n, Err: memfs.ErrCrashed, Final: true}
		d.SetHook(hook.Hook)
		err := l.Prepare()
		if hook.Fired() == (err == nil) {
			t.Fatalf("operation %d: %v", n, err)
		}
		d.SetHook(nil)
		f := &life{disk: d, acked: m, pending: m}
		for what, c := range f.clones(8) {
			what = fmt.Sprintf("crash at operation %d, %s", n, what)
			l, then := f.recover(t, c, what)
			if err := l.Prepare(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if len(l.segments) != 2 || l.Stats().Segments > 2+small.SparesMax {
				t.Fatalf("%s: %d segments of %d are left: %+v", what, len(l.segments), before, l.Stats())
			}
			l, then = then.recover(t, c.CrashClone(memfs.CrashConfig{}), what+", recovered")
		}
		if !hook.Fired() {
			break
		}
	}
}

// A snapshot is installed, or the log is compacted, in one batch with what follows, and segments are given back. A crash
// at any operation leaves the log as it was or as it shall be, and nothing between.
func TestN5_CrashWhileASnapshotIsInstalled(t *testing.T) {
	for _, save := range []Save{
		install(1, 2, 200, 2, "behind", "the snapshot"),
		install(1, 2, 30, 1, "instead of", "what was there"),
		func() Save {
			s := put(1, 2, 39, "superseded")
			s.First, s.BaseTerm = 39, 1
			return s
		}(),
	} {
		for n := 1; ; n++ {
			d := memfs.New()
			l := mustOpen(t, d, small)
			f := &life{disk: d, acked: fill(t, l, model{}, 20, 0)}
			f.pending = f.acked.apply([]Save{save})
			hook := &memfs.Fault{N: n, Err: memfs.ErrCrashed, Final: true}
			d.SetHook(hook.Hook)
			if err := l.Append([]Save{save}); err == nil {
				f.acked = f.pending
				err = errors.Join(l.Prepare(), l.Prepare())
				if hook.Fired() == (err == nil) {
					t.Fatalf("operation %d: %v", n, err)
				}
			}
			d.SetHook(nil)
			for what, c := range f.clones(4) {
				what = fmt.Sprintf("crash at operation %d, %s", n, what)
				_, then := f.recover(t, c, what)
				then.recover(t, c.CrashClone(memfs.CrashConfig{}), what+", recovered")
			}
			if !hook.Fired() {
				break
			}
		}
	}
}

// Entries that a snapshot has replaced, in segments that are still there and in those that were used again, stay void.
func TestN2_OldEntriesStayVoid(t *testing.T) {
	for _, prepare := range []bool{false, true} {
		d := memfs.New()
		l := mustOpen(t, d, small)
		m := fill(t, l, model{}, 30, 0)
		snapshot := install(1, 3, 11, 3)
		mustAppend(t, l, snapshot)
		m = m.apply([]Save{snapshot})
		for i := range 40 {
			if prepare {
				if err := l.Prepare(); err != nil {
					t.Fatal(err)
				}
			}
			l = holds(t, d.KillClone(), small, m)
			l = holds(t, d, small, m)
			s := put(1, 3, lastOf(m, 1)+1, fmt.Sprint("new ", i))
			mustAppend(t, l, s)
			m = m.apply([]Save{s})
		}
	}
}

// A segment that is used again holds frames of its former life, whole, in every block: behind the new ones they are
// nothing, and so they are where a write was torn.
func TestD11_RecycledSegments(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	m := fill(t, l, model{}, 30, 5)
	for l.Stats().Recycled < 6 {
		if err := l.Prepare(); err != nil {
			t.Fatal(err)
		}
		m = fill(t, l, m, 1, 5)
	}
	for i := range 12 { // frames in the recycled segment, from the first on
		m = fill(t, l, m, 1, 5)
		old := 0
		b := contentsOf(t, d, segmentPath(int(l.tail.seq)))
		for at := l.offset; at < l.tail.size; at += blockBytes {
			if fr, payload, _ := parseFrame(b[at:], 0, 0); payload != nil && fr.seq != l.tail.seq {
				if _, _, ok := parseFrame(b[at:], fr.seq, l.seed); ok {
					old++
				}
			}
		}
		if old == 0 && l.offset < l.tail.size {
			t.Fatalf("segment %d has no old frames behind offset %d", l.tail.seq, l.offset)
		}
		holds(t, d.KillClone(), small, m)
		if at := l.offset; at < l.tail.size && i%4 == 1 {
			disk, cut := d.KillClone(), m
			m = fill(t, l, m, 1, 5)
			tearEvery(t, disk, segmentPath(int(l.tail.seq)), at, contentsOf(t, d, segmentPath(int(l.tail.seq))), cut, m)
		}
		if err := l.Prepare(); err != nil {
			t.Fatal(err)
		}
	}
}

// Each thing by which an old frame differs from the next new one is enough by itself.
func TestD11_OldFrameThatFitsAlmost(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(f *frame)
		want string // if the log is refused
	}{
		{"a frame of another segment", func(f *frame) { f.seq-- }, ""},
		{"an older frame", func(f *frame) { f.lsn-- }, ""},
		{"a frame behind another one", func(f *frame) { f.prevCRC++ }, "was written after it"}, // a write that went astray
		{"a later frame", func(f *frame) { f.lsn++ }, "was written after it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSample(t)
			before := s.disk.KillClone()
			next := put(1, 1, lastOf(s.last(), 1)+1, "never written")
			mustAppend(t, s.log, next)
			file, at := s.at(sampleBatches)
			after := contentsOf(t, s.disk, file)
			holds(t, s.disk, small, s.last().apply([]Save{next}))
			reseal(after[at:], c.edit)
			rewrite(t, before, file, after)
			if c.want != "" {
				if ce := refused(t, before); !strings.Contains(ce.Error(), c.want) {
					t.Errorf("error is %v", ce)
				}
				return
			}
			holds(t, before, small, s.last())
		})
	}
}

// A segment is not given back while somebody reads in it.
func TestReadersKeepTheirSegment(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	m := fill(t, l, model{}, 10, 0)
	reading := 0
	d.SetHook(func(op memfs.Op, name string) error {
		if op != memfs.OpReadAt || reading > 0 {
			return nil
		}
		reading++ // the first record is about to be read: meanwhile all is forgotten
		m = fill(t, l, m, 10, 1)
		for range 3 {
			if err := l.Prepare(); err != nil {
				t.Error(err)
			}
			m = fill(t, l, m, 10, 1)
		}
		if st := l.Stats(); st.Recycled+st.Removed != 0 {
			t.Errorf("given back under a reader: %+v", st)
		}
		return nil
	})
	es, err := l.Entries(1, 1, 6, 1<<20)
	if err != nil || reading == 0 || len(es) != 6 || string(es[4].Data) != "batch 2" {
		t.Fatalf("entries %v, %v", es, err)
	}
	if err := l.Prepare(); err != nil {
		t.Fatal(err)
	}
	if st := l.Stats(); st.Recycled+st.Removed < 4 {
		t.Errorf("not given back: %+v", st)
	}
	if _, err := l.Entries(1, 1, 6, 1<<20); !errors.Is(err, ErrNotFound) {
		t.Errorf("entries that are forgotten: %v", err)
	}
	holds(t, d, small, m)
}

// What frees room on a full disk is tried first, and then the next segment is tried for again.
func TestD9_GivingBackMakesRoom(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	m := fill(t, l, model{}, 20, 0)
	d.SetCapacity(bytesOf(t, d))
	for range 2 {
		if err := l.Prepare(); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFailed) {
			t.Fatalf("Prepare: %v", err)
		}
	}
	m = fill(t, l, m, 1, 1)
	if err := l.Prepare(); err != nil {
		t.Fatal(err)
	}
	m = fill(t, l, m, 8, 1)
	holds(t, d, small, m)
}

// A spare that cannot be made is given up; the log goes on.
func TestSpareThatCannotBeMade(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	m := fill(t, l, model{}, 20, 0)
	m = fill(t, l, m, 1, 1)
	d.SetHook((&memfs.Fault{N: 1, Err: syscall.EIO, Match: func(op memfs.Op, _ string) bool {
		return op == memfs.OpWriteAt
	}}).Hook)
	if err := l.Prepare(); !errors.Is(err, syscall.EIO) || errors.Is(err, ErrFailed) {
		t.Fatalf("Prepare: %v", err)
	}
	if err := l.Prepare(); err != nil {
		t.Fatal(err)
	}
	m = fill(t, l, m, 20, 1)
	if i := slices.IndexFunc(namesOf(t, d), func(name string) bool { return strings.HasPrefix(name, segmentName(1)) }); i >= 0 {
		t.Errorf("the folder holds %q", namesOf(t, d))
	}
	holds(t, d.CrashClone(memfs.CrashConfig{Probability: 0.5, Rand: rand.New(rand.NewPCG(1, 1))}), small, m)
}

// Zeros for the next segment give way to what is appended meanwhile: the rest of it is allocated. It is as good as one of zeros.
func TestZeroesGiveWay(t *testing.T) {
	const pieces = 4
	for _, c := range []struct {
		appended       int // batches of a block, beside each piece of zeros
		written, given int
	}{
		{0, pieces, 0},
		{zeroesBytes / blockBytes / hurryPart, pieces, 0},
		{zeroesBytes/blockBytes/hurryPart + 1, 1, 1},
	} {
		o := Options{SegmentBytes: pieces * zeroesBytes, ID: 7}
		d := memfs.New()
		l := mustOpen(t, d, o)
		m := fill(t, l, model{}, 1, 0)
		written, given := 0, 0
		d.SetHook(func(op memfs.Op, name string) error {
			switch {
			case !strings.HasSuffix(name, "prepare"+tempSuffix):
			case op == memfs.OpAllocate:
				given++
			case op == memfs.OpWriteAt:
				written++
				m = fill(t, l, m, c.appended, 0)
			}
			return nil
		})
		if err := l.Prepare(); err != nil {
			t.Fatal(err)
		}
		d.SetHook(nil)
		if written != c.written || given != c.given || l.next.size != o.SegmentBytes {
			t.Errorf("%d batches appended: %d pieces of zeros, %d times allocated, %d bytes", c.appended, written, given, l.next.size)
		}
		for l.next != nil {
			m = fill(t, l, m, 1, 0)
		}
		m = fill(t, l, m, 300, 0)
		holds(t, d.CrashClone(memfs.CrashConfig{}), o, m)
	}
}
