package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// changing is a cluster whose members come and go. Its members n0, n1 ... have ports from port on.
type changing struct {
	name    string
	program []string
	flags   []string
	port    int
	ids     map[string]string // of members, by name, as etcdctl prints them
	running map[string]*process
}

// changingMembers is how many members one can have over time.
const changingMembers = 7

func newChanging(t *testing.T, name string, program []string, flags ...string) *changing {
	offsets := make([]int, 2*changingMembers-1)
	for i := range offsets {
		offsets[i] = i + 1
	}
	return &changing{name: name, program: program, flags: flags, port: freePorts(t, offsets...), ids: map[string]string{}, running: map[string]*process{}}
}

func (c *changing) client(i int) string { return address(c.port + 2*i) }
func (c *changing) peer(i int) string   { return loopback(c.port + 2*i + 1) }

// initial is the value of --initial-cluster for these members.
func (c *changing) initial(members []int) string {
	var all []string
	for _, i := range members {
		all = append(all, fmt.Sprintf("%s-n%d=%s", c.name, i, c.peer(i)))
	}
	return strings.Join(all, ",")
}

// start starts a member, again if it has run before.
func (c *changing) start(t *testing.T, i int, state string, members ...int) {
	t.Helper()
	name := fmt.Sprintf("%s-n%d", c.name, i)
	args := append(slices.Clone(c.program[1:]), memberFlags(name, c.port+2*i, c.initial(members))...)
	args[slices.Index(args, "--initial-cluster-state=new")] = "--initial-cluster-state=" + state
	c.running[name] = start(t, name, c.program[0], append(args, c.flags...)...)
}

// kill ends a member as a power cut would, but for the disk.
func (c *changing) kill(i int) {
	p := c.running[fmt.Sprintf("%s-n%d", c.name, i)]
	processes = slices.DeleteFunc(processes, func(o *process) bool { return o == p })
	p.cmd.Process.Kill()
	<-p.done
}

// ctl runs etcdctl at a member. In the arguments {n1} stands for the id of that member, {n1.peer} and {n1.client} for its addresses.
func (c *changing) ctl(t *testing.T, at []int, args ...string) result {
	t.Helper()
	var endpoints []string
	for _, i := range at {
		endpoints = append(endpoints, c.client(i))
	}
	filled := slices.Clone(args)
	for k := range filled {
		for i := range changingMembers {
			n := fmt.Sprintf("n%d", i)
			for what, is := range map[string]string{n: c.ids[n], n + ".peer": c.peer(i), n + ".client": c.client(i)} {
				filled[k] = strings.ReplaceAll(filled[k], "{"+what+"}", is)
			}
		}
	}
	return etcdctl(t, "3.7", strings.Join(endpoints, ","), "", filled...)
}

// settled is for how long etcd has to be connected with its members before it lets them be changed.
const settled = 6 * time.Second

var (
	hexID    = regexp.MustCompile(`\b[0-9a-f]{11,16}\b`)
	paddedID = regexp.MustCompile(`(Member|cluster) +`) // etcdctl prints ids with %16x: one that begins with a zero has another space before it
)

// learn takes the ids out of a list of the members.
func (c *changing) learn(list string) {
	for line := range strings.Lines(list) {
		fields := strings.Split(line, ", ")
		for i := range changingMembers {
			if len(fields) > 3 && fields[3] == c.peer(i) {
				c.ids[fmt.Sprintf("n%d", i)] = fields[0]
			}
		}
	}
}

