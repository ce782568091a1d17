package raft

import "testing"

// TestVouch: a voter says with which folder it knows the leader that it hears, to those whose logs cannot tell them, and only by what is committed.
func TestVouch(t *testing.T) {
	known := ConfigurationAt{Index: 2, Configuration: NewConfiguration(1, 2, 3)}
	known.Members[1].Incarnation = 22
	for _, test := range []struct {
		name     string
		commit   Index
		lastTerm Term
		last     Index
		want     Vouch
	}{
		{"a log that ends before the configuration", 3, 2, 1, Vouch{2, 22, 2}},
		{"a log that ends in an earlier term", 3, 1, 9, Vouch{2, 22, 2}},
		{"a log that may have it", 3, 2, 2, Vouch{}},
		{"a configuration that may yet be undone", 1, 1, 1, Vouch{}},
	} {
		r := follower(t, Config{})
		var got *RequestVoteReply
		received(t, r, 2, AppendEntries{Term: 2, LeaderID: 2, LeaderCommit: test.commit, Entries: []Entry{
			{Term: 2, Index: 1}, {Term: 2, Index: 2, Type: EntryConfiguration, Data: AppendConfiguration(nil, known.Configuration)}, {Term: 2, Index: 3},
		}})
		for _, m := range received(t, r, 3, RequestVote{Term: 3, CandidateID: 3, LastLogTerm: test.lastTerm, LastLogIndex: test.last, PreVote: true}) {
			if reply, ok := m.Message.(RequestVoteReply); ok && m.To == 3 {
				got = &reply
			}
		}
		switch {
		case got == nil && test.want != (Vouch{}):
			t.Errorf("%s: no answer, want %+v", test.name, test.want)
		case got != nil && (got.VoteGranted || got.Leader != test.want):
			t.Errorf("%s: %+v, want a refusal with %+v", test.name, *got, test.want)
		}
	}
}

// TestVouchIsHeard: only a voter's word counts, and only of what is not known to be committed here.
func TestVouchIsHeard(t *testing.T) {
	for _, test := range []struct {
		name  string
		from  NodeID
		index Index
		want  bool
	}{
		{"a voter's", 3, 8, true},
		{"a stranger's", 9, 8, false},
		{"of what is committed here", 3, 1, false},
	} {
		r := follower(t, Config{})
		if err := r.Receive(2, AppendEntries{Term: 1, LeaderID: 2, LeaderCommit: 1, Entries: []Entry{{Term: 1, Index: 1}}}); err != nil {
			t.Fatal(err)
		}
		r.Effects()
		want := Vouch{ID: 2, Incarnation: 22, Index: test.index}
		if err := r.Receive(test.from, RequestVoteReply{Term: 1, PreVote: true, Leader: want}); err != nil {
			t.Fatal(err)
		}
		if got := r.Effects().Vouch; (got == want) != test.want || (got == Vouch{}) == test.want {
			t.Errorf("%s word: %+v", test.name, got)
		}
	}
}

// TestLearnerAsks: a learner that hears no leader asks the voters, who may know why; and it stands for no election, whatever they say.
func TestLearnerAsks(t *testing.T) {
	c := NewConfiguration(1, 2, 3)
	c.Members[0].Suffrage, c.Members[0].Target = Learner, Learner
	r, err := New(Config{ID: 1, Configuration: c, Rand: &fixedRand{}}, LogState{First: 1})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for range 5 * r.config.ElectionTicks {
		r.Tick()
		e := r.Effects()
		if e.Save != nil {
			r.Persisted(e.Save.Seq)
		}
		for _, m := range e.Messages {
			q, ok := m.Message.(RequestVote)
			if !ok {
				continue
			}
			if asked++; !q.PreVote {
				t.Fatalf("a learner stands for election: %+v", q)
			}
			if err := r.Receive(m.To, RequestVoteReply{Term: q.Term, PreVote: true, VoteGranted: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if asked == 0 || asked > 2*5 {
		t.Errorf("in five election timeouts a learner that hears no leader has asked %d times", asked)
	}
}
