package memfs_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/balsa-raft/balsa/vfs"
	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/vfs/vfstest"
)

func TestConformance(t *testing.T) {
	vfstest.Test(t, func(t *testing.T) (vfs.FS, string) {
		d := memfs.New()
		ok(t, d.MkdirAll("/data/1"))
		return d, "/data/1"
	})
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, d *memfs.FS, name string) vfs.File {
	t.Helper()
	f, err := d.Create(name)
	ok(t, err)
	return f
}

func write(t *testing.T, f vfs.File, off int64, b string) {
	t.Helper()
	_, err := f.WriteAt([]byte(b), off)
	ok(t, err)
}

// fill is n sectors of one letter.
func fill(letter string, n int) string { return strings.Repeat(letter, n*512) }

// letters is the first byte of each sector of a file, or "none" if there is no file; a zero shows as a dot.
func letters(t *testing.T, d *memfs.FS, name string) string {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		return "none"
	}
	size, err := f.Size()
	ok(t, err)
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	var s strings.Builder
	for i := 0; i < len(b); i += 512 {
		if b[i] == 0 {
			s.WriteByte('.')
		} else {
			s.WriteByte(b[i])
		}
	}
	return s.String()
}

// outcomes is what a file may look like after a crash, and how often of n.
func outcomes(t *testing.T, d *memfs.FS, name string, n uint64) map[string]int {
	m := make(map[string]int)
	for seed := range n {
		c := d.CrashClone(memfs.CrashConfig{Probability: 0.5, Rand: rand.New(rand.NewPCG(seed, 0))})
		m[letters(t, c, name)]++
	}
	return m
}

func lost(d *memfs.FS) *memfs.FS { return d.CrashClone(memfs.CrashConfig{}) }
func kept(d *memfs.FS) *memfs.FS { return d.CrashClone(memfs.CrashConfig{Probability: 1}) }

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestContentsAreDurableWithSync(t *testing.T) {
	d := memfs.New()
	f := create(t, d, "a")
	ok(t, d.SyncDir("."))
	write(t, f, 0, fill("a", 3))
	want(t, letters(t, lost(d), "a"), "")
	want(t, letters(t, kept(d), "a"), "aaa")
	want(t, letters(t, d.KillClone(), "a"), "aaa")
	want(t, letters(t, lost(d.KillClone()), "a"), "") // the page cache is not the disk
	ok(t, f.Sync())
	want(t, letters(t, lost(d), "a"), "aaa")
	write(t, f, 0, fill("b", 3))
	want(t, letters(t, lost(d), "a"), "aaa")
	got := outcomes(t, d, "a", 200)
	if len(got) != 8 {
		t.Fatalf("three unsynced sectors survive as %v", got)
	}
	ok(t, f.Sync())
	want(t, letters(t, lost(d), "a"), "bbb")
}

func TestSectorKeepsAnyOfItsUnsyncedVersions(t *testing.T) {
	d := memfs.New()
	f := create(t, d, "a")
	ok(t, d.SyncDir("."))
	write(t, f, 0, fill("a", 1))
	ok(t, f.Sync())
	write(t, f, 0, fill("b", 1))
	write(t, f, 0, fill("c", 1))
	if got := outcomes(t, d, "a", 50); got["a"] == 0 || got["b"] == 0 || got["c"] == 0 || len(got) != 3 {
		t.Fatalf("got %v", got)
	}
}

// torn returns the beginning of file f as a crash leaves it that tears what is not synced.
func torn(t *testing.T, d *memfs.FS, seed uint64, n int) []byte {
	t.Helper()
	clone := d.CrashClone(memfs.CrashConfig{Probability: 1, Tear: 1, Rand: rand.New(rand.NewPCG(seed, 0))})
	f, err := clone.Open("f")
	ok(t, err)
	b := make([]byte, n)
	_, err = f.ReadAt(b, 0)
	ok(t, err)
	return b
}

