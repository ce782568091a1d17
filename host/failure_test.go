package host

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/wire"
)

// failing makes operations of one kind on the disk fail.
func failing(op memfs.Op) memfs.Hook {
	return func(o memfs.Op, name string) error {
		if o == op {
			return syscall.EIO
		}
		return nil
	}
}

// TestFailStop: what ends a member, and what it and its callers do then. Each case begins with three members of whom n1 leads. It
// has a proposal that is in its log and on no other, one that it has not looked at, and a read that no majority has confirmed.
func TestFailStop(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(t *testing.T, c *cluster, m *member)
		want string // in the error
		host bool   // the whole host fails, not the group alone
		held string // how the proposal ends that was not looked at
		read string // how the read ends, if not by the failure
	}{
		{"a write fails", func(t *testing.T, c *cluster, m *member) {
			m.fs.SetHook(failing(memfs.OpWriteAt))
			m.step(PartWriter)
		}, "writeat", true, "not committed, failed", ""},

		{"a sync fails", func(t *testing.T, c *cluster, m *member) {
			m.fs.SetHook(failing(memfs.OpSync))
			m.step(PartWriter)
		}, "sync", true, "not committed, failed", ""},

		{"the disk is full", func(t *testing.T, c *cluster, m *member) {
			m.fs.SetHook(func(op memfs.Op, name string) error {
				if op == memfs.OpWriteAt {
					return syscall.ENOSPC
				}
				return nil
			})
			m.step(PartWriter)
		}, "no space", true, "not committed, failed", ""},

		{"what an idle log notes cannot be written", func(t *testing.T, c *cluster, m *member) {
			m.step(PartWriter)
			m.fs.SetHook(failing(memfs.OpWriteAt))
			m.host.preparer.Rest() // it was not idle
			m.host.preparer.Rest()
		}, "writeat", true, "not committed, failed", ""},

		{"the next segment cannot be named", func(t *testing.T, c *cluster, m *member) {
			m.propose(strings.Repeat("x", 64<<10))
			m.step(PartShard)
			for range 4 {
				m.step(PartWriter) // it uses up the segment that was ready
			}
			c.network = nil
			m.fs.SetHook(failing(memfs.OpRename))
			m.step(PartPreparer)
		}, "rename", true, "unknown, failed", ""},

		{"an old entry cannot be read", func(t *testing.T, c *cluster, m *member) {
			m.fs.SetHook(failing(memfs.OpReadAt))
			m.host.reader.inbox.put(loadWork{group: m.group, load: raft.Load{For: 2, From: 1, To: 1}}, 0, 0)
			m.step(PartReader)
		}, "readat", true, "not committed, failed", ""},

		{"an old entry is damaged", func(t *testing.T, c *cluster, m *member) {
			names, _ := m.fs.List("data/wal")
			for _, name := range names {
				for offset := int64(4096); offset < 64<<10; offset += 16 {
					m.fs.Flip("data/wal/"+name, offset, 1)
				}
			}
			m.host.reader.inbox.put(loadWork{group: m.group, load: raft.Load{For: 2, From: 1, To: 1}}, 0, 0)
			m.step(PartReader)
		}, "checksum", true, "not committed, failed", ""},

		{"a message proves that the cluster is broken", func(t *testing.T, c *cluster, m *member) {
			m.receive(2, raft.AppendEntries{Term: m.term(), LeaderID: 2})
		}, "Election Safety", false, "not committed, failed", ""},

		{"the state machine fails", func(t *testing.T, c *cluster, m *member) {
			m.machine.fail = errors.New("out of luck")
			c.pass(10)
		}, "out of luck", false, "unknown, failed", "as of 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t, 3).startAll()
			m := c.elect(1)
			given := m.propose("given")
			read := m.read()
			m.step(PartShard)
			c.network = nil
			held := m.propose("held")
			m.receive(3, raft.RequestVote{Term: m.term(), CandidateID: 3})
			test.do(t, c, m)
			m.work()
			m.host.fail(errors.New("once more"))
			m.work()
			calls := m.machine.calls

			err := m.group.Err()
			if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the group has stopped because of %v, want %q", err, test.want)
			}
			expect(t, "the host failed first", strings.Contains(m.host.Err().Error(), test.want), test.host)
			if len(m.ended) != 1 || m.ended[0] != err {
				t.Errorf("OnStop was told %v, want once %v", m.ended, err)
			}
			expect(t, "errors in the log", strings.Count(m.log.String(), "level=ERROR"), 2)
			expect(t, "given", m.outcome(given), "unknown, failed")
			expect(t, "held", m.outcome(held), test.held)
			expect(t, "read", answer(read), cmp.Or(test.read, "failed"))

			// From now on it is silent, and refuses. What came in before the failure, and was not looked at, gets no answer.
			if strings.HasPrefix(test.held, "unknown") {
				c.network = nil
			}
			m.fs.SetHook(nil)
			m.receive(2, raft.RequestVote{Term: 99, CandidateID: 2})
			for range 100 {
				m.tick()
			}
			for _, l := range c.network {
				if l.from == m.id {
					t.Errorf("it sends %#v", l.message(t))
				}
			}
			late := m.read()
			m.work()
			expect(t, "a read afterwards", answer(late), "failed")
			expect(t, "a proposal afterwards", describe(0, m.group.Propose(newProposal("late"))), "not committed, failed")
			expect(t, "reads that wait", m.group.readsWaiting.Load(), 0)
			expect(t, "proposals that wait", len(m.group.waiting), 0)
			expect(t, "calls of the machine afterwards", m.machine.calls-calls, 0)
			expect(t, "how often it was told", len(m.ended), 1)

			// The others go on without it.
			c.without(m, func() {
				c.member(2).host.Unreachable(1)
				c.member(3).host.Unreachable(1)
				p := c.elect(2).propose("b")
				c.settle()
				if got := c.member(2).outcome(p); !strings.HasPrefix(got, "applied") {
					t.Errorf("a proposal at the others: %s", got)
				}
			})
		})
	}
}

