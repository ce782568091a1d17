//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// lockFile makes the file and removes it when the lock is closed. This system has no lock that ends with the
// process: after a crash the operator removes the file, which the error names.
func lockFile(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, filePerm)
	if errors.Is(err, fs.ErrExist) {
		return nil, lockedError(name)
	}
	if err != nil {
		return nil, err
	}
	return exclusiveFile{f}, nil
}

type exclusiveFile struct{ *os.File }

func (f exclusiveFile) Close() error {
	return errors.Join(f.File.Close(), os.Remove(f.Name()))
}
