package host

import (
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// TestVouch: a member that was away knows another one with the folder that it had before it was removed and added again. On a voter's word it lets the other
// folder in, to lead it and for nothing else, until its own configuration has it.
func TestVouch(t *testing.T) {
	c := newCluster(t, 3).startAll()
	m := c.member(1)
	g := m.group
	c.elect(1)
	for id := raft.NodeID(2); id <= 3; id++ {
		m.host.Admit(id, c.member(id).host.identity.Incarnation)
	}
	c.settle()
	old := g.Configuration().Members[1].Incarnation
	term := g.raft.Status().Term
	index := g.raft.Status().CommitIndex + 7
	if m.host.Admit(2, old) != nil || m.host.Admit(2, old+1) == nil {
		t.Fatal("before anybody says so, another folder is let in")
	}

	m.host.Receive(3, []wire.Packet{{Group: testGroup, Message: raft.RequestVoteReply{Term: term, Leader: raft.Vouch{ID: 2, Incarnation: old + 1, Index: index}}}})
	m.work()
	if err := m.host.Admit(2, old+1); err != nil {
		t.Errorf("the folder that a voter vouches for: %v", err)
	}
	if m.host.Admit(2, old) == nil {
		t.Error("the folder of before is let in, too")
	}
	m.host.Receive(3, []wire.Packet{{Group: testGroup, Message: raft.RequestVoteReply{Term: term, Leader: raft.Vouch{ID: 2, Incarnation: old + 2, Index: index - 1}}}})
	m.work()
	if m.host.Admit(2, old+2) == nil {
		t.Error("the word of an earlier configuration counts more than that of a later one")
	}

	c.network = nil
	m.host.Receive(2, []wire.Packet{{Group: testGroup, Message: raft.RequestVote{Term: term + 9, CandidateID: 2, LastLogIndex: 99, LastLogTerm: term + 8, Transfer: true}}})
	m.work()
	if got := g.raft.Status().Term; got != term {
		t.Errorf("who is let in to lead asks for a vote, and the term is %d, want %d", got, term)
	}
	m.host.Receive(2, []wire.Packet{{Group: testGroup, Message: raft.AppendEntries{Term: term + 1, LeaderID: 2, PrevLogIndex: 99, PrevLogTerm: term}}})
	m.work()
	if got := g.raft.Status(); got.Term != term+1 || got.Leader != 2 {
		t.Errorf("who is let in to lead does not: %+v", got)
	}

	g.vouch.end(index - 1)
	if m.host.Admit(2, old+1) != nil {
		t.Error("the word is forgotten before its time")
	}
	g.vouch.end(index)
	if m.host.Admit(2, old) != nil || m.host.Admit(2, old+1) == nil {
		t.Error("its own configuration is as new as what it was told, and does not count")
	}
}
