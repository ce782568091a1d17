package raft

import "testing"

// TestOneStallIsOneAttempt: a leader whose disk is stuck, and whose successor does not catch up, has tried once to hand over, so that the next time it
// waits twice as long and not four times.
func TestOneStallIsOneAttempt(t *testing.T) {
	r := newLeader(t, NewConfiguration(1, 2, 3))
	hears := func(match Index) {
		for _, id := range []NodeID{2, 3} {
			if err := r.Receive(id, AppendEntriesReply{Term: 1, Success: true, MatchIndex: match}); err != nil {
				t.Fatal(err)
			}
		}
		r.Effects()
	}
	for range 2 {
		if _, err := r.Propose(Proposal{Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	r.Effects() // nothing is Persisted any more
	for range 4 * r.config.ElectionTicks {
		if r.role != Leader {
			break
		}
		hears(2) // and never entry 3
		r.Tick()
	}
	if r.role == Leader || r.stalls.n != 1 {
		t.Errorf("a %v after %d attempts, want a follower after 1", r.role, r.stalls.n)
	}
}
