package balsa_test

import (
	"math/rand/v2"
	"testing"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/balsatest"
)

// TestExampleConforms: the machine that the README begins with keeps to the contract, as does the one that the tests rely on.
func TestExampleConforms(t *testing.T) {
	balsatest.StateMachine(t, func() balsa.StateMachine[int, int] { return &counter{} },
		func(r *rand.Rand) int { return r.IntN(2000) - 1000 }, balsatest.Options[int, int]{SameBytes: true})
	t.Run("journal", func(t *testing.T) {
		balsatest.StateMachine(t, func() balsa.StateMachine[uint64, int] { return &journal{} },
			(*rand.Rand).Uint64, balsatest.Options[uint64, int]{SameBytes: true})
	})
}
