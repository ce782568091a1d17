package wal

import (
	"fmt"
	"hash/crc32"

	"github.com/balsa-raft/balsa/internal/must"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// Entries returns a group's entries from index from on, at most to index to and about bytesMax bytes of them by
// raft.Entry.Size, but at least one. It fails with ErrNotFound if the log does not hold from, which it may have done when
// the caller last looked: another leader's entries supersede. Any other failure stops the log, for what was acknowledged
// and cannot be read is lost. The caller owns the entries, whose Data share memory.
func (l *Log) Entries(g raft.GroupID, from, to raft.Index, bytesMax uint64) ([]raft.Entry, error) {
	if from > to {
		must.Be(false, "a range of entries is not empty: %d..%d", from, to)
	}
	pieces, err := l.plan(g, from, to, bytesMax)
	if err != nil {
		return nil, err
	}
	defer unpin(pieces)
	var count raft.Index
	for _, p := range pieces {
		count += p.last + 1 - max(p.first, from)
	}
	es := make([]raft.Entry, 0, count)
	var bytes uint64
	for _, p := range pieces {
		got, err := p.read(l)
		if err != nil {
			return nil, l.fail(err)
		}
		for i := range got {
			if got[i].Index < from {
				continue
			}
			if got[i].Index > p.last {
				break
			}
			bytes += got[i].Size()
			if len(es) > 0 && bytes > bytesMax {
				return es, nil
			}
			es = append(es, got[i])
		}
	}
	return es, nil
}

// piece is a record to read, of which the entries up to last are wanted.
type piece struct {
	span
	group   raft.GroupID
	segment *segment
	last    raft.Index
}

// plan lists the records to read. It takes them from the index at one moment: entries that are superseded while they
// are read may be returned, but never a mixture with those that supersede them.
func (l *Log) plan(id raft.GroupID, from, to raft.Index, bytesMax uint64) ([]piece, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.err != nil {
		return nil, l.err
	}
	g := l.groups[id]
	if g == nil {
		return nil, fmt.Errorf("wal: group %d: %w: %d..%d of an empty log", id, ErrNotFound, from, to)
	}
	if from < g.first || from > g.last {
		return nil, fmt.Errorf("wal: group %d: %w: %d..%d of a log %d..%d", id, ErrNotFound, from, to, g.first, g.last)
	}
	to = min(to, g.last)
	var pieces []piece
	var bytes uint64
	for k := g.find(from); k < len(g.spans) && g.spans[k].first <= to; k++ {
		if len(pieces) > 0 && bytes >= bytesMax {
			break
		}
		p := piece{span: g.spans[k], group: id, last: min(to, g.end(k))}
		p.segment = l.segmentOf(p.span)
		if p.first >= from { // else nearly all of it may be below from
			bytes += uint64(p.length)
		}
		p.segment.readers.Add(1) // or the file could become another segment while it is read
		pieces = append(pieces, p)
	}
	return pieces, nil
}

// unpin lets go of the segments that plan has taken hold of.
func unpin(pieces []piece) {
	for _, p := range pieces {
		p.segment.readers.Add(-1)
	}
}

// read reads the record back and verifies that it is still what was written.
func (p piece) read(l *Log) ([]raft.Entry, error) {
	b := make([]byte, p.length)
	if _, err := p.segment.file.ReadAt(b, int64(p.offset)); err != nil {
		return nil, fmt.Errorf("read group %d from entry %d: %w", p.group, p.first, err)
	}
	reason := "its checksum fails"
	if crc32.Checksum(b, castagnoli) == p.crc {
		r, rest, err := wire.DecodeRecord(b)
		if err == nil && len(rest) == 0 && len(r.Entries) > 0 && r.Group == p.group && r.Entries[0].Index == p.first {
			return r.Entries, nil
		}
		reason = "it is not the record that was written there"
	}
	return nil, &CorruptError{
		File:   l.path(segmentName(p.segment.seq)),
		Offset: int64(p.offset),
		Reason: "a record was read back: " + reason,
		Lost:   []Range{{Group: p.group, First: p.first, Last: p.last}},
	}
}
