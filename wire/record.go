package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/balsa-raft/balsa/raft"
)

// ErrRecordKind is returned by DecodeRecord for a record of a kind that this version does not know. The bytes may be
// sound: a newer version of Balsa wrote them, and it or a newer one can read them.
var ErrRecordKind = errors.New("record of a kind that this version cannot read")

// RecordKind says what a record of the log is about. The numbers are on disk and are never given a new meaning.
type RecordKind uint8

const (
	// RecordEntries appends entries to a group's log; the first one supersedes what is at its index and after it.
	RecordEntries RecordKind = 1
	// RecordState sets a group's term and vote. They are one record, so that none is ever stored without the other.
	RecordState RecordKind = 2

	// 3: a snapshot stands in for the log's beginning. 4: a prefix of the log is gone. 5: a configuration.
	// Reserved until this version writes them.
)

// Record is one record of the log.
type Record struct {
	Kind      RecordKind
	Group     raft.GroupID
	HardState raft.HardState // of RecordState
	Entries   []raft.Entry   // of RecordEntries: at least one
}

// AppendEntriesRecord appends the bytes of a RecordEntries to b. es must not be empty.
//
//	kind u8 = 1 | uvarint group | entries as AppendEntries writes them
func AppendEntriesRecord(b []byte, g raft.GroupID, es []raft.Entry) []byte {
	b = append(b, byte(RecordEntries))
	b = binary.AppendUvarint(b, uint64(g))
	return AppendEntries(b, es)
}

// AppendStateRecord appends the bytes of a RecordState to b.
//
//	kind u8 = 2 | uvarint group | uvarint term | uvarint vote
func AppendStateRecord(b []byte, g raft.GroupID, s raft.HardState) []byte {
	b = append(b, byte(RecordState))
	b = binary.AppendUvarint(b, uint64(g))
	b = binary.AppendUvarint(b, uint64(s.CurrentTerm))
	return binary.AppendUvarint(b, uint64(s.VotedFor))
}

// DecodeRecord decodes the record at the front of b and returns the rest. The entries' Data alias b. Its errors wrap
// ErrMalformed or ErrRecordKind.
func DecodeRecord(b []byte) (r Record, rest []byte, err error) {
	if len(b) == 0 {
		return Record{}, nil, fmt.Errorf("%w: a record ends before its kind", ErrMalformed)
	}
	r.Kind, b = RecordKind(b[0]), b[1:]
	if r.Kind != RecordEntries && r.Kind != RecordState {
		return Record{}, nil, fmt.Errorf("%w: kind %d", ErrRecordKind, r.Kind)
	}
	group, b, err := uvarint(b, "record group")
	if err != nil {
		return Record{}, nil, err
	}
	r.Group = raft.GroupID(group)
	if r.Kind == RecordState {
		b, err = decodeHardState(b, &r.HardState)
	} else if r.Entries, b, err = Entries(b); err == nil && len(r.Entries) == 0 {
		err = fmt.Errorf("%w: record of no entries", ErrMalformed)
	}
	if err != nil {
		return Record{}, nil, err
	}
	return r, b, nil
}

func decodeHardState(b []byte, s *raft.HardState) (rest []byte, err error) {
	term, b, err := uvarint(b, "term")
	if err != nil {
		return nil, err
	}
	vote, b, err := uvarint(b, "vote")
	if err != nil {
		return nil, err
	}
	*s = raft.HardState{CurrentTerm: raft.Term(term), VotedFor: raft.NodeID(vote)}
	return b, nil
}
