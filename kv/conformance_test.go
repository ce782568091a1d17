package kv

import (
	"testing"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/balsatest"
)

// TestConformance: the store keeps to the contract of balsa.StateMachine.
func TestConformance(t *testing.T) {
	balsatest.StateMachine(t,
		func() balsa.StateMachine[Command, Response] { return New() },
		randomCommand,
		balsatest.Options[Command, Response]{
			SameBytes: true,
			State:     seen,
		})
}
