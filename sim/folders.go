package sim

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
)

// What a member's folders hold when it has nothing to do: what it knows of, and not more of it than what is alive demands. A file that everybody has forgotten is there until somebody looks for what
// fills the disk.

// tidy is what is to be known of an incarnation for that.
type tidy struct {
	wrote     raft.Index // the last snapshot that it has written itself: those before it are to go
	received  bool       // it was sent a part of a snapshot, and may hold it
	erred     bool       // its disk did, so that something could not be removed
	unremoved int        // so many snapshots that could not

	appends uint64 // to the log, when it was let settle last
	looked  bool   // at the log, since the last of them
}

// named takes in that a file of the snapshots' folder gets another name.
func (t *tidy) named(name string, by host.Part) {
	if i, temp, ok := parseSnapshot(path.Base(name)); ok && temp == ".tmp" && by == host.PartSnapshotter {
		t.wrote = i
	}
}

// parseSnapshot reads a snapshot's name.
func parseSnapshot(name string) (i raft.Index, suffix string, ok bool) {
	var g, t uint64
	if _, err := fmt.Sscanf(name, "snap-%16x-%16x-%16x", &g, &i, &t); err != nil {
		return 0, "", false
	}
	return i, path.Ext(name), true
}

// checkFolders looks at the folders of all members that are well.
func (w *world) checkFolders() {
	for _, m := range w.cluster() {
		if w.failure != nil || !m.up || m.disk.rotten || m.diskFailed || m.tidy.erred || m.disk.wasFull == m.incarnation || m.host.Err() != nil || m.group.Err() != nil {
			continue
		}
		busy := false
		for p := host.PartShard; p < host.PartCount; p++ {
			busy = busy || !m.host.Idle(p) && p != host.PartRest
		}
		if !busy && !m.host.Sending() {
			m.checkLogFolder()
			m.checkSnapshotsFolder()
		}
	}
}

// checkLogFolder: the log's files are those that it counts, what it takes for alive is so, and of the rest there is no more than package wal says.
func (m *member) checkLogFolder() {
	w, fs, is := m.w, m.disk.fs.KillClone(), m.host.LogStats()
	names, err := fs.List(logDir)
	if err != nil {
		w.fail("Assertion", "n%d's log: %v", m.id, err)
		return
	}
	bytes, largest := int64(0), w.knobs.segmentBytes
	for _, name := range names {
		size := int64(len(contents(fs, path.Join(logDir, name))))
		bytes, largest = bytes+size, max(largest, size)
	}
	if len(names) != is.Segments || bytes != is.Bytes {
		w.fail("Room", "n%d's log has %d files of %d bytes, and knows of %d of %d: %v", m.id, len(names), bytes, is.Segments, is.Bytes, names)
		return
	}
	fs.SetCapacity(0)
	l, err := wal.Open(fs, logDir, w.knobs.log(m))
	if err != nil {
		w.fail("Recovery", "n%d's log, of which nothing is being written, cannot be read: %v", m.id, err)
		return
	}
	defer l.Close()
	if has := l.Stats().Live; has != is.Live {
		w.fail("Room", "n%d takes %d bytes of its log for alive, and %d are", m.id, is.Live, has)
	}
	if w.knobs.segmentBytes < 8*blockBytes {
		return // one has room for a frame or two, and those that are moved must not make one
	}
	entries := int64(m.disk.durable.last() + 1 - m.disk.durable.first) // each may be in a frame of its own
	const parts, segments = 6, 4
	if most := parts*(entries*blockBytes+is.Live) + int64(segments+w.knobs.spareSegments)*largest; bytes > most {
		w.fail("Room", "n%d's log has %d bytes on disk for %d entries of %d bytes: at most %d are expected", m.id, bytes, entries, is.Live, most)
	}
}

// checkSnapshotsFolder: what is before the member's own last snapshot is gone, and nothing is left of what was never finished.
func (m *member) checkSnapshotsFolder() {
	w, t := m.w, &m.tidy
	names, err := m.disk.fs.KillClone().List(snapshotsDir)
	if err != nil {
		w.fail("Assertion", "n%d's snapshots: %v", m.id, err)
		return
	}
	parts := 0
	for _, name := range names {
		i, suffix, ok := parseSnapshot(name)
		switch {
		case !ok:
		case suffix == ".tmp":
			w.fail("Room", "n%d writes no snapshot, and has %s", m.id, name)
		case suffix == ".part":
			parts++
			if i < t.wrote && !t.received {
				w.fail("Room", "n%d has written a snapshot at %d, and still has a part of an older one: %v", m.id, t.wrote, names)
			}
		case i < t.wrote:
			w.fail("Room", "n%d has written a snapshot at %d, and still has an older one: %v", m.id, t.wrote, names)
		}
	}
	if parts > 1 {
		w.fail("Room", "n%d has parts of %d snapshots, and can go on with one: %v", m.id, parts, slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".part") }))
	}
}
