package sim

import (
	"syscall"
	"time"

	"github.com/balsa-raft/balsa/vfs/memfs"
)

// A disk may have room for bytes and none for names: no inode is left, or a folder's next block. Then no file or folder is made, none gets another name,
// and what was changed in a folder cannot be synced. On a full disk that happens beside, for some seconds.

// fillNames decides whether a full disk is full of names, too.
func (m *member) fillNames() {
	w, full := m.w, m.disk.full
	w.with(w.stream(ofNames, uint64(m.id), uint64(full)), func() {
		if m.disk.noNames = w.chance(300); !m.disk.noNames {
			return
		}
		m.tell("has no room for names on its disk")
		w.after(between(w.rand, 0, 10*time.Second), func() { // not for good: a member that cannot start meets nothing else
			if m.disk.full == full {
				m.disk.noNames = false
			}
		})
	})
}

// name sees every operation that changes the disk, and fails those for which there is no room.
func (m *member) name(op memfs.Op, name string) error {
	if !m.disk.noNames || !m.w.chaos {
		return nil
	}
	at, ok := noRoomFor[op]
	if !ok {
		return nil
	}
	if op == memfs.OpMkdirAll {
		if _, err := m.disk.fs.KillClone().List(name); err == nil {
			return nil // it is there
		}
	}
	m.tell("the disk has no room to %v %s", op, name)
	m.w.strikes(FaultFull, m)
	m.w.reach(at)
	return syscall.ENOSPC
}

// noRoomFor are the operations that need room for names.
var noRoomFor = map[memfs.Op]state{memfs.OpCreate: fullCreate, memfs.OpRename: fullRename, memfs.OpSyncDir: fullSyncDir, memfs.OpMkdirAll: fullMkdir}
