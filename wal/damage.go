package wal

import (
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// corrupt is an error about something that no entries can be named for.
func (r *recovery) corrupt(f *found, at int64, reason string) error {
	return &CorruptError{File: r.path(f), Offset: at, Reason: reason}
}

// damaged is the error about the missing frame r.lsn, which should be at offset at of the segment in r.b. It says what
// the frame held, as far as that can be told.
func (r *recovery) damaged(f *found, at int64, reason string) error {
	e := &CorruptError{File: r.path(f), Offset: at, Reason: reason}
	if at < f.size {
		// What of the frame can still be read is good enough for a report: usually it is one bit that is wrong.
		if fr, payload, _ := parseFrame(r.b[at:], f.seq, r.log.seed); payload != nil && fr.lsn == r.lsn {
			e.Lost = describeRecords(payload)
		}
	}
	if len(e.Lost) == 0 {
		e.Lost = r.gaps(f, at)
	}
	return e
}

// describeRecords lists what records hold, up to the first that cannot be read.
func describeRecords(payload []byte) (rs []Range) {
	for len(payload) > 0 {
		rec, rest, err := wire.DecodeRecord(payload)
		if err != nil {
			break
		}
		payload = rest
		r := describeRecord(&rec)
		if n := len(rs); n > 0 && r.First > 0 && rs[n-1].First > 0 && rs[n-1].Group == r.Group && rs[n-1].Last+1 == r.First {
			rs[n-1].Last = r.Last
			continue
		}
		rs = append(rs, r)
	}
	return rs
}

func describeRecord(rec *wire.Record) Range {
	r := Range{Group: rec.Group}
	if n := len(rec.Entries); n > 0 {
		r.First, r.Last = rec.Entries[0].Index, rec.Entries[n-1].Index
	}
	return r
}

// gaps lists the entries that are missing between what was read and the frames that are valid behind offset at.
func (r *recovery) gaps(f *found, at int64) (rs []Range) {
	seen := make(map[raft.GroupID]bool)
	for ; at < f.size; at += blockBytes {
		fr, payload, ok := parseFrame(r.b[at:], f.seq, r.log.seed)
		if !ok || fr.lsn <= r.lsn {
			continue
		}
		for len(payload) > 0 {
			rec, rest, err := wire.DecodeRecord(payload)
			if err != nil {
				break
			}
			payload = rest
			next := describeRecord(&rec)
			if len(rec.Entries) == 0 && !rec.Reset || seen[rec.Group] {
				continue
			}
			seen[rec.Group] = true // after a reset too: nothing between it and what was read is missing
			if last := r.lastIndex(rec.Group); next.First > last+1 {
				rs = append(rs, Range{Group: rec.Group, First: last + 1, Last: next.First - 1})
			}
		}
	}
	return rs
}

// lastIndex is a group's last entry as far as the log was read, the held frame included.
func (r *recovery) lastIndex(id raft.GroupID) (last raft.Index) {
	if g := r.log.groups[id]; g != nil {
		last = g.last
	}
	if r.held != nil {
		for _, h := range describeRecords(r.held.payload) {
			if h.Group == id && h.First > 0 {
				last = h.Last
			}
		}
	}
	return last
}
