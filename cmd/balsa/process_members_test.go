package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

var membersSeed = flag.Uint64("members-seed", 0, "of TestProcessMembers; 0: another one each time")

// nursery makes servers of one cluster.
type nursery struct {
	t    *testing.T
	c    *cluster
	dir  string
	port int
	made int
}

func newNursery(t *testing.T, servers int) *nursery {
	n := &nursery{t: t, c: &cluster{}, dir: t.TempDir(), port: freePorts(t, servers)}
	t.Cleanup(n.c.close)
	return n
}

// make makes a server that does not run yet.
func (n *nursery) make(more ...string) *process {
	n.t.Helper()
	i := n.made
	n.made++
	p := &process{
		name: fmt.Sprintf("m%d", i), binary: binary(n.t), log: &syncBuffer{},
		client: fmt.Sprintf("127.0.0.1:%d", n.port+devPortStep*i), peer: fmt.Sprintf("http://127.0.0.1:%d", n.port+devPortStep*i+1),
	}
	p.args = append([]string{"server", "--name", p.name, "--data-dir", n.folder(p), "--listen-client-urls", "http://" + p.client,
		"--listen-peer-urls", p.peer, "--heartbeat-interval", "50", "--election-timeout", "500"}, more...)
	return p
}

func (n *nursery) folder(p *process) string { return filepath.Join(n.dir, p.name) }

// found starts the first member.
func (n *nursery) found() *process {
	n.t.Helper()
	p := n.make()
	p.args = append(p.args, "--initial-advertise-peer-urls", p.peer)
	n.start(p)
	p.awaitReady(n.t)
	return p
}

func (n *nursery) start(p *process) {
	n.t.Helper()
	p.start(n.t)
	n.c.connect(n.t, p)
}

func (n *nursery) endpoints() string {
	var all []string
	for _, p := range n.c.processes {
		all = append(all, p.client)
	}
	return strings.Join(all, ",")
}

// do runs a command that must succeed, and returns what it writes. While a machine stands still, no member is heard, and none takes over the lead.
func (n *nursery) do(args ...string) string {
	n.t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		got := try(n.t, "", append(args, "--endpoints", n.endpoints())...)
		if got.code == exitOK {
			return got.out
		}
		again := args[0] == "move-leader" || strings.Contains(got.err, "which the leader does not hear")
		if !again || time.Now().After(until) {
			n.t.Fatalf("%v: %d %s", args, got.code, got.err)
		}
	}
}

// awaitVoters waits until the cluster has so many members, all of which have started and vote.
func (n *nursery) awaitVoters(voters int) {
	n.t.Helper()
	last := ""
	defer func() {
		if n.t.Failed() {
			n.t.Log(last)
		}
	}()
	await(n.t, fmt.Sprintf("%d voters", voters), func() bool {
		got := try(n.t, "", "members", "-w", "simple", "--endpoints", n.endpoints())
		last = got.out + got.err
		return got.code == exitOK && strings.Count(got.out, "\n") == voters && strings.Count(got.out, ", started, ") == voters && !strings.Contains(got.out, "catching up")
	})
}

// drop waits for the end of a process that was removed, and forgets it.
func (n *nursery) drop(p *process) {
	n.t.Helper()
	n.c.mu.Lock()
	for i, q := range n.c.processes {
		if p == q {
			n.c.conns[i].Close()
			n.c.processes = append(n.c.processes[:i:i], n.c.processes[i+1:]...)
			n.c.conns = append(n.c.conns[:i:i], n.c.conns[i+1:]...)
			break
		}
	}
	n.c.mu.Unlock()
	if code := p.wait(); code != exitRemoved {
		n.t.Errorf("%s was removed and ended with %d:\n%s", p.name, code, p.log)
	}
}

// wait waits for the process to end by itself and returns its exit code.
func (p *process) wait() int {
	stop := time.AfterFunc(2*patience, func() { p.cmd.Process.Kill() })
	defer stop.Stop()
	var exit *exec.ExitError
	if err := p.cmd.Wait(); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return exitOK
}

