package raft

import (
	"math/bits"
	"testing"
)

// TestQuorum holds the three questions that are asked of a quorum against each other and against a plain count, for all joint configurations of up to
// five servers and all answers.
func TestQuorum(t *testing.T) {
	const n = 5
	ids := func(set uint) (ids []NodeID) {
		for i := range NodeID(n) {
			if set>>i&1 == 1 {
				ids = append(ids, i+1)
			}
		}
		return ids
	}
	in := func(set uint) func(NodeID) bool { return func(id NodeID) bool { return set>>(id-1)&1 == 1 } }
	enough := func(voters, yes uint) bool { return 2*bits.OnesCount(voters&yes) > bits.OnesCount(voters) }
	for voters := uint(1); voters < 1<<n; voters++ {
		for old := range uint(1 << n) { // none: not joint
			q := quorum{voters: ids(voters), old: ids(old)}
			for yes := range uint(1 << n) {
				want := enough(voters, yes) && (old == 0 || enough(old, yes))
				if got := q.has(in(yes)); got != want {
					t.Fatalf("%v in %v: %v", ids(yes), q, got)
				}
				if got := q.isBlocked(in(^yes)); got == want {
					t.Fatalf("all but %v refuse in %v: blocked %v", ids(yes), q, got)
				}
				reached := func(id NodeID) Index {
					if in(yes)(id) {
						return 7
					}
					return 3
				}
				if got, _ := q.index(nil, reached); (got == 7) != want {
					t.Fatalf("%v have reached 7, the others 3, in %v: %d", ids(yes), q, got)
				}
			}
		}
	}
	none := quorum{}
	if none.has(in(^uint(0))) {
		t.Error("without voters nobody is enough")
	}
}
