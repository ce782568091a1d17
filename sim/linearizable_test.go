package sim

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// registerModel is one register: a write sets it, a read returns it.
var registerModel = porcupine.Model{
	Init: func() any { return uint64(0) },
	Step: func(state, input, output any) (bool, any) {
		op := input.(Operation)
		if op.Write {
			return true, op.Value
		}
		return op.Value == state.(uint64), state
	},
	Equal: func(a, b any) bool { return a == b },
}

// witness asks porcupine, which searches for an order of the operations.
func witness(history []Operation) porcupine.CheckResult {
	var ops []porcupine.Operation
	for _, op := range history {
		if op.Outcome != OutcomeRefused {
			ops = append(ops, porcupine.Operation{Input: op, Call: int64(op.Call), Return: int64(min(op.Return, math.MaxInt64))})
		}
	}
	return porcupine.CheckOperationsTimeout(registerModel, ops, 10*time.Second)
}

// TestLinearizable compares the check with porcupine's on small random histories, of which about half are wrong.
func TestLinearizable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var wrong, right int
	for range 20_000 {
		h := randomHistory(r)
		err := checkLinearizable(h)
		want := witness(h)
		if (err == nil) != (want == porcupine.Ok) {
			t.Fatalf("porcupine says %v, the check says %v, of %+v", want, err, h)
		}
		if err == nil {
			right++
		} else {
			wrong++
		}
	}
	if min(wrong, right) < 1000 {
		t.Fatalf("%d histories are right and %d are wrong: they prove little", right, wrong)
	}
}

// randomHistory is a few overlapping operations on one register.
func randomHistory(r *rand.Rand) []Operation {
	n := 2 + r.IntN(6)
	times := r.Perm(2 * n)
	var h []Operation
	var written []uint64
	for i := range n {
		call, back := uint64(times[2*i]), uint64(times[2*i+1])
		op := Operation{Call: 1 + min(call, back), Return: 1 + max(call, back), Outcome: OutcomeApplied}
		if r.IntN(2) == 0 {
			op.Write, op.Value = true, uint64(i+1)
			written = append(written, op.Value)
			switch r.IntN(5) {
			case 0:
				op.Outcome, op.Return = OutcomeUnknown, never
			case 1:
				op.Outcome = OutcomeRefused
			}
		}
		h = append(h, op)
	}
	for i := range h {
		if k := r.IntN(len(written) + 1); !h[i].Write && k > 0 {
			h[i].Value = written[k-1]
		}
	}
	return h
}
