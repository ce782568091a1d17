package raft

// Preferred leaders: not in the thesis. A priority does not delay elections, which would cost time when there is none to lose: anybody may be
// elected, and hands over when a server of a higher priority has shown for a while that it can lead.

const (
	// preferTimeouts is for how many election timeouts a leader stays in any case, and the other must have kept up.
	preferTimeouts = 3
	// preferDoublings bounds how often the pause after an attempt is doubled: one that is heard here, and cannot be elected, or cannot stay, must not
	// be asked again and again.
	preferDoublings = 5
)

// tickPreference hands over to a voter of a higher priority, if there is one that has kept up for a while. It is called on leaders.
func (r *Raft) tickPreference() {
	for _, p := range r.peers {
		if p.probing || !r.isCaughtUp(p) {
			p.steadySince = r.ticks
		}
	}
	pause := r.preference.wait(r, uint64(preferTimeouts*r.config.ElectionTicks), preferDoublings)
	if r.ticks-max(r.preference.at, r.ledSince) < pause || r.transfer.to != 0 {
		return
	}
	if p := r.preferred(); p != nil && r.TransferLeadership(p.id) == nil {
		r.preference.note(r.ticks)
	}
}

// preferred is the voter of the highest priority above our own that has kept up, or nil.
func (r *Raft) preferred() (best *peer) {
	highest := r.priority(r.config.ID)
	for _, p := range r.peers {
		steady := r.ticks-p.steadySince >= uint64(preferTimeouts*r.config.ElectionTicks)
		// What is committed it has: it is not the one that the others wait for, so nobody will have to wait while it catches up.
		if steady && r.isNewVoter(p.id) && p.matchIndex >= r.commitIndex && r.priority(p.id) > highest {
			best, highest = p, r.priority(p.id)
		}
	}
	return best
}

func (r *Raft) priority(id NodeID) uint8 {
	m, _ := r.members.inForce().Member(id)
	return m.Priority
}
