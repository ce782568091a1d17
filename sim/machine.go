package sim

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/balsatest"
)

// Machine is a state machine of a program that embeds Balsa, for Test. New, or Disk, and Command are needed; the others are for those who want more to be
// checked. What has the name of something in package balsatest is the same here.
type Machine[C, R any] struct {
	// New returns a machine that has executed nothing, another at every call: each start of each member has one.
	New func() balsa.StateMachine[C, R]
	// Command makes a random command, of every kind that there is, over few enough keys that commands meet. It depends on the generator
	// that it is given and on nothing else.
	Command func(*rand.Rand) C

	// Model returns a function that says how each command is to be answered. It is given all commands in the order of the log, once. Without a Model it is only
	// tested that all members give the same answers, not that these are right.
	Model func() func(balsa.Entry[C, R]) R
	// Equal compares two answers to one command; reflect.DeepEqual by default.
	Equal func(a, b R) bool
	// State returns a copy of what readers can see of a machine's state; it is compared by reflect.DeepEqual. By default only answers are compared.
	State func(balsa.StateMachine[C, R]) any
	// SameBytes says that machines of equal state write snapshots of equal bytes. Then it is tested. Balsa does not need it.
	SameBytes bool
	// Disk returns an empty disk, another at every call, of a machine that is a balsa.Durable. It takes the place of New. Each member has one; when a member
	// dies, Disk.Crash is called, and at its next start Disk.Open. Disk.FailAt is not used.
	//
	// With a Disk.Room, as those of Memory have one, the disk is full at times. Then the machine returns an error that wraps the disk's, syscall.ENOSPC, from whatever was
	// called, Disk.Open included. Its member stops, and is started again, until there is room. A machine that takes no notice has promised what is not there.
	Disk func() balsatest.Disk[C, R]
	// FindsRot says that machines notice when they read bytes of their Disk that are not what they wrote, by checksums for example. Then it is tested, with Disk.Rot: bytes that were synced are
	// damaged. A machine that notices returns any error, from Disk.Open or later, and is given an empty disk at the next start; or it goes on from an earlier place, up to which all is sound,
	// although it was synced later. The member's own snapshot and log bring it forward. Other answers, another state or a panic are failures. State may return an error if it
	// cannot be read.
	FindsRot bool
	// RealTime says that machines see the computer's clock. By default they see the simulator's, so that a machine that depends on time.Now differs
	// from others by what lies between their executions of a command, at every run of a seed alike; but then a machine's goroutines should end with its Close
	// method, and what they wait for must have been made by the machine, for the rules of testing/synctest. Machines on a Disk always see the computer's.
	RealTime bool
}

// Test runs clusters whose members execute the machine, with everything going wrong that package sim can bring about, and fails t if a member
// answers a command as another machine did not, or as the model does not; if a machine differs from what its snapshot was taken of; if one panics, or returns an
// error; or if anything else does not hold of what the package says. See the example.
//
// It runs the seeds from o.Seed on, or from 1, until it has run 50, or 15 and two seconds are over. These flags of go test change that; they exist in programs that go test
// has built alone, and there in those packages that use sim:
//
//	-sim.seed=7     seed 7 and no other; with -v, step by step
//	-sim.seeds=500  so many seeds, however long it takes
//	-sim.shrink=1m  how long to look for a smaller run that fails in the same way; 2s by default, 0 for not at all
//
// A failure begins with a summary on one screen, as docs/reading-a-failure.md explains it, of a smaller run if there is one, and a line that runs that again, with flags that leave
// out what was not needed for it (-sim.members, -sim.duration, -sim.faults, -sim.without, -sim.only, -sim.add). The same seed is the same run, as long as machine and Command are not changed and depend on nothing but
// what they are given; one that does otherwise may pass sometimes, so that -sim.seed runs the seed up to ten times. A machine that has a method Close() error is closed
// at the end of the run.
//
// The machines execute what is proposed, through sessions and without; beside them each member has a table of registers, whose writes and reads at all levels are
// checked (see the package's text). Both together make what clients see linearizable: an answer is what the commands before it in the log lead to, and
// no command comes before one that had its answer when it was called.
//
// Large states make slow runs: machines should begin empty, and commands be small.
func Test[C, R any](t *testing.T, m Machine[C, R], o Options) {
	t.Helper()
	if err := find(t, m, o, *flags); err != nil {
		t.Error(err)
	}
}

// plan is what Test runs.
type plan struct {
	seed   uint64        // this one alone; zero: none
	seeds  int           // so many; zero: as many as the time allows
	shrink time.Duration // for how long a failing run is made smaller
	only   Options       // with seed: what is set here takes the place of what Test was given
}

// flags are those of the program, if go test has built it.
var flags = func() *plan {
	p := &plan{}
	if !testing.Testing() {
		return p
	}
	flag.Uint64Var(&p.seed, "sim.seed", 0, "sim.Test: run this seed alone; with -v, tell its story")
	flag.IntVar(&p.seeds, "sim.seeds", 0, "sim.Test: run so many seeds, however long it takes")
	flag.DurationVar(&p.shrink, "sim.shrink", 2*time.Second, "sim.Test: look so long for a smaller run that fails in the same way")
	flag.IntVar(&p.only.Members, "sim.members", 0, "with -sim.seed: so many members")
	flag.DurationVar(&p.only.Duration, "sim.duration", 0, "with -sim.seed: so much time with faults")
	flag.Func("sim.faults", "with -sim.seed: these faults", func(text string) (err error) { p.only.Faults, err = ParseFaults(text); return err })
	flag.Func("sim.without", "with -sim.seed: without these decisions", func(text string) (err error) { p.only.Without, err = ParseDecisions(text); return err })
	flag.Func("sim.add", "with -sim.seed: with these faults beside", func(text string) (err error) { p.only.Add, err = ParseAdded(text); return err })
	flag.Func("sim.only", "with -sim.seed: with these decisions alone", func(text string) (err error) { p.only.Only, err = ParseDecisions(text); return err })
	return p
}()

