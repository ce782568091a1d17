package memfs

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"

	"github.com/balsa-raft/balsa/vfs"
)

const sectorBytes = 512

// sector is immutable, so that clones share it. Nil is a sector of zeros.
type sector [sectorBytes]byte

var zeroes sector

// contents are a file's bytes at one time.
type contents struct {
	size    int64
	sectors []*sector // of all that is below size, perhaps with nils missing at the end
}

func (c *contents) sector(i int64) *sector {
	if i < int64(len(c.sectors)) && c.sectors[i] != nil {
		return c.sectors[i]
	}
	return &zeroes
}

func (c *contents) set(i int64, s *sector) {
	if s != nil && i >= int64(len(c.sectors)) {
		c.sectors = append(c.sectors, make([]*sector, i+1-int64(len(c.sectors)))...)
	}
	if i < int64(len(c.sectors)) {
		c.sectors[i] = s
	}
}

// resize cuts the bytes from size on, or adds zeros.
func (c *contents) resize(size int64) {
	c.size = size
	whole, part := size/sectorBytes, size%sectorBytes
	if int64(len(c.sectors)) > whole && part > 0 && c.sectors[whole] != nil {
		s := *c.sectors[whole]
		clear(s[part:])
		c.sectors[whole] = &s
		whole++
	}
	if int64(len(c.sectors)) > whole {
		c.sectors = c.sectors[:whole:whole]
	}
}

func (c *contents) clone() contents {
	return contents{size: c.size, sectors: append([]*sector(nil), c.sectors...)}
}

func (c *contents) flip(offset int64, mask byte) {
	if offset >= c.size {
		return
	}
	s := *c.sector(offset / sectorBytes)
	s[offset%sectorBytes] ^= mask
	c.set(offset/sectorBytes, &s)
}

// inode is a file, whatever its names.
type inode struct {
	now      contents // as programs see it
	durable  contents // as a crash leaves it, before unsynced
	unsynced []change // what makes now of durable, in order
	name     string   // that it has now, or had last
}

// change is a sector that was written, or a size that was set.
type change struct {
	sector int64 // -1: size
	data   *sector
	size   int64
	lost   bool // a Sync failed to make it durable: it may have got to the platter, but no Sync will bring it there
}

func (ch change) apply(c *contents) {
	if ch.sector < 0 {
		c.resize(ch.size)
	} else {
		c.set(ch.sector, ch.data)
	}
}

func (n *inode) change(ch change) {
	ch.apply(&n.now)
	n.unsynced = append(n.unsynced, ch)
}

func (n *inode) resize(size int64) {
	if size != n.now.size {
		n.change(change{sector: -1, size: size})
	}
}

// write copies b once; its sectors share the copy.
func (n *inode) write(b []byte, off int64) {
	if len(b) == 0 {
		return
	}
	end := off + int64(len(b))
	n.resize(max(n.now.size, end))
	first, last := off/sectorBytes, (end-1)/sectorBytes
	if off%sectorBytes == 0 && end%sectorBytes == 0 && isZero(b) {
		for i := first; i <= last; i++ {
			n.change(change{sector: i})
		}
		return
	}
	buf := make([]byte, (last-first+1)*sectorBytes)
	copy(buf, n.now.sector(first)[:])
	copy(buf[len(buf)-sectorBytes:], n.now.sector(last)[:])
	copy(buf[off-first*sectorBytes:], b)
	for i := first; i <= last; i++ {
		s := (*sector)(buf[(i-first)*sectorBytes:])
		if *s == zeroes {
			s = nil
		}
		n.change(change{sector: i, data: s})
	}
}

func isZero(b []byte) bool {
	for ; len(b) >= sectorBytes; b = b[sectorBytes:] {
		if *(*sector)(b) != zeroes {
			return false
		}
	}
	return true
}

