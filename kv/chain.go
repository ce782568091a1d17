package kv

import "sort"

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

// bytes is what the version counts for in Store.Size.
func (v *version) bytes() int64 { return versionBytes + int64(len(v.value)) }

// versionBytes and chainBytes are about what a version and a key cost besides the bytes of the value and the key.
const (
	versionBytes = 64
	chainBytes   = 128
)

// chain is a key with its versions. The latest is inline: most keys have one, and most reads want it.
type chain struct {
	key    string
	latest version
	older  []version // ascending
}

// at returns the version that a read at the revision sees, or nil if the key is not there at that time.
func (c *chain) at(revision int64) *version {
	v := &c.latest
	if v.mod > revision {
		n := c.countUpTo(revision)
		if n == 0 {
			return nil
		}
		v = &c.older[n-1]
	}
	if v.tombstone() {
		return nil
	}
	return v
}

// countUpTo returns how many of the older versions are from the revision or before.
func (c *chain) countUpTo(revision int64) int {
	return sort.Search(len(c.older), func(i int) bool { return c.older[i].mod > revision })
}

// push makes v the latest version.
func (c *chain) push(v version) {
	if c.latest.mod != 0 {
		c.older = append(c.older, c.latest)
	}
	c.latest = v
}

// oldest returns the oldest version that is still held.
func (c *chain) oldest() *version {
	if len(c.older) > 0 {
		return &c.older[0]
	}
	return &c.latest
}

// trim drops the versions that no read at floor or later sees, and returns the bytes it freed. It keeps a tombstone
// if that is what a read at floor finds.
func (c *chain) trim(floor int64) int64 {
	n := len(c.older)
	if c.latest.mod > floor {
		n = c.countUpTo(floor) - 1
	}
	if n <= 0 {
		return 0
	}
	return c.drop(n)
}

// drop drops the n oldest of the older versions and returns the bytes it freed.
func (c *chain) drop(n int) int64 {
	var freed int64
	for i := range c.older[:n] {
		freed += c.older[i].bytes()
	}
	switch rest := len(c.older) - n; {
	case rest == 0:
		c.older = nil
	case rest <= n:
		c.older = append(make([]version, 0, rest), c.older[n:]...)
	default:
		clear(c.older[:n]) // or else the array under the slice would keep the values alive
		c.older = c.older[n:]
	}
	return freed
}
