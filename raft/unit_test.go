package raft

import (
	"strings"
	"testing"
)

// TestNewRefuses: a configuration or a log on disk that cannot work is an error, and names what is wrong.
func TestNewRefuses(t *testing.T) {
	empty := LogState{First: 1}
	for _, test := range []struct {
		want   string
		change func(*Config)
		log    LogState
	}{
		{"Config.ID is zero", func(c *Config) { c.ID = 0 }, empty},
		{"no voters", func(c *Config) { c.Configuration.Members = []Member{{ID: 1, Suffrage: Learner, Target: Learner}} }, empty},
		{"n1 does not follow n1 in ascending order", func(c *Config) { c.Configuration = NewConfiguration(1, 1) }, empty},
		{"a member has id zero", func(c *Config) { c.Configuration = NewConfiguration(0, 1) }, empty},
		{"has a change under way", func(c *Config) { c.Configuration.Members[0].Target = Learner }, empty},
		{"Config.Rand is nil", func(c *Config) { c.Rand = nil }, empty},
		{"ElectionTicks 3 is less than two heartbeats of 2", func(c *Config) { c.ElectionTicks, c.HeartbeatTicks = 3, 2 }, empty},
		{"two heartbeats of -1", func(c *Config) { c.HeartbeatTicks = -1 }, empty},
		{"Lease 5 is not less than Config.Promise 5", func(c *Config) { c.Promise, c.Promised, c.Lease = 5, 5, 5 }, empty},
		{"Promised 4 is less than Config.Promise 5", func(c *Config) { c.Promise, c.Promised, c.Lease = 5, 4, 3 }, empty},
		{"cannot span entries 0..0", nil, LogState{}},
		{"cannot span entries 3..1", nil, LogState{First: 3, Last: 1}},
		{"begins with entry 2 has term 0 before it", nil, LogState{First: 2, Last: 1, Applied: 1}},
		{"begins with entry 1 has term 1 before it", nil, LogState{First: 1, BaseTerm: 1}},
		{"applied 1, the log spans entries 3..2", nil, LogState{First: 3, Last: 2, BaseTerm: 1, Applied: 1}},
		{"applied 9, the log spans entries 3..2", nil, LogState{First: 3, Last: 2, BaseTerm: 1, Applied: 9}},
		{"entry 2 is committed, the log spans entries 1..1", nil,
			LogState{HardState: HardState{CurrentTerm: 1}, First: 1, Last: 1, Committed: 2, Runs: []TermRun{{1, 1}}}},
		{"run of term 1 cannot begin at entry 3", nil,
			LogState{HardState: HardState{CurrentTerm: 2}, First: 3, Last: 3, BaseTerm: 2, Runs: []TermRun{{1, 3}}, Applied: 2}},
		{"ends in term 2, the stored current term is 1", nil,
			LogState{HardState: HardState{CurrentTerm: 1}, First: 3, Last: 2, BaseTerm: 2, Applied: 2}},
		{"entries 1..2 has 0 runs", nil, LogState{First: 1, Last: 2}},
		{"entries 1..0 has 1 runs", nil, LogState{First: 1, Runs: []TermRun{{1, 1}}}},
		{"run of term 1 cannot begin at entry 2", nil, LogState{First: 1, Last: 2, Runs: []TermRun{{1, 2}}}},
		{"run of term 0 cannot begin at entry 1", nil, LogState{First: 1, Last: 2, Runs: []TermRun{{0, 1}}}},
		{"run of term 2 cannot begin at entry 1", nil, LogState{First: 1, Last: 2, Runs: []TermRun{{1, 1}, {2, 1}}}},
		{"run of term 2 cannot begin at entry 3", nil, LogState{First: 1, Last: 2, Runs: []TermRun{{1, 1}, {2, 3}}}},
		{"run of term 1 cannot begin at entry 2", nil, LogState{First: 1, Last: 2, Runs: []TermRun{{1, 1}, {1, 2}}}},
		{"ends in term 2, the stored current term is 1", nil,
			LogState{HardState: HardState{CurrentTerm: 1}, First: 1, Last: 2, Runs: []TermRun{{1, 1}, {2, 2}}}},
	} {
		c := Config{ID: 1, Configuration: NewConfiguration(1, 2, 3), Rand: &fixedRand{}}
		if test.change != nil {
			test.change(&c)
		}
		if _, err := New(c, test.log); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("New says %v, want %q", err, test.want)
		}
	}
}

