package raft

import "github.com/balsa-raft/balsa/internal/must"

// The invariants of one server, in two parts: what holds at every moment, and what holds between two moments. They are checked, in
// production too, each time that effects are drained: nothing leaves a server that has lost one. The properties that take
// several servers to check (Figure 3.2) are the simulator's.

// snapshotOfState is what checkStep remembers of the last moment.
type snapshotOfState struct {
	term        Term
	votedFor    NodeID
	role        Role
	leader      NodeID
	commitIndex Index
	lastApplied Index
	lastIndex   Index
}

func (r *Raft) state() snapshotOfState {
	return snapshotOfState{
		term: r.currentTerm, votedFor: r.votedFor, role: r.role, leader: r.leader,
		commitIndex: r.commitIndex, lastApplied: r.lastApplied, lastIndex: r.log.last,
	}
}

// checkState asserts what holds at every moment.
func (r *Raft) checkState() {
	d := &r.disk
	must.Be2(r.log.lastTerm() <= r.currentTerm, "the log's terms do not exceed currentTerm: %d <= %d", r.log.lastTerm(), r.currentTerm)
	must.Be2(r.commitIndex <= r.log.last, "commitIndex %d does not exceed the log's end %d", r.commitIndex, r.log.last)
	must.Be2(r.lastApplied <= r.applying, "lastApplied %d was handed out, up to %d", r.lastApplied, r.applying)
	must.Be2(r.applying <= r.commitIndex, "only committed entries are applied: %d <= %d", r.applying, r.commitIndex)
	must.Be2(r.applying <= max(d.index, r.log.first-1), "only durable entries are applied: %d <= %d", r.applying, d.index)
	must.Be2(d.index <= d.lastHanded, "what is durable, %d, was handed out to be saved, up to %d", d.index, d.lastHanded)
	must.Be2(d.lastHanded <= r.log.last, "what was handed out to be saved, %d, is in the log, up to %d", d.lastHanded, r.log.last)
	must.Be2(r.log.cache.next() == r.log.last+1, "the cache reaches to the log's end, behind which is %d: %d", r.log.last+1, r.log.cache.next())
	first := r.members.history[0].Index
	must.Be2(first <= r.commitIndex, "there is a committed configuration to go back to: %d <= %d", first, r.commitIndex)
	must.Be2((r.role == Leader) == (r.leader == r.config.ID), "a server is its own leader, n%d, only as leader: %d", r.leader, r.role)
	if r.role == Leader {
		r.checkLeader()
	}
	if r.role == Candidate {
		must.Be1(r.votedFor == r.config.ID, "a candidate votes for itself, not for n%d", r.votedFor)
	}
}

func (r *Raft) checkLeader() {
	must.Be1(r.votedFor == r.config.ID, "a leader voted for itself, not for n%d", r.votedFor)
	must.Be1(r.termIsDurable(), "a leader's term %d and vote are durable", r.currentTerm)
	must.Be2(r.log.lastTerm() == r.currentTerm, "a leader's log ends in its term %d, not in %d", r.currentTerm, r.log.lastTerm())
	for _, p := range r.peers {
		must.Be2(p.matchIndex < p.nextIndex, "matchIndex %d is below nextIndex %d", p.matchIndex, p.nextIndex)
		must.Be2(p.nextIndex <= r.log.last+1, "nextIndex %d is not beyond the log's end %d", p.nextIndex, r.log.last)
		must.Be2((len(p.inflight) == 0) == (p.inflightBytes == 0), "%d requests in flight are %d bytes", len(p.inflight), p.inflightBytes)
		if n := len(p.inflight); n > 1 {
			must.Be2(p.inflightBytes-p.inflight[n-1].bytes < r.config.InflightBytesMax, "the window of %d bytes had room for one more request: %d are in flight",
				r.config.InflightBytesMax, p.inflightBytes)
		}
	}
	n, _ := r.members.quorum.index(r.scratch, r.reached)
	must.Be2(n <= r.commitIndex || !r.log.has(r.currentTerm, n), "advanceCommitIndex is called everywhere it needs to be: %d <= %d", n, r.commitIndex)
}

// checkStep asserts what holds between the last call and now.
func (r *Raft) checkStep() {
	was, is := r.previous, r.state()
	r.checkState()
	must.Be2(was.term <= is.term, "currentTerm does not fall: %d <= %d", was.term, is.term)
	must.Be2(was.commitIndex <= is.commitIndex, "commitIndex does not fall: %d <= %d", was.commitIndex, is.commitIndex)
	must.Be2(was.lastApplied <= is.lastApplied, "lastApplied does not fall: %d <= %d", was.lastApplied, is.lastApplied)
	if was.term == is.term {
		must.Be2(was.votedFor == 0 || was.votedFor == is.votedFor, "one vote a term: n%d, then n%d", was.votedFor, is.votedFor)
		must.Be2(was.role != Leader || is.role != Leader || was.lastIndex <= is.lastIndex,
			"a leader only appends: its log ended in %d, now in %d", was.lastIndex, is.lastIndex)
		must.Be2(was.role != Leader || is.role == Leader || is.leader == 0, "a leader that steps down in its term %d follows nobody in it: n%d", is.term, is.leader)
		must.Be2(was.leader == 0 || is.leader == 0 || was.leader == is.leader, "one leader a term: n%d, then n%d", was.leader, is.leader)
	}
	r.previous = is
}
