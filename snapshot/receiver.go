package snapshot

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/balsa-raft/balsa/internal/must"
	"github.com/balsa-raft/balsa/vfs"
)

// Receiver puts together a snapshot's file from what another member streams. Nobody sees the snapshot before Commit.
//
// After a failure of the disk, and when what came is no such snapshot, all that was received is removed and every call
// returns that error; Receive then begins anew. Bytes of two different snapshots cannot mix: the first block that does
// not continue what is there ends the receiver.
type Receiver struct {
	store *Store
	meta  Meta
	part  *part
	file  vfs.File
	scan  scan  // follows what is written, as far as blocks are whole
	named bool  // the folder was synced, so the file is there after a crash
	err   error // why nothing more can be done
}

// Receive begins to receive a snapshot whose file has size bytes, or goes on where an earlier Receiver of the very same
// ended, in an earlier process too; what there is of any other snapshot of the group is removed. The Receiver must be
// ended by Commit, Close or Abort. Receive fails with ErrExists if the snapshot is there and is not known to be damaged,
// and with ErrBusy while the group has another Receiver, or the same snapshot is being made.
func (s *Store) Receive(m Meta, size int64) (*Receiver, error) {
	err := m.validate()
	m.Configuration = bytes.Clone(m.Configuration)
	header := appendHeader(nil, m, s.clusterID)
	if err == nil && !isFileSize(int64(len(header)), size) {
		err = fmt.Errorf("no snapshot has %d bytes", size)
	}
	var now, old *part
	if err == nil {
		now, old, err = s.claimPart(m.place(), size)
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot: receive that of %v: %w", m, err)
	}
	r := &Receiver{store: s, meta: m, part: now}
	r.scan = scan{name: s.path(r.name()), header: header, size: size}
	if err := r.open(old); err != nil {
		return nil, r.fail(err)
	}
	return r, nil
}

// claimPart reserves the group's place for a transfer, and the snapshot's name. old is what was there before.
func (s *Store) claimPart(p place, size int64) (now, old *part, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groupLocked(p.group)
	if g.part != nil && g.part.open {
		return nil, nil, ErrBusy
	}
	if err := s.claimLocked(p); err != nil {
		return nil, nil, err
	}
	old = g.part
	g.part = &part{place: p, open: true, size: size}
	return g.part, old, nil
}

// endPart ends the use of the group's place for transfers; left is what can be resumed, or nil.
func (s *Store) endPart(p place, left *part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[p.group]
	must.Be(g.part.open, "the transfer of a snapshot of group %d is ended by who has it", p.group)
	g.part = left
}

func (r *Receiver) name() string { return r.part.place.name() + partSuffix }

// open opens the file, with what can be resumed of old.
func (r *Receiver) open(old *part) (err error) {
	if old != nil && old.place == r.part.place && (old.size == r.scan.size || old.size < 0) {
		return r.resume(old)
	}
	if old != nil {
		if err := r.store.fs.Remove(r.store.path(old.place.name() + partSuffix)); err != nil {
			return err
		}
	}
	r.file, err = r.store.create(r.name())
	r.scan.file = r.file
	return err
}

// resume keeps the part's beginning as far as it is on the disk and its checksums are right.
func (r *Receiver) resume(old *part) (err error) {
	if r.file, err = r.store.fs.Open(r.store.path(r.name())); err != nil {
		return err
	}
	r.scan.file = r.file
	has, err := r.file.Size()
	if err != nil {
		return err
	}
	trusted := old.trusted
	if trusted < 0 {
		trusted = r.boundary(has)
	}
	r.scan.have = min(trusted, has, r.scan.size)
	// Whatever is not valid there, of another snapshot perhaps or lost in a crash, can be sent again.
	if err := r.scan.run(); err != nil && err != errMore && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
		return err
	}
	r.scan.have = r.scan.offset
	return r.file.Truncate(r.scan.offset)
}

// boundary is below which all of a part with so many bytes was synced: Write has synced at every multiple of syncBytes
// before it wrote beyond. What is above may be in the page cache only, and clean since a sync that failed in a process
// that died of it; no sync would bring it to the disk any more, and no checksum would tell.
func (r *Receiver) boundary(has int64) int64 {
	if has == 0 {
		return 0
	}
	return (has - 1) / r.store.syncBytes * r.store.syncBytes
}

