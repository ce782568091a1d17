package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/balsa-raft/balsa/internal/must"
)

// scan reads a snapshot's file from its beginning and checks every byte of it. One goroutine at a time uses it.
type scan struct {
	file   io.ReaderAt
	name   string // for errors
	header []byte // that the file must have
	size   int64  // that the file must have when it is complete
	have   int64  // of which so much is there

	// Invariant: all below offset is what was written, and the fields here follow from it. What is not valid changes none.
	offset  int64
	crc     uint32 // of the block, or header, before offset
	sum     uint32 // IEEE, of all before offset
	content int64
	short   bool // the last block was: no other follows
	ended   bool // the trailer was read

	buf []byte // reused
}

// errMore is returned by next while the bytes that it needs have not come.
var errMore = errors.New("more bytes needed")

// next checks what comes next and returns its content, which is valid until the following call: of a block some, of the
// header none. It returns io.EOF behind the trailer, and there only.
func (s *scan) next() ([]byte, error) {
	switch {
	case s.ended:
		return nil, io.EOF
	case s.offset == 0:
		return nil, s.readHeader()
	}
	b, err := s.read(blockHeaderBytes + blockBytes)
	if err != nil {
		return nil, err
	}
	if len(b) < blockHeaderBytes {
		return nil, s.corrupt("the file ends without a trailer")
	}
	if n := binary.LittleEndian.Uint32(b); n > 0 {
		return s.block(b, n)
	}
	return nil, s.trailer(b)
}

// read returns the next n bytes, or all there are to the file's end.
func (s *scan) read(n int64) ([]byte, error) {
	must.Be2(s.have <= s.size, "a file has %d of its %d bytes", s.have, s.size)
	n = min(n, s.size-s.offset)
	if n > s.have-s.offset {
		return nil, errMore
	}
	if int64(cap(s.buf)) < n {
		s.buf = make([]byte, n)
	}
	b := s.buf[:n]
	if err := readFull(s.file, b, s.offset); err != nil {
		return nil, fmt.Errorf("snapshot: read %s: %w", s.name, err)
	}
	return b, nil
}

func (s *scan) readHeader() error {
	b, err := s.read(headerStartBytes)
	if err != nil {
		return err
	}
	n, err := headerLength(b)
	if err != nil {
		return s.corrupt(err.Error())
	}
	if b, err = s.read(n); err != nil {
		return err
	}
	if int64(len(b)) < n {
		return s.corrupt("the file ends in its header")
	}
	m, clusterID, err := parseHeader(b)
	switch {
	case errors.Is(err, ErrUnsupported):
		return fmt.Errorf("snapshot: %s: %w", s.name, err)
	case err != nil:
		return s.corrupt(err.Error())
	case !bytes.Equal(b, s.header):
		return s.corrupt(fmt.Sprintf("the header is that of another snapshot: %v of cluster %x", m, clusterID))
	}
	s.crc = headerCRC(b)
	s.passed(b)
	return nil
}

func (s *scan) block(b []byte, n uint32) ([]byte, error) {
	if s.short || int64(n) > int64(len(b)-blockHeaderBytes) {
		return nil, s.corrupt(fmt.Sprintf("a block of %d bytes where none so long can be", n))
	}
	b = b[:blockHeaderBytes+n]
	crc := blockCRC(b, s.crc)
	if crc != binary.LittleEndian.Uint32(b[4:]) {
		return nil, s.corrupt("the block's checksum is wrong")
	}
	s.crc = crc
	s.content += int64(n)
	s.short = n < blockBytes
	s.passed(b)
	return b[blockHeaderBytes:], nil
}

func (s *scan) trailer(b []byte) error {
	if len(b) != trailerBytes {
		return s.corrupt(fmt.Sprintf("the file has %d bytes where the trailer has %d", len(b), trailerBytes))
	}
	tr, ok := parseTrailer(b, headerCRC(s.header))
	switch sum := crc32.Update(s.sum, crc32.IEEETable, b[:trailerSumOffset]); {
	case !ok:
		return s.corrupt("the trailer's checksum is wrong")
	case tr.content != s.content:
		return s.corrupt(fmt.Sprintf("the blocks have %d bytes of content, the trailer says %d", s.content, tr.content))
	case tr.sum != sum:
		return s.corrupt("the checksum of the whole file is wrong")
	}
	s.ended = true
	s.passed(b)
	return io.EOF
}

// passed moves behind b, which is valid.
func (s *scan) passed(b []byte) {
	s.sum = crc32.Update(s.sum, crc32.IEEETable, b)
	s.offset += int64(len(b))
}

func (s *scan) corrupt(reason string) error {
	return &CorruptError{File: s.name, Offset: s.offset, Reason: reason}
}

// run checks all that is there. It returns nil if that is a complete snapshot, errMore if it can still become one.
func (s *scan) run() error {
	for {
		if _, err := s.next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// readFull reads all of b. A file that ends earlier than its size says is a failure of the disk, not damage.
func readFull(file io.ReaderAt, b []byte, offset int64) error {
	n, err := file.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}
