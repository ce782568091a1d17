package snapshot

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// Content of every size around a block's, written and read in pieces of several sizes.
func TestWriteAndRead(t *testing.T) {
	d := memfs.New()
	s := mustOpen(t, d)
	index := raft.Index(0)
	for _, size := range []int{0, 1, 7, blockBytes - 1, blockBytes, blockBytes + 1, 2*blockBytes - 1, 2 * blockBytes, 200_000} {
		for _, piece := range []int{1 << 20, blockBytes, 4097, 1000} {
			index++
			m := at(index)
			want := contentOf(m, size)
			w, err := s.Create(m)
			ok(t, err)
			for b := range slices.Chunk(want, piece) {
				if n, err := w.Write(b); n != len(b) || err != nil {
					t.Fatalf("wrote %d of %d bytes, %v", n, len(b), err)
				}
			}
			ok(t, w.Commit())
			expect(t, s, m, want)
			st, err := s.Stream(m)
			ok(t, err)
			head := int64(headerFixedBytes + len(m.Configuration))
			if got := int64(len(contentsOf(t, d, filePath(m)))); got != st.Size() || !isFileSize(head, got) {
				t.Fatalf("content of %d bytes has a file of %d, and %d are said", size, got, st.Size())
			}
			ok(t, st.Close())
		}
	}
	s = mustOpen(t, d)
	if n := len(s.List(1)); n != int(index) {
		t.Fatalf("%d snapshots, want %d", n, index)
	}
	m := at(index)
	r, err := s.Read(m)
	ok(t, err)
	ok(t, iotest.TestReader(r, contentOf(m, 200_000)))
	ok(t, r.Close())
}

func TestOnTheOperatingSystem(t *testing.T) {
	dir := t.TempDir() + "/a/b"
	s, err := Open(vfs.OS(), dir, Options{})
	ok(t, err)
	want := contentOf(at(1), 3*blockBytes+5)
	mustPut(t, s, at(1), want)
	mustPut(t, s, at(2), want)
	st, err := s.Stream(at(1))
	ok(t, err)
	ok(t, s.Prune(1, 2))
	file := make([]byte, st.Size())
	ok(t, readFull(st, file, 0))
	ok(t, st.Close())
	r := mustReceive(t, s, at(1), len(file))
	ok(t, send(r, file, len(file)/2, 1000))
	ok(t, r.Close())
	s, err = Open(vfs.OS(), dir, Options{})
	ok(t, err)
	s.syncBytes = 10_000
	r = mustReceive(t, s, at(1), len(file))
	if r.Offset() == 0 {
		t.Error("nothing resumed")
	}
	ok(t, send(r, file, len(file), 100_000))
	ok(t, r.Commit())
	expect(t, s, at(1), want)
	expect(t, s, at(2), want)
}

func TestListAndLatest(t *testing.T) {
	d := memfs.New()
	s := mustOpen(t, d)
	if m, found, err := s.Latest(1); found || err != nil {
		t.Fatalf("latest of nothing is %v, %v", m, err)
	}
	for _, m := range []Meta{at(20), at(3), meta(2, 7), at(100)} {
		mustPut(t, s, m, contentOf(m, 10))
	}
	for range 2 {
		expectIndexes(t, s, 3, 20, 100)
		if m, found, err := s.Latest(1); !found || err != nil || !sameMeta(m, at(100)) {
			t.Fatalf("latest is %v, %v, %v", m, found, err)
		}
		if m, found, err := s.Latest(2); !found || err != nil || !sameMeta(m, meta(2, 7)) {
			t.Fatalf("latest of group 2 is %v, %v, %v", m, found, err)
		}
		s = mustOpen(t, d)
	}
	_, err := s.Read(at(4))
	is(t, err, ErrNotFound)
	_, err = s.Stream(meta(9, 4))
	is(t, err, ErrNotFound)
	wrongTerm := at(3)
	wrongTerm.Term++
	is(t, s.Verify(wrongTerm), ErrNotFound)
}

