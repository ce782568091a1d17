package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// trial is one run with an embedder's machines. It has a machine of its own, the judge's, which executes all commands one by one, in the order of the log, and
// is never restarted or restored: the others are to be as that one is, or as the model is.
type trial[C, R any] struct {
	*Machine[C, R]
	w     *world
	codec balsa.Codec[C]
	t     *testing.T
	since time.Time // when the run began, by the clock that machines see; zero: that is the computer's

	judge    *visitor[C, R]
	model    func(balsa.Entry[C, R]) R
	executed map[raft.Index]*executed[R]
	empty    any // State of a machine that has executed nothing

	order  []raft.Index // of what was executed
	opened []balsa.StateMachine[C, R]
	torn   map[balsa.StateMachine[C, R]]bool // those that were ended in the middle of a call
}

// executed is what is known of a command.
type executed[R any] struct {
	term    raft.Term
	command string // for people
	answer  R
	state   any    // after it
	written []byte // by its snapshots, if they are to be the same
	data    []byte
}

// run runs one cluster.
func (m *Machine[C, R]) run(t *testing.T, o Options) (*Report, error) {
	o.guests = m.trial(t)
	return Run(o)
}

func (m *Machine[C, R]) trial(t *testing.T) *trial[C, R] {
	return &trial[C, R]{Machine: m, codec: balsa.CodecFor[C](), t: t}
}

// around implements guests: machines see the simulator's clock.
func (t *trial[C, R]) around(run func() (*Report, error)) (r *Report, err error) {
	if t.RealTime || t.Disk != nil {
		return run()
	}
	defer func() {
		// Goroutines of machines that have died in the middle of something, and could not be closed, are left. They are no failure.
		if left := recover(); left != nil && r == nil {
			panic(left)
		}
	}()
	synctest.Test(t.t, func(*testing.T) {
		t.since = time.Now()
		r, err = run()
	})
	return r, err
}

// begin implements guests.
func (t *trial[C, R]) begin(w *world) {
	t.w, t.model, t.order, t.opened = w, nil, nil, nil
	t.executed, t.torn = make(map[raft.Index]*executed[R]), make(map[balsa.StateMachine[C, R]]bool)
	t.judge = &visitor[C, R]{trial: t, name: "the machine that executes all commands one by one"}
	if t.Disk != nil {
		t.judge.disk = &guestDisk[C, R]{Disk: t.Disk()}
	}
	t.judge.open()
	if t.Model != nil {
		t.judge.call("Model", func() error { t.model = t.Model(); return nil })
	}
	t.empty = t.judge.state()
	t.adjust(&w.knobs)
}

// adjust makes what happens to machines happen more often, and makes room for commands and snapshots that are larger than registers.
func (t *trial[C, R]) adjust(k *knobs) {
	o := t.w.options
	if o.Duration == 0 {
		k.duration /= 2
	}
	if o.Faults == 0 && k.drawn != FaultNone && t.w.chance(700) {
		k.drawn |= FaultPower | FaultKill | FaultSlowMachine | FaultSlowDisk
		k.faults = k.drawn &^ o.Without.faults
		k.faultEvery = min(k.faultEvery, 2*time.Second)
	}
	if t.Disk != nil && o.Faults == 0 && k.drawn != FaultNone {
		t.harmDisks(k)
	}
	size := 0
	for range 20 {
		size += len(t.command(rand.New(rand.NewPCG(t.w.options.Seed, uint64(size)))))
	}
	if k.compaction.ChunkBytes > 0 {
		k.compaction.ChunkBytes = max(k.compaction.ChunkBytes, size/2)
	}
	if k.compaction.BytesPerSecond > 0 {
		k.compaction.BytesPerSecond = max(k.compaction.BytesPerSecond, int64(2*size))
	}
}

// harmDisks lets the disks of machines fill up, and rot, more often. It draws apart from all else.
func (t *trial[C, R]) harmDisks(k *knobs) {
	t.w.with(t.w.stream(ofGuestDisks, 0, 0), func() {
		more := t.diskFaults()
		for _, one := range []Faults{FaultFull, FaultRot} {
			if t.w.chance(300) {
				more &^= one
			}
		}
		k.drawn |= more
		k.faults |= more &^ t.w.options.Without.faults
	})
}