// end runs the process to its end and returns the exit code.
func (p *process) end(t *testing.T) int {
	t.Helper()
	p.start(t)
	return p.wait()
}

// TestProcessMembers: a cluster grows from one to three and five and shrinks to three, by the commands that people use, while clients write; at each
// step a member is killed without warning and started again. Every acknowledged write is there in the end.
func TestProcessMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	seed := *membersSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-members-seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	n := newNursery(t, 5)
	n.found()
	l := startLoad(n.c, 4)
	defer l.wait.Wait()
	defer l.stop()
	killOne := func() {
		t.Helper()
		p := n.c.processes[random.IntN(len(n.c.processes))]
		p.kill()
		resumed := l.from(t)
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		p.start(t)
		p.awaitReady(t)
		t.Logf("%s killed, of %d; writes resumed after %v", p.name, len(n.c.processes), resumed())
	}
	killOne()

	n.start(n.make("--join", n.endpoints()))
	killOne()
	n.awaitVoters(2)

	// As etcd's runbook has it.
	third := n.make()
	n.do("members", "add", third.peer)
	var initial []string
	for _, p := range append(n.c.processes, third) {
		initial = append(initial, p.name+"="+p.peer)
	}
	third.args = append(third.args, "--initial-advertise-peer-urls", third.peer, "--initial-cluster-state", "existing", "--initial-cluster", strings.Join(initial, ","))
	n.start(third)
	killOne()
	n.awaitVoters(3)

	for voters := 4; voters <= 5; voters++ {
		n.start(n.make("--join", n.endpoints()))
		killOne()
		n.awaitVoters(voters)
	}
	to := n.c.processes[random.IntN(5)].name
	n.do("move-leader", to)
	for voters := 4; voters >= 3; voters-- {
		p := n.c.processes[random.IntN(voters+1)]
		n.do("members", "remove", p.name)
		n.drop(p)
		killOne()
		n.awaitVoters(voters)
	}
	l.awaitMore(t, 100)
	l.stop()
	l.wait.Wait()
	t.Logf("%d acknowledged; failed: %v", len(l.acked), l.failed)
	n.c.verify(t, l.acked)
}

// TestProcessJoin: to join is the same, however often it is interrupted and begun again. A folder that is lost or another's is refused, and what the
// error says to do works.
func TestProcessJoin(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	n := newNursery(t, 3)
	first := n.found()
	second := n.make("--join", "http://"+first.client)
	for delay := 0 * time.Millisecond; delay < 60*time.Millisecond; delay += 6 * time.Millisecond {
		second.start(t)
		time.Sleep(delay)
		second.kill()
	}
	n.start(second)
	second.awaitReady(t)
	n.awaitVoters(2)

	// Added by hand first.
	third := n.make("--join", second.client)
	if out := n.do("members", "add", "--learner", third.peer); !strings.Contains(out, "--join http://") || !strings.Contains(out, third.peer) {
		t.Errorf("what it says to do next: %s", out)
	}
	n.start(third)
	third.awaitReady(t)
	if out := n.do("status", "-w", "simple"); strings.Count(out, ", true, ") != 2 { // a leader, a learner
		t.Errorf("status: %s", out)
	}
	await(t, "the learner to be promoted", func() bool {
		return try(t, "", "members", "promote", third.name, "--endpoints", n.endpoints()).code == exitOK
	})
	n.awaitVoters(3)

	// A change that would leave no majority that is heard from names who is not.
	third.kill()
	time.Sleep(2 * time.Second) // four election timeouts: the leader has missed it
	if got := try(t, "", "members", "remove", "m1", "--endpoints", n.endpoints()); !strings.Contains(got.err, "without m2 (") || !strings.Contains(got.err, "--force") {
		t.Errorf("a member is removed, and one of two would be left: %+v", got)
	}

	n.loseFolder(third)
	n.mistakeFolder(n.c.processes[1])

	// Removed, and started again.
	n.do("members", "remove", "m2")
	n.drop(third)
	if code := third.end(t); code != exitRemoved || !strings.Contains(third.log.String(), "was removed from the cluster") {
		t.Errorf("removed and started again it ended with %d: %s", code, third.log)
	}
}

