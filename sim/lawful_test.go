package sim

import (
	"testing"

	"github.com/balsa-raft/balsa/raft"
)

func joint(old, now raft.Configuration) raft.Configuration {
	var c raft.Configuration
	for id := raft.NodeID(1); id < 9; id++ {
		a, in := old.Member(id)
		b, out := now.Member(id)
		if in || out {
			c.Members = append(c.Members, raft.Member{ID: id, Old: max(a.Suffrage, raft.Learner), Suffrage: b.Suffrage, Target: b.Suffrage, Incarnation: 7})
		}
	}
	return c
}

func TestUnlawful(t *testing.T) {
	three, other, two := raft.NewConfiguration(1, 2, 3), raft.NewConfiguration(1, 2, 4), raft.NewConfiguration(1, 2)
	learner, voter := raft.NewConfiguration(1, 2, 3), joint(three, raft.NewConfiguration(1, 2, 3, 4))
	learner.Members = append(learner.Members, raft.Member{ID: 4, Suffrage: raft.Learner, Target: raft.Voter})
	unknown := voter
	unknown.Members = append([]raft.Member(nil), voter.Members...)
	unknown.Members[3].Incarnation = 0
	demoted := joint(three, two)
	demoted.Members[2].Suffrage, demoted.Members[2].Target, demoted.Members[2].Incarnation = raft.Learner, raft.Learner, 0
	for _, test := range []struct {
		name        string
		before, cfg raft.Configuration
		known, may  bool
	}{
		{"the same voters", three, three, true, true},
		{"another voter", three, other, true, false},
		{"one fewer", three, two, true, false},
		{"joint", three, joint(three, other), true, true},
		{"joint of others", three, joint(two, other), true, false},
		{"left when it is committed", joint(three, other), other, true, true},
		{"left before", joint(three, other), other, false, false},
		{"taken back", joint(three, other), three, false, true},
		{"left for others", joint(three, other), two, true, false},
		{"joint after joint", joint(three, other), joint(three, other), true, false},
		{"promoted", learner, voter, true, true},
		{"a first member's demotion taken back", demoted, three, false, true},
		{"promoted without a folder", learner, unknown, true, false},
	} {
		if why := unlawful(test.before, test.known, test.cfg, 1); (why == "") != test.may {
			t.Errorf("%s: %q", test.name, why)
		}
	}
}

func TestInForce(t *testing.T) {
	s := newStage()
	s.elects(1, 1, 2)
	next := raft.NewConfiguration(1, 2, 3)
	next.Change, next.Members[2].Suffrage, next.Members[2].Target = 7, raft.Learner, raft.Learner
	e := raft.Entry{Index: 2, Term: 1, Type: raft.EntryConfiguration, Data: raft.AppendConfiguration(nil, next)}
	s.checker.configurations.bases[7] = 0
	for _, id := range []raft.NodeID{1, 2} {
		s.saves(id, 1, 1, entry(1, 1, "x"), e)
	}
	s.checker.logs[1][1], s.checker.logs[1][2] = 1, 1
	s.commits(1, 1, 2)
	is := raft.Status{ID: 2, Term: 1, CommitIndex: 2}
	is.Configuration = raft.ConfigurationAt{Index: 2, Configuration: next}
	s.checker.says(s.member(2), is)
	if s.failure != nil {
		t.Fatal(s.failure)
	}
	is.Configuration = raft.ConfigurationAt{Configuration: raft.NewConfiguration(1, 2, 3)}
	s.checker.says(s.member(2), is)
	if s.failure == nil || s.failure.Property != "Members" {
		t.Errorf("an old configuration is not noticed: %v", s.failure)
	}
}
