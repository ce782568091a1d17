package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/balsa-raft/balsa/sim"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// simOptions is what both commands of the simulator are asked.
type simOptions struct {
	members  int
	duration time.Duration
	faults   string
	workload string
	without  string
	only     string
	add      string
	shrink   time.Duration
	all      bool
}

// simRuns is what "balsa sim" is asked to do.
type simRuns struct {
	simOptions
	seeds    int
	minutes  float64
	first    uint64
	parallel int
	dir      string

	// Package sim's, but for tests.
	run     func(sim.Options) (*sim.Report, error)
	shrinks func(sim.Options, time.Duration, func(sim.Size)) (*sim.Shrunk, error)
}

func (a *app) simCommand() *cobra.Command {
	s := &simRuns{run: sim.Run, shrinks: sim.Shrink}
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Simulate clusters under faults, and check what must hold",
		Long: `Simulate clusters under faults, and check what must hold: the code of this program, on simulated disks, links and clocks. Each seed is a run of
its own, and the same every time. It ends with a table of the situations that were reached.

Without --seeds and --minutes it runs 1000 seeds. Ctrl-C ends it and prints what was done. When a property does not hold, the exit code is 1, and there is
one line that runs the seed again. Then a smaller run is looked for that fails in the same way, perhaps of another seed, and shown on one screen: what does not
hold, what was found, who led, and the events that lead there. Its whole story goes to a file, and so does a trace.

` + simNames(),
		Example: `  balsa sim --minutes 10
  balsa sim --seeds 5000 --first 100001 --members 5 --faults all
  balsa sim --seeds 500 --faults power,disk-error,members --workload sessions
  balsa sim replay 42`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("seeds") && cmd.Flags().Changed("minutes") {
				s.seeds = 0
			}
			return a.runSim(cmd.Context(), s)
		},
	}
	f := cmd.Flags()
	s.addTo(f)
	f.IntVar(&s.seeds, "seeds", 1000, "how many seeds; 0: as many as there is time for")
	f.Float64Var(&s.minutes, "minutes", 0, "begin no other seed after so long; 0: no limit")
	f.Uint64Var(&s.first, "first", 1, "the first seed")
	f.IntVar(&s.parallel, "parallel", runtime.GOMAXPROCS(0), "how many runs at the same time")
	f.StringVar(&s.dir, "dir", ".", "the folder for the story and the trace of a failure")
	cmd.AddCommand(a.simReplayCommand())
	return cmd
}