func TestTornSectorsKeepWhatWasThere(t *testing.T) {
	d := memfs.New()
	f := create(t, d, "f")
	write(t, f, 0, fill("a", 2))
	ok(t, f.Sync())
	ok(t, d.SyncDir("."))
	write(t, f, 0, fill("b", 1))
	seen := make(map[string]bool)
	for seed := range uint64(50) {
		b := torn(t, d, seed, 1024)
		if n := strings.Count(string(b[:512]), "a") + strings.Count(string(b[:512]), "b"); n != 512 || string(b[512:]) != fill("a", 1) {
			t.Fatalf("a crash has made of it %q", b)
		}
		turns := 0
		for i := 1; i < 512; i++ {
			if b[i] != b[i-1] {
				turns++
			}
		}
		if turns > 1 {
			t.Fatalf("it is torn in %d places", turns)
		}
		seen[string(b[:1])+string(b[511:512])] = true
	}
	if !seen["ba"] || !seen["ab"] {
		t.Errorf("beginnings and ends of what was there are %v", seen)
	}
}

// What is written is often a few bytes, and the rest of their sector is as it was: a tear is among those few, or it would be none.
func TestTearsAreInWhatWasWritten(t *testing.T) {
	d := memfs.New()
	f := create(t, d, "f")
	write(t, f, 0, fill("a", 1))
	ok(t, f.Sync())
	ok(t, d.SyncDir("."))
	_, err := f.WriteAt([]byte("bbbb"), 100)
	ok(t, err)
	seen := make(map[string]int)
	for seed := range uint64(100) {
		b := torn(t, d, seed, 512)
		seen[string(b[100:104])]++
	}
	for _, want := range []string{"baaa", "bbaa", "bbba", "abbb", "aabb", "aaab"} {
		if seen[want] == 0 {
			t.Errorf("of 100 tears none is %q: %v", want, seen)
		}
	}
}

func TestHooksKnowFilesByTheirNewNames(t *testing.T) {
	d := memfs.New()
	f := create(t, d, "old")
	var names []string
	hook := func(_ memfs.Op, name string) error {
		names = append(names, name)
		return nil
	}
	d.SetHook(hook)
	ok(t, d.Rename("old", "new"))
	write(t, f, 0, fill("a", 1))
	ok(t, f.Sync())
	left := d.CrashClone(memfs.CrashConfig{Probability: 1})
	left.SetHook(hook)
	again, err := left.Open("new")
	ok(t, err)
	ok(t, again.Sync())
	if got := strings.Join(names, " "); got != "old new new new new" {
		t.Errorf("the hook was told of %s", got)
	}
}

func TestSizeIsLostApartFromSectors(t *testing.T) {
	d := memfs.New()
	f := create(t, d, "a")
	ok(t, d.SyncDir("."))
	write(t, f, 0, fill("a", 2))
	if got := outcomes(t, d, "a", 100); got[""] == 0 || got[".."] == 0 || got["a."] == 0 || got[".a"] == 0 || got["aa"] == 0 {
		t.Fatalf("got %v", got)
	}
	ok(t, f.Sync())
	ok(t, f.Truncate(512))
	if got := outcomes(t, d, "a", 50); got["a"] == 0 || got["aa"] == 0 || len(got) != 2 {
		t.Fatalf("got %v", got)
	}
}

func TestNamesAreDurableWithSyncDir(t *testing.T) {
	d := memfs.New()
	f := create(t, d, "a")
	write(t, f, 0, fill("a", 1))
	ok(t, f.Sync())
	want(t, letters(t, lost(d), "a"), "none") // its contents are, and it cannot be found
	ok(t, d.SyncDir("."))
	want(t, letters(t, lost(d), "a"), "a")
	ok(t, d.Rename("a", "b"))
	want(t, letters(t, lost(d), "a")+letters(t, lost(d), "b"), "anone")
	want(t, letters(t, kept(d), "a")+letters(t, kept(d), "b"), "nonea")
	want(t, letters(t, d.KillClone(), "a")+letters(t, d.KillClone(), "b"), "nonea")
	ok(t, d.SyncDir("."))
	ok(t, d.Remove("b"))
	want(t, letters(t, lost(d), "b"), "a")
	ok(t, d.SyncDir("."))
	want(t, letters(t, lost(d), "b"), "none")
}

