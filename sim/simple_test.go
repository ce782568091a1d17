package sim

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

// TestSimple: each thing that can be simpler changes what the seed has decided, that alone, and nothing of what is drawn.
func TestSimple(t *testing.T) {
	draw := func(o Options, seed uint64) (knobs, uint64) {
		o.Seed = seed
		r := rand.New(rand.NewPCG(seed, 0))
		k := drawKnobs(o, r)
		return k, r.Uint64()
	}
	for _, one := range simples {
		changes := 0
		for seed := uint64(1); seed <= 30; seed++ {
			without, err := ParseDecisions(one.name)
			if err != nil {
				t.Fatal(err)
			}
			usual, next := draw(Options{}, seed)
			simpler, again := draw(Options{Without: without}, seed)
			if next != again {
				t.Errorf("without %s something else is drawn", one.name)
			}
			if !reflect.DeepEqual(usual, simpler) {
				changes++
			}
			if one.make(&usual); !reflect.DeepEqual(usual, simpler) {
				t.Errorf("without %s the knobs are %v", one.name, &simpler)
			}
		}
		if changes == 0 {
			t.Errorf("without %s nothing is simpler", one.name)
		}
	}
}

// TestSimplest: a run in which all is simple runs, and what is left out does not happen.
func TestSimplest(t *testing.T) {
	without, err := ParseDecisions("simple,loss.but.append,duplicate.but.append,delay.but.append,calls")
	if err != nil {
		t.Fatal(err)
	}
	for seed := uint64(1); seed <= 3; seed++ {
		r := runSeed(t, Options{Seed: seed, Members: 3, Faults: FaultLoss | FaultDuplicate | FaultDelay | FaultKill, Without: without})
		if r.Tries > 0 || r.Snapshots > 0 || r.Reads > r.Members*int(levels) || len(r.History) == 0 {
			t.Errorf("seed %d has %d tries of sessions, %d snapshots, %d reads and a history of %d", seed, r.Tries, r.Snapshots, r.Reads, len(r.History))
		}
	}
}
