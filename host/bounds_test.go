package host

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
	"github.com/balsa-raft/balsa/wire"
)

// TestAbandonedProposalsAreForgotten: callers that try for an hour while there is no leader leave nothing behind.
func TestAbandonedProposalsAreForgotten(t *testing.T) {
	c := newCluster(t, 3).startAll()
	c.elect(1)
	m := c.isolate(3)
	stays := m.propose("stays")
	for k := range 1000 {
		m.group.Abandon(m.propose(strings.Repeat("x", 100)))
		if k%10 == 9 {
			m.tick()
			c.network = nil
			if n := len(m.group.held); n > 2 {
				t.Fatalf("after %d proposals of callers that left, %d are held", k+1, n)
			}
		}
	}
	c.join(m)
	c.settle()
	expect(t, "the one that stayed", m.outcome(stays), "applied at 2")
	expect(t, "proposals held", len(m.group.held), 0)
	expect(t, "bytes held", m.group.heldBytes, 0)
	c.expectExecuted("stays")
}

// TestHeldProposalsAreGivenInBatches: what has waited for a leader goes to it in messages of bounded size.
func TestHeldProposalsAreGivenInBatches(t *testing.T) {
	c := newCluster(t, 3).startAll()
	c.elect(1)
	m := c.isolate(3)
	var ps []*Proposal
	for range 2 {
		ps = append(ps, m.propose(strings.Repeat("x", proposeBytesMax/2)))
	}
	ps = append(ps, m.propose(strings.Repeat("y", 3*proposeBytesMax/2)), m.propose("z"), m.propose("z"))
	for m.group.Status().Leader == 0 {
		for _, l := range take[raft.AppendEntries](c, 3) {
			c.deliver(l)
		}
		m.work()
		c.member(1).tick()
	}
	m.tick()
	var sizes []string
	for _, l := range take[raft.ForwardProposals](c, 1) {
		sizes = append(sizes, fmt.Sprint(len(l.message(t).(raft.ForwardProposals).Commands)))
		c.network = append(c.network, l)
	}
	expect(t, "proposals in each message", strings.Join(sizes, " "), "1 1 1 2")
	c.settle()
	for i, p := range ps {
		expect(t, fmt.Sprintf("proposal %d", i), m.outcome(p), fmt.Sprintf("applied at %d", i+2))
	}
}

// TestMessagesThatWaitAreBounded: peers cannot fill the memory of a member that is busy.
func TestMessagesThatWaitAreBounded(t *testing.T) {
	c := newCluster(t, 3).startAll()
	m := c.member(1)
	for _, test := range []struct {
		name    string
		message raft.Message
		bytes   int // that it takes at least
	}{
		{"entries", raft.AppendEntries{Term: 1, LeaderID: 2, Entries: []raft.Entry{{Term: 1, Index: 1, Data: make([]byte, 1<<20)}}}, 1 << 20},
		{"empty entries", raft.AppendEntries{Term: 1, LeaderID: 2, Entries: make([]raft.Entry, 1<<14)}, 32 << 14},
		{"commands", raft.ForwardProposals{Term: 1, Commands: [][]byte{make([]byte, 1<<20)}}, 1 << 20},
		{"empty commands", raft.ForwardProposals{Term: 1, Commands: make([][]byte, 1<<14)}, 32 << 14},
		{"changes", raft.ForwardChange{Term: 1, Change: raft.Change{Members: make([]raft.Member, raft.MembersMax)}}, 64 * raft.MembersMax},
		{"refused changes", raft.ForwardChangeReply{Term: 1, Detail: strings.Repeat("x", 4<<10)}, 4 << 10},
	} {
		for range 2 * inboxBytesMax / test.bytes {
			m.receive(2, test.message)
		}
		if n := len(m.host.shard.inbox.items); n == 0 || n*test.bytes > inboxBytesMax+test.bytes {
			t.Errorf("%s: %d of %d bytes wait", test.name, n, test.bytes)
		}
		// What is not from peers comes in all the same.
		p := m.propose("a")
		n := len(m.host.shard.inbox.items)
		expect(t, test.name+": the proposal", m.host.shard.inbox.items[n-1].proposal, p)
		m.group.Abandon(p)
		m.host.shard.inbox.take(nil)
	}
	m.host.Receive(2, []wire.Packet{{Group: testGroup + 1, Message: raft.ReadIndex{Term: 1}}})
	expect(t, "messages for a group that is not here", len(m.host.shard.inbox.items), 0)
}