// sync makes durable what no earlier Sync has failed on.
func (n *inode) sync() {
	anyLost := false
	for _, ch := range n.unsynced {
		if anyLost = anyLost || ch.lost; !ch.lost {
			ch.apply(&n.durable)
		}
	}
	if !anyLost {
		n.unsynced = n.unsynced[:0]
		return
	}
	synced := make(map[int64]bool)
	for _, ch := range n.unsynced {
		if !ch.lost {
			synced[ch.sector] = true
		}
	}
	n.unsynced = slices.DeleteFunc(n.unsynced, func(ch change) bool { return !ch.lost || synced[ch.sector] })
}

// lose is what a failed Sync does: the changes count as clean though they may not be durable.
func (n *inode) lose() {
	for i := range n.unsynced {
		n.unsynced[i].lost = true
	}
}

func (n *inode) String() string {
	s := fmt.Sprint(n.now.size)
	if len(n.unsynced) > 0 {
		s += fmt.Sprintf(" (*%d changes)", len(n.unsynced))
	}
	return s
}

// file is an open file.
type file struct {
	disk   *FS
	inode  *inode
	closed bool
}

// opened is the result of an opening that ended with err.
func (f *file) opened(err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	if f.inode == nil {
		panic("memfs: a hook cannot pretend to create or open a file")
	}
	return f, nil
}

// nameNow is the name that hooks and errors tell: a file that was renamed is known by its new one.
func (f *file) nameNow() string {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.inode.name
}

func (f *file) do(op Op, run func() error) error {
	return f.disk.do(op, f.nameNow(), func() error {
		if f.closed {
			return fs.ErrClosed
		}
		return run()
	})
}

// ReadAt implements vfs.File.
func (f *file) ReadAt(b []byte, off int64) (n int, err error) {
	err = f.do(OpReadAt, func() error {
		if off < 0 {
			return fs.ErrInvalid
		}
		c := &f.inode.now
		for n < len(b) && off < c.size {
			from := c.sector(off / sectorBytes)[off%sectorBytes:]
			from = from[:min(int64(len(from)), c.size-off)]
			k := copy(b[n:], from)
			n += k
			off += int64(k)
		}
		if n < len(b) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

// WriteAt implements vfs.File. On a full disk it writes what there is room for.
func (f *file) WriteAt(b []byte, off int64) (n int, err error) {
	ran := false
	err = f.do(OpWriteAt, func() error {
		ran = true
		if off < 0 {
			return fs.ErrInvalid
		}
		var full error
		n = len(b)
		if room := f.inode.now.size + f.disk.roomLocked() - off; int64(n) > room {
			n, full = int(max(room, 0)), syscall.ENOSPC
		}
		f.inode.write(b[:n], off)
		return full
	})
	if err == nil && !ran { // a hook pretends
		n = len(b)
	}
	return n, err
}

// Sync implements vfs.File.
func (f *file) Sync() error {
	ran := false
	err := f.do(OpSync, func() error {
		ran = true
		f.inode.sync()
		return nil
	})
	if err != nil && !ran {
		f.disk.mu.Lock()
		defer f.disk.mu.Unlock()
		f.inode.lose()
	}
	return err
}

// Truncate implements vfs.File.
func (f *file) Truncate(size int64) error {
	return f.do(OpTruncate, func() error { return f.resize(size) })
}

// Allocate implements vfs.File.
func (f *file) Allocate(size int64) error {
	return f.do(OpAllocate, func() error { return f.resize(max(size, f.inode.now.size)) })
}

func (f *file) resize(size int64) error {
	if size < 0 {
		return fs.ErrInvalid
	}
	if size-f.inode.now.size > f.disk.roomLocked() {
		return syscall.ENOSPC
	}
	f.inode.resize(size)
	return nil
}

// Size implements vfs.File.
func (f *file) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return 0, pathError(OpOpen, f.inode.name, fs.ErrClosed)
	}
	return f.inode.now.size, nil
}

// Close implements vfs.File. It syncs nothing.
func (f *file) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return pathError(OpOpen, f.inode.name, fs.ErrClosed)
	}
	f.closed = true
	return nil
}
