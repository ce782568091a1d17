package wal

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// forge appends a frame of records that no core makes, and one that vouches for it.
func (s *sample) forge(t *testing.T, records ...[]byte) {
	t.Helper()
	s.log.resetBuf()
	s.log.buf = append(s.log.buf, slices.Concat(records...)...)
	for _, n := range []int{len(records), 0} {
		if _, err := s.log.writeFrame(uint32(n)); err != nil {
			t.Fatal(err)
		}
		s.log.resetBuf()
	}
}

// Frames that pass their checksums and cannot be true are reported, and never believed.
func TestForgedRecordsAreRefused(t *testing.T) {
	state := func(g raft.GroupID, term raft.Term) []byte { return wire.AppendStateRecord(nil, g, stateOf(term)) }
	entry := func(g raft.GroupID, term raft.Term, i raft.Index) []byte {
		return wire.AppendEntriesRecord(nil, g, []raft.Entry{{Term: term, Index: i}})
	}
	begin := func(first raft.Index, base raft.Term, reset bool) []byte {
		return wire.AppendBeginRecord(nil, 1, first, base, reset)
	}
	for _, c := range []struct {
		name    string
		records [][]byte
		want    string
	}{
		{"gap", [][]byte{entry(1, 9, 77)}, "group 1 goes on with entry 77, and its log is 1..10"},
		{"index zero of a new group", [][]byte{entry(9, 1, 2)}, "group 9 goes on with entry 2, and its log is 1..0"},
		{"term falls", [][]byte{state(2, 1)}, "group 2 goes from term 3 back to 1"},
		{"beginning behind a gap", [][]byte{begin(12, 1, false)}, "group 1 forgets what is before entry 12, and its log is 1..10"},
		{"beginning goes back", [][]byte{begin(5, 1, false), begin(4, 1, false)}, "group 1 begins with entry 4, and its log is 5..10"},
		{"reset goes back", [][]byte{begin(5, 1, false), begin(4, 1, true)}, "group 1 begins with entry 4, and its log is 5..10"},
		{"beginning of another term", [][]byte{state(1, 2), begin(5, 2, false)}, "group 1 begins behind entry 4 of term 2, and has it of term 1"},
		{"other base", [][]byte{state(1, 2), begin(5, 1, false), begin(5, 2, true)}, "group 1 begins behind entry 4 of term 2, and has it of term 1"},
		{"snapshot of a later term", [][]byte{begin(50, 2, true)}, "group 1 begins behind term 2 in term 1"},
		{"N6 gap behind a snapshot", [][]byte{begin(50, 1, true), entry(1, 1, 51)}, "group 1 goes on with entry 51, and its log is 50..49"},
		{"R10 entry before the beginning", [][]byte{begin(5, 1, false), entry(1, 1, 4)}, "group 1 goes on with entry 4, and its log is 5..10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSample(t)
			s.forge(t, c.records...)
			if ce := refused(t, s.disk); !strings.Contains(ce.Error(), "makes no sense: "+c.want) {
				t.Errorf("%q is not in the error: %v", c.want, ce)
			}
		})
	}
}

// A segment whose first frame does not say what the segments before it say is reported, and one that stands alone is
// believed only as far as it makes sense.
func TestForgedRestatementsAreRefused(t *testing.T) {
	group := func(g raft.GroupID, term raft.Term, first raft.Index, base raft.Term, last raft.Index) []byte {
		return wire.AppendGroupRecord(nil, &wire.Record{Group: g, HardState: stateOf(term), First: first, BaseTerm: base, Last: last})
	}
	for _, c := range []struct {
		name         string
		records      [][]byte
		want, wanted string // with the segment before it, and without
	}{
		{"D7 term forgotten", [][]byte{group(1, 0, 1, 0, 7), group(2, 3, 1, 0, 14)}, "group 1 is restated as {CurrentTerm:0", "entries 1..7"},
		{"entries forgotten", [][]byte{group(1, 1, 1, 0, 6), group(2, 3, 1, 0, 14)}, "group 1 is restated as", "group 1 goes on with entry 8"},
		{"beginning forgotten", [][]byte{group(1, 1, 2, 1, 7), group(2, 3, 1, 0, 14)}, "group 1 is restated as", "group 1 entries 2..7"},
		{"group forgotten", [][]byte{group(1, 1, 1, 0, 7)}, "it restates 1 groups of 2", "group 2 goes on with entry 15"},
		{"group invented", [][]byte{group(1, 1, 1, 0, 7), group(2, 3, 1, 0, 14), group(3, 1, 1, 0, 0)}, "group 3 is restated, and there was none", "entries 1..7"},
		{"group twice", [][]byte{group(1, 1, 1, 0, 7), group(1, 1, 1, 0, 7)}, "group 1 is restated behind group 1", "group 1 is restated behind group 1"},
		{"another kind", [][]byte{wire.AppendStateRecord(nil, 1, stateOf(1)), group(2, 3, 1, 0, 14)}, "kind 2 restates nothing", "kind 2 restates nothing"},
		{"nothing", nil, "it restates 0 groups of 2", "group 1 goes on with entry 8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSample(t)
			b := contentsOf(t, s.disk, segmentPath(2))
			reseal(b[blockBytes:], func(f *frame) {
				f.records, f.payload = uint32(len(c.records)), copy(b[blockBytes+frameHeaderBytes:], slices.Concat(c.records...))
			})
			before := b[blockBytes+frameCRCOffset : blockBytes+frameHeaderBytes]
			for at := 2 * blockBytes; ; at += blockBytes { // the chain
				if _, payload, _ := parseFrame(b[at:], 0, 0); payload == nil {
					break
				}
				reseal(b[at:], func(f *frame) { f.prevCRC = binary.LittleEndian.Uint32(before) })
				before = b[at+frameCRCOffset : at+frameHeaderBytes]
			}
			rewrite(t, s.disk, segmentPath(2), b)
			if ce := refused(t, s.disk); !strings.Contains(ce.Error(), c.want) {
				t.Errorf("%q is not in the error: %v", c.want, ce)
			}
			s.disk.Remove(segmentPath(1))
			if ce := refused(t, s.disk); !strings.Contains(ce.Error(), c.wanted) {
				t.Errorf("%q is not in the error: %v", c.wanted, ce)
			}
		})
	}
}

