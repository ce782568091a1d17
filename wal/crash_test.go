package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/balsa-raft/balsa/vfs/memfs"
)

// life is a log that is used until something fails: opened, appended to, prepared, vouched for, closed and reopened.
type life struct {
	disk    *memfs.FS
	rnd     *rand.Rand
	cold    bool  // groups 2 and 3 are used once, at the beginning
	acked   model // what Append has returned nil for
	pending model // the same with the batch that has failed
	history []model
	given   Stats // Recycled, Removed and Moved in all
}

// tally adds what a log that is left has given back.
func (f *life) tally(l *Log) {
	st := l.Stats()
	f.given.Recycled += st.Recycled
	f.given.Removed += st.Removed
	f.given.Moved += st.Moved
}

// run returns after so many steps, or at the first error that ends the log.
func (f *life) run(steps int) error {
	l, err := f.open(f.disk)
	if err != nil {
		return err
	}
	defer func() { f.tally(l) }()
	groups := 3
	if f.cold {
		groups = 1
		for _, save := range []Save{put(2, 1, 1, "a", "b", "c"), put(3, 1, 1, "a"), put(2, 1, 4, "d"), put(2, 1, 5, "e"), put(3, 2, 2, "b", "c")} {
			if f.acked.group(save.Group).last() >= save.Entries[0].Index {
				continue // in a former life
			}
			if err := f.append(l, []Save{save}); err != nil {
				return err
			}
		}
	}
	for range steps {
		switch f.rnd.IntN(12) {
		case 0, 1:
			// A segment that could not be prepared is no failure of the log.
			if err := l.Prepare(); errors.Is(err, ErrFailed) {
				return f.stopped(l, err)
			}
		case 2:
			if err := l.Vouch(); err != nil {
				return f.stopped(l, err)
			}
		case 3:
			if f.rnd.IntN(2) == 0 { // else as if the process was killed
				if err := l.Close(); err != nil {
					return err
				}
			}
			f.tally(l)
			again, err := f.open(f.disk)
			if err != nil {
				return err
			}
			l = again
		default:
			if err := f.append(l, randomBatch(f.rnd, f.acked, groups)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *life) append(l *Log, batch []Save) error {
	f.pending = f.acked.apply(batch)
	if err := l.Append(batch); err != nil {
		return f.stopped(l, err)
	}
	f.acked = f.pending
	f.history = append(f.history, f.acked)
	return nil
}

// stopped checks that a log that has failed once never succeeds again.
func (f *life) stopped(l *Log, err error) error {
	batch := randomBatch(f.rnd, f.acked, 3)
	for range 2 {
		if again := l.Append(batch); !errors.Is(again, ErrFailed) {
			return fmt.Errorf("Append after a failure: %v", again)
		}
	}
	if again := l.Vouch(); !errors.Is(again, ErrFailed) {
		return fmt.Errorf("Vouch after a failure: %v", again)
	}
	if again := l.Prepare(); !errors.Is(again, ErrFailed) {
		return fmt.Errorf("Prepare after a failure: %v", again)
	}
	if _, again := l.Entries(1, 1, 1, 1); !errors.Is(again, ErrFailed) {
		return fmt.Errorf("Entries after a failure: %v", again)
	}
	return err
}

// open opens the log on a disk, which must hold what was acknowledged, with or without the batch that was under way: a
// frame is whole or is not there. What it has found once must stay.
func (f *life) open(d *memfs.FS) (*Log, error) {
	l, err := Open(d, dir, small)
	if err != nil {
		return nil, err
	}
	if errAcked := f.acked.diff(l); errAcked != nil {
		if errPending := f.pending.diff(l); errPending != nil {
			return nil, fmt.Errorf("not what was acknowledged: %w\nnor that with the last batch: %w", errAcked, errPending)
		}
		f.acked = f.pending
	}
	f.pending = f.acked
	return l, nil
}

// recover opens the log on a disk that f has left.
func (f *life) recover(t *testing.T, d *memfs.FS, what string) (*Log, *life) {
	t.Helper()
	then := &life{acked: f.acked, pending: f.pending}
	l, err := then.open(d)
	if err != nil {
		t.Fatalf("%s: %v\n%v", what, err, d)
	}
	return l, then
}

// clones are the disks that a failure at this moment may leave.
func (f *life) clones(seeds int) map[string]*memfs.FS {
	clones := map[string]*memfs.FS{
		"killed":                    f.disk.KillClone(),
		"powered off, nothing kept": f.disk.CrashClone(memfs.CrashConfig{}),
		"powered off, all kept":     f.disk.CrashClone(memfs.CrashConfig{Probability: 1}),
		"killed, then powered off":  f.disk.KillClone().CrashClone(memfs.CrashConfig{}),
	}
	for seed := range seeds {
		c := memfs.CrashConfig{Probability: 0.5, Rand: rand.New(rand.NewPCG(uint64(seed), 2))}
		clones[fmt.Sprintf("powered off with seed %d", seed)] = f.disk.CrashClone(c)
	}
	return clones
}

// survives checks that the log opens on each disk that a failure at this moment may leave, and that it stays so.
func (f *life) survives(t *testing.T, what string, seeds int) {
	t.Helper()
	for left, d := range f.clones(seeds) {
		what := what + ", " + left
		l, then := f.recover(t, d, what)
		if err := errors.Join(l.Prepare(), l.Close()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		then.recover(t, d.CrashClone(memfs.CrashConfig{}), what+", opened, and powered off")
	}
}

// faultAtEvery runs lives once for every operation that they do, with the fault at that operation (if it is final, at all
// later ones too), and looks at all that may be left of them. In the last one, two groups are used only once, so that
// their entries are moved.
func faultAtEvery(t *testing.T, fault error, final bool, unexpected func(error) bool) {
	t.Helper()
	stride := 1
	if raced {
		stride = 13
	}
	for seed, steps := range []int{24, 24, 40} {
		var given Stats
		for n := 1; ; n += stride {
			hook := &memfs.Fault{N: n, Err: fault, Final: final}
			f := &life{disk: memfs.New(), rnd: rand.New(rand.NewPCG(uint64(seed), 3)), acked: model{}, pending: model{}, cold: seed == 2}
			f.disk.SetHook(hook.Hook)
			err := f.run(steps)
			if unexpected(err) {
				t.Fatalf("seed %d, fault at operation %d: %v\n%v", seed, n, err, f.disk)
			}
			f.disk.SetHook(nil)
			f.survives(t, fmt.Sprintf("seed %d, fault at operation %d", seed, n), 2)
			given.Recycled += f.given.Recycled
			given.Removed += f.given.Removed
			given.Moved += f.given.Moved
			if !hook.Fired() {
				break
			}
		}
		if given.Recycled == 0 || given.Removed == 0 || (given.Moved == 0) != (seed < 2) {
			t.Errorf("seed %d: %d segments were recycled, %d removed, %d bytes moved", seed, given.Recycled, given.Removed, given.Moved)
		}
	}
}

func TestCrashAtEveryOperation(t *testing.T) {
	faultAtEvery(t, memfs.ErrCrashed, true, func(err error) bool {
		return err != nil && !errors.Is(err, memfs.ErrCrashed) && !errors.Is(err, ErrFailed)
	})
}

func TestD3_ErrorAtEveryOperation(t *testing.T) {
	faultAtEvery(t, syscall.EIO, false, func(err error) bool {
		return err != nil && !errors.Is(err, syscall.EIO)
	})
}

// Several crashes after each other, each on the disk that the one before has left.
func TestCrashAfterCrash(t *testing.T) {
	lives, seeds := 12, 60
	if testing.Short() || raced {
		seeds = 10
	}
	for seed := range uint64(seeds) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		f := &life{disk: memfs.New(), rnd: rnd, acked: model{}, pending: model{}, cold: seed%2 == 1}
		for n := range lives {

			hook := &memfs.Fault{N: 1 + rnd.IntN(60), Err: memfs.ErrCrashed, Final: true}
			f.disk.SetHook(hook.Hook)
			if err := f.run(30); err != nil && !errors.Is(err, memfs.ErrCrashed) && !errors.Is(err, ErrFailed) {
				t.Fatalf("seed %d, life %d: %v\n%v", seed, n, err, f.disk)
			}
			if rnd.IntN(3) == 0 {
				f.disk = f.disk.KillClone()
			} else {
				f.disk = f.disk.CrashClone(memfs.CrashConfig{Probability: rnd.Float64(), Rand: rnd})
			}
			f.recover(t, f.disk.KillClone(), fmt.Sprintf("seed %d, life %d", seed, n))
		}
	}
}

func TestD9_FullDisk(t *testing.T) {
	for room := int64(0); room < 400<<10; room += 7 << 9 {
		f := &life{disk: memfs.New(), rnd: rand.New(rand.NewPCG(5, 5)), acked: model{}, pending: model{}}
		f.disk.SetCapacity(room)
		err := f.run(60)
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%d bytes: %v", room, err)
		}
		f.disk.SetCapacity(0)
		for what, d := range f.clones(1) {
			f.recover(t, d, fmt.Sprintf("%d bytes, %s", room, what))
		}
		if err == nil {
			return
		}
	}
	t.Fatal("the disk was always full")
}

// A segment that cannot be prepared costs nothing but a warning, and trying for it at every call would keep a full disk busy.
func TestD9_PrepareFailsAloneAndTriesRarely(t *testing.T) {
	d := memfs.New()
	l := mustOpen(t, d, small)
	d.SetCapacity(9 * blockBytes)
	creates := 0
	d.SetHook(func(op memfs.Op, name string) error {
		if op == memfs.OpCreate {
			creates++
		}
		return nil
	})
	for range 3 {
		if err := l.Prepare(); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFailed) {
			t.Fatalf("Prepare: %v", err)
		}
	}
	if creates != 1 {
		t.Fatalf("Prepare tried %d times", creates)
	}
	mustAppend(t, l, put(1, 1, 1, "a"))
	if names, err := d.List(dir); err != nil || len(names) != 1 {
		t.Fatalf("the folder holds %q, %v", names, err)
	}
	d.SetCapacity(0)
	mustAppend(t, l, put(1, 1, 2, "b"))
	if err := l.Prepare(); err != nil {
		t.Fatal(err)
	}
	holds(t, d, small, model{}.apply([]Save{put(1, 1, 1, "a", "b")}))
}

func TestOpenOfAFolderThatCannotBeMade(t *testing.T) {
	d := memfs.New()
	if f, err := d.Create("data"); err != nil {
		t.Fatal(err)
	} else {
		f.Close()
	}
	if _, err := Open(d, dir, small); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("opened: %v", err)
	}
}
