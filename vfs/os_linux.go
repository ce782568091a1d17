package vfs

import (
	"io/fs"
	"os"
	"syscall"
)

// osFile syncs with fdatasync, which spares the journal commit that fsync makes for the time of last modification.
type osFile struct {
	*os.File
	conn      syscall.RawConn
	fdatasync func(fd uintptr) // held here so that Sync allocates nothing
	err       error            // fdatasync's result
}

func newOSFile(f *os.File) (File, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	of := &osFile{File: f, conn: conn}
	of.fdatasync = func(fd uintptr) {
		for {
			if of.err = syscall.Fdatasync(int(fd)); of.err != syscall.EINTR {
				return
			}
		}
	}
	return of, nil
}

// Allocate does not write: the blocks are marked, and a sync behind the first write to each has to unmark it.
func (f *osFile) Allocate(size int64) error {
	var err error
	if closed := f.conn.Control(func(fd uintptr) {
		for {
			if err = syscall.Fallocate(int(fd), 0, 0, size); err != syscall.EINTR {
				return
			}
		}
	}); closed != nil {
		err = fs.ErrClosed
	}
	if err != nil {
		return &fs.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
	return nil
}

// Sync goes through RawConn, and not through Fd, because that keeps the descriptor from being closed and given
// to another file meanwhile.
func (f *osFile) Sync() error {
	if err := f.conn.Control(f.fdatasync); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: fs.ErrClosed}
	}
	if f.err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: f.err}
	}
	return nil
}
