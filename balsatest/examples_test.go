package balsatest_test

import (
	"math/rand/v2"
	"testing"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/balsatest"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// TestExamples: what the examples show passes.
func TestExamples(t *testing.T) {
	t.Run("stock", func(t *testing.T) {
		balsatest.StateMachine(t, func() balsa.StateMachine[movement, answer] { return newStock() },
			func(r *rand.Rand) movement { return movement{string(rune('a' + r.IntN(3))), r.IntN(20) - 10} },
			balsatest.Options[movement, answer]{SameBytes: true})
	})
	number := func(r *rand.Rand) int { return r.IntN(100) }
	t.Run("sum", func(t *testing.T) {
		balsatest.StateMachine(t, func() balsa.StateMachine[int, int] { return &sum{disk: memfs.New()} }, number, balsatest.Options[int, int]{})
		balsatest.Durable(t, sumDisk, number, balsatest.Options[int, int]{})
	})
}
