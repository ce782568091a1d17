package host

import (
	"errors"
	"io"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/snapshot"
)

// Snapshotter writes snapshots of what the applier has pinned.
type Snapshotter struct {
	host  *Host
	inbox *inbox[snapshotWork]
	batch []snapshotWork // scratch
	rest  func() error   // taken between two pieces of a snapshot; nil if there is none. It fails once the host is closing
}

type snapshotWork struct {
	group   *Group
	meta    snapshot.Meta
	write   func(io.Writer) error // nil: the snapshot is there, and the machine continues from it
	compact raft.Index            // the log goes up to here when it is done; zero: not at all
}

// Step writes what waits. It reports whether there is more to do.
func (s *Snapshotter) Step() (more bool) {
	s.batch = s.inbox.take(s.batch)
	for i := range s.batch {
		work := &s.batch[i]
		if err := work.group.Err(); err != nil {
			s.giveUp(work, err)
			continue
		}
		s.write(work)
	}
	return !s.inbox.empty()
}

func (s *Snapshotter) write(work *snapshotWork) {
	g, m := work.group, work.meta
	// Before the snapshot is there: once it is the newest, what the machine has kept counts only if it goes at least as far.
	if err := g.sync(); err != nil {
		s.giveUp(work, err)
		s.host.shard.inbox.put(input{kind: inputFailed, group: g, err: err}, 0, 0)
		return
	}
	if work.write == nil {
		s.host.pruneSnapshots(g, m.Index)
		return
	}
	size, err := s.store(m, work.write)
	if err != nil {
		size = 0
	}
	g.compaction.done(size)
	if errors.Is(err, ErrClosed) {
		return
	}
	if err != nil {
		s.host.logger.Warn("a snapshot could not be written; the log is kept", "group", uint64(g.id), "index", uint64(m.Index), "error", err)
		return
	}
	s.host.logger.Debug("a snapshot was written", "group", uint64(g.id), "index", uint64(m.Index), "bytes", size)
	s.host.shard.inbox.put(input{kind: inputSnapshotted, group: g, index: work.compact}, 0, 0)
	s.host.pruneSnapshots(g, m.Index)
}

// pruneSnapshots removes the snapshots before one that is there.
func (h *Host) pruneSnapshots(g *Group, before raft.Index) {
	if err := h.snapshots.Prune(g.id, before); err != nil {
		h.logger.Warn("old snapshots could not be removed", "group", uint64(g.id), "error", err)
	}
}

// giveUp lets the machine release what it has pinned.
func (s *Snapshotter) giveUp(work *snapshotWork, err error) {
	if work.write != nil {
		work.write(failingWriter{err})
		work.group.compaction.done(0)
	}
}

// close gives up what waits.
func (s *Snapshotter) close() {
	s.batch = s.inbox.take(s.batch)
	for i := range s.batch {
		s.giveUp(&s.batch[i], ErrClosed)
	}
}

// store writes a snapshot and makes it durable.
func (s *Snapshotter) store(m snapshot.Meta, write func(io.Writer) error) (size int64, err error) {
	w, err := s.host.snapshots.Create(m)
	if err != nil {
		return 0, errors.Join(err, write(failingWriter{err}))
	}
	counted := pieceWriter{w: w, rest: s.rest}
	if err := write(&counted); err != nil {
		w.Abort()
		return 0, err
	}
	return counted.n, w.Commit()
}

// pieceBytes is how much of a snapshot is written between two rests.
const pieceBytes = 256 << 10

// pieceWriter counts what is written, and takes a rest behind each piece.
type pieceWriter struct {
	w      io.Writer
	n      int64
	rest   func() error
	rested int64 // n at the last rest
}

func (p *pieceWriter) Write(b []byte) (written int, err error) {
	for len(b) > 0 && err == nil {
		if p.n-p.rested >= pieceBytes && p.rest != nil {
			if err := p.rest(); err != nil {
				return written, err
			}
			p.rested = p.n
		}
		var n int
		n, err = p.w.Write(b[:min(len(b), pieceBytes)])
		p.n += int64(n)
		written += n
		b = b[n:]
	}
	return written, err
}

// failingWriter lets a machine give up what it has pinned when there is nowhere to write it.
type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
