//go:build !linux

package vfs

import (
	"errors"
	"os"
)

// osFile syncs with what os.File.Sync is on this system; on macOS that is F_FULLFSYNC.
type osFile struct{ *os.File }

// Allocate is not there on all systems, nor where it is the same everywhere.
func (f *osFile) Allocate(int64) error { return errors.ErrUnsupported }

func newOSFile(f *os.File) (File, error) { return &osFile{f}, nil }
