package balsa_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/internal/loopback"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// blobs are members whose machines keep nothing, so that what grows is theirs.
type blobs struct {
	t     *testing.T
	nodes []*balsa.Node[[]byte, struct{}]
}

func newBlobs(t *testing.T, n int, adjust func(c *balsa.Config)) *blobs {
	t.Helper()
	b := &blobs{t: t}
	var members []balsa.Member
	for i := range n {
		members = append(members, balsa.Member{ID: balsa.NodeID(i + 1), Address: loopback.Address(t)})
	}
	dir := t.TempDir()
	for i := range n {
		config := balsa.Config{
			Dir: filepath.Join(dir, fmt.Sprint(i)), ID: balsa.NodeID(i + 1), Members: members, Logger: slog.New(slog.DiscardHandler),
			HeartbeatInterval: 20 * time.Millisecond, ElectionTimeout: 500 * time.Millisecond,
		}
		adjust(&config)
		node, err := balsa.Open(t.Context(), config, discard{})
		if err != nil {
			t.Fatal(err)
		}
		b.nodes = append(b.nodes, node)
		t.Cleanup(func() { node.Close() })
	}
	return b
}

// leader waits for one, and until all members know it.
func (b *blobs) leader() int {
	b.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		leader := b.nodes[0].Status().Leader
		for _, n := range b.nodes {
			if s := n.Status(); s.Leader != leader {
				leader = 0
			}
		}
		if leader != 0 {
			return int(leader) - 1
		}
	}
	b.t.Fatal("nobody leads")
	return 0
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools kept over the first one
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestAMemberThatIsDownCostsNoMemory: what it lacks is on the others' disks.
func TestAMemberThatIsDownCostsNoMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 200 MB")
	}
	b := newBlobs(t, 3, func(c *balsa.Config) { c.SnapshotLogBytes = 1 << 40 }) // or it would be forgotten before it can fill the memory
	leader := b.leader()
	n := b.nodes[leader]
	if err := b.nodes[(leader+1)%3].Close(); err != nil {
		t.Fatal(err)
	}
	write := func(megabytes int) {
		var writers sync.WaitGroup
		for range 8 {
			writers.Go(func() {
				for range 2 * megabytes / 8 {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					_, err := n.Propose(ctx, make([]byte, 512<<10))
					cancel()
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		writers.Wait()
	}
	write(96) // more than the caches of both members that are up
	before := heap()
	write(120)
	after := heap()
	t.Logf("heap after 96 MiB: %d MiB, after 216: %d", before>>20, after>>20)
	// A cache is 16 MiB, and with what has just left it up to twice that.
	if grown := after - before; grown > 80<<20 || after > 200<<20 {
		t.Errorf("120 MiB more written while a member is down take %d MiB of memory, %d in all", grown>>20, after>>20)
	}
}

// TestTheLimitIsInTheError: a command over the limit is refused at once, on any member, by any call, whether or not there is a leader.
func TestTheLimitIsInTheError(t *testing.T) {
	b := newBlobs(t, 3, func(c *balsa.Config) { c.CommandBytesMax = 1000 })
	refused := func(i int, propose func(context.Context, []byte) (balsa.Result[struct{}], error)) {
		t.Helper()
		_, err := propose(t.Context(), make([]byte, 1001))
		if !errors.Is(err, balsa.ErrTooLarge) || !errors.Is(err, balsa.ErrNotCommitted) || !strings.Contains(fmt.Sprint(err), "1001 bytes, the limit is 1000") {
			t.Errorf("member %d: %v", i, err)
		}
	}
	refused(0, b.nodes[0].Propose) // perhaps before anybody leads
	b.leader()
	for i, n := range b.nodes {
		refused(i, n.Propose)
		s, err := n.NewSession(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		refused(i, s.Propose)
		if r, err := s.Propose(t.Context(), make([]byte, 1000)); err != nil || r.Index == 0 {
			t.Errorf("member %d, 1000 bytes: %+v, %v", i, r, err)
		}
	}
}

// gate holds up what passes it while it is shut.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil while it is open
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		<-shut
	}
}

// stuck is a disk whose writes wait at the gate.
func (g *gate) stuck(op memfs.Op, _ string) error {
	if op == memfs.OpWriteAt || op == memfs.OpSync {
		g.pass()
	}
	return nil
}

// flood is callers who propose without a pause and without a deadline.
type flood struct {
	t                *testing.T
	stalls           *stalls
	callers          sync.WaitGroup
	stop             atomic.Bool
	applied, refused atomic.Int64
	slowest          atomic.Int64 // refusal, in nanoseconds
}

func (f *flood) begin(n *balsa.Node[[]byte, struct{}], callers, size int) {
	for range callers {
		f.callers.Go(func() {
			for !f.stop.Load() && f.propose(n, size) {
			}
		})
	}
}

func (f *flood) propose(n *balsa.Node[[]byte, struct{}], size int) bool {
	begun, stalled := time.Now(), f.stalls.sum()
	_, err := n.Propose(context.Background(), make([]byte, size))
	switch {
	case err == nil:
		f.applied.Add(1)
	case errors.Is(err, balsa.ErrOverloaded) && errors.Is(err, balsa.ErrNotCommitted):
		f.refused.Add(1)
		for took := int64(time.Since(begun) - (f.stalls.sum() - stalled)); ; {
			if was := f.slowest.Load(); took <= was || f.slowest.CompareAndSwap(was, took) {
				break
			}
		}
		time.Sleep(time.Millisecond)
	default:
		f.t.Errorf("a proposal ends with %v", err)
		return false
	}
	return true
}

// await waits until a count has grown by n.
func (f *flood) await(what string, count *atomic.Int64, n int64) {
	f.t.Helper()
	least := count.Load() + n
	for until := time.Now().Add(patience); count.Load() < least; time.Sleep(time.Millisecond) {
		if time.Now().After(until) || f.t.Failed() {
			f.t.Fatalf("%s: in vain: %d applied, %d refused", what, f.applied.Load(), f.refused.Load())
		}
	}
}

// TestOverloadIsRefusedEarly: while the disks are stuck, what is over the limit is refused, on every member, and not by anybody's deadline;
// what was taken before has its outcome when the disks go on.
func TestOverloadIsRefusedEarly(t *testing.T) {
	for _, members := range []int{1, 3} {
		disks := &gate{}
		b := newBlobs(t, members, func(c *balsa.Config) {
			disk := memfs.New()
			disk.SetHook(disks.stuck)
			c.FS, c.PendingBytesMax = disk, 100_000
		})
		t.Cleanup(disks.open) // before the members are closed
		b.leader()
		f := &flood{t: t, stalls: watchStalls(t)}
		for _, n := range b.nodes {
			f.begin(n, 64, 4000)
		}
		f.await("a cluster that is well", &f.applied, 300)
		disks.close()
		f.await("stuck disks", &f.refused, 2000)
		applied := f.applied.Load()
		f.await("stuck disks", &f.refused, 2000)
		for i, n := range b.nodes {
			// Between a refusal by the leader and the callers' next tries nothing waits, for a moment.
			s := n.Status()
			for until := time.Now().Add(patience); s.Pending == 0 && time.Now().Before(until); s = n.Status() {
				time.Sleep(time.Millisecond)
			}
			if s.Pending == 0 || s.Pending > 24 {
				t.Errorf("%d of 4,000 bytes wait at member %d, and the limit is 100,000", s.Pending, i)
			}
		}
		// Those that had been on their way when the disks got stuck may have been counted late, one of each caller.
		if now := f.applied.Load(); now > applied+64*int64(members) {
			t.Errorf("%d commands are applied while no disk writes", now-applied)
		}
		disks.open()
		f.await("disks that go on", &f.applied, 300)
		f.stop.Store(true)
		f.callers.Wait()
		if slowest := time.Duration(f.slowest.Load()); slowest > 2*time.Second {
			t.Errorf("%d members: a refusal took %v", members, slowest)
		}
		for _, n := range b.nodes {
			n.Close()
		}
	}
	expectNoGoroutines(t)
}

// TestFloodIsRefusedEarly: more callers than there is room for, and disks that are well.
func TestFloodIsRefusedEarly(t *testing.T) {
	b := newBlobs(t, 3, func(c *balsa.Config) { c.FS, c.PendingBytesMax = memfs.New(), 50_000 })
	b.leader()
	f := &flood{t: t, stalls: watchStalls(t)}
	for _, n := range b.nodes {
		f.begin(n, 200, 1000)
	}
	f.await("a flood", &f.applied, 2000)
	f.await("a flood", &f.refused, 1000)
	f.stop.Store(true)
	f.callers.Wait()
	if slowest := time.Duration(f.slowest.Load()); slowest > 2*time.Second {
		t.Errorf("a refusal took %v", slowest)
	}
}
