// Package vfs is the file system as Balsa's logs need it: few operations, each with a stated durability, so that
// the operating system and a disk that the simulator can crash (package memfs) are interchangeable.
//
// What a crash of the machine keeps is what counts: the bytes of a file survive once File.Sync has returned, a
// name in a folder survives once FS.SyncDir of that folder has returned, and Rename is atomic but as volatile as
// any other name until then. A call that fails leaves the file's unsynced contents unknown; Balsa never retries.
package vfs

import "io"

// FS is a tree of files. Names are slash-separated paths. An FS is safe for concurrent use.
type FS interface {
	// Create makes an empty file, open for reading and writing; it fails with fs.ErrExist if name is there.
	Create(name string) (File, error)
	// Open opens a file for reading and writing; it fails with fs.ErrNotExist if there is none.
	Open(name string) (File, error)
	// Remove deletes a file.
	Remove(name string) error
	// Rename gives a file a new name, replacing what has it.
	Rename(from, to string) error
	// List returns the names in a folder, sorted.
	List(dir string) ([]string, error)
	// MkdirAll makes a folder and those above it, and makes their names durable.
	MkdirAll(dir string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
	// Lock takes the named lock file for this process until the Closer is closed, or fails at once with an
	// error that wraps ErrLocked. The lock ends with the process, however that ends.
	Lock(name string) (io.Closer, error)
}

// File is an open file. ReadAt may be called while other calls run; at most one WriteAt, Sync, Truncate or Allocate runs at a time.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the file's contents and size durable (fdatasync). After an error nothing is known of what was
	// written since the last Sync that succeeded, and a later success says nothing of it either.
	Sync() error
	// Truncate sets the file's size; new bytes are zero.
	Truncate(size int64) error
	// Allocate makes the file so large if it is smaller, as Truncate does, and has the disk keep room for all of it, so that writes into it cannot fail for lack of
	// room. It fails with errors.ErrUnsupported where there is no such way.
	Allocate(size int64) error
	// Size is the file's size in bytes.
	Size() (int64, error)
}
