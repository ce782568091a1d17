package raft

import "testing"

// TestLearnerIsNotPreferred: one that cannot lead does not stand in the way of one that can.
func TestLearnerIsNotPreferred(t *testing.T) {
	c := newCluster(3, Config{ElectionTicks: 10})
	ms := c.config.Configuration.Members
	ms[1].Priority = 5
	ms[2].Priority, ms[2].Suffrage, ms[2].Target = 9, Learner, Learner
	for _, s := range c.servers {
		c.start(s)
	}
	c.server(2).rand = &fixedRand{9}
	c.server(2).raft.resetElectionTimer()
	for range 100 {
		for _, s := range c.servers {
			s.raft.Tick()
			c.settle(s)
		}
		for len(c.network) > 0 {
			c.deliver(c.network[0])
		}
	}
	if l := c.server(2).raft; l.role != Leader || l.currentTerm < 2 {
		t.Errorf("n2 should have been handed the lead: %v", l.Status())
	}
}
