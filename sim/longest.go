package sim

import (
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// A majority that is well but slow: one of it alone has the log to be elected, the others' messages reach it late, and its timers run out later than theirs, by their clocks. Each of its
// candidacies takes longer than the others wait, so none succeeds if who cannot win raises the term meanwhile. Pre-votes that are as strict as votes
// keep them from it. The links are for good: it is no matter of waiting.

// demandLongest checks that such a one comes to lead, and serves clients.
func (w *world) demandLongest() {
	leader, voters := w.leader(), w.voters()
	if w.knobs.drift < longestDrift || len(voters)%2 == 0 {
		return
	}
	w.run(w.mendedAt+w.knobs.lateMax, nil) // a pre-vote that was granted long ago may still elect somebody
	know, behind := []*member{leader}, []*member(nil)
	for _, i := range w.rand.Perm(len(voters)) {
		switch m := voters[i]; {
		case m == leader:
		case len(know) <= len(voters)/2:
			know = append(know, m)
		default:
			behind = append(behind, m)
		}
	}
	if !w.leaveBehind(leader, know, behind) {
		return
	}
	longest := know[w.rand.IntN(len(know))]
	for _, m := range know {
		if m != longest {
			m.die(death{})
		}
	}
	late := time.Duration(w.knobs.raft.ElectionTicks) * tick * 29 / 20 // of what is 20/12 by its clock, and at most 20/14 twice by theirs
	longest.setRate(1000 - w.knobs.drift)
	w.network.mend()
	for _, m := range behind {
		m.setRate(1000 + w.knobs.drift)
		w.network.link(m.id, longest.id).slow(late, never64)
	}
	w.tell("n%d alone can be elected, and is heard by n%v at once, and hears them after %v", longest.id, behind, late)
	served, over := false, false
	w.probe(longest, false, func() bool { return served || over }, func() { served = true })
	w.run(w.now+longestTimeouts*w.knobs.electionTimeout(), func() bool { return served })
	if over = true; w.failure == nil && !served {
		w.fail("Liveness", "n%d alone has the log to be elected, hears the others late, and serves no clients: %v; %v", longest.id, longest, behind)
	}
	w.reachIf(leadsLongest, w.failure == nil)
	w.network.mend()
	for _, m := range know {
		m.restart()
	}
	w.run(w.now+w.patience(), func() bool { return w.leader() != nil })
}

const (
	// longestDrift is how far clocks must differ for that: so that what is too late for some is in time for another.
	longestDrift = 400
	// longestTimeouts is within how many election timeouts it leads: its own is up to 5/3 of one by its clock, it needs two round trips, and promises last two.
	longestTimeouts = 20
)

// leaveBehind has those who know commit what the others, who hear nothing, have not. It reports false if the lead changed.
func (w *world) leaveBehind(leader *member, know, behind []*member) bool {
	cut := make(map[raft.NodeID]bool)
	for _, m := range behind {
		cut[m.id] = true
	}
	w.network.take(shape{"without those who are to be behind", func(a, b raft.NodeID) bool { return !cut[a] && !cut[b] }})
	if w.failure != nil || w.leader() != leader {
		return false
	}
	served, over := false, false
	w.probe(leader, false, func() bool { return served || over }, func() { served = true })
	have := func() bool {
		last := leader.disk.durable.last()
		for _, m := range know {
			if m.disk.durable.last() != last {
				return false
			}
		}
		return served
	}
	w.run(w.now+4*w.knobs.electionTimeout(), have)
	over = true
	return w.failure == nil && have() && w.leader() == leader
}
