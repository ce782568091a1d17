package balsatest

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"sync"

	"github.com/balsa-raft/balsa"
)

// player lets a machine execute the history, and compares what can be seen of it with what others have shown.
type player[C, R any] struct {
	s       *subject[C, R]
	name    string
	machine balsa.StateMachine[C, R]
	at      int     // entries that are part of its state
	given   []given // what the machine was given, and may still have
}

// given is the bytes of a command that a machine has had in its hands.
type given struct {
	entry int
	data  []byte
}

// player returns one with a machine that has executed nothing.
func (s *subject[C, R]) player(format string, args ...any) *player[C, R] {
	m := s.create()
	s.opened = append(s.opened, m)
	return &player[C, R]{s: s, name: fmt.Sprintf(format, args...), machine: m}
}

// to lets the machine execute the history up to an entry, in batches whose sizes the argument chooses.
func (p *player[C, R]) to(end int, size func() int) *player[C, R] {
	for p.at < end {
		p.apply(min(size(), end-p.at))
	}
	return p
}

// The sizes of batches.
func one() int { return 1 }

func (s *subject[C, R]) some() int { return 1 + s.rand.IntN(12) }

func (s *subject[C, R]) all() int { return s.length + tail }

// end lets the machine execute all, what is behind the history too, and has a last look at it.
func (p *player[C, R]) end() {
	p.to(p.s.length+tail, p.s.some)
	p.checkGiven()
}

// apply gives the machine a batch of the next n entries.
func (p *player[C, R]) apply(n int) {
	if err := p.give(n, p.decode); err != nil {
		failf("%s: Apply of commands %d to %d: %v\nAn error stops the member. A command that is refused is answered with a value of R.",
			p.name, p.at, p.at+n-1, err)
	}
}

// decode returns the command of entry i as the machine gets it from the log.
func (p *player[C, R]) decode(i int) C {
	g := given{entry: i, data: bytes.Clone(p.s.entry(i).data)}
	g.data = g.data[:len(g.data):len(g.data)]
	p.given = append(p.given, g)
	c, err := p.s.codec.Decode(g.data)
	if err != nil {
		failf("command %d cannot be decoded: %v\nEvery member stops at it, at each start.", i, err)
	}
	return c
}

// give gives the machine the next n entries, with the commands that the argument returns. The error is Apply's.
func (p *player[C, R]) give(n int, command func(i int) C) error {
	from := p.at
	b := batch[C, R]{p: p, from: from, answered: make([]bool, n), values: make([]R, n), command: command}
	err := p.machine.Apply(b.each)
	b.mu.Lock() // an answer that comes too late waits, and is lost
	defer b.mu.Unlock()
	b.over = true
	switch {
	case err != nil:
		return err
	case b.next < n:
		failf("%s: Apply has left its batch of %d commands before %s", p.name, n, p.s.describe(from+b.next))
	}
	p.at += n
	for k := range n {
		if !b.answered[k] && reflect.TypeFor[R]().Size() > 0 {
			failf("%s: Apply has returned and there was no Reply to %s\nIts caller gets the zero %T.", p.name, p.s.describe(from+k), *new(R))
		}
		p.compareAnswer(from+k, b.values[k], n)
	}
	p.look()
	return nil
}

// batch is some entries as a machine sees them.
type batch[C, R any] struct {
	p       *player[C, R]
	from    int
	command func(i int) C
	next    int // to be given, of the batch

	mu       sync.Mutex
	answered []bool
	values   []R
	over     bool
}

func (b *batch[C, R]) each(yield func(balsa.Entry[C, R]) bool) {
	for k := range b.values {
		e := b.p.s.entry(b.from + k)
		b.next = k
		if !yield(balsa.NewEntry(e.index, e.term, b.command(b.from+k), func(r R) { b.reply(k, r) })) {
			return
		}
	}
	b.next = len(b.values)
}

func (b *batch[C, R]) reply(k int, r R) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.answered[k], b.values[k] = true, r
	}
}

// compareAnswer compares a result with the one that another machine has given, if there is one.
func (p *player[C, R]) compareAnswer(i int, r R, n int) {
	by := fmt.Sprintf("%s, in a batch of %d", p.name, n)
	first, ok := p.s.answers[i]
	if !ok {
		p.s.answers[i] = seen[R]{r, by}
	} else if !p.s.options.Equal(first.value, r) {
		failf("%s is answered with %s by %s,\nand with %s by %s\nMembers would differ.", p.s.describe(i), show(first.value), first.by, show(r), by)
	}
}

// look compares the state with that of another machine at the same entry, as far as there is something to see.
func (p *player[C, R]) look() {
	if p.s.options.State == nil {
		return
	}
	state := p.s.options.State(p.machine)
	first, ok := p.s.states[p.at]
	if !ok {
		p.s.states[p.at] = seen[any]{state, p.name}
	} else if !reflect.DeepEqual(first.value, state) {
		failf("after %d commands the state is %s of %s,\nand %s of %s\nMembers would differ.", p.at, show(first.value), first.by, show(state), p.name)
	}
}

// checkGiven looks whether the machine has changed the commands that it was given.
func (p *player[C, R]) checkGiven() {
	for _, g := range p.given {
		if want := p.s.entry(g.entry).data; !bytes.Equal(g.data, want) {
			failf("%s has changed the bytes of %s, from %q to %q\nThey belong to the log: other members may yet be sent them.",
				p.name, p.s.describe(g.entry), want, g.data)
		}
	}
}

// pin takes a snapshot, to be written once.
func (p *player[C, R]) pin() func(io.Writer) error {
	write, err := p.machine.Snapshot()
	if err != nil {
		failf("%s: Snapshot after %d commands: %v", p.name, p.at, err)
	}
	return write
}

// snapshot returns the bytes of a snapshot that is written at once.
func (p *player[C, R]) snapshot() []byte {
	var b bytes.Buffer
	if err := p.pin()(&b); err != nil {
		failf("%s: the snapshot after %d commands cannot be written: %v", p.name, p.at, err)
	}
	p.compareBytes(p.at, b.Bytes())
	return b.Bytes()
}

// compareBytes compares a snapshot after at commands with another of the same state, if that is to be the same.
func (p *player[C, R]) compareBytes(at int, b []byte) {
	if !p.s.options.SameBytes {
		return
	}
	first, ok := p.s.written[at]
	if !ok {
		p.s.written[at] = seen[[]byte]{bytes.Clone(b), p.name}
	} else if !bytes.Equal(first.value, b) {
		failf("after %d commands the snapshot of %s is\n%.200q,\nand that of %s\n%.200q", at, first.by, first.value, p.name, b)
	}
}

// restore replaces the machine's state by that of a snapshot after at commands.
func (p *player[C, R]) restore(r io.Reader, at int) *player[C, R] {
	if err := p.machine.Restore(r); err != nil {
		failf("%s: Restore of the snapshot after %d commands: %v", p.name, at, err)
	}
	p.at = at
	p.look()
	return p
}