// simNames are the names that --faults and --without take.
func simNames() string {
	var b strings.Builder
	b.WriteString("What can go wrong, by the names that --faults and --without take:\n")
	for _, f := range sim.FaultNames() {
		fmt.Fprintf(&b, "  %-13s %s\n", f.Name, f.Meaning)
	}
	fmt.Fprintf(&b, "What can happen to messages of one kind alone, as --without takes it: loss.KIND, duplicate.KIND and delay.KIND, or loss.but.KIND for\nall other kinds; they are %s.\n", strings.Join(sim.MessageNames(), ", "))
	b.WriteString("What makes runs hard to read, for --without:\n")
	for _, f := range sim.SimpleNames() {
		fmt.Fprintf(&b, "  %-13s %s\n", f.Name, f.Meaning)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (s *simOptions) addTo(f *pflag.FlagSet) {
	f.IntVar(&s.members, "members", 0, "how many members the clusters begin with, up to 9 (default: as the seed decides)")
	f.DurationVar(&s.duration, "duration", 0, "how long faults and clients go on in a run, in simulated time (default: as the seed decides)")
	f.StringVar(&s.faults, "faults", "", "what goes wrong, as power,loss,members (the names are above); all or none (default: as the seed decides)")
	f.StringVar(&s.workload, "workload", "", "what clients do: "+strings.Join(sim.Workloads, ", ")+" (default: as the seed decides)")
	f.StringVar(&s.without, "without", "", "leave this out of what the seed decides: faults by name, loss.append (of messages of one kind), f3 or f3-9 (single faults), a3, c2, c2.5 (clients and single turns of theirs), calls; or what makes runs hard to read, as bursts or simple (the names are above)")
	f.StringVar(&s.only, "only", "", "leave out all single faults and turns but these")
	f.StringVar(&s.add, "add", "", "faults beside what the seed decides, as power.n2@2.5s,partition.n1@3s: what strikes whom and when; the others go on")
	f.BoolVar(&s.all, "all", false, "the story leaves nothing out: also calls that are refused, one by one, and heartbeats that say nothing new")
	f.DurationVar(&s.shrink, "shrink", 30*time.Second, "look so long for a smaller run that fails in the same way; 0: not at all")
}

// options are package sim's.
func (s *simOptions) options(seed uint64) (o sim.Options, err error) {
	o = sim.Options{Seed: seed, Members: s.members, Duration: s.duration, Workload: s.workload, All: s.all}
	if o.Faults, err = sim.ParseFaults(s.faults); err != nil {
		return o, inputError("--faults: %v", err)
	}
	if o.Without, err = sim.ParseDecisions(s.without); err != nil {
		return o, inputError("--without: %v", err)
	}
	if o.Only, err = sim.ParseDecisions(s.only); err != nil {
		return o, inputError("--only: %v", err)
	}
	if o.Add, err = sim.ParseAdded(s.add); err != nil {
		return o, inputError("--add: %v", err)
	}
	if err := o.Check(); err != nil {
		return o, inputError("%v", err)
	}
	return o, nil
}

// simTotal is what all runs so far have seen.
type simTotal struct {
	mu        sync.Mutex
	began     time.Time
	cpu       time.Duration // when it began
	next      uint64
	runs      int
	simulated time.Duration
	faults    int
	steps     uint64
	recovery  time.Duration // the slowest
	coverage  sim.Coverage
	failed    *sim.Options // the first that did
	failure   error
}

func (t *simTotal) add(r *sim.Report) {
	t.runs++
	t.simulated += r.Time
	t.faults += r.Faults
	t.steps += r.Steps
	t.recovery = max(t.recovery, r.Recovery)
	t.coverage.Add(&r.Coverage)
}

// line is how far it is.
func (t *simTotal) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	wall := time.Since(t.began).Seconds()
	reached, of := t.coverage.Reached()
	line := fmt.Sprintf("%d seeds, %.1f a second, %s simulated", t.runs, float64(t.runs)/max(wall, 0.001), t.simulated.Round(time.Second))
	if cpu := (cpuTime() - t.cpu).Seconds(); cpu > 0 {
		line += fmt.Sprintf(" (%.0f s a CPU second)", t.simulated.Seconds()/cpu)
	}
	return line + fmt.Sprintf(", %d faults, coverage %d of %d", t.faults, reached, of)
}

// cpuTime is what this process has used; zero if that is not known.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// runSim runs seeds until one fails, they or the time are over, or ctx ends.
func (a *app) runSim(ctx context.Context, s *simRuns) error {
	o, err := s.options(0)
	switch {
	case err != nil:
		return err
	case s.seeds < 0 || s.minutes < 0:
		return inputError("--seeds and --minutes cannot be negative")
	case s.parallel < 1:
		return inputError("--parallel %d: it must be at least 1", s.parallel)
	}
	if s.minutes > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(s.minutes*float64(time.Minute)))
		defer stop()
	}
	// Runs make much and keep little.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(400 << 20))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	t := &simTotal{began: time.Now(), cpu: cpuTime(), next: s.first}
	shown := a.showProgress(t)
	var workers sync.WaitGroup
	for range s.parallel {
		workers.Go(func() { s.work(ctx, o, t) })
	}
	workers.Wait()
	shown()
	fmt.Fprintf(a.stdout, "%s\n", t.line())
	fmt.Fprintf(a.stdout, "%d steps, slowest recovery %v\n", t.steps, t.recovery.Round(time.Millisecond))
	if t.failed != nil {
		return a.simFailed(s, *t.failed, t.failure)
	}
	fmt.Fprintf(a.stdout, "\nHow often each situation came up, and what was going on when each fault struck:\n\n%v", &t.coverage)
	if names := t.coverage.Empty(t.runs); len(names) > 0 && s.plain() {
		fmt.Fprintf(a.stdout, "\nNever, and so many seeds should: %s\n", strings.Join(names, "; "))
	}
	return nil
}

// plain reports whether the seeds decide everything: only then they can be expected to reach all.
func (s *simOptions) plain() bool {
	return s.members == 0 && s.duration == 0 && s.faults == "" && s.workload == "" && s.without == "" && s.only == "" && s.add == ""
}

