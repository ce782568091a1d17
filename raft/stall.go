package raft

import "slices"

// A disk that is stuck: a save on it neither ends nor fails. Not in the thesis, whose leader may go on without its own disk (§10.2.1): it would
// replicate and commit for ever while it applies nothing, and its clients wait.

// saveAge is for how many ticks the disk has been busy with the oldest save.
func (r *Raft) saveAge() uint64 {
	if len(r.disk.saves) == 0 {
		return 0
	}
	return r.ticks - r.disk.saves[0].since
}

// stalled reports whether that is an election timeout or more.
func (r *Raft) stalled() bool { return r.saveAge() >= uint64(r.config.ElectionTicks) }

// tickDisk tells people when the disk gets stuck, and when it goes on.
func (r *Raft) tickDisk() {
	d := &r.disk
	stalled := r.stalled()
	switch {
	case stalled && !d.told:
		r.event(EventStalled, 0, d.index)
	case !stalled && d.told:
		r.event(EventStallEnded, 0, d.index)
	}
	d.told = stalled
}

const (
	// stallDoublings bounds how often a leader's patience with its disk is doubled. Where all disks are slow it passes the lead on for nothing, and
	// soon nobody does any more.
	stallDoublings = 3
	// hopelessTimes is how many times as long a leader waits if it does not know that others go on without it.
	hopelessTimes = 10
)

// tickStall makes a leader whose disk is stuck give up its office, if others can do better. It hands over, for which its disk is not
// needed: the others have what it cannot save.
func (r *Raft) tickStall() {
	if r.transfer.leaving {
		return // or one attempt would count as two, when its target does not take over
	}
	patience := r.stalls.wait(r, uint64(r.config.ElectionTicks), stallDoublings)
	switch age := r.saveAge(); {
	case age >= patience && r.commitIndex > r.disk.index:
		// A majority goes on without this disk.
		r.stalls.note(r.ticks)
		r.resign()
	case age >= hopelessTimes*patience && r.othersMayDoBetter():
		// One has gone on, and may be heard by those that this leader does not hear.
		r.stalls.note(r.ticks)
		r.resign()
	}
}

// othersMayDoBetter reports whether the other voters are enough without this server, and one of them has made durable what it cannot. Where
// all disks are stuck, or its own is needed in any case, another leader would do no better, and there would be none for some time.
func (r *Raft) othersMayDoBetter() bool {
	ahead := func(p *peer) bool { return r.isNewVoter(p.id) && p.matchIndex > r.disk.index }
	return r.members.quorum.has(func(id NodeID) bool { return id != r.config.ID }) && slices.ContainsFunc(r.peers, ahead)
}