// TestChunksThatWaitAreBounded: not even empty ones fill the memory of a member whose disk is stuck.
func TestChunksThatWaitAreBounded(t *testing.T) {
	m := newCluster(t, 3).startAll().member(1)
	for _, chunk := range []raft.InstallSnapshot{
		{Term: 1, LeaderID: 2, Data: make([]byte, 256<<10)},
		{Term: 1, LeaderID: 2, Configuration: make([]byte, 16<<10)},
		{Term: 1, LeaderID: 2},
	} {
		bytes := max(len(chunk.Data)+len(chunk.Configuration), 112)
		for range 2 * receiveBytesMax / bytes {
			m.receive(2, chunk)
			m.receive(2, raft.InstallSnapshotReply{Term: 1})
		}
		if n := len(m.host.receiver.inbox.items); n == 0 || n*bytes > receiveBytesMax+bytes {
			t.Errorf("%d chunks of %d bytes wait", n, bytes)
		}
		if n := len(m.host.sender.inbox.items); n == 0 || n*200 > receiveBytesMax {
			t.Errorf("%d answers wait", n)
		}
		m.host.receiver.inbox.take(nil)
		m.host.sender.inbox.take(nil)
	}
}

// TestProposalsThatWaitAreBounded: one more is refused at once, by its size and what it occupies besides, and the error says what the limit is.
func TestProposalsThatWaitAreBounded(t *testing.T) {
	for _, size := range []int{0, 1000, 20_000} {
		c := newCluster(t, 3)
		c.startAll()
		m := c.isolate(3) // it knows no leader, so they wait
		m.host.config.PendingBytesMax = 10_000
		var waiting []*Proposal
		var err error
		for err == nil && len(waiting) < 1000 {
			p := &Proposal{Data: make([]byte, HeaderBytes+size)}
			if err = m.group.Propose(p); err == nil {
				waiting = append(waiting, p)
			}
		}
		if !errors.Is(err, ErrOverloaded) || !errors.Is(err, ErrNotCommitted) || !strings.Contains(err.Error(), "the limit is 10000") {
			t.Errorf("%d bytes: after %d proposals the next one ends with %v", size, len(waiting), err)
		}
		// One is taken in any case, however large.
		if n := len(waiting); n < 1 || n > 1 && n*(size+proposalOverhead) > 10_000 {
			t.Errorf("%d proposals of %d bytes wait", n, size)
		}
		m.group.Abandon(waiting[0])
		if err := m.group.Propose(&Proposal{Data: make([]byte, HeaderBytes+size)}); err != nil {
			t.Errorf("%d bytes: when one has left: %v", size, err)
		}
	}
}

// TestChangesThatWaitAreBounded: of those that no leader takes on.
func TestChangesThatWaitAreBounded(t *testing.T) {
	c := newCluster(t, 3)
	c.startAll()
	m := c.isolate(3)
	wish := func() *MembersChange {
		ch := m.group.ChangeMembers(raft.Change{Members: []raft.Member{{ID: 3, Suffrage: raft.Voter}}})
		m.step(PartShard)
		return ch
	}
	var waiting []*MembersChange
	for range changesMax {
		waiting = append(waiting, wish())
	}
	over := wish()
	expect(t, "one more has ended", isClosed(over.Done()), true)
	expect(t, "for the limit", errors.Is(over.Err(), ErrOverloaded), true)
	expect(t, "the first has", isClosed(waiting[0].Done()), false)
	m.group.AbandonChange(waiting[0])
	m.step(PartShard)
	expect(t, "the first has when it is abandoned", isClosed(waiting[0].Done()), true)
	expect(t, "then another one has", isClosed(wish().Done()), false)
}

