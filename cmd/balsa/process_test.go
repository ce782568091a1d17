package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

// resumeMax is how long a cluster that has lost its leader may take no writes. A machine that stands still makes it longer, but not so often.
const (
	resumeMax   = 2 * time.Second
	resumeTries = 4
)

// process is one "balsa server".
type process struct {
	name, client, peer string
	args               []string
	binary             string
	cmd                *exec.Cmd
	log                *syncBuffer
}

// start starts the process. Its output goes to a log of its own life.
func (p *process) start(t *testing.T) {
	t.Helper()
	p.log = &syncBuffer{}
	p.cmd = exec.Command(p.binary, p.args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (p *process) awaitReady(t *testing.T) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("%s:\n%s", p.name, p.log)
		}
	}()
	await(t, p.name+" to be ready", func() bool { return strings.Contains(p.log.String(), `"msg":"ready to serve client requests"`) })
}

// kill ends the process as a power cut of its own would: it gets no chance to finish anything.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// binary builds the program, once for all tests.
func binary(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildDir string // removed by TestMain

var built = sync.OnceValues(func() (path string, err error) {
	if buildDir, err = os.MkdirTemp("", "balsa-test"); err != nil {
		return "", err
	}
	path = filepath.Join(buildDir, "balsa")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

// cluster is processes that are members, of which some may be added and removed while others write.
type cluster struct {
	processes []*process

	mu    sync.Mutex
	conns []*grpc.ClientConn // of each process
}

// conn returns a connection to one of the processes.
func (c *cluster) conn(i int) *grpc.ClientConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conns[i%len(c.conns)]
}

// connect makes p one of the cluster's processes.
func (c *cluster) connect(t *testing.T, p *process) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+p.client, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: patience, Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 100 * time.Millisecond}}))
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.processes, c.conns = append(c.processes, p), append(c.conns, conn)
}

func startCluster(t *testing.T, more ...string) *cluster {
	t.Helper()
	binary, port, dir := binary(t), freePorts(t, 3), t.TempDir()
	c := &cluster{}
	var initial []string
	var all []*process
	for i := range 3 {
		p := &process{
			name: fmt.Sprintf("m%d", i), binary: binary, log: &syncBuffer{},
			client: fmt.Sprintf("127.0.0.1:%d", port+devPortStep*i), peer: fmt.Sprintf("http://127.0.0.1:%d", port+devPortStep*i+1),
		}
		initial = append(initial, p.name+"="+p.peer)
		all = append(all, p)
	}
	for _, p := range all {
		p.args = []string{
			"server", "--name", p.name, "--data-dir", filepath.Join(dir, p.name),
			"--listen-client-urls", "http://" + p.client, "--advertise-client-urls", "http://" + p.client,
			"--listen-peer-urls", p.peer, "--initial-advertise-peer-urls", p.peer, "--initial-cluster", strings.Join(initial, ","),
			"--initial-cluster-state", "new", "--initial-cluster-token", "process-test",
		}
		p.args = append(p.args, more...)
		p.start(t)
		c.connect(t, p)
	}
	t.Cleanup(c.close)
	c.awaitReady(t)
	return c
}

func (c *cluster) close() {
	for i, p := range c.processes {
		c.conns[i].Close()
		p.kill()
	}
}

func (c *cluster) awaitReady(t *testing.T) {
	t.Helper()
	for _, p := range c.processes {
		p.awaitReady(t)
	}
}

// leader returns the number of the leader, which all members must agree on.
func (c *cluster) leader(t *testing.T) (leader int) {
	t.Helper()
	await(t, "members to agree on a leader", func() bool {
		leaders := map[uint64]int{}
		for i, conn := range c.conns {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			s, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
			cancel()
			if err != nil || s.Leader == 0 {
				return false
			}
			leaders[s.Leader]++
			if s.Leader == s.Header.MemberId {
				leader = i
			}
		}
		return len(leaders) == 1
	})
	return leader
}

// load writes keys, each once, and remembers what was acknowledged.
type load struct {
	cluster *cluster
	stop    context.CancelFunc
	wait    sync.WaitGroup

	mu    sync.Mutex
	acked map[string]string
	// first is when the first write that was begun after the last mark was acknowledged.
	mark, first time.Time
	failed      map[string]int // by error
}

// startLoad starts writers that each wait for their answers, and one that begins a write every 10 ms whatever becomes
// of those before.
func startLoad(c *cluster, writers int) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{cluster: c, stop: stop, acked: map[string]string{}, failed: map[string]int{}}
	for w := range writers {
		l.wait.Add(1)
		go func() {
			defer l.wait.Done()
			for i := 0; ctx.Err() == nil; i++ {
				if !l.put(w+i, fmt.Sprintf("writer/%02d/%06d", w, i)) {
					time.Sleep(5 * time.Millisecond) // the machine has better to do than to try again where nobody listens
				}
			}
		}()
	}
	l.wait.Add(1)
	go func() {
		defer l.wait.Done()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			l.wait.Add(1)
			go func() {
				defer l.wait.Done()
				l.put(i, fmt.Sprintf("probe/%06d", i))
			}()
			<-tick.C
		}
	}()
	return l
}

// put writes one key at one member and never again: a write whose outcome is unknown may still happen. It reports whether it was acknowledged.
func (l *load) put(member int, key string) bool {
	value := key + strings.Repeat("-", 200)
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_, err := pb.NewKVClient(l.cluster.conn(member)).Put(ctx, &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed[err.Error()]++
		return false
	}
	l.acked[key] = value
	if l.first.IsZero() && begin.After(l.mark) {
		l.first = time.Now()
	}
	return true
}

