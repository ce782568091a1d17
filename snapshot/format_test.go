package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// goldenSnapshots are what testdata/files.golden holds: no content, one block, two blocks of which the first is zeros.
var goldenSnapshots = []struct {
	meta    Meta
	content []byte
}{
	{Meta{Group: 1, Index: 1, Term: 1}, nil},
	{Meta{Group: 1, Index: 260, Term: 3, Configuration: []byte("voters 1 2 3")}, []byte("the quick brown fox")},
	{Meta{Group: 1 << 60, Index: 1 << 40, Term: 1 << 33, Configuration: []byte{0, 255}}, append(make([]byte, blockBytes), "end"...)},
}

// The bytes are a promise to snapshots that were written, and to members of other versions.
func TestGolden(t *testing.T) {
	d := memfs.New()
	s := mustOpen(t, d)
	var text strings.Builder
	for _, g := range goldenSnapshots {
		mustPut(t, s, g.meta, g.content)
		b := contentsOf(t, d, filePath(g.meta))
		fmt.Fprintf(&text, "%s %d bytes\n", g.meta.place().name(), len(b))
		for at := 0; at < len(b); at += 32 {
			if line := b[at:min(len(b), at+32)]; !bytes.Equal(line, make([]byte, len(line))) {
				fmt.Fprintf(&text, "%06x %x\n", at, line)
			}
		}
	}
	name := filepath.Join("testdata", "files.golden")
	if *update {
		ok(t, os.WriteFile(name, []byte(text.String()), 0o644))
	}
	want, err := os.ReadFile(name)
	ok(t, err)
	if text.String() != string(want) {
		t.Errorf("written bytes changed\ngot\n%swant\n%s", text.String(), want)
	}
}

func TestNames(t *testing.T) {
	for _, p := range []place{{0, 1, 1}, {1, 2, 3}, {1<<64 - 1, 1<<64 - 1, 1<<64 - 1}, {raft.GroupID(1) << 63, 5, 6}} {
		for _, suffix := range []string{"", tempSuffix, partSuffix} {
			got, gotSuffix, ok := parseName(p.name() + suffix)
			if got != p || gotSuffix != suffix || !ok {
				t.Errorf("%s%s is %v %q %v", p.name(), suffix, got, gotSuffix, ok)
			}
		}
	}
}

// resealHeader makes the header's checksum right.
func resealHeader(file []byte) []byte {
	n := binary.LittleEndian.Uint32(file[12:])
	binary.LittleEndian.PutUint32(file[n-4:], crc32.Checksum(file[:n-4], castagnoli))
	return file
}

// A snapshot of a newer version is told apart from a damaged one, and left as it is.
func TestNewerVersionIsNotCorrupt(t *testing.T) {
	file := fileOf(t, at(5), []byte("x"))
	file[8] = 2
	resealHeader(file)
	d := memfs.New()
	plant(t, d, filePath(at(5)), file)
	s := mustOpen(t, d)
	mustPut(t, s, at(4), []byte("old"))
	for range 2 {
		m, found, err := s.Latest(1)
		if !found || m.Index != 4 || !errors.Is(err, ErrUnsupported) || errors.Is(err, ErrCorrupt) {
			t.Fatalf("latest is %v, %v, %v", m, found, err)
		}
		want := at(5).place().name() + ": snapshot written by a newer version: format 2, this version reads 1"
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v", err)
		}
		ok(t, s.Prune(1, 100))
		s = mustOpen(t, d)
	}
	if !bytes.Equal(contentsOf(t, d, filePath(at(5))), file) {
		t.Error("the file changed")
	}
	r := mustReceive(t, mustOpen(t, memfs.New()), at(5), len(file))
	is(t, r.Write(0, file), ErrUnsupported)
}