// TestAFailedMachineIsNotCalledAgain: batches that were under way behind the one that failed are not for it.
func TestAFailedMachineIsNotCalledAgain(t *testing.T) {
	c := newCluster(t, 1).startAll()
	m := c.elect(1)
	m.stalled[PartApplier] = true
	var ps []*Proposal
	for _, command := range []string{"a", "b", "c"} {
		ps = append(ps, m.propose(command))
		m.work() // each becomes a batch of its own
	}
	m.machine.fail = errors.New("out of luck")
	m.stalled[PartApplier] = false
	m.work()
	expect(t, "calls", m.machine.calls, 1)
	expect(t, "commands executed", strings.Join(m.machine.commands, " "), "")
	for i, p := range ps {
		expect(t, "outcome of "+string(rune('a'+i)), m.outcome(p), "unknown, failed")
	}
}

// TestEntriesThatAreGoneAreNoFailure: a peer's wish for entries that were superseded meanwhile is not granted.
func TestEntriesThatAreGoneAreNoFailure(t *testing.T) {
	c := newCluster(t, 3).startAll()
	m := c.elect(1)
	m.host.reader.inbox.put(loadWork{group: m.group, load: raft.Load{For: 2, From: 9, To: 9}}, 0, 0)
	m.work()
	if err := errors.Join(m.host.Err(), m.group.Err()); err != nil {
		t.Error(err)
	}
}

// TestAPauseIsOneTick: a process that was stopped for an hour finds an hour of ticks; what has arrived meanwhile must count before them.
func TestAPauseIsOneTick(t *testing.T) {
	c := newCluster(t, 3).startAll()
	c.elect(1)
	for _, m := range c.members {
		m.now += time.Hour
		for range 100 {
			m.step(PartShard)
		}
		expect(t, fmt.Sprintf("n%d's leader", m.id), m.group.Status().Leader, 1)
		expect(t, fmt.Sprintf("n%d's term", m.id), m.term(), 1)
	}
	c.settle()
	c.pass(3)
	expect(t, "n1's role", c.member(1).role(), raft.Leader)
}

// TestABadMessageIsIgnored: what no correct server sends is ignored, and reported now and then.
func TestABadMessageIsIgnored(t *testing.T) {
	c := newCluster(t, 3).startAll()
	m := c.elect(1)
	before := m.group.Status()
	bad := wire.Packet{Group: testGroup, Message: raft.AppendEntries{Term: before.Term + 5, LeaderID: 3}} // from n2
	const flood = 1000
	for range flood {
		m.host.Receive(2, []wire.Packet{bad})
		m.work()
	}
	after := m.group.Status()
	expect(t, "term", after.Term, before.Term)
	expect(t, "role", after.Role, before.Role)
	expect(t, "lines in the log", strings.Count(m.log.String(), "a message was ignored"), 1)
	m.now += warnEvery
	m.host.Receive(2, []wire.Packet{bad})
	m.work()
	expect(t, "lines in the log after a while", strings.Count(m.log.String(), "a message was ignored"), 2)
	if want := "leftOut=999"; !strings.Contains(m.log.String(), want) {
		t.Errorf("the log does not say %s:\n%s", want, &m.log)
	}
}