func TestMetaIsChecked(t *testing.T) {
	s := mustOpen(t, memfs.New())
	for _, c := range []struct {
		m    Meta
		want string
	}{
		{Meta{Group: 1, Term: 1}, "begin at 1"},
		{Meta{Group: 1, Index: 1}, "begin at 1"},
		{Meta{Group: 1, Index: 1, Term: 1, Configuration: make([]byte, ConfigurationBytesMax+1)}, "at most 32768"},
	} {
		for range 2 {
			if _, err := s.Create(c.m); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("create %v: %v", c.m, err)
			}
			if _, err := s.Receive(c.m, 1000); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("receive %v: %v", c.m, err)
			}
		}
	}
	m := Meta{Index: 1, Term: 1, Configuration: make([]byte, ConfigurationBytesMax)}
	mustPut(t, s, m, []byte("x"))
	expect(t, s, m, []byte("x"))
}

// Nobody sees a snapshot before Commit, and nothing is left of one that was aborted.
func TestAbort(t *testing.T) {
	d := memfs.New()
	s := mustOpen(t, d)
	w, err := s.Create(at(1))
	ok(t, err)
	_, err = w.Write(make([]byte, 100_000))
	ok(t, err)
	expectIndexes(t, s)
	w.Abort()
	w.Abort()
	_, err = w.Write([]byte("x"))
	is(t, err, ErrClosed)
	is(t, w.Commit(), ErrClosed)
	expectIndexes(t, s)
	if got := names(t, d); got != "" {
		t.Fatalf("left: %s", got)
	}
	mustPut(t, s, at(1), []byte("y"))
	w.Abort()
	expect(t, s, at(1), []byte("y"))
}

func TestOneAtATime(t *testing.T) {
	d := memfs.New()
	s := mustOpen(t, d)
	file := fileOf(t, at(1), []byte("x"))
	w, err := s.Create(at(1))
	ok(t, err)
	_, err = s.Create(at(1))
	is(t, err, ErrBusy)
	_, err = s.Receive(at(1), int64(len(file)))
	is(t, err, ErrBusy)
	other, err := s.Create(at(2))
	ok(t, err)
	other.Abort()
	w.Abort()

	r := mustReceive(t, s, at(1), len(file))
	_, err = s.Create(at(1))
	is(t, err, ErrBusy)
	_, err = s.Receive(at(1), int64(len(file)))
	is(t, err, ErrBusy)
	_, err = s.Receive(at(2), int64(len(file)))
	is(t, err, ErrBusy)
	r2 := mustReceive(t, s, meta(2, 1), len(file)) // of another group
	r2.Abort()
	ok(t, send(r, file, len(file), 100))
	ok(t, r.Commit())

	_, err = s.Create(at(1))
	is(t, err, ErrExists)
	_, err = s.Receive(at(1), int64(len(file)))
	is(t, err, ErrExists)
	r = mustReceive(t, s, at(2), len(file))
	r.Abort()
	if got := names(t, d); got != "1/1" {
		t.Fatalf("the folder has %s", got)
	}
}

func TestPrune(t *testing.T) {
	d := memfs.New()
	s := mustOpen(t, d)
	ok(t, s.Prune(1, 100))
	for i := range raft.Index(5) {
		mustPut(t, s, at(i+1), []byte("x"))
		mustPut(t, s, meta(2, i+1), []byte("x"))
	}
	for _, c := range []struct {
		keep raft.Index
		want []raft.Index
	}{
		{0, []raft.Index{1, 2, 3, 4, 5}},
		{1, []raft.Index{1, 2, 3, 4, 5}},
		{3, []raft.Index{3, 4, 5}},
		{5, []raft.Index{5}},
		{100, []raft.Index{5}},
	} {
		ok(t, s.Prune(1, c.keep))
		expectIndexes(t, s, c.want...)
		s = mustOpen(t, d)
		expectIndexes(t, s, c.want...)
	}
	if got := indexes(s, 2); len(got) != 5 {
		t.Fatalf("group 2 has %v", got)
	}
}

