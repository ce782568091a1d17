//go:build !linux

package vfs

import "os"

// osFile syncs with what os.File.Sync is on this system; on macOS that is F_FULLFSYNC.
type osFile struct{ *os.File }

func newOSFile(f *os.File) (File, error) { return &osFile{f}, nil }
