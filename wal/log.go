package wal

import (
	"fmt"
	"sync"

	"github.com/balsa-raft/balsa/internal/must"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs"
)

// Options of a log. The zero value is good.
type Options struct {
	// SegmentBytes is the size of a segment, a multiple of 4096; 16 MiB if zero.
	SegmentBytes int64
	// SparesMax is how many segments are kept ready at most, the next one included; 6 if zero. What lets the log begin later may let several go at once,
	// and all are needed again soon: the fewer are kept, the more zeros are written.
	SparesMax int
	// ID tells logs apart: one that was written under another ID is refused.
	ID uint64
	// Written, if it is set, is called between the write of a batch, or of moved entries, and its sync. The log is locked then.
	Written func()
}

func (o *Options) validate() error {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = segmentBytesDefault
	}
	if o.SegmentBytes < segmentBytesMin || o.SegmentBytes > segmentBytesMax || o.SegmentBytes%blockBytes != 0 {
		return fmt.Errorf("wal: SegmentBytes is %d: it must be a multiple of %d from %d to %d",
			o.SegmentBytes, blockBytes, segmentBytesMin, segmentBytesMax)
	}
	if o.SparesMax == 0 {
		o.SparesMax = sparesMaxDefault
	}
	if o.SparesMax < 1 {
		return fmt.Errorf("wal: SparesMax is %d: it must be 1 or more", o.SparesMax)
	}
	return nil
}

// Recovered is a group as Open found it.
type Recovered struct {
	Group      raft.GroupID
	HardState  raft.HardState
	FirstIndex raft.Index // 1 unless the log's beginning was forgotten
	BaseTerm   raft.Term  // of the entry before FirstIndex; 0 if there is none
	LastIndex  raft.Index // FirstIndex-1 if there are no entries
	Terms      []raft.TermRun
}

// Stats describes the log, and counts since Open.
type Stats struct {
	Segments int    // files, the prepared one and spares included
	Bytes    int64  // that they take on disk
	Live     int64  // bytes of them that entries occupy, of all groups together
	Recycled uint64 // segments of which nothing was alive, kept to be used again
	Removed  uint64 // segments of which nothing was alive, and there were enough spares
	Appends  uint64 // batches written, those of moved entries included
	Written  uint64 // bytes, with headers and padding
	Moved    uint64 // bytes of them that were moved, so that segments could be given back
	Syncs    uint64
}

// Log is the durable log of all groups of a host. One goroutine at a time appends; Entries, Prepare, Vouch, Stats and
// GroupBytes may be called meanwhile by others.
//
// Locks are taken in the order preparing, writing, rotation, mu.
type Log struct {
	folder
	options   Options
	recovered []Recovered
	firstSeq  uint64 // of the oldest segment at Open: spans count from it

	preparing     sync.Mutex // held by Prepare; guards what follows
	prepareErr    error      // of the last try
	prepareFailed uint64     // Stats.Written then
	moveMark      uint64     // Stats.Written when entries were last moved, or need not be

	writing   sync.Mutex // held by Append; guards what follows
	buf       []byte     // the frame that is being made; reused
	staged    []staged   // what the frame does to the index; reused
	seed      uint32
	tail      *segment // replaced under rotation too
	offset    int64    // where the next frame goes
	lsn       uint64   // of the next frame
	crc       uint32   // of the last frame
	unvouched bool     // nothing on disk says that the last frame with records is durable

	rotation sync.Mutex // guards what follows
	next     *segment   // prepared; nil if there is none
	spares   []spare    // to become next

	mu       sync.RWMutex // guards what follows, and the durable part of every group
	groups   map[raft.GroupID]*group
	order    []*group   // the same, ascending
	segments []*segment // in use, by seq
	live     int64      // bytes of all records of entries that are in the index
	stats    Stats
	err      error // why the log has stopped
}

// bufBytesKept is the largest buffer that is kept from one batch to the next.
const bufBytesKept = 16 << 20

// Groups returns what was found at Open, ascending by group. The caller owns it.
func (l *Log) Groups() []Recovered { return l.recovered }

// Append makes a batch durable with one write and one sync, and returns when it is. If it fails nothing is known of
// the batch, and every later call fails. What is in the log already is not written again; a batch of nothing new does
// no I/O. The log does not keep batch or what is in it.
func (l *Log) Append(batch []Save) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.failure(); err != nil {
		return err
	}
	records := l.encode(batch)
	if records == 0 {
		return nil
	}
	at, err := l.writeFrame(records)
	if err != nil {
		return l.fail(err)
	}
	l.unvouched = true
	l.publish(at)
	return nil
}

func (l *Log) resetBuf() {
	if cap(l.buf) < frameHeaderBytes || cap(l.buf) > bufBytesKept {
		l.buf = make([]byte, 0, 16*blockBytes)
	}
	l.buf = l.buf[:frameHeaderBytes]
}

// writeFrame writes and syncs the frame in buf, and returns where it is.
func (l *Log) writeFrame(records uint32) (at int64, err error) {
	size := roundUp(int64(len(l.buf)))
	if l.offset+size > l.tail.size {
		if err := l.rotate(size); err != nil {
			return 0, err
		}
	}
	at = l.offset
	if l.buf, err = l.put(l.tail, at, l.buf, records); err != nil {
		return 0, err
	}
	l.offset += size
	l.mu.Lock()
	l.stats.Appends++
	l.mu.Unlock()
	return at, nil
}