// TestHostMistakes: what only a host that broke the contract can cause ends the process.
func TestHostMistakes(t *testing.T) {
	for _, test := range []struct {
		want string
		do   func(*cluster, *server)
	}{
		{"the clock does not fall from 7 to 6", func(_ *cluster, s *server) { s.raft.Clock(7); s.raft.Clock(6) }},
		{"save 99 was handed out", func(_ *cluster, s *server) { s.raft.Persisted(99) }},
		{"applied 1 was not applied before", func(_ *cluster, s *server) { s.raft.Applied(1) }},
		{"applied 9 was handed out", func(_ *cluster, s *server) { s.raft.Applied(9) }},
		{"entry 2 was asked for, up to 1", func(_ *cluster, s *server) { s.raft.Loaded(Load{From: 1, To: 1}, s.log) }},
		{"entry 2 of what was loaded from 1 on", func(_ *cluster, s *server) { s.raft.Loaded(Load{From: 1, To: 9}, s.log[1:]) }},
	} {
		c := newCluster(1, Config{ElectionTicks: 10})
		s := c.server(1)
		c.start(s)
		s.raft.Tick()
		c.settle(s)
		if err := c.propose(s, "x"); err != nil {
			t.Fatal(err)
		}
		c.settle(s)
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(v.(string), test.want) {
					t.Errorf("it says %v, want %q", v, test.want)
				}
			}()
			test.do(c, s)
		}()
	}
}

// TestE24NonVoterDoesNotStand: a server outside the configuration answers, and never stands for election.
func TestE24NonVoterDoesNotStand(t *testing.T) {
	c := newCluster(3, Config{ElectionTicks: 10})
	c.config.Configuration = NewConfiguration(1, 2)
	s := c.server(3)
	c.start(s)
	for range 100 {
		s.raft.Tick()
		c.settle(s)
	}
	if s.raft.role != Follower || len(c.network) != 0 {
		t.Errorf("it is a %v and sends %d messages", s.raft.role, len(c.network))
	}
}

// TestCommittedAtStart: what is known to be committed is applied at once, without a leader, and nothing beyond it.
func TestCommittedAtStart(t *testing.T) {
	s := LogState{HardState: HardState{CurrentTerm: 3}, First: 3, Last: 9, BaseTerm: 1, Applied: 4, Committed: 7, Runs: []TermRun{{1, 3}, {2, 6}}}
	r, err := New(Config{ID: 1, Configuration: NewConfiguration(1, 2, 3), Rand: &fixedRand{}}, s)
	if err != nil {
		t.Fatal(err)
	}
	e := r.Effects()
	if len(e.Load) != 1 || e.Load[0].For != 0 || e.Load[0].From != 5 || e.Load[0].To != 7 {
		t.Errorf("it begins with %+v", e.Load)
	}
	if s := r.Status(); s.CommitIndex != 7 || s.AppliedIndex != 4 {
		t.Errorf("it begins as %v", s)
	}
}

// TestLoadedTwice: entries that were handed in once are not applied again.
func TestLoadedTwice(t *testing.T) {
	c := newCluster(1, Config{ElectionTicks: 10, ApplyBytesMax: 1})
	s := c.server(1)
	s.disk = disk{hardState: HardState{CurrentTerm: 1}}
	for i := Index(1); i <= 2; i++ {
		s.disk.log = append(s.disk.log, Entry{Term: 1, Index: i})
	}
	s.manualLoad = true
	c.start(s)
	s.raft.Tick()
	c.settle(s)
	l := s.loads[0]
	s.raft.Loaded(l.Load, s.log[:1])
	s.raft.Loaded(l.Load, s.log[:1])
	c.settle(s)
	if s.applied != 1 {
		t.Errorf("applied %d", s.applied)
	}
}

