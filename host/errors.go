package host

import (
	"errors"
	"fmt"
)

var errLeaderOverloaded = fmt.Errorf("%w: %w: the leader's log has too much that is not committed", ErrNotCommitted, ErrOverloaded)

// ErrSkipped says, as an unknown outcome, that this member continued from a snapshot while the proposal was under way: it may be part of that.
var ErrSkipped = fmt.Errorf("%w: this member was brought forward by a snapshot meanwhile", ErrUnknownOutcome)

var (
	// ErrNotCommitted says that a command has certainly not taken effect and never will: it is safe to propose again.
	ErrNotCommitted = errors.New("balsa: proposal not committed")
	// ErrUnknownOutcome says that a command may have taken effect, or may still do so.
	ErrUnknownOutcome = errors.New("balsa: outcome of the proposal unknown")
	// ErrNoLeader is wrapped by errors of calls that ended while this member knew of no leader.
	ErrNoLeader = errors.New("balsa: no leader")
	// ErrOverloaded is wrapped by errors of calls that a limit refused: try again later.
	ErrOverloaded = errors.New("balsa: overloaded")
	// ErrTooLarge is wrapped by errors of proposals over the limit of one command.
	ErrTooLarge = errors.New("balsa: command too large")
	// ErrSessionExpired is wrapped by errors of commands whose session is not known any more: others were used since, and there is room for
	// so many. Which of its commands that were not answered have taken effect is not known, and never will be.
	ErrSessionExpired = errors.New("balsa: session expired")
	// ErrAnswerLost says that a command of a session has taken effect once, and that its answer is not known here.
	ErrAnswerLost = errors.New("balsa: the command was executed, its answer was not kept")
	// ErrClosed is returned once Close has begun.
	ErrClosed = errors.New("balsa: closed")
	// ErrRemoved is wrapped, with ErrFailed, once this member was removed from the cluster.
	ErrRemoved = errors.New("balsa: this member was removed from the cluster; its data folder is of no use any more")
	// ErrReplaced is wrapped, with ErrFailed, by a member that starts with an empty data folder under an id that the cluster knows with another.
	ErrReplaced = errors.New("balsa: this member's data folder is empty, and the cluster knows it with another one")
	// ErrSuperseded is wrapped by the error of a change of the members in whose place another one came before it had come to its end.
	ErrSuperseded = errors.New("balsa: the change of the members was superseded by another one")
	// ErrFailed is wrapped by every call once the host, or the group, has stopped by itself.
	ErrFailed = errors.New("balsa: stopped after a failure")
)
