package raft

import (
	"errors"
	"fmt"
)

var (
	// ErrNoLeader is returned by Propose and ReadIndex while no leader is known. Nothing was kept: try again after
	// the next EventFollower that names a leader, or EventLeader.
	ErrNoLeader = errors.New("raft: no leader is known")
	// ErrOverloaded is returned by Propose when a leader holds UncommittedBytesMax of uncommitted entries. Nothing
	// was appended: try again when some have committed.
	ErrOverloaded = errors.New("raft: too many uncommitted bytes")
	// ErrWindowFull is returned by Propose on a follower whose leader has InflightBytesMax of earlier commands to answer for. Nothing
	// was kept: try again after the next input.
	ErrWindowFull = errors.New("raft: the leader has yet to answer for earlier commands")
	// ErrTransferring is returned by Propose while the lead is being handed over. Nothing was appended: try again with the next tick.
	ErrTransferring = errors.New("raft: leadership is being transferred")
)

// BadMessageError is returned by Receive for a message that no correct server sends. It had no effect.
type BadMessageError struct {
	From   NodeID
	Reason string
}

func (e *BadMessageError) Error() string {
	return fmt.Sprintf("raft: bad message from n%d: %s", e.From, e.Reason)
}

// SafetyError is returned by Receive when a message proves that one of Raft's safety properties (Figure 3.2) does not hold in this
// cluster: a server lost what it had promised to keep, or two servers share an id. The message has changed neither log nor
// commitIndex. The host must stop the group here: whatever it did next could destroy what is still right.
type SafetyError struct {
	Property string // as Figure 3.2 names it
	Detail   string
}

func (e *SafetyError) Error() string {
	return fmt.Sprintf("raft: %s is violated: %s", e.Property, e.Detail)
}
