package kv

import (
	oldrand "math/rand"
	"math/rand/v2"
	"testing"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/balsatest"
)

// TestConformance: the store keeps to the contract of balsa.StateMachine.
func TestConformance(t *testing.T) {
	balsatest.StateMachine(t,
		func() balsa.StateMachine[Command, Response] { return New() },
		func(r *rand.Rand) Command {
			g := &generator{Rand: oldrand.New(oldrand.NewSource(r.Int64())), current: r.Int64N(150)}
			for {
				if c := g.commandOrPublish(); c.Check(Limits{}) == nil { // others are refused before they are proposed
					return c
				}
			}
		},
		balsatest.Options[Command, Response]{
			SameBytes: true,
			State: func(m balsa.StateMachine[Command, Response]) any {
				s := m.(*Store)
				current, compacted := s.Revision()
				return []any{s.Hash(), current, compacted, s.Members()}
			},
		})
}
