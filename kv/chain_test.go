package kv

import (
	"math/rand"
	"slices"
	"testing"
)

// TestChain compares a chain of many blocks with a plain list, through random pushes, trims and drops.
func TestChain(t *testing.T) {
	for seed := range int64(8) {
		random := rand.New(rand.NewSource(seed))
		c := chain{key: "k"}
		var list []version
		var size, revision int64
		var made int32
		for range 200 {
			for range 1 + random.Intn(100) {
				revision += int64(random.Intn(3)) // some revisions have several
				if revision == 0 {
					revision = 1
				}
				v := version{mod: revision, number: int64(random.Intn(4)), sub: made, value: make([]byte, random.Intn(3))}
				made++
				c.push(v)
				list = append(list, v)
				size += v.bytes()
			}
			if random.Intn(5) == 0 {
				floor := revision - int64(random.Intn(2000))
				size -= c.trim(floor)
				if n := countUpTo(list, floor); n > 0 {
					list = list[n-1:]
				}
			}
			if random.Intn(5) == 0 && len(list) > 1 {
				size -= c.older.dropFirst(1)
				list = list[1:]
			}
			compareChain(t, &c, list, size, revision-int64(random.Intn(3000)))
		}
	}
}

func countUpTo(list []version, revision int64) int {
	n := slices.IndexFunc(list, func(v version) bool { return v.mod > revision })
	if n < 0 {
		return len(list)
	}
	return n
}

func compareChain(t *testing.T, c *chain, list []version, size, revision int64) {
	t.Helper()
	var got []version
	var gotSize int64
	for v := range c.from(moment{}) {
		got = append(got, *v)
		gotSize += v.bytes()
	}
	same := func(a, b version) bool { return a.sub == b.sub && a.mod == b.mod }
	if !slices.EqualFunc(got, list, same) || gotSize != size || !same(*c.oldest(), list[0]) {
		t.Fatalf("the chain has %d versions of %d bytes, want %d of %d", len(got), gotSize, len(list), size)
	}
	n := countUpTo(list, revision)
	switch v := c.newest(revision); {
	case n == 0 && v != nil, n > 0 && (v == nil || !same(*v, list[n-1])):
		t.Fatalf("at %d there is %+v, want number %d of %d", revision, v, n, len(list))
	}
	if len(list) > 0 && revision > 0 {
		some := list[int(revision)%len(list)].moment()
		compareFrom(t, c, list, []moment{some, some.next(), {revision, 0}}[revision%3])
	}
	if v := c.at(revision); n > 0 && (v == nil) != list[n-1].tombstone() {
		t.Fatalf("at %d there is %+v, want %+v", revision, v, list[n-1])
	}
}

func compareFrom(t *testing.T, c *chain, list []version, m moment) {
	t.Helper()
	var got, want []moment
	for v := range c.from(m) {
		got = append(got, v.moment())
	}
	for _, v := range list {
		if !v.before(m) {
			want = append(want, v.moment())
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("from %v there are %d versions, want %d", m, len(got), len(want))
	}
}
