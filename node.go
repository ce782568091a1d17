package balsa

import "context"

// Node is one member's handle on the replicated state machine. It is safe for concurrent use.
type Node[C, R any] struct {
}

// waiter is a caller of Propose on this member.
type waiter[R any] struct {
	value R
}

// Open starts this member: it recovers its log from config.Dir (or starts a new one), replays it into machine and takes
// part in the cluster. It returns as soon as the member is running, which may be before there is a leader.
func Open[C, R any](ctx context.Context, config Config, machine StateMachine[C, R]) (*Node[C, R], error) {
	panic("not yet")
}

// Propose replicates the command and returns its result once this member has applied it. It may be called on any
// member. It ends with a Result, or with an error that wraps ErrNotCommitted (no effect, now or ever: propose
// again) or ErrUnknownOutcome (ctx ended first); see the errors of this package.
func (n *Node[C, R]) Propose(ctx context.Context, command C) (Result[R], error) {
	panic("not yet")
}

// Read waits until this member's state machine is as fresh as level demands, and returns the index up to which it
// has then at least been applied. The caller reads the machine itself, after Read has returned.
func (n *Node[C, R]) Read(ctx context.Context, level Level) (Index, error) {
	panic("not yet")
}

// Status returns the member's view of the cluster.
func (n *Node[C, R]) Status() Status { panic("not yet") }

// Done is closed when the node has stopped, by Close or by a failure.
func (n *Node[C, R]) Done() <-chan struct{} { panic("not yet") }

// Err says why the node stopped: ErrClosed, or an error that wraps ErrFailed. It is nil while the node runs.
func (n *Node[C, R]) Err() error { panic("not yet") }

// Close stops the member and waits until everything it started has ended. What was acknowledged is durable.
func (n *Node[C, R]) Close() error { panic("not yet") }
