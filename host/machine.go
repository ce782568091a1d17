package host

import "github.com/balsa-raft/balsa/raft"

// Machine is a group's state machine, as the Applier sees it.
type Machine interface {
	// Apply executes entries in order. It owns neither the slice nor the commands after it returns, but the commands' bytes never
	// change. An error stops the group.
	Apply(batch []Entry) error
}

// Entry is a committed command.
type Entry struct {
	Index    raft.Index
	Term     raft.Term
	Command  []byte
	Proposal *Proposal // whose caller waits here for the result; nil for others' commands
}
