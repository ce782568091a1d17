package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// Guests are the machines of an embedder. Each lives in the register of a member's process: a command of the register ends with one of the guest's, where it has
// padding otherwise, and a snapshot of the register with one of the guest's. So all that is checked with registers is checked with guests, too.

// guests makes them, and knows what is right.
type guests interface {
	// around runs a run.
	around(run func() (*Report, error)) (*Report, error)
	begin(w *world)
	// command is the bytes of a random one.
	command(r *rand.Rand) []byte
	// open is called when a member starts.
	open(m *member) guest
	// last is called when nothing is to happen any more and all members are in the same state.
	last(members []*member)
	// end is called after that, and also after a failure.
	end()
	guestDisks
}

// guest is a machine.
type guest interface {
	apply(batch []host.Entry) error // of its own commands
	snapshot() (func(io.Writer) error, error)
	restore(r io.Reader, i raft.Index) error // i is the last command that is part of it
	// durable is nil for one that keeps nothing.
	durable() guestDurable
	// die is called when the member does.
	die()
}

type guestDurable interface {
	applied() (raft.Index, raft.Term, error)
	sync() error
}

// ending is what a command of the register ends with.
func (c *clients) ending() (b []byte) {
	if c.w.options.guests == nil {
		return make([]byte, c.w.rand.IntN(c.w.knobs.valueBytes+1))
	}
	c.w.apart(func() { b = c.w.options.guests.command(c.w.rand) })
	return b
}

// receive takes a guest in when a process starts.
func (r *register) receive() {
	if gs := r.m.w.options.guests; gs != nil {
		r.guest = gs.open(r.m)
	}
}

// forHost is the machine that the host sees.
func (r *register) forHost() host.Machine {
	if r.isDurable() {
		return durableRegister{r}
	}
	return r
}

func (r *register) isDurable() bool { return r.keeps() || r.guest != nil && r.guest.durable() != nil }

// applyGuest executes what the batch has for the guest.
func (r *register) applyGuest(batch []host.Entry) error {
	if r.guest == nil || r.m.w.failure != nil {
		return nil
	}
	own := make([]host.Entry, len(batch))
	for i, e := range batch {
		r.m.w.checker.note(put{e.Index, int(e.Command[8]), binary.LittleEndian.Uint64(e.Command)})
		e.Command = e.Command[commandBytes:]
		own[i] = host.Entry{Index: e.Index, Term: e.Term, Command: e.Command}
	}
	return r.guest.apply(own)
}

// withGuest returns a function that writes a snapshot of the register, and of its guest behind it.
func (r *register) withGuest(b []byte) (func(io.Writer) error, error) {
	write := func(io.Writer) error { return nil }
	if r.guest != nil {
		var err error
		if write, err = r.guest.snapshot(); err != nil {
			return nil, err
		}
		b = append(binary.LittleEndian.AppendUint32(b[:stateBytes:stateBytes], uint32(len(b))), b[stateBytes:]...)
	}
	return func(w io.Writer) error {
		if _, err := w.Write(b); err != nil {
			return errors.Join(err, write(brokenWriter{err}))
		}
		return write(w)
	}, nil
}

// stateBytes is how a register's snapshot begins: the last command u64, the hash of all u64. With a guest the length of both that and the registers follows, u32.
const stateBytes = 16

// ownSnapshot reads what is the register's of a snapshot.
func (r *register) ownSnapshot(from io.Reader) ([]byte, error) {
	if r.guest == nil {
		return io.ReadAll(from)
	}
	head := make([]byte, stateBytes+4)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(head[stateBytes:]))
	if n < stateBytes || n > 1<<20 {
		return nil, fmt.Errorf("%d bytes of registers", n)
	}
	b := append(head[:stateBytes:stateBytes], make([]byte, n-stateBytes)...)
	_, err := io.ReadFull(from, b[stateBytes:])
	return b, err
}

func (r *register) restoreGuest(from io.Reader) error {
	if r.guest == nil || r.m.w.failure != nil {
		return nil
	}
	return r.guest.restore(from, r.applied)
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

// durableRegister is a register that keeps its state, or one with a guest that does: then the register keeps its own with the help of the checker, which
// knows all commands.
type durableRegister struct{ *register }

var _ host.Durable = durableRegister{}

// Applied implements host.Durable.
func (r durableRegister) Applied() (raft.Index, raft.Term, error) {
	if r.keeps() {
		return r.journal.start(r.register)
	}
	i, t, err := r.guest.durable().applied()
	if err == nil {
		r.m.w.checker.rebuild(r.register, i)
	}
	return i, t, err
}

// Sync implements host.Durable.
func (r durableRegister) Sync() error {
	if r.keeps() {
		return r.journal.sync()
	}
	return r.guest.durable().sync()
}

// put is a command of the registers.
type put struct {
	index raft.Index
	key   int
	value uint64
}

// note takes in what a register executes. Somebody is always the first.
func (c *checker) note(p put) {
	if n := len(c.puts); n == 0 || c.puts[n-1].index < p.index {
		c.puts = append(c.puts, p)
	}
}

// rebuild brings a register to where it was after entry i.
func (c *checker) rebuild(r *register, i raft.Index) {
	for _, p := range c.puts {
		if p.index > i {
			break
		}
		r.values[p.key], r.applied = p.value, p.index
		r.state = c.committed[p.index-1].state
	}
}

// losesAnswers reports whether answers to commands of sessions are lost when a member restarts: a machine that has kept its state is not asked for them again.
func (c *checker) losesAnswers() bool {
	if c.w.knobs.keeps {
		return true
	}
	for _, m := range c.w.members {
		if m.disk.guest != nil {
			return true
		}
	}
	return false
}

// answersMayDiffer reports whether members may have lost different answers: also for lack of room, where it counts how many commands were executed together.
func (c *checker) answersMayDiffer() bool {
	return c.w.knobs.sessions.AnswerBytesMax > 0 || c.losesAnswers()
}

// sized is what has a size: a snapshot after an entry, and if that may have other bytes on each member, the one that a term's leader has.
func (c *checker) sized(t raft.Term, at place) streamed {
	if c.w.options.guests == nil && !c.answersMayDiffer() {
		t = 0
	}
	return streamed{term: t, at: at}
}

func (w *world) lookAtGuests() {
	if gs := w.options.guests; gs != nil && w.failure == nil && !w.options.hurry {
		gs.last(w.cluster())
	}
}

func (w *world) endGuests() {
	if gs := w.options.guests; gs != nil {
		gs.end()
	}
}
