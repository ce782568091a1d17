package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
)

// part is one question of scale, with how it is measured and shown.
type part struct {
	name, title string
	text        string // what is measured, and what the goal is
	x           string // the x axis
	xText       func(float64) string
	columns     []column
	plots       []plot
	takes       func(*scale) time.Duration
	run         func(ctx context.Context, s *scale, emit func(point)) error
	verdict     func(points []point) string // empty if there is nothing to compare
}

// column is one value in tables.
type column struct {
	value, title string
	format       func(float64) string
}

// plot is one plot of a part.
type plot struct {
	title, y   string
	values     []string // for each of them a line; more than one only if there is one series
	format     func(float64) string
	bars, zero bool
	linear     bool // the x axis
	goal       float64
	goalFor    string
}

var (
	colOps    = column{valOps, "ops/s", count}
	colP50    = column{valP50, "p50", micros}
	colP99    = column{valP99, "p99", micros}
	colCPU    = column{valCPU, "CPU us/op", short}
	colAllocs = column{valAllocs, "allocs/op", short}

	plotOps    = plot{title: "Throughput", y: "writes a second", values: []string{valOps}, format: count, zero: true}
	plotOpsLog = plot{title: "Throughput", y: "writes a second", values: []string{valOps}, format: count}
	plotCPU    = plot{title: "CPU a write", y: "microseconds of CPU", values: []string{valCPU}, format: short, bars: true}
	plotCPULog = plot{title: "CPU a write", y: "microseconds of CPU", values: []string{valCPU}, format: short}
)

// The goals that parts have.
const (
	goalMemoryMiB = 150 // of a member, after ten million writes
	goalTail      = 3.0 // p99 over p50
)

