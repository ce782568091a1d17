package host

import (
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
)

// TestK1_ALostAnswerIsNotRepeated: a command is executed, and its proposer hears of nothing, not even that the leader has died. It does not
// propose it again: it may do so only when it is certain that the command is lost, and it is not.
func TestK1_ALostAnswerIsNotRepeated(t *testing.T) {
	c := newCluster(t, 3).startAll()
	c.elect(1)
	m := c.member(3)
	p := m.propose("a")
	m.work()
	forwards := take[raft.ForwardProposals](c, 1)
	c.without(m, func() {
		c.deliver(forwards[0])
		c.settle()
	})
	for range 30 {
		m.tick() // it asks again and again
		c.network = nil
	}
	expect(t, "while nobody answers", m.outcome(p), "waits")
	c.depose(1, 2)
	c.pass(3)
	c.network = append(c.network, forwards...)
	c.settle()
	expect(t, "in the end", m.outcome(p), "applied at 2")
	c.expectExecuted("a")
}

// TestK2_AnotherCommandAtItsIndex: what a deposed leader was given has index 3 in its log, and what is executed as 3 is a command of another
// leader. It is not taken for the answer.
func TestK2_AnotherCommandAtItsIndex(t *testing.T) {
	c := newCluster(t, 3).startAll()
	m := c.elect(1)
	first, second := m.propose("first"), m.propose("second")
	m.work()
	expect(t, "the last entry of n1", m.group.raft.Status().LastIndex, 3)
	c.network = nil
	c.depose(1, 2)
	other := c.member(2).propose("another")
	c.without(m, c.settle)
	expect(t, "the other", c.member(2).outcome(other), "applied at 3")
	expect(t, "before n1 hears of it", m.outcome(second), "waits")
	c.pass(3)
	expect(t, "the first", m.outcome(first), "applied at 4")
	expect(t, "the second", m.outcome(second), "applied at 5")
	c.expectExecuted("another", "first", "second")
}

// TestK3_DeposedIsNotFailed: a leader is deposed with a command under way, and its caller goes. The command may yet be executed, and is: the
// caller must not have been told that it failed.
func TestK3_DeposedIsNotFailed(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(m *member, p *Proposal) string
	}{
		{"abandoned", func(m *member, p *Proposal) string { return describe(m.group.Abandon(p)) }},
		{"closed", func(m *member, p *Proposal) string { m.close(); return m.outcome(p) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t, 3).startAll()
			m := c.elect(1)
			p := m.propose("a")
			m.work()
			for _, l := range take[raft.AppendEntries](c, 2) {
				c.deliver(l)
			}
			c.member(2).work()
			c.network = nil
			if m.host != nil {
				c.isolate(1) // it steps down
			}
			if got := test.end(m, p); !strings.HasPrefix(got, "unknown") {
				t.Errorf("its caller is told %q", got)
			}
			c.depose(1, 2)
			c.pass(3)
			c.expectExecuted("a")
		})
	}
}
