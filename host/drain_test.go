package host

import (
	"errors"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
)

// TestDrain: a group that is drained takes nothing more, and waits for what it has taken, but not for ever.
func TestDrain(t *testing.T) {
	c := newCluster(t, 3).startAll()
	c.elect(1)
	for _, id := range []raft.NodeID{1, 2} { // a leader, and a follower that forwards
		m := c.member(id)
		under := m.propose("x")
		d := m.group.beginDrain()
		late := newProposal("late")
		expect(t, "a proposal that comes later", describe(0, m.group.Propose(late)), "not committed, closed")
		m.work()
		expect(t, "the drain has ended", isClosed(d.done), false)
		c.settle()
		expect(t, "the drain has ended", isClosed(d.done), true)
		expect(t, "what was under way", firstWord(m.outcome(under)), "applied")
	}

	m := c.member(3)
	m.propose("lost")
	d := m.group.beginDrain()
	for range c.raft.ElectionTicks - 1 {
		m.tick()
		c.network = nil
	}
	expect(t, "the drain has ended too early", isClosed(d.done), false)
	m.tick()
	expect(t, "the drain has ended", isClosed(d.done), true)

	d = m.group.beginDrain()
	m.close()
	expect(t, "the drain of a host that is closed has ended", isClosed(d.done), true)
	expect(t, "and one that comes after that", isClosed(m.group.beginDrain().done), true)
}

// firstWord of an outcome leaves out where it is.
func firstWord(s string) string {
	w, _, _ := strings.Cut(s, " ")
	return w
}

// TestDrainOfAStoppedGroup: there is nothing to wait for.
func TestDrainOfAStoppedGroup(t *testing.T) {
	c := newCluster(t, 1).startAll()
	m := c.elect(1)
	m.stalled[PartWriter] = true
	m.propose("x")
	before := m.group.beginDrain()
	m.work()
	expect(t, "a drain has ended", isClosed(before.done), false)
	m.group.fail(errors.New("out of luck"))
	after := m.group.beginDrain()
	m.work()
	expect(t, "a drain that had begun has ended", isClosed(before.done), true)
	expect(t, "one that begins has ended", isClosed(after.done), true)
}

// TestTransferHoldsProposalsNoLongerThanItLasts: what cannot be taken while the lead is handed over goes to the next leader as soon as that is
// known, without waiting for time to pass, on the old leader as on the others.
func TestTransferHoldsProposalsNoLongerThanItLasts(t *testing.T) {
	c := newCluster(t, 3).startAll()
	old := c.elect(1)
	old.group.Transfer(2)
	old.work()
	ask := take[raft.TimeoutNow](c, 2)
	expect(t, "messages that ask n2 to stand", len(ask), 1)
	first, second := old.propose("first"), c.member(3).propose("second")
	c.settle()
	expect(t, "held by the old leader", old.outcome(first), "waits")
	expect(t, "held by a follower", c.member(3).outcome(second), "waits")
	c.deliver(ask[0])
	c.settle()
	expect(t, "n2", c.member(2).role(), raft.Leader)
	expect(t, "held by the old leader", firstWord(old.outcome(first)), "applied")
	expect(t, "held by a follower", firstWord(c.member(3).outcome(second)), "applied")
}

// TestRefusalAfterTheNextLeaderIsKnown: what comes back then is given again in the same step.
func TestRefusalAfterTheNextLeaderIsKnown(t *testing.T) {
	c := newCluster(t, 3).startAll()
	old, m := c.elect(1), c.member(3)
	old.group.Transfer(2)
	old.work()
	ask := take[raft.TimeoutNow](c, 2)
	p := m.propose("x")
	m.work()
	for _, l := range take[raft.ForwardProposals](c, 1) {
		c.deliver(l)
	}
	old.work()
	refusal := take[raft.ForwardReply](c, 3)
	c.deliver(ask[0])
	var news []letter
	for len(news) == 0 { // until n2 leads, and says so to n3
		c.member(1).work()
		c.member(2).work()
		if news = take[raft.AppendEntries](c, 3); len(news) > 0 && c.member(2).role() == raft.Leader {
			break
		}
		news = nil
		for _, l := range append(take[raft.RequestVote](c, 1), take[raft.RequestVoteReply](c, 2)...) {
			c.deliver(l)
		}
	}
	c.deliver(news[0])
	c.deliver(refusal[0])
	m.step(PartShard)
	expect(t, "forwards to the new leader", len(take[raft.ForwardProposals](c, 2)), 1)
	expect(t, "the proposal", m.outcome(p), "waits")
}
