package balsa

import "github.com/balsa-raft/balsa/host"

var (
	// ErrNotCommitted is returned by Propose when the command has certainly not taken effect and never will:
	// it is safe to propose again.
	ErrNotCommitted = host.ErrNotCommitted
	// ErrUnknownOutcome is returned by Propose when the context ended, or the node closed, while the command may be in
	// the log: it may have taken effect, or may still do so. Read the state before proposing it again.
	ErrUnknownOutcome = host.ErrUnknownOutcome
	// ErrNoLeader is wrapped by errors of calls that ended while this member knew of no leader.
	ErrNoLeader = host.ErrNoLeader
	// ErrOverloaded is returned, wrapped in ErrNotCommitted, when a limit in bytes is reached: try again later.
	ErrOverloaded = host.ErrOverloaded
	// ErrTooLarge is returned, wrapped in ErrNotCommitted, when a command exceeds Config.CommandBytesMax.
	ErrTooLarge = host.ErrTooLarge
	// ErrClosed is returned by every call once Close has begun.
	ErrClosed = host.ErrClosed
	// ErrFailed is wrapped by every call once the node has stopped by itself: its disk failed, its log is
	// damaged, its state machine returned an error, or an invariant of Raft was found broken. Node.Err says which.
	ErrFailed = host.ErrFailed
	// ErrRemoved is wrapped, with ErrFailed, once this member was removed from the cluster (ChangeMembers).
	ErrRemoved = host.ErrRemoved
	// ErrReplaced is wrapped, with ErrFailed, when this member has started with an empty data folder under an id that the cluster knows with
	// another: it has lost what it acknowledged. Remove it, and add a new member under a new id.
	ErrReplaced = host.ErrReplaced
)