// command implements guests.
func (t *trial[C, R]) command(r *rand.Rand) []byte {
	c := t.Command(r)
	b, err := t.codec.Append(nil, c)
	if err != nil {
		t.w.fail("Command", "%s cannot be encoded: %v", show(c), err)
	}
	return b
}

// open implements guests.
func (t *trial[C, R]) open(m *member) guest {
	v := &visitor[C, R]{trial: t, m: m, name: mention(fmt.Sprintf("n%d", m.id)), origin: "has executed all commands since it began"}
	if t.Disk != nil {
		v.disk = t.diskFor(m)
		t.w.startsGuest(m)
	}
	v.open()
	return v
}

// end implements guests.
func (t *trial[C, R]) end() {
	for _, m := range t.opened {
		if c, ok := m.(io.Closer); ok && !t.torn[m] {
			c.Close() // what it says is its own tests' business
		}
	}
}

// judged is what the command of an entry is to be answered with. The first member that executes it has it executed here.
func (t *trial[C, R]) judged(e *host.Entry) *executed[R] {
	if x := t.executed[e.Index]; x != nil {
		return x
	}
	x := &executed[R]{term: e.Term, data: bytes.Clone(e.Command)}
	t.executed[e.Index] = x
	t.order = append(t.order, e.Index)
	own := host.Entry{Index: e.Index, Term: e.Term, Command: bytes.Clone(e.Command)}
	if c, err := t.codec.Decode(bytes.Clone(e.Command)); err == nil {
		x.command = show(c)
	}
	answers, err := t.judge.answers([]host.Entry{own})
	if err != nil {
		return x
	}
	x.answer, x.state = answers[0], t.judge.state()
	if t.model == nil {
		return x
	}
	c, err := t.codec.Decode(bytes.Clone(e.Command))
	if err != nil {
		return x // the judge has said so
	}
	t.judge.call("Model", func() error {
		want := t.model(balsa.NewEntry[C, R](e.Index, e.Term, c, nil))
		if !t.equal(x.answer, want) {
			t.w.fail("Model", "%s answers entry %d, %s, with %s, and the model with %s", t.judge.name, e.Index, x.command, show(x.answer), show(want))
		}
		x.answer = want
		return nil
	})
	return x
}

func (t *trial[C, R]) equal(a, b R) bool {
	if t.Equal != nil {
		return t.Equal(a, b)
	}
	return reflect.DeepEqual(a, b)
}

// visitor is one machine of one process.
type visitor[C, R any] struct {
	*trial[C, R]
	m       *member // nil: the judge's
	name    mention
	machine balsa.StateMachine[C, R]
	disk    *guestDisk[C, R]
	at      raft.Index  // the last command that is part of the state
	origin  string      // where the state comes from
	calls   int         // that are under way
	doing   *host.Entry // that Apply has in hand; nil: none
	refused error       // what has kept it from being opened
	spoiled bool        // it has returned an error, and it is not known what it has done
}

func (v *visitor[C, R]) open() {
	v.refused = v.call("New", func() (err error) {
		if v.disk == nil {
			v.machine = v.New()
		} else if v.machine, err = v.disk.Open(); err == nil {
			if _, ok := v.machine.(balsa.Durable); !ok {
				err = fmt.Errorf("%T has not the methods of balsa.Durable", v.machine)
			}
		}
		return err
	})
	if v.refused != nil {
		v.machine = nil
	}
	if v.machine != nil {
		v.opened = append(v.opened, v.machine)
	}
}

// errEnded is what the host is told when the run has failed.
var errEnded = errors.New("the run has ended")

// call calls the machine. What it says, and a panic, ends the run, but for an error that says what is wrong with its disk.
func (v *visitor[C, R]) call(what string, f func() error) (err error) {
	if !v.since.IsZero() {
		time.Sleep(time.Until(v.since.Add(v.w.now)))
	}
	if v.m != nil && v.disk != nil {
		v.w.callsGuest(v.m, what)
	}
	v.calls++
	defer func() {
		v.calls--
		switch r := recover().(type) {
		case nil:
		case died:
			v.torn[v.machine] = true
			panic(r)
		default:
			v.w.fail("No Panic", "%s: %s%s: %v (%s)", v.name, what, v.of(), r, v.history())
			v.w.failure.Stack = ownStack(string(debug.Stack()))
			err = errEnded
		}
	}()
	if err := f(); err != nil {
		if v.excuses(err) {
			return err
		}
		v.w.fail("No Error", "%s: %s%s: %v (%s)", v.name, what, v.of(), err, v.history())
		return errEnded
	}
	if v.w.failure != nil {
		return errEnded
	}
	return nil
}

