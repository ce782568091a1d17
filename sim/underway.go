package sim

import (
	"slices"

	"github.com/balsa-raft/balsa/raft"
)

// A change of the members is under way, its leader is cut off in the middle of it, and as many servers as can be are gone for good: those that are left are
// a majority by each configuration that may be in force, and so must go on. Who may be elected is decided by who has which of them (figure 4.6).

// demandChanging checks that they serve clients, and that the change ends.
func (w *world) demandChanging() {
	leader := w.leader()
	at, cfg := w.checker.committedConfiguration(w.checker.committedTo())
	if !cfg.AtRest() || !w.checker.configurationsSettled(at) || !w.checker.isMember(cfg, leader.id) {
		return
	}
	want := leader.wants()
	if w.chance(700) {
		want = w.withAnother(want)
	}
	if i := slices.IndexFunc(want, func(m raft.Member) bool { return m.ID == leader.id }); w.chance(700) {
		want = slices.Delete(want, i, i+1)
	} else if i = w.rand.IntN(len(want)); w.chance(500) {
		want = slices.Delete(want, i, i+1)
	}
	if !slices.ContainsFunc(want, func(m raft.Member) bool { return m.Suffrage == raft.Voter }) {
		return
	}
	// Not apart: who is late would leave those that are wanted fewer for a while, and those that are left might be no majority of them.
	leader.wishFor(want, false, 0)
	w.run(w.now+w.patience()/10, w.momentOf(leader, at))
	if w.failure == nil {
		w.loseAmidChange(leader)
	}
	w.endChange()
}

// momentOf draws in which step of a change something is to happen: when its leader has a configuration that is joint, or the last one, or any, and that is not committed.
func (w *world) momentOf(leader *member, at raft.Index) func() bool {
	step := w.rand.IntN(4)
	return func() bool {
		if !leader.up {
			return true
		}
		s := leader.group.Status()
		c := s.Configuration
		if c.Index <= max(at, s.CommitIndex) {
			return false
		}
		switch step {
		case 0:
			return true
		case 1:
			return c.Joint()
		}
		return c.AtRest()
	}
}

// loseAmidChange ends some servers for good, cuts the leader off for a while, and checks that the rest goes on.
func (w *world) loseAmidChange(leader *member) {
	if !leader.up {
		return // it has been removed
	}
	gone := w.drawGone(leader)
	if len(gone) == 0 {
		return
	}
	w.network.leaveAlone(leader)
	for _, m := range w.members {
		if gone[m.id] && m.up {
			m.die(death{})
		}
	}
	w.tell("n%d is cut off, and for good are gone: %v", leader.id, gone)
	if w.chance(300) {
		leader.die(death{})
	}
	w.run(w.now+between(w.rand, 0, 2*w.knobs.electionTimeout()), nil)
	if w.failure != nil {
		return
	}
	leader.restart()
	w.network.mend()
	served := false
	for _, m := range w.members {
		if !gone[m.id] {
			w.probe(m, false, func() bool { return served }, func() { served = true })
		}
	}
	ended := func() bool {
		l := w.leader()
		if l == nil {
			return false
		}
		c := l.group.Status().Configuration
		waits := slices.ContainsFunc(c.Members, func(m raft.Member) bool {
			return m.Suffrage == raft.Learner && m.Target == raft.Voter && (gone[m.ID] || w.member(m.ID).standing != isMember)
		})
		return c.AtRest() && c.Index <= l.group.Status().CommitIndex || waits
	}
	w.run(w.now+w.patience(), func() bool { return served && ended() })
	if w.failure == nil && !(served && ended()) {
		served = true
		w.fail("Liveness", "without %v the servers are a majority by each configuration, and for %v served: %v, change ended: %v; %v; %v", gone, recoveryMax, served, ended(), w.leader(), w.members)
	}
	w.reachIf(goesOnChanging, w.failure == nil)
}

// drawGone draws who is lost: others than the leader, and so many that one more would be too many by some configuration that may be in force.
func (w *world) drawGone(leader *member) map[raft.NodeID]bool {
	var of []*member
	for _, i := range w.rand.Perm(len(w.members)) {
		if m := w.members[i]; m != leader {
			of = append(of, m)
		}
	}
	return w.mayGo(of)
}

// mayGo are as many of those as can be lost, the first ones first.
func (w *world) mayGo(of []*member) map[raft.NodeID]bool {
	gone, cfgs := make(map[raft.NodeID]bool), w.checker.mayBeInForce()
	for _, m := range of {
		if m.standing != isMember || !slices.ContainsFunc(cfgs, func(cfg raft.Configuration) bool { return w.checker.isMember(cfg, m.id) }) {
			continue
		}
		gone[m.id] = true
		here := func(id raft.NodeID) bool { return !gone[id] && w.member(id).standing == isMember }
		if slices.ContainsFunc(cfgs, func(cfg raft.Configuration) bool { return !enough(cfg, here) }) {
			delete(gone, m.id)
		}
	}
	return gone
}
