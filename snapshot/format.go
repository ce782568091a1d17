package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/balsa-raft/balsa/raft"
)

// The package documentation has the pictures.
const (
	fileMagic    = "balsasnp"
	trailerMagic = "bEnd"
	version      = 1

	headerStartBytes = 16 // magic, version and length: the same in every version
	headerFixedBytes = 52
	headerBytesMax   = headerFixedBytes + ConfigurationBytesMax
	blockBytes       = 64 << 10 // of content
	blockHeaderBytes = 8
	trailerBytes     = 24
	trailerCRCOffset = 20
	trailerSumOffset = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendHeader appends the header of a snapshot. Its last four bytes are its checksum.
func appendHeader(b []byte, m Meta, clusterID uint64) []byte {
	le := binary.LittleEndian
	start := len(b)
	b = append(b, fileMagic...)
	b = le.AppendUint32(b, version)
	b = le.AppendUint32(b, uint32(headerFixedBytes+len(m.Configuration)))
	b = le.AppendUint64(b, clusterID)
	b = le.AppendUint64(b, uint64(m.Group))
	b = le.AppendUint64(b, uint64(m.Index))
	b = le.AppendUint64(b, uint64(m.Term))
	b = append(b, m.Configuration...)
	return le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// headerLength reads a header's start. The bound keeps a damaged length from making a reader allocate.
func headerLength(b []byte) (int64, error) {
	if len(b) < headerStartBytes || string(b[:8]) != fileMagic {
		return 0, errors.New("no header")
	}
	n := binary.LittleEndian.Uint32(b[12:])
	if n < headerStartBytes+4 || n > headerBytesMax {
		return 0, fmt.Errorf("header of %d bytes", n)
	}
	return int64(n), nil
}

// parseHeader reads a header of the length that it says it has. The configuration is b's.
func parseHeader(b []byte) (m Meta, clusterID uint64, err error) {
	le := binary.LittleEndian
	if crc32.Checksum(b[:len(b)-4], castagnoli) != headerCRC(b) {
		return Meta{}, 0, errors.New("the header's checksum is wrong")
	}
	if v := le.Uint32(b[8:]); v != version {
		return Meta{}, 0, fmt.Errorf("%w: format %d, this version reads %d", ErrUnsupported, v, version)
	}
	if len(b) < headerFixedBytes {
		return Meta{}, 0, fmt.Errorf("header of %d bytes", len(b))
	}
	m = Meta{
		Group:         raft.GroupID(le.Uint64(b[24:])),
		Index:         raft.Index(le.Uint64(b[32:])),
		Term:          raft.Term(le.Uint64(b[40:])),
		Configuration: b[48 : len(b)-4 : len(b)-4],
	}
	return m, le.Uint64(b[16:]), nil
}

func headerCRC(b []byte) uint32 { return binary.LittleEndian.Uint32(b[len(b)-4:]) }

// sealBlock fills in the header of the block whose content stands in b behind the header's place, and returns its
// checksum, which the next block's continues.
func sealBlock(b []byte, crcBefore uint32) (crc uint32) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], uint32(len(b)-blockHeaderBytes))
	crc = blockCRC(b, crcBefore)
	le.PutUint32(b[4:], crc)
	return crc
}

func blockCRC(b []byte, crcBefore uint32) uint32 {
	return crc32.Update(crc32.Update(crcBefore, castagnoli, b[:4]), castagnoli, b[blockHeaderBytes:])
}

// appendTrailer appends the trailer to an empty b. sum is the IEEE checksum of all bytes before the trailer.
func appendTrailer(b []byte, content int64, sum, crcOfHeader uint32) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, 0)
	b = append(b, trailerMagic...)
	b = le.AppendUint64(b, uint64(content))
	b = le.AppendUint32(b, crc32.Update(sum, crc32.IEEETable, b))
	return le.AppendUint32(b, crc32.Update(crcOfHeader, castagnoli, b))
}

// trailer is what a valid one says.
type trailer struct {
	content int64
	sum     uint32
}

func parseTrailer(b []byte, crcOfHeader uint32) (tr trailer, ok bool) {
	le := binary.LittleEndian
	if len(b) != trailerBytes || le.Uint32(b) != 0 || string(b[4:8]) != trailerMagic ||
		crc32.Update(crcOfHeader, castagnoli, b[:trailerCRCOffset]) != le.Uint32(b[trailerCRCOffset:]) {
		return trailer{}, false
	}
	return trailer{content: int64(le.Uint64(b[8:])), sum: le.Uint32(b[trailerSumOffset:])}, true
}

// fileBytes is the size of a file with so much content; -1 if no file has.
func fileBytes(headerBytes, content int64) int64 {
	if content < 0 || content > 1<<60 {
		return -1
	}
	blocks := (content + blockBytes - 1) / blockBytes
	return headerBytes + content + blocks*blockHeaderBytes + trailerBytes
}

// isFileSize reports whether a file with this header can have size bytes.
func isFileSize(headerBytes, size int64) bool {
	if size < headerBytes+trailerBytes || size > 1<<60 {
		return false
	}
	last := (size - headerBytes - trailerBytes) % (blockHeaderBytes + blockBytes)
	return last == 0 || last > blockHeaderBytes
}
