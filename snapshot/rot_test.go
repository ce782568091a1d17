package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// expectDamaged opens a folder whose snapshot is damaged. It must be found at once or when it is read, never be taken
// for sound or for absent, and be left as it is, however often the folder is opened.
func expectDamaged(t testing.TB, d *memfs.FS, m Meta, what string) *CorruptError {
	t.Helper()
	before := contentsOf(t, d, filePath(m))
	var ce *CorruptError
	for range 2 {
		s := mustOpen(t, d)
		if _, found, err := s.Latest(m.Group); found && err == nil {
			if err := s.Verify(m); !errors.As(err, &ce) {
				t.Fatalf("%s: verified: %v", what, err)
			}
		}
		// Known by now, and remembered.
		got, found, err := s.Latest(m.Group)
		if found && got.Index >= m.Index {
			t.Fatalf("%s: latest is %v", what, got)
		}
		if !errors.As(err, &ce) || ce.File != filePath(m) {
			t.Fatalf("%s: error is %v", what, err)
		}
		if _, again := s.Read(m); !errors.Is(again, ErrCorrupt) {
			t.Fatalf("%s: read: %v", what, again)
		}
		ok(t, s.Prune(m.Group, m.Index+1))
	}
	if after := contentsOf(t, d, filePath(m)); !bytes.Equal(before, after) {
		t.Fatalf("%s: the file changed", what)
	}
	return ce
}

func TestFlipAtEveryByte(t *testing.T) {
	content := contentOf(at(5), 100)
	file := fileOf(t, at(5), content)
	d := memfs.New()
	mustPut(t, mustOpen(t, d), at(4), []byte("old"))
	for i := range file {
		for bit := range 8 {
			if raced && bit != i%8 {
				continue
			}
			what := fmt.Sprintf("bit %d of byte %d", bit, i)
			bad := bytes.Clone(file)
			bad[i] ^= 1 << bit
			plant(t, d, filePath(at(5)), bad)
			expectDamaged(t, d, at(5), what)
			expect(t, mustOpen(t, d), at(4), []byte("old"))
		}
	}
}

func TestFlipInManyBlocks(t *testing.T) {
	file := fileOf(t, at(5), contentOf(at(5), 2*blockBytes+1000))
	d := memfs.New()
	for i := 0; i < len(file); i += 997 {
		bad := bytes.Clone(file)
		bad[i] ^= 0x10
		plant(t, d, filePath(at(5)), bad)
		ce := expectDamaged(t, d, at(5), fmt.Sprint("byte ", i))
		if ce.Offset > int64(i) || int64(i)-ce.Offset > blockHeaderBytes+blockBytes {
			t.Fatalf("byte %d: found at %d", i, ce.Offset)
		}
	}
}

func TestFlipAtEveryByteOfATransfer(t *testing.T) {
	file := fileOf(t, at(5), contentOf(at(5), 100))
	d := memfs.New()
	s := mustOpen(t, d)
	mustPut(t, s, at(4), []byte("old"))
	check := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%s: %v", what, err)
		}
		if got := names(t, d); got != "1/4" {
			t.Fatalf("%s: the folder has %s", what, got)
		}
		expectIndexes(t, s, 4)
	}
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 4
		r := mustReceive(t, s, at(5), len(file))
		err := send(r, bad, len(bad), 30)
		if err == nil {
			err = r.Commit()
		}
		check(fmt.Sprintf("byte %d on its way", i), err)
		is(t, r.Write(r.Offset(), nil), ErrCorrupt)
		is(t, r.Commit(), ErrCorrupt)

		r = mustReceive(t, s, at(5), len(file))
		ok(t, send(r, file, len(file), 50))
		ok(t, d.Flip(filePath(at(5))+partSuffix, int64(i), 4))
		check(fmt.Sprintf("byte %d on the disk", i), r.Commit())
	}
	r := mustReceive(t, s, at(5), len(file))
	ok(t, send(r, file, len(file), 50))
	ok(t, r.Commit())
	expect(t, s, at(5), contentOf(at(5), 100))
}

