package wal

import (
	"errors"
	"fmt"
	"io"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs"
	"github.com/balsa-raft/balsa/wire"
)

// recovery rebuilds a log from its files and decides, where bytes are not valid, between an interrupted write and
// damage. The package documentation has the argument. Nothing on disk changes before it has decided.
type recovery struct {
	log      *Log
	segments []*found // in use, by seq
	spare    *found   // behind them: prepared, or an interrupted rotation's; nil if there is none
	temps    []string // names of files that a crash left half-made
	opened   []vfs.File

	b   []byte // the segment that is being read
	lsn uint64 // of the next frame
	crc uint32 // of the last frame

	// held is the last frame read. It is applied once something says that it was durable. What is held at the end may
	// be sound in the page cache only, so resume writes it anew.
	held *held
}

// found is a file with a segment's name.
type found struct {
	segment
	header header
	valid  bool // its header is
}

type held struct {
	frame
	payload  []byte
	in       *found // where it was read
	at       int64
	offset   int64 // where it is from now on, in segment seq
	restates bool  // it is the first one of its segment
}

func (r *recovery) run() error {
	r.lsn = 1
	files, err := r.list()
	if err != nil {
		return err
	}
	if err := r.judgeHeaders(files); err != nil {
		return err
	}
	if len(r.segments) > 0 {
		r.lsn, r.crc = r.segments[0].header.firstLSN, r.segments[0].header.prevCRC
	}
	for i := range r.segments {
		if err := r.readSegment(i); err != nil {
			return err
		}
	}
	reusable, err := r.judgeSpare()
	if err != nil {
		return err
	}
	return r.resume(reusable)
}