const (
	seedsMin   = 15
	seedsMax   = 50
	timeMax    = 2 * time.Second // of the computer's
	replaysMax = 10
)

// find runs seeds until one fails, and returns how.
func find[C, R any](t *testing.T, m Machine[C, R], o Options, p plan) error {
	if err := errors.Join(m.validate(), o.Check()); err != nil {
		return err
	}
	if p.seed != 0 {
		return m.again(t, p.on(o))
	}
	o.Seed = max(1, o.Seed)
	n, start := seedsMax, time.Now()
	if p.seeds > 0 {
		n = p.seeds
	}
	for i := range n {
		if i >= seedsMin && p.seeds == 0 && time.Since(start) > timeMax {
			break
		}
		if _, err := m.run(t, o); err != nil {
			return m.shrunk(t, o, err, p.shrink)
		}
		o.Seed++
	}
	return nil
}

// on is o with what flags say.
func (p plan) on(o Options) Options {
	o.Seed = p.seed
	if p.only.Members != 0 {
		o.Members = p.only.Members
	}
	if p.only.Duration != 0 {
		o.Duration = p.only.Duration
	}
	if p.only.Faults != 0 {
		o.Faults = p.only.Faults
	}
	if !p.only.Without.isEmpty() {
		o.Without = p.only.Without
	}
	if !p.only.Only.isEmpty() {
		o.Only = p.only.Only
	}
	if len(p.only.Add) > 0 {
		o.Add = p.only.Add
	}
	return o
}

// again runs a seed that has failed before.
func (m *Machine[C, R]) again(t *testing.T, o Options) error {
	switch {
	case o.Story != nil:
	case testing.Verbose():
		o.Story = t.Output()
	default:
		o.Story = io.Discard
	}
	for range replaysMax {
		if _, err := m.run(t, o); err != nil {
			return asFailed(err, replay(t, o))
		}
	}
	return nil
}

// shrunk says how a run has failed, and how to see it again: a smaller one, if there is one.
func (m *Machine[C, R]) shrunk(t *testing.T, o Options, err error, limit time.Duration) error {
	first := (*Violation)(nil)
	if !errors.As(err, &first) {
		return err
	}
	if limit > 0 {
		small := o
		small.guests = m.trial(t)
		if s, err := Shrink(small, limit, nil); err == nil && s.After.Steps < s.Before.Steps {
			v := m.summed(t, s.Options, s.Violation)
			return &failed{v, fmt.Sprintf("%s\n\nThat is a smaller run that breaks the same rule. The first was\n  %v\n  again: %s\nbefore: %v\nafter:  %v",
				v.front(replay(t, s.Options)), first, replay(t, o), s.Before, s.After)}
		}
	}
	return asFailed(m.summed(t, o, first), replay(t, o))
}

// asFailed is err as Test tells it.
func asFailed(err error, replay string) error {
	if v := (*Violation)(nil); errors.As(err, &v) {
		return &failed{v, v.front(replay)}
	}
	return err
}

// replay is the command that runs a run of Test again.
func replay(t *testing.T, o Options) string {
	return fmt.Sprintf("go test -run '%s' -v -sim.seed=%d%s", pattern(t.Name()), o.Seed, o.Flags("-sim."))
}

// pattern is what chooses a test by its name.
func pattern(name string) string { return "^" + strings.ReplaceAll(name, "/", "$/^") + "$" }

func (m *Machine[C, R]) validate() error {
	switch {
	case m.Command == nil:
		return errors.New("sim: Machine.Command is nil: it is to make the commands")
	case (m.New == nil) == (m.Disk == nil):
		return errors.New("sim: one of Machine.New and Machine.Disk is needed, and not both")
	case m.FindsRot && (m.Disk == nil || m.Disk().Rot == nil):
		return errors.New("sim: Machine.FindsRot needs a Machine.Disk that has a Rot, as those of Memory")
	}
	return m.checkCommands()
}

// checkCommands: without this a seed would not be the same run again.
func (m *Machine[C, R]) checkCommands() error {
	a, b := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(1, 2))
	for range 100 {
		if x, y := m.Command(a), m.Command(b); !reflect.DeepEqual(x, y) {
			return fmt.Errorf("sim: Machine.Command has made %s, and %s with a generator in the same state: it must depend on that alone, "+
				"or no seed can be run again", show(x), show(y))
		}
	}
	return nil
}

// show is a value on one line of no more than some length.
func show(v any) string {
	text := fmt.Sprintf("%+v", v)
	switch v := v.(type) {
	case error:
		text = v.Error()
	case string, []byte:
		text = fmt.Sprintf("%q", v)
	}
	if r := []rune(text); len(r) > 200 {
		text = string(r[:200]) + "..."
	}
	return text
}