// work runs one seed after the other. Runs share nothing: how many there are at the same time does not change any of them.
func (s *simRuns) work(ctx context.Context, o sim.Options, t *simTotal) {
	for {
		t.mu.Lock()
		o.Seed = t.next
		over := t.failed != nil || ctx.Err() != nil || s.seeds > 0 && o.Seed-s.first >= uint64(s.seeds)
		if !over {
			t.next++
		}
		t.mu.Unlock()
		if over {
			return
		}
		r, err := s.run(o)
		t.mu.Lock()
		if err == nil {
			t.add(r)
		} else if t.failed == nil || o.Seed < t.failed.Seed {
			t.failed, t.failure = &o, err
		}
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// showProgress keeps one line up to date, or without a terminal writes one now and then. The function that it returns ends that.
func (a *app) showProgress(t *simTotal) (end func()) {
	every, format := 30*time.Second, "%s\n"
	if a.isTerminal(a.stderr) {
		every, format = 200*time.Millisecond, "\r\x1b[K%s"
	}
	done := make(chan struct{})
	var shows sync.WaitGroup
	shows.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(a.stderr, format, t.line())
			case <-done:
				if a.isTerminal(a.stderr) {
					io.WriteString(a.stderr, "\r\x1b[K")
				}
				return
			}
		}
	})
	return func() {
		close(done)
		shows.Wait()
	}
}

// simFailed tells of a failure, writes its story, and looks for a smaller one.
func (a *app) simFailed(s *simRuns, o sim.Options, failure error) error {
	fmt.Fprintf(a.stdout, "\nFAILED  %v\nreplay  %s sim replay %d%s\n", failure, a.call, o.Seed, o.Flags("--"))
	var v *sim.Violation
	if !errors.As(failure, &v) {
		return failure
	}
	if s.shrink > 0 {
		small, err := s.shrinks(o, s.shrink, a.showShrinking())
		if a.isTerminal(a.stderr) {
			io.WriteString(a.stderr, "\r\x1b[K")
		}
		if err == nil {
			o = small.Options
			a.printShrunk(small)
		}
	}
	name := filepath.Join(s.dir, fmt.Sprintf("balsa-sim-%d", v.Seed))
	failure, err := s.tell(o, name+".txt", name+".jsonl")
	if err != nil {
		return err
	}
	a.printSummary(failure)
	fmt.Fprintf(a.stdout, "\nreplay  %s sim replay %s\nstory   %s.txt\ntrace   %s.jsonl\n", a.call, replayArgs(o, name+".jsonl"), name, name)
	return fmt.Errorf("seed %d: %s does not hold", v.Seed, v.Property)
}

// replayLineMax is how long arguments may be that people are to copy.
const replayLineMax = 120

// replayArgs is what repeats a run: its seed and flags, or the trace that has them if there are many.
func replayArgs(o sim.Options, trace string) string {
	if flags := o.Flags("--"); len(flags) <= replayLineMax {
		return fmt.Sprintf("%d%s", o.Seed, flags)
	}
	return "--from " + trace
}

// printSummary shows a failure on one screen.
func (a *app) printSummary(failure error) {
	if v := (*sim.Violation)(nil); errors.As(failure, &v) && v.Summary != "" {
		fmt.Fprintf(a.stdout, "\n%s", v.Summary)
	}
}

func (a *app) printShrunk(small *sim.Shrunk) {
	fmt.Fprintf(a.stdout, "\nsmaller after %d runs: %v\nbefore  %v\nafter   %v\n", small.Runs, small.Violation, small.Before, small.After)
	if small.Unfinished {
		fmt.Fprintln(a.stdout, "        the time was over: with a longer --shrink it may become smaller")
	}
}

func (a *app) showShrinking() func(sim.Size) {
	if !a.isTerminal(a.stderr) {
		return nil
	}
	return func(size sim.Size) { fmt.Fprintf(a.stderr, "\r\x1b[Ksmaller: %v", size) }
}

// tell runs one once more, with its story and its trace written to files, and returns how it fails. An empty name is none.
func (s *simRuns) tell(o sim.Options, story, trace string) (failure, err error) {
	for _, f := range []struct {
		name string
		to   *io.Writer
	}{{story, &o.Story}, {trace, &o.Trace}} {
		if f.name == "" {
			continue
		}
		file, openErr := os.Create(f.name)
		if openErr != nil {
			return nil, openErr
		}
		w := &failingWriter{w: file}
		*f.to = w
		defer func() { err = errors.Join(err, w.err, file.Close()) }()
	}
	_, failure = s.run(o)
	return failure, nil
}

// failingWriter keeps the first error.
type failingWriter struct {
	w   io.Writer
	err error
}

