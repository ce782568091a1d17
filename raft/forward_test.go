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

// TestForwardsFromAnotherFolder: a member that comes back with an empty disk has forgotten how it numbered its streams. What it sends under a smaller number is taken,
// but not what the same folder has sent before. Its first stream may have come before its folder was known. What it sends before it is a member again is not taken (seed 24005017).
func TestForwardsFromAnotherFolder(t *testing.T) {
	for _, known := range []bool{true, false} {
		forwardsFromAnotherFolder(t, known)
	}
}

func forwardsFromAnotherFolder(t *testing.T, known bool) {
	r := follower(t, Config{})
	receive := func(from NodeID, m Message) {
		t.Helper()
		if err := r.Receive(from, m); err != nil {
			t.Fatal(err)
		}
	}
	settle := func() { // n2 has everything at once
		for range 8 {
			if e := r.Effects(); e.Save != nil {
				r.Persisted(e.Save.Seq)
			}
			receive(2, AppendEntriesReply{Term: 1, Success: true, MatchIndex: r.log.last, PrevLogIndex: r.log.last})
		}
	}
	for r.Status().Role != PreCandidate {
		r.Tick()
	}
	receive(2, RequestVoteReply{Term: 1, VoteGranted: true, PreVote: true})
	r.Persisted(r.Effects().Save.Seq)
	receive(2, RequestVoteReply{Term: 1, VoteGranted: true})
	settle()
	forward := func(stream uint64, command string, taken bool) {
		t.Helper()
		last := r.log.last
		receive(3, ForwardProposals{Term: 1, Stream: stream, Seq: 1, Commands: [][]byte{[]byte(command)}})
		if got := r.log.last > last; got != taken {
			t.Errorf("%s of stream %d is taken: %v, want %v", command, stream, got, taken)
		}
		settle()
	}
	introduce := func() {
		r.Introduce(3, 301)
		settle()
	}
	if known {
		introduce()
	}
	forward(1000, "x", true)
	forward(7, "a copy", false)
	if !known {
		introduce()
	}
	for i, members := range []Configuration{NewConfiguration(1, 2), NewConfiguration(1, 2, 3)} {
		if err := r.ChangeMembers(Change{ID: uint64(i) + 1, Base: uint64(i), Members: members.Members}); err != nil {
			t.Fatal(err)
		}
		settle()
		if i == 0 {
			forward(2000, "of no member, which may have another folder", false)
		}
	}
	forward(7, "not known with which folder", false)
	forward(2000, "nor here, and the numbers go on", false)
	r.Introduce(3, 302)
	settle()
	forward(7, "y", true)
	forward(7, "a copy", false)
	forward(6, "a copy", false)
	forward(2000, "z", true)
}

// TestForwardsOfAnUndoneFolder: a member was removed and has come back with another folder, by configurations that are undone. That what its first folder had forwarded was taken
// must not be forgotten: it would be told that it was not, and forward it again.
func TestForwardsOfAnUndoneFolder(t *testing.T) {
	r := follower(t, Config{})
	receive := func(from NodeID, m Message) {
		t.Helper()
		if err := r.Receive(from, m); err != nil {
			t.Fatal(err)
		}
	}
	settle := func(to Index) (sent []Envelope) { // n2 has the entries up to there
		for range 8 {
			e := r.Effects()
			sent = append(sent, e.Messages...)
			if e.Save != nil {
				r.Persisted(e.Save.Seq)
			}
			if m := min(to, r.log.last); m > 0 {
				receive(2, AppendEntriesReply{Term: 1, Success: true, MatchIndex: m, PrevLogIndex: m})
			}
		}
		return sent
	}
	const all = 1000
	for r.Status().Role != PreCandidate {
		r.Tick()
	}
	receive(2, RequestVoteReply{Term: 1, VoteGranted: true, PreVote: true})
	r.Persisted(r.Effects().Save.Seq)
	receive(2, RequestVoteReply{Term: 1, VoteGranted: true})
	settle(all)
	r.Introduce(3, 301)
	settle(all)
	x := ForwardProposals{Term: 1, Stream: 7, Seq: 1, Commands: [][]byte{[]byte("x")}}
	receive(3, x)
	settle(all)
	if r.commitIndex < r.log.last {
		t.Fatal("x is not committed")
	}
	if err := r.ChangeMembers(Change{ID: 1, Members: NewConfiguration(1, 2).Members}); err != nil {
		t.Fatal(err)
	}
	for !r.members.inForce().Joint() {
		settle(r.log.last)
	}
	joint := r.members.inForce().Index
	settle(joint)
	if err := r.ChangeMembers(Change{ID: 2, Base: 1, Members: NewConfiguration(1, 2, 3).Members}); err != nil {
		t.Fatal(err)
	}
	settle(joint)
	r.Introduce(3, 302)
	settle(joint)
	receive(2, AppendEntries{Term: 2, LeaderID: 2, PrevLogIndex: joint, PrevLogTerm: 1, Entries: []Entry{{Term: 2, Index: joint + 1, Type: EntryNoop}}, LeaderCommit: joint})
	settle(0)
	receive(3, x)
	for _, m := range settle(0) {
		if reply, ok := m.Message.(ForwardReply); ok && reply.Seq < 1 && reply.Reason != 0 {
			t.Errorf("x is committed, and the answer is that it was never taken: %+v", reply)
		}
	}
}
