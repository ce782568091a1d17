package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

const (
	benchTick  = time.Second           // how often what was seen is collected, and shown
	benchPause = 10 * time.Millisecond // of a client after an error: who refuses at once is not to be called in a busy loop

	benchErrorsMax     = 20 // kinds
	benchErrorBytesMax = 200
)

// benchLoad is a load that runs. What its clients see is collected once a tick.
type benchLoad struct {
	b       *bench
	names   []string // of operations
	clients []*benchClient
	value   []byte
	inOrder bool // each key once, instead of at random

	claimed    atomic.Int64 // requests that were begun
	start, end time.Time    // end is zero without a limit

	// Owned by run.
	operations []benchSeen // of each name, so far
	stopped    time.Time
}

// benchSeen is what was seen of one operation.
type benchSeen struct {
	latencies latencies
	errors    map[string]int64 // how often, by kind
	failed    int64
}

// benchClient sends one request after the other.
type benchClient struct {
	kv pb.KVClient

	mu   sync.Mutex
	seen []benchSample // guarded by mu; since the last tick
}

// benchSample is one request.
type benchSample struct {
	operation int
	took      time.Duration
	err       error
}

func newBenchLoad(b *bench, conns []*grpc.ClientConn) *benchLoad {
	l := &benchLoad{b: b, names: benchWorkloads[b.workload], value: make([]byte, b.valueSize)}
	for i := range l.value {
		l.value[i] = "abcdefghijklmnopqrstuvwxyz"[rand.IntN(26)]
	}
	l.operations = make([]benchSeen, len(l.names))
	for i := range b.clients {
		l.clients = append(l.clients, &benchClient{kv: pb.NewKVClient(conns[i%len(conns)])})
	}
	return l
}

// run runs the load until it is at its end, or ctx is. show is given what was seen since the last tick.
func (l *benchLoad) run(ctx context.Context, show *benchProgress) {
	l.start = time.Now()
	if l.b.duration > 0 {
		l.end = l.start.Add(l.b.duration)
	}
	var all sync.WaitGroup
	for _, c := range l.clients {
		all.Go(func() { c.run(ctx, l) })
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	tick := time.NewTicker(benchTick)
	defer tick.Stop()
	for since, running := l.start, true; running; {
		select {
		case <-tick.C:
		case <-done:
			running = false
		}
		now := time.Now()
		recent := l.collect()
		if running {
			show.tick(now.Sub(l.start), now.Sub(since), recent)
		}
		since = now
	}
	l.stopped = time.Now()
	show.end()
}

// collect takes what the clients have seen since it was last called, and returns that.
func (l *benchLoad) collect() (recent benchSeen) {
	for _, c := range l.clients {
		for _, s := range c.take() {
			l.operations[s.operation].add(s)
			recent.add(s)
		}
	}
	return recent
}

func (s *benchSeen) add(sample benchSample) {
	if sample.err == nil {
		s.latencies.add(sample.took)
		return
	}
	if s.errors == nil {
		s.errors = map[string]int64{}
	}
	s.failed++
	kind := errorKind(sample.err)
	if _, known := s.errors[kind]; !known && len(s.errors) >= benchErrorsMax {
		kind = "others"
	}
	s.errors[kind]++
}

// errorKind is the error without what differs from one to the next, as far as that is known.
func errorKind(err error) string {
	s := status.Convert(err)
	kind := fmt.Sprintf("%s: %s", s.Code(), s.Message())
	return kind[:min(len(kind), benchErrorBytesMax)]
}

// failures are the errors, with how often they came.
func (l *benchLoad) failures() (all []string) {
	for _, s := range l.operations {
		for kind, n := range s.errors {
			all = append(all, fmt.Sprintf("%s (%d times)", kind, n))
		}
	}
	slices.Sort(all)
	return all
}

func (c *benchClient) take() []benchSample {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

func (c *benchClient) run(ctx context.Context, l *benchLoad) {
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	for {
		n, due, ok := l.next(ctx)
		if !ok {
			return
		}
		s := benchSample{operation: l.choose(random)}
		key := n
		if !l.inOrder {
			key = random.Int64N(int64(l.b.keys))
		}
		callCtx, cancel := context.WithTimeout(ctx, l.b.client.timeout)
		s.err = l.do(callCtx, c.kv, l.names[s.operation], fmt.Appendf(nil, "%s%010d", l.b.prefix, key))
		cancel()
		s.took = time.Since(due)
		if s.err != nil && ctx.Err() != nil {
			return // ended by Ctrl-C, not by the cluster
		}
		c.mu.Lock()
		c.seen = append(c.seen, s)
		c.mu.Unlock()
		if s.err != nil && !pause(ctx, benchPause) {
			return
		}
	}
}

// next claims the n-th request. It waits until that is due, if there is a rate.
func (l *benchLoad) next(ctx context.Context) (n int64, due time.Time, ok bool) {
	n = l.claimed.Add(1) - 1
	if ctx.Err() != nil || l.b.total > 0 && n >= l.b.total {
		return n, due, false
	}
	now := time.Now()
	due = now
	if l.b.rate > 0 {
		due = l.start.Add(time.Duration(float64(n) / l.b.rate * float64(time.Second)))
	}
	if !l.end.IsZero() && (now.After(l.end) || due.After(l.end)) {
		return n, due, false
	}
	return n, due, pause(ctx, due.Sub(now))
}

// pause reports whether so much time has passed without ctx ending.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// choose returns the operation of a request.
func (l *benchLoad) choose(random *rand.Rand) int {
	if len(l.names) == 2 && random.Float64() < l.b.reads {
		return 1 // get
	}
	return 0
}

func (l *benchLoad) do(ctx context.Context, kv pb.KVClient, operation string, key []byte) (err error) {
	put := &pb.PutRequest{Key: key, Value: l.value}
	get := &pb.RangeRequest{Key: key, Serializable: l.b.consistency == "s"}
	switch operation {
	case "put":
		_, err = kv.Put(ctx, put)
	case "get":
		_, err = kv.Range(ctx, get)
	case "txn":
		_, err = kv.Txn(ctx, &pb.TxnRequest{
			Compare: []*pb.Compare{{ // always holds: what is measured is a transaction that does something
				Key: key, Target: pb.Compare_VERSION, Result: pb.Compare_GREATER, TargetUnion: &pb.Compare_Version{Version: -1},
			}},
			Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: put}}, {Request: &pb.RequestOp_RequestRange{RequestRange: get}}},
		})
	}
	return err
}
