package conformance

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// member is one server that answers the etcd API.
type member struct {
	name, endpoint string
	conn           *grpc.ClientConn
	kv             pb.KVClient
	maintenance    pb.MaintenanceClient
}

// cluster is etcd's or Balsa's. The first of its members was the leader when it started.
type cluster struct {
	name      string
	members   []*member
	processes []*process
}

// The clusters are started by the first test that asks for them, and shared: tests do not run at the same time.
var (
	etcd      = shared(startEtcd)
	balsa     = shared(startBalsa)
	balsaDev  = shared(startBalsaDev)
	startTime = patience
)

// patience is how long a test waits for what takes milliseconds, or a second, on a machine that has time for it.
const patience = 30 * time.Second

// shared returns a function that starts the cluster once, and checks every time that it still runs.
func shared(start func(testing.TB) *cluster) func(testing.TB) *cluster {
	var once sync.Once
	var c *cluster
	return func(t testing.TB) *cluster {
		t.Helper()
		once.Do(func() { c = start(t) })
		if c == nil {
			t.Fatal("the cluster did not start in an earlier test")
		}
		for _, p := range c.processes {
			p.check(t)
		}
		return c
	}
}

// startEtcd starts one member: it is the oracle for answers, not for time, so it does without the disk's.
func startEtcd(t testing.TB) *cluster {
	port := freePorts(t, 1)
	args := append(memberFlags("etcd", port, fmt.Sprintf("etcd=%s", loopback(port+1))), "--unsafe-no-fsync", "--log-level=error")
	return connect(t, "etcd", []string{address(port)}, start(t, "etcd", etcdProgram(), args...))
}

// startBalsa starts three members, each a process.
func startBalsa(t testing.TB) *cluster {
	const nodes = 3
	port := freePorts(t, 1, 2, 3, 4, 5)
	var initial, endpoints []string
	for i := range nodes {
		initial = append(initial, fmt.Sprintf("n%d=%s", i, loopback(port+2*i+1)))
		endpoints = append(endpoints, address(port+2*i))
	}
	var all []*process
	for i := range nodes {
		name := fmt.Sprintf("n%d", i)
		args := append([]string{"server"}, memberFlags(name, port+2*i, strings.Join(initial, ","))...)
		all = append(all, start(t, "balsa-"+name, balsaProgram, args...))
	}
	return connect(t, "balsa server", endpoints, all...)
}

// startBalsaDev starts a cluster of three in one process.
func startBalsaDev(t testing.TB) *cluster {
	port := freePorts(t, 1, 100, 101, 200, 201)
	p := start(t, "balsa-dev", balsaProgram, "dev", "--data-dir", filepath.Join(workDir, "dev"), "--client-port", fmt.Sprint(port))
	return connect(t, "balsa dev", []string{address(port), address(port + 100), address(port + 200)}, p)
}

// memberFlags are the flags that etcd and Balsa share. The peers' port follows the clients'.
func memberFlags(name string, port int, initialCluster string) []string {
	return []string{
		"--name=" + name, "--data-dir=" + filepath.Join(workDir, name+".data"),
		"--listen-client-urls=" + loopback(port), "--advertise-client-urls=" + loopback(port),
		"--listen-peer-urls=" + loopback(port+1), "--initial-advertise-peer-urls=" + loopback(port+1),
		"--initial-cluster=" + initialCluster, "--initial-cluster-state=new",
	}
}

func address(port int) string  { return fmt.Sprintf("127.0.0.1:%d", port) }
func loopback(port int) string { return "http://" + address(port) }

// connect waits until every member answers, and puts the leader first.
func connect(t testing.TB, name string, endpoints []string, processes ...*process) *cluster {
	t.Helper()
	c := &cluster{name: name, processes: processes}
	leader := 0
	for i, endpoint := range endpoints {
		conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)))
		if err != nil {
			t.Fatal(err)
		}
		m := &member{name: fmt.Sprintf("%s %d", name, i), endpoint: endpoint, conn: conn, kv: pb.NewKVClient(conn), maintenance: pb.NewMaintenanceClient(conn)}
		status := m.await(t, c)
		if status.Leader == status.Header.MemberId {
			leader = i
		}
		c.members = append(c.members, m)
	}
	say("%s answers at %s", name, strings.Join(endpoints, " "))
	first := c.members[leader]
	c.members = slices.Insert(slices.Delete(c.members, leader, leader+1), 0, first)
	return c
}

// await waits until the member answers a linearizable read, and returns its status.
func (m *member) await(t testing.TB, c *cluster) *pb.StatusResponse {
	t.Helper()
	deadline := time.Now().Add(startTime)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := m.kv.Range(ctx, &pb.RangeRequest{Key: []byte("a")})
		var status *pb.StatusResponse
		if err == nil {
			status, err = m.maintenance.Status(ctx, &pb.StatusRequest{})
		}
		cancel()
		if err == nil {
			return status
		}
		for _, p := range c.processes {
			p.check(t)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v\n%s", m.name, err, c.processes[0].tail())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// role names the member of a cluster at this place, as it was when the cluster started.
func role(member int) string {
	if member == 0 {
		return "leader"
	}
	return fmt.Sprintf("follower %d", member)
}

// endpoints lists the members' addresses, that of the leader first.
func (c *cluster) endpoints() string {
	var all []string
	for _, m := range c.members {
		all = append(all, m.endpoint)
	}
	return strings.Join(all, ",")
}
