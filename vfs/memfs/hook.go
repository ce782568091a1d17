package memfs

import (
	"errors"
	"sync"
)

// Op is a kind of operation on a disk.
type Op uint8

// The operations that a hook sees. Size and Close cannot fail.
const (
	OpCreate Op = iota
	OpOpen
	OpRemove
	OpRename
	OpList
	OpMkdirAll
	OpSyncDir
	OpLock
	OpReadAt
	OpWriteAt
	OpSync
	OpTruncate
	OpAllocate
)

var opNames = [...]string{
	"create", "open", "remove", "rename", "list", "mkdirall", "syncdir", "lock", "readat", "writeat", "sync", "truncate", "allocate",
}

func (o Op) String() string { return opNames[o] }

// Hook is called before every operation, with the name that it is about (a rename's old one, and of an open file the one that it has now). An error fails the
// operation, which then has no effect, except that a Sync that fails gives up what it was to sync. A hook may use the
// disk, but each use calls it again.
type Hook func(op Op, name string) error

var (
	// ErrCrashed is what operations fail with on a machine that has lost power.
	ErrCrashed = errors.New("the machine has crashed")
	// ErrPretend makes an operation report success without doing anything, when a hook returns it: a disk that
	// loses a write, or that does not flush its cache. Not for Create, Open and ReadAt.
	ErrPretend = errors.New("pretend")
)

// SetHook makes f the disk's hook; nil removes it.
func (d *FS) SetHook(f Hook) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = f
}

// Fault is a hook that fails the N-th operation, counted from 1, with Err, and if it is Final all later ones. To try a
// program at each of its operations, run it with N = 1, 2, ... until Fired returns false.
type Fault struct {
	N     int
	Err   error
	Final bool
	Match func(op Op, name string) bool // which operations count; nil: all

	mu    sync.Mutex
	count int
}

// Hook is to be set with SetHook.
func (f *Fault) Hook(op Op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Match != nil && !f.Match(op, name) {
		return nil
	}
	f.count++
	if f.count == f.N || f.Final && f.count > f.N {
		return f.Err
	}
	return nil
}

// Fired reports whether there were N operations.
func (f *Fault) Fired() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count >= f.N
}
