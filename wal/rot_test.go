package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// sample is a log of ten batches, each in a frame of one block, over two segments.
type sample struct {
	disk   *memfs.FS
	log    *Log
	models []model // after so many batches
}

const (
	sampleBatches = 10
	sampleFrames  = 7 // in the first segment; the second one begins with one that restates
)

func newSample(t testing.TB) *sample {
	s := &sample{disk: memfs.New(), models: []model{{}}}
	s.log = mustOpen(t, s.disk, small)
	for i := range sampleBatches {
		s.append(t, i)
		if i == 0 {
			if err := s.log.Prepare(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

func (s *sample) append(t testing.TB, i int) {
	t.Helper()
	if err := s.tryAppend(i); err != nil {
		t.Fatal(err)
	}
}

func (s *sample) tryAppend(i int) error {
	m := s.last()
	batch := []Save{
		put(1, 1, 1+lastOf(m, 1), fmt.Sprintf("batch %d of one", i)),
		put(2, 3, 1+lastOf(m, 2), fmt.Sprintf("batch %d", i), "of two"),
	}
	err := s.log.Append(batch)
	if err == nil {
		s.models = append(s.models, m.apply(batch))
	}
	return err
}

// beginSegment fills the second segment, and loses power when the third one has its header, durably, and no frame yet.
func (s *sample) beginSegment() error {
	if err := s.log.Prepare(); err != nil {
		return err
	}
	for i := sampleBatches; s.log.offset < s.log.tail.size; i++ {
		if err := s.tryAppend(i); err != nil {
			return err
		}
	}
	s.disk.SetHook((&memfs.Fault{N: 3, Err: memfs.ErrCrashed, Final: true}).Hook) // behind the header's write and sync
	if err := s.tryAppend(0); !errors.Is(err, memfs.ErrCrashed) {
		return fmt.Errorf("the first frame of a segment was written: %v", err)
	}
	s.disk = s.disk.CrashClone(memfs.CrashConfig{})
	return nil
}

func (s *sample) last() model { return s.models[len(s.models)-1] }

func segmentPath(seq int) string { return path.Join(dir, segmentName(uint64(seq))) }

// at is where batch i is, counted from 0.
func (s *sample) at(i int) (file string, offset int64) {
	second := i / sampleFrames
	return segmentPath(1 + second), int64(1+i%sampleFrames+second) * blockBytes
}

// contentsOf reads a file.
func contentsOf(t testing.TB, d *memfs.FS, name string) []byte {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && size > 0 {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

// rewrite gives a file other contents, durably.
func rewrite(t testing.TB, d *memfs.FS, name string, b []byte) {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(b, 0)
	if err = errors.Join(err, f.Truncate(int64(len(b))), f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// refused opens a damaged log, which must fail, and change nothing: it must fail again in the same way.
func refused(t testing.TB, d *memfs.FS) *CorruptError {
	t.Helper()
	d.SetHook(func(op memfs.Op, name string) error {
		switch op {
		case memfs.OpMkdirAll, memfs.OpList, memfs.OpOpen, memfs.OpReadAt:
			return nil
		}
		t.Errorf("%v %s while a damaged log is opened", op, name)
		return nil
	})
	defer d.SetHook(nil)
	var ce *CorruptError
	for range 2 {
		l, err := Open(d, dir, small)
		if err == nil {
			t.Fatalf("opened a damaged log: %+v", l.Groups())
		}
		if !errors.Is(err, ErrCorrupt) || !errors.As(err, &ce) {
			t.Fatalf("error is %v", err)
		}
	}
	return ce
}

// The catalogue's own scenario: one bit of the third of ten.
func TestD2_RotInTheMiddleIsRefused(t *testing.T) {
	s := newSample(t)
	file, offset := s.at(2)
	if err := s.disk.Flip(file, offset+frameHeaderBytes+20, 0x10); err != nil {
		t.Fatal(err)
	}
	ce := refused(t, s.disk)
	if ce.File != file || ce.Offset != offset {
		t.Errorf("damage is said to be in %s at %d, want %s at %d", ce.File, ce.Offset, file, offset)
	}
	if want := []Range{{1, 3, 3}, {2, 5, 6}}; !slices.Equal(ce.Lost, want) {
		t.Errorf("lost is %v, want %v", ce.Lost, want)
	}
	for _, want := range []string{file, "offset 12288", "frame 3", "group 1 entries 3..3", "group 2 entries 5..6", "must not vote"} {
		if !strings.Contains(ce.Error(), want) {
			t.Errorf("%q is not in the error: %v", want, ce)
		}
	}
}

// place is a block of a segment.
type place struct{ segment, block int }

// Each byte of each block, and the log in each state: damage is refused; it is cut off where nothing on disk says that
// the bytes were durable, which is so for the last frame until the next one, Vouch, Close or Open; and it does no
// harm where the bytes say nothing.
func TestD2_AnyByte(t *testing.T) {
	const harmless, cut = "harmless", "cut"
	for _, v := range []struct {
		name string
		then func(s *sample) error
		not  map[place]string // refused
	}{
		{"killed", func(*sample) error { return nil }, map[place]string{{2, 4}: cut}},
		{"vouched for", func(s *sample) error { return s.log.Vouch() }, map[place]string{{2, 5}: harmless}},
		{"closed", func(s *sample) error { return s.log.Close() }, map[place]string{{2, 5}: harmless}},
		{"reopened", (*sample).reopen, map[place]string{{2, 4}: harmless}}, // it is repeated in segment 3
		{"closed and reopened", func(s *sample) error {
			return errors.Join(s.log.Close(), s.reopen())
		}, map[place]string{{2, 5}: harmless}},
		{"prepared", func(s *sample) error { return s.log.Prepare() }, map[place]string{{2, 4}: cut}},
		// The third one's header says that the second one's last frame was durable; nothing says that the header was.
		{"killed while a segment begins", (*sample).beginSegment, map[place]string{{3, 0}: harmless}},
	} {
		t.Run(v.name, func(t *testing.T) {
			s := newSample(t)
			if err := v.then(s); err != nil {
				t.Fatal(err)
			}
			names, err := s.disk.List(dir)
			if err != nil {
				t.Fatal(err)
			}
			for i, name := range names {
				b := contentsOf(t, s.disk, path.Join(dir, name))
				for offset := range b {
					at := place{i + 1, offset / blockBytes}
					want, isException := v.not[at]
					end := meaningful(b[at.block*blockBytes:])
					if padding := offset%blockBytes - end; padding >= 0 {
						if padding%509 != 0 {
							continue // a few of them will do
						}
						want = harmless
					} else if !isException {
						want = "refused"
					}
					d := s.disk.KillClone()
					if err := d.Flip(path.Join(dir, name), int64(offset), 1<<(offset%8)); err != nil {
						t.Fatal(err)
					}
					l, err := Open(d, dir, small)
					got := fmt.Sprint(err)
					switch {
					case errors.Is(err, ErrCorrupt):
						got = "refused"
					case err == nil && s.last().diff(l) == nil:
						got = harmless
					case err == nil && s.models[sampleBatches-1].diff(l) == nil:
						got = cut
					}
					if got != want {
						t.Errorf("a flip in %s at %d is %s, want %s", name, offset, got, want)
					}
				}
			}
		})
	}
}

// meaningful is how many bytes of a block are read at all.
func meaningful(b []byte) int {
	if _, err := parseHeader(b); err == nil {
		return headerBytes
	}
	if f, payload, _ := parseFrame(b, 0, 0); payload != nil {
		return frameHeaderBytes + f.payload
	}
	return 0
}

func (s *sample) reopen() (err error) {
	s.log, err = Open(s.disk, dir, small)
	return err
}

// Damage of every other kind to bytes that were durable.
func TestD2_DamageIsRefused(t *testing.T) {
	block := func(b []byte, n int) []byte { return b[n*blockBytes : (n+1)*blockBytes] }
	edit := func(seg int, f func(b []byte)) func(*testing.T, *sample) {
		return func(t *testing.T, s *sample) {
			b := contentsOf(t, s.disk, segmentPath(seg))
			f(b)
			rewrite(t, s.disk, segmentPath(seg), b)
		}
	}
	resize := func(seg int, size int64) func(*testing.T, *sample) {
		return func(t *testing.T, s *sample) {
			b := contentsOf(t, s.disk, segmentPath(seg))
			rewrite(t, s.disk, segmentPath(seg), append(b, make([]byte, 4*blockBytes)...)[:size])
		}
	}
	for _, c := range []struct {
		name string
		do   func(t *testing.T, s *sample)
		want string
	}{
		{"a frame of zeros", edit(2, func(b []byte) { clear(block(b, 2)) }), "no valid frame 9, though frame 10"},
		{"a sector of zeros", edit(1, func(b []byte) { clear(block(b, 2)[:512]) }), "no valid frame 2, though wal-0000000000000002 continues frame 7"},
		{"zeros at the end of a full segment", edit(1, func(b []byte) { clear(block(b, 7)) }), "no valid frame 7"},
		{"D12 lost write", edit(2, func(b []byte) { clear(block(b, 2)) }), "group 1 entries 8..8, group 2 entries 15..16"},
		{"D12 two writes that changed places", edit(2, func(b []byte) {
			x := slices.Clone(block(b, 1))
			copy(block(b, 1), block(b, 2))
			copy(block(b, 2), x)
		}), "no valid frame 8"},
		{"D12 a write that hit another frame", edit(2, func(b []byte) { copy(block(b, 2), block(b, 3)); clear(block(b, 3)) }), "no valid frame 9, though frame 10 at offset 8192"},
		{"D12 a write one block too far", edit(2, func(b []byte) { copy(block(b, 4), block(b, 3)); clear(block(b, 3)) }), "no valid frame 10, though frame 10 at offset 16384"},
		{"D12 an older frame read instead", edit(2, func(b []byte) { copy(block(b, 2), block(b, 1)) }), "no valid frame 9"},
		{"a header of zeros", edit(2, func(b []byte) { clear(block(b, 0)) }), "header is not valid, though frame 8"},
		{"the first header of zeros", edit(1, func(b []byte) { clear(block(b, 0)) }), "header is not valid, though the log's oldest segment"},
		{"a header of zeros before a prepared segment", func(t *testing.T, s *sample) {
			if err := s.log.Prepare(); err != nil {
				t.Fatal(err)
			}
			edit(2, func(b []byte) { clear(b) })(t, s)
		}, "header is not valid, though there is a later segment"},
		{"a segment that is too short", resize(2, 3*blockBytes), "12288 bytes instead of 32768"},
		{"an empty segment", resize(1, 0), "header is not valid"},
		{"a segment that is too long", resize(1, 9*blockBytes), "36864 bytes instead of 32768"},
		{"a missing first segment", func(t *testing.T, s *sample) { s.disk.Remove(segmentPath(1)) },
			"the segments before it are missing, and were still needed; it held group 1 entries 1..7, group 2 entries 1..14"},
		{"a missing first segment, and a restating frame of zeros", func(t *testing.T, s *sample) {
			s.disk.Remove(segmentPath(1))
			edit(2, func(b []byte) { clear(b[blockBytes:]) })(t, s)
		}, "no valid frame 8, though the segments before it are gone, which it restates"},
		{"a restating frame of zeros", edit(2, func(b []byte) { clear(block(b, 1)) }), "no valid frame 8"},
		{"a missing segment", func(t *testing.T, s *sample) {
			s.log.Prepare()
			s.disk.Remove(segmentPath(2))
		}, "wal-0000000000000002, is missing"},
		{"segments that changed names", func(t *testing.T, s *sample) {
			s.disk.Rename(segmentPath(1), "x")
			s.disk.Rename(segmentPath(2), segmentPath(1))
			s.disk.Rename("x", segmentPath(2))
		}, "it is wal-0000000000000002 under another name"},
		{"a segment of an older copy", func(t *testing.T, s *sample) {
			old := newSample(t).disk
			b := contentsOf(t, old, segmentPath(1))
			clear(b[blockBytes:])
			s.disk.Remove(segmentPath(1))
			f, _ := s.disk.Create(segmentPath(1))
			f.WriteAt(b, 0)
		}, "no valid frame 1"},
		{"a segment of another history", func(t *testing.T, s *sample) {
			other := &sample{disk: memfs.New(), models: []model{{}}}
			other.log = mustOpen(t, other.disk, small)
			for i := range sampleFrames {
				other.append(t, i+20)
			}
			rewrite(t, s.disk, segmentPath(1), contentsOf(t, other.disk, segmentPath(1)))
		}, "it continues frame 7, and wal-0000000000000001 ends with another frame 7"},
		{"segments of another history before one that has begun", func(t *testing.T, s *sample) {
			other := &sample{disk: memfs.New(), models: []model{{}}}
			other.log = mustOpen(t, other.disk, small)
			for other.log.tail.seq < 3 {
				other.append(t, len(other.models)+20)
			}
			if err := s.beginSegment(); err != nil {
				t.Fatal(err)
			}
			for _, seq := range []int{1, 2} {
				rewrite(t, s.disk, segmentPath(seq), contentsOf(t, other.disk, segmentPath(seq)))
			}
		}, "it continues frame 14, and wal-0000000000000002 ends with another frame 14"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSample(t)
			c.do(t, s)
			if ce := refused(t, s.disk); !strings.Contains(ce.Error(), c.want) {
				t.Errorf("%q is not in the error: %v", c.want, ce)
			}
		})
	}
}

// Any of the 256 ways in which the eight sectors of a frame survive a crash.
func TestD1_AnySectorsOfTheLastWriteSurvive(t *testing.T) {
	for _, size := range []int{1, 3900} {
		s := newSample(t)
		disk := s.disk.KillClone()
		long := put(1, 1, 11, strings.Repeat("x", size))
		mustAppend(t, s.log, long)
		file, at := s.at(sampleBatches)
		tearEvery(t, disk, file, at, contentsOf(t, s.disk, file), s.last(), s.last().apply([]Save{long}))
	}
}

// tearEvery gives a disk any part of the sectors that a write at offset at has made of a file. The log must hold what
// whole says if all of the frame is there, and else what cut says.
func tearEvery(t *testing.T, disk *memfs.FS, file string, at int64, after []byte, cut, whole model) {
	t.Helper()
	before := contentsOf(t, disk, file)
	frame := after[at:][:meaningful(after[at:])]
	for mask := range 256 {
		b := slices.Clone(before)
		for k := range 8 {
			if mask>>k&1 == 1 {
				from := int(at) + 512*k
				copy(b[from:from+512], after[from:])
			}
		}
		d := disk.KillClone()
		rewrite(t, d, file, b)
		want := cut
		if bytes.Equal(b[at:][:len(frame)], frame) { // sectors that are lost may have been the same before
			want = whole
		}
		l := holds(t, d, small, want)
		// What was cut stays cut.
		mustAppend(t, l, put(3, 1, 1, "next"))
		holds(t, d, small, want.apply([]Save{put(3, 1, 1, "next")}))
	}
}

// A torn frame whose lost sectors turn up after recovery has cut it, valid in every respect, is not taken up again; nor
// are frames that a client's data looks like.
func TestD11_StaleFramesNeverRejoin(t *testing.T) {
	s := newSample(t)
	next := put(1, 1, 11, "never acknowledged")
	before := s.disk.KillClone()
	mustAppend(t, s.log, next)
	after := contentsOf(t, s.disk, segmentPath(2))

	l := holds(t, before, small, s.last()) // its write never began
	rewrite(t, before, segmentPath(2), after)
	holds(t, before, small, s.last())
	other := put(1, 1, 11, "acknowledged")
	l = mustOpen(t, before, small)
	mustAppend(t, l, other)
	holds(t, before, small, s.last().apply([]Save{other}))
}

// Recovery replaces a segment of which nothing is left by a new file, so what was torn in it cannot come back either.
func TestD11_ReplacedSegmentHasNothingOfTheOldOne(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	old := put(1, 1, 1, strings.Repeat("old", 5000))
	mustAppend(t, l, old)
	if err := d.Flip(segmentPath(1), blockBytes, 1); err != nil { // as if torn
		t.Fatal(err)
	}
	l = holds(t, d, small, model{})
	b := contentsOf(t, d, segmentPath(1))
	if !isZero(b[blockBytes:]) {
		t.Fatal("the new segment is not empty")
	}
	mustAppend(t, l, put(1, 1, 1, "new"))
	holds(t, d, small, model{}.apply([]Save{put(1, 1, 1, "new")}))
}

// A frame that is written in the page cache only, because its sync failed, is made durable before it counts.
func TestD3_WhatOpenFindsIsDurable(t *testing.T) {
	s := newSample(t)
	s.disk.SetHook((&memfs.Fault{N: 1, Err: errors.New("EIO"), Match: func(op memfs.Op, _ string) bool { return op == memfs.OpSync }}).Hook)
	save := put(1, 1, 11, "doubtful")
	if err := s.log.Append([]Save{save}); !errors.Is(err, ErrFailed) {
		t.Fatalf("Append: %v", err)
	}
	found := s.last().apply([]Save{save})
	holds(t, s.disk, small, found)
	holds(t, s.disk.CrashClone(memfs.CrashConfig{}), small, found)
}

// A disk that loses one acknowledged write is found out by the next frame.
func TestD12_LostWriteIsRefused(t *testing.T) {
	s := newSample(t)
	s.disk.SetHook((&memfs.Fault{N: 1, Err: memfs.ErrPretend, Match: func(op memfs.Op, _ string) bool { return op == memfs.OpWriteAt }}).Hook)
	s.append(t, 10)
	s.append(t, 11)
	ce := refused(t, s.disk)
	if want := []Range{{1, 11, 11}, {2, 21, 22}}; !slices.Equal(ce.Lost, want) {
		t.Errorf("lost is %v, want %v", ce.Lost, want)
	}
}

func TestReadBackFindsRot(t *testing.T) {
	s := newSample(t)
	file, offset := s.at(4)
	if err := s.disk.Flip(file, offset+frameHeaderBytes+12, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := s.log.Entries(1, 1, 4, 1<<20); err != nil {
		t.Fatal(err)
	}
	_, err := s.log.Entries(1, 4, 6, 1<<20)
	var ce *CorruptError
	if !errors.Is(err, ErrFailed) || !errors.As(err, &ce) {
		t.Fatalf("error is %v", err)
	}
	if want := []Range{{1, 5, 5}}; !slices.Equal(ce.Lost, want) || ce.File != file {
		t.Errorf("lost is %v in %s", ce.Lost, ce.File)
	}
	if err := s.log.Append([]Save{put(1, 1, 11, "x")}); !errors.Is(err, ErrFailed) {
		t.Fatalf("Append after rot was found: %v", err)
	}
}

// Random damage of a random log: never a panic, never a log that there never was.
func TestD2_RandomDamage(t *testing.T) {
	seeds := 40
	if raced {
		seeds = 5
	}
	for seed := range uint64(seeds) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		f := &life{disk: memfs.New(), rnd: rnd, acked: model{}, pending: model{}, history: []model{{}}, cold: seed%2 == 1}
		if err := f.run(30); err != nil {
			t.Fatal(err)
		}
		names, err := f.disk.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			d := f.disk.KillClone()
			name := path.Join(dir, names[rnd.IntN(len(names))])
			b := contentsOf(t, d, name)
			from := rnd.IntN(len(b))
			part := b[from:min(len(b), from+1+rnd.IntN(2*blockBytes))]
			for i := range part {
				part[i] = byte(rnd.Uint32() & rnd.Uint32())
			}
			rewrite(t, d, name, b)
			l, err := Open(d, dir, small)
			if err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatalf("seed %d: %v", seed, err)
				}
				continue
			}
			// Where the damage reaches to the end of the log, it is cut like an interrupted write.
			if !slices.ContainsFunc(f.history, func(m model) bool { return m.diff(l) == nil }) {
				t.Fatalf("seed %d: the log was never so: %+v", seed, l.Groups())
			}
		}
	}
}

// Any number of the oldest segments may be missing, if nothing in them is alive; else the log is refused, and what is
// missing is named.
func TestMissingOldestSegments(t *testing.T) {
	seeds, refusals, losses := 40, 0, 0
	if raced {
		seeds = 5
	}
	for seed := range uint64(seeds) {
		f := &life{disk: memfs.New(), rnd: rand.New(rand.NewPCG(seed, 7)), acked: model{}, pending: model{}, cold: seed%2 == 1}
		if err := f.run(30); err != nil {
			t.Fatal(err)
		}
		l, err := f.open(f.disk)
		if err != nil {
			t.Fatal(err)
		}
		d := f.disk.KillClone()
		var live int64
		for _, s := range l.segments[:len(l.segments)-1] {
			want := bytesIn(f.acked, l, s.seq)
			if err := d.Remove(segmentPath(int(s.seq))); err != nil {
				t.Fatal(err)
			}
			if live += s.live; live == 0 {
				losses++
				f.recover(t, d.KillClone(), fmt.Sprintf("seed %d, without %s", seed, segmentName(s.seq)))
				continue
			}
			refusals++
			ce := refused(t, d.KillClone())
			if !slices.Equal(ce.Lost, want) {
				t.Fatalf("seed %d, without %s: lost is %v, want %v", seed, segmentName(s.seq), ce.Lost, want)
			}
		}
	}
	if refusals == 0 || losses == 0 {
		t.Fatalf("%d logs were refused, and %d opened", refusals, losses)
	}
}

// bytesIn lists the runs of entries that are in segments up to seq.
func bytesIn(m model, l *Log, seq uint64) (rs []Range) {
	for id := raft.GroupID(1); id <= 3; id++ {
		g := l.groups[id]
		for i := m.group(id).base + 1; g != nil && i <= g.last; i++ {
			if l.segmentOf(g.spans[g.find(i)]).seq > seq {
				continue
			}
			if n := len(rs); n > 0 && rs[n-1].Group == id && rs[n-1].Last+1 == i {
				rs[n-1].Last = i
			} else {
				rs = append(rs, Range{Group: id, First: i, Last: i})
			}
		}
	}
	return rs
}
