package host

import (
	"errors"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// TestReads: when a read ends, and what it then reflects. Each case begins with three members of whom n1 leads; entry 1 is its
// first, and nothing is under way.
func TestReads(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(t *testing.T, c *cluster)
	}{
		{"at the leader", func(t *testing.T, c *cluster) {
			r := c.member(1).read()
			c.member(1).work()
			expect(t, "before a majority answers", answer(r), "waits")
			c.settle()
			expect(t, "in the end", answer(r), "as of 1")
		}},

		{"at a follower", func(t *testing.T, c *cluster) {
			r := c.member(2).read()
			c.settle()
			expect(t, "in the end", answer(r), "as of 1")
		}},

		{"many at once share one round", func(t *testing.T, c *cluster) {
			var rs []*Read
			for range 100 {
				rs = append(rs, c.member(2).read())
			}
			c.member(2).work()
			expect(t, "requests to the leader", len(c.network), 1)
			c.settle()
			for _, r := range rs {
				expect(t, "in the end", answer(r), "as of 1")
			}
		}},

		{"behind a write, while the machine lags", func(t *testing.T, c *cluster) {
			m := c.member(2)
			m.stalled[PartApplier] = true
			c.member(1).propose("a")
			c.settle()
			r := m.read()
			c.settle()
			expect(t, "before the machine has it", answer(r), "waits")
			m.stalled[PartApplier] = false
			c.settle()
			expect(t, "in the end", answer(r), "as of 2")
		}},

		{"at a leader that was deposed without hearing of it", func(t *testing.T, c *cluster) {
			m := c.member(1)
			c.depose(1, 2)
			c.without(m, func() {
				c.member(2).propose("a")
				c.settle()
			})
			r := m.read()
			m.work() // it asks the others for a confirmation that they do not give
			c.settle()
			c.pass(3)
			expect(t, "in the end", answer(r), "as of 3")
		}},

		{"at a leader that nobody answers any more", func(t *testing.T, c *cluster) {
			m := c.member(1)
			r := m.read()
			for range 60 { // it steps down meanwhile, and asks itself who leads
				m.tick()
				c.network = nil
			}
			expect(t, "role", m.role(), raft.PreCandidate)
			expect(t, "without a leader", answer(r), "waits")
			c.depose(1, 2)
			c.without(m, func() {
				c.member(2).propose("a")
				c.settle()
			})
			c.pass(3)
			expect(t, "in the end", answer(r), "as of 3")
		}},

		{"whose leader changes, and whose answer comes late", func(t *testing.T, c *cluster) {
			m := c.member(3)
			before := m.read()
			late := c.answerOf(m, 1)
			c.depose(1, 2) // n3 asks again
			c.without(m, func() {
				c.member(2).propose("a")
				c.member(2).propose("b")
				c.settle()
			})
			m.stalled[PartApplier] = true
			after := m.read()
			m.work()
			take[raft.ReadIndex](c, 2)
			c.network = append(late, late...)
			c.settle()
			expect(t, "one that began before", answer(before), "as of 2")
			expect(t, "one that began after", answer(after), "waits")
			m.stalled[PartApplier] = false
			c.pass(5)
			expect(t, "in the end", answer(after), "as of 4")
		}},

		{"whose request is lost", func(t *testing.T, c *cluster) {
			r := c.member(3).read()
			c.member(3).work()
			expect(t, "requests", len(take[raft.ReadIndex](c, 1)), 1)
			c.pass(5)
			expect(t, "in the end", answer(r), "as of 1")
		}},

		{"whose answer is lost", func(t *testing.T, c *cluster) {
			r := c.member(3).read()
			c.answerOf(c.member(3), 1)
			expect(t, "without it", answer(r), "waits")
			c.pass(5)
			expect(t, "in the end", answer(r), "as of 1")
		}},

		{"whose answer comes twice, the second time to another one", func(t *testing.T, c *cluster) {
			m := c.member(3)
			first := m.read()
			answers := c.answerOf(m, 1)
			c.deliver(answers[0])
			m.work()
			expect(t, "the first", answer(first), "as of 1")
			m.stalled[PartApplier] = true
			c.member(1).propose("a")
			c.settle()
			second := m.read()
			m.work()
			take[raft.ReadIndex](c, 1)
			c.network = answers
			c.settle()
			expect(t, "the second, after a copy", answer(second), "waits")
			m.stalled[PartApplier] = false
			c.pass(5)
			expect(t, "in the end", answer(second), "as of 2")
		}},

		{"of a member's earlier life", func(t *testing.T, c *cluster) {
			m := c.member(3)
			m.read()
			late := c.answerOf(m, 1)
			m.kill()
			c.member(1).propose("a")
			c.settle()
			m.start()
			m.stalled[PartApplier] = true
			c.pass(5)
			r := m.read()
			m.work()
			c.network = append(late, c.network...)
			c.settle()
			expect(t, "after the late answer", answer(r), "waits")
			m.stalled[PartApplier] = false
			c.settle()
			expect(t, "in the end", answer(r), "as of 2")
		}},

		{"while the disks of all others are stuck", func(t *testing.T, c *cluster) {
			c.member(2).stalled[PartWriter], c.member(3).stalled[PartWriter] = true, true
			p, r := c.member(1).propose("a"), c.member(1).read()
			c.settle()
			expect(t, "the write", c.member(1).outcome(p), "waits")
			expect(t, "the read, which needs no disk", answer(r), "as of 1")
			c.member(2).stalled[PartWriter], c.member(3).stalled[PartWriter] = false, false
		}},

		{"before the leader's first commit", func(t *testing.T, c *cluster) {
			c.member(2).propose("a")
			c.settle() // n2 and n3 have it, and have not heard that it is committed
			l, other := c.member(2), c.member(3)
			l.host.Unreachable(1)
			other.host.Unreachable(1)
			other.work()
			for l.role() != raft.Leader && l.now < 10*time.Second {
				l.tick()
				for _, letter := range append(take[raft.RequestVote](c, 3), take[raft.RequestVoteReply](c, 2)...) {
					c.deliver(letter)
				}
				other.work()
				l.work()
			}
			expect(t, "role", l.role(), raft.Leader)
			c.network = nil // its first entry reaches nobody
			r := l.read()
			l.work()
			expect(t, "requests for a read that could be too early", len(c.network), 0)
			expect(t, "before its first commit", answer(r), "waits")
			c.pass(5)
			expect(t, "in the end", answer(r), "as of 3")
		}},

		{"abandoned without a leader", func(t *testing.T, c *cluster) {
			m := c.isolate(3)
			var rs []*Read
			for range 10 {
				rs = append(rs, m.read())
			}
			m.work()
			for _, r := range rs[1:] {
				r.Abandon()
			}
			m.tick()
			c.network = nil
			expect(t, "reads that wait", m.group.readsWaiting.Load(), 1)
			c.join(m)
			c.settle()
			expect(t, "the one that stayed", answer(rs[0]), "as of 1")
		}},

		{"over the limit", func(t *testing.T, c *cluster) {
			m := c.member(1)
			m.group.readsWaiting.Store(readsMax - 1)
			r := m.read()
			_, err := m.group.Read(Linearizable)
			expect(t, "the next one", errors.Is(err, ErrOverloaded), true)
			c.settle()
			expect(t, "the last that was taken", answer(r), "as of 1")
			m.group.readsWaiting.Add(-(readsMax - 1))
		}},

		{"of a member that closes", func(t *testing.T, c *cluster) {
			m := c.member(1)
			c.member(2).stalled[PartApplier] = true
			m.stalled[PartApplier] = true
			m.propose("a")
			c.settle()
			ready := m.read() // confirmed, at an entry that is not executed
			c.settle()
			asked := m.read()
			m.work()
			c.network = nil
			held := m.read() // still in the inbox
			m.close()
			for what, r := range map[string]*Read{"confirmed": ready, "asked": asked, "held": held} {
				expect(t, what, answer(r), "closed")
			}
			_, err := m.group.Read(Linearizable)
			expect(t, "afterwards", errors.Is(err, ErrClosed), true)
			c.member(2).stalled[PartApplier] = false
			expect(t, "reads that wait", m.group.readsWaiting.Load(), 0)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t, 3).startAll()
			c.elect(1)
			test.do(t, c)
			c.settle()
			c.pass(50)
			for _, m := range c.members {
				if m.host == nil {
					continue
				}
				s := &m.group.readers
				if n := m.group.readsWaiting.Load(); n != 0 || len(s.held)+len(s.leased)+len(s.asked)+len(s.ready) != 0 {
					t.Errorf("n%d: %d reads wait: %d held, %d asked, %d ready", m.id, n, len(s.held), len(s.asked), len(s.ready))
				}
			}
		})
	}
}

// answerOf lets a member's request for a read index reach the leader, and returns the answers, which are under way.
func (c *cluster) answerOf(m *member, leader raft.NodeID) []letter {
	c.t.Helper()
	m.work()
	for _, l := range take[raft.ReadIndex](c, leader) {
		c.deliver(l)
	}
	for range 5 {
		for _, o := range c.members {
			if o == m {
				continue
			}
			o.work()
			for _, l := range append(take[raft.AppendEntries](c, o.id), take[raft.AppendEntriesReply](c, o.id)...) {
				c.deliver(l)
			}
		}
	}
	answers := take[raft.ReadIndexReply](c, m.id)
	if len(answers) != 1 {
		c.t.Fatalf("%d answers to n%d, want 1", len(answers), m.id)
	}
	c.network = nil
	return answers
}
