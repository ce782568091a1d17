package raft

import "github.com/balsa-raft/balsa/internal/must"

// Leader election: §3.4, the election restriction §3.6.1, Pre-Vote §9.6, and §4.2.3 and §6.2 together: a server that
// hears a leader does not help to depose it, and a leader that hears no majority resigns.

func (r *Raft) resetElectionTimer() {
	r.electionElapsed = 0
	r.electionTimeout = r.config.ElectionTicks + r.config.Rand.IntN(r.config.ElectionTicks)
}

// firstElectionTimeout is shorter: a server that has just started asks soon, by pre-vote, which disturbs nobody if there is a leader.
// A group of one need not wait for anybody.
func (r *Raft) firstElectionTimeout() int {
	if voters := r.members.quorum.voters; len(voters) == 1 && voters[0] == r.config.ID {
		return 1
	}
	return r.config.HeartbeatTicks + r.config.Rand.IntN(r.config.ElectionTicks/2)
}

// hearsLeader reports whether a current leader was heard within the minimum election timeout (§4.2.3). Without it, a server
// that cannot hear the leader could depose it again and again although all others can.
func (r *Raft) hearsLeader() bool {
	if r.role == Leader {
		return true // check-quorum vouches for it
	}
	return r.leader != 0 && !r.leaderUnreachable && r.electionElapsed < r.config.ElectionTicks
}

// timeOut is the figure's rule for followers and candidates: if the election timeout elapses without hearing from a leader or granting a vote,
// start an election (§3.4).
func (r *Raft) timeOut() {
	switch {
	case r.comesTooLate(r.log.last), !r.mayStand() && r.mayVote():
		r.askWhetherMember()
	case !r.mayStand():
		if r.leader != 0 {
			r.becomeFollower(0) // what waits for the leader here must not wait for ever
		}
	case !r.stalled(): // or our own vote could not become durable, and each try would cost the others a term
		r.startPreVote()
	}
}

// startPreVote asks the others whether an election could be won, before the term that all must follow is raised (§9.6).
func (r *Raft) startPreVote() {
	r.becomeCandidate(PreCandidate)
	r.eventIn(r.currentTerm+1, EventPreCandidate, 0, 0)
	r.votesGranted[r.config.ID] = true
	if r.electionWon() { // a group of one
		r.startElection(false)
		return
	}
	r.requestVotes(RequestVote{Term: r.currentTerm + 1, PreVote: true})
}

// startElection is the figure's rules for candidates: increment currentTerm, vote for self, reset the election timer, send
// RequestVote to all other servers. transfer says that the leader asked for it.
func (r *Raft) startElection(transfer bool) {
	must.Be1(transfer || !r.hasPromised(), "no vote breaks a promise, not even one for itself in term %d", r.currentTerm+1)
	r.currentTerm++
	r.votedFor = r.config.ID
	r.becomeCandidate(Candidate)
	r.event(EventCandidate, 0, 0)
	r.requestVotes(RequestVote{Term: r.currentTerm, Transfer: transfer})
	// Our own vote counts when it is on disk, as anybody else's: see countOwnVote.
}

func (r *Raft) becomeCandidate(role Role) {
	r.leaveRole()
	r.role = role
	r.votesGranted = map[NodeID]bool{}
	r.votesRefused = map[NodeID]bool{}
	r.resetElectionTimer()
}

func (r *Raft) requestVotes(m RequestVote) {
	m.CandidateID = r.config.ID
	m.LastLogIndex, m.LastLogTerm = r.log.last, r.log.lastTerm()
	c := r.members.inForce()
	for _, id := range c.ids(func(m Member) bool { return m.Suffrage == Voter || m.Old == Voter }) {
		switch {
		case id == r.config.ID:
		case m.PreVote:
			r.send(id, m)
		default:
			r.sendWhenTermDurable(id, m)
		}
	}
}

// onRequestVote is the receiver of Figure 3.1's RequestVote RPC. The numbers are the figure's steps.
func (r *Raft) onRequestVote(from NodeID, m RequestVote) {
	if !m.Transfer && (m.Term > r.currentTerm && r.hearsLeader() || m.Term >= r.currentTerm && r.hasPromised()) {
		// Not in the figure: a server that hears a current leader, or has given it its word, neither votes nor takes over the term (§4.2.3, §6.4.1).
		r.eventIn(m.Term, EventVoteRefused, from, 0)
		if reply := r.refusal(from, m); reply.Founded || reply.Stranger != 0 || reply.Leader.ID != 0 {
			r.sendWhenTermDurable(from, reply) // it waits in vain, or for a leader that it refuses
		}
		return
	}
	if m.PreVote {
		r.onPreVote(from, m)
		return
	}
	r.updateTerm(m.Term)

	// 1. Reply false if term < currentTerm (§3.3).
	// 2. If votedFor is null or candidateId, and the candidate's log is at least as up-to-date as the receiver's log,
	//    grant the vote (§3.4, §3.6).
	grant := m.Term == r.currentTerm &&
		(r.votedFor == 0 || r.votedFor == from) &&
		r.log.upToDate(m.LastLogTerm, m.LastLogIndex) &&
		!r.comesTooLate(m.LastLogIndex) &&
		r.mayVote()
	if !grant {
		r.eventIn(m.Term, EventVoteRefused, from, 0)
		r.sendWhenTermDurable(from, r.refusal(from, m))
		return
	}
	r.votedFor = from
	r.resetElectionTimer()
	r.event(EventVoted, from, 0)
	r.sendWhenTermDurable(from, RequestVoteReply{Term: r.currentTerm, VoteGranted: true})
}

