package wal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/balsa-raft/balsa/vfs"
)

const (
	// segmentGrowth is how much larger than the segment in use the next one is, at most. A log begins small, because
	// zeros for a whole segment in its first second would slow down all that share the disk.
	segmentGrowth = 4
	// hurryPart: zeros are written as long as not more than one part in hurryPart of them is appended meanwhile.
	hurryPart = 8
	// prepareTries is how often Prepare tries for a segment while one is filled, if it fails.
	prepareTries = 8
)

// spare is a file that was a segment: of full size, durably without a header, and with old frames in it, which nobody
// takes for new ones because they name the segment that they were written to.
type spare struct {
	temp string // its name
	file vfs.File
	size int64
}

// Prepare does what can be done while nobody waits: it moves what little is alive in the oldest segment, gives back the
// oldest segments, of which nothing is alive any more, and makes the next segment ready, so that Append need not wait for
// one. It is to be called after every few batches, or the log grows. If there is nothing to do, it costs nothing; else it
// blocks for as long as writing a segment takes, and Append goes on meanwhile. If it fails with an
// error that wraps ErrFailed, the log has stopped; after any other one (the disk is full, say) the log goes on while its
// segment has room, and calls that follow return the same error until trying again makes sense.
func (l *Log) Prepare() error {
	l.preparing.Lock()
	defer l.preparing.Unlock()
	if err := l.failure(); err != nil {
		return err
	}
	if err := l.move(); err != nil {
		return err
	}
	if err := l.giveBack(); err != nil {
		return err
	}
	return l.prepareNext()
}