// A file that was cut, or has bytes behind its end, is never mistaken for a short or a complete one, and Open sees it
// without reading the blocks.
func TestD1_CutAtEveryLength(t *testing.T) {
	d := memfs.New()
	for _, size := range []int{0, 100} {
		file := fileOf(t, at(5), contentOf(at(5), size))
		for n := range file {
			plant(t, d, filePath(at(5)), file[:n])
			if _, _, err := mustOpen(t, d).Latest(1); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("cut to %d of %d bytes: %v", n, len(file), err)
			}
			expectDamaged(t, d, at(5), fmt.Sprintf("cut to %d of %d bytes", n, len(file)))
			plant(t, d, filePath(at(5)), append(bytes.Clone(file[:n]), make([]byte, len(file)-n)...))
			if tail := file[n:]; !bytes.Equal(tail, make([]byte, len(tail))) {
				expectDamaged(t, d, at(5), fmt.Sprintf("zeros from byte %d on", n))
			}
		}
		for _, more := range [][]byte{{0}, make([]byte, 24), file, file[len(file)-24:]} {
			plant(t, d, filePath(at(5)), append(bytes.Clone(file), more...))
			expectDamaged(t, d, at(5), fmt.Sprintf("%d bytes more", len(more)))
		}
	}
}

// Whole blocks with right checksums of their own, at wrong places.
func TestD12_MisplacedBlocks(t *testing.T) {
	const block = blockHeaderBytes + blockBytes
	content := contentOf(at(5), 4*blockBytes)
	file := fileOf(t, at(5), content)
	head := len(file) - trailerBytes - 4*block
	part := func(b []byte, i int) []byte { return b[head+i*block:][:block] }
	other := fileOf(t, at(6), content) // the same content, another index
	changed := bytes.Clone(content)    // another try at the same index:
	changed[0] ^= 1                    // with another first block,
	again := fileOf(t, at(5), changed) // the same content from there on
	end := func(b []byte) []byte { return b[len(b)-trailerBytes:] }
	trailer := end(file)
	shorter := fileOf(t, at(5), content[:3*blockBytes])
	for _, c := range []struct {
		what  string
		parts [][]byte
		want  int // the block at which it is found
	}{
		{"swapped", [][]byte{part(file, 0), part(file, 2), part(file, 1), part(file, 3), trailer}, 1},
		{"one missing", [][]byte{part(file, 0), part(file, 2), part(file, 3), trailer}, -1},
		{"last missing", [][]byte{part(file, 0), part(file, 1), part(file, 2), trailer}, -1},
		{"last missing, trailer of a shorter one", [][]byte{part(file, 0), part(file, 1), part(again, 2), end(shorter)}, 2},
		{"one repeated", [][]byte{part(file, 0), part(file, 1), part(file, 1), part(file, 3), trailer}, 2},
		{"one of another index", [][]byte{part(file, 0), part(other, 1), part(file, 2), part(file, 3), trailer}, 1},
		{"one of another try", [][]byte{part(file, 0), part(again, 1), part(file, 2), part(file, 3), trailer}, 1},
		{"first of another try", [][]byte{part(again, 0), part(file, 1), part(file, 2), part(file, 3), trailer}, 1},
		{"trailer of another try", [][]byte{part(file, 0), part(file, 1), part(file, 2), part(file, 3), end(again)}, 4},
		{"trailer of another index", [][]byte{part(file, 0), part(file, 1), part(file, 2), part(file, 3), end(other)}, 4},
	} {
		d := memfs.New()
		bad := append(bytes.Clone(file[:head]), slices.Concat(c.parts...)...)
		plant(t, d, filePath(at(5)), bad)
		ce := expectDamaged(t, d, at(5), c.what)
		if want := int64(head + c.want*block); c.want >= 0 && ce.Offset != want {
			t.Errorf("%s: found at %d, want %d: %v", c.what, ce.Offset, want, ce)
		}
		s := mustOpen(t, memfs.New())
		if !isFileSize(int64(head), int64(len(bad))) {
			continue
		}
		r := mustReceive(t, s, at(5), len(bad))
		err := send(r, bad, len(bad), 50_000)
		if err == nil {
			err = r.Commit()
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: received: %v", c.what, err)
		}
	}
}

