package raft

import "slices"

// quorum is who has to agree: a majority of the voters, and while the configuration is joint a majority of the old ones, too. A majority of
// all of them together would not do: it can lack a majority of either (§4.3).
type quorum struct {
	voters []NodeID
	old    []NodeID // empty unless joint
}

func (c Configuration) quorum() quorum {
	return quorum{voters: c.Voters(), old: c.ids(func(m Member) bool { return m.Old == Voter })}
}

func majority(voters []NodeID) int { return len(voters)/2 + 1 }

// has reports whether those of which yes holds are enough. Only voters are asked.
func (q quorum) has(yes func(NodeID) bool) bool {
	return hasMajority(q.voters, yes) && (len(q.old) == 0 || hasMajority(q.old, yes))
}

func hasMajority(voters []NodeID, yes func(NodeID) bool) bool {
	n := 0
	for _, id := range voters {
		if yes(id) {
			n++
		}
	}
	return n >= majority(voters)
}

// isBlocked reports whether those of which no holds are so many that the others are not enough.
func (q quorum) isBlocked(no func(NodeID) bool) bool {
	return isBlocked(q.voters, no) || isBlocked(q.old, no)
}

func isBlocked(voters []NodeID, no func(NodeID) bool) bool {
	n := len(voters)
	for _, id := range voters {
		if no(id) {
			n--
		}
	}
	return n < majority(voters) && len(voters) > 0
}

// index is the largest index that enough voters have reached, where reached gives each voter's. scratch is reused to
// save the allocation.
func (q quorum) index(scratch []Index, reached func(NodeID) Index) (Index, []Index) {
	i, scratch := majorityIndex(q.voters, scratch, reached)
	if len(q.old) > 0 {
		var old Index
		old, scratch = majorityIndex(q.old, scratch, reached)
		i = min(i, old)
	}
	return i, scratch
}

func majorityIndex(voters []NodeID, scratch []Index, reached func(NodeID) Index) (Index, []Index) {
	scratch = scratch[:0]
	for _, id := range voters {
		scratch = append(scratch, reached(id))
	}
	slices.Sort(scratch)
	return scratch[len(scratch)-majority(voters)], scratch
}
