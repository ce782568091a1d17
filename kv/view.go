package kv

import "sync"

// view is a consistent picture of the store: what it holds between begin and end does not change, though the lock is
// given up now and then in between. Versions that are newer than current are not looked at, those that it needs are
// pinned against trim.
//
// The command being applied has a view too, and is the only one that changes the store, with versions of the
// revision after s.current: no other view sees them before the command is done.
type view struct {
	s         *Store
	keys      *index
	current   int64 // the revision of the latest that it sees
	compacted int64
	applying  bool // it belongs to the command being applied, so the lock it holds is exclusive
	pinned    bool
}

// scanChunk is how many keys a scan visits before it lets others have the lock: about 50 us.
const scanChunk = 256

// begin begins a view of the store as it is. The caller ends it.
func (s *Store) begin() view {
	s.mu.RLock()
	return view{s: s, keys: s.keys, current: s.current, compacted: s.compacted}
}

func (v *view) end() {
	v.s.mu.RUnlock()
	v.unpin()
}

// pause lets others have the lock.
func (v *view) pause() {
	if v.applying {
		v.s.yield()
		return
	}
	v.pin()
	v.s.mu.RUnlock()
	v.s.mu.RLock()
}

// pin keeps what the view needs from being trimmed when the lock is given up. While it is held nothing can have been
// trimmed beyond v.compacted.
func (v *view) pin() {
	if !v.pinned {
		v.s.pins.add(v.compacted)
		v.pinned = true
	}
}

// unpin ends what pin began. It needs no lock.
func (v *view) unpin() {
	if v.pinned {
		v.s.pins.remove(v.compacted)
		v.pinned = false
	}
}

// scan calls visit with each key of a range that is there at the revision, in order, until it returns false.
func (v *view) scan(key, rangeEnd []byte, revision int64, visit func(*chain, *version) bool) {
	if len(rangeEnd) == 0 {
		if c := v.keys.find(key); c != nil {
			if ver := c.at(revision); ver != nil {
				visit(c, ver)
			}
		}
		return
	}
	bounded := len(rangeEnd) != 1 || rangeEnd[0] != 0
	end := string(rangeEnd)
	v.chains(string(key), func(c *chain) bool {
		if bounded && c.key >= end {
			return false
		}
		ver := c.at(revision)
		return ver == nil || visit(c, ver)
	})
}

// chains calls visit with each chain from a key on, in order, until it returns false.
func (v *view) chains(from string, visit func(*chain) bool) {
	for more := true; more; {
		more = false
		n := 0
		v.keys.ascend(from, func(c *chain) bool {
			if n == scanChunk {
				from, more = c.key, true
				return false
			}
			n++
			return visit(c)
		})
		if more {
			v.pause()
		}
	}
}

// pins are the revisions that views in progress may still read at, or from.
type pins struct {
	mu  sync.Mutex
	set map[int64]int // how many views, by revision
}

func (p *pins) add(revision int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.set == nil {
		p.set = map[int64]int{}
	}
	p.set[revision]++
}

func (p *pins) remove(revision int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.set[revision]--; p.set[revision] == 0 {
		delete(p.set, revision)
	}
}

// floor returns the lowest of the pins and revision.
func (p *pins) floor(revision int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for r := range p.set {
		revision = min(revision, r)
	}
	return revision
}
