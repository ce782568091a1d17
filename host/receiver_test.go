package host

import (
	"errors"
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
