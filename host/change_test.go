package host

import (
	"errors"
	"slices"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// without3 makes n1 and n2 the members, as far as messages go until stop says so.
func without3(c *cluster, stop func() bool) *MembersChange {
	c.t.Helper()
	ch := c.elect(1).group.ChangeMembers(raft.Change{Members: raft.NewConfiguration(1, 2).Members})
	c.member(1).work()
	for range 1000 {
		if stop() || len(c.network) == 0 {
			break
		}
		l := c.network[0]
		c.network = c.network[1:]
		c.deliver(l)
		c.member(l.to).work()
	}
	if !stop() {
		c.t.Fatal("it does not come so far")
	}
	return ch
}

// TestChangeEndsWhenItIsMade: who waits for a change may switch off a server that it removes, so it has not ended before nobody counts on that one.
func TestChangeEndsWhenItIsMade(t *testing.T) {
	c := newCluster(t, 3).startAll()
	m := c.member(1)
	var ch *MembersChange
	ch = without3(c, func() bool { return m.group.committed.Change != 0 })
	expect(t, "begun", isClosed(ch.Begun()), true)
	expect(t, "at its end while "+m.group.committed.String(), isClosed(ch.Done()), false)
	c.settle()
	expect(t, "at its end", isClosed(ch.Done()), true)
	expect(t, "its outcome", ch.Err(), nil)
	expect(t, "the members", m.group.committed.String(), "(1 2)")
}

// TestRemovalThatMayBeUndone: a member stops when its removal is committed, and no sooner: until then it may be needed to undo it (figure 4.6).
func TestRemovalThatMayBeUndone(t *testing.T) {
	c := newCluster(t, 3).startAll()
	m := c.member(3)
	without3(c, func() bool {
		_, in := m.group.raft.Configuration().Member(3)
		return !in
	})
	if m.group.committed.Index == m.group.raft.Configuration().Index {
		t.Fatal("its removal is committed already")
	}
	for range 4 * m.group.raft.ElectionTicks() {
		c.network = nil
		m.tick()
	}
	if err := m.group.Err(); err != nil {
		t.Errorf("n3 stops: %v", err)
	}
}

// TestRestartKnowsTheMembers: the log behind the snapshot says who the members are.
func TestRestartKnowsTheMembers(t *testing.T) {
	c := newCluster(t, 3).startAll()
	without3(c, func() bool { return c.member(2).group.committed.String() == "(1 2)" })
	m := c.member(2)
	m.kill()
	m.start()
	if got := m.group.raft.Configuration().Voters(); !slices.Equal(got, []raft.NodeID{1, 2}) {
		t.Errorf("after a restart the voters are %v, want 1 and 2", got)
	}
}

// TestAdmit: a member that has lost its data folder is not let in by those who know the old one.
func TestAdmit(t *testing.T) {
	c := newCluster(t, 3).startAll()
	m := c.member(1)
	known := c.member(2).host.identity.Incarnation
	for _, test := range []struct {
		name        string
		peer        raft.NodeID
		incarnation uint64
		want        bool
	}{
		{"the folder that is known", 2, known, true},
		{"another folder", 2, known + 1, false},
		{"no member", 9, 1, true},
	} {
		if err := m.host.Admit(test.peer, test.incarnation); (err == nil) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	// One that comes back by a log in which it was a member before, and the leader had another folder.
	g := m.host.shard.groups[0]
	g.takesPart.Store(false)
	old := *g.configuration.Load()
	old.Members = slices.Clone(old.Members)
	old.Members[0].Incarnation = 0
	g.configuration.Store(&old)
	for _, began := range []bool{true, false} {
		g.began = began
		if err := m.host.Admit(2, known+1); (err == nil) == began {
			t.Errorf("its folder is not written down, and it began with the cluster: %v; another folder: %v", began, err)
		}
	}
}

// TestAdmitByOneThatLeaves: who is none of the members any more stands for election, and counts votes, until it knows that this is committed. A folder that one of the others had
// before it came back must not vote for it.
func TestAdmitByOneThatLeaves(t *testing.T) {
	c := newCluster(t, 3).startAll()
	m, known := c.member(3), c.member(2).host.identity.Incarnation
	without3(c, func() bool {
		_, in := m.group.raft.Configuration().Member(3)
		return !in
	})
	if err := m.host.Admit(2, known); err != nil {
		t.Errorf("the folder that is known: %v", err)
	}
	if m.host.Admit(2, known+1) == nil {
		t.Error("another folder is let in")
	}
}

// TestStrangerThatIsAMember: a new server is told late that it is no member. It stops unless a leader has spoken to it since, for that one knows better; also if the
// connection to that one has broken.
func TestStrangerThatIsAMember(t *testing.T) {
	for _, test := range []struct{ led, broken bool }{{false, false}, {true, false}, {true, true}} {
		led := test.led
		c := newCluster(t, 3)
		m := c.member(3)
		m.start()
		if led {
			m.receive(1, raft.AppendEntries{Term: 1, LeaderID: 1, PrevLogIndex: 7, PrevLogTerm: 1})
			m.work()
		}
		if test.broken {
			m.host.Unreachable(1)
			m.work()
		}
		m.receive(2, raft.RequestVoteReply{Term: 1, PreVote: true, Stranger: 1})
		m.work()
		if err := m.group.Err(); (err == nil) != led || !led && !errors.Is(err, ErrRemoved) {
			t.Errorf("a leader has spoken to it: %v, its connection has broken: %v; it says %v", led, test.broken, err)
		}
	}
}

// TestStrangerAsksOnceMore: whoever says that a server is no member may have heard less than others. However long it has heard nobody, it asks again before it stops.
func TestStrangerAsksOnceMore(t *testing.T) {
	c := newCluster(t, 3).startAll()
	c.elect(1)
	c.settle()
	m := c.member(3)
	m.alone(4 * m.group.raft.ElectionTicks())
	s := m.group.raft.Status()
	m.receive(2, raft.RequestVoteReply{Term: s.Term, PreVote: true, Stranger: s.LastIndex + 1})
	m.work()
	if asked := m.alone(2 * m.group.raft.ElectionTicks()); asked == 0 || m.group.Err() != nil {
		t.Errorf("it asks %d more times, and says %v", asked, m.group.Err())
	}
	if m.alone(1); !errors.Is(m.group.Err(), ErrRemoved) {
		t.Errorf("nobody has said anything else, and it says %v", m.group.Err())
	}
}

// TestStrangerAddedAgain: a member is told that it was removed, and then a leader speaks to it and brings it beyond that. It does not stop because it hears no leader at the next
// tick, whatever of that is committed and executed by then.
func TestStrangerAddedAgain(t *testing.T) {
	for _, test := range []struct {
		name      string
		committed raft.Index
		executed  bool
	}{{"executed", 2, true}, {"committed", 2, false}, {"in the log", 0, false}} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t, 3).startAll()
			c.elect(1)
			c.settle()
			m := c.member(3)
			g := m.group
			m.alone(4 * g.raft.ElectionTicks())
			s, is := g.raft.Status(), g.Configuration().Configuration
			without := is
			without.Members = is.Members[:2]
			m.receive(2, raft.RequestVoteReply{Term: s.Term, PreVote: true, Stranger: s.LastIndex + 1})
			m.work()
			m.stalled[PartApplier] = !test.executed
			m.receive(1, raft.AppendEntries{
				Term: s.Term, LeaderID: 1, PrevLogIndex: s.LastIndex, PrevLogTerm: s.LastTerm, LeaderCommit: s.LastIndex + test.committed, Entries: []raft.Entry{
					{Term: s.Term, Index: s.LastIndex + 1, Type: raft.EntryConfiguration, Data: raft.AppendConfiguration(nil, without)},
					{Term: s.Term, Index: s.LastIndex + 2, Type: raft.EntryConfiguration, Data: raft.AppendConfiguration(nil, is)},
				}})
			m.work()
			m.host.Unreachable(1)
			m.work()
			if got := g.raft.Status().CommitIndex; got != s.LastIndex+test.committed {
				t.Fatalf("it is told that %d entries are committed, and knows of %d", s.LastIndex+test.committed, got)
			}
			m.tick()
			if err := g.Err(); err != nil {
				t.Errorf("it stops: %v", err)
			}
		})
	}
}

