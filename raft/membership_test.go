package raft

import (
	"errors"
	"strings"
	"testing"
)

// TestCommittedJointConfigurationIsLeft: it cannot be taken back, not even in the moment between its commit and the next effects. And what is appended
// as long as nobody looks is one configuration after the other.
func TestCommittedJointConfigurationIsLeft(t *testing.T) {
	c := newCluster(3, Config{ElectionTicks: 10, HeartbeatTicks: 1})
	for _, s := range c.servers {
		c.start(s)
	}
	l := c.server(1)
	for l.raft.commitIndex == 0 {
		l.raft.Tick()
		c.settle(l)
		for len(c.network) > 0 {
			c.deliver(c.network[0])
		}
	}
	if err := c.change(l, Change{ID: 1, Members: NewConfiguration(1, 2).Members}); err != nil {
		t.Fatal(err)
	}
	c.settle(l)
	for !l.raft.Configuration().Joint() {
		c.deliver(c.network[0])
	}
	joint := l.raft.Configuration().Index
	for id := NodeID(2); id <= 3; id++ {
		m := AppendEntriesReply{Term: l.raft.Term(), Success: true, MatchIndex: joint}
		if err := l.raft.Receive(id, m); err != nil {
			t.Fatal(err)
		}
	}
	if l.raft.commitIndex < joint {
		t.Fatal("it is not committed")
	}
	err := c.change(l, Change{ID: 2, Base: 1, Members: NewConfiguration(1, 2, 3).Members})
	if refused := (*ChangeError)(nil); !errors.As(err, &refused) || refused.Reason != ChangeBusy {
		t.Errorf("a committed joint configuration is taken back: %v", err)
	}
	l.raft.Effects()
	if got := l.raft.Configuration().String(); got != "(1 2)" {
		t.Errorf("the next effects leave it for %s", got)
	}
}

// TestBadChanges: what no correct server passes on has no effect.
func TestBadChanges(t *testing.T) {
	r := follower(t, Config{})
	for _, test := range []struct {
		m    Message
		want string
	}{
		{ForwardChange{Change: Change{ID: 1}}, "term or change zero"},
		{ForwardChange{Term: 1}, "term or change zero"},
		{ForwardChange{Term: 1, Change: Change{ID: 1, Members: []Member{{Suffrage: Voter}}}}, "cannot want n0"},
		{ForwardChange{Term: 1, Change: Change{ID: 1, Members: []Member{{ID: 1, Suffrage: 3}}}}, "Suffrage(3)"},
		{ForwardChangeReply{ID: 1}, "term zero"},
		{AppendEntries{Term: 1, LeaderID: 2, Entries: []Entry{{Term: 1, Index: 1, Type: EntryConfiguration}}}, "entry 1 is no configuration"},
		{AppendEntries{Term: 1, LeaderID: 2, Entries: []Entry{{Term: 1, Index: 1, Type: EntryConfiguration,
			Data: AppendConfiguration(nil, Configuration{})}}}, "entry 1 is no configuration"},
		{InstallSnapshot{Term: 1, LeaderID: 2, LastIncludedIndex: 1, LastIncludedTerm: 1}, "too short"},
	} {
		err := r.Receive(2, test.m)
		if bad := (*BadMessageError)(nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.m, err, test.want)
		}
	}
	if r.Term() != 0 {
		t.Errorf("the term is %d", r.Term())
	}
}

// TestChangeWaits: who leads says what a change waits for, and others that it is for the leader.
func TestChangeWaits(t *testing.T) {
	r := follower(t, Config{})
	pending := NewConfiguration(1, 2, 3)
	pending.Members[2].Target = NonMember
	m := AppendEntries{Term: 1, LeaderID: 2, Entries: []Entry{{Term: 1, Index: 1, Type: EntryConfiguration, Data: AppendConfiguration(nil, pending)}}}
	if err := r.Receive(2, m); err != nil {
		t.Fatal(err)
	}
	if got := r.Status().ChangeWaits; got != "for the leader" {
		t.Errorf("a follower says: %s", got)
	}
}

// TestRefusedChangeStaysRefused: who passed on a change that was refused was told that nothing has changed. A copy that comes late, when the reason is gone, does not begin it.
func TestRefusedChangeStaysRefused(t *testing.T) {
	c := newCluster(3, Config{ElectionTicks: 10, HeartbeatTicks: 1})
	for _, s := range c.servers {
		c.start(s)
	}
	l := c.server(1)
	for l.raft.commitIndex == 0 || l.raft.ticks-l.raft.ledSince <= 10 {
		l.raft.Tick()
		c.settle(l)
		for len(c.network) > 0 {
			if m := c.network[0]; m.from == 3 || m.To == 3 {
				c.network = c.network[1:]
				continue
			}
			c.deliver(c.network[0])
		}
	}
	m := ForwardChange{Term: l.raft.Term(), Change: Change{ID: 1, Members: NewConfiguration(1, 3).Members}}
	ask := func(m ForwardChange) ForwardChangeReply {
		t.Helper()
		if err := l.raft.Receive(2, m); err != nil {
			t.Fatal(err)
		}
		for _, e := range l.raft.effects.Messages {
			if reply, ok := e.Message.(ForwardChangeReply); ok {
				l.raft.effects.Messages = nil
				return reply
			}
		}
		t.Fatal("there is no answer")
		return ForwardChangeReply{}
	}
	if got := ask(m); got.Reason != ChangeUnreachable {
		t.Fatalf("n3 was not heard, and the answer is %+v", got)
	}
	for id := uint64(2); id <= refusalsMax; id++ {
		ask(ForwardChange{Term: m.Term, Change: Change{ID: id, Members: m.Change.Members}})
	}
	if err := l.raft.Receive(3, AppendEntriesReply{Term: m.Term, Success: true, MatchIndex: l.raft.log.last}); err != nil {
		t.Fatal(err)
	}
	if got := ask(m); got.Reason != ChangeUnreachable || l.raft.Configuration().Index != 0 {
		t.Errorf("a copy is answered with %+v, and %v is in force", got, l.raft.Configuration())
	}
	another := ForwardChange{Term: m.Term, Change: Change{ID: 1000, Members: m.Change.Members}}
	if got := ask(another); got.Reason != 0 || len(l.raft.refusals) != refusalsMax {
		t.Errorf("another change of that kind is answered with %+v, and %d refusals are remembered", got, len(l.raft.refusals))
	}
	l.raft.becomeFollower(0)
	if l.raft.refusals != nil {
		t.Error("refusals outlive the office")
	}
}