// TestAStuckMachineHoldsABoundedNumberOfEntries: the log goes on, and the entries behind stay on disk.
func TestAStuckMachineHoldsABoundedNumberOfEntries(t *testing.T) {
	c := newCluster(t, 3)
	c.raft.ApplyBytesMax, c.raft.CacheBytesMax = 10_000, 10_000
	c.startAll()
	l := c.elect(1)
	for _, stuck := range []*member{l, c.member(2)} {
		stuck.stalled[PartApplier] = true
		for range 200 {
			c.member(3).propose(strings.Repeat("x", 1000))
			c.settle()
		}
		bytes := uint64(0)
		for _, work := range stuck.host.applier.inbox.items {
			for _, e := range work.entries {
				bytes += e.Size()
			}
		}
		if bytes == 0 || bytes > 12_000 {
			t.Errorf("n%d: %d bytes wait for the machine", stuck.id, bytes)
		}
		stuck.stalled[PartApplier] = false
		c.settle()
	}
	c.pass(3)
	for _, m := range c.members {
		expect(t, fmt.Sprintf("commands that n%d has executed", m.id), len(m.machine.commands), 400)
	}
}

// TestABatchOnDiskIsBounded: what has piled up while the disk was stuck is not written at once.
func TestABatchOnDiskIsBounded(t *testing.T) {
	c := newCluster(t, 3).startAll()
	m := c.elect(1)
	watcher := &batchWatcher{}
	m.host.config.Observer = watcher
	m.host.writer.bytesMax = 5000
	m.stalled[PartWriter] = true
	sizes := []int{100, 4000, 4000, 20_000, 100, 100}
	for _, n := range sizes {
		m.propose(strings.Repeat("x", n))
		m.step(PartShard) // each becomes a save of its own
	}
	expect(t, "idle", m.host.Idle(PartWriter), false)
	m.stalled[PartWriter] = false
	c.settle()
	expect(t, "entries in each batch", fmt.Sprint(watcher.batches), "[2 1 1 2]")
	expect(t, "executed", len(m.machine.commands), len(sizes))
	expect(t, "durable", m.group.Status().DurableIndex, raft.Index(len(sizes)+1))
	expect(t, "bytes that wait", m.host.writer.inbox.bytes, 0)
}

// batchWatcher counts the entries of each batch.
type batchWatcher struct{ batches []int }

func (w *batchWatcher) Event(raft.GroupID, raft.Event) {}
func (w *batchWatcher) Saved([]wal.Save)               {}
func (w *batchWatcher) Saving(batch []wal.Save) {
	n := 0
	for i := range batch {
		n += len(batch[i].Entries)
	}
	w.batches = append(w.batches, n)
}

// TestInbox: a part is woken once for everything that comes while it is busy.
func TestInbox(t *testing.T) {
	q := newInbox[int]()
	size := func(n *int) int { return *n }
	wakes := func() int {
		n := len(q.wake)
		for range n {
			<-q.wake
		}
		return n
	}
	expect(t, "empty", q.empty(), true)
	for n := 1; n <= 4; n++ {
		expect(t, "taken in", q.put(n, n, 0), true)
	}
	expect(t, "wakes", wakes(), 1)
	expect(t, "over the limit", q.put(5, 5, 10), false)
	expect(t, "below the limit", q.put(5, 5, 11), true)
	expect(t, "wakes", wakes(), 0)
	expect(t, "up to 6 bytes", fmt.Sprint(q.takeUpTo(6, size, nil)), "[1 2 3]")
	expect(t, "bytes", q.bytes, 9)
	expect(t, "at least one", fmt.Sprint(q.takeUpTo(1, size, make([]int, 1, 9))), "[4]")
	expect(t, "the rest", fmt.Sprint(q.takeUpTo(5, size, nil)), "[5]")
	expect(t, "empty", q.empty(), true)
	expect(t, "bytes", q.bytes, 0)
	q.put(6, 0, 1)
	expect(t, "wakes", wakes(), 1)
	expect(t, "all", fmt.Sprint(q.take(nil)), "[6]")
	for range spareMax + 1 {
		q.put(7, 0, 0)
	}
	burst := q.take(nil)
	q.take(burst)
	expect(t, "room kept after a burst", cap(q.items), 0)
	q.take(make([]int, 3, spareMax))
	expect(t, "room kept", cap(q.items), spareMax)
	q.close()
	expect(t, "closed", q.put(7, 0, 0), false)
}
