package wal

import (
	"fmt"
	"slices"
	"sort"

	"github.com/balsa-raft/balsa/vfs"
)

// resume makes the log ready to append: in a segment of its own, which restates all groups and repeats the held frame. It
// never appends behind what a crash may have torn, because bytes of the torn write that stand further on could join the
// chain again.
func (r *recovery) resume(reusable bool) error {
	l := r.log
	if h := r.held; h != nil && (h.restates || h.records == 0) {
		// What it says the new segment says too: of the groups, or that the frame before it was durable.
		if err := r.settle(); err != nil {
			return err
		}
		r.lsn, r.crc = h.lsn, h.prevCRC
	}
	cut := header{firstLSN: r.lsn, prevCRC: r.crc}
	if r.held != nil {
		cut = header{firstLSN: r.held.lsn, prevCRC: r.held.prevCRC}
	}
	seq := uint64(1)
	if n := len(r.segments); n > 0 {
		last := r.segments[n-1]
		seq = last.seq + 1
		restating := min(last.header.firstLSN-1, 1) // frames
		if cut.firstLSN <= last.header.firstLSN+restating {
			// Nothing before the cut is in it, so nothing says that its header is durable: a segment behind it could
			// outlive it. Replacing it also keeps restarts from leaving a segment each.
			seq, r.segments = last.seq, r.segments[:n-1]
			cut = header{firstLSN: last.header.firstLSN, prevCRC: last.header.prevCRC}
		}
	}
	s := &segment{seq: seq}
	l.segments = append(l.segments[:len(r.segments)], s)
	l.lsn, l.crc = cut.firstLSN, cut.prevCRC
	frames, err := r.firstFrames(s)
	if err != nil {
		return err
	}
	if lost := l.missing(); len(lost) > 0 {
		oldest := l.path(segmentName(l.firstSeq))
		return &CorruptError{File: oldest, Reason: "the segments before it are missing, and were still needed", Lost: lost}
	}
	cut.syncedLSN = l.lsn
	if err := r.makeSegment(s, cut, frames, reusable); err != nil {
		return fmt.Errorf("wal: make %s: %w", l.path(segmentName(seq)), err)
	}
	l.tail, l.offset = s, blockBytes+int64(len(frames))
	l.stats.Syncs++
	l.recovered = l.describe()
	r.closeOthers()
	return nil
}

// firstFrames makes the frames that segment s begins with, and settles the held one.
func (r *recovery) firstFrames(s *segment) (frames []byte, err error) {
	l := r.log
	if l.lsn > 1 {
		b, records := l.restate()
		frames = l.seal(s, b, records)
	}
	if h := r.held; h != nil {
		b := append(make([]byte, frameHeaderBytes), h.payload...)
		h.seq, h.offset = s.seq, blockBytes+int64(len(frames))
		frames = append(frames, l.seal(s, b, h.records)...)
		err = r.settle()
	}
	return frames, err
}

// makeSegment makes s, complete and synced before it gets its name: until then recovery would find what it found now.
func (r *recovery) makeSegment(s *segment, h header, frames []byte, reusable bool) error {
	const temp = segmentPrefix + "open" + tempSuffix
	l := r.log
	for _, name := range r.temps {
		if err := l.fs.Remove(l.path(name)); err != nil {
			return err
		}
	}
	s.size = max(min(segmentBytesSmall, l.options.SegmentBytes), blockBytes+int64(len(frames)))
	if err := r.makeBlank(s, temp, reusable); err != nil {
		return err
	}
	if len(frames) > 0 {
		if _, err := s.file.WriteAt(frames, blockBytes); err != nil {
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
func (r *recovery) makeBlank(s *segment, temp string, reusable bool) (err error) {
	l := r.log
	if reusable && r.spare.size >= s.size {
		s.file, s.size = r.spare.file, r.spare.size
		if err := l.fs.Rename(r.path(r.spare), l.path(temp)); err != nil {
			return err
		}
		r.spare = nil
		// Else a crash could give the old name back to a file that is half made into another segment.
		return l.fs.SyncDir(l.dir)
	}
	if s.file, err = l.createBlank(temp, s.size, nil); err == nil {
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
