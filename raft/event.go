package raft

import "fmt"

// EventKind says what happened.
type EventKind uint8

const (
	// EventFollower: the server became a follower in Term. Node is the leader, zero while none is known.
	EventFollower EventKind = iota + 1
	// EventPreCandidate: the election timeout ran out; the server asks whether it could win Term.
	EventPreCandidate
	// EventCandidate: the server started an election for Term.
	EventCandidate
	// EventLeader: the server was elected leader of Term.
	EventLeader
	// EventVoted: the server granted Node its vote in Term.
	EventVoted
	// EventVoteRefused: the server refused Node its vote, or its pre-vote, for Term.
	EventVoteRefused
	// EventQuorumLost: the leader of Term stepped down because a majority has been silent for an election timeout.
	EventQuorumLost
	// EventTruncated: entries from Index on were superseded by those of the leader of Term.
	EventTruncated
	// EventProbing: the leader no longer knows where Node's log agrees with its own; Index is where it will look.
	EventProbing
	// EventTransfer: the leader begins to hand over to Node.
	EventTransfer
	// EventTransferEnded: Node did not take over in time; the leader goes on.
	EventTransferEnded
	// EventSnapshotNeeded: Node lacks entries that the leader no longer has.
	EventSnapshotNeeded
	// EventInstalled: the snapshot at Index took the place of the log.
	EventInstalled
	// EventConfiguration: the configuration at Index is in force now: appended, or again after a truncation.
	EventConfiguration
	// EventStalled: the disk has been busy with one save for an election timeout. Entries up to Index are durable here.
	EventStalled
	// EventStallEnded: the disk goes on. Entries up to Index are durable.
	EventStallEnded
	// EventReplicating: it was found where Node's log agrees with the leader's; Index is the next entry to send.
	EventReplicating
)

// Event is something that happened inside the core that people want to see. Events carry no duty: a host may drop them.
type Event struct {
	Kind  EventKind
	Term  Term
	Node  NodeID
	Index Index
}

func (e Event) String() string {
	switch e.Kind {
	case EventFollower:
		if e.Node == 0 {
			return fmt.Sprintf("follower in term %d, no leader", e.Term)
		}
		return fmt.Sprintf("follower in term %d of leader n%d", e.Term, e.Node)
	case EventPreCandidate:
		return fmt.Sprintf("asks for pre-votes for term %d", e.Term)
	case EventCandidate:
		return fmt.Sprintf("candidate in term %d", e.Term)
	case EventLeader:
		return fmt.Sprintf("leader of term %d", e.Term)
	case EventVoted:
		return fmt.Sprintf("votes for n%d in term %d", e.Node, e.Term)
	case EventVoteRefused:
		return fmt.Sprintf("refuses n%d a vote in term %d", e.Node, e.Term)
	case EventQuorumLost:
		return fmt.Sprintf("steps down in term %d: no quorum", e.Term)
	case EventTruncated:
		return fmt.Sprintf("entries from %d on superseded in term %d", e.Index, e.Term)
	case EventProbing:
		return fmt.Sprintf("probes n%d at %d", e.Node, e.Index)
	case EventTransfer:
		return fmt.Sprintf("hands over to n%d", e.Node)
	case EventTransferEnded:
		return fmt.Sprintf("goes on: n%d did not take over in time", e.Node)
	case EventSnapshotNeeded:
		return fmt.Sprintf("n%d needs a snapshot: it lacks entry %d", e.Node, e.Index)
	case EventInstalled:
		return fmt.Sprintf("continues from the snapshot at %d", e.Index)
	case EventConfiguration:
		return fmt.Sprintf("the configuration at %d is in force", e.Index)
	case EventStalled:
		return fmt.Sprintf("waits for its disk, which is stuck; entries up to %d are durable", e.Index)
	case EventStallEnded:
		return fmt.Sprintf("is no longer stuck on its disk; entries up to %d are durable", e.Index)
	case EventReplicating:
		return fmt.Sprintf("replicates to n%d from %d", e.Node, e.Index)
	}
	return fmt.Sprintf("Event(%d)", e.Kind)
}
