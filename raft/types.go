package raft

import "fmt"

// NodeID names a member of a group. Zero names nobody.
type NodeID uint64

// GroupID names one replicated log. A Raft is one group's and does not know its name; its hosts do.
type GroupID uint64

// Term numbers the elections; it is Raft's logical clock (§3.3). The first term is 1.
type Term uint64

// Index numbers the entries of a log from 1. Zero is the place before the first entry.
type Index uint64

// EntryType says who reads an entry's data.
type EntryType uint8

const (
	// EntryCommand is a client's command: Data goes to the state machine.
	EntryCommand EntryType = iota
	// EntryNoop is the blank entry by which a new leader commits its predecessors' (§6.4). It has no Data.
	EntryNoop
	// EntryConfiguration is a configuration of the group (§4.1); see AppendConfiguration. It is in force where it is appended.
	EntryConfiguration
)

// Valid reports whether t is a type that this version knows.
func (t EntryType) Valid() bool { return t <= EntryConfiguration }

// Entry is one place in the log. Once appended it is immutable, Data included: the same bytes are shared by
// the log, the messages to peers and the state machine.
type Entry struct {
	Term  Term
	Index Index
	Type  EntryType
	Data  []byte
}

// entryOverhead is what an entry counts for in every byte limit beside its Data, so that empty ones count too.
const entryOverhead = 32

// Size is what the entry counts for in every limit that is in bytes.
func (e Entry) Size() uint64 { return entryOverhead + uint64(len(e.Data)) }

func (e Entry) String() string {
	if e.Type == EntryNoop {
		return fmt.Sprintf("%d:t%d noop", e.Index, e.Term)
	}
	if e.Type == EntryConfiguration {
		if c, err := DecodeConfiguration(e.Data); err == nil {
			return fmt.Sprintf("%d:t%d %v", e.Index, e.Term, c)
		}
	}
	return fmt.Sprintf("%d:t%d %q", e.Index, e.Term, e.Data)
}

// HardState is the figure's persistent state beside the log. Its two fields are made durable together: a vote
// that is stored apart from its term can be counted in another term.
type HardState struct {
	CurrentTerm Term
	VotedFor    NodeID // zero: nobody in CurrentTerm
}

// Proposal is a command on its way to the log. ID is the proposer's, echoed if the proposal is refused; the
// core gives it no meaning. Data belongs to the core once the proposal is accepted.
type Proposal struct {
	ID   uint64
	Data []byte
}

// ReadID is the caller's name for a read, echoed in Effects.Reads. The core never puts it on the wire.
type ReadID uint64

// TermRun says that the entries from First on, up to the next run's First, are of Term. A log is a list of runs,
// which is all that the core keeps of entries that it no longer holds in memory.
type TermRun struct {
	Term  Term
	First Index
}