// Meta is what is being received.
func (r *Receiver) Meta() Meta { return r.meta }

// Size is the file's when all has come, in bytes.
func (r *Receiver) Size() int64 { return r.scan.size }

// Offset is where the next bytes must begin.
func (r *Receiver) Offset() int64 { return r.scan.have }

// Write adds the file's bytes from offset on, which must be Offset. It does not keep data. It fails with ErrOffset, and
// nothing is lost, if they begin elsewhere or go beyond Size; with a *CorruptError if they cannot be this snapshot's.
func (r *Receiver) Write(offset int64, data []byte) error {
	if r.err != nil {
		return r.err
	}
	if offset != r.scan.have || int64(len(data)) > r.scan.size-r.scan.have {
		return fmt.Errorf("snapshot: receive that of %v: %d bytes at offset %d, where offset %d of %d comes next: %w",
			r.meta, len(data), offset, r.scan.have, r.scan.size, ErrOffset)
	}
	for len(data) > 0 {
		part := min(writtenBytes, r.store.syncBytes)
		n := min(int64(len(data)), part-r.scan.have%part)
		if _, err := r.file.WriteAt(data[:n], r.scan.have); err != nil {
			return r.fail(err)
		}
		r.scan.have += n
		data = data[n:]
		if r.scan.have%part == 0 { // at the multiples of syncBytes before anything is written beyond: see boundary
			if err := r.sync(); err != nil {
				return r.fail(err)
			}
		}
	}
	if err := r.scan.run(); err != nil && err != errMore {
		return r.fail(err)
	}
	return nil
}

// sync makes durable what has come, and that it is there.
func (r *Receiver) sync() error {
	if err := r.file.Sync(); err != nil {
		return err
	}
	if r.named {
		return nil
	}
	r.named = true
	return r.store.fs.SyncDir(r.store.dir)
}

// Commit checks the whole file as it is on the disk and makes it durable, and then visible. It fails with ErrIncomplete,
// and nothing is lost, while bytes are missing. After any other error the snapshot is not there, except that, if the
// folder could not be synced, the next Open may find it.
func (r *Receiver) Commit() error {
	if r.err != nil {
		return r.err
	}
	if r.scan.have < r.scan.size {
		return fmt.Errorf("snapshot: commit that of %v: %d of %d bytes: %w", r.meta, r.scan.have, r.scan.size, ErrIncomplete)
	}
	if err := r.file.Sync(); err != nil {
		return r.fail(err)
	}
	// Once more from the beginning: hours may have passed since the first bytes were checked.
	all := scan{file: r.file, name: r.scan.name, header: r.scan.header, size: r.scan.size, have: r.scan.size, buf: r.scan.buf}
	if err := all.run(); err != nil {
		return r.fail(err)
	}
	r.err = ErrClosed
	defer r.store.endPart(r.part.place, nil)
	return r.store.publish(r.file, r.name(), r.meta, r.scan.size)
}

// Close ends the receiver and keeps what has come, for the next Receive of the same snapshot. It does nothing after
// Commit, Close, Abort or an error.
func (r *Receiver) Close() error {
	if r.err != nil {
		return nil
	}
	if err := r.sync(); err != nil {
		return r.fail(err)
	}
	if err := r.file.Close(); err != nil {
		r.file = nil
		return r.fail(err)
	}
	r.err = ErrClosed
	r.store.release(r.part.place)
	r.store.endPart(r.part.place, &part{place: r.part.place, size: r.scan.size, trusted: r.scan.have})
	return nil
}

// Abort gives the transfer up and removes what has come. It does nothing after Commit, Close, Abort or an error.
func (r *Receiver) Abort() {
	if r.err == nil {
		r.discard(ErrClosed)
	}
}

func (r *Receiver) fail(err error) error {
	err = fmt.Errorf("snapshot: receive that of %v, which is given up: %w", r.meta, err)
	r.discard(err)
	return err
}

// discard removes what was received. If that fails, a Receive of the same snapshot does it, or the next Open finds it.
func (r *Receiver) discard(err error) {
	r.err = err
	if r.file != nil {
		r.file.Close()
	}
	r.store.removeFile(r.name())
	r.store.release(r.part.place)
	r.store.endPart(r.part.place, nil)
}
