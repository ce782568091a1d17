package raft

import "slices"

// quorum is how many servers a majority of c is.
func (c Configuration) quorum() int { return len(c.Voters)/2 + 1 }

// hasQuorum reports whether the voters of which yes holds are a majority. Only voters are asked, and each once.
func (c Configuration) hasQuorum(yes func(NodeID) bool) bool {
	n := 0
	for _, id := range c.Voters {
		if yes(id) {
			n++
		}
	}
	return n >= c.quorum()
}

// quorumIndex is the largest index that a majority of voters has reached, where reached gives each voter's.
// scratch is reused to save the allocation.
func (c Configuration) quorumIndex(scratch []Index, reached func(NodeID) Index) (Index, []Index) {
	scratch = scratch[:0]
	for _, id := range c.Voters {
		scratch = append(scratch, reached(id))
	}
	slices.Sort(scratch)
	return scratch[len(scratch)-c.quorum()], scratch
}
