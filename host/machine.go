package host

import (
	"io"

	"github.com/balsa-raft/balsa/raft"
)

// Machine is a group's state machine, as the Applier sees it. Its methods are called by one goroutine at a time, but for the function that
// Snapshot returns, and for Sync of one that is Durable.
type Machine interface {
	// Apply executes entries in order. It owns neither the slice nor the commands after it returns, but the commands' bytes never
	// change. An error stops the group.
	Apply(batch []Entry) error
	// Snapshot pins the state as it is between two batches. The function that it returns writes that state, while Apply goes on; it is called
	// exactly once. An error means that there is no snapshot now; the log is kept, and it is tried again later.
	Snapshot() (write func(io.Writer) error, err error)
	// Restore replaces the state by what a snapshot holds. An error stops the group.
	Restore(r io.Reader) error
}

// Entry is a committed command.
type Entry struct {
	Index    raft.Index
	Term     raft.Term
	Command  []byte
	Proposal *Proposal // whose caller waits here for the result; nil for others' commands
	// Answer is for a command of a session: Apply sets it, on every member alike, if the command is answered at all. Nil for other commands.
	Answer *Answer
}
