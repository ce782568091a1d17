package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// OS is the operating system's file system. Its errors are *fs.PathError or *os.LinkError, which name the path.
func OS() FS { return osFS{} }

type osFS struct{}

// Files hold what clients stored, so only their owner may read them.
const (
	filePerm = 0o600
	dirPerm  = 0o700
)

func (osFS) Create(name string) (File, error) {
	return openFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (osFS) Open(name string) (File, error) { return openFile(name, os.O_RDWR) }

func openFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(filepath.FromSlash(name), flag, filePerm)
	if err != nil {
		return nil, err
	}
	return newOSFile(f)
}

func (osFS) Remove(name string) error { return os.Remove(filepath.FromSlash(name)) }

func (osFS) Rename(from, to string) error {
	return os.Rename(filepath.FromSlash(from), filepath.FromSlash(to))
}

func (osFS) List(dir string) ([]string, error) {
	es, err := os.ReadDir(filepath.FromSlash(dir)) // sorted by name
	if err != nil {
		return nil, err
	}
	names := make([]string, len(es))
	for i, e := range es {
		names[i] = e.Name()
	}
	return names, nil
}

func (f osFS) MkdirAll(dir string) error {
	dir = filepath.Clean(filepath.FromSlash(dir))
	parent := filepath.Dir(dir)
	if _, err := os.Stat(dir); err != nil && parent != dir {
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := f.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, dirPerm); err != nil {
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if st, err := os.Stat(dir); err != nil {
			return err
		} else if !st.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
	}
	// Also when the folder was there: a process that made it may have been killed before it got here.
	return f.SyncDir(parent)
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(filepath.FromSlash(dir))
	if err != nil {
		return err
	}
	err = syncDir(d)
	if errClose := d.Close(); err == nil {
		err = errClose
	}
	return err
}

func (osFS) Lock(name string) (io.Closer, error) { return lockFile(filepath.FromSlash(name)) }

func lockedError(name string) error { return &fs.PathError{Op: "lock", Path: name, Err: ErrLocked} }

func (f *osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
