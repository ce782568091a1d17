package wal

import (
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// A group that is hardly used would keep the segment that holds its entries, and with it all younger ones, for ever. So
// what is alive in the oldest segment is moved to the log's end if some of the oldest segments, at least pinnedMin, are
// together less alive than one part in aliveParts. This bounds the segments before the last one to aliveParts times what
// is alive in them, once there are so many; and what is moved is a small part of what is freed. A log that is busy and
// forgets its beginning is left alone: only its oldest segment is partly dead, and soon wholly.
const (
	aliveParts = 5
	pinnedMin  = 2
	// moveParts: a frame of moved entries has about one part in moveParts of a segment, because Append waits while it is
	// written.
	moveParts = 256
)

// move appends what is alive in the oldest segment again, if that is little: in this call about as much as was appended
// since the last one, so that it keeps pace.
func (l *Log) move() error {
	frameBytes := l.options.SegmentBytes / moveParts
	pieces := l.movable(max(frameBytes, int64(l.Stats().Written-l.moveMark)))
	for len(pieces) > 0 {
		n, bytes := 0, int64(0)
		for n < len(pieces) && (n == 0 || bytes+int64(pieces[n].length) <= frameBytes) {
			bytes += int64(pieces[n].length)
			n++
		}
		if ok, err := l.movePieces(pieces[:n]); err != nil || !ok {
			return err
		}
		pieces = pieces[n:]
	}
	l.moveMark = l.Stats().Written
	return nil
}

// movable lists up to about bytesMax bytes of the records in the oldest segment, if they are to be moved. They stay
// there until they are dead, so they need not be pinned: only Prepare gives back.
func (l *Log) movable(bytesMax int64) []piece {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !l.isWorthMoving() {
		return nil
	}
	return l.piecesIn(l.segments[0], bytesMax)
}

func (l *Log) piecesIn(seg *segment, bytesMax int64) (pieces []piece) {
	bytes := int64(0)
	for _, g := range l.order {
		for k, s := range g.spans {
			if l.segmentOf(s) != seg {
				continue
			}
			pieces = append(pieces, piece{span: s, group: g.id, segment: seg, last: g.end(k)})
			if bytes += int64(s.length); bytes >= bytesMax {
				return pieces
			}
		}
	}
	return pieces
}

func (l *Log) isWorthMoving() bool {
	bytes, live := int64(0), int64(0)
	for i, s := range l.segments[:len(l.segments)-1] {
		bytes += s.size
		live += s.live
		if i+1 >= pinnedMin && live*aliveParts < bytes {
			return true
		}
	}
	return false
}

// movePieces moves what is still alive of the pieces, in one frame. It reports whether there was room for that: moving
// never makes a segment, because to fail in that would stop the log.
func (l *Log) movePieces(pieces []piece) (ok bool, err error) {
	entries := make([][]raft.Entry, len(pieces))
	for i, p := range pieces {
		if entries[i], err = p.read(l); err != nil {
			return false, l.fail(err)
		}
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.failure(); err != nil {
		return false, err
	}
	l.resetBuf()
	l.staged = l.staged[:0]
	for i, p := range pieces {
		l.encodeMoved(p, entries[i])
	}
	if len(l.staged) == 0 {
		return true, nil
	}
	size := roundUp(int64(len(l.buf)))
	if !l.hasRoom(size) {
		clear(l.staged) // lets go of the entries
		return false, nil
	}
	at, err := l.writeFrame(uint32(len(l.staged)))
	if err != nil {
		return false, l.fail(err)
	}
	l.unvouched = true
	l.publish(at)
	l.mu.Lock()
	l.stats.Moved += uint64(size)
	l.mu.Unlock()
	return true, nil
}

// encodeMoved puts a record of what is alive of a piece into buf, if it is still where it was.
func (l *Log) encodeMoved(p piece, es []raft.Entry) {
	g := l.groups[p.group]
	k := g.find(p.first)
	if k < 0 || g.spans[k] != p.span {
		return
	}
	es = es[max(p.first, g.first)-p.first : g.end(k)-p.first+1]
	start := len(l.buf)
	l.buf = wire.AppendMovedRecord(l.buf, g.id, es)
	l.stageEntries(g, wire.RecordMoved, es, start)
}

// hasRoom reports whether a frame of so many bytes fits into the segment in use or into the one that is prepared.
func (l *Log) hasRoom(frameBytes int64) bool {
	if l.offset+frameBytes <= l.tail.size {
		return true
	}
	restated, _ := l.restate()
	l.rotation.Lock()
	defer l.rotation.Unlock()
	return l.next != nil && blockBytes+roundUp(int64(len(restated)))+frameBytes <= l.next.size
}
