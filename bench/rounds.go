package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// runRounds measures every system once, then every system again. It returns what was measured, even with an error.
func runRounds(ctx context.Context, s *settings, progress io.Writer) (results []Result, err error) {
	for round := 1; round <= s.rounds; round++ {
		for _, sys := range s.systems {
			fmt.Fprintf(progress, "round %d of %d: %s\n", round, s.rounds, sys.title)
			measured, err := runProcess(ctx, s, sys, progress)
			for i := range measured {
				measured[i].Round = round
			}
			results = append(results, measured...)
			if err != nil {
				return results, fmt.Errorf("%s, round %d: %w", sys.title, round, err)
			}
		}
	}
	return results, nil
}

// runProcess measures one system in a process of its own: what another has left on the heap is not paid for by this one.
func runProcess(ctx context.Context, s *settings, sys system, progress io.Writer) (results []Result, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.dir, "balsa-bench-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	w := s.workload
	ctx, cancel := context.WithTimeout(ctx, 2*s.duration()+time.Minute) // a system that hangs
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-only", sys.name, "-dir", dir, "-ops", strings.Join(w.ops, ","), "-conc", join(w.conc),
		"-payload", fmt.Sprint(w.payload), "-seconds", fmt.Sprint(w.length.Seconds()), "-warm-up", fmt.Sprint(w.warmUp.Seconds()))
	var said bytes.Buffer // what goes wrong there
	cmd.Stderr = &said
	lines, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for scanner := bufio.NewScanner(lines); scanner.Scan(); {
		var r Result
		if err := json.Unmarshal(scanner.Bytes(), &r); err != nil {
			return results, errors.Join(err, cmd.Wait())
		}
		failed := ""
		if r.Failed > 0 {
			failed = fmt.Sprintf("  FAILED %d: %s", r.Failed, r.FirstError)
		}
		fmt.Fprintf(progress, "  %-14s %4d callers  %10s ops/s  p50 %s  p99 %s%s\n", r.Op, r.Conc, count(r.OpsPerSec), micros(r.P50us), micros(r.P99us), failed)
		results = append(results, r)
	}
	err = cmd.Wait()
	progress.Write(said.Bytes())
	if err != nil {
		return results, errors.Join(err, ctx.Err())
	}
	return results, nil
}

// runMember is what those processes do.
func runMember(s *settings, stdout io.Writer) error {
	sys, err := systemNamed(s.member)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(stdout)
	return measure(sys, s.dir, s.workload, func(r Result) error { return encoder.Encode(r) })
}

func join(numbers []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ","), "[]")
}
