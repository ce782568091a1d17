package memfs

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/balsa-raft/balsa/internal/must"
)

// CrashConfig says what of the unsynced state a crash keeps.
type CrashConfig struct {
	// Probability is that of each unsynced sector, size and name to survive: 0 loses all of it, 1 keeps all of it.
	Probability float64
	// Tear is the probability of an unsynced sector that survives to do so in part only: some of its bytes, up to some place or from there on, are those
	// that were there before. The disk need not write a sector in one piece.
	Tear float64
	// Rand decides. It may be nil if Probability is 0 or 1 and Tear is 0.
	Rand *rand.Rand
}

func (c CrashConfig) keep() bool {
	if c.Probability == 0 || c.Probability == 1 {
		return c.Probability == 1
	}
	must.Be(c.Rand != nil, "a crash that keeps with probability %v has a source of randomness", c.Probability)
	return c.Rand.Float64() < c.Probability
}

// tear returns what of a change survives that is made to what is there.
func (c CrashConfig) tear(ch change, is *contents) change {
	if c.Tear == 0 || ch.sector < 0 || c.Rand.Float64() >= c.Tear {
		return ch
	}
	torn, new := *is.sector(ch.sector), ch.data
	if new == nil {
		new = &zeroes
	}
	first, behind := differ(&torn, new)
	if first == behind {
		return ch
	}
	if at := first + c.Rand.IntN(behind-first); c.Rand.IntN(4) > 0 {
		copy(torn[:at], new[:at])
	} else {
		copy(torn[at:], new[at:])
	}
	ch.data = &torn
	return ch
}

// differ returns from where and up to where two sectors have other bytes. To tear one elsewhere leaves all of one of them.
func differ(a, b *sector) (first, behind int) {
	for behind = sectorBytes; behind > 0 && a[behind-1] == b[behind-1]; behind-- {
	}
	for first < behind && a[first] == b[first] {
		first++
	}
	return first, behind
}

// CrashClone returns a possible state of the disk after the machine lost power now, without hook and locks. d goes on
// as it is.
func (d *FS) CrashClone(c CrashConfig) *FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := maps.Clone(d.durable)
	for _, o := range d.pending {
		if c.keep() {
			o.apply(names)
		}
	}
	clone := New()
	clone.capacity = d.capacity
	clone.dirs = maps.Clone(d.dirs)
	clone.names = cloneNames(names, make(map[*inode]*inode), func(n *inode) *inode {
		after := n.durable.clone()
		for _, ch := range n.unsynced {
			if c.keep() {
				c.tear(ch, &after).apply(&after)
			}
		}
		// A sector can survive beyond the size that would show it.
		after.resize(after.size)
		return &inode{now: after, durable: after.clone()}
	})
	for _, name := range sortedNames(clone.names) {
		clone.names[name].name = name
	}
	clone.durable = maps.Clone(clone.names)
	return clone
}

// KillClone returns the disk as the next process finds it after this one died: nothing is lost, nothing has become
// durable, and the locks are free. It has no hook. d goes on as it is.
func (d *FS) KillClone() *FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	clone := New()
	clone.capacity = d.capacity
	clone.dirs = maps.Clone(d.dirs)
	cloned := make(map[*inode]*inode)
	copyInode := func(n *inode) *inode {
		return &inode{now: n.now.clone(), durable: n.durable.clone(), unsynced: slices.Clone(n.unsynced), name: n.name}
	}
	clone.names = cloneNames(d.names, cloned, copyInode)
	clone.durable = cloneNames(d.durable, cloned, copyInode)
	for _, o := range d.pending {
		if o.file != nil {
			if cloned[o.file] == nil {
				cloned[o.file] = copyInode(o.file)
			}
			o.file = cloned[o.file]
		}
		clone.pending = append(clone.pending, o)
	}
	return clone
}

// cloneNames clones each file once, in the order of the names: the order in which chance is asked must not vary.
func cloneNames(names map[string]*inode, cloned map[*inode]*inode, f func(*inode) *inode) map[string]*inode {
	clone := make(map[string]*inode, len(names))
	for _, name := range sortedNames(names) {
		n := names[name]
		if cloned[n] == nil {
			cloned[n] = f(n)
		}
		clone[name] = cloned[n]
	}
	return clone
}

func sortedNames(names map[string]*inode) []string {
	return slices.Sorted(maps.Keys(names))
}
