package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/balsa-raft/balsa/vfs"
)

// segment is a file of the log: a header block, then frames, then zeros.
type segment struct {
	seq  uint64
	file vfs.File
	size int64 // bytes, a multiple of blockBytes
	live int64 // bytes of records in it that the index tells of; guarded by Log.mu

	// readers is how many records are being read in the file. It rises under Log.mu, while the index tells of the record.
	readers atomic.Int32
}

const (
	// segmentBytesDefault is a part of what a member lets its log grow between two snapshots. A log that has once made all the segments that it needs at a time
	// writes zeros no more, and there is less of them the smaller a segment is.
	segmentBytesDefault = 16 << 20
	sparesMaxDefault    = 6
	// segmentBytesSmall is the size of a segment that somebody waits for: the first one, and one that Append makes
	// because Prepare has not yet. Zeros cost the disk as much as data does.
	segmentBytesSmall = 1 << 20
	segmentBytesMin   = 2 * blockBytes
	segmentBytesMax   = frameBytesMax
	// fileBytesMax is the largest segment that can be: made for one frame, behind one that restates.
	fileBytesMax = blockBytes + 2*frameBytesMax

	segmentPrefix = "wal-"
	tempSuffix    = ".tmp"
	zeroesBytes   = 1 << 20 // written at a time
)

func segmentName(seq uint64) string { return fmt.Sprintf("%s%016x", segmentPrefix, seq) }

// parseSegmentName accepts exactly what segmentName makes.
func parseSegmentName(name string) (seq uint64, ok bool) {
	seq, err := strconv.ParseUint(strings.TrimPrefix(name, segmentPrefix), 16, 64)
	return seq, err == nil && seq > 0 && name == segmentName(seq)
}

// isTempName recognises the files that a crash may leave half-made.
func isTempName(name string) bool {
	return strings.HasPrefix(name, segmentPrefix) && strings.HasSuffix(name, tempSuffix)
}

// header is a segment's first block. The package documentation has its picture.
type header struct {
	id        uint64
	seq       uint64
	size      uint64
	firstLSN  uint64 // of the segment's first frame; what earlier segments hold from it on is dead
	syncedLSN uint64 // frames below it were durable when the header became so
	prevCRC   uint32 // of frame firstLSN-1
}

const (
	headerMagic    = 0x6c617761736c6162 // "balsawal"
	headerVersion  = 1
	headerBytes    = 64
	headerCRCAfter = 60
)

// seal writes the header to b, a block of zeros.
func (h header) seal(b []byte) {
	le := binary.LittleEndian
	le.PutUint64(b[0:], headerMagic)
	le.PutUint32(b[8:], headerVersion)
	le.PutUint64(b[16:], h.id)
	le.PutUint64(b[24:], h.seq)
	le.PutUint64(b[32:], h.size)
	le.PutUint64(b[40:], h.firstLSN)
	le.PutUint64(b[48:], h.syncedLSN)
	le.PutUint32(b[56:], h.prevCRC)
	le.PutUint32(b[headerCRCAfter:], crc32.Checksum(b[:headerCRCAfter], castagnoli))
}

var errNoHeader = errors.New("no valid header")

// parseHeader fails with errNoHeader for anything that is not a whole header, and with ErrUnsupported for a newer one.
func parseHeader(b []byte) (header, error) {
	le := binary.LittleEndian
	if len(b) < headerBytes || le.Uint64(b) != headerMagic ||
		le.Uint32(b[headerCRCAfter:]) != crc32.Checksum(b[:headerCRCAfter], castagnoli) {
		return header{}, errNoHeader
	}
	if v := le.Uint32(b[8:]); v != headerVersion {
		return header{}, fmt.Errorf("%w: format %d, this version reads %d", ErrUnsupported, v, headerVersion)
	}
	return header{
		id:        le.Uint64(b[16:]),
		seq:       le.Uint64(b[24:]),
		size:      le.Uint64(b[32:]),
		firstLSN:  le.Uint64(b[40:]),
		syncedLSN: le.Uint64(b[48:]),
		prevCRC:   le.Uint32(b[56:]),
	}, nil
}

// folder makes the log's files.
type folder struct {
	fs  vfs.FS
	dir string
	id  uint64
}

func (d folder) path(name string) string { return path.Join(d.dir, name) }

// createBlank makes a file of zeros under a temporary name and syncs it. Zeros and not a hole: overwriting blocks
// that were written before spares each later sync the journal commit that a new block would cost. See fillZeroes for hurry.
func (d folder) createBlank(temp string, size int64, hurry func(filled int64) bool) (vfs.File, error) {
	name := d.path(temp)
	f, err := d.fs.Create(name)
	if errors.Is(err, fs.ErrExist) { // left by a failure that could not remove it either
		if err := d.fs.Remove(name); err != nil {
			return nil, err
		}
		f, err = d.fs.Create(name)
	}
	if err != nil {
		return nil, err
	}
	if err := fillZeroes(f, size, hurry); err != nil {
		// The file was never in use, so its failure says nothing of the log: give back the room.
		return nil, errors.Join(err, f.Close(), d.fs.Remove(name))
	}
	return f, nil
}

// zeroes is never written to.
var zeroes [zeroesBytes]byte

// fillZeroes syncs every part, because the syncs of Append wait for what the disk has been given before them: with one
// sync at the end of 64 MiB, appends beside it took up to 25 ms, with one a MiB up to 7.
//
// If hurry, which is asked before each part and may be nil, says so, the rest is only allocated: the syncs that first use it cost more, but nobody has
// to wait for zeros.
func fillZeroes(f vfs.File, size int64, hurry func(filled int64) bool) error {
	for at := int64(0); at < size; at += int64(len(zeroes)) {
		if hurry != nil && hurry(at) {
			err := f.Allocate(size)
			if err == nil {
				return f.Sync()
			}
			if !errors.Is(err, errors.ErrUnsupported) {
				return err
			}
			hurry = nil
		}
		if _, err := f.WriteAt(zeroes[:min(int64(len(zeroes)), size-at)], at); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// name gives a file that is complete and synced its place in the log, durably. Files have a segment's name only then,
// so a file of that name that is too short or has no header was damaged, or has never been in use.
func (d folder) name(temp string, seq uint64) error {
	if err := d.fs.Rename(d.path(temp), d.path(segmentName(seq))); err != nil {
		return err
	}
	return d.fs.SyncDir(d.dir)
}

// start makes a blank segment part of the log. It syncs the header before any frame follows: a header that is not
// valid then tells of damage if there are frames, and of an unused segment if there are none.
func (d folder) start(s *segment, h header) error {
	h.id, h.seq, h.size = d.id, s.seq, uint64(s.size)
	var block [blockBytes]byte
	h.seal(block[:])
	if _, err := s.file.WriteAt(block[:], 0); err != nil {
		return err
	}
	return s.file.Sync()
}
