package sim

import (
	"flag"
	"io"
	"os"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this seed alone; with -v, tell its story")
	seedsFlag = flag.Int("seeds", 250, "run this many seeds")
	firstFlag = flag.Uint64("first", 1, "the first of them")
)

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
	start, total := time.Now(), Report{}
	for i := range *seedsFlag {
		runSeed(t, Options{Seed: *firstFlag + uint64(i)})
	}
	t.Logf("%d seeds in %v: %+v", *seedsFlag, time.Since(start), total)
}

func runSeed(t *testing.T, o Options) *Report {
	t.Helper()
	r, err := Run(o)
	if err == nil {
		return r
	}
	t.Errorf("%v; replay: go test ./sim -run Seeds -seed=%d -v", err, o.Seed)
	if v, ok := err.(*Violation); ok && v.Stack != "" && *seedFlag != 0 {
		t.Logf("%s", v.Stack)
	}
	return r
}
