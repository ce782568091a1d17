package raft

import "slices"

// A server that is started with the cluster's first configuration and has an empty log believes that the cluster is yet to begin. If it has lost its
// disk, that is wrong; and a majority of such servers, which need not have lost their disks at the same time, nor be members any more, would begin
// the cluster anew beside the one that there is. So whoever knows that something was committed says so to candidates with empty logs,
// and from then on these neither stand for election nor vote for each other as long as their logs are empty. Nothing is lost by that: who
// lacks the first committed entry cannot be elected (§3.6.3).

// isFounded reports whether something was committed in this cluster, as far as this server knows.
func (r *Raft) isFounded() bool { return r.founded || r.commitIndex > 0 }

// comesTooLate reports whether a log that ends at last is one to begin the cluster with, and that has begun.
func (r *Raft) comesTooLate(last Index) bool { return last == 0 && r.isFounded() }

// refusal answers a candidate that gets no vote.
func (r *Raft) refusal(from NodeID, m RequestVote) RequestVoteReply {
	return RequestVoteReply{
		Term: r.currentTerm, PreVote: m.PreVote,
		Founded: r.comesTooLate(m.LastLogIndex), Stranger: r.strangerSince(from, m.LastLogTerm, m.LastLogIndex),
		Leader: r.vouch(m.LastLogTerm, m.LastLogIndex),
	}
}

// strangerSince says whether a candidate is a member by no configuration that may be in force, the last of them that is committed among them, and
// cannot have one that made it a member again since: that would be behind what is committed here, and so its log, which ends at last in lastTerm, is too short for that,
// or ends in an earlier term. It returns the committed one's index, by which the candidate can tell whether it knows better by the time that it hears of it; or zero. The first configuration, which has index
// zero, says nothing: a new server has an empty one, until it has enough of the log.
func (r *Raft) strangerSince(id NodeID, lastTerm Term, last Index) Index {
	of := r.members.mayBeInForce(r.commitIndex)
	member := slices.ContainsFunc(of, func(c ConfigurationAt) bool { _, ok := c.Member(id); return ok })
	if member || !r.isBefore(of[0].Index, lastTerm, last) {
		return 0
	}
	return of[0].Index
}

// askWhetherMember does what is left to do for one that comes too late, or is a learner, and hears no leader: perhaps it waits in vain, or for a leader that its host
// refuses (vouch.go). It asks as one that would stand for election, but it does not, whatever the answer.
func (r *Raft) askWhetherMember() {
	if r.leader != 0 {
		r.becomeFollower(0) // what waits for the leader here must not wait for ever
	}
	r.resetElectionTimer()
	r.requestVotes(RequestVote{Term: r.currentTerm + 1, PreVote: true})
}

// hearFounded takes in what a voter says of the cluster.
func (r *Raft) hearFounded(from NodeID, m RequestVoteReply) {
	if m.Stranger > r.commitIndex { // else it was added again since that was said
		r.effects.Stranger = from
	}
	if !m.Founded || r.log.last > 0 {
		return
	}
	r.founded = true
	if r.role == PreCandidate || r.role == Candidate {
		r.becomeFollower(0)
	}
}
