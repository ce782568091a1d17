package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var rollsFlag = flag.Int("rolls", 3, "how many leaders TestProcessRollingRestart restarts")

// roll is clients who write without a pause, and try again on another member when theirs does not take the call.
type roll struct {
	t       *testing.T
	c       *cluster
	stopped atomic.Bool

	mu    sync.Mutex
	acked []time.Time
	again int
}

func (r *roll) put(key string, member int) {
	for try := member; !r.t.Failed(); try++ {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := pb.NewKVClient(r.c.conns[try%3]).Put(ctx, &pb.PutRequest{Key: []byte(key), Value: []byte(key)})
		cancel()
		r.mu.Lock()
		switch {
		case err == nil:
			r.acked = append(r.acked, time.Now())
		case status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "connection error:"):
			r.again++ // there is no connection: it was not sent
		default:
			r.t.Errorf("a write on %s fails: %v", r.c.processes[try%3].name, err)
		}
		r.mu.Unlock()
		if err == nil {
			return
		}
	}
}

// gap is the longest time within a window in which no write was acknowledged.
func (r *roll) gap(from, to time.Time) (longest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := from
	for _, at := range r.acked {
		if at.After(from) && at.Before(to) {
			longest, last = max(longest, at.Sub(last)), at
		}
	}
	return max(longest, to.Sub(last))
}

// TestProcessRollingRestart: SIGTERM ends the leader while clients write, one leader after the other, and each is started again. No call
// fails that had reached a member. How long writes stand still is told, and not checked: the machine may be busy.
func TestProcessRollingRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	c := startCluster(t)
	r := &roll{t: t, c: c}
	var clients sync.WaitGroup
	for w := range 12 {
		clients.Go(func() {
			for i := 0; !r.stopped.Load() && !t.Failed(); i++ {
				r.put(fmt.Sprintf("%d/%d", w, i%100), w)
			}
		})
	}
	defer clients.Wait()
	defer r.stopped.Store(true)
	const window = 500 * time.Millisecond
	var gaps, idle, ends []time.Duration
	for range *rollsFlag {
		time.Sleep(time.Second)
		p := c.processes[c.leader(t)]
		began := time.Now()
		idle = append(idle, r.gap(began.Add(-window), began))
		p.cmd.Process.Signal(syscall.SIGTERM)
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", p.name, err, p.log)
		}
		if got := p.log.String(); strings.Contains(got, "the lead was not handed over") {
			t.Errorf("%s:\n%s", p.name, got)
		}
		ends = append(ends, time.Since(began))
		time.Sleep(time.Until(began.Add(window)))
		gaps = append(gaps, r.gap(began, began.Add(window)))
		p.start(t)
		p.awaitReady(t)
	}
	r.stopped.Store(true)
	clients.Wait() // what they have counted is theirs until then
	for _, all := range [][]time.Duration{gaps, idle, ends} {
		slices.Sort(all)
	}
	t.Logf("%d writes, %d of them given to another member, %d restarts; longest time without an acknowledgement, median %v, worst %v (before each: %v, %v); it took %v, %v to stop",
		len(r.acked), r.again, len(gaps), gaps[len(gaps)/2], gaps[len(gaps)-1], idle[len(idle)/2], idle[len(idle)-1], ends[len(ends)/2], ends[len(ends)-1])
}