func (f *failingWriter) Write(b []byte) (int, error) {
	if f.err == nil {
		_, f.err = f.w.Write(b)
	}
	return len(b), nil
}

// simReplay is what "balsa sim replay" is asked to do.
type simReplay struct {
	simOptions
	story, trace string
	from         string
	small        bool
}

func (a *app) simReplayCommand() *cobra.Command {
	s := &simReplay{}
	cmd := &cobra.Command{
		Use:   "replay SEED",
		Short: "Run one seed again, and tell its story",
		Long: `Run one seed again, and tell its story: a line for everything that happens, with the simulated time. The same seed and flags are the same run, with
the same program. When something does not hold, the story begins with a summary. --trace writes the run as data, a line of JSON each; docs/formats.md describes
them. --from takes the seed and the flags from a trace; flags that are given beside it count instead of its own.

` + simNames(),
		Example: `  balsa sim replay 42
  balsa sim replay 42 --story story.txt --trace trace.jsonl
  balsa sim replay 42 --without loss,f3,c2 | less
  balsa sim replay --from balsa-sim-42.jsonl | less`,
		Args: argCount(0, 1, "sim replay SEED [flags], or sim replay --from TRACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) == (s.from == "") {
				return inputError("usage: %s sim replay SEED [flags], or sim replay --from TRACE", a.call)
			}
			if s.from != "" {
				seed, err := s.readFlags(cmd.Flags())
				if err != nil {
					return err
				}
				return a.runReplay(s, seed)
			}
			seed, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return inputError("the seed %q is no number", args[0])
			}
			return a.runReplay(s, seed)
		},
	}
	f := cmd.Flags()
	s.addTo(f)
	f.StringVar(&s.story, "story", "-", "the file for the story; - is standard output; empty: none")
	f.StringVar(&s.trace, "trace", "", "the file for the trace")
	f.StringVar(&s.from, "from", "", "a trace whose run is to be repeated, in place of a seed")
	f.BoolVar(&s.small, "small", false, "look for a smaller run that fails in the same way, and tell that one's story")
	return cmd
}

// readFlags takes the seed and the flags of a trace; those that were given count instead.
func (s *simReplay) readFlags(given *pflag.FlagSet) (seed uint64, err error) {
	file, err := os.Open(s.from)
	if err != nil {
		return 0, inputError("--from: %v", err)
	}
	defer file.Close()
	enough := errors.New("the header is enough")
	h, err := sim.ReadTrace(file, func(sim.TraceLine) error { return enough })
	if err != nil && err != enough {
		return 0, inputError("--from %s: %v", s.from, err)
	}
	var of simOptions
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	of.addTo(flags)
	if err := flags.Parse(strings.Fields(h.Flags)); err != nil {
		return 0, inputError("--from %s: the flags of its run: %v", s.from, err)
	}
	given.Visit(func(f *pflag.Flag) {
		if flags.Lookup(f.Name) != nil {
			flags.Set(f.Name, f.Value.String()) // it has been read before
		}
	})
	s.simOptions = of
	return h.Seed, nil
}

func (a *app) runReplay(s *simReplay, seed uint64) error {
	o, err := s.options(seed)
	if err != nil {
		return err
	}
	if s.small {
		small, err := sim.Shrink(o, s.shrink, a.showShrinking())
		if err != nil {
			return err
		}
		o = small.Options
		defer func() {
			a.printShrunk(small)
			fmt.Fprintf(a.stdout, "replay  %s sim replay %d%s\n", a.call, o.Seed, o.Flags("--"))
		}()
	}
	runs := &simRuns{}
	var report *sim.Report
	shown := s.story == "-"
	runs.run = func(o sim.Options) (r *sim.Report, err error) {
		switch {
		case shown:
			o.Story = a.stdout
		case o.Story == nil:
			o.Story = io.Discard // there is a summary with a story alone
		}
		report, err = sim.Run(o)
		return report, err
	}
	story := s.story
	if shown {
		story = ""
	}
	failure, err := runs.tell(o, story, s.trace)
	switch {
	case err != nil:
		return err
	case failure != nil:
		if !shown || a.isTerminal(a.stdout) { // where the story's front is out of sight
			a.printSummary(failure)
		}
		return failure
	}
	fmt.Fprintf(a.stdout, "seed %d: all that was checked holds: %v simulated, %d steps, %d faults, %d client turns, trace %016x\n",
		seed, report.Time.Round(time.Millisecond), report.Steps, report.Faults, report.Turns, report.Trace)
	return nil
}
