package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// life is a host that writes, receives, prunes and opens again, until its disk fails.
type life struct {
	disk *memfs.FS
	rnd  *rand.Rand

	store     *Store
	known     map[place]Meta // acknowledged by Commit, or found by Open, and not pruned
	uncertain map[place]bool // whose Commit or pruning has failed: they may be there after an Open
	receiving Meta           // what the next transfer is of
	last      raft.Index
}

func newLife(d *memfs.FS, rnd *rand.Rand) *life {
	f := &life{disk: d, rnd: rnd, known: make(map[place]Meta), uncertain: make(map[place]bool)}
	f.receiving = f.nextMeta()
	return f
}

// syncBytes of the lives is small, so that transfers sync often.
const lifeSyncBytes = 30_000

func (f *life) nextMeta() Meta {
	f.last += 3
	return at(f.last)
}

// lifeContent is small for most snapshots, and of more than one block for some.
func lifeContent(m Meta) []byte {
	size := 500
	if m.Index%9 == 0 {
		size = blockBytes + 40_000
	}
	if lifeContents[m.place()] == nil {
		lifeContents[m.place()] = contentOf(m, size)
	}
	return lifeContents[m.place()]
}

var lifeContents = make(map[place][]byte)

// files are the snapshots' as another member has them.
type files map[place][]byte

func (fs files) of(t testing.TB, m Meta) []byte {
	if fs[m.place()] == nil {
		fs[m.place()] = fileOf(t, m, lifeContent(m))
	}
	return fs[m.place()]
}

