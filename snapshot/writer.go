package snapshot

import (
	"bytes"
	"fmt"
	"hash/crc32"

	"github.com/balsa-raft/balsa/internal/must"
	"github.com/balsa-raft/balsa/vfs"
)

// Writer writes the content of a new snapshot; it is an io.Writer. Nobody sees the snapshot before Commit. After an
// error, of a full disk too, the unfinished file is removed and every call returns that error.
type Writer struct {
	store *Store
	meta  Meta
	name  string // of the unfinished file
	file  vfs.File

	offset      int64 // where the next block goes
	synced      int64 // below which the file was synced
	content     int64
	crcOfHeader uint32
	crc         uint32 // of the block, or header, before
	sum         uint32 // IEEE, of all before offset
	buf         []byte // the block that is being filled, with its header's place; reused
	err         error  // why nothing more can be done
}

// Create begins a snapshot. The Writer must be ended, by Commit or by Abort. Create fails with ErrExists if the snapshot
// is there and is not known to be damaged, and with ErrBusy if it is being made.
func (s *Store) Create(m Meta) (*Writer, error) {
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("snapshot: create that of %v: %w", m, err)
	}
	p := m.place()
	if err := s.claim(p); err != nil {
		return nil, fmt.Errorf("snapshot: create that of %v: %w", m, err)
	}
	m.Configuration = bytes.Clone(m.Configuration)
	w := &Writer{store: s, meta: m, name: p.name() + tempSuffix}
	file, err := s.create(w.name)
	if err != nil {
		s.release(p)
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	w.file = file
	w.buf = appendHeader(w.buf, m, s.clusterID)
	w.crcOfHeader = headerCRC(w.buf)
	w.crc = w.crcOfHeader
	if err := w.writeBuf(); err != nil {
		return nil, err
	}
	return w, nil
}

// Write adds to the content. It does not keep b.
func (w *Writer) Write(b []byte) (n int, err error) {
	if w.err != nil {
		return 0, w.err
	}
	for n < len(b) {
		k := min(len(b)-n, blockHeaderBytes+blockBytes-len(w.buf))
		w.buf = append(w.buf, b[n:n+k]...)
		if len(w.buf) == blockHeaderBytes+blockBytes {
			if err := w.writeBlock(); err != nil {
				return n, err
			}
		}
		n += k
	}
	return n, nil
}

// writeBlock writes the block in buf.
func (w *Writer) writeBlock() error {
	w.crc = sealBlock(w.buf, w.crc)
	w.content += int64(len(w.buf) - blockHeaderBytes)
	return w.writeBuf()
}

// writtenBytes is how much a Writer or a Receiver lets gather before it syncs, at most; it divides a store's syncBytes, or is more. While it syncs,
// the log's own syncs wait, and with them all callers.
const writtenBytes = 256 << 10

// writeBuf writes buf, and makes it an empty block.
func (w *Writer) writeBuf() error {
	if _, err := w.file.WriteAt(w.buf, w.offset); err != nil {
		return w.fail(err)
	}
	w.offset += int64(len(w.buf))
	w.sum = crc32.Update(w.sum, crc32.IEEETable, w.buf)
	// In parts: one sync of everything at the end would keep the disk from the log for as long as it takes.
	if w.offset-w.synced >= min(writtenBytes, w.store.syncBytes) {
		if err := w.sync(); err != nil {
			return err
		}
	}
	w.buf = append(w.buf[:0], make([]byte, blockHeaderBytes)...)
	return nil
}

func (w *Writer) sync() error {
	if err := w.file.Sync(); err != nil {
		return w.fail(err)
	}
	w.synced = w.offset
	return nil
}

// Commit makes the snapshot durable, and then visible. After an error it is not there, except that, if the folder could
// not be synced, the next Open may find it.
func (w *Writer) Commit() error {
	if w.err != nil {
		return w.err
	}
	if len(w.buf) > blockHeaderBytes {
		if err := w.writeBlock(); err != nil {
			return err
		}
	}
	w.buf = appendTrailer(w.buf[:0], w.content, w.sum, w.crcOfHeader)
	if err := w.writeBuf(); err != nil {
		return err
	}
	if err := w.sync(); err != nil {
		return err
	}
	size := fileBytes(int64(headerFixedBytes+len(w.meta.Configuration)), w.content)
	must.Be(w.offset == size, "a file with %d bytes of content has %d bytes, not %d", w.content, size, w.offset)
	w.err = ErrClosed
	return w.store.publish(w.file, w.name, w.meta, size)
}

// Abort gives the snapshot up and removes the unfinished file. It does nothing after Commit, Abort or an error.
func (w *Writer) Abort() {
	if w.err == nil {
		w.discard(ErrClosed)
	}
}

func (w *Writer) fail(err error) error {
	err = fmt.Errorf("snapshot: write that of %v, which is given up: %w", w.meta, err)
	w.discard(err)
	return err
}

// discard removes the unfinished file. If that fails, the next Create or Open does it.
func (w *Writer) discard(err error) {
	w.err = err
	w.file.Close()
	w.store.removeFile(w.name)
	w.store.release(w.meta.place())
}
