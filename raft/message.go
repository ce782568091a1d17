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
	Transfer     bool // the leader itself asked for it: those that hear the leader vote all the same (§4.2.3)
}

// RequestVoteReply answers RequestVote. A granted pre-vote carries the term that was asked for, every other
// reply the voter's own term.
type RequestVoteReply struct {
	Term        Term
	VoteGranted bool
	PreVote     bool
	Founded     bool  // to a candidate whose log is empty: the voter knows that something was committed. See founded.go
	Stranger    Index // of a committed configuration by which the candidate is no member, and which its log does not have; or zero
	Leader      Vouch // with a refusal: the leader that the voter hears, if the candidate's log cannot tell it that one's data folder. See vouch.go
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
	Promise       Nanos // so long after it received round ReadSeq its sender votes for nobody but the leader, by its own clock (§6.4.1)
}

// TimeoutNow asks a follower to stand for election at once (§3.10). LastLogIndex is where the leader's log ended.
type TimeoutNow struct {
	Term         Term
	LastLogIndex Index
}

// InstallSnapshot is invoked by the leader to bring a follower forward whose next entry it no longer has (§5.1, figure 5.3). Its
// chunks are the hosts' business: they write, resume and verify the file, and give the core of the follower the last one, without
// Data, once the snapshot is durable there. The core answers with an AppendEntriesReply.
type InstallSnapshot struct {
	Term              Term
	LeaderID          NodeID
	LastIncludedIndex Index // the snapshot replaces all entries up through and including this one
	LastIncludedTerm  Term
	Configuration     []byte // the one in force at LastIncludedIndex, as AppendConfiguration makes it; the figure's lastConfig
	Size              uint64 // of the whole snapshot, in bytes
	Offset            uint64 // of Data in it
	Data              []byte
}

// InstallSnapshotReply tells the leader's host how much of a snapshot is there: where to go on.
type InstallSnapshotReply struct {
	Term              Term
	LastIncludedIndex Index
	Offset            uint64
}

// ForwardProposals carries commands from a follower to the leader of Term. A leader takes it only in that very
// term, so a forwarded command enters the log under Term or never. See forward.go.
type ForwardProposals struct {
	Term     Term
	Stream   uint64 // of the streams of a server, over all its incarnations, the later one has the larger number
	Seq      uint64 // 1, 2, 3, ... in the stream
	Commands [][]byte
}

// ForwardReply says how far a stream of forwards has been taken: all up to Seq is in the leader's log. With a Reason none behind that
// is, nor will be, and the stream has ended.
type ForwardReply struct {
	Term   Term // the stream's
	Stream uint64
	Seq    uint64
	Reason RefuseReason // zero: it goes on
}

// ReadIndex asks the leader of Term for a read index (§6.4). Seq is unique over all incarnations of the asker.
type ReadIndex struct {
	Term  Term
	Seq   uint64
	Lease bool // a leader that holds a lease may answer under it (§6.4.1)
}

// ReadIndexReply answers ReadIndex: the state machine is fresh enough once it has applied Index.
type ReadIndexReply struct {
	Term  Term
	Seq   uint64
	Index Index
}

// ForwardChange passes a membership change on to the leader of Term.
type ForwardChange struct {
	Term   Term
	Change Change
}

// ForwardChangeReply answers ForwardChange. With Reason zero the change has begun.
type ForwardChangeReply struct {
	Term        Term
	ID          uint64 // Change.ID
	Reason      ChangeReason
	Detail      string
	Unreachable []NodeID
}

func (ForwardChange) isMessage()        {}
func (ForwardChangeReply) isMessage()   {}
func (RequestVote) isMessage()          {}
func (RequestVoteReply) isMessage()     {}
func (AppendEntries) isMessage()        {}
func (AppendEntriesReply) isMessage()   {}
func (TimeoutNow) isMessage()           {}
func (InstallSnapshot) isMessage()      {}
func (InstallSnapshotReply) isMessage() {}
func (ForwardProposals) isMessage()     {}
func (ForwardReply) isMessage()         {}
func (ReadIndex) isMessage()            {}
func (ReadIndexReply) isMessage()       {}
