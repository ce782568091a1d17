package snapshot

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt is wrapped by a *CorruptError: a file is not what was written.
	ErrCorrupt = errors.New("snapshot corrupt")
	// ErrUnsupported is returned for a snapshot that a newer version of Balsa wrote. It is left as it is: use that version.
	ErrUnsupported = errors.New("snapshot written by a newer version")
	// ErrNotFound is returned for a snapshot that the store does not have, perhaps because it was pruned: ask for the Latest.
	ErrNotFound = errors.New("no such snapshot")
	// ErrExists is returned by Create and Receive for a snapshot that is there already: use it.
	ErrExists = errors.New("snapshot exists")
	// ErrBusy is returned by Create and Receive while somebody else writes, receives or removes what they would. Only a
	// snapshot that was pruned and is still being read makes one wait for long; others end with the caller's own call.
	ErrBusy = errors.New("snapshot in use")
	// ErrOffset is returned by Receiver.Write for data that does not begin at Offset or goes beyond the size. Nothing was
	// written, and the receiver goes on: send what begins at its Offset.
	ErrOffset = errors.New("not the bytes that come next")
	// ErrIncomplete is returned by Receiver.Commit while bytes are missing. The receiver goes on: send them.
	ErrIncomplete = errors.New("snapshot not completely received")
	// ErrClosed is returned by calls on a Writer, Reader or Receiver that has ended by Commit, Abort or Close.
	ErrClosed = errors.New("already closed")
)

// CorruptError says where a snapshot, or what was received of one, is damaged. It wraps ErrCorrupt.
type CorruptError struct {
	File   string
	Offset int64 // in bytes, of the header, block or trailer that is damaged
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("snapshot: %v: %s at offset %d: %s", ErrCorrupt, e.File, e.Offset, e.Reason)
}

func (e *CorruptError) Unwrap() error { return ErrCorrupt }
