package raft

// Committing: §3.6.2.

// advanceCommitIndex is the figure's rule for leaders, and AdvanceCommitIndex in raft.tla: if there exists an N such that N > commitIndex, a
// majority of matchIndex[i] >= N, and log[N].term == currentTerm, set commitIndex = N.
//
// The last condition is what figure 3.7 shows: an entry of an earlier term can be on a majority and still be overwritten.
// It is committed together with the first of this term behind it.
func (r *Raft) advanceCommitIndex() {
	var n Index
	n, r.scratch = r.members.quorum.index(r.scratch, r.reached)
	if n > r.commitIndex && r.log.has(r.currentTerm, n) {
		if c := r.members.inForce(); c.Index > r.commitIndex && c.Index <= n {
			r.commitDue = n // who leaves may not hear of a later one
		}
		r.commitIndex = n
		r.registerEarlyReads()
	}
	r.proposals.release(&r.log, min(r.commitIndex, r.disk.index))
}

// reached is matchIndex[id], where the leader's own is what is on its disk: its write runs in parallel with the followers' (§10.2.1).
func (r *Raft) reached(id NodeID) Index {
	if id == r.config.ID {
		return r.disk.index
	}
	return r.peer(id).matchIndex
}
