package raft

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestCache: a cache has what a plain list of entries has, whatever is done to it, and what was taken from it stays as it was.
func TestCache(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		first := Index(1 + r.IntN(5))
		c, list := cache{first: first}, []Entry(nil)
		type taken struct{ es, as []Entry }
		var out []taken
		for range 400 {
			next := first + Index(len(list))
			switch r.IntN(8) {
			case 0, 1, 2, 3:
				var es []Entry
				for i := range 1 + r.IntN(30) {
					es = append(es, Entry{Index: next + Index(i), Term: Term(r.IntN(9)), Data: make([]byte, r.IntN(10))})
				}
				if r.IntN(40) == 0 {
					es[0].Data = make([]byte, blockBytesMax)
				}
				c.append(es)
				list = append(list, es...)
			case 4:
				limit, bytes := first+Index(r.IntN(60)), uint64(r.IntN(3000))
				c.evict(limit, bytes)
				for len(list) > 0 && first <= limit && sizeOf(list) > bytes {
					list, first = list[1:], first+1
				}
			case 5:
				if i := first + Index(r.IntN(20)); r.IntN(4) == 0 {
					c.forget(i)
					list, first = list[min(int(i+1-first), len(list)):], i+1
				}
			case 6:
				if len(list) > 0 && r.IntN(3) == 0 {
					i := 1 + r.IntN(len(list))
					c.truncateFrom(first + Index(i))
					list = slices.Clone(list[:i])
				}
			case 7:
				if len(list) > 0 {
					from := r.IntN(len(list))
					to, bytes := from+r.IntN(len(list)-from), uint64(r.IntN(4000))
					es := c.between(first+Index(from), first+Index(to), bytes)
					want := list[from : from+1]
					for k := from + 1; k <= to && sizeOf(list[from:k+1]) <= bytes; k++ {
						want = list[from : k+1]
					}
					if !sameEntries(es, want) {
						t.Fatalf("seed %d: between %d and %d are %d entries in %d bytes, not %d", seed, first+Index(from), first+Index(to), len(es), bytes, len(want))
					}
					out = append(out, taken{es, slices.Clone(es)})
				}
			}
			if c.first != first || c.next() != first+Index(len(list)) || c.bytes != sizeOf(list) {
				t.Fatalf("seed %d: the cache goes from %d to %d, of %d bytes, and not from %d to %d, of %d", seed, c.first, c.next(), c.bytes, first, first+Index(len(list)), sizeOf(list))
			}
		}
		for _, o := range out {
			if !sameEntries(o.es, o.as) {
				t.Fatalf("seed %d: entries from %d on have changed while somebody else had them", seed, o.as[0].Index)
			}
		}
	}
}

// TestCacheForgets: what was evicted stays in memory only as long as a block does, however large entries become.
func TestCacheForgets(t *testing.T) {
	c := cache{first: 1}
	put := func(n, bytes int) {
		for range n {
			c.append([]Entry{{Index: c.next(), Data: make([]byte, bytes)}})
			c.evict(c.next(), 1<<20)
		}
	}
	held := func() (bytes uint64) {
		for _, b := range c.blocks {
			bytes += uint64(cap(b)) * 48
		}
		return bytes + c.filled
	}
	put(100_000, 10)
	put(100, 1<<20)
	if held := held(); held > 8<<20 {
		t.Errorf("a cache of 1 MiB holds %d bytes", held)
	}
}

func sizeOf(es []Entry) (bytes uint64) {
	for i := range es {
		bytes += es[i].Size()
	}
	return bytes
}

func sameEntries(a, b []Entry) bool {
	return slices.EqualFunc(a, b, func(a, b Entry) bool { return a.Index == b.Index && a.Term == b.Term && len(a.Data) == len(b.Data) })
}
