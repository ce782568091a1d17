package wal

import (
	"errors"
	"fmt"
	"strings"

	"github.com/balsa-raft/balsa/raft"
)

var (
	// ErrFailed is wrapped by every error of a log that has stopped: a write, a sync or a read failed once. What was
	// not acknowledged before may or may not be on disk. Close the log; only Open can tell, from the disk, what is there.
	ErrFailed = errors.New("log stopped after a failure")
	// ErrClosed is returned by every call once Close has begun.
	ErrClosed = errors.New("log closed")
	// ErrCorrupt is wrapped by a *CorruptError: bytes that were durable are damaged. The member must not vote or
	// acknowledge with this log.
	ErrCorrupt = errors.New("log corrupt")
	// ErrNotFound is returned by Entries for entries that the log does not hold, perhaps because they were superseded
	// or forgotten meanwhile. The log is sound.
	ErrNotFound = errors.New("no such entries")
	// ErrUnsupported is wrapped by Open's error when a newer version of Balsa wrote the log. Open it with that version.
	ErrUnsupported = errors.New("log written by a newer version")
)

// CorruptError says where the log is damaged and what was lost. It wraps ErrCorrupt.
type CorruptError struct {
	File   string
	Offset int64 // in bytes, of the block, frame or record that is damaged
	Reason string
	Lost   []Range // what the damaged bytes are known to have held; empty if that cannot be told
}

// Range is a run of a group's entries. First is zero if none is meant, but the group's term and vote, or where its log
// begins.
type Range struct {
	Group       raft.GroupID
	First, Last raft.Index
}

func (r Range) String() string {
	if r.First == 0 {
		return fmt.Sprintf("group %d term, vote or beginning", r.Group)
	}
	return fmt.Sprintf("group %d entries %d..%d", r.Group, r.First, r.Last)
}

// The advice is part of the error, because whoever reads it may be alone with it at night.
const corruptAdvice = "these bytes were durable, so this is damage and no interrupted write; " +
	"this member must not vote with this log: keep the folder for inspection, " +
	"restore it from a copy that was made after this member last ran, or leave the member down; " +
	"an empty folder under the same member id can lose acknowledged writes"

func (e *CorruptError) Error() string {
	lost := "which groups and entries it held cannot be told"
	if len(e.Lost) > 0 {
		rs := make([]string, len(e.Lost))
		for i, r := range e.Lost {
			rs[i] = r.String()
		}
		lost = "it held " + strings.Join(rs, ", ")
	}
	return fmt.Sprintf("wal: %v: %s at offset %d: %s; %s; %s", ErrCorrupt, e.File, e.Offset, e.Reason, lost, corruptAdvice)
}

func (e *CorruptError) Unwrap() error { return ErrCorrupt }