// Files with right checksums that no Writer writes. If they passed, one content would have several files. What the size
// betrays is found by Open already.
func TestOnlyWhatAWriterWrites(t *testing.T) {
	short := []byte{1, 0, 'x'}          // a block, as sealedBlocks reads it
	full := []byte{3, 0, 'x', 'y', 'z'} // likewise
	for _, c := range []struct {
		what   string
		blocks []byte
		lie    int64 // in the trailer, about the content
		atOpen bool
	}{
		{what: "sound", blocks: slices.Concat(full, short)},
		{what: "a short block before another", blocks: slices.Concat(short, short), atOpen: true},
		{what: "a short block before a full one", blocks: slices.Concat(short, full)},
		{what: "a trailer that says too much", blocks: full, lie: 1, atOpen: true},
		{what: "a trailer that says too little", blocks: full, lie: -1, atOpen: true},
		{what: "a trailer that says nothing", blocks: full, lie: -blockBytes, atOpen: true},
		{what: "a trailer that says a negative number", blocks: full, lie: -blockBytes - 1, atOpen: true},
		{what: "a trailer that says more than there can be", blocks: full, lie: 1 << 62, atOpen: true},
	} {
		file := sealedBlocks(at(5), c.blocks)
		body := file[:len(file)-trailerBytes]
		header := headerCRC(body[:headerFixedBytes+len(at(5).Configuration)])
		content := int64(binary.LittleEndian.Uint64(file[len(body)+8:])) + c.lie
		file = append(bytes.Clone(body), appendTrailer(nil, content, crc32.ChecksumIEEE(body), header)...)
		d := memfs.New()
		plant(t, d, filePath(at(5)), file)
		s := mustOpen(t, d)
		if c.what == "sound" {
			ok(t, s.Verify(at(5)))
			continue
		}
		if _, _, err := s.Latest(1); errors.Is(err, ErrCorrupt) != c.atOpen {
			t.Errorf("%s: after open: %v", c.what, err)
		}
		expectDamaged(t, d, at(5), c.what)
		s = mustOpen(t, memfs.New())
		if r, err := s.Receive(at(5), int64(len(file))); err == nil {
			is(t, r.Write(0, file), ErrCorrupt)
		}
	}
}

// A change that no crc32c can see: a multiple of its polynomial. The whole file's checksum has another one.
func TestChangeThatTheBlocksChecksumMisses(t *testing.T) {
	content := contentOf(at(5), 3000)
	changed := bytes.Clone(content)
	multiple := 1 | uint64(crc32.Castagnoli)<<1 // its 33 coefficients, the highest first, as the bits come
	x := binary.LittleEndian.AppendUint64(nil, multiple<<3)
	for i, b := range x {
		changed[1000+i] ^= b
	}
	if bytes.Equal(content, changed) || crc32.Checksum(content, castagnoli) != crc32.Checksum(changed, castagnoli) {
		t.Fatal("crc32c sees the change")
	}
	file := fileOf(t, at(5), content)
	from := bytes.Index(file, content)
	copy(file[from:], changed)
	d := memfs.New()
	plant(t, d, filePath(at(5)), file)
	if ce := expectDamaged(t, d, at(5), "changed"); !strings.Contains(ce.Reason, "whole file") {
		t.Errorf("found otherwise: %v", ce)
	}
}

