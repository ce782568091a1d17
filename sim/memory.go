package sim

import (
	"fmt"
	"math/rand/v2"
	"path"
	"sync"
	"syscall"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/balsatest"
	"github.com/balsa-raft/balsa/vfs"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// Memory returns disks in memory, for Machine.Disk and for balsatest.Durable. open opens the machine that is on one, or a new one if there is none. Of what was not synced a crash keeps any part:
// each sector of 512 bytes, size and name, or some bytes of a sector. What it keeps depends on what was done to the disk before and on nothing else, so what fails,
// fails again.
func Memory[C, R any](open func(disk vfs.FS) (balsa.StateMachine[C, R], error)) func() balsatest.Disk[C, R] {
	return func() balsatest.Disk[C, R] {
		d := &memory{fs: memfs.New()}
		d.fs.SetHook(d.hook)
		return balsatest.Disk[C, R]{
			Open:   func() (balsa.StateMachine[C, R], error) { return open(d.fs) },
			Crash:  d.crash,
			FailAt: d.failAt,
			Room:   d.room,
			Rot:    d.rot,
		}
	}
}

// memory is such a disk.
type memory struct {
	fs *memfs.FS

	mu     sync.Mutex // Sync is called while Apply goes on
	past   uint64     // hash of the operations so far
	fault  *memfs.Fault
	noRoom bool
}

// hook sees every operation.
func (d *memory) hook(op memfs.Op, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.past = (d.past ^ uint64(op) ^ uint64(len(name))<<8) * 0x100000001b3
	if d.fault != nil {
		if err := d.fault.Hook(op, name); err != nil {
			return err
		}
	}
	if d.noRoom && (op == memfs.OpCreate || op == memfs.OpRename || op == memfs.OpSync || op == memfs.OpSyncDir) {
		return syscall.ENOSPC
	}
	return nil
}

func (d *memory) crash() {
	before := d.fs
	before.SetHook(func(memfs.Op, string) error { return memfs.ErrCrashed })
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fs = before.CrashClone(memfs.CrashConfig{Probability: 0.5, Tear: 0.2, Rand: rand.New(rand.NewPCG(d.past, 0))})
	d.fault = nil
	d.fs.SetHook(d.hook)
}

func (d *memory) failAt(n int) func() bool {
	fault := &memfs.Fault{N: n, Err: memfs.ErrCrashed, Final: true}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
	return fault.Fired
}

func (d *memory) room(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noRoom = bytes == 0
	if bytes < 0 {
		d.fs.SetCapacity(0)
	} else {
		d.fs.SetCapacity(max(1, d.fs.Used()+bytes))
	}
}

// rot damages one to some hundred bytes of a file.
func (d *memory) rot(r *rand.Rand) (what string) {
	synced := d.fs.CrashClone(memfs.CrashConfig{}) // what a crash would keep: only that is damaged
	names := filesIn(synced, ".")
	for range 8 {
		if len(names) == 0 {
			break
		}
		name := names[r.IntN(len(names))]
		size := int64(len(contents(synced, name)))
		if size == 0 {
			continue
		}
		at, n := r.Int64N(size), []int64{1, 1, 1, 2, 300}[r.IntN(5)]
		n = min(n, size-at)
		if int64(len(contents(d.fs.KillClone(), name))) < at+n {
			continue // it has another size by now, or is gone
		}
		for i := range n {
			if err := d.fs.Flip(name, at+i, byte(1)<<r.IntN(8)); err != nil {
				return ""
			}
		}
		return fmt.Sprintf("%d of the %d bytes of %s, at %d", n, size, name, at)
	}
	return ""
}

// filesIn returns the files of a folder and of those in it. fs is a copy, without a hook.
func filesIn(fs *memfs.FS, dir string) (names []string) {
	in, err := fs.List(dir)
	if err != nil {
		return []string{dir} // it is a file
	}
	for _, name := range in {
		names = append(names, filesIn(fs, path.Join(dir, name))...)
	}
	return names
}