// from marks now, and returns a function that waits until a write that was begun since is acknowledged and says
// how long after the mark that was.
func (l *load) from(t *testing.T) func() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mark, l.first = time.Now(), time.Time{}
	return func() (took time.Duration) {
		t.Helper()
		await(t, "writes to resume", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			took = l.first.Sub(l.mark)
			return !l.first.IsZero()
		})
		return took
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// awaitMore waits until n more writes are acknowledged.
func (l *load) awaitMore(t *testing.T, n int) {
	t.Helper()
	target := l.count() + n
	await(t, "writes", func() bool { return l.count() >= target })
}

// soon fails the test if writes do not resume within resumeMax, of several times that it is tried.
func (l *load) soon(t *testing.T, after string, try func() time.Duration) {
	t.Helper()
	for tries := 1; ; tries++ {
		took := try()
		t.Logf("writes resumed %v after %s", took, after)
		if took <= resumeMax {
			return
		}
		if tries == resumeTries {
			t.Fatalf("writes never resumed within %v after %s", resumeMax, after)
		}
	}
}

// TestProcesses kills the leader of a cluster under load, and then all of it, without warning.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	c := startCluster(t)
	l := startLoad(c, 16)
	defer l.wait.Wait()
	defer l.stop()
	l.awaitMore(t, 500)

	l.soon(t, "the leader was killed", func() time.Duration {
		victim := c.processes[c.leader(t)]
		victim.kill()
		resumed := l.from(t) // from here on, or a write that the old leader took counts
		took := resumed()
		l.awaitMore(t, 500)
		victim.start(t)
		victim.awaitReady(t)
		l.awaitMore(t, 500)
		return took
	})
	l.soon(t, "all were started again", func() time.Duration {
		for _, p := range c.processes {
			p.cmd.Process.Kill() // all of them before the first is waited for
		}
		for _, p := range c.processes {
			p.kill()
		}
		for _, p := range c.processes {
			p.start(t)
		}
		resumed := l.from(t)
		took := resumed()
		c.awaitReady(t)
		l.awaitMore(t, 500)
		return took
	})
	l.stop()
	l.wait.Wait()
	t.Logf("%d acknowledged; failed: %v", len(l.acked), l.failed)
	c.verify(t, l.acked)
}

// verify checks that every acknowledged write is there, and that every member has the same keys at the same revisions.
func (c *cluster) verify(t *testing.T, acked map[string]string) {
	t.Helper()
	all := func(member int, serializable bool) map[string]string {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r, err := pb.NewKVClient(c.conns[member]).Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Serializable: serializable},
			grpc.MaxCallRecvMsgSize(1<<30))
		if err != nil {
			t.Fatalf("%s: %v", c.processes[member].name, err)
		}
		got := map[string]string{}
		for _, kv := range r.Kvs {
			got[string(kv.Key)] = fmt.Sprintf("%d %d %d %s", kv.CreateRevision, kv.ModRevision, kv.Version, kv.Value)
		}
		return got
	}
	want := all(0, false)
	lost := 0
	for _, key := range slices.Sorted(maps.Keys(acked)) {
		got, ok := want[key]
		if !ok || !strings.HasSuffix(got, " "+acked[key]) {
			if lost++; lost <= 5 {
				t.Errorf("acknowledged and lost: %s, there is %q", key, got)
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", lost, len(acked))
	}
	for i := range c.conns {
		await(t, c.processes[i].name+" to have what the first has", func() bool { return maps.Equal(all(i, true), want) })
	}
}

// TestProcessStops: SIGTERM and SIGINT end a server at once and cleanly; a second one on its folder or port is refused.
func TestProcessStops(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	binary := binary(t)
	port, dir := freePorts(t, 1), filepath.Join(t.TempDir(), "data")
	urls := []string{fmt.Sprintf("http://127.0.0.1:%d", port), fmt.Sprintf("http://127.0.0.1:%d", port+1)}
	args := []string{"server", "--data-dir", dir, "--listen-client-urls", urls[0], "--listen-peer-urls", urls[1],
		"--initial-advertise-peer-urls", urls[1], "--initial-cluster", "default=" + urls[1]}
	signals := []os.Signal{syscall.SIGTERM, syscall.SIGINT}
	for tries := 1; len(signals) > 0; tries++ {
		signal := signals[0]
		p := &process{name: "default", binary: binary, args: args}
		p.start(t)
		p.awaitReady(t)
		second := exec.Command(binary, args...)
		var said bytes.Buffer
		second.Stderr = &said
		if err := second.Run(); second.ProcessState.ExitCode() != exitError || !strings.Contains(said.String(), "is taken by another process") {
			t.Errorf("a second server: %v %s", err, &said)
		}
		begin := time.Now()
		p.cmd.Process.Signal(signal)
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("%v: %v\n%s", signal, err, p.log)
		}
		if took := time.Since(begin); took <= 2*time.Second {
			signals, tries = signals[1:], 0
		} else if t.Logf("%v: took %v", signal, took); tries == 4 { // not each time because the machine stood still
			t.Fatalf("%v: took more than 2 s each time", signal)
		}
		if got := p.log.String(); !strings.HasSuffix(strings.TrimSpace(got), `"msg":"stopped"}`) {
			t.Errorf("%v: %s", signal, got)
		}
		l, err := net.Listen("tcp", strings.TrimPrefix(urls[0], "http://"))
		if err != nil {
			t.Errorf("the port is not free: %v", err)
			continue
		}
		l.Close()
	}
}