func TestD6_RenameWithoutSyncDirMayBeUndone(t *testing.T) {
	d := memfs.New()
	old := create(t, d, "term")
	write(t, old, 0, fill("1", 1))
	ok(t, old.Sync())
	ok(t, d.SyncDir("."))
	next := create(t, d, "term.tmp")
	write(t, next, 0, fill("2", 1))
	ok(t, next.Sync())
	ok(t, d.Rename("term.tmp", "term"))
	if got := outcomes(t, d, "term", 50); got["1"] == 0 || got["2"] == 0 || len(got) != 2 {
		t.Fatalf("got %v", got)
	}
	ok(t, d.SyncDir("."))
	if got := outcomes(t, d, "term", 50); got["2"] != 50 {
		t.Fatalf("got %v", got)
	}
}

func TestRenameBetweenFoldersIsAtomic(t *testing.T) {
	for _, synced := range []string{"x", "y"} {
		d := memfs.New()
		ok(t, d.MkdirAll("x"))
		ok(t, d.MkdirAll("y"))
		create(t, d, "x/a")
		ok(t, d.Rename("x/a", "y/b"))
		ok(t, d.SyncDir(synced))
		for seed := range uint64(20) {
			c := d.CrashClone(memfs.CrashConfig{Probability: 0.5, Rand: rand.New(rand.NewPCG(seed, 0))})
			want(t, letters(t, c, "x/a")+","+letters(t, c, "y/b"), "none,")
		}
	}
}

func TestD3_SyncSucceedsAfterAFailedOneAndTheDataIsGone(t *testing.T) {
	d := memfs.New()
	f := create(t, d, "a")
	ok(t, f.Truncate(1024))
	ok(t, f.Sync())
	ok(t, d.SyncDir("."))
	write(t, f, 0, fill("a", 1))
	fault := &memfs.Fault{N: 1, Err: syscall.EIO}
	d.SetHook(fault.Hook)
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	ok(t, f.Sync())
	want(t, letters(t, d, "a"), "a.") // still in the page cache
	if got := outcomes(t, d, "a", 50); got["a."] == 0 || got[".."] == 0 {
		t.Fatalf("got %v", got)
	}
	write(t, f, 512, fill("b", 1)) // another sector's sync does not bring it back
	ok(t, f.Sync())
	if got := outcomes(t, d, "a", 50); got["ab"] == 0 || got[".b"] == 0 || len(got) != 2 {
		t.Fatalf("got %v", got)
	}
	write(t, f, 0, fill("c", 1)) // writing it anew does
	ok(t, f.Sync())
	want(t, letters(t, lost(d), "a"), "cb")
}

func TestPretend(t *testing.T) {
	d := memfs.New()
	f := create(t, d, "a")
	ok(t, f.Truncate(512))
	ok(t, f.Sync())
	ok(t, d.SyncDir("."))
	lie := func(op memfs.Op) {
		fault := &memfs.Fault{N: 1, Err: memfs.ErrPretend, Match: func(o memfs.Op, name string) bool { return o == op && name == "a" }}
		d.SetHook(fault.Hook)
	}
	lie(memfs.OpWriteAt)
	write(t, f, 0, "lost")
	want(t, letters(t, d, "a"), ".")
	lie(memfs.OpSync)
	write(t, f, 0, "x")
	ok(t, f.Sync())
	want(t, letters(t, lost(d), "a"), ".")
	ok(t, f.Sync())
	want(t, letters(t, lost(d), "a"), "x")
}