// put writes and syncs the log's next frame, whose payload stands in b behind its header's place, and returns b, padded.
func (l *Log) put(s *segment, at int64, b []byte, records uint32) ([]byte, error) {
	b = l.seal(s, b, records)
	if _, err := s.file.WriteAt(b, at); err != nil {
		return b, err
	}
	if l.options.Written != nil {
		l.options.Written()
	}
	if err := s.file.Sync(); err != nil {
		return b, err
	}
	l.mu.Lock()
	l.stats.Syncs++
	l.stats.Written += uint64(len(b))
	l.mu.Unlock()
	return b, nil
}

// seal makes b, in which a payload stands behind the header's place, the log's next frame: whole blocks for segment s.
func (l *Log) seal(s *segment, b []byte, records uint32) []byte {
	f := frame{payload: len(b) - frameHeaderBytes, records: records, prevCRC: l.crc, seq: s.seq, lsn: l.lsn, syncedLSN: l.lsn}
	size := f.bytes()
	if size > frameBytesMax {
		must.Be(false, "a frame has at most %d bytes: %d", frameBytesMax, size)
	}
	f.seal(b, l.seed)
	l.lsn, l.crc = f.lsn+1, f.crc
	return appendZeroes(b, int(size)-len(b))
}

var zeroBlock [blockBytes]byte

// appendZeroes appends less than a block of zeros.
func appendZeroes(b []byte, n int) []byte { return append(b, zeroBlock[:n]...) }

// publish makes the index tell of the frame at offset at, which is durable now.
func (l *Log) publish(at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.staged {
		s := &l.staged[i]
		s.span.segment = uint32(l.tail.seq - l.firstSeq)
		s.span.offset += uint32(at)
		l.apply(s.group, &s.record, s.span)
	}
	clear(l.staged) // lets go of the caller's entries
}

// Vouch notes on disk that the last frame is durable, unless something there says so already. The next Append would
// note it too; so call it when the log has been idle for some seconds. Until then recovery cannot tell damage to the
// last frame from an interrupted write. It costs a write and a sync.
func (l *Log) Vouch() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.failure(); err != nil {
		return err
	}
	return l.vouch()
}

// vouch writes a frame of no records. Its syncedLSN is what matters.
func (l *Log) vouch() error {
	if !l.unvouched {
		return nil
	}
	l.resetBuf()
	if _, err := l.writeFrame(0); err != nil {
		return l.fail(err)
	}
	l.unvouched = false
	return nil
}

// GroupBytes returns how many bytes of the log a group's entries occupy, from its first one on. A record counts until
// none of its entries is left.
func (l *Log) GroupBytes(id raft.GroupID) int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if g := l.groups[id]; g != nil {
		return g.bytes
	}
	return 0
}

// Stats returns the counts so far.
func (l *Log) Stats() Stats {
	l.rotation.Lock()
	defer l.rotation.Unlock()
	l.mu.RLock()
	defer l.mu.RUnlock()
	st := l.stats
	st.Live = l.live
	for _, s := range l.segments {
		st.Segments++
		st.Bytes += s.size
	}
	if l.next != nil {
		st.Segments++
		st.Bytes += l.next.size
	}
	for _, s := range l.spares {
		st.Segments++
		st.Bytes += s.size
	}
	return st
}

// Close notes that the log is durable and closes its files. Later calls fail with ErrClosed. What Append has
// acknowledged is durable with or without it.
func (l *Log) Close() error {
	l.preparing.Lock()
	defer l.preparing.Unlock()
	l.writing.Lock()
	defer l.writing.Unlock()
	l.rotation.Lock()
	next, spares := l.next, l.spares
	l.next, l.spares = nil, nil
	l.rotation.Unlock()
	var err error
	if l.failure() == nil {
		err = l.vouch()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = ErrClosed
	files := make([]vfs.File, 0, len(l.segments)+1+len(spares))
	for _, s := range l.segments {
		files = append(files, s.file)
	}
	if next != nil {
		files = append(files, next.file)
	}
	for _, s := range spares {
		files = append(files, s.file)
	}
	for _, f := range files {
		if errClose := f.Close(); err == nil && errClose != nil {
			err = fmt.Errorf("wal: %w", errClose)
		}
	}
	return err
}

// fail stops the log for good and returns the error of all later calls. After a failed write or sync the kernel may
// have dropped what was written and report success the next time, so trying again would acknowledge what is not there.
func (l *Log) fail(cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = fmt.Errorf("wal: %w: %w", ErrFailed, cause)
	}
	return l.err
}

func (l *Log) failure() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.err
}

// Open recovers the log in dir, or makes an empty one. It takes no lock: the caller sees to it that a folder has one
// log. It fails with an error that wraps ErrCorrupt if bytes are damaged that were durable, and with one that wraps
// ErrUnsupported if a newer version wrote them; nothing is changed then.
func Open(fs vfs.FS, dir string, o Options) (*Log, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	l := &Log{
		folder:   folder{fs: fs, dir: dir, id: o.ID},
		options:  o,
		seed:     logSeed(o.ID),
		groups:   make(map[raft.GroupID]*group),
		firstSeq: 1,
	}
	if err := fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("wal: %w", err)
	}
	r := recovery{log: l}
	if err := r.run(); err != nil {
		r.closeFiles()
		return nil, err
	}
	return l, nil
}
