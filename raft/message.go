package raft

// Message is one of the typed messages of this file: the figure's RPCs and their replies, and those by which a
// follower passes proposals and reads on to its leader. Messages may be lost, duplicated, delayed and reordered.
type Message interface{ isMessage() }

// RequestVote is invoked by candidates to gather votes (§3.4); with PreVote, by a server that asks whether it
// could win before it disturbs anybody (§9.6).
type RequestVote struct {
	Term         Term // with PreVote: the term that the candidate would campaign in
	CandidateID  NodeID
	LastLogIndex Index
	LastLogTerm  Term
	PreVote      bool
}

// RequestVoteReply answers RequestVote. A granted pre-vote carries the term that was asked for, every other
// reply the voter's own term.
type RequestVoteReply struct {
	Term        Term
	VoteGranted bool
	PreVote     bool
}

// AppendEntries is invoked by the leader to replicate entries, as heartbeat, and to confirm reads (§3.5, §6.4).
type AppendEntries struct {
	Term         Term
	LeaderID     NodeID
	PrevLogIndex Index
	PrevLogTerm  Term
	Entries      []Entry // contiguous from PrevLogIndex+1
	LeaderCommit Index
	ReadSeq      uint64 // the leader's latest round of read confirmation; the reply echoes it
}

// AppendEntriesReply answers AppendEntries. On success MatchIndex is the last entry that is known to equal the
// leader's and is durable here. On failure PrevLogIndex repeats the request's, so that the leader can tell an
// old refusal, and the conflict fields say where to look next: see "Finding where logs agree" in the package
// documentation.
type AppendEntriesReply struct {
	Term          Term
	Success       bool
	MatchIndex    Index
	PrevLogIndex  Index
	ConflictTerm  Term
	ConflictIndex Index
	ReadSeq       uint64
}

// ForwardProposals carries proposals from a follower to the leader of Term. A leader takes it only in that very
// term, so a forwarded command enters the log under Term or never.
type ForwardProposals struct {
	Term      Term
	Seq       uint64 // rises with each one that a server sends, over all its incarnations; what does not rise is dropped
	Proposals []Proposal
}

// ForwardReply refuses forwarded proposals: none of IDs was appended. There is no reply to accepted ones, the
// log itself brings them back.
type ForwardReply struct {
	Term   Term // the request's
	IDs    []uint64
	Reason RefuseReason
}

// ReadIndex asks the leader of Term for a read index (§6.4). Seq is unique over all incarnations of the asker.
type ReadIndex struct {
	Term Term
	Seq  uint64
}

// ReadIndexReply answers ReadIndex: the state machine is fresh enough once it has applied Index.
type ReadIndexReply struct {
	Term  Term
	Seq   uint64
	Index Index
}

func (RequestVote) isMessage()        {}
func (RequestVoteReply) isMessage()   {}
func (AppendEntries) isMessage()      {}
func (AppendEntriesReply) isMessage() {}
func (ForwardProposals) isMessage()   {}
func (ForwardReply) isMessage()       {}
func (ReadIndex) isMessage()          {}
func (ReadIndexReply) isMessage()     {}