// run does some random steps. It returns the errors of the steps that failed, and goes on after them as far as it can.
func (f *life) run(t testing.TB, fs files, steps int) error {
	var errs []error
	for range steps {
		if err := f.step(t, fs); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (f *life) step(t testing.TB, fs files) error {
	if f.store == nil {
		return f.open(f.disk)
	}
	switch n := f.rnd.IntN(20); {
	case n < 4:
		return f.write()
	case n < 12:
		return f.receive(t, fs)
	case n < 16:
		return f.prune()
	case n < 18:
		return f.verify()
	}
	f.store = nil
	return nil
}

func (f *life) write() error {
	m := f.nextMeta()
	w, err := f.store.Create(m)
	if err != nil {
		return err
	}
	defer w.Abort()
	content := lifeContent(m)
	k := f.rnd.IntN(len(content))
	_, err1 := w.Write(content[:k])
	_, err2 := w.Write(content[k:])
	if f.rnd.IntN(4) == 0 {
		return errors.Join(err1, err2)
	}
	f.uncertain[m.place()] = true
	if err := w.Commit(); err != nil {
		return err
	}
	f.known[m.place()] = m
	return nil
}

func (f *life) receive(t testing.TB, fs files) error {
	m := f.receiving
	file := fs.of(t, m)
	r, err := f.store.Receive(m, int64(len(file)))
	if errors.Is(err, ErrExists) {
		f.receiving = f.nextMeta()
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Abort()
	end := min(int(r.Offset())+f.rnd.IntN(2*len(file)), len(file))
	if err := send(r, file, end, 1+f.rnd.IntN(60_000)); err != nil {
		return err
	}
	switch {
	case end < len(file) && f.rnd.IntN(8) > 0:
		return r.Close()
	case end < len(file):
		f.receiving = f.nextMeta()
		return nil
	}
	f.uncertain[m.place()] = true
	if err := r.Commit(); err != nil {
		return err
	}
	f.known[m.place()] = m
	f.receiving = f.nextMeta()
	return nil
}

func (f *life) prune() error {
	keep := raft.Index(f.rnd.IntN(int(f.last) + 1))
	newest, _, err := f.store.Latest(1)
	if err != nil {
		return err
	}
	for p := range f.known {
		if p.index < keep && p != newest.place() {
			delete(f.known, p)
			f.uncertain[p] = true
		}
	}
	return f.store.Prune(1, keep)
}

func (f *life) verify() error {
	m, found, err := f.store.Latest(1)
	if err != nil || !found {
		return err
	}
	return f.store.Verify(m)
}

// open opens the folder on a disk. All that was acknowledged is there and whole, nothing is half there, and what was not
// acknowledged is whole if it is there. What was found is known from then on.
func (f *life) open(d *memfs.FS) error {
	s, err := Open(d, dir, Options{ClusterID: clusterID})
	if err != nil {
		return err
	}
	s.syncBytes = lifeSyncBytes
	if _, _, err := s.Latest(1); err != nil {
		return fmt.Errorf("latest: %w", err)
	}
	found := make(map[place]Meta)
	for _, m := range s.List(1) {
		found[m.place()] = m
		if _, known := f.known[m.place()]; !known && !f.uncertain[m.place()] {
			return fmt.Errorf("%v is there", m)
		}
	}
	for p, m := range f.known {
		if _, there := found[p]; !there {
			return fmt.Errorf("%v is lost", m)
		}
	}
	f.known = found
	f.store = s
	return nil
}

// recover opens the folder on a disk that f has left, reads all that is there, completes the transfer that was under
// way, and turns the power off.
func (f *life) recover(t *testing.T, fs files, d *memfs.FS, what string) {
	t.Helper()
	then := &life{known: maps.Clone(f.known), uncertain: f.uncertain}
	if err := then.open(d); err != nil {
		t.Fatalf("%s: %v\n%v", what, err, d)
	}
	if got := names(t, d); strings.Contains(got, tempSuffix) || strings.Count(got, partSuffix) > 1 {
		t.Fatalf("%s: left: %s", what, got)
	}
	m := f.receiving
	file := fs.of(t, m)
	r, err := then.store.Receive(m, int64(len(file)))
	if err == nil {
		if err = send(r, file, len(file), 50_000); err == nil {
			err = r.Commit()
		}
		then.known[m.place()] = m
	} else if errors.Is(err, ErrExists) {
		err = nil
	}
	if err != nil {
		t.Fatalf("%s: the transfer does not go on: %v", what, err)
	}
	d = d.CrashClone(memfs.CrashConfig{})
	if err := then.open(d); err != nil {
		t.Fatalf("%s, and powered off: %v\n%v", what, err, d)
	}
	for _, m := range then.store.List(1) {
		if b, err := get(then.store, m); err != nil || !bytes.Equal(b, lifeContent(m)) {
			t.Fatalf("%s, and powered off: %v: %v", what, m, err)
		}
	}
}

// clones are the disks that a failure at this moment may leave.
func clones(d *memfs.FS, seeds int) map[string]*memfs.FS {
	clones := map[string]*memfs.FS{
		"killed":                    d.KillClone(),
		"powered off, nothing kept": d.CrashClone(memfs.CrashConfig{}),
		"powered off, all kept":     d.CrashClone(memfs.CrashConfig{Probability: 1}),
		"killed, then powered off":  d.KillClone().CrashClone(memfs.CrashConfig{}),
	}
	for seed := range seeds {
		c := memfs.CrashConfig{Probability: 0.5, Rand: rand.New(rand.NewPCG(uint64(seed), 2))}
		clones[fmt.Sprintf("powered off with seed %d", seed)] = d.CrashClone(c)
	}
	return clones
}

// faultAtEvery runs a life once for every operation that it does, with the fault at that operation (if it is final, at
// all later ones too), and looks at all that may be left of it.
func faultAtEvery(t *testing.T, fault error, final bool, seed uint64) {
	t.Helper()
	fs := make(files)
	stride := 1
	if raced {
		stride = 15
	}
	for n := 1; ; n += stride {
		hook := &memfs.Fault{N: n, Err: fault, Final: final}
		f := newLife(memfs.New(), rand.New(rand.NewPCG(seed, 3)))
		f.disk.SetHook(hook.Hook)
		err := f.run(t, fs, 20)
		if err != nil && !errors.Is(err, fault) || errors.Is(err, ErrCorrupt) {
			t.Fatalf("seed %d, fault at operation %d: %v\n%v", seed, n, err, f.disk)
		}
		f.disk.SetHook(nil)
		for what, d := range clones(f.disk, 1) {
			f.recover(t, fs, d, fmt.Sprintf("seed %d, fault at operation %d, %s", seed, n, what))
		}
		if !hook.Fired() {
			return
		}
	}
}

// D6 and N5 are the catalogue's names for what a crash finds in programs that omit a sync of a file or of a folder.
func TestD6_N5_CrashAtEveryOperation(t *testing.T) {
	for seed := range uint64(2) {
		faultAtEvery(t, memfs.ErrCrashed, true, seed)
	}
}

// D3: the sync after one that failed succeeds, and makes nothing durable of what the first was for.
func TestD3_ErrorAtEveryOperation(t *testing.T) {
	for seed := range uint64(2) {
		faultAtEvery(t, syscall.EIO, false, 10+seed)
	}
}

// D3, with a process that dies of the error before it can clean up: its successor must not take what it reads from the
// page cache for what is on the disk.
func TestD3_DiskFailsForGood(t *testing.T) {
	for seed := range uint64(2) {
		faultAtEvery(t, syscall.EIO, true, 20+seed)
	}
}

// Several crashes after each other, each on the disk that the one before has left.
func TestCrashAfterCrash(t *testing.T) {
	seeds := 30
	if testing.Short() || raced {
		seeds = 5
	}
	fs := make(files)
	for seed := range uint64(seeds) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		f := newLife(memfs.New(), rnd)
		for n := range 10 {
			hook := &memfs.Fault{N: 1 + rnd.IntN(80), Err: memfs.ErrCrashed, Final: true}
			f.disk.SetHook(hook.Hook)
			if err := f.run(t, fs, 30); err != nil && !errors.Is(err, memfs.ErrCrashed) {
				t.Fatalf("seed %d, life %d: %v\n%v", seed, n, err, f.disk)
			}
			if rnd.IntN(3) == 0 {
				f.disk = f.disk.KillClone()
			} else {
				f.disk = f.disk.CrashClone(memfs.CrashConfig{Probability: rnd.Float64(), Rand: rnd})
			}
			f.store = nil
			f.recover(t, fs, f.disk.KillClone(), fmt.Sprintf("seed %d, life %d", seed, n))
		}
	}
}

// D9: on a full disk a Writer and a Receiver fail with an error that says so, leave nothing behind, and touch nothing.
// When there is room again all goes on.
func TestD9_FullDisk(t *testing.T) {
	old := contentOf(at(1), 500)
	content := contentOf(at(2), blockBytes+40_000)
	file := fileOf(t, at(2), content)
	for _, what := range []string{"write", "receive"} {
		full := 0
		for room := int64(0); ; room += 7001 {
			d := memfs.New()
			s := mustOpen(t, d)
			s.syncBytes = lifeSyncBytes
			mustPut(t, s, at(1), old)
			size := int64(len(contentsOf(t, d, filePath(at(1)))))
			d.SetCapacity(size + room)
			try := func() error {
				if what == "write" {
					return put(s, at(2), content)
				}
				r, err := s.Receive(at(2), int64(len(file)))
				if err == nil {
					err = send(r, file, len(file), 50_000)
				}
				if err == nil {
					err = r.Commit()
				}
				return err
			}
			err := try()
			if err == nil {
				break
			}
			full++
			is(t, err, syscall.ENOSPC)
			if !strings.Contains(err.Error(), "group 1 index 2 term 2, which is given up") {
				t.Fatalf("error is %v", err)
			}
			if got := names(t, d); got != "1/1" {
				t.Fatalf("left: %s", got)
			}
			expect(t, s, at(1), old)
			is(t, try(), syscall.ENOSPC)
			d.SetCapacity(0)
			ok(t, try())
			expect(t, s, at(2), content)
			d = d.CrashClone(memfs.CrashConfig{})
			expect(t, mustOpen(t, d), at(2), content)
			expect(t, mustOpen(t, d), at(1), old)
		}
		if full < 10 {
			t.Fatalf("%s: the disk was full %d times", what, full)
		}
	}
}

// What an earlier failure could not remove is in nobody's way, and nothing of it is used.
func TestLeftoversAreReplaced(t *testing.T) {
	d := memfs.New()
	s := mustOpen(t, d)
	content := contentOf(at(2), blockBytes+40_000)
	file := fileOf(t, at(2), content)
	r := mustReceive(t, s, at(2), len(file))
	w, err := s.Create(at(4))
	ok(t, err)
	_, err = w.Write(content)
	ok(t, err)
	ok(t, send(r, file, 100_000, 30_000))
	d.SetHook(func(op memfs.Op, name string) error {
		if op == memfs.OpRemove || op == memfs.OpWriteAt {
			return syscall.EIO
		}
		return nil
	})
	is(t, w.Commit(), syscall.EIO)
	is(t, r.Write(r.Offset(), file[r.Offset():]), syscall.EIO)
	d.SetHook(nil)
	if got := names(t, d); got != "1/2.part 1/4.tmp" {
		t.Fatalf("left: %s", got)
	}
	mustPut(t, s, at(4), content)
	r = mustReceive(t, s, at(2), len(file))
	if r.Offset() != 0 {
		t.Errorf("goes on at %d of what has failed", r.Offset())
	}
	ok(t, send(r, file, len(file), 30_000))
	ok(t, r.Commit())
	expect(t, s, at(2), content)
	expect(t, s, at(4), content)
}

// A prune whose removal fails says so; the next Open finds the file again.
func TestPruneFails(t *testing.T) {
	d := memfs.New()
	s := mustOpen(t, d)
	for _, i := range []raft.Index{1, 2, 3} {
		mustPut(t, s, at(i), nil)
	}
	st, err := s.Stream(at(2))
	ok(t, err)
	d.SetHook(func(op memfs.Op, name string) error {
		if op == memfs.OpRemove {
			return syscall.EIO
		}
		return nil
	})
	is(t, s.Prune(1, 3), syscall.EIO)
	expectIndexes(t, s, 3)
	is(t, st.Close(), syscall.EIO)
	d.SetHook(nil)
	mustPut(t, s, at(1), []byte("again"))
	s = mustOpen(t, d)
	expectIndexes(t, s, 1, 2, 3)
	expect(t, s, at(1), []byte("again"))
	ok(t, s.Prune(1, 3))
	expectIndexes(t, mustOpen(t, d), 3)
}
