package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
)

func appendRecord(b []byte, r Record) []byte {
	switch r.Kind {
	case RecordState:
		return AppendStateRecord(b, r.Group, r.HardState)
	case RecordBegin:
		return AppendBeginRecord(b, r.Group, r.First, r.BaseTerm, r.Reset)
	case RecordGroup:
		return AppendGroupRecord(b, &r)
	case RecordMoved:
		return AppendMovedRecord(b, r.Group, r.Entries)
	}
	return AppendEntriesRecord(b, r.Group, r.Entries)
}

var records = []struct {
	name string
	r    Record
}{
	{"state first", Record{Kind: RecordState, Group: 1, HardState: raft.HardState{CurrentTerm: 1}}},
	{"state voted", Record{Kind: RecordState, Group: 300, HardState: raft.HardState{CurrentTerm: 7, VotedFor: 200}}},
	{"state largest", Record{Kind: RecordState, Group: math.MaxUint64, HardState: raft.HardState{CurrentTerm: math.MaxUint64, VotedFor: math.MaxUint64}}},
	{"entries one noop", Record{Kind: RecordEntries, Group: 1, Entries: []raft.Entry{{Term: 1, Index: 1, Type: raft.EntryNoop}}}},
	{"entries of two terms", Record{Kind: RecordEntries, Group: 2, Entries: []raft.Entry{
		{Term: 6, Index: 128, Type: raft.EntryCommand, Data: []byte("set a 1")},
		{Term: 7, Index: 129, Type: raft.EntryNoop},
		{Term: 7, Index: 130, Type: raft.EntryCommand},
	}}},
	{"entries largest index", Record{Kind: RecordEntries, Group: 3, Entries: []raft.Entry{{Term: math.MaxUint64, Index: math.MaxUint64, Data: []byte{0}}}}},
	{"begin first", Record{Kind: RecordBegin, Group: 1, First: 1}},
	{"begin behind a prefix", Record{Kind: RecordBegin, Group: 2, First: 129, BaseTerm: 7}},
	{"begin behind a snapshot", Record{Kind: RecordBegin, Group: 300, First: 1000, BaseTerm: 6, Reset: true}},
	{"begin largest", Record{Kind: RecordBegin, Group: math.MaxUint64, First: math.MaxUint64, BaseTerm: math.MaxUint64, Reset: true}},
	{"group empty", Record{Kind: RecordGroup, Group: 1, HardState: raft.HardState{CurrentTerm: 1}, First: 1}},
	{"group compacted", Record{Kind: RecordGroup, Group: 2, HardState: raft.HardState{CurrentTerm: 9, VotedFor: 3}, First: 129, BaseTerm: 7, Last: 300}},
	{"group compacted to its end", Record{Kind: RecordGroup, Group: 2, HardState: raft.HardState{CurrentTerm: 9}, First: 301, BaseTerm: 7, Last: 300}},
	{"group largest", Record{Kind: RecordGroup, Group: math.MaxUint64, HardState: raft.HardState{CurrentTerm: math.MaxUint64, VotedFor: math.MaxUint64},
		First: math.MaxUint64, BaseTerm: math.MaxUint64, Last: math.MaxUint64}},
	{"moved", Record{Kind: RecordMoved, Group: 2, Entries: []raft.Entry{
		{Term: 6, Index: 128, Type: raft.EntryCommand, Data: []byte("set a 1")},
		{Term: 7, Index: 129, Type: raft.EntryNoop},
	}}},
}

func TestRecordGolden(t *testing.T) {
	var lines []string
	for _, c := range records {
		lines = append(lines, fmt.Sprintf("%s: %x", c.name, appendRecord(nil, c.r)))
	}
	want := golden(t, "records.golden", lines)
	if len(want) != len(records) {
		t.Fatalf("%d golden records, %d here; run with -update if one was added", len(want), len(records))
	}
	for i, c := range records {
		if lines[i] != want[i] {
			t.Errorf("written bytes changed\n got %s\nwant %s", lines[i], want[i])
		}
		_, digits, _ := strings.Cut(want[i], ": ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		got, rest, err := DecodeRecord(append(b, "rest"...))
		if err != nil || string(rest) != "rest" || !reflect.DeepEqual(got, c.r) {
			t.Errorf("%s: decoded %+v, rest %q, %v", c.name, got, rest, err)
		}
	}
}

func TestRecordRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		b    string
		is   error
		want string
	}{
		{"nothing", "", ErrMalformed, "ends before its kind"},
		{"kind zero", "\x00\x01\x01\x00", ErrRecordKind, "kind 0"},
		{"a snapshot's kind", "\x03\x01", ErrRecordKind, "kind 3"},
		{"a configuration's kind", "\x05\x01", ErrRecordKind, "kind 5"},
		{"the next kind", "\x08\x01", ErrRecordKind, "kind 8"},
		{"the last kind", "\xff", ErrRecordKind, "kind 255"},
		{"no group", "\x02", ErrMalformed, "group"},
		{"long form of a group", "\x02\x81\x00\x01\x00", ErrMalformed, "group"},
		{"no term", "\x02\x01", ErrMalformed, "term"},
		{"D7 a term without its vote", "\x02\x01\x01", ErrMalformed, "vote"},
		{"no entries", "\x01\x01\x00\x00", ErrMalformed, "no entries"},
		{"entries cut", "\x01\x01\x01\x01\x01\x00\x05abcd", ErrMalformed, "5 bytes where 4 are left"},
		{"no moved entries", "\x07\x01\x00\x00", ErrMalformed, "no entries"},
		{"no beginning", "\x04\x01", ErrMalformed, "first index"},
		{"a beginning without its term", "\x04\x01\x05", ErrMalformed, "base term"},
		{"a beginning without its flags", "\x04\x01\x05\x03", ErrMalformed, "flags"},
		{"a beginning with an unknown flag", "\x04\x01\x05\x03\x02", ErrMalformed, "flags"},
		{"a beginning at entry 0", "\x04\x01\x00\x00\x00", ErrMalformed, "begin with entry 0"},
		{"a beginning at entry 1 behind a term", "\x04\x01\x01\x01\x00", ErrMalformed, "entry 1 behind term 1"},
		{"a beginning behind no term", "\x04\x01\x05\x00\x01", ErrMalformed, "entry 5 behind term 0"},
		{"a group without its vote", "\x06\x01\x01", ErrMalformed, "vote"},
		{"a group without its beginning", "\x06\x01\x01\x00", ErrMalformed, "first index"},
		{"a group without its end", "\x06\x01\x05\x00\x05\x03", ErrMalformed, "last index"},
		{"a group that ends before it begins", "\x06\x01\x05\x00\x05\x03\x03", ErrMalformed, "entries 5..3"},
	} {
		r, _, err := DecodeRecord([]byte(c.b))
		if !errors.Is(err, c.is) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %+v, %v; want %v with %q", c.name, r, err, c.is, c.want)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, c := range records {
		f.Add(appendRecord(nil, c.r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, rest, err := DecodeRecord(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrRecordKind) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		if again := append(appendRecord(nil, r), rest...); !bytes.Equal(again, b) {
			t.Fatalf("accepted a second form of %+v: %x", r, b)
		}
	})
}
