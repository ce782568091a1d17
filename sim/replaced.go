package sim

import (
	"slices"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// A member is away while another one's disk is replaced: that one is removed, and comes back under its id with an empty folder. When the first is back the other leads, and is known to it
// with the folder that is lost. By chance all that seldom comes together, and then somebody else soon leads.

// absence is one.
type absence struct {
	w        *world
	away     *member
	learner  bool
	replaced []*member // they lead, one after the other
}

// demandReplaced checks that who was away hears those who lead with disks that were replaced meanwhile, and is brought forward.
func (w *world) demandReplaced() {
	a := w.drawAbsence()
	if a == nil {
		return
	}
	w.tell("n%d is away, and the disks of %d others are to be replaced", a.away.id, len(a.replaced))
	if w.chance(300) {
		a.away.die(death{})
	} else {
		w.network.leaveAlone(a.away)
	}
	for _, m := range a.replaced {
		if w.failure == nil {
			w.replaceDisk(m)
		}
	}
	if w.failure != nil || !w.handLead(a.replaced[0]) {
		return
	}
	if w.chance(500) {
		w.network.unheard = []*member{a.away}
	}
	w.network.mend()
	a.away.restart()
	a.follows(a.replaced[0], 20*w.knobs.electionTimeout())
	w.reachIf(learnerLed, w.failure == nil && a.learner)
	if w.failure == nil && w.network.unheard != nil {
		a.demandInTurn()
	}
	w.network.unheard = nil
}

// drawAbsence draws who is away, and whose disks are replaced: the rest is a majority, also when one of these has just been removed. It returns nil if there are too few.
func (w *world) drawAbsence() *absence {
	leader, voters := w.leader(), w.voters()
	a := &absence{w: w, learner: w.chance(400)}
	if len(voters) < 4 || w.chance(300) {
		a.away = w.newcomer()
	}
	for _, i := range w.rand.Perm(len(voters)) {
		switch m := voters[i]; {
		case m == leader:
		case a.away == nil && len(voters) > 3:
			a.away = m
		case len(a.replaced) < 2:
			a.replaced = append(a.replaced, m)
		}
	}
	a.replaced = a.replaced[:min(len(a.replaced), pick(w.rand, 1, 2, 2))]
	if a.away == nil {
		return nil
	}
	w.demandMembers(a.withAway)
	knows := func() bool { // also that it is a member itself: or it would stop while it is away
		return a.away.up && a.isMember() && a.knowsWhoStays() && !slices.ContainsFunc(a.replaced, func(m *member) bool {
			is, _ := a.away.group.Configuration().Member(m.id)
			return is.Incarnation != m.identity.Incarnation
		})
	}
	w.run(w.now+2*w.knobs.electionTimeout(), knows)
	if leader := w.leader(); w.failure != nil || !knows() || leader == nil || leader == a.away || slices.Contains(a.replaced, leader) {
		return nil
	}
	return a
}

// isMember reports whether who is to be away is a member, by what it goes by.
func (a *absence) isMember() bool {
	return a.w.checker.isMember(a.away.group.Configuration().Configuration, a.away.id)
}

// knowsWhoStays reports whether it knows, by what it goes by, a voter whose disk is not replaced: one of them has to tell it with which folder the others lead.
func (a *absence) knowsWhoStays() bool {
	own := a.away.group.Configuration()
	return slices.ContainsFunc(a.w.voters(), func(m *member) bool {
		is, _ := own.Member(m.id)
		return m != a.away && !slices.Contains(a.replaced, m) && own.IsVoter(m.id) && m.mayBe(is)
	})
}

// newcomer is a server that can become a member; nil if there is none.
func (w *world) newcomer() *member {
	for _, i := range w.rand.Perm(len(w.members)) {
		if m := w.members[i]; m.standing == isSpare && m.mayComeBack() {
			w.after(between(w.rand, 0, w.knobs.electionTimeout()), m.install)
			return m
		}
	}
	return nil
}

// withAway is the members with the one that is to be away.
func (a *absence) withAway(want []raft.Member) []raft.Member {
	is := raft.Member{ID: a.away.id, Suffrage: raft.Voter}
	if a.learner {
		is.Suffrage = raft.Learner
	}
	return append(without(a.away, want), is)
}

// without is the members without one, and nobody is preferred as leader: who was replaced is to go on leading.
func without(m *member, want []raft.Member) []raft.Member {
	for i := range want {
		want[i].Priority = 0
	}
	return leftOut(m, want)
}

// replaceDisk removes a member, and adds it again under its id with an empty folder.
func (w *world) replaceDisk(m *member) {
	w.demandMembers(func(want []raft.Member) []raft.Member { return without(m, want) })
	if w.failure != nil {
		return
	}
	m.recycle()
	w.after(between(w.rand, 0, w.knobs.electionTimeout()), m.install)
	w.demandMembers(func(want []raft.Member) []raft.Member {
		return append(without(m, want), raft.Member{ID: m.id, Suffrage: raft.Voter})
	})
}

// handLead has the leader hand over to a member, again and again. It reports whether that one leads.
func (w *world) handLead(to *member) bool {
	for end := w.now + 20*w.knobs.electionTimeout(); w.failure == nil && w.leader() != to && w.now < end; {
		if l := w.leader(); l != nil && len(l.handovers) == 0 {
			l.transfer(to.id)
		}
		w.run(w.now+w.knobs.electionTimeout(), func() bool { return w.leader() == to })
	}
	return w.failure == nil && w.leader() == to
}

// follows checks that who was away follows a leader within some time, if that one leads for so long.
func (a *absence) follows(leader *member, within time.Duration) (yes bool) {
	w := a.w
	hears := func() bool {
		s, is := a.away.group.Status(), leader.group.Status()
		return s.Leader == leader.id && s.Term == is.Term
	}
	w.run(w.now+within, func() bool { return w.leader() != leader || a.away.up && hears() })
	if w.failure != nil || w.leader() != leader {
		return false
	}
	if !a.away.up || !hears() {
		w.fail("Liveness", "n%d leads with another disk than before, and n%d, which was away meanwhile, does not follow it for %v: %v; %v", leader.id, a.away.id, within, a.away, leader)
	}
	return w.failure == nil
}

// demandInTurn: what it says of its log is lost, so that it stays as it is while others lead in turn. It has been told of the first, and hears it at once when that one leads again.
func (a *absence) demandInTurn() {
	w, first, second := a.w, a.replaced[0], a.replaced[len(a.replaced)-1]
	if first == second {
		voters := w.voters()
		for _, i := range w.rand.Perm(len(voters)) {
			if m := voters[i]; m != first && m != a.away {
				second = m
			}
		}
	}
	if !w.handLead(second) || !a.follows(second, 20*w.knobs.electionTimeout()) || !w.handLead(first) {
		return
	}
	soon := time.Duration(w.knobs.raft.ElectionTicks) * tick * 2 / 5 // before its own timer could have run out
	w.reachIf(ledInTurn, a.follows(first, soon) && len(a.replaced) > 1)
}

// demandReplacements makes the demands that have to do with disks that are replaced. They draw apart from all else.
func (w *world) demandReplacements() {
	w.with(w.stream(ofReplaced, 0, 0), func() {
		w.perhaps(150, w.voters, 3, w.demandReplaced)
		w.perhaps(100, w.voters, 3, w.demandLeaving)
		w.perhaps(100, w.voters, 3, w.demandLateWord)
		w.perhaps(150, w.voters, 4, w.demandOldConnected)
	})
}
