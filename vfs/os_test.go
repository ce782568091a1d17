package vfs_test

import (
	"path/filepath"
	"testing"

	"github.com/balsa-raft/balsa/vfs"
	"github.com/balsa-raft/balsa/vfs/vfstest"
)

func TestOS(t *testing.T) {
	vfstest.Test(t, func(t *testing.T) (vfs.FS, string) { return vfs.OS(), filepath.ToSlash(t.TempDir()) })
}

func TestOSSyncAllocatesNothing(t *testing.T) {
	f, err := vfs.OS().Create(filepath.ToSlash(t.TempDir()) + "/a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := []byte("x")
	if n := testing.AllocsPerRun(3, func() { f.WriteAt(b, 0); f.Sync() }); n > 0 {
		t.Errorf("%v allocations a write", n)
	}
}
