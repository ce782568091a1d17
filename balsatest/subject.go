package balsatest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/balsa-raft/balsa"
)

// Options adjust the tests. The zero value is good.
type Options[C, R any] struct {
	// Equal compares the results that one command has had on two machines; reflect.DeepEqual by default.
	Equal func(a, b R) bool
	// State returns a copy of what readers can see of a machine's state; it is compared by reflect.DeepEqual. By default only results are compared.
	State func(balsa.StateMachine[C, R]) any
	// SameBytes says that machines of equal state write snapshots of equal bytes. Then it is tested.
	SameBytes bool
	// Commands is how long a history is; 200 by default.
	Commands int
	// Seed chooses the histories.
	Seed uint64
}

func (o Options[C, R]) withDefaults() Options[C, R] {
	if o.Equal == nil {
		o.Equal = func(a, b R) bool { return reflect.DeepEqual(a, b) }
	}
	if o.Commands == 0 {
		o.Commands = 200
	}
	return o
}

// subject is a kind of machine and one history of commands, with what the machines that executed it have answered.
type subject[C, R any] struct {
	options Options[C, R]
	create  func() balsa.StateMachine[C, R]
	command func(*rand.Rand) C
	codec   balsa.Codec[C]
	length  int // of the history; what comes behind it is there to tell states apart
	opened  []balsa.StateMachine[C, R]

	rand     *rand.Rand // for what is done to the machines
	commands *rand.Rand // for the commands alone, so that they can be made again
	log      []logged

	// What was seen first; everybody must come to the same.
	answers map[int]seen[R]      // of entry i
	states  map[int]seen[any]    // before entry i
	written map[int]seen[[]byte] // snapshots before entry i
}

// logged is a command as the log has it.
type logged struct {
	index balsa.Index
	term  balsa.Term
	data  []byte
}

type seen[T any] struct {
	value T
	by    string
}

// tail is how many commands behind the history tell whether two states are the same.
const tail = 50

func newSubject[C, R any](create func() balsa.StateMachine[C, R], command func(*rand.Rand) C, o Options[C, R], round uint64) *subject[C, R] {
	o = o.withDefaults()
	s := &subject[C, R]{
		options: o, create: create, command: command, codec: balsa.CodecFor[C](), length: max(1, o.Commands>>(2*(rounds-1-round))),
		rand:    rand.New(rand.NewPCG(o.Seed, 2*round)),
		answers: map[int]seen[R]{}, states: map[int]seen[any]{}, written: map[int]seen[[]byte]{},
	}
	s.commands = s.sameCommands(round)
	return s
}

func (s *subject[C, R]) sameCommands(round uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.options.Seed, 2*round+1))
}

// failure is what a check panics with if the machine does not pass.
type failure struct{ text string }

func failf(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

// run lets a check run to its end, and returns why the machine does not pass.
func (s *subject[C, R]) run(check func(*subject[C, R])) (err error) {
	defer s.close()
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = errors.New(r.text)
		default:
			err = fmt.Errorf("a panic: %v\n%s", r, debug.Stack())
		}
	}()
	check(s)
	return nil
}

// close ends the machines, each as often as it was opened.
func (s *subject[C, R]) close() {
	for _, m := range s.opened {
		if c, ok := m.(io.Closer); ok {
			c.Close() // what it says is its own tests' business
		}
	}
	s.opened = nil
}

// entry returns entry i of the history, from 0.
func (s *subject[C, R]) entry(i int) *logged {
	for len(s.log) <= i {
		e := logged{index: 1, term: 1}
		if n := len(s.log); n > 0 {
			e = logged{index: s.log[n-1].index + 1, term: s.log[n-1].term}
		}
		if s.rand.IntN(8) == 0 { // an entry that is not for the machine, as after an election
			e.index++
			e.term += balsa.Term(s.rand.IntN(2))
		}
		var err error
		if e.data, err = s.codec.Append(nil, s.command(s.commands)); err != nil {
			failf("command %d cannot be encoded: %v", i, err)
		}
		s.log = append(s.log, e)
	}
	return &s.log[i]
}

// describe is entry i for people.
func (s *subject[C, R]) describe(i int) string {
	c, err := s.codec.Decode(bytes.Clone(s.entry(i).data))
	if err != nil {
		return fmt.Sprintf("command %d", i)
	}
	return fmt.Sprintf("command %d, %s", i, show(c))
}

// show is a value on one line of no more than some length.
func show(v any) string {
	text := fmt.Sprintf("%+v", v)
	if e, ok := v.(error); ok {
		text = e.Error()
	}
	if r := []rune(text); len(r) > 200 {
		text = string(r[:200]) + "..."
	}
	return text
}

// position is somewhere in the history, more often than not near its end.
func (s *subject[C, R]) position() int {
	if s.rand.IntN(4) == 0 {
		return s.rand.IntN(s.length + 1)
	}
	return s.length - s.rand.IntN(s.length/4+1)
}

// patience is how long is waited for one step that nothing should hold up.
var patience = 10 * time.Second

// await calls f, which must return whatever else goes on, in so many steps.
func await(what string, steps int, f func()) {
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		f()
	}()
	select {
	case r := <-done:
		if r != nil {
			panic(r)
		}
	case <-time.After(time.Duration(steps) * patience):
		failf("%s has not returned within %v", what, time.Duration(steps)*patience)
	}
}
