package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// callTimeout is how long after the end of a run its last calls may take.
const callTimeout = 10 * time.Second

// Result is one run: one system, one operation, so many callers that each wait for their answer before they call again.
type Result struct {
	System      string  `json:"system"`
	Round       int     `json:"round"`
	Op          string  `json:"op"`
	Conc        int     `json:"concurrency"`
	Payload     int     `json:"payloadBytes"`
	OpsPerSec   float64 `json:"opsPerSecond"`
	P50us       float64 `json:"p50us"`
	P99us       float64 `json:"p99us"`
	P999us      float64 `json:"p999us"`
	MaxUs       float64 `json:"maxUs"`
	CPUusPerOp  float64 `json:"cpuUsPerOp"`  // of the whole process: three members and the callers
	BytesPerOp  float64 `json:"bytesPerOp"`  // allocated on the heap, likewise
	AllocsPerOp float64 `json:"allocsPerOp"` // likewise
	Failed      int64   `json:"failed"`
	FirstError  string  `json:"firstError,omitempty"`

	done uint64 // operations that succeeded
}

// commands makes commands of one size, no two of them the same. Each is a new one, as a program's are: systems that keep it pay for that.
type commands struct {
	payload int
	n       atomic.Uint64
}

func (c *commands) next() []byte {
	b := make([]byte, c.payload)
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], c.n.Add(1))
	copy(b, number[:])
	return b
}

// drive calls do from conc goroutines for so long, and measures.
func drive(do func(context.Context) error, conc int, length time.Duration) Result {
	// One context for all: what a context a call costs is not the systems'.
	ctx, cancel := context.WithTimeout(context.Background(), length+callTimeout)
	defer cancel()
	callers := make([]caller, conc)
	runtime.GC() // what was before is not paid for now
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpuBefore, start := cpuTime(), time.Now()
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() { callers[i].run(ctx, do, start.Add(length)) })
	}
	all.Wait()
	took, cpu := time.Since(start), cpuTime()-cpuBefore
	runtime.ReadMemStats(&after)

	var h histogram
	r := Result{Conc: conc}
	for i := range callers {
		h.merge(&callers[i].latencies)
		r.Failed += callers[i].failed
		if err := callers[i].err; err != nil && r.FirstError == "" {
			r.FirstError = err.Error()
		}
	}
	r.done = h.n
	ops := float64(max(h.n, 1))
	r.OpsPerSec = float64(h.n) / took.Seconds()
	r.P50us, r.P99us, r.P999us, r.MaxUs = us(h.quantile(0.5)), us(h.quantile(0.99)), us(h.quantile(0.999)), us(h.max)
	r.CPUusPerOp = us(cpu) / ops
	r.BytesPerOp = float64(after.TotalAlloc-before.TotalAlloc) / ops
	r.AllocsPerOp = float64(after.Mallocs-before.Mallocs) / ops
	return r
}

// caller is one goroutine of a run, with what it has seen.
type caller struct {
	latencies histogram
	failed    int64
	err       error // the first
}

func (c *caller) run(ctx context.Context, do func(context.Context) error, end time.Time) {
	for now := time.Now(); now.Before(end); {
		err := do(ctx)
		done := time.Now()
		if err != nil {
			c.failed++
			if c.err == nil {
				c.err = err
			}
			time.Sleep(time.Millisecond) // who refuses at once is not to be called in a busy loop
			now = time.Now()
			continue
		}
		c.latencies.add(done.Sub(now))
		now = done
	}
}

// cpuTime is what this process has used of all processors.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// workload is what is asked of every system.
type workload struct {
	ops     []string
	conc    []int
	payload int
	warmUp  time.Duration
	length  time.Duration // of a run
}

// measure starts a system in dir, does the whole workload, and reports each run. At the end every member must have applied what was acknowledged.
func measure(s system, dir string, w workload, report func(Result) error) (err error) {
	c, err := s.start(dir)
	if err != nil {
		return fmt.Errorf("%s does not start: %w", s.name, err)
	}
	defer func() { err = errors.Join(err, c.close()) }()
	made := &commands{payload: w.payload}
	acknowledged := uint64(0)
	for _, op := range w.ops {
		do := c.operation(op, made.next)
		if do == nil {
			continue
		}
		for _, conc := range w.conc {
			warm := drive(do, conc, w.warmUp)
			r := drive(do, conc, w.length)
			if op != opRead {
				acknowledged += warm.done + r.done
			}
			r.System, r.Op, r.Payload = s.name, op, w.payload
			if err := report(r); err != nil {
				return err
			}
		}
	}
	return awaitApplied(s, c, acknowledged, callTimeout)
}

// awaitApplied: a figure counts only if what it counts was done.
func awaitApplied(s system, c *cluster, acknowledged uint64, timeout time.Duration) error {
	if c.applied == nil {
		return nil
	}
	deadline := time.Now().Add(timeout)
	for i := 0; i < len(c.applied()); {
		if c.applied()[i] >= acknowledged {
			i++
			continue
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %d writes were acknowledged, but member %d has applied %d", s.name, acknowledged, i+1, c.applied()[i])
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}