var parts = []part{
	{
		name: "log", title: "The log grows", x: "entries", xText: count,
		text:    fmt.Sprintf("Three members, %d callers, 128 bytes; measured from when the log has had so many entries, with the default compaction. The first segments of a log still grow, which costs the shortest ones. Goal: the longest costs the same.", scaleConc),
		columns: []column{colOps, colP50, colP99, colCPU, colAllocs, {valLog, "log MiB", count}},
		plots:   []plot{plotOps, plotCPU},
		takes: func(s *scale) time.Duration {
			return time.Duration(s.entries/60_000)*time.Second + time.Duration(len(s.milestones()))*s.length + 2*time.Second
		},
		run: func(ctx context.Context, s *scale, emit func(point)) error {
			return s.child(ctx, childSpec{Kind: "log", Entries: s.milestones(), Length: s.length}, s.entriesTime(s.entries), emit)
		},
		verdict: func(points []point) string {
			return fmt.Sprintf("A write costs %.2f of the CPU with the longest log that it costs with the shortest, and %.2f as many are done.",
				over(points[len(points)-1], points[0], valCPU), over(points[len(points)-1], points[0], valOps))
		},
	},
	{
		name: "callers", title: "More callers of the library", x: "callers", xText: count,
		text:    "Three members, 128 bytes, on the floor and on Balsa's leader.",
		columns: []column{colOps, colP50, colP99, colCPU, colAllocs}, plots: []plot{plotOpsLog, plotCPULog},
		takes: func(s *scale) time.Duration { return s.compare([]string{opWrite}, callerCounts, 128).duration() },
		run: func(ctx context.Context, s *scale, emit func(point)) error {
			return s.runCompare(ctx, s.compare([]string{opWrite}, callerCounts, 128), func(r Result) (string, float64) { return r.System, float64(r.Conc) }, emit)
		},
	},
	{
		name: "connections", title: "More connections to the server", x: "connections", xText: count,
		text:    fmt.Sprintf("Puts of 256 bytes by %d clients of the etcd API, \"balsa bench put\", over so many gRPC connections to \"balsa dev\": three members in one process, whose CPU it is, without what it takes to connect.", connectionClients),
		columns: []column{colOps, colP50, colP99, colCPU}, plots: []plot{{title: "Throughput", y: "puts a second", values: []string{valOps}, format: count, zero: true}, {title: "CPU a put, of the servers", y: "microseconds of CPU", values: []string{valCPU}, format: short, bars: true}},
		takes: func(s *scale) time.Duration {
			return 30*time.Second + time.Duration(len(connectionCounts))*(2*s.length+3*time.Second)
		},
		run: func(ctx context.Context, s *scale, emit func(point)) error { return s.runConnections(ctx, emit) },
	},
	{
		name: "members", title: "More members", x: "members", xText: count,
		text:    fmt.Sprintf("%d callers, 128 bytes; all members and the callers share this machine's processors and its disk. CPU is also given for each member.", scaleConc),
		columns: []column{colOps, colP50, colP99, colCPU, {valCPUMember, "CPU us/op and member", short}},
		plots:   []plot{plotOps, {title: "CPU a write, for each member", y: "microseconds of CPU", values: []string{valCPUMember}, format: short, bars: true}},
		takes: func(s *scale) time.Duration {
			return time.Duration(len(memberCounts)) * (s.length + s.warmUp + 2*time.Second)
		},
		run: func(ctx context.Context, s *scale, emit func(point)) error {
			for _, n := range memberCounts {
				if err := s.child(ctx, childSpec{Kind: "members", Voters: n, WarmUp: s.warmUp, Length: s.length}, s.warmUp+s.length, emit); err != nil {
					return fmt.Errorf("%d members: %w", n, err)
				}
			}
			return nil
		},
	},
	{
		name: "memory", title: "What a member keeps in memory", x: "million writes", xText: short,
		text: fmt.Sprintf("Three members, each a process of its own, 128 bytes, %d callers in the leader's process, a state machine that only counts. Goal: under %d MiB of a member after ten million writes.",
			fillConc, goalMemoryMiB),
		columns: []column{{valRSS, "RSS MiB", count}, {valHeap, "heap MiB", count}},
		plots: []plot{{title: "Resident memory", y: "MiB", values: []string{valRSS}, format: count, zero: true, linear: true, goal: goalMemoryMiB, goalFor: "goal"},
			{title: "Heap", y: "MiB", values: []string{valHeap}, format: count, zero: true, linear: true}},
		takes: func(s *scale) time.Duration { return s.entriesTime(s.writes) },
		run:   func(ctx context.Context, s *scale, emit func(point)) error { return s.runMemory(ctx, emit) },
		verdict: func(points []point) string {
			most, last := 0.0, 0.0
			end := points[len(points)-1].X
			for _, p := range points {
				most = max(most, p.Values[valRSS])
				if p.X == end {
					last = max(last, p.Values[valRSS])
				}
			}
			return fmt.Sprintf("A member occupies up to %s MiB after %s million writes, and up to %s on the way there.", count(last), short(end), count(most))
		},
	},
	{
		name: "soak", title: "Latency over time", x: "seconds", xText: short,
		text:    fmt.Sprintf("Three members, %d callers, 128 bytes, a state machine with a large state, so that snapshots are written and the log is compacted behind them. Goal: a p99 of at most %.0f times the p50 over five minutes.", fillConc, goalTail),
		columns: []column{colOps, colP50, colP99, {valSnapshots, "snapshots", count}, {valRatio, "p99/p50 of all", short}},
		plots: []plot{{title: "Latency", y: "time of a write", values: []string{valP50, valP99}, format: micros, linear: true},
			{title: "Throughput", y: "writes a second", values: []string{valOps}, format: count, zero: true, linear: true},
			{title: "Snapshots so far, of all members", y: "snapshots", values: []string{valSnapshots}, format: count, zero: true, linear: true}},
		takes: func(s *scale) time.Duration { return s.soak + 5*time.Second },
		run: func(ctx context.Context, s *scale, emit func(point)) error {
			return s.child(ctx, childSpec{Kind: "soak", WarmUp: s.warmUp, Length: s.soak, State: s.state}, s.soak, emit)
		},
		verdict: func(points []point) string {
			last := points[len(points)-1].Values
			return fmt.Sprintf("Over all of it the p99 is %s times the p50 (goal: at most %.0f), with %s snapshots.", short(last[valRatio]), goalTail, count(last[valSnapshots]))
		},
	},
	{
		name: "large", title: "Larger commands", x: "bytes of a command", xText: count,
		text:    fmt.Sprintf("Three members, %d callers, on the floor and on Balsa's leader, after a warm-up long enough for the log's segments to be used again.", scaleConc),
		columns: []column{colOps, colP50, colP99, colCPU}, plots: []plot{plotOpsLog, plotCPULog},
		takes: func(s *scale) (all time.Duration) {
			for _, n := range commandSizes {
				all += s.largeRuns(n).duration()
			}
			return all
		},
		run: func(ctx context.Context, s *scale, emit func(point)) error {
			for _, n := range commandSizes {
				if err := s.runCompare(ctx, s.largeRuns(n), func(r Result) (string, float64) { return r.System, float64(n) }, emit); err != nil {
					return err
				}
			}
			return nil
		},
		verdict: func(points []point) string { return ratios(points, ownName, floorName, "bytes") },
	},
	{
		name: "follower", title: "Writes asked of a follower", x: "callers", xText: count,
		text:    "Three members, 128 bytes; Balsa's leader, and a follower that hands the commands on to it.",
		columns: []column{colOps, colP50, colP99, colCPU}, plots: []plot{plotOpsLog, {title: "Latency, median", y: "time of a write", values: []string{valP50}, format: micros}},
		takes: func(s *scale) time.Duration { return s.followerRuns().duration() },
		run: func(ctx context.Context, s *scale, emit func(point)) error {
			return s.runCompare(ctx, s.followerRuns(), func(r Result) (string, float64) {
				return map[string]string{opWrite: "leader", opFollowerWrite: "follower"}[r.Op], float64(r.Conc)
			}, emit)
		},
		verdict: func(points []point) string { return ratios(points, "follower", "leader", "callers") },
	},
}

