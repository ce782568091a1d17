package server

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/kv"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// patience is how long a test waits for what takes milliseconds on a machine that has time for it.
const patience = 30 * time.Second

// testConfig is a cluster of one on free ports.
func testConfig(t testing.TB) Config {
	urls := []string{"http://localhost:2380"}
	id := MemberID(urls, "etcd-cluster")
	return Config{
		Name: "default", Dir: t.TempDir(), ID: id, ClusterID: ClusterID([]uint64{id}),
		Members:       []Member{{ID: id, Name: "default", PeerURLs: urls}},
		ListenClients: []string{"127.0.0.1:0"}, ListenPeer: "127.0.0.1:0",
		AdvertiseClientURLs: []string{"http://localhost:2379"},
		HeartbeatInterval:   10 * time.Millisecond, ElectionTimeout: 50 * time.Millisecond,
		Version: "1.2.3", Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

// testLog sends log lines to the test.
type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}

// faultyNode is a node whose calls a test can replace.
type faultyNode struct {
	node
	propose atomic.Pointer[func(context.Context, kv.Command) (balsa.Result[kv.Response], error)]
	read    atomic.Pointer[func(context.Context) error]
	change  atomic.Pointer[func(context.Context, balsa.Change) error]
	lead    atomic.Pointer[func(balsa.NodeID) error]
	status  atomic.Pointer[func(balsa.Status) balsa.Status]
	close   sync.Once
}

// Close may be called by a test before the server does.
func (n *faultyNode) Close() (err error) {
	n.close.Do(func() { err = n.node.Close() })
	return err
}

func (n *faultyNode) Propose(ctx context.Context, c kv.Command) (balsa.Result[kv.Response], error) {
	if f := n.propose.Load(); f != nil {
		return (*f)(ctx, c)
	}
	return n.node.Propose(ctx, c)
}

func (n *faultyNode) Read(ctx context.Context, level balsa.Level) (balsa.Index, error) {
	if f := n.read.Load(); f != nil {
		if err := (*f)(ctx); err != nil {
			return 0, err
		}
	}
	return n.node.Read(ctx, level)
}

func (n *faultyNode) ChangeMembers(ctx context.Context, c balsa.Change) error {
	if f := n.change.Load(); f != nil {
		if err := (*f)(ctx, c); err != nil {
			return err
		}
	}
	return n.node.ChangeMembers(ctx, c)
}

func (n *faultyNode) Transfer(ctx context.Context, to balsa.NodeID) error {
	if f := n.lead.Load(); f != nil {
		return (*f)(to)
	}
	return n.node.Transfer(ctx, to)
}

func (n *faultyNode) Status() balsa.Status {
	s := n.node.Status()
	if f := n.status.Load(); f != nil {
		return (*f)(s)
	}
	return s
}

// failPropose makes every proposal end with err.
func (n *faultyNode) failPropose(err error) {
	f := func(context.Context, kv.Command) (balsa.Result[kv.Response], error) {
		return balsa.Result[kv.Response]{}, err
	}
	n.propose.Store(&f)
}

// failRead makes every linearizable read end with err.
func (n *faultyNode) failRead(err error) {
	f := func(context.Context) error { return err }
	n.read.Store(&f)
}

// loseLeader makes the member know of no leader.
func (n *faultyNode) loseLeader() {
	f := func(s balsa.Status) balsa.Status {
		s.Leader = 0
		return s
	}
	n.status.Store(&f)
}

// testServer is a member of a cluster of one, and a connection to it.
type testServer struct {
	*Server
	node *faultyNode
	conn *grpc.ClientConn
}

// address is where the server answers clients.
func (s *testServer) address() string { return s.Addrs()[0].String() }

// start starts a member and waits until it is ready.
func start(t testing.TB, change func(*Config)) *testServer {
	t.Helper()
	config := testConfig(t)
	if change != nil {
		change(&config)
	}
	s := open(t, config)
	select {
	case <-s.Ready():
	case <-time.After(patience):
		t.Fatalf("the member is not ready after %v", patience)
	}
	return s
}

// open starts a member and does not wait.
func open(t testing.TB, config Config) *testServer {
	t.Helper()
	config, err := config.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	listeners, err := listen(config.ListenClients)
	if err != nil {
		t.Fatal(err)
	}
	inner, st, err := openNode(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	n := &faultyNode{node: inner}
	s := &testServer{Server: serve(config, n, st, listeners, nil), node: n}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	s.conn = dial(t, s.address())
	return s
}

func dial(t testing.TB, address string) *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestRestart: a member finds its data, and its clients their member, after a stop.
func TestRestart(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	first := open(t, config)
	<-first.Ready()
	c := caller{t, first.conn}
	c.call("Put", `key: "a" value: "1"`)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, config)
	<-second.Ready()
	c = caller{t, second.conn}
	if got, want := c.call("Range", `key: "a"`), `header:{cluster_id:C member_id:M revision:2 raft_term:T} kvs:{key:"a" create_revision:2 mod_revision:2 version:1 value:"1"} count:1`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := second.store.Members(); len(got) != 1 || got[0].Name != "default" {
		t.Errorf("members: %v", got)
	}
}

func TestListenTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	config := testConfig(t)
	config.ListenClients = []string{"127.0.0.1:0", l.Addr().String()}
	if _, err := Open(context.Background(), config); err == nil {
		t.Fatal("opened on an address that is taken")
	}
}

// TestCloseWhileWaiting: a call that waits for a cluster without a quorum must not hold up a stop.
func TestCloseWhileWaiting(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	waiting := make(chan struct{}, 1)
	f := func(ctx context.Context, _ kv.Command) (balsa.Result[kv.Response], error) {
		waiting <- struct{}{}
		select {
		case <-ctx.Done():
		case <-s.node.Done():
		}
		return balsa.Result[kv.Response]{}, balsa.ErrUnknownOutcome
	}
	s.node.propose.Store(&f)
	ended := make(chan string, 1)
	go func() { ended <- caller{t, s.conn}.call("Put", `key: "a"`) }()
	<-waiting
	begin := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	<-ended
}
