package raft

import (
	"fmt"
	"testing"
)

// TestT15_ForwardsToADeafLeader: a follower hears its leader, and is not heard, for 1,000 ticks. It sends what waits less and less often, and when it is heard
// again each command is appended once.
func TestT15_ForwardsToADeafLeader(t *testing.T) {
	const commands, ticks = 100, 1000
	w := &world{cluster: newCluster(3, Config{ElectionTicks: 10, HeartbeatTicks: 1})}
	w.showSends = false
	for _, s := range w.servers {
		w.start(s)
	}
	leader, follower := w.server(1), w.server(2)
	pass := func(n int) {
		for range n {
			for _, s := range w.servers {
				s.raft.Tick()
				w.settle(s)
			}
			w.deliverAll()
		}
	}
	for leader.raft.role != Leader {
		leader.raft.Tick()
		w.settle(leader)
		w.deliverAll()
	}
	w.cut[link{follower.id, leader.id}] = true
	for i := range commands {
		if err := w.propose(follower, fmt.Sprint("c", i)); err != nil {
			t.Fatal(err)
		}
		w.settle(follower)
	}
	pass(ticks)
	if sent := w.seen["forwards sent again"]; sent == 0 || sent > ticks/10+5 { // no more often than an election timeout
		t.Errorf("it has sent %d messages again in %d ticks", sent, ticks)
	}
	if follower.raft.leader != leader.id {
		t.Fatalf("n%d follows n%d", follower.id, follower.raft.leader)
	}
	clear(w.cut)
	pass(50)
	for i := range commands {
		if !w.isCommitted(fmt.Sprint("c", i)) {
			t.Fatalf("command %d is not committed", i)
		}
	}
	if f := &follower.raft.forwards; len(f.kept) > 0 || f.bytes > 0 {
		t.Errorf("it still keeps %d messages of %d bytes", len(f.kept), f.bytes)
	}
}

// TestForwardsOfStrangers: servers that are no members leave nothing behind, and hear nothing.
func TestForwardsOfStrangers(t *testing.T) {
	r := follower(t, Config{})
	for id := NodeID(4); id < 1000; id++ {
		if err := r.Receive(id, ForwardProposals{Term: 1, Stream: 1, Seq: 1, Commands: [][]byte{[]byte("x")}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.inflow.streams); n > 0 {
		t.Errorf("it remembers %d streams", n)
	}
	if e := r.Effects(); len(e.Messages) > 0 {
		t.Errorf("it answers: %v", e.Messages[0])
	}
}
