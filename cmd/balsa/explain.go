package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"github.com/balsa-raft/balsa/vfs"
)

// explain adds what to do next to the errors of starting that people meet most.
func explain(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && errors.As(err, &op) && op.Addr != nil:
		return fmt.Errorf("%s is taken by another process: stop that one, or choose another port", op.Addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL) && errors.As(err, &op) && op.Addr != nil:
		return fmt.Errorf("%s is no address of this machine: choose one that it has, or 0.0.0.0 for all", op.Addr)
	case errors.Is(err, vfs.ErrLocked):
		return fmt.Errorf("%w: stop the Balsa that uses this folder, or choose another with --data-dir", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: choose a folder that this user may write with --data-dir", err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: free some space, or choose a folder on another disk with --data-dir", err)
	}
	return err
}
