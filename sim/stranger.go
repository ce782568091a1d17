package sim

import (
	"slices"

	"github.com/balsa-raft/balsa/raft"
)

// demandLasting makes demands that hold whatever stays wrong for good. They draw apart from all else.
func (w *world) demandLasting() {
	w.with(w.stream(ofLasting, 0, 0), func() {
		w.perhaps(200, w.voters, 3, w.demandOverOutdated)
		w.perhaps(300, w.voters, 3, w.demandLongest)
		w.perhaps(250, w.voters, 3, w.demandChanging)
		w.perhaps(150, w.voters, 3, func() { w.demandSlowDisks(18, slowTimeouts) })
		w.perhaps(150, w.voters, 3, w.demandStranger)
		w.perhaps(150, w.voters, 3, w.demandLateVoter)
		w.perhaps(150, w.voters, 3, w.demandComebackTwice)
		w.perhaps(100, w.voters, 3, w.demandOtherBetween)
		if w.knobs.compaction.LogBytes > 0 {
			w.perhaps(100, w.voters, 3, w.demandFirstWord)
			w.perhaps(100, w.voters, 3, w.demandSentLater)
		}
		w.perhaps(100, w.voters, 3, func() { w.demandSlowDisks(24, slowerTimeouts) })
	})
}

// demandStranger checks that a leader that is cut off with much that nobody else has, and is removed meanwhile, is told so when it is back, and stops: its log is longer than that
// of those who removed it.
func (w *world) demandStranger() {
	stranger, before := w.leader(), w.leader().group.Status()
	if !before.Configuration.AtRest() || before.Configuration.Index > before.CommitIndex {
		return
	}
	w.network.leaveAlone(stranger)
	w.tell("n%d is cut off, and will be removed", stranger.id)
	const many = 30
	was := w.knobs.valueBytes
	w.knobs.valueBytes = 0 // small ones, or a leader would soon take no more
	for range many {
		w.clients.begin(w.clients.write(-1, stranger, 0))
	}
	w.knobs.valueBytes = was
	for end := w.now + w.patience(); w.failure == nil && !stranger.replaced(); {
		if w.now >= end {
			w.fail("Liveness", "n%d is cut off for %v, and the others do not remove it: %v", stranger.id, recoveryMax, w.leader())
			return
		}
		if l := w.leader(); l != nil && l != stranger && len(l.wishes) == 0 {
			l.wish(slices.DeleteFunc(l.wants(), func(m raft.Member) bool { return m.ID == stranger.id }), false)
		}
		w.run(w.now+w.knobs.electionTimeout(), stranger.replaced)
	}
	if w.failure == nil && w.chance(700) {
		w.run(w.now+5*w.knobs.electionTimeout(), nil) // for as long its successor goes on to tell it, if the link is whole
	}
	if w.failure != nil {
		return
	}
	long := stranger.up && stranger.group.Status().LastIndex >= w.leaderConfigurationIndex()
	w.network.mend()
	w.demandGone()
	w.reachIf(strangerIsTold, w.failure == nil && long)
	w.endWishes(w.now)
}

func (w *world) leaderConfigurationIndex() raft.Index {
	if l := w.leader(); l != nil {
		return l.group.Status().Configuration.Index
	}
	return 0
}
