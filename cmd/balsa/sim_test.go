package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/sim"
)

func TestSim(t *testing.T) {
	got := try(t, "", "sim", "--seeds", "3", "--duration", "5s", "--members", "3", "--parallel", "2")
	if got.code != exitOK || !strings.HasPrefix(got.out, "3 seeds, ") {
		t.Errorf("exit code %d, %s, %s", got.code, got.out, got.err)
	}
	for _, want := range []string{"simulated", "faults, coverage ", "slowest recovery", "a torn tail", "takeover", "power"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is not in %s", want, got.out)
		}
	}
}

func TestSimReplay(t *testing.T) {
	dir := t.TempDir()
	story, trace := filepath.Join(dir, "story"), filepath.Join(dir, "trace")
	first := try(t, "", "sim", "replay", "7", "--duration", "3s", "--members", "3")
	if first.code != exitOK || !strings.Contains(first.out, "n1 starts, incarnation 1") || !strings.Contains(first.out, "seed 7: all that was checked holds") {
		t.Errorf("exit code %d, %.2000s, %s", first.code, first.out, first.err)
	}
	again := try(t, "", "sim", "replay", "7", "--duration", "3s", "--members", "3", "--story", story, "--trace", trace)
	told, err := os.ReadFile(story)
	if err != nil || again.code != exitOK || string(told)+again.out != first.out {
		t.Errorf("the same seed is told in another way in a file: %v, %s", err, again.out)
	}
	b, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	lines := 0
	h, err := sim.ReadTrace(b, func(sim.TraceLine) error { lines++; return nil })
	if err != nil || h.Seed != 7 || h.Flags != "--members=3 --duration=3s" || lines < 100 {
		t.Errorf("the trace has %d lines and the header %+v, %v", lines, h, err)
	}
	from := try(t, "", "sim", "replay", "--from", trace)
	if from.code != exitOK || from.out != first.out {
		t.Errorf("from its trace the run is another one: %.2000s, %s", from.out, from.err)
	}
	if got := try(t, "", "sim", "replay", "--from", trace, "--members", "1", "--story="); got.code != exitOK || got.out == again.out || !strings.Contains(got.out, "seed 7: all") {
		t.Errorf("a flag beside a trace does not count: %s, %s", got.out, got.err)
	}
	if got := try(t, "", "sim", "replay", "7", "--duration", "3s", "--small", "--shrink", "1s"); got.code != exitError || !strings.Contains(got.err, "does not fail") {
		t.Errorf("exit code %d, %s", got.code, got.err)
	}
}

// TestSimHelp: all names that the flags take are in the help.
func TestSimHelp(t *testing.T) {
	for _, command := range []string{"sim", "sim replay"} {
		got := try(t, "", append(strings.Fields(command), "--help")...)
		var names []string
		for _, n := range append(sim.FaultNames(), sim.SimpleNames()...) {
			names = append(names, "\n  "+n.Name+" ")
		}
		for _, want := range append(names, sim.MessageNames()...) {
			if got.code != exitOK || !strings.Contains(got.out, want) {
				t.Errorf("%s --help: %q is not in it", command, want)
			}
		}
	}
}

func TestSimInput(t *testing.T) {
	for _, test := range []struct {
		args, want string
	}{
		{"sim --faults fire", `no fault "fire"`},
		{"sim --faults fire", "slow-disk"},
		{"sim replay 1 --without x", "slow-disk"},
		{"sim --without x", `"x" is no decision`},
		{"sim --only loss", "numbers alone"},
		{"sim --members 10", "Members is 10"},
		{"sim --workload all", "writes, reads"},
		{"sim --seeds -1", "cannot be negative"},
		{"sim --parallel 0", "at least 1"},
		{"sim repaly", "replay"},
		{"sim replay", "usage: balsa sim replay SEED"},
		{"sim replay x", "no number"},
		{"sim replay 1 --from x", "usage: balsa sim replay SEED"},
		{"sim replay --from testdata/none.jsonl", "no such file"},
		{"sim replay --from sim.go", "no trace of Balsa"},
		{"sim replay 1 --only loss", "numbers alone"},
	} {
		if got := try(t, "", strings.Fields(test.args)...); got.code != exitInput || !strings.Contains(got.err, test.want) {
			t.Errorf("%s: exit code %d, %s; want %q", test.args, got.code, got.err, test.want)
		}
	}
}