// N9: what is being sent stays until it is sent, however often its group compacts.
func TestN9_PrunedWhileStreamed(t *testing.T) {
	d := memfs.New()
	s := mustOpen(t, d)
	for i := range raft.Index(3) {
		mustPut(t, s, at(i+1), contentOf(at(i+1), 1000))
	}
	file := contentsOf(t, d, filePath(at(1)))
	st, err := s.Stream(at(1))
	ok(t, err)
	r, err := s.Read(at(1))
	ok(t, err)
	ok(t, s.Prune(1, 3))
	expectIndexes(t, s, 3)
	_, err = s.Stream(at(1))
	is(t, err, ErrNotFound)
	_, err = s.Create(at(1)) // it would take the name of a file that is about to be removed
	is(t, err, ErrBusy)
	if got := names(t, d); got != "1/1 1/3" {
		t.Fatalf("the folder has %s", got)
	}
	b := make([]byte, st.Size())
	if _, err := st.ReadAt(b, 0); err != nil || !bytes.Equal(b, file) {
		t.Fatalf("the stream differs, %v", err)
	}
	if n, err := st.ReadAt(b, 10); n != len(b)-10 || err != io.EOF {
		t.Fatalf("%d bytes at the end, %v", n, err)
	}
	ok(t, st.Close())
	ok(t, st.Close())
	if got := names(t, d); got != "1/1 1/3" {
		t.Fatalf("the folder has %s", got)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, contentOf(at(1), 1000)) {
		t.Fatalf("the content differs, %v", err)
	}
	ok(t, r.Close())
	ok(t, r.Close())
	_, err = r.Read(b)
	is(t, err, ErrClosed)
	if got := names(t, d); got != "1/3" {
		t.Fatalf("the folder has %s", got)
	}
	mustPut(t, s, at(1), []byte("new"))
	expect(t, s, at(1), []byte("new"))
}

// What is not this package's is not touched; what a Writer left is removed.
func TestOpenKeepsStrangers(t *testing.T) {
	d := memfs.New()
	name := at(1).place().name()
	strangers := []string{
		"README", "snap-1-2-3", strings.ToUpper(name), name + ".tmp.tmp", name + ".bak", name + "0", "x" + name, ".tmp", "snap---",
		strings.Replace(name, "snap-", "", 1), strings.Replace(name, "-0000", "-+000", 1),
	}
	for _, n := range append(strangers, name+".tmp") {
		plant(t, d, dir+"/"+n, []byte("x"))
	}
	s := mustOpen(t, d)
	mustPut(t, s, at(1), []byte("x"))
	ok(t, s.Prune(1, 100))
	slices.Sort(strangers)
	got, err := d.List(dir)
	ok(t, err)
	want := append(slices.Clone(strangers), name)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("the folder has %q, want %q", got, want)
	}
}

func TestOtherClusterIsRefused(t *testing.T) {
	d := memfs.New()
	mustPut(t, mustOpen(t, d), at(1), []byte("x"))
	_, err := Open(d, dir, Options{ClusterID: 7})
	if err == nil || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "another cluster's") {
		t.Fatalf("error is %v", err)
	}
}

// Streams, readers, writers, receivers and prunings of several groups at once, for the race detector.
func TestAllAtOnce(t *testing.T) {
	s := mustOpen(t, memfs.New())
	s.syncBytes = 5000
	file := fileOf(t, meta(7, 1000), contentOf(meta(7, 1000), 100_000))
	var wg sync.WaitGroup
	run := func(f func() error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := f(); err != nil {
				t.Error(err)
			}
		}()
	}
	for g := range raft.GroupID(2) {
		run(func() error {
			for i := range raft.Index(20) {
				if err := put(s, meta(g, i+1), contentOf(meta(g, i+1), 70_000)); err != nil {
					return err
				}
				if err := s.Prune(g, i); err != nil {
					return err
				}
			}
			return nil
		})
		for range 2 {
			run(func() error {
				for range 30 {
					m, found, err := s.Latest(g)
					if !found {
						continue
					}
					b, errGet := get(s, m)
					if err = errors.Join(err, errGet); errors.Is(err, ErrNotFound) {
						continue
					} else if err != nil {
						return err
					}
					if !bytes.Equal(b, contentOf(m, 70_000)) {
						return errors.New("wrong content")
					}
				}
				return nil
			})
		}
	}
	run(func() error {
		for n := range 5 {
			r, err := s.Receive(meta(7, 1000), int64(len(file)))
			if err != nil {
				return err
			}
			if err := send(r, file, len(file)*(n+1)/5, 3000); err != nil {
				return err
			}
			if n == 4 {
				return r.Commit()
			}
			if err := r.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	wg.Wait()
	expect(t, s, meta(7, 1000), contentOf(meta(7, 1000), 100_000))
}
