package balsa

import (
	"log/slog"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs"
)

// NodeID names a member. It must not change, and no other server may ever use it in the same cluster.
type NodeID = raft.NodeID

// Index numbers the entries of the log from 1.
type Index = raft.Index

// Term numbers the elections.
type Term = raft.Term

// Member is a server of the cluster and where its peers reach it.
type Member struct {
	ID      NodeID
	Address string // host:port
}

// Config says who this member is, where it keeps its data and who its peers are. The zero value of every other
// field is a good default.
type Config struct {
	// Dir is the member's data folder. It is created if it is not there; one process at a time uses it.
	Dir string
	// ID is this member's id, one of Members'.
	ID NodeID
	// ClusterID separates clusters: messages of another cluster are refused. All members must agree on it.
	ClusterID uint64
	// Members is the cluster as it first starts, the same on every member. Addresses may differ from what they were.
	Members []Member
	// Listen is the address to listen on for peers, by default this member's Address.
	Listen string

	// HeartbeatInterval is how often a leader speaks when it has nothing to say; 100 ms by default.
	HeartbeatInterval time.Duration
	// ElectionTimeout is how long a member waits for a leader before it stands for election: between once and
	// twice this; 1 s by default, and at least three heartbeats.
	ElectionTimeout time.Duration

	// CommandBytesMax bounds one encoded command; 8 MiB by default.
	CommandBytesMax int
	// PendingBytesMax bounds the commands that wait here for their outcome, and on a leader those that are not
	// yet committed; 64 MiB by default.
	PendingBytesMax int

	// Logger receives what operators should know; slog.Default by default.
	Logger *slog.Logger
	// FS is the file system of Dir; the operating system's by default.
	FS vfs.FS
}

// Level says how fresh a read must be.
type Level uint8

const (
	// Linearizable: the read sees every command that was applied anywhere before the read began. It costs a
	// round trip between the leader and a majority, shared by all reads that wait; no disk write (thesis §6.4).
	Linearizable Level = iota
	// Local: the read sees what this member has applied. It costs nothing, and may be old without bound.
	Local
)

// Result is a command's outcome.
type Result[R any] struct {
	Value R
	Index Index // the command's place in the log
}

// Status is a member's own view of the cluster at one moment.
type Status struct {
	ID            NodeID
	ClusterID     uint64
	Leader        NodeID // zero: none known
	Term          Term
	Role          string // "leader", "follower", "candidate", "pre-candidate"
	CommitIndex   Index
	AppliedIndex  Index
	FirstIndex    Index
	LastIndex     Index
	DurableIndex  Index
	LogBytes      int64 // on disk
	Members       []Member
	LeaderChanges uint64 // seen since start
	Peers         []PeerStatus
}

// PeerStatus is what a leader knows of another member. Empty on followers.
type PeerStatus struct {
	ID         NodeID
	MatchIndex Index
	NextIndex  Index
	Probing    bool // looking for the place where the logs agree
	Active     bool // heard from within an election timeout
}
