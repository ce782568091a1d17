package host

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// TestFailedTransferBeginsAnew: a snapshot that could not be received, because its disk was full for a moment, is not taken for one that is there, and comes again.
func TestFailedTransferBeginsAnew(t *testing.T) {
	for _, op := range []memfs.Op{memfs.OpCreate, memfs.OpWriteAt, memfs.OpRename} {
		c := compacting(t, 3)
		leader, m := c.elect(1), c.member(3)
		c.fill(leader, 0, 5)
		m.kill()
		c.fill(leader, 5, 100)
		m.start()
		failed := false
		m.fs.SetHook(func(is memfs.Op, name string) error {
			if failed || is != op || !strings.HasPrefix(name, "data/snapshots") {
				return nil
			}
			failed = true
			return errors.New("there is no room")
		})
		c.pass(200)
		if !failed || m.first() == 1 {
			t.Errorf("%v failed: %v; and n3 was not brought back: %v", op, failed, m.group.Status())
		}
		c.sameState()
	}
}

// sentCopy is the newest snapshot of a member as one message.
func (m *member) sentCopy() raft.InstallSnapshot {
	t := m.c.t
	t.Helper()
	meta, _, err := m.host.snapshots.Latest(testGroup)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.host.snapshots.Stream(meta)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return raft.InstallSnapshot{
		Term: m.term(), LeaderID: m.id, LastIncludedIndex: meta.Index, LastIncludedTerm: meta.Term, Configuration: meta.Configuration, Size: uint64(len(all)), Data: all,
	}
}

// TestSnapshotThatWasOvertaken: a snapshot that is whole only when its receiver has written a newer one itself is not kept.
func TestSnapshotThatWasOvertaken(t *testing.T) {
	c := compacting(t, 3)
	leader, m := c.elect(1), c.member(3)
	c.fill(leader, 0, 30)
	first := leader.sentCopy()
	second := first
	first.Data, second.Data, second.Offset = first.Data[:50], first.Data[50:], 50
	c.fill(leader, 30, 30) // nobody has that one any more
	expect(t, "snapshots", countSnapshots(t, m), 1)
	m.receive(1, first)
	m.work()
	c.fill(leader, 60, 30)
	newest, _, _ := m.host.snapshots.Latest(testGroup)
	m.receive(1, second)
	m.work()
	c.settle()
	expect(t, "snapshots", countSnapshots(t, m), 1)
	if now, _, err := m.host.snapshots.Latest(testGroup); err != nil || now.Index != newest.Index || now.Index <= first.LastIncludedIndex {
		t.Errorf("the newest is at %d, it was at %d: %v", now.Index, newest.Index, err)
	}
	c.fill(leader, 90, 3)
	c.sameState()
}

// TestOlderSnapshotIsStillWanted: a snapshot that came from a leader whose term was over, and was not installed, does not take the place of an older one from the next leader.
func TestOlderSnapshotIsStillWanted(t *testing.T) {
	c := compacting(t, 3)
	leader, m := c.elect(1), c.member(3)
	c.fill(leader, 0, 5)
	m.kill()
	c.fill(leader, 5, 30)
	older := leader.sentCopy()
	c.fill(leader, 35, 30)
	newer := leader.sentCopy()
	m.start()
	c.network = nil
	older.Term, older.LeaderID = newer.Term+1, 2
	m.receive(2, raft.AppendEntries{Term: older.Term, LeaderID: 2})
	m.receive(1, newer)
	m.step(PartReceiver) // the word that it is whole comes behind the next term
	m.work()
	expect(t, "snapshots", countSnapshots(t, m), 1)
	if at := m.group.Executed(); at >= older.LastIncludedIndex {
		t.Fatalf("n3 has executed up to %d", at)
	}
	m.receive(2, older)
	m.work()
	expect(t, "the last that is executed", m.group.Executed(), older.LastIncludedIndex)
	if err := m.group.Err(); err != nil {
		t.Error(err)
	}
}

// TestChangeThatASnapshotBrings: who waits for a change of the members hears of its end also if that is in a snapshot.
func TestChangeThatASnapshotBrings(t *testing.T) {
	c := compacting(t, 3)
	leader, m := c.elect(1), c.member(3)
	ch := m.group.ChangeMembers(raft.Change{Members: leader.group.Configuration().Members})
	m.work()
	c.without(m, func() {
		c.settle()
		c.fill(leader, 0, 60)
	})
	c.pass(60)
	if m.first() == 1 {
		t.Fatalf("n3 was not brought back by a snapshot: %v", m.group.Status())
	}
	expect(t, "the change is at its end", isClosed(ch.Done()), true)
}
