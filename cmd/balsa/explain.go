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
	var said *exitCodeError
	if errors.As(err, &said) {
		return err // says what to do already
	}
	var op *net.OpError
	var path *fs.PathError
	at := errors.As(err, &op) && op.Addr != nil
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && at:
		return fmt.Errorf("%s is taken by another process: stop that one, or choose another port", op.Addr)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: stop the process that uses it, or choose another port", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL) && at:
		return fmt.Errorf("%s is no address of this machine: choose one that it has, or 0.0.0.0 for all", op.Addr)
	case errors.Is(err, vfs.ErrLocked):
		return fmt.Errorf("%w: stop the Balsa that uses this folder, or choose another with --data-dir", err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: free some space, or choose a folder on another disk with --data-dir", err)
	case errors.Is(err, fs.ErrPermission), errors.As(err, &path):
		return fmt.Errorf("%w: choose a folder that this user may write with --data-dir", err)
	}
	return err
}
