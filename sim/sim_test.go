package sim

import (
	"errors"
	"flag"
	"io"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

var (
	seedFlag     = flag.Uint64("seed", 0, "run this seed alone; with -v, tell its story")
	seedsFlag    = flag.Int("seeds", 150, "run so many seeds")
	firstFlag    = flag.Uint64("first", 1, "the first of them")
	membersFlag  = flag.Int("members", 0, "with -seed: so many members")
	durationFlag = flag.Duration("duration", 0, "with -seed: so much time with faults")
	faultsFlag   = flag.String("faults", "", "with -seed: these faults")
	workloadFlag = flag.String("workload", "", "with -seed: this workload")
	withoutFlag  = flag.String("without", "", "with -seed: without these decisions")
	allFlag      = flag.Bool("all", false, "with -seed and -v: the story leaves nothing out")
	onlyFlag     = flag.String("only", "", "with -seed: with these decisions alone")
	addFlag      = flag.String("add", "", "with -seed: with these faults beside what the seed decides")
	shrinkFlag   = flag.Duration("shrink", 30*time.Second, "look so long for a smaller run that fails in the same way")

	twiceFlag = flag.Bool("twice", false, "run each twice, and compare the traces")
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(-1) // a run makes much and keeps little
	debug.SetMemoryLimit(400 << 20)
	os.Exit(m.Run())
}

// TestSeeds runs many seeds, or one.
func TestSeeds(t *testing.T) {
	if *seedFlag != 0 {
		var story io.Writer
		if testing.Verbose() {
			story = os.Stdout
		}
		o := Options{Seed: *seedFlag, Story: story, Members: *membersFlag, Workload: *workloadFlag, Duration: *durationFlag, All: *allFlag}
		var errs [4]error
		o.Faults, errs[0] = ParseFaults(*faultsFlag)
		o.Without, errs[1] = ParseDecisions(*withoutFlag)
		o.Only, errs[2] = ParseDecisions(*onlyFlag)
		o.Add, errs[3] = ParseAdded(*addFlag)
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		if _, err := Run(o); err != nil {
			report(t, o, err)
		}
		return
	}
	total := total{events: make(map[raft.EventKind]int)}
	start := time.Now()
	var next atomic.Uint64
	next.Store(*firstFlag)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) { // runs share nothing
		workers.Go(func() {
			for !t.Failed() {
				seed := next.Add(1) - 1
				if seed >= *firstFlag+uint64(*seedsFlag) {
					return
				}
				r := runSeed(t, Options{Seed: seed})
				total.add(r)
				if *twiceFlag && !t.Failed() {
					compareRuns(t, r, runSeed(t, Options{Seed: seed}))
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d seeds in %v, slowest recovery %v: %+v, events %v; reads answered of those asked:%v",
		total.runs, time.Since(start), total.recovery, total.counts, total.events, &total.reads)
	if t.Failed() {
		return
	}
	t.Logf("how often each situation came up, and what was going on when each fault struck:\n%v", &total.coverage)
	for _, name := range total.coverage.Empty(total.runs) {
		t.Errorf("over %d seeds there was never: %s", total.runs, name)
	}
	if total.runs >= 100 {
		total.checkCoverage(t)
		total.checkReads(t)
	}
}

// runSeed runs one, and checks what its clients saw.
func runSeed(t *testing.T, o Options) *Report {
	t.Helper()
	r, err := Run(o)
	if err == nil {
		return r
	}
	report(t, o, err)
	return r
}

// failing keeps a second failure from being shrunk beside the first.
var failing sync.Mutex

// report tells of a failure, and how to see it again.
func report(t *testing.T, o Options, err error) {
	t.Helper()
	failing.Lock()
	defer failing.Unlock()
	t.Errorf("%v; replay: go test ./sim -run Seeds -seed=%d%s -v", err, o.Seed, o.Flags("-"))
	if v := (*Violation)(nil); errors.As(err, &v) && v.Stack != "" && *seedFlag != 0 {
		t.Logf("%s", v.Stack)
	}
	if *shrinkFlag <= 0 || !o.Only.isEmpty() {
		return
	}
	if s, err := Shrink(o, *shrinkFlag, nil); err == nil {
		t.Logf("smaller, after %d runs: %v\nbefore: %v\nafter:  %v\nreplay: go test ./sim -run Seeds -seed=%d%s -v",
			s.Runs, s.Violation, s.Before, s.After, s.Options.Seed, s.Options.Flags("-"))
		s.Options.Story = io.Discard
		if _, err := Run(s.Options); errors.As(err, &s.Violation) {
			t.Logf("\n%s", s.Violation.Summary)
		}
	}
}

// total is what all runs have seen.
type total struct {
	mu       sync.Mutex
	runs     int
	counts   Counts
	events   map[raft.EventKind]int
	reads    readCounts
	coverage Coverage
	recovery time.Duration // the slowest
}

func (s *total) add(r *Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs++
	s.recovery = max(s.recovery, r.Recovery)
	sum, more := reflect.ValueOf(&s.counts).Elem(), reflect.ValueOf(&r.Counts).Elem()
	for i := range sum.NumField() {
		sum.Field(i).SetInt(sum.Field(i).Int() + more.Field(i).Int())
	}
	s.reads.add(&r.ReadsBy)
	s.coverage.Add(&r.Coverage)
	for k, n := range r.Events {
		s.events[k] += n
	}
}

// checkCoverage demands that everything that can happen did: what never happens is not tested.
func (s *total) checkCoverage(t *testing.T) {
	t.Helper()
	v := reflect.ValueOf(s.counts)
	for i := range v.NumField() {
		if v.Field(i).Int() == 0 {
			t.Errorf("%s is 0 over all seeds", v.Type().Field(i).Name)
		}
	}
	for k := raft.EventFollower; k <= raft.EventReplicating; k++ {
		if s.events[k] == 0 {
			t.Errorf("event %d never happened", k)
		}
	}
}

// checkReads demands that every level was asked of members in every state, and answered by leaders and followers.
func (s *total) checkReads(t *testing.T) {
	t.Helper()
	for l := range s.reads {
		for p, n := range s.reads[l] {
			answers := plight(p) == leads || plight(p) == follows
			if n.Asked == 0 && s.runs >= 1000 || n.Answered == 0 && answers {
				t.Errorf("of reads %v at a member that is %v %d were asked, and %d answered", level(l), plight(p), n.Asked, n.Answered)
			}
		}
	}
}

// compareRuns: the same seed is the same run.
func compareRuns(t *testing.T, first, again *Report) {
	t.Helper()
	if first.Trace != again.Trace || first.Steps != again.Steps || first.Coverage != again.Coverage {
		t.Errorf("seed %d: two runs differ: trace %x after %d steps, then %x after %d",
			first.Seed, first.Trace, first.Steps, again.Trace, again.Steps)
	}
}

// TestDeterminism runs seeds twice: the same seed must be the same run, or a failure could not be seen again.
func TestDeterminism(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		first := runSeed(t, Options{Seed: seed})
		again := runSeed(t, Options{Seed: seed, Story: io.Discard})
		compareRuns(t, first, again)
		if other := runSeed(t, Options{Seed: seed + 1000}); other.Trace == first.Trace {
			t.Fatalf("seeds %d and %d have the same trace", seed, seed+1000)
		}
	}
}
