package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/wire"
)

// FuzzRecovery opens logs of arbitrary bytes. Whatever they are, Open must not panic, a log that it accepts must take
// an append and open again, and one that it refuses must be refused again.
func FuzzRecovery(f *testing.F) {
	golden, _ := writeGolden(f)
	first := contentsOf(f, golden, segmentPath(1))
	f.Add(byte(0), uint16(0), first[:3*blockBytes])
	f.Add(byte(1), uint16(3), first[2*blockBytes+frameHeaderBytes:][:64])
	f.Add(byte(2), uint16(4096+20), []byte{1, 2, 3})
	second := contentsOf(f, golden, segmentPath(2))
	for block := range 5 { // of a restating frame, moved entries, beginnings
		f.Add(byte(1), uint16(1+block), second[block*blockBytes+frameHeaderBytes:][:40])
		f.Add(byte(4), uint16(1+block), second[block*blockBytes+frameHeaderBytes:][:40])
	}
	f.Add(byte(2), uint16(60), []byte{})
	f.Add(byte(3), uint16(2), first[2*blockBytes+frameHeaderBytes:][:37])
	f.Fuzz(func(t *testing.T, kind byte, n uint16, b []byte) {
		if len(b) > 64<<10 {
			return
		}
		d := memfs.New()
		if err := d.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
		switch kind % 5 {
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
		case 4: // the bytes as the records with which the only segment left begins, and those that follow
			plant(t, d, 5, loneSegment(uint32(n), b))
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
		if err := l.Prepare(); err != nil {
			t.Fatal(err)
		}
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

// loneSegment is a segment behind others that are gone: of a frame that restates two groups, whose entries are holes, and
// one with the payload.
func loneSegment(records uint32, payload []byte) []byte {
	groups := wire.AppendGroupRecord(nil, &wire.Record{Group: 1, HardState: stateOf(1 << 50), First: 3, BaseTerm: 1, Last: 9})
	groups = wire.AppendGroupRecord(groups, &wire.Record{Group: 2, HardState: stateOf(1 << 50), First: 1, Last: 2})
	one := frame{payload: len(groups), records: 2, seq: 5, lsn: 20, syncedLSN: 20}
	two := frame{payload: len(payload), records: records, seq: 5, lsn: 21, syncedLSN: 21}
	b := make([]byte, blockBytes+one.bytes()+two.bytes()+blockBytes)
	header{id: small.ID, seq: 5, size: uint64(len(b)), firstLSN: 20, syncedLSN: 20}.seal(b)
	copy(b[blockBytes+frameHeaderBytes:], groups)
	one.seal(b[blockBytes:], logSeed(small.ID))
	two.prevCRC = one.crc
	copy(b[blockBytes+one.bytes()+frameHeaderBytes:], payload)
	two.seal(b[blockBytes+one.bytes():], logSeed(small.ID))
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
