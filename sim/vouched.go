package sim

import (
	"encoding/binary"
	"errors"
	"path"
	"strconv"
	"strings"

	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/wal"
)

// The last thing that was written to a log cannot be told from an interrupted write until something says that it was durable. That something is there once the log has been idle for a while, and as soon
// as a start has gone on from it: damage is noticed then wherever it is.

// rests takes in that a member's log was let settle.
func (m *member) rests() {
	if appends := m.host.LogStats().Appends; appends != m.tidy.appends {
		m.tidy.appends, m.tidy.looked = appends, false
	} else if !m.tidy.looked {
		m.tidy.looked = true
		m.checkVouched("has been idle")
	}
}

// checkStarted looks at some of the logs that a start has read.
func (m *member) checkStarted() {
	const part = 3
	if m.incarnation%part == 0 && m.host.LogStats().Appends == 0 {
		m.checkVouched("was just read by a start")
	}
}

// checkVouched damages the last frame of a log, and then the header of its segment, each on a copy.
func (m *member) checkVouched(log string) {
	if m.disk.rotten || m.diskFailed || m.host.Err() != nil || m.w.failure != nil {
		return
	}
	fs := m.disk.fs.KillClone()
	fs.SetCapacity(0)
	const headersCRC, framesCRC = 60, 44
	if name, at := lastFrame(fs); name != "" {
		m.checkNoticed(fs.KillClone(), log, name, at+framesCRC)
		m.checkNoticed(fs, log, name, headersCRC)
	}
}

func (m *member) checkNoticed(fs *memfs.FS, log, name string, at int64) {
	w := m.w
	if err := fs.Flip(name, at, 1); err != nil {
		w.fail("Assertion", "%s cannot be damaged: %v", name, err)
		return
	}
	l, err := wal.Open(fs, logDir, w.knobs.log(m))
	if err == nil {
		l.Close()
	}
	if !errors.Is(err, wal.ErrCorrupt) {
		w.fail("Rot", "n%d's log %s, and that %s is damaged at %d, where its end is, is not noticed: %v", m.id, log, name, at, err)
	}
}

// lastFrame finds the last frame that has records: docs/formats.md has the bytes.
func lastFrame(fs *memfs.FS) (name string, at int64) {
	names, _ := fs.List(logDir)
	last := uint64(0)
	for _, segment := range names {
		number, err := strconv.ParseUint(strings.TrimPrefix(segment, "wal-"), 16, 64)
		if err != nil {
			continue
		}
		le, b := binary.LittleEndian, contents(fs, path.Join(logDir, segment))
		for i := blockBytes; i+blockBytes <= len(b); i += blockBytes {
			f := b[i:]
			if lsn := le.Uint64(f[24:]); string(f[:4]) == "bFrm" && le.Uint32(f[8:]) > 0 && le.Uint64(f[16:]) == number && lsn >= last {
				name, at, last = path.Join(logDir, segment), int64(i), lsn
			}
		}
	}
	return name, at
}
