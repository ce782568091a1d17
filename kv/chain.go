package kv

import (
	"iter"
	"sort"
)

// version is what one change made of a key. Once it is in a chain it never changes, and nor do the bytes of its value.
type version struct {
	value  []byte
	create int64 // revision of the put that created the key; zero in a tombstone
	mod    int64 // revision of the change
	number int64 // etcd's version: 1 at creation, one more with each put; zero says that this is a tombstone
	lease  int64
	sub    int32 // which change of its revision, from 0
}

func (v *version) tombstone() bool { return v.number == 0 }

// moment says when a version was made: its revision and which change of the revision it was. No two are equal.
type moment struct {
	mod int64
	sub int32
}

func (m moment) next() moment { return moment{m.mod, m.sub + 1} }

func (m moment) before(n moment) bool { return m.mod < n.mod || m.mod == n.mod && m.sub < n.sub }

func (v *version) moment() moment { return moment{v.mod, v.sub} }

func (v *version) before(m moment) bool { return v.moment().before(m) }

// bytes is what the version counts for in Store.Size.
func (v *version) bytes() int64 { return versionBytes + int64(len(v.value)) }

// versionBytes and chainBytes are about what a version and a key cost besides the bytes of the value and the key.
const (
	versionBytes = 80
	chainBytes   = 160
)

// chain is a key with its versions. The latest is inline: most keys have one, and most reads want it.
type chain struct {
	key    string
	latest version
	older  history
}

// newest returns the newest version, or tombstone, that is not newer than the revision; nil if there is none.
func (c *chain) newest(revision int64) *version {
	if c.latest.mod <= revision {
		return &c.latest
	}
	return c.older.newest(revision)
}

// at returns the version that a read at the revision sees, or nil if the key is not there at that time.
func (c *chain) at(revision int64) *version {
	v := c.newest(revision)
	if v == nil || v.tombstone() {
		return nil
	}
	return v
}

// push makes v the latest version.
func (c *chain) push(v version) {
	if c.latest.mod != 0 {
		c.older.push(c.latest)
	}
	c.latest = v
}

// oldest returns the oldest version that is still held.
func (c *chain) oldest() *version {
	if len(c.older.blocks) > 0 {
		return &c.older.blocks[0][0]
	}
	return &c.latest
}

// from yields the versions that were made at the moment or later, oldest first.
func (c *chain) from(m moment) iter.Seq[*version] {
	return func(yield func(*version) bool) {
		block, i := c.older.seek(m)
		for ; block < len(c.older.blocks); block, i = block+1, 0 {
			for versions := c.older.blocks[block]; i < len(versions); i++ {
				if !yield(&versions[i]) {
					return
				}
			}
		}
		if !c.latest.before(m) {
			yield(&c.latest)
		}
	}
}

// firstKept returns the moment from which on versions are part of the store's state after a compaction at the
// revision. What was made before is superfluous, whether it has been freed or not.
func (c *chain) firstKept(compacted int64) moment {
	v := c.newest(compacted)
	switch {
	case v == nil:
		return moment{}
	case v.tombstone() && v.mod < compacted:
		return v.moment().next()
	}
	return v.moment()
}

// trim drops the versions that no read at floor or later sees, and returns the bytes it freed. It keeps a tombstone
// if that is what a read at floor finds.
func (c *chain) trim(floor int64) int64 {
	if c.latest.mod <= floor {
		return c.older.dropBlocks(len(c.older.blocks))
	}
	return c.older.trim(floor)
}

// history is the versions of a key that have been superseded, in ascending order. Its blocks bound what has to be
// moved when a version is added to, or dropped from, a key that has millions.
type history struct {
	blocks [][]version // none is empty
}

const versionsPerBlock = 512

func (h *history) push(v version) {
	last := len(h.blocks) - 1
	if last < 0 || len(h.blocks[last]) >= versionsPerBlock {
		h.blocks = append(h.blocks, nil)
		last++
	}
	h.blocks[last] = append(h.blocks[last], v)
}

// find returns the place of the newest version that is not newer than the revision, and false if there is none.
func (h *history) find(revision int64) (block, i int, ok bool) {
	block = sort.Search(len(h.blocks), func(i int) bool { return h.blocks[i][0].mod > revision }) - 1
	if block < 0 {
		return 0, 0, false
	}
	versions := h.blocks[block]
	i = sort.Search(len(versions), func(i int) bool { return versions[i].mod > revision }) - 1
	return block, i, true
}

// seek returns the place of the oldest version that was made at the moment or later; beyond the end if there is none.
func (h *history) seek(m moment) (block, i int) {
	block = sort.Search(len(h.blocks), func(i int) bool {
		versions := h.blocks[i]
		return !versions[len(versions)-1].before(m)
	})
	if block < len(h.blocks) {
		versions := h.blocks[block]
		i = sort.Search(len(versions), func(i int) bool { return !versions[i].before(m) })
	}
	return block, i
}

func (h *history) newest(revision int64) *version {
	block, i, ok := h.find(revision)
	if !ok {
		return nil
	}
	return &h.blocks[block][i]
}

// trim drops what comes before the newest version that is not newer than floor, and returns the bytes it freed.
func (h *history) trim(floor int64) int64 {
	block, i, ok := h.find(floor)
	if !ok {
		return 0
	}
	return h.dropBlocks(block) + h.dropFirst(i)
}

// dropBlocks drops the first n blocks.
func (h *history) dropBlocks(n int) (freed int64) {
	for _, block := range h.blocks[:n] {
		freed += bytesOf(block)
	}
	clear(h.blocks[:n]) // or else the array under the slice would keep them alive
	h.blocks = h.blocks[n:]
	if len(h.blocks) == 0 {
		h.blocks = nil
	}
	return freed
}

// dropFirst drops the first n versions of the first block.
func (h *history) dropFirst(n int) (freed int64) {
	if n == 0 {
		return 0
	}
	block := h.blocks[0]
	if n == len(block) {
		return h.dropBlocks(1)
	}
	freed = bytesOf(block[:n])
	if rest := block[n:]; len(rest) <= n {
		h.blocks[0] = append(make([]version, 0, len(rest)), rest...)
	} else {
		clear(block[:n]) // as in dropBlocks
		h.blocks[0] = rest
	}
	return freed
}

func bytesOf(versions []version) (n int64) {
	for i := range versions {
		n += versions[i].bytes()
	}
	return n
}
