package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/balsa-raft/balsa/raft"
)

// ErrMalformed is wrapped by every decoding error: the bytes are not what this version writes. Nothing was kept.
var ErrMalformed = errors.New("malformed")

// AppendEntries appends the bytes of es, whose indexes are contiguous, to b:
//
//	uvarint first index | uvarint count | count x ( uvarint term | type u8 | uvarint length | data )
//
// The same bytes serve messages and log records. No entries are written as first index 0, count 0.
func AppendEntries(b []byte, es []raft.Entry) []byte {
	if len(es) == 0 {
		return append(b, 0, 0)
	}
	b = binary.AppendUvarint(b, uint64(es[0].Index))
	b = binary.AppendUvarint(b, uint64(len(es)))
	for i := range es {
		e := &es[i]
		b = binary.AppendUvarint(b, uint64(e.Term))
		b = append(b, byte(e.Type))
		b = binary.AppendUvarint(b, uint64(len(e.Data)))
		b = append(b, e.Data...)
	}
	return b
}

// Entries decodes what AppendEntries wrote at the front of b and returns the rest. The entries' Data alias b.
func Entries(b []byte) (es []raft.Entry, rest []byte, err error) {
	first, b, err := uvarint(b, "first index")
	if err != nil {
		return nil, nil, err
	}
	n, b, err := uvarint(b, "entry count")
	if err != nil {
		return nil, nil, err
	}
	const entryBytesMin = 3
	if n > uint64(len(b))/entryBytesMin {
		return nil, nil, fmt.Errorf("%w: %d entries in %d bytes", ErrMalformed, n, len(b))
	}
	if n == 0 {
		if first != 0 {
			return nil, nil, fmt.Errorf("%w: no entries at index %d", ErrMalformed, first)
		}
		return nil, b, nil
	}
	if first == 0 || first+n-1 < first {
		return nil, nil, fmt.Errorf("%w: %d entries at index %d", ErrMalformed, n, first)
	}
	es = make([]raft.Entry, n)
	for i := range es {
		e := &es[i]
		e.Index = raft.Index(first) + raft.Index(i)
		if b, err = decodeEntry(b, e); err != nil {
			return nil, nil, err
		}
	}
	return es, b, nil
}

func decodeEntry(b []byte, e *raft.Entry) (rest []byte, err error) {
	term, b, err := uvarint(b, "entry term")
	if err != nil {
		return nil, err
	}
	e.Term = raft.Term(term)
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: entry %d ends before its type", ErrMalformed, e.Index)
	}
	e.Type, b = raft.EntryType(b[0]), b[1:]
	if !e.Type.Valid() {
		return nil, fmt.Errorf("%w: entry %d has type %d, which this version does not know", ErrMalformed, e.Index, e.Type)
	}
	data, b, err := bytesField(b, "entry data")
	if err != nil {
		return nil, err
	}
	if len(data) > 0 {
		e.Data = data
	}
	return b, nil
}

// uvarint takes one varint off b. Only the shortest form is accepted, so that equal values have equal bytes.
func uvarint(b []byte, what string) (v uint64, rest []byte, err error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, fmt.Errorf("%w: %s is no varint", ErrMalformed, what)
	}
	return v, b[n:], nil
}

// bytesField takes a length and that many bytes off b, capped so that appending to them copies.
func bytesField(b []byte, what string) (field, rest []byte, err error) {
	n, b, err := uvarint(b, what)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%w: %s of %d bytes where %d are left", ErrMalformed, what, n, len(b))
	}
	return b[:n:n], b[n:], nil
}
