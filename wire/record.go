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
	// RecordBegin says where a group's log begins from now on: what is before may be forgotten.
	RecordBegin RecordKind = 4
	// RecordGroup says all of a group except its entries, which are in other records. It changes nothing.
	RecordGroup RecordKind = 6
	// RecordMoved holds entries that the log has already, so that the record that held them can go. It supersedes
	// nothing.
	RecordMoved RecordKind = 7

	// 3: a snapshot stands in for the log's beginning. 5: a configuration. Reserved until this version writes them.
)

// Record is one record of the log.
type Record struct {
	Kind      RecordKind
	Group     raft.GroupID
	HardState raft.HardState // of RecordState and RecordGroup
	Entries   []raft.Entry   // of RecordEntries and RecordMoved: at least one

	// Of RecordBegin and RecordGroup: the log's first entry, which need not exist yet, and the term of the one before
	// it, which is 0 only if there is none.
	First    raft.Index
	BaseTerm raft.Term
	Last     raft.Index // of RecordGroup: the log's last entry; First-1 if it is empty
	Reset    bool       // of RecordBegin: the entries from First on are void too, because a snapshot took their place
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

const beginReset = 1 // the only flag of a RecordBegin

// AppendBeginRecord appends the bytes of a RecordBegin to b.
//
//	kind u8 = 4 | uvarint group | uvarint first | uvarint base term | flags u8: 1 reset
func AppendBeginRecord(b []byte, g raft.GroupID, first raft.Index, base raft.Term, reset bool) []byte {
	b = append(b, byte(RecordBegin))
	b = binary.AppendUvarint(b, uint64(g))
	b = binary.AppendUvarint(b, uint64(first))
	b = binary.AppendUvarint(b, uint64(base))
	if reset {
		return append(b, beginReset)
	}
	return append(b, 0)
}

// AppendGroupRecord appends the bytes of a RecordGroup to b, as r's fields say.
//
//	kind u8 = 6 | uvarint group | uvarint term | uvarint vote | uvarint first | uvarint base term | uvarint last
func AppendGroupRecord(b []byte, r *Record) []byte {
	b = append(b, byte(RecordGroup))
	b = binary.AppendUvarint(b, uint64(r.Group))
	b = binary.AppendUvarint(b, uint64(r.HardState.CurrentTerm))
	b = binary.AppendUvarint(b, uint64(r.HardState.VotedFor))
	b = binary.AppendUvarint(b, uint64(r.First))
	b = binary.AppendUvarint(b, uint64(r.BaseTerm))
	return binary.AppendUvarint(b, uint64(r.Last))
}

// AppendMovedRecord appends the bytes of a RecordMoved to b. es must not be empty.
//
//	kind u8 = 7 | uvarint group | entries as AppendEntries writes them
func AppendMovedRecord(b []byte, g raft.GroupID, es []raft.Entry) []byte {
	b = append(b, byte(RecordMoved))
	b = binary.AppendUvarint(b, uint64(g))
	return AppendEntries(b, es)
}

// DecodeRecord decodes the record at the front of b and returns the rest. The entries' Data alias b. Its errors wrap
// ErrMalformed or ErrRecordKind.
func DecodeRecord(b []byte) (r Record, rest []byte, err error) {
	if len(b) == 0 {
		return Record{}, nil, fmt.Errorf("%w: a record ends before its kind", ErrMalformed)
	}
	r.Kind, b = RecordKind(b[0]), b[1:]
	decode := recordDecoder(r.Kind)
	if decode == nil {
		return Record{}, nil, fmt.Errorf("%w: kind %d", ErrRecordKind, r.Kind)
	}
	group, b, err := uvarint(b, "record group")
	if err != nil {
		return Record{}, nil, err
	}
	r.Group = raft.GroupID(group)
	if rest, err = decode(b, &r); err != nil {
		return Record{}, nil, err
	}
	return r, rest, nil
}

// recordDecoder is what decodes the fields behind the group; nil for a kind that this version does not know.
func recordDecoder(k RecordKind) func(b []byte, r *Record) (rest []byte, err error) {
	switch k {
	case RecordEntries, RecordMoved:
		return decodeRecordEntries
	case RecordState:
		return decodeHardState
	case RecordBegin:
		return decodeBegin
	case RecordGroup:
		return decodeGroup
	}
	return nil
}

func decodeRecordEntries(b []byte, r *Record) (rest []byte, err error) {
	if r.Entries, rest, err = Entries(b); err == nil && len(r.Entries) == 0 {
		err = fmt.Errorf("%w: record of no entries", ErrMalformed)
	}
	return rest, err
}

func decodeHardState(b []byte, r *Record) (rest []byte, err error) {
	term, b, err := uvarint(b, "term")
	if err != nil {
		return nil, err
	}
	vote, b, err := uvarint(b, "vote")
	if err != nil {
		return nil, err
	}
	r.HardState = raft.HardState{CurrentTerm: raft.Term(term), VotedFor: raft.NodeID(vote)}
	return b, nil
}

// decodeBase reads where a log begins.
func decodeBase(b []byte, r *Record) (rest []byte, err error) {
	first, b, err := uvarint(b, "first index")
	if err != nil {
		return nil, err
	}
	base, b, err := uvarint(b, "base term")
	if err != nil {
		return nil, err
	}
	if first == 0 || (first == 1) != (base == 0) {
		return nil, fmt.Errorf("%w: a log cannot begin with entry %d behind term %d", ErrMalformed, first, base)
	}
	r.First, r.BaseTerm = raft.Index(first), raft.Term(base)
	return b, nil
}

func decodeBegin(b []byte, r *Record) (rest []byte, err error) {
	b, err = decodeBase(b, r)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 || b[0] > beginReset {
		return nil, fmt.Errorf("%w: flags of a log's beginning", ErrMalformed)
	}
	r.Reset = b[0] == beginReset
	return b[1:], nil
}

func decodeGroup(b []byte, r *Record) (rest []byte, err error) {
	b, err = decodeHardState(b, r)
	if err == nil {
		b, err = decodeBase(b, r)
	}
	if err != nil {
		return nil, err
	}
	last, b, err := uvarint(b, "last index")
	if err != nil {
		return nil, err
	}
	if r.Last = raft.Index(last); r.Last < r.First-1 {
		return nil, fmt.Errorf("%w: a log cannot span entries %d..%d", ErrMalformed, r.First, r.Last)
	}
	return b, nil
}
