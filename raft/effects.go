package raft

import "fmt"

// Effects is what the host is to do after it has given the core one or more inputs. All of it may be started at
// once and in any order; only Saves of one group must become durable in the order of their Seq, messages to one
// peer should keep their order, and Apply must keep its order.
type Effects struct {
	Save     *Save      // to make durable; then call Persisted(Save.Seq)
	Messages []Envelope // to send, whatever becomes of Save
	Restore  *Restore   // to replace the state machine's state, before Apply; then call Applied
	Apply    []Entry    // committed: to execute in order; then call Applied
	Load     []Load     // entries to read from the log; then call Loaded
	Reads    []ReadReady
	Aborted  []ReadID  // reads whose leadership ended: ask again, or give up
	Send     []NodeID  // peers that need a snapshot; then call SnapshotSent
	Refused  []Refused // proposals that were certainly not appended
	Events   []Event
	// Configuration is the one in force, if that has changed.
	Configuration *ConfigurationAt
	Changes       []ChangeAnswer // to ChangeMembers
	// Stranger is a member that says that this server is none, by a configuration that is not in its log; or zero. It was removed, and may have been
	// added again since; or its log is empty because it has lost its disk. If no leader speaks to it, it waits in vain.
	Stranger NodeID
	// Vouch, if its ID is not zero, is with which data folder a voter knows its leader, by a committed configuration that is not in this server's log.
	Vouch Vouch
}

// ChangeAnswer says that a change has begun, or with Err, a *ChangeError, that it has not. It may come twice.
type ChangeAnswer struct {
	ID  uint64
	Err error
}

// Save is what must survive a crash before Persisted(Seq) is called. Entries may begin at or below the log's end:
// the first one then supersedes the entry at its index and everything after it. A crash before that may keep the hard state
// without the entries, or with some of the first of them, but not entries without the hard state.
type Save struct {
	Seq       uint64
	HardState HardState // always the current one, changed or not
	Entries   []Entry

	// The log begins with entry First, whose predecessor is of BaseTerm: what is before it may be forgotten. With Reset all that was
	// in the log before this save is void.
	First    Index
	BaseTerm Term
	Reset    bool
}

// Restore names the snapshot that the state machine is to continue from.
type Restore struct {
	Index Index
	Term  Term
}

// Envelope is a message with its addressee.
type Envelope struct {
	To      NodeID
	Message Message
}

// Load asks for the entries from From on, at most to To and about MaxBytes of them, at least one. All of them are on disk. For names
// the peer that lacks them, or is zero when the state machine here does.
type Load struct {
	For      NodeID
	From, To Index
	MaxBytes uint64
}

// ReadReady says that the reads of IDs may be answered once the state machine has applied Index.
type ReadReady struct {
	IDs   []ReadID
	Index Index
}

// RefuseReason says why a proposal was not appended.
type RefuseReason uint8

const (
	// RefusedNotLeader means that the server asked is not the leader of the term that was meant.
	RefusedNotLeader RefuseReason = iota + 1
	// RefusedOverloaded means that the leader holds as many uncommitted bytes as its limit allows.
	RefusedOverloaded
	// RefusedTransferring means that the leader is handing over: there will be a new one soon, or it goes on.
	RefusedTransferring
)

func (r RefuseReason) String() string {
	switch r {
	case 0:
		return "none"
	case RefusedNotLeader:
		return "not leader"
	case RefusedOverloaded:
		return "overloaded"
	case RefusedTransferring:
		return "transferring"
	}
	return fmt.Sprintf("RefuseReason(%d)", uint8(r))
}

// Refused names proposals that were given in Term and are certainly not in any log. With RefusedNotLeader, Term has lost its
// leader: they can be proposed again, in a later term.
type Refused struct {
	Term   Term
	IDs    []uint64
	Reason RefuseReason
}
