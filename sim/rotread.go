package sim

import (
	"bytes"
	"fmt"
	"io"
	"path"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/snapshot"
	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/wal"
)

// Rot in what a running member is about to read: entries that it reads back from its log, to execute them or for another member that lags, and what it has received of a
// snapshot and looks at once more when it has all. What is damaged by chance is seldom read before the next start, which reads everything.

// rotRead perhaps damages an entry that is being read back.
func (m *member) rotRead() {
	w := m.w
	if w.rotsRead == 0 || !w.chaos || m.nested || m.part != host.PartReader && m.part != host.PartSender {
		return
	}
	w.rotsRead--
	if m.diskFailed || m.shelf != nil || !w.mayLose(m) {
		return
	}
	w.rotReads++
	w.with(w.stream(ofRotRead, w.rotReads, 0), func() {
		from, to := m.readsNext()
		if from > to {
			return
		}
		w.checker.snapshotOf(m) // what is durable is known as that before it is damaged
		before := m.disk.fs.KillClone()
		name, at, n := w.findEntry(m, from+raft.Index(w.rand.Uint64N(uint64(min(to-from, 3)+1))))
		if n == 0 {
			return
		}
		at, n = at+w.rand.Int64N(int64(n)), 1
		verdict, undo := w.rotAt(m, name, at, n, before)
		if w.failure != nil || verdict != rotOfLog {
			undo()
			return
		}
		w.rotsRead = 0
		m.rots(verdict, name, at, n)
		w.reach(rotRead)
	})
}

// readsNext is which entries are being read, as far as can be told: those that are to be executed, or that another member lacks.
func (m *member) readsNext() (from, to raft.Index) {
	s := m.group.Status()
	if m.part == host.PartReader {
		return max(s.AppliedIndex+1, s.FirstIndex), s.CommitIndex
	}
	lagging := s.Peers[:0:0]
	for _, p := range s.Peers {
		if p.NextIndex >= s.FirstIndex && p.NextIndex <= s.LastIndex {
			lagging = append(lagging, p)
		}
	}
	if len(lagging) == 0 {
		return 1, 0
	}
	return lagging[m.w.rand.IntN(len(lagging))].NextIndex, s.LastIndex
}

// findEntry finds the bytes of an entry in a member's log, or none. If it was written more than once it is the last time that counts.
func (w *world) findEntry(m *member, i raft.Index) (name string, at int64, n int) {
	fs := m.disk.fs.KillClone()
	fs.SetCapacity(0)
	l, err := wal.Open(fs.KillClone(), logDir, w.knobs.log(m))
	if err != nil {
		return "", 0, 0
	}
	defer l.Close()
	es, err := l.Entries(group, i, i, 1)
	if err != nil || len(es[0].Data) < host.HeaderBytes { // fewer bytes can be found elsewhere, too
		return "", 0, 0
	}
	names, _ := fs.List(logDir)
	for _, in := range names {
		in = path.Join(logDir, in)
		if last := bytes.LastIndex(contents(fs, in), es[0].Data); last >= 0 {
			name, at, n = in, int64(last), len(es[0].Data)
		}
	}
	return name, at, n
}

// rotPart perhaps damages what a member has received of a snapshot, when that is being synced. What is damaged there is thrown away and sent again, so it may be any member's.
func (m *member) rotPart(name string) {
	if !m.w.knobs.drawn.has(FaultRot) {
		return
	}
	m.ambushStrike(60, FaultRot, "has rot in what it receives", func() {
		b := contents(m.disk.fs.KillClone(), name)
		if len(b) == 0 {
			return
		}
		at := m.w.rand.Int64N(int64(len(b)))
		m.w.flip(m.disk.fs, name, at, 1)
		m.tell("has rot in %s, at %d of %d bytes", name, at, len(b))
		m.w.reach(rotInPart)
	})
}

// readDamaged checks that who reads a snapshot that is damaged is given a beginning of what it was, and then an error. A machine may act on what it reads before it reads the end.
func (c *checker) readDamaged(m *member, name string, before, now *memfs.FS) {
	sound, err := openSnapshots(before)
	if err != nil {
		return
	}
	damaged, err := openSnapshots(now)
	if err != nil {
		return // that says so
	}
	for _, meta := range sound.List(group) {
		want, err := readSnapshot(sound, meta)
		if err != nil {
			continue
		}
		got, err := readSnapshot(damaged, meta)
		switch is := path.Base(name) == fmt.Sprintf("snap-%016x-%016x-%016x", meta.Group, meta.Index, meta.Term); {
		case !bytes.HasPrefix(want, got):
			c.w.fail("Rot", "n%d's snapshot %s is damaged, and who reads it is given other bytes than were written, after %d", m.id, name, len(got))
		case is && err == nil:
			c.w.fail("Rot", "n%d's snapshot %s is damaged, and can be read as if it were not", m.id, name)
		}
	}
}

func openSnapshots(fs *memfs.FS) (*snapshot.Store, error) {
	fs.SetCapacity(0)
	return snapshot.Open(fs, snapshotsDir, snapshot.Options{ClusterID: clusterID})
}

// readSnapshot returns the content up to its end, or to what cannot be read.
func readSnapshot(store *snapshot.Store, meta snapshot.Meta) ([]byte, error) {
	r, err := store.Read(meta)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