func TestFault(t *testing.T) {
	d := memfs.New()
	fault := &memfs.Fault{N: 2, Err: memfs.ErrCrashed, Final: true}
	d.SetHook(fault.Hook)
	ok(t, d.MkdirAll("x"))
	for range 2 {
		if _, err := d.Create("x/a"); !errors.Is(err, memfs.ErrCrashed) || !strings.Contains(err.Error(), "x/a") {
			t.Fatalf("create: %v", err)
		}
	}
	if !fault.Fired() {
		t.Fatal("not fired")
	}
	if got := d.KillClone().String(); got != "" {
		t.Fatalf("a failed Create left %q", got)
	}
}

func TestD9_CapacityIsTheSumOfSizes(t *testing.T) {
	d := memfs.New()
	d.SetCapacity(1000)
	f := create(t, d, "a")
	write(t, f, 0, strings.Repeat("a", 600))
	g := create(t, d, "b")
	if n, err := g.WriteAt(make([]byte, 600), 0); n != 400 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("wrote %d, %v", n, err)
	}
	write(t, f, 0, "in place there is room")
	if err := f.Truncate(601); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("truncate: %v", err)
	}
	ok(t, d.Remove("b"))
	ok(t, f.Truncate(1000))
}

func TestUsed(t *testing.T) {
	d := memfs.New()
	write(t, create(t, d, "a"), 0, "12345")
	write(t, create(t, d, "b"), 10, "1")
	if d.Used() != 16 {
		t.Errorf("%d bytes are used", d.Used())
	}
}

func TestFlip(t *testing.T) {
	d := memfs.New()
	f := create(t, d, "a")
	write(t, f, 0, "abc")
	ok(t, f.Sync())
	ok(t, d.SyncDir("."))
	c := lost(d)
	ok(t, d.Flip("a", 1, 3))
	for _, disk := range []*memfs.FS{d, lost(d)} {
		want(t, letters(t, disk, "a"), "a")
		b := make([]byte, 3)
		g, err := disk.Open("a")
		ok(t, err)
		g.ReadAt(b, 0)
		want(t, string(b), "aac")
	}
	b := make([]byte, 3) // a clone is a disk of its own
	g, err := c.Open("a")
	ok(t, err)
	g.ReadAt(b, 0)
	want(t, string(b), "abc")
	if d.Flip("a", 3, 1) == nil || d.Flip("b", 0, 1) == nil {
		t.Fatal("flipped a byte that is not there")
	}
}

func TestClonesAreDeterministic(t *testing.T) {
	build := func() string {
		d := memfs.New()
		for i := range 20 {
			f := create(t, d, fmt.Sprint(i))
			write(t, f, 0, fill("a", 4))
		}
		var s string
		for seed := range uint64(5) {
			c := d.CrashClone(memfs.CrashConfig{Probability: 0.5, Rand: rand.New(rand.NewPCG(seed, 1))})
			for i := range 20 {
				s += letters(t, c, fmt.Sprint(i)) + " "
			}
			s += c.String()
		}
		return s
	}
	want(t, build(), build())
}

func TestKillCloneFreesLocks(t *testing.T) {
	d := memfs.New()
	_, err := d.Lock("LOCK")
	ok(t, err)
	c := d.KillClone()
	_, err = c.Lock("LOCK")
	ok(t, err)
	if _, err = d.Lock("LOCK"); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("lock: %v", err)
	}
}

func TestHookMayUseTheDisk(t *testing.T) {
	d := memfs.New()
	f := create(t, d, "a")
	var clone *memfs.FS
	d.SetHook(func(op memfs.Op, name string) error {
		clone = d.CrashClone(memfs.CrashConfig{Probability: 1})
		return nil
	})
	write(t, f, 0, "x")
	want(t, letters(t, clone, "a"), "") // before the write
}
