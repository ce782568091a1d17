package balsa

import (
	"io"
	"iter"
)

// StateMachine executes the commands of type C that the group has committed and answers each with an R. Every
// member runs its own; they stay equal because they are given the same commands in the same order and take no
// other input: no clock, no randomness, no map order, no memory address.
//
// Balsa calls its methods from one goroutine at a time. Reads by the program's own goroutines, made after
// Node.Read has returned, are the machine's to synchronise with Apply.
//
// A machine that keeps its state on disk is also a Durable. Package balsatest tests machines against what is said here.
type StateMachine[C, R any] interface {
	// Apply executes the entries of batch in order and gives each its result with Entry.Reply. A command that
	// is refused (a key that is missing, a balance too low) is a value of R, the same on every member. An error
	// means that this member cannot go on: it stops, and nothing after the batch is applied. Apply must return: Close and
	// those who wait for the batch wait for it. It must not call the Node.
	Apply(batch iter.Seq[Entry[C, R]]) error
	// Snapshot pins the state as it is, between two batches, and returns a function that writes that state. The function is called exactly once,
	// by another goroutine, while Apply goes on; so it must work on what it has pinned: a copy, or a structure of which old versions stay
	// readable. With an error, or if the function fails, the log is kept and a snapshot is tried again later.
	Snapshot() (write func(io.Writer) error, err error)
	// Restore replaces the whole state by one that Snapshot's function has written, here or on another member. An error stops this member.
	Restore(r io.Reader) error
}

// Entry is a committed command, as Apply gets it.
type Entry[C, R any] struct {
	Index Index // its place in the log; rises from entry to entry, with gaps
	Term  Term  // in which it came into the log; never falls. With Index it names the entry: no two of a cluster have both
	// Command may be kept for ever and must not be changed: what Decode has left in it of the log's own bytes (all of a []byte) is
	// what other members may yet be sent.
	Command C

	waiter *waiter[R] // nil where another member proposed it
}

// Reply answers the command. On the member that proposed it the value goes to the caller of Propose, on all
// others nowhere. It is called before Apply returns. An entry without a Reply is answered with the zero R.
func (e Entry[C, R]) Reply(r R) {
	if e.waiter == nil {
		return
	}
	e.waiter.value, e.waiter.replied = r, true
	if e.waiter.reply != nil {
		e.waiter.reply(r)
	}
}

// NewEntry returns an entry as Apply gets it, for tests of a state machine by itself: see package balsatest. reply, which may be nil, is
// called by Entry.Reply.
func NewEntry[C, R any](i Index, t Term, command C, reply func(R)) Entry[C, R] {
	e := Entry[C, R]{Index: i, Term: t, Command: command}
	if reply != nil {
		e.waiter = &waiter[R]{reply: reply}
	}
	return e
}

// Codec turns commands into bytes and back. Balsa brings one for []byte, for string, for types with
// AppendBinary (or MarshalBinary) and UnmarshalBinary, of their own or of their pointer, and, for all others, JSON, which sees
// exported fields alone: see CodecFor. What is written must be readable: a command in the log that Decode refuses stops every member.
type Codec[C any] interface {
	// Append appends the bytes of c to b, and leaves b as it is.
	Append(b []byte, c C) ([]byte, error)
	// Decode returns the command of b, which it may keep but not change.
	Decode(b []byte) (C, error)
}
