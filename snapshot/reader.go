package snapshot

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/balsa-raft/balsa/vfs"
)

// Reader reads a snapshot's content; it is an io.Reader. What it returns has passed its block's checksum, but the
// content is complete only where Read returns io.EOF: the trailer was checked then.
type Reader struct {
	stream *Stream
	meta   Meta
	scan   scan
	rest   []byte // of the block that was read last
	err    error  // that follows rest
}

// Read opens a snapshot's content. The Reader must be closed; until then the file stays, also if it is pruned. Read
// fails with ErrNotFound if there is none, and with why it cannot be used if it is known to be damaged.
func (s *Store) Read(m Meta) (*Reader, error) {
	st, err := s.Stream(m)
	if err != nil {
		return nil, err
	}
	r := &Reader{stream: st, meta: st.entry.meta}
	r.scan = scan{
		file: st.file, name: s.path(r.meta.place().name()), header: appendHeader(nil, r.meta, s.clusterID),
		size: st.Size(), have: st.Size(),
	}
	return r, nil
}

// Meta is the snapshot's, with its Configuration.
func (r *Reader) Meta() Meta { return r.meta }

// Size is the file's, in bytes, as Stream.Size.
func (r *Reader) Size() int64 { return r.stream.Size() }

// Read implements io.Reader. Damage is a *CorruptError; the store remembers it.
func (r *Reader) Read(b []byte) (n int, err error) {
	for len(r.rest) == 0 && r.err == nil && len(b) > 0 {
		r.rest, r.err = r.scan.next()
		if errors.Is(r.err, ErrCorrupt) {
			r.stream.store.damaged(r.stream.entry, r.err)
		}
	}
	n = copy(b, r.rest)
	r.rest = r.rest[n:]
	if n == 0 && len(b) > 0 {
		return 0, r.err
	}
	return n, nil
}

// Close ends the reading. Its error is that of removing the file if it was pruned meanwhile.
func (r *Reader) Close() error {
	if r.err == nil || r.err == io.EOF {
		r.err = ErrClosed
	}
	r.rest = nil
	return r.stream.Close()
}

// Verify reads the whole snapshot and returns nil if it is what was written. Damage is a *CorruptError; the store
// remembers it. For a member whose snapshot others refuse, and for idle hours.
func (s *Store) Verify(m Meta) error {
	r, err := s.Read(m)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

// Stream gives a snapshot's file as it is, header and checksums included, for a member that receives it. It may be used
// by many goroutines at once. The bytes are not checked here but by who receives them: Verify tells whose fault it is.
type Stream struct {
	store *Store
	entry *entry
	file  vfs.File
	once  sync.Once // of Close
	err   error     // Close's
}

// Stream opens a snapshot's file. The Stream must be closed; until then the file stays, also if it is pruned. It
// fails as Read does.
func (s *Store) Stream(m Meta) (*Stream, error) {
	e, err := s.acquire(m)
	if err != nil {
		return nil, fmt.Errorf("snapshot: open that of %v: %w", m, err)
	}
	file, err := s.fs.Open(s.path(e.meta.place().name()))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("snapshot: %w", err), s.leave(e))
	}
	return &Stream{store: s, entry: e, file: file}, nil
}

// Meta is the snapshot's, with its Configuration.
func (st *Stream) Meta() Meta { return st.entry.meta }

// Size is the file's, in bytes: what Receive needs to know.
func (st *Stream) Size() int64 { return st.entry.size }

// ReadAt implements io.ReaderAt.
func (st *Stream) ReadAt(b []byte, offset int64) (int, error) { return st.file.ReadAt(b, offset) }

// Close ends the streaming. Its error is that of removing the file if it was pruned meanwhile.
func (st *Stream) Close() error {
	st.once.Do(func() { st.err = errors.Join(st.file.Close(), st.store.leave(st.entry)) })
	return st.err
}
