package balsa_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/internal/loopback"
)

// adder is a counter whose sum may be read from other goroutines.
type adder struct {
	mu   sync.Mutex
	sum  int
	seen []int
}

func (a *adder) Apply(batch iter.Seq[balsa.Entry[int, int]]) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for e := range batch {
		a.sum += e.Command
		a.seen = append(a.seen, e.Command)
		e.Reply(a.sum)
	}
	return nil
}

func (a *adder) Snapshot() (func(io.Writer) error, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	sum := a.sum
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(sum) }, nil
}

func (a *adder) Restore(r io.Reader) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return json.NewDecoder(r).Decode(&a.sum)
}

func (a *adder) value() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sum
}

// cluster is members in this process, over loopback and folders of the test.
type cluster struct {
	t        *testing.T
	dir      string
	members  []balsa.Member
	nodes    []*balsa.Node[int, int]
	machines []*adder
	drift    float64 // Config.ClockDrift
}

func newCluster(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), nodes: make([]*balsa.Node[int, int], n), machines: make([]*adder, n)}
	for i := range n {
		c.members = append(c.members, balsa.Member{ID: balsa.NodeID(i + 1), Address: loopback.Address(t)})
	}
	for i := range n {
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range n {
			c.stop(i)
		}
	})
	return c
}

func (c *cluster) config(i int) balsa.Config {
	return balsa.Config{
		Dir: filepath.Join(c.dir, fmt.Sprint(i)), ID: balsa.NodeID(i + 1), ClusterID: 7, Members: c.members,
		HeartbeatInterval: 20 * time.Millisecond, ElectionTimeout: 200 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler), ClockDrift: c.drift,
	}
}

func (c *cluster) start(i int) {
	c.t.Helper()
	c.machines[i] = &adder{}
	n, err := balsa.Open(c.t.Context(), c.config(i), c.machines[i])
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i] = n
}

func (c *cluster) stop(i int) {
	if c.nodes[i] == nil {
		return
	}
	if err := c.nodes[i].Close(); err != nil {
		c.t.Errorf("close member %d: %v", i, err)
	}
	c.nodes[i] = nil
}

func (c *cluster) add(i, n int) int {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	r, err := c.nodes[i].Propose(ctx, n)
	if err != nil {
		c.t.Fatalf("propose at member %d: %v", i, err)
	}
	return r.Value
}

func (c *cluster) read(i int) int {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if _, err := c.nodes[i].Read(ctx, balsa.Linearizable); err != nil {
		c.t.Fatalf("read at member %d: %v", i, err)
	}
	return c.machines[i].value()
}

// leader returns the member that leads, of several that say so the one of the latest term. On a machine that is slow it may do so no more when it is asked.
func (c *cluster) leader() int {
	c.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		c.add(0, 0)
		leader, term := -1, balsa.Term(0)
		for i, n := range c.nodes {
			if n == nil {
				continue
			}
			if s := n.Status(); s.Role == "leader" && s.Term > term {
				leader, term = i, s.Term
			}
		}
		if leader >= 0 {
			return leader
		}
	}
	c.t.Fatal("commands are applied and nobody leads")
	return 0
}

// awaitNoLeader waits until a member knows that nobody leads, as far as it is heard.
func (c *cluster) awaitNoLeader(i int) {
	c.t.Helper()
	for until := time.Now().Add(patience); c.nodes[i].Status().Leader != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			c.t.Fatalf("member %d has a leader: %+v", i, c.nodes[i].Status())
		}
	}
}

func TestEveryMemberProposesAndReads(t *testing.T) {
	c := newCluster(t, 3)
	sum := 0
	for k := range 30 {
		sum += k
		if got := c.add(k%3, k); got != sum {
			t.Fatalf("command %d: sum %d, want %d", k, got, sum)
		}
		if got := c.read((k + 1) % 3); got != sum {
			t.Fatalf("read after command %d: %d, want %d", k, got, sum)
		}
	}
}

func TestAcknowledgedCommandsSurviveARestartOfAll(t *testing.T) {
	c := newCluster(t, 3)
	for k := 1; k <= 50; k++ {
		c.add(k%3, k)
	}
	for i := range c.nodes {
		c.stop(i)
	}
	for i := range c.nodes {
		c.start(i)
	}
	for i := range c.nodes {
		if got := c.read(i); got != 50*51/2 {
			t.Fatalf("member %d reads %d, want %d", i, got, 50*51/2)
		}
	}
}

func TestWritesResumeWithoutTheLeader(t *testing.T) {
	c := newCluster(t, 3)
	c.add(1, 5)
	leader := c.leader()
	c.stop(leader)
	i := (leader + 1) % 3
	start := time.Now()
	if got := c.add(i, 6); got != 11 {
		t.Fatalf("sum %d, want 11", got)
	}
	t.Logf("writes resumed after %v", time.Since(start))
	c.start(leader)
	if got := c.read(leader); got != 11 {
		t.Fatalf("the restarted member reads %d, want 11", got)
	}
}