// ownStack is what of a stack is the machine's: from the panic on, down to who called it here.
func ownStack(stack string) string {
	if i := strings.Index(stack, "\npanic("); i >= 0 {
		stack = stack[i+1:]
	}
	if i := strings.Index(stack, "\ngithub.com/balsa-raft/balsa/sim.(*visitor["); i >= 0 {
		stack = stack[:i]
	}
	return stack
}

// history is what has happened to the machine.
func (v *visitor[C, R]) history() string {
	switch {
	case v.origin == "":
		return fmt.Sprintf("after entry %d", v.at)
	case v.m == nil:
		return fmt.Sprintf("after entry %d; it %s", v.at, v.origin)
	}
	return fmt.Sprintf("incarnation %d of the member, after entry %d; it %s", v.m.incarnation, v.at, v.origin)
}

// apply implements guest.
func (v *visitor[C, R]) apply(batch []host.Entry) error {
	for i := range batch {
		v.judged(&batch[i])
	}
	if v.w.failure != nil {
		return errEnded
	}
	answers, err := v.answers(batch)
	if err != nil {
		return err
	}
	for i, a := range answers {
		e := &batch[i]
		x := v.executed[e.Index]
		if v.m != nil && v.w.story != nil {
			v.m.tell("executes entry %d, %s: %s", e.Index, x.command, show(a))
		}
		if !v.equal(a, x.answer) {
			v.w.fail("Same Answers", "%s answers entry %d, %s, with %s, and %s with %s (%s)",
				v.name, e.Index, x.command, show(a), v.rightly(), show(x.answer), v.history())
			return errEnded
		}
	}
	v.look()
	return nil
}

// rightly is who knows how a command is to be answered.
func (t *trial[C, R]) rightly() mention {
	if t.model != nil {
		return "the model"
	}
	return t.judge.name
}

// answers gives the machine a batch, and returns its answers.
func (v *visitor[C, R]) answers(batch []host.Entry) ([]R, error) {
	given := make([]R, len(batch))
	err := v.call("Apply", func() error {
		var bad error
		err := v.machine.Apply(func(yield func(balsa.Entry[C, R]) bool) {
			for i := range batch {
				e := &batch[i]
				var c C
				v.take(e)
				if c, bad = v.codec.Decode(e.Command); bad != nil {
					bad = fmt.Errorf("its %d bytes cannot be decoded: %w", len(e.Command), bad)
					return
				}
				if !yield(balsa.NewEntry(e.Index, e.Term, c, func(r R) { given[i] = r })) {
					bad = errors.New("Apply has left its batch there")
					return
				}
			}
		})
		switch {
		case err != nil:
			return fmt.Errorf("%w: an error stops the member; a command that is refused is answered with a value of R", err)
		case bad == nil && v.at != batch[len(batch)-1].Index:
			return errors.New("it has not looked at its batch")
		}
		return bad
	})
	if err == nil {
		v.doing = nil
	}
	return given, err
}

// take takes in that the machine is given an entry.
func (v *visitor[C, R]) take(e *host.Entry) {
	v.at, v.doing = e.Index, e
	if v.disk != nil {
		v.disk.given = max(v.disk.given, e.Index)
	}
}

// of says which command the machine has in hand.
func (v *visitor[C, R]) of() mention {
	if v.doing == nil {
		return ""
	}
	return mention(fmt.Sprintf(" of entry %d, %s", v.doing.Index, v.executed[v.doing.Index].command))
}

// state is what readers see of the machine.
func (v *visitor[C, R]) state() (s any) {
	if v.State != nil && v.machine != nil && v.w.failure == nil {
		v.call("State", func() error {
			s = v.State(v.machine)
			if err, ok := s.(error); ok && v.disk != nil && v.disk.rotten {
				return err
			}
			return nil
		})
	}
	return s
}

// look compares the state.
func (v *visitor[C, R]) look() {
	if v.State == nil || v.w.failure != nil {
		return
	}
	want := v.empty
	if v.at > 0 {
		x := v.executed[v.at]
		if x == nil {
			return
		}
		want = x.state
	}
	if is := v.state(); v.w.failure == nil && !v.spoiled && !reflect.DeepEqual(is, want) {
		v.w.fail("Same State", "%s has the state %s, and %s had %s (%s)", v.name, show(is), v.judge.name, show(want), v.history())
	}
}

