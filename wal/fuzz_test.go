package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/balsa-raft/balsa/vfs/memfs"
)

// FuzzRecovery opens logs of arbitrary bytes. Whatever they are, Open must not panic, a log that it accepts must take
// an append and open again, and one that it refuses must be refused again.
func FuzzRecovery(f *testing.F) {
	golden, _ := writeGolden(f)
	first := contentsOf(f, golden, segmentPath(1))
	f.Add(byte(0), uint16(0), first[:3*blockBytes])
	f.Add(byte(1), uint16(3), first[2*blockBytes+frameHeaderBytes:][:64])
	f.Add(byte(2), uint16(4096+20), []byte{1, 2, 3})
	f.Add(byte(3), uint16(2), first[2*blockBytes+frameHeaderBytes:][:37])
	f.Fuzz(func(t *testing.T, kind byte, n uint16, b []byte) {
		if len(b) > 64<<10 {
			return
		}
		d := memfs.New()
		if err := d.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
		switch kind % 4 {
		case 0: // one file of these bytes
			plant(t, d, 1, b)
		case 1: // the bytes as records in a sound frame; the fuzzer does not find checksums
			plant(t, d, 1, soundSegment(1, uint32(n), b))
		case 2: // a sound log with some of its bytes changed
			x := append([]byte(nil), first...)
			for i, c := range b {
				x[(int(n)+i)%len(x)] ^= c
			}
			plant(t, d, 1, x)
			plant(t, d, 2, contentsOf(t, golden, segmentPath(2)))
		case 3: // headers and frames with any numbers and right checksums
			plant(t, d, 1, resealed(soundSegment(1, uint32(n), b), b))
			plant(t, d, 2, resealed(soundSegment(2, uint32(n), b), b))
		}
		l, err := Open(d, dir, small)
		if err != nil {
			if _, again := Open(d, dir, small); again == nil || errors.Is(again, ErrCorrupt) != errors.Is(err, ErrCorrupt) {
				t.Fatalf("refused with %v, and then %v", err, again)
			}
			return
		}
		if err := l.Append([]Save{put(1<<60, 1<<60, 1, "x")}); err != nil {
			t.Fatal(err)
		}
		found := l.Groups()
		l = mustOpen(t, d, small)
		if len(l.Groups()) < len(found) {
			t.Fatalf("found %v and then %v", found, l.Groups())
		}
		for _, g := range found {
			if g.LastIndex >= g.FirstIndex {
				if _, err := l.Entries(g.Group, g.FirstIndex, g.LastIndex, 1<<20); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func plant(t *testing.T, d *memfs.FS, seq int, b []byte) {
	f, err := d.Create(segmentPath(seq))
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err = errors.Join(err, f.Sync(), d.SyncDir(dir)); err != nil {
		t.Fatal(err)
	}
}

// soundSegment is a segment of one frame with this payload.
func soundSegment(seq uint64, records uint32, payload []byte) []byte {
	fr := frame{payload: len(payload), records: records, seq: seq, lsn: 1, syncedLSN: 1}
	b := make([]byte, blockBytes+fr.bytes()+blockBytes)
	header{id: small.ID, seq: seq, size: uint64(len(b)), firstLSN: 1, syncedLSN: 1}.seal(b)
	copy(b[blockBytes+frameHeaderBytes:], payload)
	fr.seal(b[blockBytes:], logSeed(small.ID))
	return b
}

// resealed changes the header and the frame by the numbers in edits, and makes the checksums right.
func resealed(b, edits []byte) []byte {
	for i := 0; i+2 <= len(edits) && i < 64; i += 2 {
		b[8+int(edits[i])%(headerCRCAfter-8)] ^= edits[i+1]
		if i%4 == 0 {
			b[blockBytes+8+int(edits[i])%(frameCRCOffset-8)] ^= edits[i+1]
		}
	}
	binary.LittleEndian.PutUint32(b[headerCRCAfter:], crc32.Checksum(b[:headerCRCAfter], castagnoli))
	fr, payload, _ := parseFrame(b[blockBytes:], 0, 0)
	if payload != nil {
		binary.LittleEndian.PutUint32(b[blockBytes+frameCRCOffset:],
			frameCRC(b[blockBytes:blockBytes+frameHeaderBytes+fr.payload], logSeed(small.ID)))
	}
	return b
}
