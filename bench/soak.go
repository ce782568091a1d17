package main

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// soakWindows is in how many windows a soak is shown, if they are at least a second.
const soakWindows = 60

// soakCaller is one goroutine that writes without a pause.
type soakCaller struct {
	mu   sync.Mutex
	seen *histogram // guarded by mu; since the last look
	err  error      // guarded by mu
}

func (c *soakCaller) run(ctx context.Context, write func(context.Context) error, end time.Time) {
	for now := time.Now(); now.Before(end); {
		err := write(ctx)
		done := time.Now()
		c.mu.Lock()
		if err == nil {
			c.seen.add(done.Sub(now))
		}
		c.err = errors.Join(c.err, err)
		c.mu.Unlock()
		if err != nil {
			return
		}
		now = done
	}
}

// take adds what was seen since the last take to h.
func (c *soakCaller) take(h *histogram) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.merge(c.seen)
	*c.seen = histogram{}
	return c.err
}

// soak writes for a long time, and looks at each window of it.
func soak(spec childSpec, emit func(point)) (err error) {
	var ledgers []*ledger
	b, err := openBalsa(spec.Dir, 3, func() balsaMachine {
		l := newLedger(spec.State)
		ledgers = append(ledgers, l)
		return l
	})
	if err != nil {
		return err
	}
	c := b.cluster()
	defer func() { err = errors.Join(err, c.close()) }()
	made := &commands{payload: 128}
	write := c.operation(opWrite, made.next)
	warm := drive(write, fillConc, spec.WarmUp)

	window := max(time.Second, (spec.Length / soakWindows).Round(time.Second))
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), spec.Length+callTimeout)
	defer cancel()
	callers := make([]soakCaller, fillConc)
	var running sync.WaitGroup
	for i := range callers {
		callers[i].seen = &histogram{}
		running.Go(func() { callers[i].run(ctx, write, start.Add(spec.Length)) })
	}
	var whole histogram
	for since, end := start, start.Add(spec.Length); since.Before(end) && err == nil; {
		next := since.Add(window)
		if next.Add(window / 2).After(end) {
			next = end
		}
		time.Sleep(time.Until(next))
		if next == end {
			running.Wait()
		}
		now := time.Now()
		var h histogram
		for i := range callers {
			err = errors.Join(err, callers[i].take(&h))
		}
		whole.merge(&h)
		snapshots := uint64(0)
		for _, l := range ledgers {
			snapshots += l.snapshots.Load()
		}
		emit(point{Series: ownName, X: math.Round(now.Sub(start).Seconds()), Values: map[string]float64{
			valOps: float64(h.n) / now.Sub(since).Seconds(), valP50: us(h.quantile(0.5)), valP99: us(h.quantile(0.99)), valSnapshots: float64(snapshots),
			valRatio: us(whole.quantile(0.99)) / max(us(whole.quantile(0.5)), 1e-3),
		}})
		since = next
	}
	running.Wait()
	if err != nil {
		return err
	}
	return awaitApplied(system{name: ownName}, c, warm.done+whole.n, callTimeout)
}
