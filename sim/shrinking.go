package sim

import (
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// A cluster is made as small as can be, and its leader is alone with the new voters in the middle of that: while the configuration is joint, or when what is left in force is the leader alone.

// demandShrinking makes these demands. They draw apart from all else, and come last: fewer servers are left.
func (w *world) demandShrinking() {
	w.with(w.stream(ofLasting, 1, 0), func() {
		w.perhaps(100, w.voters, 3, w.demandOldMajority)
		w.perhaps(150, w.voters, 2, w.demandAlone)
	})
}

// shrinks has the leader asked to go on alone, and waits until a configuration of that change is in force there for which ready holds. It reports whether that came about.
func (w *world) shrinks(leader *member, ready func(raft.ConfigurationAt) bool) bool {
	at, cfg := w.checker.committedConfiguration(w.checker.committedTo())
	if !cfg.AtRest() || !w.checker.configurationsSettled(at) || !cfg.IsVoter(leader.id) {
		return false
	}
	leader.wishFor([]raft.Member{{ID: leader.id, Suffrage: raft.Voter}}, false, 0)
	shrunk := func() bool { // and it has not handed over meanwhile: then the others have it, too
		c := leader.group.Configuration()
		return leader.group.Status().Role == raft.Leader && c.Index > at && ready(c)
	}
	w.run(w.now+w.patience()/10, func() bool { return !leader.up || shrunk() })
	return w.failure == nil && leader.up && shrunk()
}

// demandOldMajority checks that a leader resigns that has begun to leave out a majority of the voters, and does not hear them before that is committed. They have not heard of it, and go on with another leader.
func (w *world) demandOldMajority() {
	leader, voters := w.leader(), w.voters()
	cfg := leader.group.Configuration().Configuration
	term := leader.group.Status().Term
	begins := func(c raft.ConfigurationAt) bool {
		s := leader.group.Status()
		return c.Joint() && c.Index > s.CommitIndex && s.Term == term // or it leads again, and another one has told the others in between
	}
	if w.shrinks(leader, begins) {
		w.network.leaveAlone(leader)
		w.network.severedAt = w.now // the change is on its way to those who are not to hear of it
		w.tell("n%d is a majority of the new voters, and hears none of the old ones; %v", leader.id, w.network)
		w.expectResigned(leader)
		if w.failure == nil {
			w.reach(oldMajorityGoesOn)
			w.demandNext(leader, voters, cfg)
		}
	}
	w.endChange()
}

// demandAlone checks that a leader answers those who read there all the while when its change leaves it alone, and the others are switched off at once.
func (w *world) demandAlone() {
	leader, reading := w.leader(), true
	var read func()
	read = func() {
		if reading && leader.up && w.knobs.readPart > 0 {
			w.clients.begin(w.clients.read(-1, leader, 0, ask{level: linearizable}))
			w.after(5*time.Millisecond, read)
		}
	}
	read()
	if alone := w.shrinks(leader, func(c raft.ConfigurationAt) bool { return len(c.Members) == 1 }); alone {
		w.network.leaveAlone(leader)
		w.network.severedAt = w.now // nobody answers any more
		w.tell("n%d is all that is left", leader.id)
		w.reach(readsAlone)
	}
	reading = false
	w.run(w.now+w.patience(), func() bool { return len(leader.waits) == 0 })
	if w.failure == nil && leader.up && len(leader.waits) > 0 {
		w.fail("Liveness", "n%d was left alone by a change, and for %v %v is not answered: %v", leader.id, recoveryMax, leader.waits[0], leader)
	}
	w.endChange()
}

// expectResigned waits until a leader without a majority must have resigned.
func (w *world) expectResigned(leader *member) {
	term := leader.group.Status().Term
	leads := func() bool { s := leader.group.Status(); return s.Role == raft.Leader && s.Term == term }
	const slack = 3 // ticks: of what is under way, and of the timer
	w.run(w.now+time.Duration(w.knobs.raft.ElectionTicks+slack)*tick*1000/time.Duration(leader.rate), func() bool { return !leads() })
	if w.failure == nil && leads() {
		w.fail("Liveness", "n%d has had no majority for an election timeout, and leads: %v; %v", leader.id, leader, w.network)
	}
}
