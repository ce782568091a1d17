package host

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// newLeasing begins with three members of whom n1 leads under a lease: promises of 200 ms, which are 20 ticks, as an election timeout is.
func newLeasing(t *testing.T) *cluster {
	c := newCluster(t, 3)
	c.promise, c.lease = 200*time.Millisecond, 160*time.Millisecond
	c.startAll()
	c.elect(1)
	c.pass(3)
	return c
}

// TestLevels: when a read of each level ends, and what it then reflects. Entry 1 is the leader's first, and nothing is under way.
func TestLevels(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(t *testing.T, c *cluster)
	}{
		{"local", func(t *testing.T, c *cluster) {
			expect(t, "at once", answer(c.isolate(3).readAt(Local)), "as of 1")
		}},

		{"of an index that is there", func(t *testing.T, c *cluster) {
			expect(t, "at once", answer(c.isolate(3).readAt(AtLeast(1))), "as of 1")
		}},

		{"of an index that is on its way", func(t *testing.T, c *cluster) {
			m := c.member(2)
			later, next := m.readAt(AtLeast(3)), m.readAt(AtLeast(2))
			m.stalled[PartApplier] = true
			c.member(1).propose("a")
			c.settle()
			expect(t, "before the machine has it", answer(next), "waits")
			m.stalled[PartApplier] = false
			c.settle()
			expect(t, "when the machine has it", answer(next), "as of 2")
			expect(t, "the one after it", answer(later), "waits")
			c.member(1).propose("b")
			c.settle()
			expect(t, "in the end", answer(later), "as of 3")
		}},

		{"of the result of a write, on another member", func(t *testing.T, c *cluster) {
			p := c.member(2).propose("a")
			c.settle()
			i, _ := c.member(2).group.Outcome(p)
			expect(t, "at once", answer(c.member(3).readAt(AtLeast(i))), "as of 2")
		}},

		{"of an index that never comes", func(t *testing.T, c *cluster) {
			m := c.member(1)
			r := m.readAt(AtLeast(1 << 60))
			c.pass(50)
			expect(t, "after a while", answer(r), "waits")
			err := r.Abandon()
			expect(t, "the reason", fmt.Sprint(err), "balsa: this member has executed entry 1, and not yet entry 1152921504606846976")
			c.pass(1)
			expect(t, "reads that wait", m.group.readsWaiting.Load(), 0)
		}},

		{"of a leader that is gone, each by its own level again", func(t *testing.T, c *cluster) {
			m := c.member(2)
			m.readAt(Linearizable)
			m.readAt(Lease)
			m.work()
			s := &m.group.readers
			ids := slices.Sorted(maps.Keys(s.asked))
			expect(t, "asked for", len(ids), 2)
			m.group.aborted(ids)
			if len(s.held) != 1 || s.held[0].level != Linearizable || len(s.leased) != 1 || s.leased[0].level != Lease {
				t.Errorf("held %v, and under a lease %v", s.held, s.leased)
			}
		}},

		{"under a lease", func(t *testing.T, c *cluster) {
			m := c.member(1)
			r := m.readAt(Lease)
			m.work()
			expect(t, "at once", answer(r), "as of 1")
			expect(t, "messages", len(c.network), 0)
		}},

		{"under a lease, at a follower", func(t *testing.T, c *cluster) {
			m := c.member(2)
			r := m.readAt(Lease)
			m.work()
			expect(t, "messages to the leader", len(c.network), 1)
			c.settle()
			expect(t, "in the end", answer(r), "as of 1")
		}},

		{"under a lease that has run out", func(t *testing.T, c *cluster) {
			m := c.member(1)
			m.now += 161 * time.Millisecond // no tick is told: the process was paused
			r := m.readAt(Lease)
			m.work()
			expect(t, "at once", answer(r), "waits")
			c.settle()
			expect(t, "in the end", answer(r), "as of 1")
		}},

		{"under a lease, while the process is paused between clock and inbox", func(t *testing.T, c *cluster) {
			m := c.member(1)
			var r *Read
			m.host.shard.Step(func() time.Duration {
				r = m.readAt(Lease)
				return m.now
			})
			expect(t, "in a step that looked at its clock before it came", answer(r), "waits")
			m.now += 161 * time.Millisecond
			m.work()
			expect(t, "in the next", answer(r), "waits")
		}},

		{"under a lease, when the machine has slept", func(t *testing.T, c *cluster) {
			m := c.member(1)
			m.host.Slept()
			r := m.readAt(Lease)
			m.work()
			expect(t, "at once", answer(r), "waits")
		}},

		{"not old", func(t *testing.T, c *cluster) {
			m := c.member(3)
			r := m.readAt(AtMostOld(time.Second))
			m.work()
			expect(t, "the first, which asks the leader", answer(r), "waits")
			c.settle()
			expect(t, "in the end", answer(r), "as of 1")
			m.now += time.Second
			r = m.readAt(AtMostOld(time.Second))
			m.work()
			expect(t, "the next, a second later", answer(r), "as of 1")
			m.now++
			r = m.readAt(AtMostOld(time.Second))
			m.work()
			expect(t, "and a little later", answer(r), "waits")
		}},

		{"not old, measured from the question and not from the answer", func(t *testing.T, c *cluster) {
			m := c.member(3)
			r := m.read()
			late := c.answerOf(m, 1)
			c.member(1).propose("a")
			c.settle()
			m.now += 20 * time.Millisecond
			c.network = late
			c.settle()
			expect(t, "the one that took long", answer(r), "as of 2")
			r = m.readAt(AtMostOld(19 * time.Millisecond))
			m.work()
			expect(t, "one that may be less old", answer(r), "waits")
			c.network = nil
			r = m.readAt(AtMostOld(20 * time.Millisecond))
			m.work()
			expect(t, "one that may be as old", answer(r), "as of 2")
		}},

		{"not old, when the machine has slept", func(t *testing.T, c *cluster) {
			m := c.member(3)
			r := m.read()
			c.settle()
			expect(t, "before", answer(r), "as of 1")
			before := m.read()
			late := c.answerOf(m, 1)
			m.host.Slept()
			r = m.readAt(AtMostOld(time.Hour))
			m.now++
			m.work()
			expect(t, "afterwards", answer(r), "waits")
			c.network = late
			m.stalled[PartShard] = false
			for _, l := range late {
				c.deliver(l)
			}
			c.network = nil
			m.work()
			expect(t, "one that was asked before", answer(before), "as of 1")
			r = m.readAt(AtMostOld(time.Hour))
			m.work()
			expect(t, "which says nothing of how long that is ago", answer(r), "waits")
		}},

		{"not old, after one under a lease", func(t *testing.T, c *cluster) {
			m := c.member(1)
			m.readAt(Lease)
			m.work()
			r := m.readAt(AtMostOld(time.Hour))
			m.work()
			expect(t, "which does not depend on clocks of others", answer(r), "waits")
		}},

		{"not old, of a leader that was deposed", func(t *testing.T, c *cluster) {
			leader, m := c.member(1), c.member(3)
			r := m.read()
			c.settle()
			expect(t, "before", answer(r), "as of 1")
			for range 15 { // n3 hears the heartbeats of n1, and nobody else does
				leader.tick()
				m.tick()
				for _, l := range append(take[raft.AppendEntries](c, 3), take[raft.AppendEntriesReply](c, 1)...) {
					c.deliver(l)
				}
				c.network = nil
				m.work()
			}
			r = m.readAt(AtMostOld(150 * time.Millisecond))
			m.work()
			expect(t, "while it is young enough", answer(r), "as of 1")
			m.tick()
			r = m.readAt(AtMostOld(150 * time.Millisecond))
			m.work()
			expect(t, "afterwards", answer(r), "waits")
		}},

		{"abandoned while the leader does not answer", func(t *testing.T, c *cluster) {
			m := c.member(3)
			for range 3 * readAsksMax {
				for _, level := range []Level{Linearizable, Lease, AtMostOld(0), AtLeast(99)} {
					m.readAt(level).Abandon()
				}
				m.work()
				c.network = nil
				if n := len(m.group.readers.asked); n > readAsksMax {
					t.Fatalf("%d questions to the core", n)
				}
			}
			m.tick()
			c.network = nil
			expect(t, "reads that wait", m.group.readsWaiting.Load(), 0)
			c.pass(10)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newLeasing(t)
			test.do(t, c)
			c.settle()
			c.pass(60)
			for _, m := range c.members {
				s := &m.group.readers
				if n := m.group.readsWaiting.Load(); n != 0 || len(s.held)+len(s.leased)+len(s.asked)+len(s.ready) != 0 {
					t.Errorf("n%d: %d reads wait: %d held, %d leased, %d asked, %d ready", m.id, n, len(s.held), len(s.leased), len(s.asked), len(s.ready))
				}
			}
		})
	}
}