// TestStrangerWhileLed: a member that hears its leader is told late that it was removed. When it is cut off after that, it does not stop.
func TestStrangerWhileLed(t *testing.T) {
	c := newCluster(t, 3).startAll()
	c.elect(1)
	c.settle()
	m := c.member(3)
	g := m.group
	m.alone(4 * g.raft.ElectionTicks())
	s := g.raft.Status()
	m.receive(1, raft.AppendEntries{Term: s.Term, LeaderID: 1, PrevLogIndex: s.LastIndex, PrevLogTerm: s.LastTerm})
	m.work()
	m.receive(2, raft.RequestVoteReply{Term: s.Term, PreVote: true, Stranger: s.LastIndex + 1})
	m.work()
	told := g.stranger
	m.alone(4 * g.raft.ElectionTicks())
	expect(t, "who has told it", told, 2)
	if err := g.Err(); err != nil {
		t.Errorf("it stops: %v", err)
	}
}

// TestStaleInDoubt: a change that a leader may have taken, whose answer was lost, may have been made before the one that is known by now. It is not said to have changed nothing.
func TestStaleInDoubt(t *testing.T) {
	m := newCluster(t, 3).startAll().member(2)
	stale := &raft.ChangeError{ID: 7, Reason: raft.ChangeStale}
	ask := func(asks int, base uint64) *MembersChange {
		ch := &MembersChange{change: raft.Change{ID: 7, Base: base}, begun: make(chan struct{}), done: make(chan struct{}), asks: asks}
		m.group.changes = append(m.group.changes, ch)
		m.group.changeAnswered(raft.ChangeAnswer{ID: 7, Err: stale})
		return ch
	}
	ch := ask(1, 0)
	expect(t, "asked once, it has ended", isClosed(ch.Done()), true)
	expect(t, "its outcome", ch.Err(), error(stale))
	ch = ask(2, 0)
	expect(t, "asked twice, it has ended before the log tells", isClosed(ch.Done()), false)
	later := raft.ConfigurationAt{Index: 9, Configuration: raft.NewConfiguration(1, 2)}
	later.Change = 8
	m.group.configured(later)
	expect(t, "it has ended when a later one is committed", isClosed(ch.Done()), true)
	expect(t, "its outcome is unknown", errors.Is(ch.Err(), ErrUnknownOutcome) && errors.Is(ch.Err(), stale), true)
	ch = ask(2, 0)
	expect(t, "asked when the log is beyond it, it has ended", isClosed(ch.Done()), true)
	expect(t, "its outcome is unknown", errors.Is(ch.Err(), ErrUnknownOutcome), true)
}

// TestRefusedWithALog: a member that is refused because of its folder stops if there is nothing in that. With a log it does not: people have to say which folder is the right one.
func TestRefusedWithALog(t *testing.T) {
	c := newCluster(t, 3).startAll()
	m := c.member(3)
	m.host.Refused(2, wire.WrongIncarnation, "another folder")
	m.work()
	if err := m.group.Err(); !errors.Is(err, ErrReplaced) {
		t.Errorf("with an empty folder: %v", err)
	}
	c.elect(1)
	c.settle()
	m = c.member(2)
	m.host.Refused(3, wire.WrongIncarnation, "another folder")
	m.work()
	if err := m.group.Err(); err != nil {
		t.Errorf("with a log: %v", err)
	}
}
