package balsa_test

import (
	"context"
	"errors"
	"flag"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
)

var rollsFlag = flag.Int("rolls", 3, "how many leaders TestRollingRestart restarts")

// roll is callers who write without a pause, on any member, and try again elsewhere when they are refused.
type roll struct {
	t     *testing.T
	seats []*seat
	next  atomic.Uint64
	ended atomic.Bool

	mu      sync.Mutex
	writes  []write
	refused int
	unknown int
}

// write is one that was acknowledged.
type write struct{ began, ended time.Time }

func (r *roll) write(worker int) {
	began := time.Now()
	for try := worker; ; try++ {
		n, _ := r.seats[try%len(r.seats)].get()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := n.Propose(ctx, r.next.Add(1))
		cancel()
		r.mu.Lock()
		switch {
		case err == nil:
			r.writes = append(r.writes, write{began, time.Now()})
		case errors.Is(err, balsa.ErrNotCommitted) && errors.Is(err, balsa.ErrClosed):
			r.refused++ // it closes: another one will do it
		default:
			r.unknown++
			r.t.Logf("a write on member %d ends with: %v", try%len(r.seats), err)
		}
		r.mu.Unlock()
		if err == nil || r.t.Failed() {
			return
		}
	}
}

// stall is the longest time within a window in which no write was acknowledged, and the longest that a write took which ended in it.
func (r *roll) stall(from, to time.Time) (gap, longest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := from
	for _, w := range r.writes {
		if w.ended.Before(from) || w.ended.After(to) {
			continue
		}
		gap, last = max(gap, w.ended.Sub(last)), w.ended
		longest = max(longest, w.ended.Sub(w.began))
	}
	return max(gap, to.Sub(last)), longest
}

// TestRollingRestart: while callers write everywhere, the leader closes and starts again, one leader after the other. No write fails or ends
// in doubt, and another one leads before each has closed, unless the machine stands still so long that there are elections. How long writes stand still
// is told, and not checked: the machine may be busy.
func TestRollingRestart(t *testing.T) {
	c := newCluster(t, 3)
	for i := range c.nodes {
		c.stop(i)
	}
	c.dir = t.TempDir()
	r := &roll{t: t}
	open := func(i int) (*balsa.Node[uint64, int], *journal) {
		config := c.config(i)
		config.HeartbeatInterval, config.ElectionTimeout = 0, 0 // as they are by default
		machine := &journal{}
		n, err := balsa.Open(t.Context(), config, machine)
		if err != nil {
			t.Fatal(err)
		}
		return n, machine
	}
	for i := range c.nodes {
		n, machine := open(i)
		r.seats = append(r.seats, &seat{node: n, machine: machine})
	}
	var callers sync.WaitGroup
	for w := range 24 {
		callers.Go(func() {
			for !r.ended.Load() && !t.Failed() {
				r.write(w)
			}
		})
	}
	const window = 400 * time.Millisecond
	watch := watchStalls(t)
	const stalledMax = 300 * time.Millisecond // of an election timeout of a second
	var gaps, waits, idle, closing []time.Duration
	for range *rollsFlag {
		time.Sleep(time.Second)
		leader := -1
		for until := time.Now().Add(patience); leader < 0 && time.Now().Before(until); time.Sleep(time.Millisecond) {
			leader = slices.IndexFunc(r.seats, func(s *seat) bool { return s.node.Status().Role == "leader" })
		}
		if leader < 0 {
			t.Error("nobody leads")
			break
		}
		stalled := watch.sum()
		began := time.Now()
		gap, _ := r.stall(began.Add(-window), began)
		idle = append(idle, gap)
		s := r.seats[leader]
		if err := s.node.Close(); err != nil {
			t.Error(err)
		}
		closing = append(closing, time.Since(began))
		if !slices.ContainsFunc(r.seats, func(o *seat) bool { return o != s && o.node.Status().Role == "leader" }) {
			if stalled = watch.sum() - stalled; stalled < stalledMax {
				t.Errorf("member %d has closed and nobody leads: it did not hand over", leader)
			} else {
				t.Logf("member %d has closed and nobody leads; the machine stood still for %v", leader, stalled)
			}
		}
		time.Sleep(time.Until(began.Add(window)))
		gap, wait := r.stall(began, began.Add(window))
		gaps, waits = append(gaps, gap), append(waits, wait)
		n, machine := open(leader)
		s.mu.Lock()
		s.node, s.machine = n, machine
		s.mu.Unlock()
	}
	r.ended.Store(true)
	callers.Wait()
	for _, s := range r.seats {
		if err := s.node.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(gaps) == 0 {
		return
	}
	for _, all := range [][]time.Duration{gaps, waits, idle, closing} {
		slices.Sort(all)
	}
	t.Logf("%d writes, %d given again, %d restarts; longest time without an acknowledgement, median %v, worst %v (before each: %v, %v); longest write %v, %v; Close %v, %v",
		len(r.writes), r.refused, len(gaps), gaps[len(gaps)/2], gaps[len(gaps)-1], idle[len(idle)/2], idle[len(idle)-1],
		waits[len(waits)/2], waits[len(waits)-1], closing[len(closing)/2], closing[len(closing)-1])
	if r.unknown > 0 && watch.sum() < stalledMax {
		t.Errorf("%d writes ended in doubt", r.unknown)
	}
}