// loseFolder removes the folder of a server that has stopped, and does what it says is to be done then.
func (n *nursery) loseFolder(p *process) {
	t := n.t
	t.Helper()
	if err := os.RemoveAll(n.folder(p)); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != exitReplaced {
		t.Fatalf("without its folder it ended with %d: %s", code, p.log)
	}
	said := regexp.MustCompile(`(?m)^  balsa (members replace .*)$`).FindStringSubmatch(p.log.String())
	if said == nil {
		t.Fatalf("it does not say what to do: %s", p.log)
	}
	if got := try(t, "", strings.Fields(said[1])...); got.code != exitOK {
		t.Fatalf("%s: %+v", said[1], got)
	}
	p.start(t)
	p.awaitReady(t)
	n.awaitVoters(3)
}

// mistakeFolder starts a server with the folder of another cluster's, and then with its own again.
func (n *nursery) mistakeFolder(p *process) {
	t := n.t
	t.Helper()
	p.kill()
	args := p.args
	other := newNursery(t, 1)
	alone := other.found()
	alone.kill()
	p.args = append(args[:4:4], other.folder(alone))
	p.args = append(p.args, args[5:]...)
	if code := p.end(t); code != exitInput || !strings.Contains(p.log.String(), "belongs to cluster") {
		t.Errorf("with a folder of another cluster it ended with %d: %s", code, p.log)
	}
	p.args = args
	p.start(t)
	p.awaitReady(t)
}

// TestProcessAlone: the member that a cluster began with, whose settings name no other, does not begin another one when its folder is lost.
func TestProcessAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	n := newNursery(t, 2)
	first := n.found()
	second := n.make("--join", first.client)
	n.start(second)
	second.awaitReady(t)
	n.awaitVoters(2)
	first.kill()
	if err := os.RemoveAll(n.folder(first)); err != nil {
		t.Fatal(err)
	}
	if code := first.end(t); code != exitReplaced || !strings.Contains(first.log.String(), "members replace") {
		t.Errorf("without its folder it ended with %d: %s", code, first.log)
	}
	if _, err := os.Stat(n.folder(first)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it has made a folder: %v", err)
	}
}

// TestProcessLost: the first members, under etcd's flags, whose folder is lost, that begin a cluster beside one that exists, or were removed.
func TestProcessLost(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	c := startCluster(t, "--heartbeat-interval", "50", "--election-timeout", "500")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := pb.NewKVClient(c.conns[0]).Put(ctx, &pb.PutRequest{Key: []byte("k"), Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	first, last := c.processes[0], c.processes[2]
	last.kill()
	folder := last.args[4]
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	if code := last.end(t); code != exitReplaced || !strings.Contains(last.log.String(), "balsa members replace ") {
		t.Errorf("without its folder it ended with %d: %s", code, last.log)
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it has made a folder: %v", err)
	}
	beside := *last
	beside.args = append(append([]string{}, last.args...), "--initial-cluster-token", "another")
	if code := beside.end(t); code != exitInput || !strings.Contains(beside.log.String(), "these settings begin another one") {
		t.Errorf("beginning another cluster it ended with %d: %s", code, beside.log)
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	last.start(t)
	last.awaitReady(t)
	for until := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		got := try(t, "", "members", "remove", "m2", "--endpoints", first.client)
		if got.code == exitOK {
			break
		}
		if !strings.Contains(got.err, "which the leader does not hear") || time.Now().After(until) {
			t.Fatalf("%+v", got)
		}
	}
	for _, again := range []bool{false, true} { // it hears of its removal, and then only finds out
		if again {
			last.start(t)
		}
		if code := last.wait(); code != exitRemoved {
			t.Errorf("removed, it ended with %d: %s", code, last.log)
		}
	}
}