// N13: the newest snapshot is damaged, an older one is there, and the log may begin behind the older one. The store says
// so, and goes on saying so, until the caller has got another.
func TestN13_DamagedNewestIsReported(t *testing.T) {
	for _, c := range []struct {
		what   string
		offset int64
		atOpen bool
	}{
		{"header", 30, true},
		{"block", 100_000, false},
		{"trailer", -1, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			d := memfs.New()
			s := mustOpen(t, d)
			for _, i := range []raft.Index{10, 20, 30} {
				mustPut(t, s, at(i), contentOf(at(i), 150_000))
			}
			file := contentsOf(t, d, filePath(at(30)))
			offset := c.offset
			if offset < 0 {
				offset += int64(len(file))
			}
			ok(t, d.Flip(filePath(at(30)), offset, 1))
			s = mustOpen(t, d)
			_, _, err := s.Latest(1)
			if got := errors.Is(err, ErrCorrupt); got != c.atOpen {
				t.Fatalf("after open: %v", err)
			}
			if !c.atOpen {
				expectIndexes(t, s, 10, 20, 30)
				is(t, s.Verify(at(30)), ErrCorrupt)
			}
			m, found, err := s.Latest(1)
			if !found || !sameMeta(m, at(20)) || !errors.Is(err, ErrCorrupt) ||
				!strings.Contains(err.Error(), at(30).place().name()) {
				t.Fatalf("latest is %v, %v, %v", m, found, err)
			}
			expectIndexes(t, s, 10, 20)
			// N15: damage is no reason to remove what is sound, nor the damaged file.
			ok(t, s.Prune(1, 1000))
			expectIndexes(t, s, 20)
			if got := names(t, d); got != "1/20 1/30" {
				t.Fatalf("the folder has %s", got)
			}
			// From another member, the very same.
			r := mustReceive(t, s, at(30), len(file))
			ok(t, send(r, file, len(file), len(file)))
			is2(t, s, at(20))
			ok(t, r.Commit())
			for range 2 {
				if m, found, err := s.Latest(1); !found || err != nil || !sameMeta(m, at(30)) {
					t.Fatalf("latest is %v, %v, %v", m, found, err)
				}
				expect(t, s, at(30), contentOf(at(30), 150_000))
				s = mustOpen(t, d)
			}
			ok(t, s.Prune(1, 1000))
			if got := names(t, d); got != "1/30" {
				t.Fatalf("the folder has %s", got)
			}
		})
	}
}

func is2(t *testing.T, s *Store, want Meta) {
	t.Helper()
	if m, found, err := s.Latest(1); !found || !errors.Is(err, ErrCorrupt) || !sameMeta(m, want) {
		t.Fatalf("latest is %v, %v, %v", m, found, err)
	}
}

// N15: when all is damaged nothing is removed; when something newer is sound, the damaged one goes like any other.
func TestN15_DamageRemovesNothing(t *testing.T) {
	d := memfs.New()
	s := mustOpen(t, d)
	mustPut(t, s, at(10), []byte("x"))
	mustPut(t, s, at(20), []byte("x"))
	ok(t, d.Flip(filePath(at(10)), 0, 1))
	ok(t, d.Flip(filePath(at(20)), 0, 1))
	s = mustOpen(t, d)
	if m, found, err := s.Latest(1); found || !errors.Is(err, ErrCorrupt) {
		t.Fatalf("latest is %v, %v, %v", m, found, err)
	}
	expectIndexes(t, s)
	ok(t, s.Prune(1, 1000))
	if got := names(t, d); got != "1/10 1/20" {
		t.Fatalf("the folder has %s", got)
	}
	mustPut(t, s, at(20), []byte("y"))
	mustPut(t, s, at(30), []byte("z"))
	if m, found, err := s.Latest(1); !found || err != nil || !sameMeta(m, at(30)) {
		t.Fatalf("latest is %v, %v, %v", m, found, err)
	}
	expect(t, s, at(20), []byte("y"))
	ok(t, s.Prune(1, 15))
	if got := names(t, d); got != "1/20 1/30" {
		t.Fatalf("the folder has %s", got)
	}
}

// A snapshot under another's name: a group would restore another group's state.
func TestWrongName(t *testing.T) {
	file := fileOf(t, meta(2, 5), []byte("x"))
	d := memfs.New()
	plant(t, d, filePath(at(5)), file)
	expectDamaged(t, d, at(5), "renamed")
}

// Damage that appears while the store is open is found by whoever reads next, and remembered.
func TestDamageWhileOpen(t *testing.T) {
	for _, offset := range []int64{3, 80, 200_000} {
		d := memfs.New()
		s := mustOpen(t, d)
		mustPut(t, s, at(1), contentOf(at(1), 200_000))
		mustPut(t, s, at(2), contentOf(at(2), 200_000))
		ok(t, d.Flip(filePath(at(2)), offset, 0x80))
		b, err := get(s, at(2))
		is(t, err, ErrCorrupt)
		if !bytes.HasPrefix(contentOf(at(2), 200_000), b) {
			t.Error("damaged bytes were given out")
		}
		is2(t, s, at(1))
	}
}
