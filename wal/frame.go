package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// frame is a frame's header. The package documentation has its picture.
type frame struct {
	payload   int // bytes
	records   uint32
	prevCRC   uint32
	seq       uint64
	lsn       uint64
	syncedLSN uint64
	flags     uint32
	crc       uint32
}

const (
	blockBytes       = 4096
	frameHeaderBytes = 48
	frameCRCOffset   = 44
	frameMagic       = 0x6d724662 // "bFrm"

	// frameBytesMax bounds a batch. The host's queues are bounded far below it.
	frameBytesMax = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// roundUp is n rounded up to whole blocks.
func roundUp(n int64) int64 { return (n + blockBytes - 1) &^ (blockBytes - 1) }

// bytes is what the frame takes in its segment.
func (f frame) bytes() int64 { return roundUp(frameHeaderBytes + int64(f.payload)) }

// seal writes the header of the frame whose payload stands in b behind the header's place, and sets f.crc.
func (f *frame) seal(b []byte, seed uint32) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], frameMagic)
	le.PutUint32(b[4:], uint32(f.payload))
	le.PutUint32(b[8:], f.records)
	le.PutUint32(b[12:], f.prevCRC)
	le.PutUint64(b[16:], f.seq)
	le.PutUint64(b[24:], f.lsn)
	le.PutUint64(b[32:], f.syncedLSN)
	le.PutUint32(b[40:], f.flags)
	f.crc = frameCRC(b[:frameHeaderBytes+f.payload], seed)
	le.PutUint32(b[frameCRCOffset:], f.crc)
}

func frameCRC(b []byte, seed uint32) uint32 {
	return crc32.Update(crc32.Update(seed, castagnoli, b[:frameCRCOffset]), castagnoli, b[frameHeaderBytes:])
}

// parseFrame reads the frame at the front of b. ok says that it is one of segment seq's and passes its checksum;
// without that, the header is what the bytes say, and payload is nil unless its length fits into b.
func parseFrame(b []byte, seq uint64, seed uint32) (f frame, payload []byte, ok bool) {
	le := binary.LittleEndian
	if len(b) < frameHeaderBytes || le.Uint32(b) != frameMagic {
		return frame{}, nil, false
	}
	n := le.Uint32(b[4:])
	f = frame{
		records:   le.Uint32(b[8:]),
		prevCRC:   le.Uint32(b[12:]),
		seq:       le.Uint64(b[16:]),
		lsn:       le.Uint64(b[24:]),
		syncedLSN: le.Uint64(b[32:]),
		flags:     le.Uint32(b[40:]),
		crc:       le.Uint32(b[frameCRCOffset:]),
	}
	if int64(n) > int64(len(b)-frameHeaderBytes) {
		return f, nil, false
	}
	f.payload = int(n)
	end := frameHeaderBytes + f.payload
	return f, b[frameHeaderBytes:end:end], f.seq == seq && frameCRC(b[:end], seed) == f.crc
}

// logSeed is what the checksums of a log's frames begin with: a frame of another log never passes here.
func logSeed(id uint64) uint32 {
	return crc32.Checksum(binary.LittleEndian.AppendUint64(nil, id), castagnoli)
}
