package wal

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// BenchmarkAppend appends batches of commands of 128 bytes to one group. On memory it shows what the log itself costs.
func BenchmarkAppend(b *testing.B) {
	for _, disk := range []string{"os", "memory"} {
		for _, n := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/%d", disk, n), func(b *testing.B) {
				var fsys vfs.FS = nullFS{memfs.New()}
				folder := dir
				if disk == "os" {
					fsys, folder = vfs.OS(), filepath.ToSlash(b.TempDir())
				}
				benchmarkAppend(b, fsys, folder, n)
			})
		}
	}
}

func benchmarkAppend(b *testing.B, fsys vfs.FS, folder string, n int) {
	l, err := Open(fsys, folder, Options{})
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 128)
	batch := []Save{{Group: 1, HardState: stateOf(1), Entries: make([]raft.Entry, n)}}
	next := raft.Index(1)
	b.ReportAllocs()
	b.SetBytes(int64(n * len(data)))
	for i := 0; b.Loop(); i++ {
		for k := range batch[0].Entries {
			batch[0].Entries[k] = raft.Entry{Term: 1, Index: next, Data: data}
			next++
		}
		if err := l.Append(batch); err != nil {
			b.Fatal(err)
		}
		if i%64 == 0 {
			b.StopTimer()                           // it runs beside Append in a program
			if err := l.prepareNext(); err != nil { // not Prepare: what a nullFS forgets cannot be moved
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// nullFS forgets what is written.
type nullFS struct{ vfs.FS }

func (d nullFS) Create(name string) (vfs.File, error) {
	f, err := d.FS.Create(name)
	return nullFile{f}, err
}

type nullFile struct{ vfs.File }

func (nullFile) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
func (nullFile) Sync() error                            { return nil }

func BenchmarkEntries(b *testing.B) {
	l, err := Open(vfs.OS(), filepath.ToSlash(b.TempDir()), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	s := Save{Group: 1, HardState: stateOf(1)}
	for i := range 100_000 {
		s.Entries = append(s.Entries, raft.Entry{Term: 1, Index: raft.Index(i + 1), Data: make([]byte, 128)})
		if len(s.Entries) == 100 {
			if err := l.Append([]Save{s}); err != nil {
				b.Fatal(err)
			}
			s.Entries = s.Entries[:0]
		}
	}
	b.ReportAllocs()
	read := 0
	for from := raft.Index(1); b.Loop(); {
		es, err := l.Entries(1, from, 100_000, 64<<10)
		if err != nil {
			b.Fatal(err)
		}
		read += len(es)
		if from += raft.Index(len(es)); from > 100_000 {
			from = 1
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(read), "ns/entry")
}

// BenchmarkOpen recovers a log of 64 MiB.
func BenchmarkOpen(b *testing.B) {
	folder := filepath.ToSlash(b.TempDir())
	l, err := Open(vfs.OS(), folder, Options{})
	if err != nil {
		b.Fatal(err)
	}
	s := Save{Group: 1, HardState: stateOf(1), Entries: make([]raft.Entry, 1000)}
	for i := range 400 {
		for k := range s.Entries {
			s.Entries[k] = raft.Entry{Term: 1, Index: raft.Index(1000*i + k + 1), Data: make([]byte, 128)}
		}
		if err := l.Append([]Save{s}); err != nil {
			b.Fatal(err)
		}
		if err := l.Prepare(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(vfs.OS(), folder, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
