package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/balsa-raft/balsa/vfs/memfs"
)

// FuzzFile opens and reads files of arbitrary bytes. Whatever they are nothing panics, and a file that is accepted is
// byte for byte what a Writer writes of its content, so that no content has two files and no file two contents.
func FuzzFile(f *testing.F) {
	golden := goldenSnapshots[1]
	file := fileOf(f, golden.meta, golden.content)
	f.Add(byte(0), file)
	f.Add(byte(1), []byte{12, 1, 14, 1, 70, 1})
	f.Add(byte(2), []byte{0, 0, 0, 0, 0, 0, 0, 0, 9})
	f.Add(byte(3), []byte("\x03\x00abc\xff\xff\x00\x00\x01\x00x"))
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		if len(b) > 256<<10 {
			return
		}
		d := memfs.New()
		switch kind % 4 {
		case 0: // these bytes
		case 1: // a sound file with some bytes changed
			edits := b
			b = bytes.Clone(file)
			for i := 0; i+2 <= len(edits); i += 2 {
				b[int(edits[i])%len(b)] ^= edits[i+1]
			}
		case 2: // with some bytes of the header changed, and its checksum right
			edits := b
			b = bytes.Clone(file)
			for i := 0; i < len(edits) && i < 52; i++ {
				b[8+i] ^= edits[i]
			}
			if n, err := headerLength(b); err == nil && n <= int64(len(b)) {
				resealHeader(b)
			}
		case 3: // blocks of arbitrary lengths, and a trailer, with right checksums
			b = sealedBlocks(golden.meta, b)
		}
		plant(t, d, filePath(golden.meta), b)
		checkFile(t, d, golden.meta, b)
	})
}

// sealedBlocks is a file of blocks that are described by lengths and what is in them, not all of them well.
func sealedBlocks(m Meta, b []byte) []byte {
	file := appendHeader(nil, m, clusterID)
	header := headerCRC(file)
	crc, content := header, 0
	for len(b) >= 2 && len(file) < 1<<20 {
		n := int(binary.LittleEndian.Uint16(b))
		b = b[2:]
		block := append(make([]byte, blockHeaderBytes, blockHeaderBytes+n), b[:min(n, len(b))]...)
		b = b[min(n, len(b)):]
		if n%3 == 0 {
			block = append(block, make([]byte, blockBytes)...)[:blockHeaderBytes+blockBytes]
		}
		crc = sealBlock(block, crc)
		file = append(file, block...)
		content += len(block) - blockHeaderBytes
	}
	content += len(b) // one byte left: a length that is wrong by one
	return append(file, appendTrailer(nil, int64(content), crc32.ChecksumIEEE(file), header)...)
}

func checkFile(t *testing.T, d *memfs.FS, m Meta, file []byte) {
	s, err := Open(d, dir, Options{ClusterID: clusterID})
	if err != nil {
		return // another cluster's
	}
	content, err := get(s, m)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
			t.Fatal(err)
		}
		if _, _, latest := s.Latest(m.Group); latest == nil {
			t.Fatalf("%v is forgotten", err)
		}
		return
	}
	got, _, _ := s.Latest(m.Group)
	if want := fileOf(t, got, content); !bytes.Equal(file, want) {
		t.Fatalf("a file of %d bytes is accepted, and a Writer makes one of %d bytes of its content", len(file), len(want))
	}
}

// FuzzReceiver sends chunks of right and wrong bytes, at right and wrong places, with breaks and restarts. What Commit
// accepts is one of the two that were sent, and no mixture.
func FuzzReceiver(f *testing.F) {
	m := at(5)
	content := contentOf(m, blockBytes+700)
	file := fileOf(f, m, content)
	otherContent := contentOf(at(6), blockBytes+700)
	other := fileOf(f, m, otherContent)
	f.Add([]byte{0, 255, 0, 255, 0, 255, 9, 0})
	f.Add([]byte{0, 100, 4, 0, 1, 200, 5, 0, 0, 255, 0, 255, 0, 255, 9, 0})
	f.Add([]byte{0, 250, 6, 3, 4, 0, 2, 10, 3, 7, 0, 255, 9, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		d := memfs.New()
		s := mustOpen(t, d)
		s.syncBytes = 10_000
		var r *Receiver
		for i := 0; i+2 <= len(script) && i < 100; i += 2 {
			op, arg := script[i]%10, int64(script[i+1])
			if r == nil {
				r = mustReceive(t, s, m, len(file))
			}
			from := r.Offset()
			to := min(from+arg*300, int64(len(file)))
			var err error
			switch op {
			case 0, 7, 8:
				err = r.Write(from, file[from:to])
			case 1:
				err = r.Write(from, other[from:to])
			case 2:
				err = r.Write(from+arg-7, file[from:to])
			case 3:
				err = r.Write(from, flipped(file, int(arg)*257%len(file))[from:to])
			case 4, 5:
				err = r.Close()
				r = nil
				if op == 5 {
					s = mustOpen(t, d)
					s.syncBytes = 10_000
				}
			case 6:
				if from > 0 {
					ok(t, d.Flip(filePath(m)+partSuffix, arg*257%from, 1))
				}
			case 9:
				if err = r.Commit(); err == nil {
					b, err := get(s, m)
					if err != nil || !bytes.Equal(b, content) && !bytes.Equal(b, otherContent) {
						t.Fatalf("committed something else: %v", err)
					}
					return
				}
			}
			if errors.Is(err, ErrCorrupt) {
				r = nil
			} else if err != nil && !errors.Is(err, ErrOffset) && !errors.Is(err, ErrIncomplete) {
				t.Fatal(err)
			}
		}
	})
}