var (
	callerCounts     = []int{1, 10, 100, 1000}
	connectionCounts = []int{1, 10, 100, 1000}
	memberCounts     = []int{3, 5, 7}
	commandSizes     = []int{1024, 4096, 16384}
)

// milestones are the lengths of the log at which is measured: powers of ten, and the longest.
func (s *scale) milestones() (all []uint64) {
	for n := uint64(10_000); n < s.entries; n *= 10 {
		all = append(all, n)
	}
	return append(all, s.entries)
}

// entriesTime is about how long so many writes take, on a slow machine.
func (s *scale) entriesTime(n uint64) time.Duration {
	return time.Duration(n/30_000)*time.Second + 10*time.Second
}

// compare are runs of the floor and Balsa.
func (s *scale) compare(ops []string, conc []int, payload int) *settings {
	c := &settings{rounds: s.rounds, dir: s.dir, workload: workload{ops: ops, conc: conc, payload: payload, warmUp: s.warmUp, length: s.length}}
	for _, sys := range systems {
		if sys.name == floorName || sys.name == ownName {
			c.systems = append(c.systems, sys)
		}
	}
	return c
}

// largeRuns have a long warm-up: a new log's segments are filled with zeros before they are written, which with large commands takes the disk from
// the log until the first snapshot, from which on segments are used again.
func (s *scale) largeRuns(payload int) *settings {
	c := s.compare([]string{opWrite}, []int{scaleConc}, payload)
	c.workload.warmUp *= 4
	return c
}

func (s *scale) followerRuns() *settings {
	c := s.compare([]string{opWrite, opFollowerWrite}, []int{1, 16, scaleConc}, 128)
	c.systems = c.systems[1:] // without the floor
	return c
}

// runCompare measures in rounds, and makes a point of the medians. place says of which series and where.
func (s *scale) runCompare(ctx context.Context, c *settings, place func(Result) (series string, x float64), emit func(point)) error {
	results, err := runRounds(ctx, c, s.progress)
	sum := summarize(c, results)
	for _, op := range sum.ops {
		for _, sys := range sum.systems {
			for _, conc := range sum.conc {
				if r := sum.row(op, conc, sys.name); r != nil {
					name, x := place(r.rounds[0])
					emit(point{Series: name, X: x, Values: map[string]float64{
						valOps: r.opsPerSec, valP50: r.p50us, valP99: r.p99us, valCPU: r.cpuUsPerOp, valAllocs: r.allocsPer, valFailed: float64(r.failed),
					}})
				}
			}
		}
	}
	return err
}

// over is the ratio of a value of two points.
func over(a, b point, value string) float64 { return a.Values[value] / b.Values[value] }

// ratios are those of the throughput of two series, wherever both have one.
func ratios(points []point, of, to, unit string) string {
	var all []string
	for _, p := range points {
		if p.Series == of {
			if r := p.Values[valOps] / valueAt(points, to, p.X, valOps); !math.IsNaN(r) && !math.IsInf(r, 0) {
				all = append(all, fmt.Sprintf("%.2f at %s", r, count(p.X)))
			}
		}
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("Throughput of %s over that of %s, by %s: %s.", seriesTitle(of), seriesTitle(to), unit, strings.Join(all, ", "))
}

// seriesTitle is what a series is called.
func seriesTitle(name string) string {
	if name == ownName {
		return "Balsa"
	}
	return name
}
