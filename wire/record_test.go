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
	if r.Kind == RecordState {
		return AppendStateRecord(b, r.Group, r.HardState)
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
		{"a prefix truncation's kind", "\x04\x01", ErrRecordKind, "kind 4"},
		{"a configuration's kind", "\x05\x01", ErrRecordKind, "kind 5"},
		{"the last kind", "\xff", ErrRecordKind, "kind 255"},
		{"no group", "\x02", ErrMalformed, "group"},
		{"long form of a group", "\x02\x81\x00\x01\x00", ErrMalformed, "group"},
		{"no term", "\x02\x01", ErrMalformed, "term"},
		{"D7 a term without its vote", "\x02\x01\x01", ErrMalformed, "vote"},
		{"no entries", "\x01\x01\x00\x00", ErrMalformed, "no entries"},
		{"entries cut", "\x01\x01\x01\x01\x01\x00\x05abcd", ErrMalformed, "5 bytes where 4 are left"},
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
