package sim

import (
	"testing"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
)

// stage is a cluster of three that only says what a test has it say.
type stage struct{ *world }

func newStage() stage {
	s := stage{newWorld(Options{Seed: 1, Members: 3})}
	s.knobs.keeps = false
	for _, m := range s.members {
		m.clocks = []clockSegment{{rate: 1000}}
	}
	return s
}

func entry(i raft.Index, t raft.Term, data string) raft.Entry {
	return raft.Entry{Index: i, Term: t, Data: []byte(data)}
}

// saves makes a vote and entries durable on a member.
func (s stage) saves(id raft.NodeID, term raft.Term, vote raft.NodeID, es ...raft.Entry) {
	state := raft.HardState{CurrentTerm: term, VotedFor: vote}
	s.checker.saved(s.member(id), []wal.Save{{Group: group, HardState: state, Entries: es}})
}

func (s stage) sends(from, to raft.NodeID, m raft.Message) { s.checker.sent(s.member(from), to, m) }

// elects has a candidate win with the vote of another member; before is what its log holds.
func (s stage) elects(id raft.NodeID, term raft.Term, voter raft.NodeID, before ...raft.Entry) {
	s.saves(id, term, id, before...)
	s.sends(id, voter, raft.RequestVote{Term: term, CandidateID: id})
	s.saves(voter, term, id)
	s.sends(voter, id, raft.RequestVoteReply{Term: term, VoteGranted: true})
	s.checker.event(s.member(id), raft.Event{Kind: raft.EventLeader, Term: term, Node: id})
}

// appends has the leader of a term send entries that follow prev, which is of the same term or nothing.
func (s stage) appends(from, to raft.NodeID, term raft.Term, prev raft.Index, es ...raft.Entry) {
	m := raft.AppendEntries{Term: term, LeaderID: from, PrevLogIndex: prev, Entries: es}
	if prev > 0 {
		m.PrevLogTerm = term
	}
	s.sends(from, to, m)
}

func (s stage) acknowledges(from, to raft.NodeID, term raft.Term, match raft.Index) {
	s.sends(from, to, raft.AppendEntriesReply{Term: term, Success: true, MatchIndex: match})
}

func (s stage) commits(id raft.NodeID, term raft.Term, to raft.Index) {
	s.checker.says(s.member(id), raft.Status{ID: id, Role: raft.Leader, Term: term, CommitIndex: to})
}

func (s stage) executes(id raft.NodeID, i, previous raft.Index, t raft.Term, state, value uint64) {
	r := &register{m: s.member(id), applied: i, state: state}
	s.checker.applied(r, previous, &host.Entry{Index: i, Term: t}, value)
}

// replicates has n1, elected with n2's vote, commit an entry of term 1.
func (s stage) replicates() {
	s.elects(1, 1, 2)
	s.saves(1, 1, 1, entry(1, 1, "x"))
	s.appends(1, 2, 1, 0, entry(1, 1, "x"))
	s.saves(2, 1, 1, entry(1, 1, "x"))
	s.acknowledges(2, 1, 1, 1)
	s.commits(1, 1, 1)
	s.executes(1, 1, 0, 1, 7, 100)
}

// leads has n1 say so for some ticks, and send a heartbeat to n2 in each, if it beats.
func (s stage) leads(ticks int, is raft.Status, beats bool) {
	is.ID, is.Role, is.Peers = 1, raft.Leader, []raft.PeerStatus{{ID: 2}}
	for range ticks {
		m := s.member(1)
		m.ticks++
		if beats {
			m.beat(2)
		}
		m.followStall(is)
	}
}

// takes has n1, which leads term 1, begin to save commands of those sizes, one after the other. It may take 150 bytes, of which each entry has some of its own.
func (s stage) takes(sizes ...int) {
	s.knobs.raft.UncommittedBytesMax = 150
	m := s.member(1)
	if s.checker.leaders[1].member == 0 {
		s.elects(1, 1, 2)
	}
	var batch []wal.Save
	for k, size := range sizes {
		e := entry(m.disk.durable.last()+raft.Index(k+1), 1, string(make([]byte, size)))
		batch = append(batch, wal.Save{Group: group, HardState: raft.HardState{CurrentTerm: 1, VotedFor: 1}, Entries: []raft.Entry{e}})
	}
	m.checkQuota(batch)
	s.checker.saved(m, batch)
	for k := range batch {
		s.appends(1, 2, 1, batch[k].Entries[0].Index-1, batch[k].Entries[0])
	}
	s.checker.saved(s.member(2), batch)
}

