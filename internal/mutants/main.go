// Command mutants breaks one rule at a time, in a copy of the source, and sees what turns red. A rule that can be broken while all stays green is one that
// the next change may break unnoticed.
//
//	go run ./internal/mutants -list
//	go run ./internal/mutants -tests                 # the tests of raft, host, wal and snapshot
//	go run ./internal/mutants -seeds 2000            # random seeds of the simulator
//	go run ./internal/mutants -seeds 2000 -blind     # the same, with what clients see alone
//	go run ./internal/mutants -seeds 2000 -only lease,raft/read.go
//
// The results are in docs/mutants.md, which it brings up to date.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	var o options
	flag.BoolVar(&o.list, "list", false, "list the mutants")
	flag.StringVar(&o.only, "only", "", "those whose name or file has one of these, separated by commas")
	flag.BoolVar(&o.tests, "tests", false, "run the tests of the packages that have mutants")
	flag.IntVar(&o.seeds, "seeds", 0, "run seeds of the simulator, at most so many")
	flag.BoolVar(&o.blind, "blind", false, "with -seeds: leave only what clients see, without assertions and without what the simulator knows of the members")
	flag.BoolVar(&o.again, "again", false, "also those that the page has a result of")
	flag.BoolVar(&o.survivors, "survivors", false, "only those that the page says nothing has noticed, again")
	flag.StringVar(&o.page, "o", "docs/mutants.md", "the page")
	flag.DurationVar(&o.limit, "limit", 3*time.Minute, "how long the seeds of one mutant may take")
	flag.DurationVar(&o.total, "total", 24*time.Hour, "begin no other mutant after so long")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

type options struct {
	list      bool
	only      string
	tests     bool
	seeds     int
	blind     bool
	again     bool
	survivors bool
	page      string
	limit     time.Duration
	total     time.Duration
}

// picks reports whether the mutant is one of those that are named.
func (o *options) picks(m *mutant) bool {
	for part := range strings.SplitSeq(o.only, ",") {
		if strings.Contains(m.name, part) || strings.Contains(m.file, part) {
			return true
		}
	}
	return false
}

func run(ctx context.Context, o options) error {
	switch {
	case o.list:
		for i := range mutants {
			if m := &mutants[i]; o.picks(m) {
				fmt.Printf("%-40s %-26s %s\n", m.name, m.file, m.disaster)
			}
		}
		return nil
	case !o.tests && o.seeds <= 0:
		return errors.New("say -list, -tests or -seeds")
	}
	p, err := readPage(o.page)
	if err != nil {
		return err
	}
	t, err := copyTree(ctx, ".")
	if err != nil {
		return err
	}
	defer t.remove()
	if o.blind {
		if err := t.blind(); err != nil {
			return err
		}
	}
	return runAll(ctx, o, t, p)
}

// wants reports whether a mutant is to be tried whose last result is this one; empty if there is none.
func (o *options) wants(result string) bool {
	if o.survivors {
		return strings.HasPrefix(result, survives)
	}
	return o.again || result == ""
}

func runAll(ctx context.Context, o options, t *tree, p *page) error {
	began := time.Now()
	var failures []error
	for i := range mutants {
		m := &mutants[i]
		cell := p.row(m.name).cell(o)
		if !o.picks(m) || !o.wants(*cell) || time.Since(began) > o.total || ctx.Err() != nil {
			continue
		}
		start := time.Now()
		result, err := t.try(ctx, o, m)
		if err != nil {
			failures = append(failures, err)
			fmt.Printf("%-40s FAILED\n", m.name)
			continue
		}
		fmt.Printf("%-40s %s (%v)\n", m.name, result, time.Since(start).Round(time.Second))
		if ctx.Err() != nil {
			break // what was interrupted says nothing
		}
		*cell = result
		if err := p.write(o.page); err != nil {
			return err
		}
	}
	return errors.Join(append(failures, ctx.Err())...)
}
