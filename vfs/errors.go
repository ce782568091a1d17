package vfs

import "errors"

// ErrLocked is returned by FS.Lock while another process holds the lock.
var ErrLocked = errors.New("locked by another process")
