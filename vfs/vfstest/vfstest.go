// Package vfstest tests that an implementation of vfs.FS keeps the contract, as far as that shows without a crash.
package vfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/vfs"
)

// Test runs the conformance tests. newFS returns a file system and the path of an empty folder in it; it is called
// once for every test.
func Test(t *testing.T, newFS func(t *testing.T) (d vfs.FS, dir string)) {
	tests := []struct {
		name string
		run  func(*fixture)
	}{
		{"create and open", testCreateAndOpen},
		{"read and write", testReadAndWrite},
		{"truncate", testTruncate},
		{"allocate", testAllocate},
		{"remove", testRemove},
		{"rename", testRename},
		{"list and folders", testListAndFolders},
		{"lock", testLock},
		{"close", testClose},
		{"errors name the path", testErrorsNameThePath},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, dir := newFS(t)
			test.run(&fixture{T: t, fs: d, dir: dir})
		})
	}
}

type fixture struct {
	*testing.T
	fs  vfs.FS
	dir string
}

func (f *fixture) path(name string) string { return path.Join(f.dir, name) }

func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) is(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("error is %v, want %v", err, want)
	}
}

// create makes a file with these contents and closes it at the end of the test.
func (f *fixture) create(name, text string) vfs.File {
	f.Helper()
	file, err := f.fs.Create(f.path(name))
	f.ok(err)
	f.Cleanup(func() { file.Close() })
	f.write(file, 0, text)
	return file
}

func (f *fixture) write(file vfs.File, off int64, text string) {
	f.Helper()
	n, err := file.WriteAt([]byte(text), off)
	f.ok(err)
	if n != len(text) {
		f.Fatalf("wrote %d of %d bytes", n, len(text))
	}
}

// holds checks a file's size and all of its bytes.
func (f *fixture) holds(file vfs.File, want string) {
	f.Helper()
	size, err := file.Size()
	f.ok(err)
	got := make([]byte, size+1)
	n, err := file.ReadAt(got, 0)
	f.is(err, io.EOF)
	if !bytes.Equal(got[:n], []byte(want)) {
		f.Fatalf("file of size %d holds %q, want %q", size, got[:n], want)
	}
}

// named checks the contents of the file that has a name.
func (f *fixture) named(name, want string) {
	f.Helper()
	file, err := f.fs.Open(f.path(name))
	f.ok(err)
	f.holds(file, want)
	f.ok(file.Close())
}

func (f *fixture) lists(dir string, want ...string) {
	f.Helper()
	got, err := f.fs.List(dir)
	f.ok(err)
	if !slices.Equal(got, want) {
		f.Fatalf("folder lists %q, want %q", got, want)
	}
}

func testCreateAndOpen(f *fixture) {
	_, err := f.fs.Open(f.path("a"))
	f.is(err, fs.ErrNotExist)
	a := f.create("a", "one")
	f.holds(a, "one")
	_, err = f.fs.Create(f.path("a"))
	f.is(err, fs.ErrExist)
	_, err = f.fs.Create(f.path("no/a"))
	f.is(err, fs.ErrNotExist)
	again, err := f.fs.Open(f.path("a"))
	f.ok(err)
	f.write(again, 0, "ONE")
	f.ok(again.Sync())
	f.ok(again.Close())
	f.holds(a, "ONE")
	_, err = f.fs.Open(f.path("a/b"))
	if err == nil {
		f.Fatal("a file was opened as a folder")
	}
}

func testReadAndWrite(f *fixture) {
	a := f.create("a", "")
	f.holds(a, "")
	f.write(a, 3, "def")
	f.holds(a, "\x00\x00\x00def")
	f.write(a, 0, "abc")
	f.holds(a, "abcdef")
	b := make([]byte, 2)
	n, err := a.ReadAt(b, 4)
	if n != 2 || err != nil && err != io.EOF || string(b) != "ef" {
		f.Fatalf("read %d %q, %v", n, b, err)
	}
	n, err = a.ReadAt(b, 5)
	if n != 1 || err != io.EOF {
		f.Fatalf("read %d bytes at the end, %v", n, err)
	}
	if n, err = a.ReadAt(b, 100); n != 0 || err != io.EOF {
		f.Fatalf("read %d bytes behind the end, %v", n, err)
	}
	if _, err = a.ReadAt(b, -1); err == nil {
		f.Fatal("read before the beginning")
	}
	if _, err = a.WriteAt(b, -1); err == nil {
		f.Fatal("wrote before the beginning")
	}
	long := strings.Repeat("0123456789", 1000)
	f.write(a, 1, long)
	f.write(a, 700, "------")
	f.holds(a, "a"+long[:699]+"------"+long[705:])
}

func testTruncate(f *fixture) {
	a := f.create("a", strings.Repeat("x", 2000))
	f.ok(a.Truncate(700))
	f.holds(a, strings.Repeat("x", 700))
	f.ok(a.Truncate(1500)) // what was cut off must not come back
	f.holds(a, strings.Repeat("x", 700)+strings.Repeat("\x00", 800))
	f.ok(a.Truncate(0))
	f.holds(a, "")
	f.ok(a.Truncate(3))
	f.holds(a, "\x00\x00\x00")
	f.ok(a.Sync())
}

