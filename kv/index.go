package kv

import "github.com/tidwall/btree"

// index finds chains: by key, which is what most operations want, in a hash map, and in the order of keys in a tree.
// Overwrites and deletes touch neither; only a key's first put and its last trim do.
type index struct {
	byKey  map[string]*chain
	sorted btree.Map[string, *chain]
}

func (x *index) find(key []byte) *chain { return x.byKey[string(key)] }

func (x *index) add(c *chain) {
	x.byKey[c.key] = c
	x.sorted.Set(c.key, c)
}

// load adds a chain whose key is greater than all others. It is not found by its key before loaded.
func (x *index) load(c *chain) { x.sorted.Load(c.key, c) }

// loaded ends a series of loads. Only now their number is known, and growing the map to it would take half the time
// of a restore.
func (x *index) loaded() {
	x.byKey = make(map[string]*chain, x.sorted.Len())
	x.ascend("", func(c *chain) bool {
		x.byKey[c.key] = c
		return true
	})
}

func (x *index) remove(c *chain) {
	delete(x.byKey, c.key)
	x.sorted.Delete(c.key)
}

// ascend calls visit with the chains from key on, in order, until it returns false.
func (x *index) ascend(key string, visit func(*chain) bool) {
	x.sorted.Ascend(key, func(_ string, c *chain) bool { return visit(c) })
}