// snapshot implements guest.
func (v *visitor[C, R]) snapshot() (func(io.Writer) error, error) {
	var write func(io.Writer) error
	at := v.at
	err := v.call("Snapshot", func() (err error) {
		write, err = v.machine.Snapshot()
		if err == nil && write == nil {
			err = errors.New("there is no function")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return func(w io.Writer) error {
		if v.w.failure != nil {
			return errEnded
		}
		watched := &watchedWriter{w: w}
		if v.SameBytes {
			watched.copy = new(bytes.Buffer)
		}
		err := v.call("the function of Snapshot", func() error {
			if err := write(watched); watched.err == nil {
				return err
			}
			return nil
		})
		if err == nil && watched.err == nil {
			v.compareBytes(at, watched.copy)
		}
		return errors.Join(err, watched.err)
	}, nil
}

// compareBytes compares the snapshots that were taken after a command.
func (v *visitor[C, R]) compareBytes(at raft.Index, b *bytes.Buffer) {
	x := v.executed[at]
	if b == nil || x == nil {
		return
	}
	if x.written != nil && !bytes.Equal(x.written, b.Bytes()) {
		v.w.fail("Same Bytes", "%s writes the snapshot %s, and another machine has written %s (%s)", v.name, show(b.Bytes()), show(x.written), v.history())
	}
	x.written = append(b.Bytes(), []byte{}...)
}

// watchedWriter knows whether a machine's error is its own.
type watchedWriter struct {
	w    io.Writer
	err  error
	copy *bytes.Buffer // may be nil
}

func (w *watchedWriter) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	if err != nil {
		w.err = err
	}
	if w.copy != nil {
		w.copy.Write(b[:n])
	}
	return n, err
}

// restore implements guest.
func (v *visitor[C, R]) restore(r io.Reader, i raft.Index) error {
	if v.disk != nil {
		v.disk.given, v.disk.synced = max(v.disk.given, i), 0 // until it is synced anything may be lost
	}
	v.origin = fmt.Sprintf("was restored from the snapshot after entry %d", i)
	if v.at > 0 {
		v.origin += fmt.Sprintf(", when it was after entry %d", v.at)
	}
	if err := v.call("Restore", func() error { return v.machine.Restore(r) }); err != nil {
		return err
	}
	v.at = i
	v.look()
	if v.w.failure != nil {
		return errEnded
	}
	return nil
}

// durable implements guest.
func (v *visitor[C, R]) durable() guestDurable {
	if v.disk == nil {
		return nil
	}
	return v
}

// applied implements guestDurable.
func (v *visitor[C, R]) applied() (i raft.Index, term raft.Term, err error) {
	switch {
	case v.w.failure != nil:
		return 0, 0, errEnded
	case v.refused != nil:
		return 0, 0, v.refused
	}
	err = v.call("Applied", func() (err error) {
		i, term, err = v.machine.(balsa.Durable).Applied()
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	x := v.executed[i]
	switch {
	case i > v.disk.given || i > 0 && (x == nil || x.term != term) || i == 0 && term != 0:
		v.w.fail("Durable", "%s says that it has kept the state of entry %d, term %d, and cannot have that: it was given entries up to %d", v.name, i, term, v.disk.given)
	case i < v.disk.synced && !v.disk.rotten:
		v.w.fail("Durable", "%s says that it has kept the state of entry %d, and was synced after entry %d", v.name, i, v.disk.synced)
	}
	if i < v.disk.synced {
		v.w.report.NoticedRot++
	}
	v.disk.given, v.disk.synced = i, min(i, v.disk.synced)
	v.at, v.origin = i, fmt.Sprintf("has kept the state of entry %d", i)
	v.look()
	if v.w.failure != nil {
		return 0, 0, errEnded
	}
	return i, term, nil
}

// sync implements guestDurable.
func (v *visitor[C, R]) sync() error {
	at := v.at
	err := v.call("Sync", v.machine.(balsa.Durable).Sync)
	if err == nil && !v.spoiled {
		v.disk.synced = at
	}
	return err
}

// die implements guest.
func (v *visitor[C, R]) die() {
	if v.machine != nil && (v.calls > 0 || v.disk != nil) {
		v.torn[v.machine] = true
	}
	if v.disk != nil {
		v.disk.Crash()
	}
}
