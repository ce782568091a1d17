package transport

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/balsa-raft/balsa/wire"
)

// A frame is what is checked as one:
//
//	payload length u32 | crc32c u32 of the length and the payload | payload: packets x ( length u32 | packet )
//
// The checksum covers the length too, so that a run of zeros is no frame. A payload of no packets is a sign of life.
const (
	frameHeadBytes  = 8
	packetHeadBytes = 4

	// frameBytesTarget is where the writer starts another frame. It is well below readBufferBytes, so that frames of
	// small packets are decoded where they were read.
	frameBytesTarget = 128 << 10
	readBufferBytes  = 256 << 10
	// growBytesMax bounds what a frame's length alone makes the reader allocate; beyond it, memory follows the bytes.
	growBytesMax = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameSum is the checksum of the frame whose bytes are b: of everything but the checksum itself.
func frameSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:4], castagnoli), castagnoli, b[frameHeadBytes:])
}

// seal writes the checksums of the frames in b, whose lengths are already there.
func seal(b []byte) {
	for len(b) > 0 {
		n := frameHeadBytes + int(binary.LittleEndian.Uint32(b))
		binary.LittleEndian.PutUint32(b[4:], frameSum(b[:n]))
		b = b[n:]
	}
}

// frameReader takes packets off a stream of frames.
type frameReader struct {
	r          io.Reader
	bytesMax   int // of a payload
	buf        []byte
	start, end int // what is read and not yet decoded
}

func newFrameReader(r io.Reader, bytesMax int) *frameReader {
	return &frameReader{r: r, bytesMax: bytesMax, buf: make([]byte, readBufferBytes)}
}

// next returns the packets of all frames that have arrived, after waiting for at least one packet. They, and the bytes
// they alias, are the caller's. With an error come the packets before it. It never returns neither.
func (f *frameReader) next() ([]wire.Packet, error) {
	for {
		packets, err := f.drain()
		if len(packets) > 0 || err != nil {
			return packets, err
		}
		if err := f.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads once into the buffer, which is not full: drain leaves less than one frame there, and takes frames that
// do not fit elsewhere.
func (f *frameReader) fill() error {
	if f.start == f.end {
		f.start, f.end = 0, 0
	} else if f.start > len(f.buf)/2 || f.end == len(f.buf) {
		f.end = copy(f.buf, f.buf[f.start:f.end]) // little is moved, and a read has room again
		f.start = 0
	}
	n, err := f.r.Read(f.buf[f.end:])
	f.end += n
	if n > 0 {
		return nil // an error comes again
	}
	if err == io.EOF && f.start < f.end {
		return io.ErrUnexpectedEOF
	}
	return err
}

// drain decodes the whole frames in the buffer.
func (f *frameReader) drain() (packets []wire.Packet, err error) {
	for f.end-f.start >= frameHeadBytes {
		head := f.buf[f.start:f.end]
		payload := int64(binary.LittleEndian.Uint32(head))
		if payload > int64(f.bytesMax) {
			return packets, fmt.Errorf("%w: frame of %d bytes, at most %d are taken", wire.ErrMalformed, payload, f.bytesMax)
		}
		n := frameHeadBytes + int(payload)
		if n > len(f.buf) {
			if len(packets) > 0 {
				return packets, nil // those first: the rest of a large frame may take long
			}
			return f.large(n)
		}
		if n > len(head) {
			return packets, nil
		}
		f.start += n
		packets, err = decodeFrame(packets, head[:n], false)
		if err != nil {
			return packets, err
		}
	}
	return packets, nil
}

// large reads a frame of n bytes that does not fit into the buffer into memory of its own.
func (f *frameReader) large(n int) ([]wire.Packet, error) {
	frame := make([]byte, 0, min(n, growBytesMax))
	frame = append(frame, f.buf[f.start:f.end]...)
	f.start, f.end = 0, 0
	for len(frame) < n {
		if len(frame) == cap(frame) {
			frame = append(make([]byte, 0, min(n, 2*cap(frame))), frame...)
		}
		got, err := f.r.Read(frame[len(frame):cap(frame)])
		frame = frame[:len(frame)+got]
		if got == 0 && err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return decodeFrame(nil, frame, true)
}

// decodeFrame appends the packets of frame to packets. Unless frame is owned, which gives it away, packets that alias
// their bytes are decoded from a copy.
func decodeFrame(packets []wire.Packet, frame []byte, owned bool) ([]wire.Packet, error) {
	if sum, want := frameSum(frame), binary.LittleEndian.Uint32(frame[4:]); sum != want {
		return packets, fmt.Errorf("%w: frame with checksum %08x, its bytes have %08x", wire.ErrMalformed, want, sum)
	}
	b := frame[frameHeadBytes:]
	for len(b) > 0 {
		if len(b) < packetHeadBytes {
			return packets, fmt.Errorf("%w: %d bytes at the end of a frame", wire.ErrMalformed, len(b))
		}
		n := int64(binary.LittleEndian.Uint32(b))
		if n > int64(len(b)-packetHeadBytes) {
			return packets, fmt.Errorf("%w: packet of %d bytes where %d are left", wire.ErrMalformed, n, len(b)-packetHeadBytes)
		}
		end := packetHeadBytes + int(n)
		if !owned && wire.HasData(b[packetHeadBytes:end]) {
			b, owned = append([]byte(nil), b...), true // once for all that follow in the frame
		}
		p, err := wire.DecodePacket(b[packetHeadBytes:end])
		if err != nil {
			return packets, err
		}
		packets = append(packets, p)
		b = b[end:]
	}
	return packets, nil
}
