package memfs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/balsa-raft/balsa/vfs"
)

// FS is a disk. It is safe for concurrent use.
type FS struct {
	mu       sync.Mutex // guards everything below, and every inode
	hook     Hook
	capacity int64 // in bytes; zero: no limit
	dirs     map[string]bool
	names    map[string]*inode // as programs see them
	durable  map[string]*inode // as a crash leaves them, before pending
	pending  []nameOp          // what makes names of durable, in order
	locks    map[string]bool
}

// nameOp is a change of names that is not durable yet: a removal, a creation, or both at once for a rename.
type nameOp struct {
	removed, added string // empty: none
	file           *inode
}

func (o nameOp) apply(names map[string]*inode) {
	if o.removed != "" {
		delete(names, o.removed)
	}
	if o.added != "" {
		names[o.added] = o.file
	}
}

// in reports whether o changes one of the folders.
func (o nameOp) in(dirs map[string]bool) bool {
	return o.removed != "" && dirs[path.Dir(o.removed)] || o.added != "" && dirs[path.Dir(o.added)]
}

// New returns an empty disk.
func New() *FS {
	return &FS{
		dirs:    map[string]bool{".": true, "/": true},
		names:   make(map[string]*inode),
		durable: make(map[string]*inode),
		locks:   make(map[string]bool),
	}
}

// SetCapacity limits the sum of the files' sizes: writes beyond it fail with syscall.ENOSPC. Zero lifts the limit.
func (d *FS) SetCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// Used is the sum of the files' sizes, which SetCapacity limits.
func (d *FS) Used() (bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.names {
		bytes += n.now.size
	}
	return bytes
}

// do runs one operation: the hook first, then op under the lock. A hook that returns ErrPretend skips op.
func (d *FS) do(op Op, name string, f func() error) error {
	err := d.callHook(op, name)
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		err = f()
	} else if errors.Is(err, ErrPretend) {
		return nil
	}
	return pathError(op, name, err)
}

// callHook calls without the lock, so that a hook may use the disk or wait.
func (d *FS) callHook(op Op, name string) error {
	d.mu.Lock()
	hook := d.hook
	d.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(op, name)
}

func pathError(op Op, name string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &fs.PathError{Op: op.String(), Path: name, Err: err}
}

// Create implements vfs.FS.
func (d *FS) Create(name string) (vfs.File, error) {
	name = path.Clean(name)
	f := &file{disk: d}
	err := d.do(OpCreate, name, func() error {
		switch {
		case d.names[name] != nil || d.dirs[name]:
			return fs.ErrExist
		case !d.dirs[path.Dir(name)]:
			return fs.ErrNotExist
		}
		f.inode = d.createLocked(name)
		return nil
	})
	return f.opened(err)
}

func (d *FS) createLocked(name string) *inode {
	n := &inode{name: name}
	d.changeLocked(nameOp{added: name, file: n})
	return n
}

func (d *FS) changeLocked(o nameOp) {
	o.apply(d.names)
	d.pending = append(d.pending, o)
}

// Open implements vfs.FS.
func (d *FS) Open(name string) (vfs.File, error) {
	name = path.Clean(name)
	f := &file{disk: d}
	err := d.do(OpOpen, name, func() (err error) {
		f.inode, err = d.lookupLocked(name)
		return err
	})
	return f.opened(err)
}

func (d *FS) lookupLocked(name string) (*inode, error) {
	if n := d.names[name]; n != nil {
		return n, nil
	}
	if d.dirs[name] {
		return nil, syscall.EISDIR
	}
	return nil, fs.ErrNotExist
}

// Remove implements vfs.FS.
func (d *FS) Remove(name string) error {
	name = path.Clean(name)
	return d.do(OpRemove, name, func() error {
		if _, err := d.lookupLocked(name); err != nil {
			return err
		}
		d.changeLocked(nameOp{removed: name})
		return nil
	})
}

// Rename implements vfs.FS.
func (d *FS) Rename(from, to string) error {
	from, to = path.Clean(from), path.Clean(to)
	return d.do(OpRename, from, func() error {
		n, err := d.lookupLocked(from)
		switch {
		case err != nil:
			return err
		case d.dirs[to]:
			return syscall.EISDIR
		case !d.dirs[path.Dir(to)]:
			return fs.ErrNotExist
		case from != to:
			d.changeLocked(nameOp{removed: from, added: to, file: n})
			n.name = to
		}
		return nil
	})
}

