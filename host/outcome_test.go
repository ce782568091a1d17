package host

import (
	"fmt"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
)

// TestOutcomes: how a proposal ends for its caller, and how often it is executed. Each case begins with three members of whom n1
// leads, and nothing is under way.
func TestOutcomes(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(t *testing.T, c *cluster)
		want string // the commands that everybody has executed in the end, and nothing else
	}{
		{"at the leader", func(t *testing.T, c *cluster) {
			p := c.member(1).propose("a")
			expect(t, "at once", c.member(1).outcome(p), "waits")
			c.settle()
			expect(t, "in the end", c.member(1).outcome(p), "applied at 2")
			i, err := c.member(1).group.Abandon(p)
			expect(t, "abandoned afterwards", describe(i, err), "applied at 2")
		}, "a"},

		{"at a follower", func(t *testing.T, c *cluster) {
			p := c.member(2).propose("a")
			c.settle()
			expect(t, "in the end", c.member(2).outcome(p), "applied at 2")
		}, "a"},

		{"too large", func(t *testing.T, c *cluster) {
			err := c.member(1).group.Propose(newProposal(strings.Repeat("x", 8<<20+1)))
			expect(t, "at once", describe(0, err), "not committed, too large")
		}, ""},

		{"abandoned before it was given to anybody", func(t *testing.T, c *cluster) {
			p := c.member(1).propose("a")
			i, err := c.member(1).group.Abandon(p)
			expect(t, "abandoned", describe(i, err), "not committed")
		}, ""},

		{"abandoned while no leader is known", func(t *testing.T, c *cluster) {
			m := c.isolate(3)
			p := m.propose("a")
			m.work()
			i, err := m.group.Abandon(p)
			expect(t, "abandoned", describe(i, err), "not committed, no leader")
			c.join(m)
		}, ""},

		{"abandoned while nobody answers, and committed later", func(t *testing.T, c *cluster) {
			m := c.member(1)
			p := m.propose("a")
			m.work()
			letters := append(take[raft.AppendEntries](c, 2), take[raft.AppendEntries](c, 3)...)
			i, err := m.group.Abandon(p)
			expect(t, "abandoned", describe(i, err), "unknown")
			c.network = letters
			c.settle()
			expect(t, "in the end", m.outcome(p), "unknown")
		}, "a"},

		{"abandoned while the machine executes it", func(t *testing.T, c *cluster) {
			m := c.member(1)
			p := m.propose("a")
			m.machine.during = func() {
				i, err := m.group.Abandon(p)
				expect(t, "abandoned", describe(i, err), "unknown")
			}
			c.settle()
			expect(t, "in the end", m.outcome(p), "unknown")
			expect(t, "bytes that wait", m.group.pendingBytes, 0)
		}, "a"},

		{"lost with its leadership, and given again", func(t *testing.T, c *cluster) {
			m := c.member(1)
			p := m.propose("a")
			m.work()
			c.network = nil
			c.depose(1, 2)
			expect(t, "while the term is not passed", m.outcome(p), "waits")
			c.pass(3)
			expect(t, "in the end", m.outcome(p), "applied at 3")
		}, "a"},

		{"lost with its leadership, and abandoned after that is known", func(t *testing.T, c *cluster) {
			m := c.member(1)
			p := m.propose("a")
			m.work()
			c.network = nil
			c.depose(1, 2)
			m.stalled[PartApplier] = true
			c.pass(3)
			m.step(PartApplier) // it sees the new leader's entry; the shard does not hear of it yet
			i, err := m.group.Abandon(p)
			expect(t, "abandoned", describe(i, err), "not committed")
			m.stalled[PartApplier] = false
		}, ""},

		{"outlives its leader", func(t *testing.T, c *cluster) {
			m := c.member(1)
			p := m.propose("a")
			m.work()
			take[raft.AppendEntries](c, 3)
			for _, l := range take[raft.AppendEntries](c, 2) { // n2 has it, and n1 does not hear of it
				c.deliver(l)
			}
			c.member(2).work()
			c.network = nil
			c.depose(1, 2)
			c.pass(3)
			expect(t, "in the end", m.outcome(p), "applied at 2")
		}, "a"},

		{"refused late, when it is known to be lost and on its way again", func(t *testing.T, c *cluster) {
			m := c.member(2)
			p := m.propose("a")
			m.work()
			forwarded := take[raft.ForwardProposals](c, 1)
			m.stalled[PartApplier] = true
			c.depose(1, 3)
			c.pass(3)
			c.deliver(forwarded[0])
			c.member(1).work()
			refusal := take[raft.ForwardReply](c, 2)
			m.step(PartApplier) // it sees the new leader's entry; the shard does not hear of it before the refusal
			c.deliver(refusal[0])
			m.stalled[PartApplier] = false
			c.pass(3)
			expect(t, "in the end", m.outcome(p), "applied at 3")
		}, "a"},

		{"forwarded and lost", func(t *testing.T, c *cluster) {
			m := c.member(2)
			p := m.propose("a")
			m.work()
			take[raft.ForwardProposals](c, 1)
			c.pass(1)
			expect(t, "before it is sent again", m.outcome(p), "waits")
			c.pass(40)
			expect(t, "in the end", m.outcome(p), "applied at 2")
		}, "a"},

		{"forwarded and lost, and abandoned", func(t *testing.T, c *cluster) {
			m := c.member(2)
			p := m.propose("a")
			m.work()
			take[raft.ForwardProposals](c, 1)
			i, err := m.group.Abandon(p)
			expect(t, "abandoned", describe(i, err), "unknown")
			c.pass(40)
		}, "a"},

		{"forwarded, and its answer lost", func(t *testing.T, c *cluster) {
			m := c.member(2)
			p := m.propose("a")
			m.work()
			c.deliver(take[raft.ForwardProposals](c, 1)[0])
			c.member(1).work()
			expect(t, "answers", len(take[raft.ForwardReply](c, 2)), 1)
			c.settle()
			expect(t, "in the end", m.outcome(p), "applied at 2")
			c.pass(40) // it is forwarded again all the same
		}, "a"},

		{"refused, and the refusal lost", func(t *testing.T, c *cluster) {
			l, m := c.member(1), c.member(2)
			l.propose(strings.Repeat("x", 1000))
			l.work()
			take[raft.AppendEntries](c, 3)
			entries := take[raft.AppendEntries](c, 2)
			p := m.propose("a")
			m.work()
			c.deliver(take[raft.ForwardProposals](c, 1)[0])
			l.work()
			expect(t, "refusals", len(take[raft.ForwardReply](c, 2)), 1)
			c.network = entries
			c.pass(40) // the leader has room by now, but it has said no, and must stay with that
			expect(t, "in the end", m.outcome(p), "not committed, overloaded")
		}, strings.Repeat("x", 1000)},

		{"more than fit in the window", func(t *testing.T, c *cluster) {
			m := c.member(2)
			var ps []*Proposal
			for range 9 {
				ps = append(ps, m.propose("a"))
				m.work()
			}
			expect(t, "forwards", len(take[raft.ForwardProposals](c, 1)), 7)
			c.pass(40)
			for i, p := range ps {
				expect(t, "in the end", m.outcome(p), fmt.Sprintf("applied at %d", 2+i))
			}
		}, "a a a a a a a a a"},

		{"forwarded and lost, and given again in the next term", func(t *testing.T, c *cluster) {
			m := c.member(2)
			p := m.propose("a")
			m.work()
			take[raft.ForwardProposals](c, 1)
			c.depose(1, 3)
			c.pass(3)
			expect(t, "in the end", m.outcome(p), "applied at 3")
		}, "a"},

		{"forwarded twice by the network", func(t *testing.T, c *cluster) {
			m := c.member(2)
			p := m.propose("a")
			m.work()
			c.network = append(c.network, c.network...)
			c.settle()
			expect(t, "in the end", m.outcome(p), "applied at 2")
		}, "a"},

		{"forwarded, and copied to the next term of the same leader", func(t *testing.T, c *cluster) {
			m := c.member(2)
			p := m.propose("a")
			m.work()
			copies := append([]letter(nil), c.network...)
			c.settle()
			c.depose(1, 3)
			c.pass(3)
			c.depose(3, 1)
			c.pass(3)
			c.network = copies
			c.settle()
			expect(t, "in the end", m.outcome(p), "applied at 2")
		}, "a"},

		{"forwarded, and copied to its leader's next life", func(t *testing.T, c *cluster) {
			m := c.member(2)
			p := m.propose("a")
			m.work()
			copies := append([]letter(nil), c.network...)
			c.settle()
			c.member(1).kill()
			c.member(1).start()
			c.network = copies
			c.settle()
			expect(t, "in the end", m.outcome(p), "applied at 2")
		}, "a"},

		{"refused by who no longer leads, and given again", func(t *testing.T, c *cluster) {
			m := c.member(2)
			p := m.propose("a")
			m.work()
			late := take[raft.ForwardProposals](c, 1)
			c.depose(1, 3)
			c.pass(3) // n2 knows by now that it is lost, and has given it again
			expect(t, "in the next term", m.outcome(p), "applied at 3")
			c.network = append(late, late...)
			c.settle()
		}, "a"},

		{"refused twice, the second time after it was given again", func(t *testing.T, c *cluster) {
			m := c.member(2)
			p := m.propose("a")
			m.work()
			late := take[raft.ForwardProposals](c, 1)
			m.stalled[PartApplier] = true // so that it learns of its loss by the refusal alone
			c.depose(1, 3)
			c.pass(3)
			c.deliver(late[0])
			c.member(1).work()
			refusals := take[raft.ForwardReply](c, 2)
			expect(t, "refusals", len(refusals), 1)
			c.deliver(refusals[0])
			m.work()
			m.tick()
			forwards := take[raft.ForwardProposals](c, 3)
			expect(t, "forwards in the next term", len(forwards), 1)
			m.stalled[PartApplier] = false
			c.network = append(refusals, forwards...)
			c.network = append(c.network, refusals...)
			c.settle()
			expect(t, "in the end", m.outcome(p), "applied at 3")
		}, "a"},

		{"refused, and held until there is a later term", func(t *testing.T, c *cluster) {
			m := c.member(2)
			p := m.refusedLate("a")
			expect(t, "refusals", len(c.network), 1)
			for range 5 {
				c.settle()
				m.tick()
				expect(t, "n2's leader", m.group.Status().Leader, 1)
				expect(t, "forwards in the same term", len(take[raft.ForwardProposals](c, 1)), 0)
			}
			c.pass(50)
			expect(t, "in the end", m.outcome(p), "applied at 3")
		}, "a"},

		{"refused, and abandoned while it is held", func(t *testing.T, c *cluster) {
			m := c.member(2)
			p := m.refusedLate("a")
			c.settle()
			i, err := m.group.Abandon(p)
			expect(t, "abandoned", describe(i, err), "not committed")
		}, ""},

		{"abandoned while it is executed together with an entry of the next term", func(t *testing.T, c *cluster) {
			m := c.member(1)
			m.stalled[PartWriter] = true // so that both become durable here, and are executed, at once
			p := m.propose("a")
			m.work()
			take[raft.AppendEntries](c, 3)
			c.deliver(take[raft.AppendEntries](c, 2)[0])
			c.member(2).work()
			c.network = nil
			c.depose(1, 2)
			c.pass(3)
			m.stalled[PartWriter] = false
			m.machine.during = func() {
				expect(t, "terms seen", m.group.appliedTerm, 2)
				i, err := m.group.Abandon(p)
				expect(t, "abandoned", describe(i, err), "unknown")
			}
			c.pass(3)
			expect(t, "in the end", m.outcome(p), "unknown")
		}, "a"},

		{"with the number that another member's has", func(t *testing.T, c *cluster) {
			for _, m := range c.members {
				m.group.lastID = 5
			}
			p, q, r := c.member(1).propose("a"), c.member(2).propose("b"), c.member(3).propose("c")
			c.settle()
			expect(t, "n1", c.member(1).outcome(p), "applied at 2")
			expect(t, "n2", c.member(2).outcome(q), "applied at 3")
			expect(t, "n3", c.member(3).outcome(r), "applied at 4")
		}, "a b c"},

		{"refused by an overloaded leader", func(t *testing.T, c *cluster) {
			l, m := c.member(1), c.member(2)
			big := l.propose(strings.Repeat("x", 1000))
			l.work()
			entries := take[raft.AppendEntries](c, 2)
			p := m.propose("a")
			m.work()
			forward := take[raft.ForwardProposals](c, 1)
			take[raft.AppendEntries](c, 3)
			c.deliver(forward[0])
			l.work()
			refusals := take[raft.ForwardReply](c, 2)
			expect(t, "refusals", len(refusals), 1)
			c.network = append(refusals, refusals...)
			c.network = append(c.network, entries...)
			c.settle()
			expect(t, "in the end", m.outcome(p), "not committed, overloaded")
			expect(t, "the leader's own", l.outcome(big), "applied at 2")
		}, strings.Repeat("x", 1000)},

		{"an overloaded leader's own", func(t *testing.T, c *cluster) {
			l := c.member(1)
			l.propose(strings.Repeat("x", 1000))
			l.work()
			p := l.propose("a")
			l.work()
			expect(t, "at once", l.outcome(p), "not committed, overloaded")
			c.settle()
		}, strings.Repeat("x", 1000)},

		{"of a member that has restarted since", func(t *testing.T, c *cluster) {
			m := c.member(2)
			m.propose("a")
			m.work()
			forward := take[raft.ForwardProposals](c, 1)
			m.kill()
			m.start()
			c.pass(3)
			p := m.propose("b")
			m.work()
			c.network = append(forward, c.network...)
			c.settle()
			expect(t, "of its next life", m.outcome(p), "applied at 3")
		}, "a b"},

		{"while a refusal for an earlier life of its member is under way", func(t *testing.T, c *cluster) {
			l, m := c.member(1), c.member(2)
			l.propose(strings.Repeat("x", 1000))
			l.work()
			take[raft.AppendEntries](c, 3)
			entries := take[raft.AppendEntries](c, 2)
			m.propose("a")
			m.work()
			c.deliver(take[raft.ForwardProposals](c, 1)[0])
			l.work()
			refusals := take[raft.ForwardReply](c, 2)
			expect(t, "refusals", len(refusals), 1)
			m.kill()
			m.start()
			c.network = append(c.network, entries...)
			c.settle()
			c.pass(3)
			p := m.propose("b")
			m.work() // it is forwarded in the same term
			c.network = append(c.network, refusals...)
			c.settle()
			expect(t, "in the end", m.outcome(p), "applied at 3")
		}, strings.Repeat("x", 1000) + " b"},

		{"of a member whose clock was set back when it started again", func(t *testing.T, c *cluster) {
			m := c.member(2)
			for range 3 {
				m.propose("a")
				c.settle()
			}
			m.kill()
			m.clock = -1 << 40
			m.start()
			c.pass(3)
			p := m.propose("b")
			c.settle()
			expect(t, "in the end", m.outcome(p), "applied at 5")
		}, "a a a b"},

		{"over the limit of what may wait", func(t *testing.T, c *cluster) {
			m := c.isolate(3)
			m.host.config.PendingBytesMax = 100
			p := m.propose(strings.Repeat("x", 500)) // one always may
			err := m.group.Propose(newProposal("a"))
			expect(t, "the next one", describe(0, err), "not committed, overloaded")
			m.group.Abandon(p)
			q := m.propose("b")
			c.join(m)
			expect(t, "when there is room again", m.outcome(q), "applied at 2")
		}, "b"},

		{"of a member that closes", func(t *testing.T, c *cluster) {
			m := c.member(1)
			given := m.propose("a")
			m.work()
			c.network = nil
			held := m.propose("b")
			m.close()
			expect(t, "given", m.outcome(given), "unknown, closed")
			expect(t, "not given", m.outcome(held), "not committed, closed")
			expect(t, "afterwards", describe(0, m.group.Propose(newProposal("c"))), "not committed, closed")
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t, 3)
			c.raft.UncommittedBytesMax, c.raft.InflightBytesMax = 500, 300
			c.startAll().elect(1)
			test.do(t, c)
			c.settle()
			c.pass(50)
			c.expectExecuted(strings.Fields(test.want)...)
			for _, m := range c.members {
				if m.host != nil {
					expect(t, "proposals that wait", len(m.group.waiting), 0)
					expect(t, "bytes that wait", m.group.pendingBytes, 0)
				}
			}
		})
	}
}

// refusedLate proposes a command on a member that follows n1. It is passed on, and refused: n1 has stepped down, of which the member does not hear. The refusal is on its way.
func (m *member) refusedLate(command string) *Proposal {
	c := m.c
	p := m.propose(command)
	m.work()
	late := take[raft.ForwardProposals](c, 1)
	c.isolate(1)
	c.deliver(late[0])
	c.member(1).work()
	return p
}