// answers has a member answer a read that was just asked, as of entry i. n1 has executed entry 1, the others nothing.
func (s stage) answers(id raft.NodeID, a ask, i raft.Index) {
	m := s.member(id)
	if m.machine = newRegister(m); id == 1 {
		m.machine.applied = 1
	}
	s.checker.fresh(&operation{Operation: Operation{Index: i, Member: id}, m: m, ask: a, floor: s.checker.floor(m, a)}, i)
}

// TestChecker plants one fault at a time in what correct members say.
func TestChecker(t *testing.T) {
	tests := []struct {
		name string
		want string // the property that does not hold
		do   func(s stage)
	}{
		{"all is well", "", func(s stage) { s.replicates() }},
		{"two leaders of a term", "Vote Once", func(s stage) { s.elects(1, 1, 2); s.elects(3, 1, 2) }},
		{"a leader again after its restart", "Election Safety", func(s stage) {
			s.elects(1, 1, 2)
			s.member(1).incarnation++
			s.elects(1, 1, 2)
		}},
		{"a leader without votes", "Election Safety", func(s stage) {
			s.saves(1, 1, 1)
			s.checker.event(s.member(1), raft.Event{Kind: raft.EventLeader, Term: 1, Node: 1})
		}},
		{"a vote of one that lost its folder", "Vote of a Member", func(s stage) {
			first := raft.NewConfiguration(1, 2, 3)
			first.Members[1].Incarnation = 201
			s.saves(2, 1, 1, raft.Entry{Index: 1, Term: 1, Type: raft.EntryConfiguration, Data: raft.AppendConfiguration(nil, first)})
			s.member(2).commit, s.member(2).identity.Incarnation = 1, 202
			s.sends(2, 1, raft.RequestVoteReply{Term: 1, VoteGranted: true})
		}},
		{"a vote of one that is to join", "Vote of a Member", func(s stage) {
			s.member(2).joins = true
			s.saves(2, 1, 1)
			s.sends(2, 1, raft.RequestVoteReply{Term: 1, VoteGranted: true})
		}},
		{"a candidacy of one that was removed", "Vote of a Member", func(s stage) {
			s.saves(2, 1, 2, raft.Entry{Index: 1, Term: 1, Type: raft.EntryConfiguration, Data: raft.AppendConfiguration(nil, raft.NewConfiguration(1, 3))})
			s.member(2).commit = 1
			s.sends(2, 1, raft.RequestVote{Term: 1, CandidateID: 2})
		}},
		{"a candidacy of one whose removal is not committed", "", func(s stage) {
			s.saves(2, 1, 2, raft.Entry{Index: 1, Term: 1, Type: raft.EntryConfiguration, Data: raft.AppendConfiguration(nil, raft.NewConfiguration(1, 3))})
			s.sends(2, 1, raft.RequestVote{Term: 1, CandidateID: 2})
		}},
		{"a change before the first commit of a term", "Members", func(s stage) {
			s.elects(1, 1, 2)
			joint := raft.NewConfiguration(1, 2, 3)
			joint.Change = 7
			s.appends(1, 2, 1, 0, entry(1, 1, "x"), raft.Entry{Index: 2, Term: 1, Type: raft.EntryConfiguration, Data: raft.AppendConfiguration(nil, joint)})
		}},
		{"data folders before the first commit of a term", "", func(s stage) {
			s.elects(1, 1, 2)
			pinned := raft.NewConfiguration(1, 2, 3)
			pinned.Members[0].Incarnation = 101
			s.appends(1, 2, 1, 0, entry(1, 1, "x"), raft.Entry{Index: 2, Term: 1, Type: raft.EntryConfiguration, Data: raft.AppendConfiguration(nil, pinned)})
		}},
		{"AppendEntries of a member that was not elected", "Election Safety", func(s stage) {
			s.saves(1, 1, 1)
			s.appends(1, 2, 1, 0)
		}},
		{"a vote before it is durable", "Durable First", func(s stage) {
			s.sends(2, 1, raft.RequestVoteReply{Term: 1, VoteGranted: true})
		}},
		{"a candidacy before it is durable", "Durable First", func(s stage) {
			s.sends(2, 1, raft.RequestVote{Term: 1, CandidateID: 2})
		}},
		{"a term that can be forgotten", "Durable First", func(s stage) {
			s.sends(2, 1, raft.AppendEntriesReply{Term: 3})
		}},
		{"an entry acknowledged before it is durable", "Durable First", func(s stage) {
			s.elects(1, 1, 2)
			s.appends(1, 2, 1, 0, entry(1, 1, "x"))
			s.acknowledges(2, 1, 1, 1)
		}},
		{"another leader's entry acknowledged", "Durable First", func(s stage) {
			s.saves(3, 1, 0, entry(1, 1, "old"))
			s.elects(1, 2, 2)
			s.appends(1, 3, 2, 0, entry(1, 2, "new"))
			s.saves(3, 2, 0)
			s.acknowledges(3, 1, 2, 1)
		}},
		{"a leader changes its log", "Leader Append-Only", func(s stage) {
			s.elects(1, 2, 2, entry(1, 1, "x"))
			s.appends(1, 2, 2, 0, entry(1, 2, "y"))
		}},
		{"two entries of one index and term", "Log Matching", func(s stage) {
			s.saves(1, 1, 1, entry(1, 1, "x"))
			s.saves(2, 1, 1, entry(1, 1, "y"))
		}},
		{"one entry after two different ones", "Log Matching", func(s stage) {
			s.saves(1, 3, 1, entry(1, 1, "x"), entry(2, 3, "z"))
			s.saves(2, 3, 1, entry(1, 2, "y"), entry(2, 3, "z"))
		}},
		{"a commit that is on one disk", "Committed Is Durable", func(s stage) {
			s.elects(1, 1, 2)
			s.saves(1, 1, 1, entry(1, 1, "x"))
			s.commits(1, 1, 1)
		}},
		{"a commit of an earlier term's entry", "Committed Is Durable", func(s stage) {
			s.saves(2, 1, 0, entry(1, 1, "x"))
			s.elects(1, 2, 2, entry(1, 1, "x"))
			s.commits(1, 2, 1)
		}},
		{"a commitIndex that falls", "Commit Monotone", func(s stage) {
			s.replicates()
			s.commits(1, 1, 0)
		}},
		{"a leader that lacks what is committed", "Leader Completeness", func(s stage) {
			s.replicates()
			s.elects(3, 2, 2)
		}},
		{"another entry executed", "State Machine Safety", func(s stage) {
			s.replicates()
			s.saves(3, 2, 0, entry(1, 2, "y"))
			s.executes(3, 1, 0, 2, 8, 101)
		}},
		{"another state", "State Machine Safety", func(s stage) {
			s.replicates()
			s.executes(2, 1, 0, 1, 8, 100)
		}},
		{"executed before it is committed", "State Machine Safety", func(s stage) {
			s.saves(1, 1, 1, entry(1, 1, "x"))
			s.executes(1, 1, 0, 1, 7, 100)
		}},
		{"executed before it is durable", "Durable First", func(s stage) {
			s.replicates()
			s.executes(3, 1, 0, 1, 7, 100)
		}},
		{"executed twice by one process", "Applied Once", func(s stage) {
			s.replicates()
			s.executes(1, 1, 1, 1, 7, 100)
		}},
		{"one command at two places", "Exactly Once", func(s stage) {
			s.replicates()
			s.saves(1, 1, 1, entry(2, 1, "x"))
			s.saves(2, 1, 1, entry(2, 1, "x"))
			s.commits(1, 1, 2)
			s.executes(1, 2, 1, 1, 9, 100)
		}},
		{"refused and executed", "Outcome", func(s stage) {
			s.checker.wrote(&operation{Operation: Operation{Value: 100, Outcome: OutcomeRefused}})
			s.replicates()
		}},
		{"executed and refused", "Outcome", func(s stage) {
			s.replicates()
			s.checker.wrote(&operation{Operation: Operation{Value: 100, Outcome: OutcomeRefused}})
		}},
		{"applied elsewhere", "Outcome", func(s stage) {
			s.replicates()
			s.checker.wrote(&operation{Operation: Operation{Value: 100, Outcome: OutcomeApplied, Index: 2}})
		}},
		{"two answers to one command", "State Machine Safety", func(s stage) {
			s.checker.replied(100, []byte("a"))
			s.checker.replied(100, []byte("b"))
		}},
		{"another answer told", "Session", func(s stage) {
			s.replicates()
			s.checker.replied(100, []byte("a"))
			s.checker.answered(&command{Operation: Operation{Value: 100}}, &operation{Operation: Operation{Index: 1}}, []byte("b"), true)
		}},
		{"an answer told that was lost", "Session", func(s stage) {
			s.replicates()
			s.checker.replied(100, []byte("a"))
			s.checker.answered(&command{Operation: Operation{Value: 100}}, &operation{Operation: Operation{Index: 1}}, nil, false)
		}},
		{"an answer lost although there is room", "Session", func(s stage) {
			s.knobs.sessions.AnswerBytesMax = 0
			s.checker.tooMuch(&command{})
		}},
		{"executed when its session had expired", "Session", func(s stage) {
			c := &command{Operation: Operation{Value: 100}, session: 3}
			s.checker.opened(c)
			s.checker.expired(c)
			s.checker.replied(100, nil)
		}},
		{"refused in its session, and executed", "Outcome", func(s stage) {
			s.checker.refuse(100)
			s.replicates()
		}},
		{"other sessions in a snapshot", "Snapshot State", func(s stage) {
			s.checker.sessionsAt(s.member(1), 5, []byte("a"))
			s.checker.sessionsAt(s.member(2), 5, []byte("b"))
		}},
		{"a leader that goes on although its disk is stuck", "Liveness", func(s stage) {
			s.leads(4*s.knobs.raft.ElectionTicks, raft.Status{Term: 1, CommitIndex: 2, DurableIndex: 1}, true)
		}},
		{"a leader whose disk moves on", "", func(s stage) {
			for i := raft.Index(1); i < 9; i++ {
				s.leads(s.knobs.raft.ElectionTicks, raft.Status{Term: 1, CommitIndex: i + 1, DurableIndex: i}, true)
			}
		}},
		{"a leader that waits because all disks are stuck", "", func(s stage) {
			s.leads(40*s.knobs.raft.ElectionTicks, raft.Status{Term: 1, CommitIndex: 2, DurableIndex: 2}, true)
		}},
		{"a leader that takes more than its quota", "Quota", func(s stage) { s.takes(70, 30) }},
		{"a leader that takes what is large, and what is small, when nothing waits", "", func(s stage) {
			s.takes(1000)
			s.commits(1, 1, 1)
			s.takes(30, 30)
		}},
		{"a leader that is silent", "Liveness", func(s stage) {
			s.leads(s.knobs.heartbeatTicks()+4, raft.Status{Term: 1}, false)
		}},
		{"a read of the past", "Read Freshness", func(s stage) {
			s.replicates()
			s.answers(1, ask{level: linearizable}, 0)
		}},
		{"a read of the future", "Read Freshness", func(s stage) {
			s.replicates()
			s.answers(1, ask{level: linearizable}, 2)
		}},
		{"a read under a lease that misses something", "Read Freshness", func(s stage) {
			s.replicates()
			s.answers(1, ask{level: lease}, 0)
		}},
		{"a read of what the machine has not executed", "Read Freshness", func(s stage) {
			s.replicates()
			s.answers(2, ask{level: linearizable}, 1)
		}},
		{"a read before the index that was asked for", "Read Freshness", func(s stage) {
			s.replicates()
			s.answers(1, ask{level: atLeast, index: 2}, 1)
		}},
		{"a read that is as old as it may be", "", func(s stage) {
			s.now = time.Millisecond
			s.replicates()
			s.now = time.Second
			s.answers(2, ask{level: atMostOld, age: 2 * time.Second}, 0)
		}},
		{"a read that is too old", "Read Freshness", func(s stage) {
			s.now = time.Millisecond
			s.replicates()
			s.now = time.Second
			s.answers(1, ask{level: atMostOld, age: time.Second / 2}, 0)
		}},
		{"a read that is too old by a clock that is slow", "Read Freshness", func(s stage) {
			s.now = time.Millisecond
			s.replicates()
			s.now = time.Second
			s.member(2).clocks[0].rate = 600
			s.answers(2, ask{level: atMostOld, age: 590 * time.Millisecond}, 0)
		}},
		{"a read that is not too old by a clock that is slow", "", func(s stage) {
			s.now = time.Millisecond
			s.replicates()
			s.now = time.Second
			s.member(2).clocks[0].rate = 600
			s.answers(2, ask{level: atMostOld, age: 610 * time.Millisecond}, 0)
		}},
		{"a read that is too old because the machine has slept", "Read Freshness", func(s stage) {
			s.replicates()
			s.member(2).suspend(time.Second)
			s.now = time.Second
			s.answers(2, ask{level: atMostOld, age: time.Second / 2}, 0)
		}},
		{"local reads that miss something", "", func(s stage) {
			s.replicates()
			s.answers(2, ask{level: local}, 0)
			s.answers(1, ask{level: local}, 1)
		}},
		{"local reads that go back", "Read Freshness", func(s stage) {
			s.replicates()
			s.answers(1, ask{level: local}, 1)
			s.answers(1, ask{level: local}, 0)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStage()
			test.do(s)
			switch {
			case s.failure == nil && test.want != "":
				t.Errorf("nothing was found, want %s", test.want)
			case s.failure != nil && s.failure.Property != test.want:
				t.Errorf("found %v, want %q", s.failure, test.want)
			}
		})
	}
}
