package sim

import (
	"errors"
	"flag"
	"io"
	"os"
	"reflect"
	"runtime/debug"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this seed alone; with -v, tell its story")
	seedsFlag = flag.Int("seeds", 250, "run so many seeds")
	firstFlag = flag.Uint64("first", 1, "the first of them")
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // a run makes much and keeps little
	os.Exit(m.Run())
}

// TestSeeds runs many seeds, or one.
func TestSeeds(t *testing.T) {
	if *seedFlag != 0 {
		var story io.Writer
		if testing.Verbose() {
			story = os.Stdout
		}
		runSeed(t, Options{Seed: *seedFlag, Story: story})
		return
	}
	start, failed := time.Now(), 0
	var slowest time.Duration
	var counts Counts
	events := make(map[raft.EventKind]int)
	for i := 0; i < *seedsFlag && failed < 3; i++ {
		r, ok := runSeed(t, Options{Seed: *firstFlag + uint64(i)})
		if !ok {
			failed++
		}
		counts.add(&r.Counts)
		for k, n := range r.Events {
			events[k] += n
		}
		slowest = max(slowest, r.Recovery)
	}
	t.Logf("%d seeds in %v, slowest recovery %v: %+v, events %v", *seedsFlag, time.Since(start), slowest, counts, events)
	if *seedsFlag >= 100 && failed == 0 {
		checkCoverage(t, counts, events)
	}
}

// runSeed runs one, and checks what its clients saw.
func runSeed(t *testing.T, o Options) (*Report, bool) {
	t.Helper()
	r, err := Run(o)
	if err == nil {
		return r, true
	}
	t.Errorf("%v; replay: go test ./sim -run Seeds -seed=%d -v", err, o.Seed)
	if v := (*Violation)(nil); errors.As(err, &v) && v.Stack != "" && *seedFlag != 0 {
		t.Logf("%s", v.Stack)
	}
	return r, false
}

func (c *Counts) add(o *Counts) {
	sum, more := reflect.ValueOf(c).Elem(), reflect.ValueOf(o).Elem()
	for i := range sum.NumField() {
		sum.Field(i).SetInt(sum.Field(i).Int() + more.Field(i).Int())
	}
}

// checkCoverage demands that everything that can happen did: what never happens is not tested.
func checkCoverage(t *testing.T, counts Counts, events map[raft.EventKind]int) {
	t.Helper()
	v := reflect.ValueOf(counts)
	for i := range v.NumField() {
		if v.Field(i).Int() == 0 {
			t.Errorf("%s is 0 over all seeds", v.Type().Field(i).Name)
		}
	}
	for k := raft.EventFollower; k <= raft.EventReplicating; k++ {
		if events[k] == 0 {
			t.Errorf("event %d never happened", k)
		}
	}
}

// TestDeterminism runs seeds twice: the same seed must be the same run, or a failure could not be seen again.
func TestDeterminism(t *testing.T) {
	for seed := uint64(1); seed <= 15; seed++ {
		first, _ := runSeed(t, Options{Seed: seed})
		again, _ := runSeed(t, Options{Seed: seed, Story: io.Discard})
		if first.Trace != again.Trace || first.Steps != again.Steps {
			t.Fatalf("seed %d: two runs differ: trace %x after %d steps, then %x after %d",
				seed, first.Trace, first.Steps, again.Trace, again.Steps)
		}
		if other, _ := runSeed(t, Options{Seed: seed + 1000}); other.Trace == first.Trace {
			t.Fatalf("seeds %d and %d have the same trace", seed, seed+1000)
		}
	}
}
