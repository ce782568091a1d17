package raft

import (
	"math/rand/v2"
	"testing"
)

// clocks are the servers' clocks in a random run with leases: each goes at a speed of its own, and the ticks are late as they come.
type clocks struct {
	now    uint64 // true time, in thousandths of Nanos
	speeds map[NodeID]uint64
	ticked map[NodeID]Nanos
}

const trueTick = 1000 * tickNanos

// newClocks gives servers clocks that go too fast or too slow by up to drift of 1000, and their configuration what it needs to know of that.
func newClocks(r *rand.Rand, config *Config) *clocks {
	drift := []uint64{0, 50, 300}[r.IntN(3)]
	c := &clocks{speeds: map[NodeID]uint64{}, ticked: map[NodeID]Nanos{}}
	const servers = 32 // or fewer
	for id := NodeID(1); id <= servers; id++ {
		c.speeds[id] = 1000 - drift + min(2*drift, []uint64{0, r.Uint64N(2*drift + 1), 2 * drift}[r.IntN(3)])
	}
	config.Promise = Nanos(config.ElectionTicks * tickNanos)
	config.Promised = config.Promise
	// What is left out beside the drift is that clocks show whole numbers.
	config.Lease = max(1, config.Promise*Nanos(1000-drift)/Nanos(1000+drift)-2)
	return c
}

func (c *clocks) read(s *server) Nanos { return Nanos(c.now * c.speeds[s.id] / 1_000_000) }

// pass lets time pass everywhere.
func (c *clocks) pass(thousandths uint64) {
	if c != nil {
		c.now += thousandths
	}
}

// due reports whether a server's host is to tell it of a tick. As package host does, it makes one of a long pause.
func (c *clocks) due(s *server) bool {
	if c == nil {
		return true
	}
	now := c.read(s)
	if now < c.ticked[s.id]+tickNanos {
		return false
	}
	if c.ticked[s.id] += tickNanos; now >= c.ticked[s.id]+tickNanos {
		c.ticked[s.id] = now
	}
	return true
}

// newLeader is n1, elected in term 1 of a group by its other voters, with its clock at 0 and its first entry committed.
func newLeader(t *testing.T, c Configuration) *Raft {
	t.Helper()
	state := LogState{First: 1, Base: ConfigurationAt{Configuration: c}}
	r, err := New(Config{
		ID: 1, Configuration: NewConfiguration(1), Rand: &fixedRand{}, ElectionTicks: 10, HeartbeatTicks: 3, Promise: 100, Lease: 80, Promised: 100,
	}, state)
	if err != nil {
		t.Fatal(err)
	}
	r.members.history = append(r.members.history, ConfigurationAt{Index: 1000, Configuration: c}) // it is not committed: a joint one stays
	step := func() {
		if e := r.Effects(); e.Save != nil {
			r.Persisted(e.Save.Seq)
			r.Effects()
		}
	}
	receive := func(m Message) {
		for _, other := range c.Members {
			if other.ID != 1 && r.currentTerm <= 1 {
				if err := r.Receive(other.ID, m); err != nil {
					t.Fatal(err)
				}
			}
		}
		step()
	}
	r.Clock(0)
	for r.role == Follower {
		r.Tick()
	}
	step()
	receive(RequestVoteReply{Term: 1, VoteGranted: true, PreVote: true})
	receive(RequestVoteReply{Term: 1, VoteGranted: true})
	if r.role != Leader {
		t.Fatalf("n1 is a %v", r.role)
	}
	receive(AppendEntriesReply{Term: 1, Success: true, MatchIndex: 1})
	if r.commitIndex == 0 {
		t.Fatal("nothing is committed")
	}
	return r
}

// TestQ8LeaseOfAJointConfiguration: while two sets of voters decide, a lease takes a majority of both. Who is no voter does not count.
func TestQ8LeaseOfAJointConfiguration(t *testing.T) {
	joint := Configuration{Members: []Member{
		{ID: 1, Suffrage: Voter, Old: Voter, Target: Voter},
		{ID: 2, Old: Voter}, {ID: 3, Old: Voter},
		{ID: 4, Suffrage: Voter, Target: Voter}, {ID: 5, Suffrage: Voter, Target: Voter},
		{ID: 6, Suffrage: Learner, Target: Learner}, {ID: 7, Suffrage: Learner, Target: Learner},
	}}
	for _, test := range []struct {
		promise []NodeID
		want    bool
	}{
		{nil, false}, {[]NodeID{2, 3}, false}, {[]NodeID{4, 5}, false}, {[]NodeID{6, 7}, false}, {[]NodeID{2, 3, 6, 7}, false},
		{[]NodeID{2, 4}, true}, {[]NodeID{3, 5}, true},
	} {
		r := newLeader(t, joint)
		for _, id := range test.promise {
			m := AppendEntriesReply{Term: 1, Success: true, MatchIndex: 1, ReadSeq: 1, Promise: 100}
			if err := r.Receive(id, m); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.holdsLease(); got != test.want {
			t.Errorf("with the promises of %v: a lease %v, want %v", test.promise, got, test.want)
		}
	}
}

// TestLeaseRoundsAreFew: what is remembered of rounds does not grow with the time that nobody answers.
func TestLeaseRoundsAreFew(t *testing.T) {
	r := newLeader(t, NewConfiguration(1, 2, 3))
	for now := Nanos(1); now < 10_000; now++ {
		r.Clock(now)
		r.beginLeaseRound()
		if n := len(r.lease.rounds); n > 80 {
			t.Fatalf("%d rounds", n)
		}
	}
}