// A record that restates stands in a segment's first frame and nowhere else.
func TestRestatementElsewhereIsRefused(t *testing.T) {
	s := newSample(t)
	s.forge(t, wire.AppendGroupRecord(nil, &wire.Record{Group: 1, HardState: stateOf(1), First: 1, Last: 10}))
	if ce := refused(t, s.disk); !strings.Contains(ce.Error(), "kind 6 stands where none can be") {
		t.Errorf("error is %v", ce)
	}
}

func TestForgedMovesAreRefused(t *testing.T) {
	moved := func(first raft.Index, terms ...raft.Term) []byte {
		var es []raft.Entry
		for i, term := range terms {
			es = append(es, raft.Entry{Term: term, Index: first + raft.Index(i)})
		}
		return wire.AppendMovedRecord(nil, 2, es)
	}
	begin := wire.AppendBeginRecord(nil, 2, 4, 3, false)
	for _, c := range []struct {
		name    string
		records [][]byte
		want    string // empty: it is sound
	}{
		{"a record", [][]byte{moved(3, 3, 3)}, ""},
		{"what is left of a record", [][]byte{begin, moved(4, 3)}, ""},
		{"behind the end", [][]byte{moved(21, 3)}, "group 2 moves entries 21..21, and its log is 1..20"},
		{"over the end", [][]byte{moved(19, 3, 3, 3)}, "group 2 moves entries 19..21, and its log is 1..20"},
		{"before the beginning", [][]byte{begin, moved(3, 3, 3)}, "group 2 moves entries 3..4, and its log is 4..20"},
		{"part of a record", [][]byte{moved(3, 3)}, "group 2 moves entries 3..3, and those of the record there are 3..4"},
		{"the end of a record", [][]byte{moved(4, 3)}, "group 2 moves entries 4..4, and those of the record there are 3..4"},
		{"two records", [][]byte{moved(3, 3, 3, 3, 3)}, "group 2 moves entries 3..6, and those of the record there are 3..4"},
		{"other entries", [][]byte{moved(3, 3, 4)}, "group 2 moves entry 4 of term 4, and has it of term 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSample(t)
			s.forge(t, c.records...)
			if c.want == "" {
				mustOpen(t, s.disk, small)
				return
			}
			if ce := refused(t, s.disk); !strings.Contains(ce.Error(), "makes no sense: "+c.want) {
				t.Errorf("%q is not in the error: %v", c.want, ce)
			}
		})
	}
}

// Where the entries were is gone, so only their place can be checked.
func TestForgedMovesIntoAHole(t *testing.T) {
	for _, c := range []struct {
		first, last raft.Index
		want        string
	}{
		{1, 14, ""},
		{1, 7, "the segments before it are missing, and were still needed; it held group 1 entries 1..7, group 2 entries 8..14"},
		{3, 7, "it held group 1 entries 1..7, group 2 entries 1..2, group 2 entries 8..14"},
		{8, 14, "it held group 1 entries 1..7, group 2 entries 1..7"},
		{14, 15, "group 2 moves entries 14..15, and those of the record there are 1..14"},
	} {
		s := newSample(t)
		records := [][]byte{wire.AppendMovedRecord(nil, 2, put(2, 3, c.first, make([]string, c.last-c.first+1)...).Entries)}
		if c.want == "" {
			records = append(records, wire.AppendMovedRecord(nil, 1, s.last().group(1).entries[:7]))
		}
		s.disk.Remove(segmentPath(1))
		s.forge(t, records...)
		if c.want == "" {
			l := mustOpen(t, s.disk, small)
			if got := fmt.Sprint(l.Groups()); got != "[{1 {1 0} 1 0 10 [{1 1}]} {2 {3 0} 1 0 20 [{3 1}]}]" {
				t.Errorf("groups are %v", got)
			}
			continue
		}
		if ce := refused(t, s.disk); !strings.Contains(ce.Error(), c.want) {
			t.Errorf("%q is not in the error: %v", c.want, ce)
		}
	}
}
