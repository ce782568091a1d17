package raft

import "testing"

// TestChangeSurvivesCrashes replaces most of a cluster, and lets each server crash at each step of that: it comes back at once, or when the others
// have done without it. The change is made in the end, by whoever leads then, and nothing that was committed is lost: the checks run after every step.
func TestChangeSurvivesCrashes(t *testing.T) {
	for _, test := range []struct {
		victim NodeID
		slow   bool
	}{{1, false}, {1, true}, {2, true}, {3, true}, {4, true}, {5, true}} {
		for step := 0; changeWithCrash(t, test.victim, step, test.slow, step%2*40); step++ {
		}
	}
}

// changeWithCrash makes one change. It reports false if the change was made before the step at which the victim was to crash. Slow disks
// save one thing at a time, when no message is under way.
func changeWithCrash(t *testing.T, victim NodeID, step int, slow bool, down int) bool {
	t.Helper()
	c := newCluster(3, Config{ElectionTicks: 10, HeartbeatTicks: 1})
	c.addJoiners(2)
	for _, s := range c.servers {
		s.rand = &fixedRand{int(s.id) % 5}
		c.start(s)
	}
	act := func() bool {
		if len(c.network) > 0 {
			c.deliver(c.network[0])
			return true
		}
		for _, s := range c.servers {
			if s.raft != nil && len(s.disk.saves) > 0 {
				c.persist(s, 1)
				c.settle(s)
				return true
			}
		}
		return false
	}
	tick := func() {
		for act() {
		}
		for _, s := range c.servers {
			if s.raft != nil {
				s.raft.Tick()
				c.settle(s)
			}
		}
	}
	l := c.server(1)
	for l.raft.role != Leader || l.raft.commitIndex == 0 {
		tick()
	}
	for _, s := range c.servers {
		s.manualPersist = slow
	}
	change := Change{ID: 1, Members: NewConfiguration(1, 4, 5).Members}
	if err := c.change(l, change); err != nil {
		t.Fatal(err)
	}
	c.settle(l)
	for range step {
		if !act() {
			return false
		}
	}
	s := c.server(victim)
	c.crash(s, 0, 0)
	for range down {
		tick()
	}
	c.start(s)
	for n := 0; ; n++ {
		tick()
		var leader *server
		for _, s := range c.servers {
			if s.raft.role == Leader {
				leader = s
			}
		}
		switch {
		case n == 500:
			t.Fatalf("n%d crashes at step %d, slow disks %v, down for %d ticks: the change is not made", victim, step, slow, down)
		case leader == nil:
		case leader.raft.Configuration().Change == 0:
			if err := c.change(leader, change); err == nil { // it was lost, and is asked for again
				c.settle(leader)
			}
		case changeIsMade(c):
			return true
		}
	}
}

// changeIsMade reports whether all new voters know that they, and nobody else, are the members.
func changeIsMade(c *cluster) bool {
	for _, id := range []NodeID{1, 4, 5} {
		r := c.server(id).raft
		if at := r.Configuration(); at.String() != "(1 4 5)" || at.Index > r.commitIndex {
			return false
		}
	}
	return true
}
