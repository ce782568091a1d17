package sim

import "time"

// demandSlowDisks checks that the others elect a leader when theirs is gone, although all their disks are slow for good: to write and sync takes so many twentieths of the shortest
// election timeout. A candidate's own vote takes that long, and then those of the others do, and the first entry of who is elected, whom its followers have to answer meanwhile.
func (w *world) demandSlowDisks(twentieths, timeouts time.Duration) {
	old := w.outlastLate()
	if old == nil {
		return
	}
	var rest []*member
	for _, m := range w.voters() {
		if m != old {
			m.setRate(1000)
			m.disk.takes = time.Duration(w.knobs.raft.ElectionTicks) * tick * twentieths / 40 // to write, and to sync
			rest = append(rest, m)
		}
	}
	w.tell("n%d is down, and each write to a disk takes %v", old.id, rest[0].disk.takes)
	old.die(death{})
	served, over := false, false
	for _, m := range rest {
		w.probe(m, false, func() bool { return served || over }, func() { served = true })
	}
	w.run(w.now+timeouts*w.knobs.electionTimeout(), func() bool { return served })
	if over = true; w.failure == nil && !served {
		w.fail("Liveness", "n%d is down, each write to a disk takes %v, and the others serve no clients: %v", old.id, rest[0].disk.takes, rest)
	}
	w.reachIf(leadsSlowDisks, w.failure == nil)
	for _, m := range rest {
		m.disk.takes = 0
	}
	old.restart()
	w.run(w.now+w.patience(), func() bool { return w.leader() != nil })
}

// slowTimeouts is within how many election timeouts clients are served: an election takes two writes, a command two more, and promises last two timeouts.
// Where a write takes longer than the shortest timeout not each election succeeds: of the timeouts drawn one must be long enough for the votes of the others.
const (
	slowTimeouts   = 12
	slowerTimeouts = 100
)
