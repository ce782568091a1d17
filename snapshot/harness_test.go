package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

const (
	dir       = "data/snapshot"
	clusterID = 0xba15a
)

// at is the meta of a snapshot of group 1 in the tests.
func at(i raft.Index) Meta { return meta(1, i) }

func meta(g raft.GroupID, i raft.Index) Meta {
	return Meta{Group: g, Index: i, Term: raft.Term(2 + i/10), Configuration: fmt.Appendf(nil, "config %d", i)}
}

// contentOf is n bytes that are a snapshot's and no other's.
func contentOf(m Meta, n int) []byte {
	rnd := rand.NewPCG(uint64(m.Group), uint64(m.Index))
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rnd.Uint64())
	}
	return b[:n]
}

func mustOpen(t testing.TB, d vfs.FS) *Store {
	t.Helper()
	s, err := Open(d, dir, Options{ClusterID: clusterID})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put writes a snapshot.
func put(s *Store, m Meta, content []byte) error {
	w, err := s.Create(m)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(content); err != nil {
		return err
	}
	return w.Commit()
}

func mustPut(t testing.TB, s *Store, m Meta, content []byte) {
	t.Helper()
	if err := put(s, m, content); err != nil {
		t.Fatal(err)
	}
}

// get reads a snapshot's content.
func get(s *Store, m Meta) ([]byte, error) {
	r, err := s.Read(m)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	if got := r.Meta(); err == nil && !sameMeta(got, m) {
		err = fmt.Errorf("meta %v %q, want %v %q", got, got.Configuration, m, m.Configuration)
	}
	return b, errors.Join(err, r.Close())
}

func sameMeta(a, b Meta) bool {
	return a.place() == b.place() && bytes.Equal(a.Configuration, b.Configuration)
}

// expect checks that a snapshot is there and has this content.
func expect(t testing.TB, s *Store, m Meta, content []byte) {
	t.Helper()
	b, err := get(s, m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, content) {
		t.Fatalf("%v has %d bytes of content, want %d", m, len(b), len(content))
	}
}

// fileOf is the file of a snapshot, as another member has it.
func fileOf(t testing.TB, m Meta, content []byte) []byte {
	t.Helper()
	d := memfs.New()
	s := mustOpen(t, d)
	mustPut(t, s, m, content)
	return contentsOf(t, d, filePath(m))
}

func filePath(m Meta) string { return path.Join(dir, m.place().name()) }

func contentsOf(t testing.TB, d *memfs.FS, name string) []byte {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if err := errors.Join(readFull(f, b, 0), f.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

// plant makes a file of these bytes, durably, in place of what has its name.
func plant(t testing.TB, d *memfs.FS, name string, b []byte) {
	t.Helper()
	err := d.MkdirAll(path.Dir(name))
	d.Remove(name)
	f, errCreate := d.Create(name)
	if err = errors.Join(err, errCreate); err == nil {
		_, err = f.WriteAt(b, 0)
		err = errors.Join(err, f.Sync(), f.Close(), d.SyncDir(path.Dir(name)))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func mustReceive(t testing.TB, s *Store, m Meta, size int) *Receiver {
	t.Helper()
	r, err := s.Receive(m, int64(size))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// send writes what r lacks of file, up to byte end, in chunks.
func send(r *Receiver, file []byte, end, chunk int) error {
	for r.Offset() < int64(end) {
		from := r.Offset()
		if err := r.Write(from, file[from:min(from+int64(chunk), int64(end))]); err != nil {
			return err
		}
	}
	return nil
}

// names lists the folder, without the digits that are the same everywhere.
func names(t testing.TB, d *memfs.FS) string {
	t.Helper()
	ns, err := d.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range ns {
		if p, suffix, ok := parseName(n); ok {
			ns[i] = fmt.Sprintf("%d/%d%s", p.group, p.index, suffix)
		}
	}
	return strings.Join(ns, " ")
}

// indexes lists a group's snapshots.
func indexes(s *Store, g raft.GroupID) (is []raft.Index) {
	for _, m := range s.List(g) {
		is = append(is, m.Index)
	}
	return is
}

func expectIndexes(t testing.TB, s *Store, want ...raft.Index) {
	t.Helper()
	if got := indexes(s, 1); !slices.Equal(got, want) {
		t.Fatalf("snapshots at %v, want %v", got, want)
	}
}

func is(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