// masked replaces what differs between clusters: ids, addresses, and the order of members, which is that of their ids.
func (c *changing) masked(r result) result {
	mask := func(s string) string {
		for n, id := range c.ids {
			s = strings.ReplaceAll(s, id, n+".id")
		}
		for i := range changingMembers {
			s = strings.ReplaceAll(s, c.client(i), fmt.Sprintf("n%d.client", i))
			s = strings.ReplaceAll(s, c.peer(i), fmt.Sprintf("n%d.peer", i))
		}
		s = hexID.ReplaceAllString(strings.ReplaceAll(s, c.name+"-", ""), "ID")
		s = paddedID.ReplaceAllString(s, "$1 ")
		s = regexp.MustCompile(`took = .*`).ReplaceAllString(s, "took =")
		lines := strings.Split(s, "\n")
		for k, line := range lines {
			if value, ok := strings.CutPrefix(line, `ETCD_INITIAL_CLUSTER="`); ok {
				members := strings.Split(strings.TrimSuffix(value, `"`), ",")
				slices.Sort(members)
				lines[k] = `ETCD_INITIAL_CLUSTER="` + strings.Join(members, ",") + `"`
			}
		}
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	m := result{r.stdout, r.stderr, r.code}.masked("ENDPOINT")
	return result{mask(m.stdout), mask(m.stderr), m.code}
}

// TestMasked shows that ids do not make two clusters differ, whatever they begin with.
func TestMasked(t *testing.T) {
	for _, ids := range [][2]string{{"8e9e05c52164694d", "cdf818194e3a8c32"}, {" e9e05c52164694d", "cdf818194e3a8c32"}, {"8e9e05c52164694d", "  f818194e3a8c32"}} {
		c := &changing{ids: map[string]string{"n3": strings.TrimLeft(ids[0], " ")}}
		got := c.masked(result{stdout: "Member " + ids[0] + " added to cluster " + ids[1] + "\n"}).stdout
		if !strings.Contains(got, "Member n3.id added to cluster ID") {
			t.Errorf("member %q, cluster %q: %q", ids[0], ids[1], got)
		}
	}
}

// twins are a cluster of etcd and one of Balsa that are changed in the same way.
type twins struct {
	*testing.T
	etcd, balsa *changing
}

func (tw twins) each(do func(*changing)) {
	var both sync.WaitGroup
	both.Go(func() { do(tw.etcd) })
	both.Go(func() { do(tw.balsa) })
	both.Wait()
}

// expect runs a command against both, and compares what it prints. differ says why the texts need not be the same; then the exit codes are compared.
func (tw twins) expect(at []int, differ string, args ...string) {
	tw.Helper()
	var want, got result
	tw.each(func(c *changing) {
		r := c.ctl(tw.T, at, args...)
		for until := time.Now().Add(patience); strings.Contains(r.stderr, "etcdserver: unhealthy cluster") && time.Now().Before(until); r = c.ctl(tw.T, at, args...) {
			time.Sleep(100 * time.Millisecond) // while the machine stands still nobody is heard, and no change is made
		}
		if c == tw.etcd {
			want = r
		} else {
			got = r
		}
	})
	if args[0] == "member" && args[1] == "add" {
		tw.each(func(c *changing) { c.learn(c.ctl(tw.T, at, "member", "list").stdout) })
	}
	want, got = tw.etcd.masked(want), tw.balsa.masked(got)
	if want.code != got.code || differ == "" && want != got {
		tw.Errorf("etcdctl %q\n--- from etcd:\n%s\n--- from Balsa:\n%s", args, want, got)
	}
}

// settle waits until a command at a member prints that many lines that contain the text.
func (tw twins) settle(at, lines int, text string, args ...string) {
	tw.Helper()
	tw.each(func(c *changing) {
		deadline := time.Now().Add(startTime)
		for {
			r := c.ctl(tw.T, []int{at}, args...)
			if m := c.masked(r); strings.Count(m.stdout+m.stderr, text) == lines {
				return
			}
			if time.Now().After(deadline) {
				tw.Errorf("%s: etcdctl %q does not come to %d times %q:\n%s", c.name, args, lines, text, r)
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// TestMemberChanges changes the members of a cluster of etcd and one of Balsa with etcdctl, from three to five to three, and compares what it prints.
func TestMemberChanges(t *testing.T) {
	tw := twins{t,
		newChanging(t, "etcdm", []string{etcdProgram()}, "--unsafe-no-fsync", "--log-level=error"),
		newChanging(t, "balsam", []string{balsaProgram, "server"}),
	}
	first := []int{0}
	tw.each(func(c *changing) {
		for i := range 3 {
			c.start(t, i, "new", 0, 1, 2)
		}
	})
	tw.settle(0, 3, ", started, ", "member", "list")
	tw.each(func(c *changing) { c.learn(c.ctl(t, first, "member", "list").stdout) })
	if t.Failed() {
		return
	}
	tw.expect(first, "", "member", "list")
	tw.expect([]int{0, 1, 2}, "", "endpoint", "health", "--write-out=simple")

	// What cannot be done.
	tw.expect(first, "", "member", "remove", "1234567890abcdef")
	tw.expect(first, "", "member", "promote", "1234567890abcdef")
	tw.expect(first, "", "member", "update", "1234567890abcdef", "--peer-urls=http://127.0.0.1:1")
	tw.expect(first, "", "member", "promote", "{n1}")
	tw.expect(first, "", "member", "add", "n9", "--peer-urls=no address")
	tw.expect(first, "", "member", "add", "n9")
	tw.expect(first, "", "member", "update", "{n1}", "--peer-urls={n2.peer}")
	tw.expect([]int{0, 1, 2}, "", "move-leader", "1234567890abcdef")

	time.Sleep(settled)
	tw.expect(first, "", "member", "add", "n9", "--peer-urls={n1.peer}")

	// A learner that is added, started, promoted.
	tw.expect(first, "", "member", "add", "n3", "--learner", "--peer-urls={n3.peer}")
	tw.expect(first, "", "member", "list")
	tw.expect(first, "", "member", "promote", "{n3}")
	tw.each(func(c *changing) { c.start(t, 3, "existing", 0, 1, 2, 3) })
	tw.settle(0, 4, ", started, ", "member", "list")
	tw.expect(first, "", "member", "list")
	tw.settle(3, 1, "not supported for learner", "get", "a") // it knows by itself that it is one
	tw.expect([]int{3}, "", "get", "a")
	tw.each(func(c *changing) {
		for range 100 {
			if c.ctl(t, first, "member", "promote", "{n3}").code == 0 {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("%s: n3 is not promoted", c.name)
	})
	tw.expect(first, "", "member", "list")
	tw.expect([]int{3}, "", "put", "a", "1")
	tw.expect(first, "", "member", "promote", "{n3}")

	time.Sleep(settled)

	// A voter that is added, and started.
	tw.expect(first, "", "member", "add", "n4", "--peer-urls={n4.peer}")
	tw.each(func(c *changing) { c.start(t, 4, "existing", 0, 1, 2, 3, 4) })
	tw.settle(0, 5, ", started, ", "member", "list")
	tw.settle(0, 5, ", false", "member", "list")
	tw.expect(first, "", "member", "list")
	tw.expect([]int{4}, "", "get", "a")
	tw.expect([]int{0, 1, 2, 3, 4}, "", "endpoint", "health", "--write-out=simple")

	time.Sleep(settled)

	// One that moves, for the list at least, and two that go.
	tw.expect(first, "", "member", "update", "{n4}", "--peer-urls=http://127.0.0.1:1")
	tw.expect(first, "", "member", "list")
	tw.expect(first, "", "member", "remove", "{n4}")
	tw.expect(first, "", "member", "remove", "{n4}")
	tw.expect(first, "", "member", "remove", "{n3}")
	tw.expect(first, "", "member", "list")
	tw.expect(first, "", "get", "a")
	tw.each(func(c *changing) { // both have ended by themselves, or will
		c.kill(3)
		c.kill(4)
	})

	// The lead is given to each.
	for i := range 3 {
		tw.each(func(c *changing) {
			leader := c.leader(t, 0, 1, 2)
			if r := c.ctl(t, []int{leader}, "move-leader", fmt.Sprintf("{n%d}", i)); r.code != 0 && leader != i {
				t.Errorf("%s: the lead is not moved from n%d to n%d: %v", c.name, leader, i, r)
			}
			if got := c.leader(t, 0, 1, 2); got != i {
				t.Errorf("%s: n%d leads, and not n%d", c.name, got, i)
			}
		})
	}
}

// leader is the member that leads, as it says itself.
func (c *changing) leader(t *testing.T, members ...int) int {
	t.Helper()
	for range 200 {
		for _, i := range members {
			r := c.ctl(t, []int{i}, "endpoint", "status", "--write-out=json")
			is := regexp.MustCompile(`"member_id":(\d+)`).FindStringSubmatch(r.stdout)
			if is != nil && strings.Contains(r.stdout, `"leader":`+is[1]+",") {
				return i
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s has no leader", c.name)
	return 0
}

// TestMemberChangesUnderKills takes Balsa from three members to five and to three others while official clients write, and at every step a
// member is killed and started again. What was acknowledged is there at the end.
func TestMemberChangesUnderKills(t *testing.T) {
	c := newChanging(t, "balsak", []string{balsaProgram, "server"})
	members := []int{0, 1, 2}
	states := map[int][]int{}
	for i := range 3 {
		states[i] = members
		c.start(t, i, "new", members...)
	}
	c.await(t, 0, func(r result) bool { return strings.Count(r.stdout, ", started, ") == 3 })
	w := c.write(t)
	defer w.end()

	crash := func() {
		i := members[rand.IntN(len(members))]
		c.kill(i)
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		state := "existing"
		if len(states[i]) == 3 {
			state = "new" // as it was first started: it has its data folder
		}
		c.start(t, i, state, states[i]...)
	}
	// step makes a change, again if it must, while a member crashes; at the end the list of the members has these.
	step := func(want int, args ...string) {
		t.Helper()
		var crashed sync.WaitGroup
		crashed.Go(crash)
		defer crashed.Wait()
		for range 100 {
			r := c.ctl(t, members, args...)
			list := c.ctl(t, members, "member", "list").stdout
			c.learn(list)
			if args[1] == "promote" && r.code == 0 || args[1] != "promote" && strings.Count(list, "\n") == want {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("etcdctl %q does not come to an end", args)
	}
	join := func(i int) {
		states[i] = append(slices.Clone(members), i)
		c.start(t, i, "existing", states[i]...)
		members = states[i]
	}
	for round := range 2 {
		before := w.count()
		step(4, "member", "add", "n3", "--learner", "--peer-urls={n3.peer}")
		join(3)
		step(4, "member", "promote", "{n3}")
		step(5, "member", "add", "n4", "--peer-urls={n4.peer}")
		join(4)
		c.await(t, 4, func(r result) bool { return strings.Count(r.stdout, ", started, ") == 5 })
		if round == 0 { // the new ones go again; the next time the old ones
			members = []int{0, 1, 2, 3}
			step(4, "member", "remove", "{n4}")
			members = []int{0, 1, 2}
			step(3, "member", "remove", "{n3}")
			c.forget(t, 3)
			c.forget(t, 4)
		} else {
			members = []int{1, 2, 3, 4}
			step(4, "member", "remove", "{n0}")
			members = []int{2, 3, 4}
			step(3, "member", "remove", "{n1}")
			c.forget(t, 0)
			c.forget(t, 1)
		}
		if after := w.count(); after == before {
			t.Errorf("nothing was written during round %d", round)
		}
	}
	w.end()
	w.check(t, members)
	for _, i := range members {
		r := c.ctl(t, []int{i}, "endpoint", "health")
		if r.code != 0 {
			t.Errorf("n%d at the end: %v", i, r)
		}
	}
}

// await waits for what etcdctl says of the members, asked at one of them.
func (c *changing) await(t *testing.T, at int, enough func(result) bool) {
	t.Helper()
	var r result
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if r = c.ctl(t, []int{at}, "member", "list"); enough(r) {
			c.learn(r.stdout)
			return
		}
	}
	t.Fatalf("%s, at n%d: %v", c.name, at, r)
}

// forget ends a member that was removed, if it has not ended by itself, and takes its data folder away.
func (c *changing) forget(t *testing.T, i int) {
	c.kill(i)
	name := fmt.Sprintf("%s-n%d", c.name, i)
	if err := os.RemoveAll(filepath.Join(workDir, name+".data")); err != nil {
		t.Error(err)
	}
	delete(c.ids, fmt.Sprintf("n%d", i))
}

// writers are official clients that write, each a key after the other.
type writers struct {
	c       *changing
	stop    context.CancelFunc
	all     sync.WaitGroup
	mu      sync.Mutex
	written map[string]string // acknowledged
}

func (c *changing) write(t *testing.T) *writers {
	ctx, cancel := context.WithCancel(t.Context())
	w := &writers{c: c, stop: cancel, written: map[string]string{}}
	var endpoints []string
	for i := range changingMembers {
		endpoints = append(endpoints, c.client(i))
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: patience, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	for n := range 4 {
		w.all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key, value := fmt.Sprintf("/%d/%d", n, i), fmt.Sprint(rand.Uint64())
				try, done := context.WithTimeout(ctx, 2*time.Second)
				if _, err := client.Put(try, key, value); err == nil { // else it may have been written, or not
					w.mu.Lock()
					w.written[key] = value
					w.mu.Unlock()
				}
				done()
			}
		})
	}
	return w
}

func (w *writers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.written)
}

func (w *writers) end() {
	w.stop()
	w.all.Wait()
}

// check compares what every member has with what was acknowledged.
func (w *writers) check(t *testing.T, members []int) {
	t.Helper()
	for _, i := range members {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{w.c.client(i)}, DialTimeout: patience, MaxCallRecvMsgSize: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		r, err := client.Get(t.Context(), "/", clientv3.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		has := map[string]string{}
		for _, kv := range r.Kvs {
			has[string(kv.Key)] = string(kv.Value)
		}
		lost := 0
		for key, value := range w.written {
			if has[key] != value {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("n%d lacks %d of %d acknowledged writes", i, lost, len(w.written))
		}
	}
	say("members changed under kills: %d acknowledged writes, all there", len(w.written))
}