// TestPromiseOutlivesConfiguration: who has promised and starts again without leases, or with shorter ones, keeps its word first.
func TestPromiseOutlivesConfiguration(t *testing.T) {
	for _, promise := range []time.Duration{0, 10 * time.Millisecond, 200 * time.Millisecond} {
		c := newLeasing(t)
		c.promise, c.lease = promise, promise/2
		m := c.member(3)
		m.cut()
		m.start()
		ask := func() {
			m.receive(2, raft.RequestVote{Term: 9, CandidateID: 2, LastLogIndex: 9, LastLogTerm: 8})
			m.work()
		}
		m.tick()
		m.now = 209 * time.Millisecond // since the first tick, at 10
		ask()
		expect(t, "votes before its promise ends", len(take[raft.RequestVoteReply](c, 2)), 0)
		m.now += 2 * time.Millisecond
		m.step(PartShard)
		ask()
		expect(t, "votes afterwards", len(take[raft.RequestVoteReply](c, 2)), 1)
	}
}

// TestPromiseFile: a file that cannot be read keeps the member from starting, since it could break its word.
func TestPromiseFile(t *testing.T) {
	fs := memfs.New()
	if err := fs.MkdirAll("data"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ promise, want time.Duration }{{0, 0}, {5, 5}, {3, 5}, {0, 5}, {7, 7}} {
		got, err := longestPromise(fs, "data", step.promise)
		if err != nil || got != step.want {
			t.Errorf("with %d: %d, %v, want %d", step.promise, got, err, step.want)
		}
	}
	for _, damaged := range []string{"", "BALSAPR1", string(encodePromise(5)) + "x", strings.Replace(string(encodePromise(5)), "\x05", "\x06", 1),
		strings.Replace(string(encodePromise(5)), "PR1", "PR2", 1), string(encodePromise(-1))} {
		if err := writeFile(fs, "data", promiseFile, []byte(damaged)); err != nil {
			t.Fatal(err)
		}
		if d, err := longestPromise(fs, "data", 5); err == nil || !strings.Contains(err.Error(), path.Join("data", promiseFile)) {
			t.Errorf("%x: %v, %v", damaged, d, err)
		}
	}
}

// TestWatch: a wall clock that gets ahead of the monotonic one means that the machine has slept. That it is set back, or slowly set right, does not.
func TestWatch(t *testing.T) {
	const ms = time.Millisecond
	w := watch{}
	for _, look := range []struct {
		monotonic, wall time.Duration
		want            bool
	}{
		{0, 0, false}, {5 * ms, 5 * ms, false}, {1000 * ms, 1000*ms + ms/2, false}, {2000 * ms, 2001 * ms, false},
		{2001 * ms, 5002 * ms, true}, {2002 * ms, 5003 * ms, false}, {2003 * ms, 4 * ms, false}, {2004 * ms, 7 * ms, true},
	} {
		if got := w.slept(look.monotonic, look.wall); got != look.want {
			t.Errorf("at %v, %v by the wall clock: slept %v, want %v", look.monotonic, look.wall, got, look.want)
		}
	}
}
