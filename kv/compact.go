package kv

// A compaction takes effect at once, by its revision alone: older revisions are refused from then on, on every member
// alike. What it makes superfluous is freed later, a little with each batch that is applied (trim), and how far that
// has come can not be told from any answer.

// change is an entry of the change log: the chain that got a version at a revision.
type change struct {
	revision int64
	chain    *chain
}

// changeLog has the changes since the last compaction, in order. It is how trim finds what to free without a search
// through all keys.
type changeLog struct {
	blocks  [][]change // all full but the last; the first has lost its first head entries
	head    int
	len     int
	trimmed int // how many from the front have had their chains trimmed; see trim
}

const changesPerBlock = 4096

// newChangeLog returns a log of n empty changes.
func newChangeLog(n int) changeLog {
	l := changeLog{len: n}
	for ; n > 0; n -= changesPerBlock {
		l.blocks = append(l.blocks, make([]change, min(n, changesPerBlock), changesPerBlock))
	}
	return l
}

func (l *changeLog) push(c change) {
	last := len(l.blocks) - 1
	if last < 0 || len(l.blocks[last]) == changesPerBlock {
		l.blocks = append(l.blocks, make([]change, 0, changesPerBlock))
		last++
	}
	l.blocks[last] = append(l.blocks[last], c)
	l.len++
}

func (l *changeLog) at(i int) change {
	i += l.head
	return l.blocks[i/changesPerBlock][i%changesPerBlock]
}

// set changes a log that nothing has been popped from.
func (l *changeLog) set(i int, c change) { l.blocks[i/changesPerBlock][i%changesPerBlock] = c }

func (l *changeLog) pop() {
	l.len--
	l.trimmed--
	l.blocks[0][l.head] = change{}
	if l.head++; l.head == changesPerBlock {
		l.blocks, l.head = l.blocks[1:], 0
	}
}

// compact applies a CompactRequest.
func (s *Store) compact(r *CompactRequest) (*CompactResponse, error) {
	switch {
	case r.Revision <= s.compacted:
		return nil, ErrCompacted
	case r.Revision > s.current:
		return nil, ErrFutureRevision
	}
	s.compacted = r.Revision
	return &CompactResponse{Revision: s.current}, nil
}

// trim frees what the last compaction made superfluous and no read in progress still needs, in at most n steps.
//
// Each change that is not newer than the floor first has its chain cut to what a read at the floor sees. Then, if it
// is older than the floor, it leaves the log, and if it was a delete its tombstone goes too: then the tombstone is the
// oldest of its chain. A tombstone exactly at the floor stays, for a watch from there still reports it.
func (s *Store) trim(n int) {
	floor := s.pins.floor(s.compacted)
	log := &s.changes
	for ; n > 0 && log.trimmed < log.len; n-- {
		c := log.at(log.trimmed)
		if c.revision > floor {
			break
		}
		s.bytes -= c.chain.trim(floor)
		log.trimmed++
	}
	for ; n > 0 && log.trimmed > 0; n-- {
		c := log.at(0)
		if c.revision >= floor {
			break
		}
		s.dropTombstone(c)
		log.pop()
	}
}

// dropTombstone drops the change's version if it is a tombstone, and the chain with its last version.
func (s *Store) dropTombstone(c change) {
	v := c.chain.oldest()
	if !v.tombstone() || v.mod != c.revision {
		return
	}
	if v != &c.chain.latest {
		s.bytes -= c.chain.older.dropFirst(1)
		return
	}
	s.bytes -= v.bytes() + chainBytes + int64(len(c.chain.key))
	s.keys.remove(c.chain)
	// The log may still have an earlier change of the same revision to this chain. By then the key may have a new
	// chain, which must not be removed for it.
	c.chain.latest = version{}
}
