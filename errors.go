package balsa

import (
	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// ChangeError is wrapped by the error of ChangeMembers if the change was refused: nothing has changed.
type ChangeError = raft.ChangeError

// ChangeReason says why a change of the members was refused.
type ChangeReason = raft.ChangeReason

// The reasons of a ChangeError.
const (
	// ChangeInvalid: there can be no such members.
	ChangeInvalid = raft.ChangeInvalid
	// ChangeStale: the members are not those of Change.Base any more. Look at them again, and decide again.
	ChangeStale = raft.ChangeStale
	// ChangeUnreachable: a majority of the voters that it wants is not heard from.
	ChangeUnreachable = raft.ChangeUnreachable
	// ChangeNotReady: a member that is to become a voter has not caught up. Only with Change.Ready.
	ChangeNotReady = raft.ChangeNotReady
)

var (
	// ErrNotCommitted is returned by Propose when the command has certainly not taken effect and never will:
	// it is safe to propose again.
	ErrNotCommitted = host.ErrNotCommitted
	// ErrUnknownOutcome is returned by Propose when the context ended, or the node closed, while the command may be in
	// the log, or when this member was so far behind that it was brought forward by a snapshot, which does not tell what is
	// part of it: the command may have taken effect, or may still do so. Read the state before proposing it again, or use a Session.
	ErrUnknownOutcome = host.ErrUnknownOutcome
	// ErrNoLeader is wrapped by errors of calls that ended while this member knew of no leader.
	ErrNoLeader = host.ErrNoLeader
	// ErrOverloaded is returned, wrapped in ErrNotCommitted, when a limit in bytes is reached: try again later.
	ErrOverloaded = host.ErrOverloaded
	// ErrTooLarge is returned, wrapped in ErrNotCommitted, when a command exceeds Config.CommandBytesMax.
	ErrTooLarge = host.ErrTooLarge
	// ErrSessionExpired is wrapped, beside ErrNotCommitted or ErrUnknownOutcome, by errors of commands whose session is no longer known:
	// it was ended, or more than 65,536 others were used since. Which of its commands without an outcome have taken effect
	// will not be known any more.
	ErrSessionExpired = host.ErrSessionExpired
	// ErrAnswerLost says that a command of a session has taken effect once, and that its answer is not known on this member: there
	// were more than 64 MiB of newer ones, or its state machine is Durable and was restarted since.
	ErrAnswerLost = host.ErrAnswerLost
	// ErrClosed is returned by every call once Close has begun.
	ErrClosed = host.ErrClosed
	// ErrFailed is wrapped by every call once the node has stopped by itself: its disk failed, its log is
	// damaged, its state machine returned an error, or an invariant of Raft was found broken. Node.Err says which.
	ErrFailed = host.ErrFailed
	// ErrRemoved is wrapped, with ErrFailed, once this member was removed from the cluster (ChangeMembers).
	ErrRemoved = host.ErrRemoved
	// ErrSuperseded is wrapped by the error of ChangeMembers if another change took its place before it had come to its end.
	ErrSuperseded = host.ErrSuperseded
	// ErrReplaced is wrapped, with ErrFailed, when this member has started with an empty data folder under an id that the cluster knows with
	// another: it has lost what it acknowledged. Remove it, and add a new member under a new id.
	ErrReplaced = host.ErrReplaced
)
