package host

import (
	"errors"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/vfs/memfs"
)

// TestLogOutlivesAFailedSnapshot: as long as no snapshot can be written the log is kept, and a restart finds all of it.
func TestLogOutlivesAFailedSnapshot(t *testing.T) {
	for _, op := range []memfs.Op{memfs.OpCreate, memfs.OpWriteAt, memfs.OpSync, memfs.OpRename} {
		c := compacting(t, 1)
		m := c.elect(1)
		m.fs.SetHook(func(is memfs.Op, name string) error {
			if is == op && strings.HasPrefix(name, "data/snapshots") {
				return errors.New("there is no room")
			}
			return nil
		})
		c.fill(m, 0, 60)
		if m.first() > 1 {
			t.Errorf("%v fails, and the log begins with entry %d", op, m.first())
		}
		m.kill()
		m.start()
		c.fill(c.elect(1), 60, 60)
		expect(t, "commands that were executed", len(m.machine.commands), 120)
		if m.first() == 1 {
			t.Errorf("%v fails no more, and the log still begins with entry 1", op)
		}
	}
}
