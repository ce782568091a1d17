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