func testAllocate(f *fixture) {
	a := f.create("a", "one")
	if err := a.Allocate(5000); errors.Is(err, errors.ErrUnsupported) {
		return
	} else {
		f.ok(err)
	}
	f.holds(a, "one"+strings.Repeat("\x00", 4997))
	f.ok(a.Sync())
	f.write(a, 4000, "two")
	f.ok(a.Allocate(4001)) // it has that already
	f.holds(a, "one"+strings.Repeat("\x00", 3997)+"two"+strings.Repeat("\x00", 997))
	f.ok(a.Close())
	f.is(a.Allocate(1), fs.ErrClosed)
}

func testRemove(f *fixture) {
	f.is(f.fs.Remove(f.path("a")), fs.ErrNotExist)
	a := f.create("a", "one")
	f.ok(f.fs.Remove(f.path("a")))
	_, err := f.fs.Open(f.path("a"))
	f.is(err, fs.ErrNotExist)
	f.holds(a, "one") // open files outlive their name
	f.create("a", "two")
	f.named("a", "two")
	f.holds(a, "one")
}

func testRename(f *fixture) {
	f.is(f.fs.Rename(f.path("a"), f.path("b")), fs.ErrNotExist)
	a := f.create("a", "one")
	f.create("b", "two")
	f.ok(f.fs.Rename(f.path("a"), f.path("b")))
	f.lists(f.dir, "b")
	f.named("b", "one")
	f.write(a, 0, "1")
	f.named("b", "1ne")
	f.ok(f.fs.Rename(f.path("b"), f.path("b")))
	f.named("b", "1ne")
	f.ok(f.fs.MkdirAll(f.path("d")))
	f.ok(f.fs.Rename(f.path("b"), f.path("d/c")))
	f.lists(f.dir, "d")
	f.named("d/c", "1ne")
	f.is(f.fs.Rename(f.path("d/c"), f.path("no/c")), fs.ErrNotExist)
	f.ok(f.fs.SyncDir(f.dir))
	f.ok(f.fs.SyncDir(f.path("d")))
}

func testListAndFolders(f *fixture) {
	f.lists(f.dir)
	_, err := f.fs.List(f.path("no"))
	f.is(err, fs.ErrNotExist)
	f.is(f.fs.SyncDir(f.path("no")), fs.ErrNotExist)
	f.ok(f.fs.MkdirAll(f.path("x/y")))
	f.ok(f.fs.MkdirAll(f.path("x/y"))) // again
	for _, name := range []string{"b", "a", "x/c", "x/y/d"} {
		f.create(name, "")
	}
	f.lists(f.dir, "a", "b", "x")
	f.lists(f.path("x"), "c", "y")
	f.lists(f.path("x/y"), "d")
	if f.fs.MkdirAll(f.path("a")) == nil || f.fs.MkdirAll(f.path("a/z")) == nil {
		f.Fatal("a file became a folder")
	}
	_, err = f.fs.Create(f.path("x"))
	f.is(err, fs.ErrExist)
	if _, err := f.fs.Open(f.path("x")); err == nil {
		f.Fatal("a folder was opened as a file")
	}
}

func testLock(f *fixture) {
	lock, err := f.fs.Lock(f.path("LOCK"))
	f.ok(err)
	_, err = f.fs.Lock(f.path("LOCK"))
	f.is(err, vfs.ErrLocked)
	other, err := f.fs.Lock(f.path("OTHER"))
	f.ok(err)
	f.ok(lock.Close())
	lock, err = f.fs.Lock(f.path("LOCK"))
	f.ok(err)
	f.ok(lock.Close())
	f.ok(other.Close())
	_, err = f.fs.Lock(f.path("no/LOCK"))
	f.is(err, fs.ErrNotExist)
}

func testClose(f *fixture) {
	a := f.create("a", "one")
	f.ok(a.Close())
	_, err := a.WriteAt([]byte("x"), 0)
	f.is(err, fs.ErrClosed)
	_, err = a.ReadAt(make([]byte, 1), 0)
	f.is(err, fs.ErrClosed)
	f.is(a.Sync(), fs.ErrClosed)
	f.is(a.Truncate(0), fs.ErrClosed)
	f.is(a.Close(), fs.ErrClosed)
	f.named("a", "one")
}

func testErrorsNameThePath(f *fixture) {
	closed := f.create("closed", "")
	f.ok(closed.Close())
	_, errCreate := f.fs.Create(f.path("closed"))
	_, errOpen := f.fs.Open(f.path("absent"))
	_, errList := f.fs.List(f.path("absent"))
	lock, err := f.fs.Lock(f.path("locked"))
	f.ok(err)
	defer lock.Close()
	_, errLock := f.fs.Lock(f.path("locked"))
	for _, test := range []struct {
		name string
		err  error
	}{
		{"closed", errCreate},
		{"absent", errOpen},
		{"absent", errList},
		{"locked", errLock},
		{"absent", f.fs.Remove(f.path("absent"))},
		{"absent", f.fs.Rename(f.path("absent"), f.path("b"))},
		{"absent", f.fs.SyncDir(f.path("absent"))},
		{"closed", closed.Sync()},
		{"closed", closed.Truncate(1)},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.name) {
			f.Errorf("error %v does not name %q", test.err, test.name)
		}
	}
}