func TestALeaderThatIsClosedHandsOver(t *testing.T) {
	c := newCluster(t, 3)
	for try := 1; ; try++ {
		leader := c.leader()
		other := (leader + 1) % 3
		term := c.nodes[leader].Status().Term
		c.stop(leader)
		c.add(other, 1)
		s := c.nodes[other].Status()
		if s.Term == term+1 {
			return
		}
		if try == 5 { // once or twice a machine that stands still may cause elections of its own
			t.Fatalf("the lead went from term %d to %d: it was not handed over", term, s.Term)
		}
		c.start(leader)
	}
}

func TestConcurrentProposalsAreAllAppliedOnce(t *testing.T) {
	c := newCluster(t, 3)
	const workers, each = 32, 50
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				c.add(w%3, 1)
			}
		})
	}
	wg.Wait()
	for i := range c.nodes {
		if got := c.read(i); got != workers*each {
			t.Errorf("member %d: %d, want %d", i, got, workers*each)
		}
	}
}

func TestProposeSaysThatThereIsNoLeader(t *testing.T) {
	c := newCluster(t, 3)
	c.add(0, 1)
	c.stop(1)
	c.stop(2)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	_, err := c.nodes[0].Propose(ctx, 1)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, balsa.ErrUnknownOutcome) && !errors.Is(err, balsa.ErrNotCommitted) {
		t.Fatalf("propose without a majority: %v", err)
	}
	c.awaitNoLeader(0)
	ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err = c.nodes[0].Propose(ctx, 1); !errors.Is(err, balsa.ErrNotCommitted) || !errors.Is(err, balsa.ErrNoLeader) {
		t.Fatalf("propose while no leader is known: %v", err)
	}
	if _, err := c.nodes[0].Read(ctx, balsa.Linearizable); !errors.Is(err, balsa.ErrNoLeader) {
		t.Fatalf("read while no leader is known: %v", err)
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	c := newCluster(t, 1)
	for name, change := range map[string]func(*balsa.Config){
		"in use":             func(*balsa.Config) {},
		"Dir is empty":       func(f *balsa.Config) { f.Dir = "" },
		"ID is zero":         func(f *balsa.Config) { f.ID = 0 },
		"does not have this": func(f *balsa.Config) { f.ID = 9 },
		"less than three":    func(f *balsa.Config) { f.ElectionTimeout = f.HeartbeatInterval },
		"shares one with":    func(f *balsa.Config) { f.Members = append(f.Members, f.Members[0]) },
		"CommandBytesMax":    func(f *balsa.Config) { f.CommandBytesMax = 1 << 40 },
		"address already in": func(f *balsa.Config) { f.Dir += "-other" },
	} {
		config := c.config(0)
		config.Members = append([]balsa.Member(nil), config.Members...)
		change(&config)
		n, err := balsa.Open(t.Context(), config, &adder{})
		if err == nil {
			n.Close()
			t.Errorf("%s: opened", name)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.stop(0)
	config := c.config(0)
	config.ClusterID++
	if _, err := balsa.Open(t.Context(), config, &adder{}); err == nil || !strings.Contains(err.Error(), "belongs to cluster") {
		t.Errorf("a folder of another cluster: %v", err)
	}
}

func TestCommandTooLargeIsRefused(t *testing.T) {
	dir := t.TempDir()
	n, err := balsa.Open(t.Context(), balsa.Config{
		Dir: dir, ID: 1, Members: []balsa.Member{{ID: 1, Address: "127.0.0.1:0"}}, CommandBytesMax: 100,
		Logger: slog.New(slog.DiscardHandler),
	}, discard{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if _, err := n.Propose(t.Context(), make([]byte, 101)); !errors.Is(err, balsa.ErrTooLarge) || !errors.Is(err, balsa.ErrNotCommitted) {
		t.Errorf("101 bytes: %v", err)
	}
	if _, err := n.Propose(t.Context(), make([]byte, 100)); err != nil {
		t.Errorf("100 bytes: %v", err)
	}
}

type discard struct{}

func (discard) Apply(batch iter.Seq[balsa.Entry[[]byte, struct{}]]) error {
	for range batch {
	}
	return nil
}

func (discard) Snapshot() (func(io.Writer) error, error) {
	return func(io.Writer) error { return nil }, nil
}

func (discard) Restore(io.Reader) error { return nil }

type broken struct{ adder }

func (*broken) Apply(batch iter.Seq[balsa.Entry[int, int]]) error { return errors.New("out of luck") }

func TestAStateMachineThatFailsStopsItsMember(t *testing.T) {
	n, err := balsa.Open(t.Context(), balsa.Config{
		Dir: t.TempDir(), ID: 1, Members: []balsa.Member{{ID: 1, Address: "127.0.0.1:0"}}, Logger: slog.New(slog.DiscardHandler),
	}, &broken{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if _, err := n.Propose(t.Context(), 1); !errors.Is(err, balsa.ErrUnknownOutcome) {
		t.Errorf("propose: %v", err)
	}
	<-n.Done()
	if err := n.Err(); !errors.Is(err, balsa.ErrFailed) || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("the node stopped because %v", err)
	}
	if _, err := n.Propose(t.Context(), 1); !errors.Is(err, balsa.ErrFailed) || !errors.Is(err, balsa.ErrNotCommitted) {
		t.Errorf("propose afterwards: %v", err)
	}
	if _, err := n.Read(t.Context(), balsa.Linearizable); !errors.Is(err, balsa.ErrFailed) {
		t.Errorf("read afterwards: %v", err)
	}
}

// settings is a machine of many keys, so that its snapshot takes several chunks and its log grows beyond it.
type settings struct {
	mu sync.Mutex
	m  map[int][]byte
}

func (s *settings) Apply(batch iter.Seq[balsa.Entry[[]byte, int]]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := range batch {
		s.m[int(e.Command[0])] = e.Command
		e.Reply(len(s.m))
	}
	return nil
}

func (s *settings) Snapshot() (func(io.Writer) error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pinned := maps.Clone(s.m)
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(pinned) }, nil
}

func (s *settings) Restore(r io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.NewDecoder(r).Decode(&s.m)
}

func TestSnapshotsTakeTheLogsPlace(t *testing.T) {
	base := newCluster(t, 3)
	for i := range 3 {
		base.stop(i)
	}
	nodes := make([]*balsa.Node[[]byte, int], 3)
	machines := make([]*settings, 3)
	start := func(i int) {
		config := base.config(i)
		config.Dir += "-settings"
		config.SnapshotLogBytes, config.LogTailBytes = 512<<10, 64<<10
		machines[i] = &settings{m: map[int][]byte{}}
		var err error
		if nodes[i], err = balsa.Open(t.Context(), config, machines[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		start(i)
		defer func() { nodes[i].Close() }()
	}
	put := func(i, key, n int) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		command := bytes.Repeat([]byte{byte(key)}, 8<<10)
		binary.LittleEndian.PutUint32(command[1:], uint32(n))
		if _, err := nodes[i].Propose(ctx, command); err != nil {
			t.Fatalf("put %d at member %d: %v", n, i, err)
		}
	}
	const keys, rounds = 100, 8
	put(0, 0, 0)
	nodes[2].Close() // it will have to come back by a snapshot
	for n := range keys * rounds {
		put(n%2, n%keys, n)
	}
	for i := range 2 {
		if s := nodes[i].Status(); s.FirstIndex == 1 {
			t.Errorf("member %d still has its whole log, %d..%d", i, s.FirstIndex, s.LastIndex)
		}
	}
	start(2)
	for i := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := nodes[i].Read(ctx, balsa.Linearizable); err != nil {
			t.Fatalf("read at member %d: %v", i, err)
		}
	}
	if s := nodes[2].Status(); s.FirstIndex == 1 {
		t.Errorf("the member that was away has the whole log: it was not brought back by a snapshot")
	}
	// A restart of all continues from the snapshots.
	for i := range 3 {
		nodes[i].Close()
		start(i)
	}
	for i := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := nodes[i].Read(ctx, balsa.Linearizable); err != nil {
			t.Fatalf("read at member %d after a restart: %v", i, err)
		}
		machines[i].mu.Lock()
		for key := range keys {
			if got := binary.LittleEndian.Uint32(machines[i].m[key][1:]); got != uint32(key+keys*(rounds-1)) {
				t.Errorf("member %d has %d at key %d, want %d", i, got, key, key+keys*(rounds-1))
			}
		}
		machines[i].mu.Unlock()
	}
}

func TestTheLeadIsHandedOver(t *testing.T) {
	c := newCluster(t, 3)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var added atomic.Int64
	for w := range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					c.add(w%3, 1)
					added.Add(1)
				}
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for moved := 0; moved < 5; {
		leader := c.leader()
		to := (leader + 1) % 3
		if err := c.nodes[leader].Transfer(ctx, balsa.NodeID(to+1)); err != nil {
			if ctx.Err() != nil {
				t.Error(err)
				break
			}
			t.Logf("not handed over: %v", err) // it has lost the lead, or the other is too slow: the machine stands still
			continue
		}
		moved++
		term := c.nodes[to].Status().Term
		if err := c.nodes[leader].Transfer(ctx, 0); err == nil && c.nodes[leader].Status().Term == term {
			t.Error("a member that does not lead handed over")
		}
	}
	close(stop)
	wg.Wait()
	for i := range c.nodes {
		if got := c.read(i); got != int(added.Load()) {
			t.Errorf("member %d: %d, want %d", i, got, added.Load())
		}
	}
}
