package sim_test

import (
	"encoding/json"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/sim"
)

// harbour knows how many planks lie on each pier.
type harbour struct {
	planks map[string]int
	piers  func(map[string]int) iter.Seq[string]
}

// cargo is a command. With a pier so many planks are unloaded there; without one so many are loaded, from wherever they lie. It is answered with where they
// were.
type cargo struct {
	Pier   string
	Planks int
}

func (h *harbour) Apply(batch iter.Seq[balsa.Entry[cargo, string]]) error {
	for e := range batch {
		if c := e.Command; c.Pier != "" {
			h.planks[c.Pier] += c.Planks
			e.Reply(c.Pier)
		} else {
			e.Reply(h.load(c.Planks))
		}
	}
	return nil
}

func (h *harbour) load(n int) (from string) {
	for pier := range h.piers(h.planks) {
		taken := min(n, h.planks[pier])
		h.planks[pier] -= taken
		if n -= taken; taken > 0 {
			from += pier + " "
		}
	}
	return from
}

// anyOrder is the bug: each member goes through its map in an order of its own, and takes the planks from other piers.
func anyOrder(m map[string]int) iter.Seq[string] { return maps.Keys(m) }

// sameOrder is right.
func sameOrder(m map[string]int) iter.Seq[string] { return slices.Values(slices.Sorted(maps.Keys(m))) }

func (h *harbour) Snapshot() (func(io.Writer) error, error) {
	b, err := json.Marshal(h.planks) // now: when the function is called there may be others
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}, err
}

func (h *harbour) Restore(r io.Reader) error {
	h.planks = map[string]int{} // what is not in the snapshot is not there
	return json.NewDecoder(r).Decode(&h.planks)
}

func harbours(piers func(map[string]int) iter.Seq[string]) sim.Machine[cargo, string] {
	return sim.Machine[cargo, string]{
		New: func() balsa.StateMachine[cargo, string] { return &harbour{planks: map[string]int{}, piers: piers} },
		Command: func(r *rand.Rand) cargo {
			piers := []string{"north", "east", "south", ""}
			return cargo{Pier: piers[r.IntN(len(piers))], Planks: r.IntN(10)}
		},
	}
}

// In a program this is a function TestHarbour(t *testing.T) of the machine's package.
//
// This machine goes through a map in Apply. The test fails, on most computers within a few milliseconds, and what it says begins with
//
//	seed 2001: Same Answers does not hold, at 8.259903 s, step 843
//	  All machines answer the same command with the same answer: machines are deterministic. (thesis §2.1)
//	found
//	  n2 answers entry 9, {Pier: Planks:1}, with "north ", and the machine that executes all commands one by one with "south " (incarnation 1 of the
//	  member, after entry 10; it has executed all commands since it began)
//
// Then come who led, what went wrong, the events that lead there, and a line that runs the same again:
//
//	again: go test -run '^TestHarbour$' -v -sim.seed=2001 -sim.members=3 ...
//
// With sameOrder in the place of anyOrder it passes.
func ExampleTest() {
	_ = func(t *testing.T) {
		sim.Test(t, sim.Machine[cargo, string]{
			New: func() balsa.StateMachine[cargo, string] { return &harbour{planks: map[string]int{}, piers: anyOrder} },
			Command: func(r *rand.Rand) cargo {
				piers := []string{"north", "east", "south", ""}
				return cargo{Pier: piers[r.IntN(len(piers))], Planks: r.IntN(10)}
			},
		}, sim.Options{})
	}
}

// TestHarbour: the machine of the example passes when it is right.
func TestHarbour(t *testing.T) {
	if err := sim.Find(t, harbours(sameOrder), sim.Options{}, 4); err != nil {
		t.Fatal(err)
	}
}

// TestHarbourPlanted: and fails when it is not.
func TestHarbourPlanted(t *testing.T) {
	err := sim.Find(t, harbours(anyOrder), sim.Options{}, 0)
	if err == nil || !strings.Contains(err.Error(), "Same Answers does not hold, at ") {
		t.Fatalf("what was found is %v", err)
	}
	t.Log(err)
}

// TestFlags: a failure names the flags that show it again.
func TestFlags(t *testing.T) {
	if os.Getenv("HARBOUR_FAILS") != "" {
		sim.Test(t, harbours(anyOrder), sim.Options{})
		return
	}
	run := func(args ...string) string {
		c := exec.Command(os.Args[0], append([]string{"-test.run=^TestFlags$"}, args...)...)
		c.Env = append(os.Environ(), "HARBOUR_FAILS=yes")
		b, err := c.CombinedOutput()
		if err == nil {
			t.Errorf("with %v it has passed", args)
		}
		return string(b)
	}
	first := run("-sim.shrink=0")
	again := regexp.MustCompile(`again: go test -run '\^TestFlags\$' -v (-sim.seed=[0-9]+)\n`).FindStringSubmatch(first)
	if again == nil {
		t.Fatal(first)
	}
	if story := run(again[1], "-test.v"); !strings.Contains(story, "Same Answers does not hold") || !strings.Contains(story, "executes entry") {
		t.Errorf("with %s there is no story: %s", again[1], story)
	}
}