// onPreVote answers whether m's sender could win our vote in m.Term. It changes nothing here: an answer is no promise, and
// it must not hold back our own election.
func (r *Raft) onPreVote(from NodeID, m RequestVote) {
	// While the disk is stuck our vote could not leave this server, and a candidate that counts on it would raise the term in vain.
	if m.Term > r.currentTerm && r.log.upToDate(m.LastLogTerm, m.LastLogIndex) && !r.comesTooLate(m.LastLogIndex) && r.mayVote() && !r.stalled() {
		// The asked-for term, because ours may be older, and an answer with an older term is dropped as a late one.
		r.send(from, RequestVoteReply{Term: m.Term, VoteGranted: true, PreVote: true})
		return
	}
	// Our term, so that a candidate with the better log but the older term can catch up and ask again: else a long log
	// in an old term and a short log in a new one would refuse each other for ever.
	r.eventIn(m.Term, EventVoteRefused, from, 0)
	r.sendWhenTermDurable(from, r.refusal(from, m))
}

func (r *Raft) onRequestVoteReply(from NodeID, m RequestVoteReply) {
	asked := r.currentTerm
	if m.PreVote && m.VoteGranted {
		asked++
	} else {
		r.updateTerm(m.Term)
	}
	r.hearFounded(from, m)
	r.hearVouch(from, m.Leader)
	wanted := r.role == Candidate && !m.PreVote || r.role == PreCandidate && m.PreVote
	// A refused pre-vote carries the voter's own term, which does not tell for which candidacy it is.
	late := m.Term != asked && (m.VoteGranted || !m.PreVote)
	if !wanted || late {
		return
	}
	if m.VoteGranted {
		r.votesGranted[from] = true
	} else {
		r.votesRefused[from] = true
	}
	switch {
	case r.electionWon() && r.role == PreCandidate:
		r.startElection(false)
	case r.electionWon():
		r.becomeLeader()
	case r.electionLost():
		r.becomeFollower(0) // nothing to wait for before the next timeout
	}
}

// countOwnVote adds the candidate's vote for itself once it is durable. Counted earlier, a server that crashes could lead the
// same term twice, with different entries.
func (r *Raft) countOwnVote() {
	if !r.termIsDurable() || r.votesGranted[r.config.ID] {
		return
	}
	r.votesGranted[r.config.ID] = true
	r.resetElectionTimer() // only now the others are asked; where disks are slow they would else never have the time to answer
	if r.electionWon() {
		r.becomeLeader()
	}
}

// electionWon: votes received from a majority of servers. Voters are counted, not votes.
func (r *Raft) electionWon() bool {
	return r.members.quorum.has(func(id NodeID) bool { return r.votesGranted[id] })
}

// electionLost: those that are left could not elect this server.
func (r *Raft) electionLost() bool {
	return r.members.quorum.isBlocked(func(id NodeID) bool { return r.votesRefused[id] })
}

// becomeLeader takes office: initialise nextIndex to the last log index + 1 and matchIndex to 0, and append a blank entry,
// whose commitment commits everything before it (§6.4).
func (r *Raft) becomeLeader() {
	r.role, r.leader = Leader, r.config.ID
	r.votesGranted, r.votesRefused = nil, nil
	r.heartbeatElapsed, r.ledSince = 0, r.ticks
	r.followMembers()
	r.event(EventLeader, r.config.ID, 0)
	r.proposals.beginTerm(r.log.last + 1)
	r.inflow.beginTerm(r.currentTerm)
	r.forwards = forwards{lastStream: r.forwards.lastStream} // of an earlier term
	r.append(Entry{Term: r.currentTerm, Index: r.log.last + 1, Type: EntryNoop})
	r.beginLeaseRound()
}

// tickLeader sends heartbeats and resigns without a quorum (§6.2).
func (r *Raft) tickLeader() {
	heard := func(id NodeID) bool {
		p := r.peer(id)
		return id == r.config.ID || p.heardWithin(r.ticks, r.config.ElectionTicks)
	}
	if !r.members.quorum.has(heard) {
		r.event(EventQuorumLost, 0, 0)
		r.becomeFollower(0)
		return
	}
	r.commitDue = r.commitIndex
	r.tickStall()
	r.tickTransfer()
	if r.role != Leader {
		return
	}
	r.tickPreference()
	if r.heartbeatElapsed++; r.heartbeatElapsed >= r.config.HeartbeatTicks {
		r.heartbeatElapsed = 0
		r.beginLeaseRound()
		for _, p := range r.peers {
			p.heartbeat()
		}
	}
}
