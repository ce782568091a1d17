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
	least := 1e9
	for range 10 { // all goroutines' are counted: at times the runtime and package testing have some to make
		if least = min(least, testing.AllocsPerRun(3, func() { f.WriteAt(b, 0); f.Sync() })); least == 0 {
			return
		}
	}
	t.Errorf("%v allocations a write", least)
}
