package host

import (
	"slices"
	"testing"

	"github.com/balsa-raft/balsa/raft"
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

	m.receive(3, raft.RequestVoteReply{Term: term, Leader: raft.Vouch{ID: 2, Incarnation: old + 1, Index: index}})
	m.work()
	if err := m.host.Admit(2, old+1); err != nil {
		t.Errorf("the folder that a voter vouches for: %v", err)
	}
	if m.host.Admit(2, old) == nil {
		t.Error("the folder of before is let in, too")
	}
	m.receive(3, raft.RequestVoteReply{Term: term, Leader: raft.Vouch{ID: 2, Incarnation: old + 2, Index: index - 1}})
	m.work()
	if m.host.Admit(2, old+2) == nil {
		t.Error("the word of an earlier configuration counts more than that of a later one")
	}

	c.network = nil
	m.receive(2, raft.RequestVote{Term: term + 9, CandidateID: 2, LastLogIndex: 99, LastLogTerm: term + 8, Transfer: true})
	m.work()
	if got := g.raft.Status().Term; got != term {
		t.Errorf("who is let in to lead asks for a vote, and the term is %d, want %d", got, term)
	}
	m.receive(2, raft.AppendEntries{Term: term + 1, LeaderID: 2, PrevLogIndex: 99, PrevLogTerm: term})
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

// TestVouchForEach: two members came back with other folders by one configuration; one leads, and then the other.
func TestVouchForEach(t *testing.T) {
	c := newCluster(t, 5).startAll()
	m := c.elect(1)
	c.settle()
	ms := m.group.Configuration().Members
	term, index := m.group.raft.Status().Term, m.group.raft.Status().CommitIndex+7
	for _, id := range []raft.NodeID{2, 3} {
		m.receive(4, raft.RequestVoteReply{Term: term, Leader: raft.Vouch{ID: id, Incarnation: ms[id-1].Incarnation + 1, Index: index}})
		m.work()
	}
	for _, id := range []raft.NodeID{2, 3} {
		if err := m.host.Admit(id, ms[id-1].Incarnation+1); err != nil {
			t.Errorf("n%d may lead, and is refused: %v", id, err)
		}
	}
}

// rechecked is a transport that asks again whenever it is told to.
type rechecked struct {
	post
	recheck func()
}

func (r rechecked) Recheck() { r.recheck() }

// TestVouchEndsWithItsConnection: a folder was let in to lead, and was removed since. When its member's own configuration says so, the connection is asked about again, by that
// configuration: else all that the folder says would count.
func TestVouchEndsWithItsConnection(t *testing.T) {
	for _, late := range []bool{false, true} {
		vouchEndsWithItsConnection(t, late)
	}
}

// late: that it is committed comes with another message.
func vouchEndsWithItsConnection(t *testing.T, late bool) {
	c := newCluster(t, 3).startAll()
	m := c.elect(1)
	c.settle()
	g := m.group
	old := g.Configuration().Members[1].Incarnation
	term, last := g.raft.Status().Term, g.raft.Status().LastIndex
	m.receive(3, raft.RequestVoteReply{Term: term, Leader: raft.Vouch{ID: 2, Incarnation: old + 1, Index: last + 1}})
	m.work()
	connected := m.host.Admit(2, old+1) == nil
	if !connected {
		t.Fatal("the folder that a voter vouches for is not let in")
	}
	m.host.transport = rechecked{post{m}, func() { connected = connected && m.host.Admit(2, old+1) == nil }}
	es := []raft.Entry{{Term: term + 1, Index: last + 1}}
	for i := range raft.Index(2) {
		cfg := g.Configuration().Configuration
		cfg.Members = slices.Clone(cfg.Members)
		cfg.Members[1].Incarnation = old + 1 + uint64(i)
		es = append(es, raft.Entry{Term: term + 1, Index: last + 2 + i, Type: raft.EntryConfiguration, Data: raft.AppendConfiguration(nil, cfg)})
	}
	brings := raft.AppendEntries{Term: term + 1, LeaderID: 3, PrevLogIndex: last, PrevLogTerm: term, Entries: es, LeaderCommit: last + 3}
	if late {
		brings.LeaderCommit = last
		m.receive(3, brings)
		m.work()
		brings = raft.AppendEntries{Term: term + 1, LeaderID: 3, PrevLogIndex: last + 3, PrevLogTerm: term + 1, LeaderCommit: last + 3}
	}
	m.receive(3, brings)
	m.work()
	if m.host.Admit(2, old+2) != nil || m.host.Admit(2, old+1) == nil {
		t.Error("its own configuration does not count")
	}
	if connected {
		t.Error("the connection of the folder that was vouched for stays")
	}
}
