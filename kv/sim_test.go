package kv

import (
	oldrand "math/rand"
	"math/rand/v2"
	"testing"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/sim"
)

// TestSimulated: members whose state machine is the store answer alike, whatever happens to them.
func TestSimulated(t *testing.T) {
	sim.Test(t, sim.Machine[Command, Response]{
		New:       func() balsa.StateMachine[Command, Response] { return New() },
		Command:   randomCommand,
		SameBytes: true,
		State:     seen,
	}, sim.Options{})
}

func randomCommand(r *rand.Rand) Command {
	g := &generator{Rand: oldrand.New(oldrand.NewSource(r.Int64())), current: r.Int64N(150)}
	for {
		if c := g.commandOrPublish(); c.Check(Limits{}) == nil { // others are refused before they are proposed
			return c
		}
	}
}

func seen(m balsa.StateMachine[Command, Response]) any {
	s := m.(*Store)
	current, compacted := s.Revision()
	return []any{s.Hash(), current, compacted, s.Members()}
}
