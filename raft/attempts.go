package raft

// attempts counts how often a leader has given up its office for another server's sake, over all its leaderships, so that it does so less and less
// often: what did not last must not be tried again and again.
type attempts struct {
	n  int
	at uint64 // Raft.ticks of the last
}

// forgetTimeouts is after how many election timeouts an attempt says nothing any more.
const forgetTimeouts = 400

func (a *attempts) note(now uint64) { a.n, a.at = a.n+1, now }

// wait is base, doubled for each attempt, at most so often.
func (a *attempts) wait(r *Raft, base uint64, doublingsMax int) uint64 {
	if r.ticks-a.at >= uint64(forgetTimeouts*r.config.ElectionTicks) {
		a.n = 0
	}
	return base << min(a.n, doublingsMax)
}