// List implements vfs.FS.
func (d *FS) List(dir string) (names []string, err error) {
	dir = path.Clean(dir)
	err = d.do(OpList, dir, func() error {
		if !d.dirs[dir] {
			return fs.ErrNotExist
		}
		for name := range d.names {
			if path.Dir(name) == dir {
				names = append(names, path.Base(name))
			}
		}
		for name := range d.dirs {
			if name != dir && path.Dir(name) == dir {
				names = append(names, path.Base(name))
			}
		}
		slices.Sort(names)
		return nil
	})
	return names, err
}

// MkdirAll implements vfs.FS.
func (d *FS) MkdirAll(dir string) error {
	dir = path.Clean(dir)
	return d.do(OpMkdirAll, dir, func() error {
		for p := dir; !d.dirs[p]; p = path.Dir(p) {
			if d.names[p] != nil {
				return syscall.ENOTDIR
			}
		}
		for p := dir; !d.dirs[p]; p = path.Dir(p) {
			d.dirs[p] = true
		}
		return nil
	})
}

// SyncDir implements vfs.FS.
func (d *FS) SyncDir(dir string) error {
	dir = path.Clean(dir)
	return d.do(OpSyncDir, dir, func() error {
		if !d.dirs[dir] {
			return fs.ErrNotExist
		}
		d.syncNamesLocked(dir)
		return nil
	})
}

// syncNamesLocked makes the changes in dir durable. A rename between two folders becomes so with either of them, and
// takes with it what was changed before in the other: else a crash could bring the old name back beside the new one.
func (d *FS) syncNamesLocked(dir string) {
	dirs := map[string]bool{dir: true}
	keep := make([]bool, len(d.pending))
	for i := len(d.pending) - 1; i >= 0; i-- {
		o := d.pending[i]
		if keep[i] = !o.in(dirs); keep[i] {
			continue
		}
		for _, name := range []string{o.removed, o.added} {
			if name != "" {
				dirs[path.Dir(name)] = true
			}
		}
	}
	var left []nameOp
	for i, o := range d.pending {
		if keep[i] {
			left = append(left, o)
		} else {
			o.apply(d.durable)
		}
	}
	d.pending = left
}

// Lock implements vfs.FS. A clone has no locks: the processes that held them are gone.
func (d *FS) Lock(name string) (io.Closer, error) {
	name = path.Clean(name)
	err := d.do(OpLock, name, func() error {
		switch {
		case d.locks[name]:
			return vfs.ErrLocked
		case !d.dirs[path.Dir(name)]:
			return fs.ErrNotExist
		}
		if d.names[name] == nil {
			d.createLocked(name)
		}
		d.locks[name] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &lock{disk: d, name: name}, nil
}

type lock struct {
	disk *FS
	name string
	once sync.Once
}

func (l *lock) Close() error {
	l.once.Do(func() {
		l.disk.mu.Lock()
		defer l.disk.mu.Unlock()
		delete(l.disk.locks, l.name)
	})
	return nil
}

// roomLocked is how many bytes more the files may have.
func (d *FS) roomLocked() int64 {
	if d.capacity == 0 {
		return 1 << 62
	}
	room := d.capacity
	for _, n := range d.names {
		room -= n.now.size
	}
	return max(room, 0)
}

// Flip inverts the bits of mask in one stored byte, in the programs' view and on the platter: rot, for tests.
func (d *FS) Flip(name string, offset int64, mask byte) error {
	name = path.Clean(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.lookupLocked(name)
	if err == nil && (offset < 0 || offset >= n.now.size) {
		err = fs.ErrInvalid
	}
	if err != nil {
		return &fs.PathError{Op: "flip", Path: name, Err: err}
	}
	n.now.flip(offset, mask)
	n.durable.flip(offset, mask)
	return nil
}

// String lists the files with their sizes, a line each: names and contents that a crash may lose are marked with *.
func (d *FS) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b strings.Builder
	for _, name := range sortedNames(d.names) {
		n := d.names[name]
		b.WriteString(name)
		if d.durable[name] != n {
			b.WriteByte('*')
		}
		b.WriteString(" " + n.String() + "\n")
	}
	return b.String()
}
