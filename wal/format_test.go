package wal

import (
	"encoding/binary"
	"encoding/hex"
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

// goldenBatches are what testdata/log.golden holds: a state alone, entries of two groups, entries that supersede, a
// frame that vouches, after a restart a frame that restates, a repeated one, and one behind them, moved entries, a
// beginning, and a snapshot.
var goldenBatches = [][]Save{
	{{Group: 1, HardState: raft.HardState{CurrentTerm: 1, VotedFor: 2}}},
	{
		{Group: 1, HardState: raft.HardState{CurrentTerm: 1, VotedFor: 2}, Entries: []raft.Entry{
			{Term: 1, Index: 1, Type: raft.EntryNoop},
			{Term: 1, Index: 2, Type: raft.EntryCommand, Data: []byte("put a 1")},
		}},
		put(300, 7, 1, "put b 2"),
	},
	{put(1, 2, 2, "put a 3")},
	{put(1, 2, 3, "put c 4")},
	{put(300, 7, 2, "put d 5")},
	{forget(1, 2, 3, 2), install(300, 8, 6, 7, "put e 6")},
}

// writeGolden writes the batches on an empty disk.
func writeGolden(t testing.TB) (*memfs.FS, model) {
	d, m := memfs.New(), model{}
	l := mustOpen(t, d, small)
	for i, batch := range goldenBatches {
		switch i {
		case 2:
			if err := l.Vouch(); err != nil {
				t.Fatal(err)
			}
		case 4:
			l = mustOpen(t, d, small) // as after a crash
		case 5:
			if ok, err := l.movePieces(l.piecesIn(l.segments[0], 1<<20)); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		mustAppend(t, l, batch...)
		m = m.apply(batch)
	}
	return d, m
}

// dump is a disk's files as lines of 32 bytes; lines of zeros are left out.
func dump(t testing.TB, d *memfs.FS) string {
	names, err := d.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var s strings.Builder
	for _, name := range names {
		b := contentsOf(t, d, dir+"/"+name)
		fmt.Fprintf(&s, "file %s %d\n", name, len(b))
		for at := 0; at < len(b); at += 32 {
			if line := b[at:min(len(b), at+32)]; !isZero(line) {
				fmt.Fprintf(&s, "%06x %x\n", at, line)
			}
		}
	}
	return s.String()
}

// undump makes the disk that dump has described.
func undump(t testing.TB, text string) *memfs.FS {
	d := memfs.New()
	if err := d.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	var name string
	for line := range strings.Lines(text) {
		var size int64
		if n, _ := fmt.Sscanf(line, "file %s %d", &name, &size); n == 2 {
			f, err := d.Create(dir + "/" + name)
			if err == nil {
				err = errors.Join(f.Truncate(size), f.Sync(), f.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		var at int
		var digits string
		if _, err := fmt.Sscanf(line, "%x %s", &at, &digits); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		bytes, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		b := contentsOf(t, d, dir+"/"+name)
		copy(b[at:], bytes)
		rewrite(t, d, dir+"/"+name, b)
	}
	return d
}

// The bytes are a promise to logs that were written.
func TestGolden(t *testing.T) {
	d, m := writeGolden(t)
	got := dump(t, d)
	name := filepath.Join("testdata", "log.golden")
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("written bytes changed\ngot\n%swant\n%s", got, want)
	}
	holds(t, undump(t, string(want)), small, m)
}

// A log of a newer version is told apart from a damaged one, and left as it is.
func TestNewerVersionsAreNotCorrupt(t *testing.T) {
	le := binary.LittleEndian
	for _, c := range []struct {
		name string
		do   func(b []byte)
		want string
	}{
		{"segment version", func(b []byte) {
			le.PutUint32(b[8:], 2)
			le.PutUint32(b[headerCRCAfter:], crc32.Checksum(b[:headerCRCAfter], castagnoli))
		}, "format 2, this version reads 1"},
		{"frame flags", func(b []byte) { reseal(b[blockBytes:], func(f *frame) { f.flags = 4 }) }, "frame flags 4"},
		{"record kind", func(b []byte) {
			b[blockBytes+frameHeaderBytes] = 3
			reseal(b[blockBytes:], func(*frame) {})
		}, "kind 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := memfs.New()
			l := mustOpen(t, d, small)
			mustAppend(t, l, put(1, 1, 1, "a"))
			b := contentsOf(t, d, segmentPath(1))
			c.do(b)
			rewrite(t, d, segmentPath(1), b)
			before := dump(t, d)
			for range 2 {
				_, err := Open(d, dir, small)
				if !errors.Is(err, ErrUnsupported) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("error is %v", err)
				}
			}
			if after := dump(t, d); after != before {
				t.Errorf("the files changed\n%sto\n%s", before, after)
			}
		})
	}
}

// reseal gives the frame at the front of b a valid checksum after f has changed its header.
func reseal(b []byte, f func(*frame)) {
	fr, _, _ := parseFrame(b, 0, 0)
	f(&fr)
	fr.seal(b, logSeed(small.ID))
}