// TestQueuesAreBounded: peers cannot make a server keep more and more.
func TestQueuesAreBounded(t *testing.T) {
	c := newCluster(3, Config{ElectionTicks: 10})
	for _, s := range c.servers {
		c.start(s)
	}
	s := c.server(1)
	s.manualPersist = true
	for range 2 * withheldMax {
		c.receive(&packet{from: 2, Envelope: Envelope{To: 1, Message: RequestVote{Term: 1, CandidateID: 2}}})
	}
	if n := len(s.raft.disk.withheld); n != withheldMax {
		t.Errorf("%d answers wait for the disk", n)
	}
	c.persist(s, 1)
	c.settle(s)
	if n := len(c.network); n != withheldMax || len(s.raft.disk.withheld) != 0 {
		t.Errorf("%d answers leave when the disk is done, %d stay", n, len(s.raft.disk.withheld))
	}

	l := c.server(2)
	for l.raft.role == Follower {
		l.raft.Tick()
	}
	for _, m := range []Message{RequestVoteReply{Term: 1, VoteGranted: true, PreVote: true}, RequestVoteReply{Term: 1, VoteGranted: true}} {
		c.receive(&packet{from: 3, Envelope: Envelope{To: 2, Message: m}})
	}
	for i := range 2 * readsQueuedMax {
		if err := l.raft.Receive(3, ReadIndex{Term: 1, Seq: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.raft.reads.early); n != readsQueuedMax {
		t.Errorf("%d reads wait", n)
	}
}

// TestStrings: what is printed has a form for every value.
func TestStrings(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{Event{Kind: 99}.String(), "Event(99)"},
		{RefuseReason(9).String(), "RefuseReason(9)"},
		{Candidate.String(), "candidate"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

// TestRefusalInNoTerm: a server that has just got an empty disk is in no term yet, and may refuse a pre-vote all the same. Nothing else comes from term zero.
func TestRefusalInNoTerm(t *testing.T) {
	r := follower(t, Config{})
	for _, test := range []struct {
		m    RequestVoteReply
		good bool
	}{
		{RequestVoteReply{PreVote: true}, true},
		{RequestVoteReply{PreVote: true, VoteGranted: true}, false},
		{RequestVoteReply{}, false},
	} {
		if err := r.Receive(2, test.m); (err == nil) != test.good {
			t.Errorf("%+v: %v", test.m, err)
		}
	}
}

// TestNewServerKnowsNoStrangers: who joins has got the first entries, and not yet a configuration.
func TestNewServerKnowsNoStrangers(t *testing.T) {
	r, err := New(Config{ID: 1, Rand: &fixedRand{}}, LogState{First: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Receive(2, AppendEntries{Term: 1, LeaderID: 2, LeaderCommit: 1, Entries: []Entry{{Term: 1, Index: 1}}}); err != nil {
		t.Fatal(err)
	}
	r.Persisted(r.Effects().Save.Seq)
	r.Effects()
	if err := r.Receive(3, RequestVote{Term: 1, CandidateID: 3, PreVote: true}); err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Effects().Messages {
		if reply, ok := m.Message.(RequestVoteReply); ok && reply.Stranger != 0 {
			t.Errorf("it knows no member, and takes n3 for a stranger: %+v", reply)
		}
	}
}

// TestStrangerOfLongAgo: who was removed and added again knows better than a word that comes late.
func TestStrangerOfLongAgo(t *testing.T) {
	for since, want := range map[Index]NodeID{1: 0, 2: 0, 3: 3} {
		r := follower(t, Config{})
		if err := r.Receive(2, AppendEntries{Term: 2, LeaderID: 2, LeaderCommit: 2, Entries: []Entry{{Term: 1, Index: 1}, {Term: 2, Index: 2}}}); err != nil {
			t.Fatal(err)
		}
		r.Persisted(r.Effects().Save.Seq)
		r.Effects()
		if err := r.Receive(3, RequestVoteReply{Term: 1, PreVote: true, Stranger: since}); err != nil {
			t.Fatal(err)
		}
		if got := r.Effects().Stranger; got != want {
			t.Errorf("entries up to 2 are committed, and it was no member by entry %d: n%d is believed, want n%d", since, got, want)
		}
	}
}

// received is what a server sends because of a message; what it saves is durable at once.
func received(t *testing.T, r *Raft, from NodeID, m Message) (sent []Envelope) {
	t.Helper()
	if err := r.Receive(from, m); err != nil {
		t.Fatal(err)
	}
	for {
		e := r.Effects()
		sent = append(sent, e.Messages...)
		if e.Save == nil {
			return sent
		}
		r.Persisted(e.Save.Seq)
	}
}

// TestStranger: a server that was removed is told so if its log cannot have one that made it a member again: because it is too short, or because it ends in an earlier term
// than what is committed, however long it is.
func TestStranger(t *testing.T) {
	for _, test := range []struct {
		lastTerm Term
		last     Index
		want     bool
	}{
		{2, 1, true},
		{1, 1, true},
		{1, 9, true},
		{2, 2, false},
		{2, 9, false},
	} {
		r := follower(t, Config{})
		received(t, r, 2, AppendEntries{Term: 2, LeaderID: 2, LeaderCommit: 2, Entries: []Entry{
			{Term: 2, Index: 1}, {Term: 2, Index: 2, Type: EntryConfiguration, Data: AppendConfiguration(nil, NewConfiguration(1, 2))},
		}})
		for _, m := range received(t, r, 3, RequestVote{Term: 3, CandidateID: 3, LastLogTerm: test.lastTerm, LastLogIndex: test.last, PreVote: true}) {
			if reply, ok := m.Message.(RequestVoteReply); ok && m.To == 3 && reply.Stranger != 0 {
				if !test.want {
					t.Errorf("a log that ends in %d:t%d is a stranger's", test.last, test.lastTerm)
				}
				test.want = false
			}
		}
		if test.want {
			t.Errorf("a log that ends in %d:t%d is not a stranger's", test.last, test.lastTerm)
		}
	}
}
