package raft

import (
	"slices"
	"sort"
)

const (
	// blockEntriesMax and blockBytesMax bound a block of the cache: what was evicted stays in memory until all of its block was.
	blockEntriesMax = 8192
	blockBytesMax   = 1 << 20
	blockEntriesMin = 16
)

// cache is the newest entries of a log. They are in blocks, because in one array all of them would be copied each time that it is full: at the front they are
// dropped, and their places cannot be used again, since saves and messages under way share them.
//
// Invariant: the entries are those from first on, without gaps, and no block is empty.
type cache struct {
	first  Index
	blocks [][]Entry
	bytes  uint64 // Size of all entries
	filled uint64 // of those that were put into the last block
}

// next is the index behind the last entry.
func (c *cache) next() Index {
	if len(c.blocks) == 0 {
		return c.first
	}
	last := c.blocks[len(c.blocks)-1]
	return last[0].Index + Index(len(last))
}

// append adds entries. Those that come together stay together.
func (c *cache) append(es []Entry) {
	if len(es) == 0 {
		return
	}
	var size uint64
	for i := range es {
		size += es[i].Size()
	}
	n := len(c.blocks)
	if n == 0 || c.filled >= blockBytesMax || cap(c.blocks[n-1])-len(c.blocks[n-1]) < len(es) {
		fit := min(uint64(len(es))*blockBytesMax/size, blockEntriesMax, 2*uint64(c.next()-c.first))
		c.blocks = append(c.blocks, make([]Entry, 0, max(fit, uint64(len(es)), blockEntriesMin)))
		c.filled, n = 0, n+1
	}
	c.blocks[n-1] = append(c.blocks[n-1], es...)
	c.filled += size
	c.bytes += size
}

// block is the place of the block with entry i, which must be here.
func (c *cache) block(i Index) int {
	if n := len(c.blocks) - 1; c.blocks[n][0].Index <= i {
		return n
	}
	return sort.Search(len(c.blocks), func(k int) bool { return c.blocks[k][0].Index > i }) - 1
}

// between returns the entries from..to, as many as fit in bytesMax but at least one. They must be here, and the result must not be changed.
func (c *cache) between(from, to Index, bytesMax uint64) []Entry {
	var joined []Entry
	for k, size := c.block(from), uint64(0); ; k++ {
		es := c.blocks[k]
		es = es[from-es[0].Index : min(to+1-es[0].Index, Index(len(es)))]
		n := 0
		for n < len(es) {
			if size += es[n].Size(); size > bytesMax && (n > 0 || joined != nil) {
				break
			}
			n++
		}
		whole := n == len(es)
		es = es[:n:n]
		from += Index(n)
		switch {
		case joined != nil:
			joined = append(joined, es...)
		case whole && from <= to:
			joined = slices.Clone(es)
		default:
			return es
		}
		if !whole || from > to {
			return joined
		}
	}
}

// truncateFrom removes entry i, which must be here or be the next one, and all behind it.
func (c *cache) truncateFrom(i Index) {
	for n := len(c.blocks) - 1; n >= 0 && c.next() > i; n-- {
		es := c.blocks[n]
		keep := max(i, es[0].Index) - es[0].Index
		for k := range es[keep:] {
			c.bytes -= es[keep:][k].Size()
		}
		if keep == 0 {
			c.blocks = c.blocks[:n]
			continue
		}
		// The cap begins a new block with the next entry: saves and messages under way still share the removed entries' places.
		c.blocks[n] = es[:keep:keep]
	}
}

// evict drops entries from the front, none beyond limit, until they fit in bytesMax.
func (c *cache) evict(limit Index, bytesMax uint64) {
	for len(c.blocks) > 0 && c.bytes > bytesMax && c.first <= limit {
		es, n := c.blocks[0], 0
		for n < len(es) && c.bytes > bytesMax && c.first <= limit {
			c.bytes -= es[n].Size()
			c.first++
			n++
		}
		if n < len(es) {
			c.blocks[0] = es[n:]
			return
		}
		c.blocks[0] = nil // or the array would keep it
		c.blocks = c.blocks[1:]
	}
}

// forget drops entries up to i, and begins behind it at least.
func (c *cache) forget(i Index) {
	c.evict(i, 0)
	c.first = max(c.first, i+1)
}

// void drops all entries, and begins with i.
func (c *cache) void(i Index) { *c = cache{first: i} }
