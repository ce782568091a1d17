package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// scale is how Balsa's costs grow with what there is more of: entries, callers, connections, members, bytes, time.
type scale struct {
	parts   []part
	entries uint64        // of the longest log
	writes  uint64        // of the part memory
	soak    time.Duration // of the part soak
	state   int           // bytes of the state machine of the part soak
	warmUp  time.Duration // a new log is slower until its segments have grown
	length  time.Duration // of a run
	rounds  int
	dir     string
	output  string
	json    string
	with    string

	progress io.Writer
}

// point is what was measured at one place of the part's x axis. What it has depends on the part.
type point struct {
	Series string             `json:"series"`
	X      float64            `json:"x"`
	Values map[string]float64 `json:"values"`
}

// The values of points.
const (
	valOps       = "opsPerSecond"
	valP50       = "p50us"
	valP99       = "p99us"
	valCPU       = "cpuUsPerOp"
	valCPUMember = "cpuUsPerOpAndMember"
	valAllocs    = "allocsPerOp"
	valRSS       = "rssMiB"
	valHeap      = "heapMiB"
	valLog       = "logMiB"      // on the leader's disk
	valSnapshots = "snapshots"   // of all members, so far
	valRatio     = "p99OverP50"  // of all of it
	valFailed    = "failedCalls" // of it
)

const (
	scaleConc = 64 // callers, where a part does not say otherwise
	fillConc  = 512
	mib       = 1 << 20
)

func parseScale(args []string, stderr io.Writer) (*scale, error) {
	s := &scale{progress: stderr}
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	fs := flag.NewFlagSet("bench scale", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, "Measure how Balsa's costs grow with what there is more of.\n\n  go run . scale\n  go run . scale -parts log,memory -entries 10000000 -writes 10000000\n"+
			"  go run . scale -parts soak -soak 5m\n\nParts:\n")
		for _, p := range parts {
			fmt.Fprintf(stderr, "  %-12s %s\n", p.name, p.title)
		}
		fmt.Fprint(stderr, "\nFlags:\n")
		fs.PrintDefaults()
	}
	which := fs.String("parts", strings.Join(names, ","), "what to measure")
	fs.Uint64Var(&s.entries, "entries", 1_000_000, "`entries` of the longest log; 10000000 take two to five minutes and 4 GB of disk")
	fs.Uint64Var(&s.writes, "writes", 1_000_000, "how many `writes` the memory of members is watched for; 10000000 take two to five minutes")
	fs.DurationVar(&s.soak, "soak", time.Minute, "how long the soak is; its goal is of 5m")
	state := fs.Int("state", 32, "`MiB` of the state machine in the soak")
	seconds := fs.Float64("seconds", 2, "how long a run is")
	warmUp := fs.Float64("warm-up", 2, "how many `seconds` before it are not counted; with large commands four times as many")
	fs.IntVar(&s.rounds, "rounds", 1, "how often is measured what is compared with another system, or another member")
	fs.StringVar(&s.dir, "dir", os.TempDir(), "the `folder` to make data folders in; it must be on a disk")
	fs.StringVar(&s.output, "output", "bench.html", "the report's `file`; none if empty")
	fs.StringVar(&s.json, "json", "", "a `file` for all results as JSON; none if empty")
	fs.StringVar(&s.with, "with", "", "a `file` that -json has written, by this command or by the one without scale, whose results the report is to have, too")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	s.length, s.warmUp, s.state = secondsOf(*seconds), secondsOf(*warmUp), *state*mib
	var err error
	for _, name := range list(*which) {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			err = errors.Join(err, fmt.Errorf("there is no part %q: choose of %s", name, strings.Join(names, ", ")))
			continue
		}
		s.parts = append(s.parts, parts[i])
	}
	return s, errors.Join(err, s.check(fs.Args()))
}

func (s *scale) check(more []string) error {
	switch {
	case len(more) > 0:
		return fmt.Errorf("%q is no flag: see -help", more[0])
	case s.entries < 1000 || s.entries > 1e9 || s.writes < 1000 || s.writes > 1e9:
		return errors.New("-entries and -writes must be within 1000..1000000000")
	case s.soak < time.Second || s.soak > 24*time.Hour:
		return errors.New("-soak must be within 1s..24h")
	case s.state < 0 || s.state > 1<<30:
		return errors.New("-state must be within 0..1024")
	case s.length <= 0 || s.warmUp < 0 || s.length+4*s.warmUp > time.Hour:
		return errors.New("-seconds must be more than 0, -warm-up not less than 0, and both together at most an hour")
	case s.rounds < 1:
		return errors.New("-rounds must be at least 1")
	}
	return nil
}

// runScale measures part after part. What fails is told, and the others are measured all the same.
func runScale(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parseScale(args, stderr)
	if err != nil {
		return err
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
	if doc.Scale == nil {
		doc.Scale = &scaleResults{}
	}
	command := strings.Join(append([]string{"go run . scale"}, args...), " ")
	measured := 0
	var failed error
	for _, p := range s.parts {
		fmt.Fprintf(stderr, "%s: about %v\n", p.title, p.takes(s).Round(time.Second))
		points, err := s.measure(ctx, p)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.name, err))
			fmt.Fprintf(stderr, "  FAILED: %v\n", err)
		}
		if len(points) > 0 {
			measured++
			machine.Time = time.Now().UTC().Format(time.RFC3339)
			doc.Scale.put(partResults{Name: p.name, Machine: machine, Command: command, Points: points})
			p.table(stdout, points)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if measured == 0 {
		return failed
	}
	if err := doc.write(s.output, s.json); err != nil {
		return errors.Join(failed, err)
	}
	if s.output != "" {
		fmt.Fprintf(stderr, "The report with plots is in %s\n", s.output)
	}
	return failed
}

func (s *scale) measure(ctx context.Context, p part) (points []point, err error) {
	err = p.run(ctx, s, func(at point) {
		points = append(points, at)
		fmt.Fprintf(s.progress, "  %-16s %s %s:", at.Series, p.xText(at.X), p.x)
		for _, c := range p.columns {
			if v, ok := at.Values[c.value]; ok {
				fmt.Fprintf(s.progress, "  %s %s", c.format(v), c.title)
			}
		}
		fmt.Fprintln(s.progress)
	})
	slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.Series, b.Series) }) // members tell by turns
	return points, err
}

// resultPoint is a run of drive.
func resultPoint(series string, x float64, r Result) point {
	return point{Series: series, X: x, Values: map[string]float64{
		valOps: r.OpsPerSec, valP50: r.P50us, valP99: r.P99us, valCPU: r.CPUusPerOp, valAllocs: r.AllocsPerOp, valFailed: float64(r.Failed),
	}}
}

// valueAt is NaN where there is none.
func valueAt(points []point, series string, x float64, value string) float64 {
	for _, p := range points {
		if p.Series == series && p.X == x {
			if v, ok := p.Values[value]; ok {
				return v
			}
		}
	}
	return math.NaN()
}
