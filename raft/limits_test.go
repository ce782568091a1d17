package raft

import (
	"errors"
	"testing"
)

// TestTermLeap: a forged term would end the group's numbers for good.
func TestTermLeap(t *testing.T) {
	r := follower(t, Config{})
	var bad *BadMessageError
	for _, m := range []Message{
		RequestVote{Term: ^Term(0), CandidateID: 2},
		RequestVote{Term: 1 << 40, CandidateID: 2, PreVote: true},
		RequestVoteReply{Term: 1 << 40},
		AppendEntries{Term: 1 << 40, LeaderID: 2},
		AppendEntriesReply{Term: 1 << 40},
		TimeoutNow{Term: 1 << 40},
		InstallSnapshot{Term: 1 << 40, LeaderID: 2, LastIncludedIndex: 1, LastIncludedTerm: 1},
		ForwardProposals{Term: 1 << 40},
		ForwardReply{Term: 1 << 40},
		ReadIndex{Term: 1 << 40},
		ReadIndexReply{Term: 1 << 40},
	} {
		if err := r.Receive(2, m); !errors.As(err, &bad) {
			t.Errorf("%T of a term far ahead: %v", m, err)
		}
	}
	if r.Term() != 0 {
		t.Errorf("the term is %d", r.Term())
	}
	if err := r.Receive(2, RequestVote{Term: 1 << 30, CandidateID: 2}); err != nil || r.Term() != 1<<30 {
		t.Errorf("a term that is believable: %v, the term is %d", err, r.Term())
	}
}

// TestStuckDiskIsOverload: the followers commit without the leader's disk, and what the leader cannot save counts all the same.
func TestStuckDiskIsOverload(t *testing.T) {
	r := follower(t, Config{UncommittedBytesMax: 1000})
	for r.Status().Role != PreCandidate {
		r.Tick()
	}
	receive := func(m Message) {
		t.Helper()
		if err := r.Receive(2, m); err != nil {
			t.Fatal(err)
		}
	}
	receive(RequestVoteReply{Term: 1, VoteGranted: true, PreVote: true})
	r.Persisted(r.Effects().Save.Seq)
	receive(RequestVoteReply{Term: 1, VoteGranted: true})
	r.Persisted(r.Effects().Save.Seq)
	var last uint64
	for range 100 {
		if _, err := r.Propose(Proposal{Data: make([]byte, 68)}); err != nil {
			if !errors.Is(err, ErrOverloaded) {
				t.Fatal(err)
			}
			break
		}
		last = r.Effects().Save.Seq
		for id := NodeID(2); id <= 3; id++ {
			if err := r.Receive(id, AppendEntriesReply{Term: 1, Success: true, MatchIndex: r.Status().LastIndex}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s := r.Status(); s.LastIndex != 11 || s.CommitIndex != 11 {
		t.Errorf("ten commands of 100 bytes fit beside the blank entry: %v", s)
	}
	r.Persisted(last)
	r.Effects()
	if _, err := r.Propose(Proposal{Data: make([]byte, 68)}); err != nil {
		t.Errorf("once the disk goes on: %v", err)
	}
}

// follower is a server of three that has just started for the first time.
func follower(t *testing.T, c Config) *Raft {
	t.Helper()
	c.ID, c.Configuration, c.Rand = 1, NewConfiguration(1, 2, 3), &fixedRand{}
	r, err := New(c, LogState{First: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestInstallVoidsWhatWasNotBegun: entries that were to be applied are part of a snapshot that comes before the host has looked at them.
func TestInstallVoidsWhatWasNotBegun(t *testing.T) {
	c := newCluster(3, Config{ElectionTicks: 10})
	r, err := New(Config{ID: 1, Configuration: c.config.Configuration, Rand: &fixedRand{}},
		LogState{HardState: HardState{CurrentTerm: 1}, First: 1, Last: 2, Runs: []TermRun{{1, 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Receive(2, AppendEntries{Term: 1, LeaderID: 2, PrevLogIndex: 2, PrevLogTerm: 1, LeaderCommit: 2}); err != nil {
		t.Fatal(err)
	}
	load := r.Effects().Load[0]
	r.Loaded(load, []Entry{{Term: 1, Index: 1}, {Term: 1, Index: 2}})
	snapshot := InstallSnapshot{Term: 1, LeaderID: 2, LastIncludedIndex: 5, LastIncludedTerm: 1,
		Configuration: AppendConfiguration(nil, c.config.Configuration)}
	if err := r.Receive(2, snapshot); err != nil {
		t.Fatal(err)
	}
	if e := r.Effects(); len(e.Apply) != 0 || e.Restore == nil || e.Restore.Index != 5 {
		t.Errorf("it is to apply %v and restore %v", e.Apply, e.Restore)
	}
}
