package trace

import (
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// Step is a place on the way of a write. ARCHITECTURE.md tells that way.
type Step uint8

// The steps inside a member. Those without places in the log are about what the member's next step says that has them.
const (
	// Taken: the shard has taken what had come in. Without places.
	Taken Step = iota + 1
	// Stepped: the core has been given it. Without places.
	Stepped
	// HandedOut: the log's writer and the connections to the peers are about to be given entries First to Last.
	HandedOut
	// Begun: the log's writer begins to write First to Last.
	Begun
	// Written: the log's file has them, but may have them in memory only. Without places.
	Written
	// Synced: First to Last are durable on this member.
	Synced
	// Matched: this member's core knows that all up to Last is durable here.
	Matched
	// Sent: the connection to Peer begins to write First to Last.
	Sent
	// Received: First to Last have come from Peer.
	Received
	// Acknowledged: the connection to Peer begins to write that all up to Last is durable here.
	Acknowledged
	// Heard: Peer has said that all up to Last is durable there.
	Heard
	// Committed: the core knows that First to Last are.
	Committed
	// Applying: the state machine is about to execute First to Last.
	Applying
	// Applied: it has.
	Applied

	stepCount
)

func (s Step) String() string {
	if s == 0 || s >= stepCount {
		return "none"
	}
	return [...]string{"", "taken", "stepped", "handed out", "begun", "written", "synced", "matched", "sent", "received", "acknowledged", "heard",
		"committed", "applying", "applied"}[s]
}

// Hop says that entries have come to a step.
type Hop struct {
	At          time.Duration // since a moment that is the same for all members; set by the Tracer
	Step        Step
	Group       raft.GroupID
	Node, Peer  raft.NodeID
	First, Last raft.Index // both zero for steps without places; First alone is zero for those that are about all up to Last
}

// Tracer is told of each hop of a member, by the part of it that makes the hop, at that moment. It must not block or call the member.
type Tracer interface {
	Hop(h Hop)
}

// Call is a write as its caller saw it.
type Call struct {
	Start, End time.Duration
	Index      raft.Index
}
