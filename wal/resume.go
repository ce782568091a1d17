package wal

import (
	"fmt"
	"slices"
	"sort"

	"github.com/balsa-raft/balsa/vfs"
)

// resume makes the log ready to append: in a segment of its own, which begins with the held frame. It never appends
// behind what a crash may have torn, because bytes of the torn write that stand further on could join the chain again.
func (r *recovery) resume(blank bool) error {
	l := r.log
	if r.held != nil && r.held.records == 0 {
		// It only said that the frame before it was durable, which the new segment's header says too.
		r.lsn, r.crc, r.held = r.held.lsn, r.held.prevCRC, nil
	}
	h := header{firstLSN: r.lsn, syncedLSN: r.lsn, prevCRC: r.crc}
	if r.held != nil {
		h.firstLSN, h.prevCRC = r.held.lsn, r.held.prevCRC
	}
	seq := uint64(1)
	if n := len(r.segments); n > 0 {
		seq = r.segments[n-1].seq + 1
		if r.segments[n-1].header.firstLSN == h.firstLSN {
			// Nothing before the cut is in it, so nothing says that its header is durable: a segment behind it could
			// outlive it. Replacing it also keeps restarts from leaving a segment each.
			seq, r.segments = seq-1, r.segments[:n-1]
		}
	}
	s := &segment{seq: seq}
	l.segments = l.segments[:len(r.segments)]
	l.segments = append(l.segments, s)
	repeat := r.held
	if repeat != nil {
		repeat.seq, repeat.offset = seq, blockBytes
		if err := r.settle(); err != nil { // before anything on disk changes
			return err
		}
	}
	if err := r.makeSegment(s, h, repeat, blank); err != nil {
		return fmt.Errorf("wal: make %s: %w", l.path(segmentName(seq)), err)
	}
	l.tail, l.lsn = s, r.lsn
	l.offset, l.crc = blockBytes, r.crc
	if repeat != nil {
		l.offset, l.crc = blockBytes+repeat.bytes(), repeat.crc
	}
	l.stats.Syncs++
	l.recovered = l.describe()
	r.closeOthers()
	return nil
}

// makeSegment makes s, complete and synced before it gets its name: until then recovery would find what it found now.
func (r *recovery) makeSegment(s *segment, h header, repeat *held, blank bool) error {
	const temp = segmentPrefix + "open" + tempSuffix
	l := r.log
	for _, name := range r.temps {
		if err := l.fs.Remove(l.path(name)); err != nil {
			return err
		}
	}
	s.size = min(segmentBytesSmall, l.options.SegmentBytes)
	if repeat != nil {
		s.size = max(s.size, blockBytes+repeat.bytes())
	}
	if err := r.makeBlank(s, temp, blank); err != nil {
		return err
	}
	if repeat != nil {
		b := make([]byte, repeat.bytes())
		copy(b[frameHeaderBytes:], repeat.payload)
		repeat.seal(b, l.seed)
		if _, err := s.file.WriteAt(b, blockBytes); err != nil {
			return err
		}
	}
	if err := l.start(s, h); err != nil {
		return err
	}
	if r.spare != nil && r.spare.seq != s.seq { // it is torn, or too small
		if err := l.fs.Remove(r.path(r.spare)); err != nil {
			return err
		}
	}
	return l.name(temp, s.seq)
}

// makeBlank gives s a file of at least s.size zeros named temp, for which it takes the blank spare segment if it can.
func (r *recovery) makeBlank(s *segment, temp string, blank bool) (err error) {
	l := r.log
	if blank && r.spare.size >= s.size {
		s.file, s.size = r.spare.file, r.spare.size
		if err := l.fs.Rename(r.path(r.spare), l.path(temp)); err != nil {
			return err
		}
		r.spare = nil
		// Else a crash could give the old name back to a file that is half made into another segment.
		return l.fs.SyncDir(l.dir)
	}
	if s.file, err = l.createBlank(temp, s.size); err == nil {
		r.opened = append(r.opened, s.file)
	}
	return err
}

// closeOthers closes the files that are not part of the log.
func (r *recovery) closeOthers() {
	for _, f := range r.opened {
		if !slices.ContainsFunc(r.log.segments, func(s *segment) bool { return s.file == vfs.File(f) }) {
			f.Close() // it was only read, so its error says nothing
		}
	}
}

// describe is what Groups returns.
func (l *Log) describe() []Recovered {
	rs := make([]Recovered, 0, len(l.groups))
	for id, g := range l.groups {
		rs = append(rs, Recovered{
			Group:      id,
			HardState:  g.hardState,
			FirstIndex: g.first,
			BaseTerm:   g.baseTerm,
			LastIndex:  g.last,
			Terms:      slices.Clone(g.terms),
		})
	}
	sort.Slice(rs, func(i, k int) bool { return rs[i].Group < rs[k].Group })
	return rs
}
