package balsatest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/balsa-raft/balsa"
)

// StateMachine tests whether machines keep to the contract of balsa.StateMachine. create returns one that has executed nothing, another at every
// call, of which there are hundreds. command makes a random command, of every kind that there is, over few enough keys
// that commands meet; it depends on the generator that it is given and on nothing else.
func StateMachine[C, R any](t *testing.T, create func() balsa.StateMachine[C, R], command func(*rand.Rand) C, o Options[C, R]) {
	for _, c := range checks[C, R]() {
		t.Run(c.name, func(t *testing.T) {
			if err := try(c, create, command, o); err != nil {
				t.Error(err)
			}
		})
	}
}

// check is one thing that is tested.
type check[C, R any] struct {
	name string
	run  func(s *subject[C, R], round uint64)
}

func checks[C, R any]() []check[C, R] {
	return []check[C, R]{
		{"commands", (*subject[C, R]).checkCommands},
		{"answers", (*subject[C, R]).checkAnswers},
		{"batches", (*subject[C, R]).checkBatches},
		{"snapshots", (*subject[C, R]).checkSnapshots},
		{"writers", (*subject[C, R]).checkWriters},
		{"restores", (*subject[C, R]).checkRestores},
		{"readers", (*subject[C, R]).checkReaders},
	}
}

// rounds is how many histories each check has, from a short one to a long one: what fails with few commands is easier to understand.
const rounds = 4

func try[C, R any](c check[C, R], create func() balsa.StateMachine[C, R], command func(*rand.Rand) C, o Options[C, R]) error {
	for round := range uint64(rounds) {
		s := newSubject(create, command, o, round)
		if err := s.run(func(s *subject[C, R]) { c.run(s, round) }); err != nil {
			return fmt.Errorf("history %d of seed %d, %d commands: %w", round, o.Seed, s.length, err)
		}
	}
	return nil
}

// checkAnswers: every command is answered, before Apply returns; none is an error; and the bytes of the commands stay as they are, also
// when the machine writes a snapshot and forgets them.
func (s *subject[C, R]) checkAnswers(uint64) {
	p := s.player("a machine").to(s.length, s.some)
	p.checkGiven()
	p.snapshot()
	p.checkGiven()
	p.end()
}

// checkBatches: machines differ in how the commands came, and in nothing else.
func (s *subject[C, R]) checkBatches(uint64) {
	s.player("a machine").to(s.length, one).end()
	s.player("a machine").to(s.length, s.all).end()
	s.player("a machine").to(s.length, s.some).end()
	// Side by side, so that what they share without knowing it shows.
	a, b := s.player("one of two machines"), s.player("the other of two machines")
	for a.at < s.length {
		a.apply(min(s.some(), s.length-a.at))
		b.to(max(b.at, a.at-s.rand.IntN(5)), s.some)
	}
	b.end()
	a.end()
}