// TestSimFails: a failure ends the run with a line that repeats it, and with files that tell of it.
func TestSimFails(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		var out, progress bytes.Buffer
		a := testApp(nil)
		a.stdout, a.stderr, a.isTerminal = &out, &progress, func(w io.Writer) bool { return terminal && w == io.Writer(&progress) }
		dir := t.TempDir()
		s := &simRuns{simOptions: simOptions{members: 3, shrink: time.Second}, seeds: 100, first: 1, parallel: 2, dir: dir}
		s.run = func(o sim.Options) (*sim.Report, error) {
			if o.Story != nil {
				o.Story.Write([]byte("once upon a time\n"))
				o.Trace.Write([]byte("{}\n"))
			}
			if o.Seed == 5 {
				return &sim.Report{}, &sim.Violation{Seed: 5, Property: "Election Safety", Detail: "two", Summary: "who led\n"}
			}
			return &sim.Report{Seed: o.Seed, Time: time.Second}, nil
		}
		s.shrinks = func(o sim.Options, limit time.Duration, progress func(sim.Size)) (*sim.Shrunk, error) {
			if progress != nil {
				progress(sim.Size{Members: 2})
			}
			o.Members = 2
			return &sim.Shrunk{Options: o, Violation: &sim.Violation{Seed: 5, Property: "Election Safety"}, Runs: 17}, nil
		}
		err := a.runSim(context.Background(), s)
		if err == nil || !strings.Contains(err.Error(), "seed 5: Election Safety does not hold") {
			t.Errorf("ends with %v", err)
		}
		for _, want := range []string{"FAILED  sim: seed 5: Election Safety", "replay  balsa sim replay 5 --members=3\n", "smaller after 17 runs", "\nwho led\n\nreplay  balsa sim replay 5 --members=2\n", "story   " + dir} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is not in %s", want, out.String())
			}
		}
		if b, err := os.ReadFile(filepath.Join(dir, "balsa-sim-5.txt")); err != nil || string(b) != "once upon a time\n" {
			t.Errorf("the story is %q, %v", b, err)
		}
		if terminal != strings.Contains(progress.String(), "\r") {
			t.Errorf("terminal: %v, and the progress is %q", terminal, progress.String())
		}
	}
}

// TestReplayArgs: what people copy is short, or the name of a file.
func TestReplayArgs(t *testing.T) {
	o := sim.Options{Seed: 7, Members: 3}
	if got := replayArgs(o, "t.jsonl"); got != "7 --members=3" {
		t.Error(got)
	}
	var err error
	if o.Only, err = sim.ParseDecisions(strings.Join(many("c7.", 80), ",")); err != nil {
		t.Fatal(err)
	}
	if got := replayArgs(o, "t.jsonl"); got != "--from t.jsonl" {
		t.Error(got)
	}
}

// many are names with every other number.
func many(prefix string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprint(prefix, 2*i+1))
	}
	return names
}

// TestSimEnds: what was done is printed when it is interrupted, or when the time is over.
func TestSimEnds(t *testing.T) {
	var out bytes.Buffer
	a := testApp(nil)
	a.stdout = &out
	ctx, cancel := context.WithCancel(context.Background())
	var runs atomic.Int64
	s := &simRuns{first: 1, parallel: 1, run: func(sim.Options) (*sim.Report, error) {
		if runs.Add(1) == 10 {
			cancel()
		}
		return &sim.Report{}, nil
	}}
	if err := a.runSim(ctx, s); err != nil || !strings.HasPrefix(out.String(), "10 seeds, ") {
		t.Errorf("%v, %s", err, out.String())
	}
	s.minutes = 0.0005
	s.run = func(sim.Options) (*sim.Report, error) { time.Sleep(time.Millisecond); return &sim.Report{}, nil }
	if err := a.runSim(context.Background(), s); err != nil {
		t.Error(err)
	}
	s.run = func(sim.Options) (*sim.Report, error) { return nil, errors.New("cannot be run") }
	if err := a.runSim(context.Background(), s); err == nil || err.Error() != "cannot be run" {
		t.Errorf("ends with %v", err)
	}
}