// giveBack removes the oldest segments of which nothing is alive from the log, durably one after the other, because
// recovery takes a gap for damage. The entries that are alive are in the others, and so is what is to be known of the
// groups: each segment restates it.
func (l *Log) giveBack() error {
	for s := l.takeDead(); s != nil; s = l.takeDead() {
		l.prepareErr = nil // there may be room now
		var err error
		if l.wantsSpare(s) {
			err = l.recycle(s)
		} else {
			err = l.remove(s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeDead takes the oldest segment off the index if nothing in it is alive and nobody reads in it. It is not the last
// one, so the next one's first frame, which restates all groups, is durable.
func (l *Log) takeDead() *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.segments[0]
	if len(l.segments) == 1 || s.live > 0 || s.readers.Load() > 0 {
		return nil
	}
	l.segments = slices.Delete(l.segments, 0, 1)
	return s
}

func (l *Log) wantsSpare(s *segment) bool {
	l.rotation.Lock()
	defer l.rotation.Unlock()
	ready := len(l.spares)
	if l.next != nil {
		ready++
	}
	return s.size == l.options.SegmentBytes && ready < l.options.SparesMax
}

// remove deletes a segment that was taken off the index.
func (l *Log) remove(s *segment) error {
	err := s.file.Close()
	if err == nil {
		err = l.fs.Remove(l.path(segmentName(s.seq)))
	}
	if err == nil {
		err = l.fs.SyncDir(l.dir)
	}
	if err != nil {
		return l.fail(err)
	}
	l.mu.Lock()
	l.stats.Removed++
	l.mu.Unlock()
	return nil
}

// recycle makes a spare of a segment that was taken off the index. It loses its name before its header, so that at no
// time there is a segment without one, and its header before it can get another name.
func (l *Log) recycle(s *segment) error {
	temp := segmentName(s.seq) + tempSuffix
	err := l.fs.Rename(l.path(segmentName(s.seq)), l.path(temp))
	if err == nil {
		err = l.fs.SyncDir(l.dir)
	}
	if err != nil {
		return l.fail(errors.Join(err, s.file.Close()))
	}
	if _, err = s.file.WriteAt(zeroBlock[:], 0); err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		// It is no part of the log any more, so its failure says nothing of the log.
		return fmt.Errorf("wal: reuse a segment: %w", errors.Join(err, s.file.Close(), l.fs.Remove(l.path(temp))))
	}
	l.rotation.Lock()
	l.spares = append(l.spares, spare{temp: temp, file: s.file, size: s.size})
	l.rotation.Unlock()
	l.mu.Lock()
	l.stats.Recycled++
	l.mu.Unlock()
	return nil
}

// prepareNext makes the next segment ready if there is none.
func (l *Log) prepareNext() error {
	l.rotation.Lock()
	ready, tailBytes := l.next != nil, l.tail.size
	var s spare
	if n := len(l.spares); !ready && n > 0 {
		s, l.spares = l.spares[n-1], l.spares[:n-1]
	}
	l.rotation.Unlock()
	if ready {
		return nil
	}
	if s.file == nil {
		var err error
		if s, err = l.makeSpare(tailBytes); err != nil {
			return err
		}
	}
	l.rotation.Lock()
	defer l.rotation.Unlock()
	seq := l.tail.seq + 1
	if err := l.name(s.temp, seq); err != nil {
		// What the folder holds after a crash is unknown now, and a later success would say nothing of it.
		return l.fail(errors.Join(err, s.file.Close()))
	}
	l.next = &segment{seq: seq, file: s.file, size: s.size}
	return nil
}

// makeSpare makes a new file, unless the last try failed and too little was appended since.
func (l *Log) makeSpare(tailBytes int64) (s spare, err error) {
	written := l.Stats().Written
	if l.prepareErr != nil && written-l.prepareFailed < uint64(tailBytes/prepareTries) {
		return spare{}, l.prepareErr
	}
	s = spare{temp: segmentPrefix + "prepare" + tempSuffix, size: min(segmentGrowth*tailBytes, l.options.SegmentBytes)}
	if s.file, err = l.createBlank(s.temp, s.size, l.isHurried()); err != nil {
		l.prepareErr, l.prepareFailed = fmt.Errorf("wal: prepare a segment: %w", err), written
		return spare{}, l.prepareErr
	}
	l.prepareErr = nil
	return s, nil
}

// isHurried tells, for a file that is being filled with zeros, whether that takes the disk from Append.
func (l *Log) isHurried() func(filled int64) bool {
	begun := l.Stats().Written
	return func(filled int64) bool { return l.Stats().Written-begun > uint64(filled/hurryPart) && filled > 0 }
}

// rotate starts the next segment, which has room for a frame of frameBytes. The segment becomes part of the log with
// its first frame, which restates all groups: only then can those before it go.
func (l *Log) rotate(frameBytes int64) error {
	var restated []byte
	var records uint32
	if l.lsn > 1 {
		restated, records = l.restate()
	}
	l.rotation.Lock()
	defer l.rotation.Unlock()
	s := l.next
	l.next = nil // before anything can fail: it may be closed or half started then
	if size := blockBytes + roundUp(int64(len(restated))) + frameBytes; s == nil || s.size < size {
		var err error
		if s, err = l.replaceNext(s, max(size, min(segmentBytesSmall, l.options.SegmentBytes))); err != nil {
			return err
		}
	}
	if err := l.start(s, header{firstLSN: l.lsn, syncedLSN: l.lsn, prevCRC: l.crc}); err != nil {
		return err
	}
	offset := int64(blockBytes)
	if restated != nil {
		b, err := l.put(s, offset, restated, records)
		if err != nil {
			return err
		}
		offset += int64(len(b))
	}
	l.tail, l.offset = s, offset
	l.mu.Lock()
	l.segments = append(l.segments, s)
	l.stats.Syncs++
	l.mu.Unlock()
	return nil
}

// replaceNext makes the next segment while Append waits. One that was prepared and is too small gives way: making
// it larger would leave a doubt, after a failure, of whether its size is durable.
func (l *Log) replaceNext(prepared *segment, size int64) (*segment, error) {
	const temp = segmentPrefix + "append" + tempSuffix
	if prepared != nil {
		if err := prepared.file.Close(); err != nil {
			return nil, err
		}
	}
	f, err := l.createBlank(temp, size, func(int64) bool { return true })
	if err != nil {
		return nil, err
	}
	seq := l.tail.seq + 1
	if err := l.name(temp, seq); err != nil {
		f.Close()
		return nil, err
	}
	return &segment{seq: seq, file: f, size: size}, nil
}
