// Command bench measures Balsa beside other Raft libraries for Go, and beside the floor: the same disks and sockets with no protocol.
//
//	cd bench && go run .
//	go run . -systems floor,balsa -ops write -conc 1,64 -seconds 5 -rounds 5
//	go run . -dir /mnt/disk -output report.html -json results.json
//	go run . scale -with results.json -output report.html
//
// The first three measure systems beside each other, the last Balsa alone, with more of everything: see parts.go.
//
// Three members run in one process, each with its own log, connected by TCP over loopback. Every write is synced by a majority before it is
// acknowledged. Callers wait for each answer before they call again (a closed loop), and share the machine with the members. The state
// machines count; at the end each member must have applied all that was acknowledged, or the run fails.
//
// Runs are interleaved: every system once, then every system again, so that what else happens on the machine meets all of them. Each is a
// process of its own, with a new folder. The table has the median of the rounds; ratios are medians of the ratios within each round.
//
// CPU and allocations are those of the whole process: three members and the callers. What a caller costs is in the floor's figures too.
// The floor has no state machine, no checks and no recovery: no system can reach it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// settings are what the flags say.
type settings struct {
	systems  []system
	workload workload
	rounds   int
	dir      string // data folders are made in it
	output   string // the report; none if empty
	json     string // the results; none if empty
	with     string // what scale has measured earlier; none if empty
	member   string // set in the processes that this one starts: the one system to measure
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "scale" {
		return runScale(ctx, args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == childCommand {
		return runChild(args[1:], os.Stdin, stdout)
	}
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if s.member != "" {
		return runMember(s, stdout)
	}
	doc, err := readDocument(s.with)
	if err != nil {
		return err
	}
	machine, err := describeMachine(s.dir)
	if err != nil {
		return err
	}
	fmt.Fprintln(stderr, machine)
	fmt.Fprintf(stderr, "This takes about %v.\n", s.duration().Round(time.Second))
	results, runErr := runRounds(ctx, s, stderr)
	if len(results) == 0 {
		return runErr
	}
	writeTable(stdout, summarize(s, results))
	doc.Machine, doc.Settings, doc.Results = machine, s.document(), results
	if err := doc.write(s.output, s.json); err != nil {
		return errors.Join(runErr, err)
	}
	if s.output != "" {
		fmt.Fprintf(stderr, "The report with plots is in %s\n", s.output)
	}
	return runErr
}

// duration is how long all runs take, about.
func (s *settings) duration() time.Duration {
	runs := len(s.systems) * len(s.workload.ops) * len(s.workload.conc) * s.rounds
	starts := len(s.systems) * s.rounds
	return time.Duration(runs)*(s.workload.warmUp+s.workload.length) + time.Duration(starts)*2*time.Second
}

func parse(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{}
	var names []string
	for _, sys := range systems {
		names = append(names, sys.name)
	}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, "Measure Balsa beside other Raft libraries, and beside the floor: the same disks and sockets with no protocol.\n\n"+
			"  go run .\n  go run . -systems floor,balsa -ops write -conc 1,64 -seconds 5 -rounds 5\n  go run . scale\n\nFlags:\n")
		fs.PrintDefaults()
	}
	which := fs.String("systems", strings.Join(names, ","), "what to measure")
	ops := fs.String("ops", strings.Join(operations, ","), "`operations` to measure; read is linearizable, follower-write asks a follower")
	conc := fs.String("conc", "1,16,64,256,512", "how many callers at once, a `list`")
	fs.IntVar(&s.workload.payload, "payload", 128, "`bytes` of a command")
	seconds := fs.Float64("seconds", 2, "how long a run is")
	warmUp := fs.Float64("warm-up", 0.5, "how many `seconds` before it are not counted")
	fs.IntVar(&s.rounds, "rounds", 3, "how often each system is measured")
	fs.StringVar(&s.dir, "dir", os.TempDir(), "the `folder` to make data folders in; it must be on a disk")
	fs.StringVar(&s.output, "output", "bench.html", "the report's `file`; none if empty")
	fs.StringVar(&s.json, "json", "", "a `file` for all results as JSON; none if empty")
	fs.StringVar(&s.with, "with", "", "a `file` that scale's -json has written, whose results the report is to have, too")
	fs.StringVar(&s.member, "only", "", "measure one `system`, once, and print its results as lines of JSON")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	s.workload.length, s.workload.warmUp = secondsOf(*seconds), secondsOf(*warmUp)
	var err error
	for _, name := range list(*which) {
		sys, e := systemNamed(name)
		err = errors.Join(err, e)
		s.systems = append(s.systems, sys)
	}
	for _, op := range list(*ops) {
		if !slices.Contains(operations, op) {
			err = errors.Join(err, fmt.Errorf("there is no operation %q: choose of %s", op, strings.Join(operations, ", ")))
		}
		s.workload.ops = append(s.workload.ops, op)
	}
	for _, text := range list(*conc) {
		n, e := strconv.Atoi(text)
		if e != nil || n < 1 || n > 100_000 {
			err = errors.Join(err, fmt.Errorf("-conc %q: write numbers from 1 to 100000", text))
		}
		s.workload.conc = append(s.workload.conc, n)
	}
	slices.Sort(s.workload.conc)
	s.workload.conc = slices.Compact(s.workload.conc)
	return s, errors.Join(err, s.check(fs.Args()))
}

func (s *settings) check(more []string) error {
	switch {
	case len(more) > 0:
		return fmt.Errorf("%q is no flag: see -help", more[0])
	case len(s.systems) == 0 || len(s.workload.ops) == 0 || len(s.workload.conc) == 0:
		return errors.New("-systems, -ops and -conc must name something")
	case s.workload.payload < 1 || s.workload.payload > 1<<20:
		return fmt.Errorf("-payload %d is not within 1..%d", s.workload.payload, 1<<20)
	case s.workload.length <= 0 || s.workload.warmUp < 0 || s.workload.length+s.workload.warmUp > time.Hour:
		return errors.New("-seconds must be more than 0, -warm-up not less than 0, and both together at most an hour")
	case s.rounds < 1:
		return errors.New("-rounds must be at least 1")
	}
	return nil
}

func secondsOf(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// list splits at commas.
func list(s string) (items []string) {
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