// list opens the files with a segment's name and reads their headers.
func (r *recovery) list() ([]*found, error) {
	l := r.log
	names, err := l.fs.List(l.dir)
	if err != nil {
		return nil, fmt.Errorf("wal: %w", err)
	}
	var files []*found
	for _, name := range names {
		if isTempName(name) {
			r.temps = append(r.temps, name)
		}
		seq, ok := parseSegmentName(name)
		if !ok {
			continue
		}
		file, err := l.fs.Open(l.path(name))
		if err != nil {
			return nil, fmt.Errorf("wal: %w", err)
		}
		r.opened = append(r.opened, file)
		f := &found{segment: segment{seq: seq, file: file}}
		if err := r.readHeader(f); err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (r *recovery) readHeader(f *found) error {
	l := r.log
	size, err := f.file.Size()
	if err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	if size > fileBytesMax {
		return r.corrupt(f, 0, fmt.Sprintf("the file has %d bytes, more than any segment", size))
	}
	f.size = size
	b := make([]byte, min(blockBytes, size))
	if err := readFull(f.file, b); err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	f.header, err = parseHeader(b)
	name := l.path(segmentName(f.seq))
	switch {
	case errors.Is(err, errNoHeader):
		return nil
	case err != nil:
		return fmt.Errorf("wal: %s: %w", name, err)
	case f.header.id != l.id:
		return fmt.Errorf("wal: %s is of log %x, and this one is %x: the folder is another member's", name, f.header.id, l.id)
	case f.header.seq != f.seq:
		return r.corrupt(f, 0, fmt.Sprintf("it is %s under another name", segmentName(f.header.seq)))
	case f.header.size != uint64(size):
		return r.corrupt(f, 0, fmt.Sprintf("the file has %d bytes instead of %d", size, f.header.size))
	}
	f.valid = true
	return nil
}

func readFull(f vfs.File, b []byte) error {
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) && n == len(b) {
		return nil
	}
	return err
}

// judgeHeaders tells which segments are in use. Behind them there may be one more, which was prepared.
func (r *recovery) judgeHeaders(files []*found) error {
	used := 0
	for i, f := range files {
		if f.valid {
			used = i + 1
		}
		if i > 0 && f.seq != files[i-1].seq+1 {
			return r.corrupt(f, 0, fmt.Sprintf("the segment before it, %s, is missing", segmentName(f.seq-1)))
		}
	}
	for i, f := range files {
		switch {
		case f.valid && (f.header.firstLSN == 0 || f.header.firstLSN == 1 && f.header.prevCRC != 0):
			return r.corrupt(f, 0, fmt.Sprintf("its header passes its checksum and makes no sense: there is nothing before frame 1, and it continues frame %d, of checksum %x",
				f.header.firstLSN-1, f.header.prevCRC))
		case f.valid:
		case i == 0:
			return r.corrupt(f, 0, "its header is not valid, though the log's oldest segment has one")
		case i < len(files)-1:
			return r.corrupt(f, 0, "its header is not valid, though there is a later segment")
		}
	}
	if used > 0 {
		r.log.firstSeq = files[0].seq
	}
	r.segments = files[:used]
	for _, f := range r.segments {
		r.log.segments = append(r.log.segments, &f.segment)
	}
	if used < len(files) {
		r.spare = files[used]
	}
	return nil
}

func (r *recovery) load(f *found) error {
	if int64(cap(r.b)) < f.size {
		r.b = make([]byte, f.size)
	}
	r.b = r.b[:f.size]
	if err := readFull(f.file, r.b); err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	return nil
}

// readSegment reads the frames of segment i.
func (r *recovery) readSegment(i int) error {
	f := r.segments[i]
	if err := r.load(f); err != nil {
		return err
	}
	last := i == len(r.segments)-1
	at := int64(blockBytes)
	for last || r.lsn < r.segments[i+1].header.firstLSN {
		fr, payload, ok := parseFrame(r.b[min(at, f.size):], f.seq, r.log.seed)
		if !ok || fr.lsn != r.lsn || fr.prevCRC != r.crc {
			if err := r.judgeEnd(i, at); err != nil {
				return err
			}
			break
		}
		h := &held{frame: fr, payload: payload, in: f, at: at, offset: at}
		h.restates = at == blockBytes && fr.lsn > 1
		if err := r.hold(h); err != nil {
			return err
		}
		at += fr.bytes()
	}
	if !last {
		next := r.segments[i+1]
		if next.header.firstLSN != r.lsn || next.header.prevCRC != r.crc {
			return r.corrupt(next, 0, fmt.Sprintf("it continues frame %d, and %s ends with another frame %d",
				next.header.firstLSN-1, segmentName(f.seq), r.lsn-1))
		}
		return r.settle() // a segment is started when all before it is durable
	}
	if r.held != nil && r.held.lsn < f.header.syncedLSN {
		return r.settle()
	}
	if r.held != nil {
		r.held.payload = append([]byte(nil), r.held.payload...) // r.b is read into again
	}
	return nil
}

// hold settles the frame before h, which h says was durable, and keeps h.
func (r *recovery) hold(h *held) error {
	if err := r.settle(); err != nil {
		return err
	}
	if h.flags != 0 {
		return fmt.Errorf("wal: %s at offset %d: %w: frame flags %x", r.path(h.in), h.at, ErrUnsupported, h.flags)
	}
	r.held, r.lsn, r.crc = h, h.lsn+1, h.crc
	return nil
}

// judgeEnd is called where the frames of segment i end: there is no frame r.lsn at offset at. It returns an error if
// that frame was durable once, and nil if its write was interrupted or never begun.
func (r *recovery) judgeEnd(i int, at int64) error {
	f := r.segments[i]
	if i < len(r.segments)-1 {
		next := r.segments[i+1]
		return r.damaged(f, at, fmt.Sprintf("there is no valid frame %d, though %s continues frame %d",
			r.lsn, segmentName(next.seq), next.header.firstLSN-1))
	}
	if i == 0 && at == blockBytes && r.lsn > 1 {
		return r.damaged(f, at, fmt.Sprintf("there is no valid frame %d, though the segments before it are gone, which it restates", r.lsn))
	}
	if f.header.syncedLSN > r.lsn {
		return r.damaged(f, at, fmt.Sprintf("there is no valid frame %d, though the segment was made with it", r.lsn))
	}
	if p, later := r.nextFrame(f, at, r.lsn); p >= 0 {
		return r.damaged(f, at, fmt.Sprintf("there is no valid frame %d, though frame %d at offset %d was written after it",
			r.lsn, later.lsn, p))
	}
	return nil
}

// nextFrame finds the first valid frame from offset at on whose LSN is lsn or later. It looks at every block, because
// a damaged frame does not say where the next one begins.
func (r *recovery) nextFrame(f *found, at int64, lsn uint64) (int64, frame) {
	for ; at < f.size; at += blockBytes {
		if fr, _, ok := parseFrame(r.b[at:], f.seq, r.log.seed); ok && fr.lsn >= lsn {
			return at, fr
		}
	}
	return -1, frame{}
}

// judgeSpare looks at the segment behind the last one in use, whose header was never durable: so there can be no frames
// of it, only of segments that the file was before. reusable says that there is such a segment.
func (r *recovery) judgeSpare() (reusable bool, err error) {
	f := r.spare
	if f == nil {
		return false, nil
	}
	if err := r.load(f); err != nil {
		return false, err
	}
	if p, fr := r.nextFrame(f, blockBytes, 0); p >= 0 {
		return false, r.damaged(f, 0, fmt.Sprintf("its header is not valid, though frame %d at offset %d was written after it", fr.lsn, p))
	}
	return f.size >= segmentBytesMin && f.size%blockBytes == 0, nil
}

// settle applies the held frame: puts its records into the index.
func (r *recovery) settle() error {
	h := r.held
	if h == nil {
		return nil
	}
	r.held = nil
	rest := h.payload
	group := raft.GroupID(0)
	for n := uint32(0); n < h.records; n++ {
		record := rest
		rec, left, err := wire.DecodeRecord(rest)
		if errors.Is(err, wire.ErrRecordKind) {
			return fmt.Errorf("wal: %s at offset %d: %w: %w", r.path(h.in), h.at, ErrUnsupported, err)
		}
		if err != nil {
			return r.corrupt(h.in, h.at, fmt.Sprintf("frame %d passes its checksum and cannot be read: %v", h.lsn, err))
		}
		at := h.offset + frameHeaderBytes + int64(len(h.payload)-len(rest))
		switch {
		case !h.restates:
			err = r.log.restore(&rec, h.seq, at, record[:len(record)-len(left)])
		case n > 0 && rec.Group <= group:
			err = fmt.Errorf("group %d is restated behind group %d", rec.Group, group)
		case h.in == r.segments[0]:
			err = r.log.restoreGroup(&rec)
		default:
			err = r.log.checkRestated(&rec)
		}
		if err != nil {
			return r.corrupt(h.in, h.at, fmt.Sprintf("frame %d passes its checksum and makes no sense: %v", h.lsn, err))
		}
		group, rest = rec.Group, left
	}
	if h.restates && h.records != r.log.groupCount() {
		return r.corrupt(h.in, h.at, fmt.Sprintf("frame %d passes its checksum and makes no sense: it restates %d groups of %d",
			h.lsn, h.records, r.log.groupCount()))
	}
	if len(rest) > 0 {
		return r.corrupt(h.in, h.at, fmt.Sprintf("frame %d passes its checksum and has %d bytes behind its records", h.lsn, len(rest)))
	}
	return nil
}

func (r *recovery) path(f *found) string { return r.log.path(segmentName(f.seq)) }

// closeFiles closes what was opened, after a failure.
func (r *recovery) closeFiles() {
	for _, f := range r.opened {
		f.Close()
	}
}
