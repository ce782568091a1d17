package wal

import (
	_ "C" // want "wal may not import C"

	_ "github.com/balsa-raft/balsa" // want "wal may not import github.com/balsa-raft/balsa "
	_ "github.com/balsa-raft/balsa/raft"
	_ "github.com/balsa-raft/balsa/unlisted"  // want "wal may not import github.com/balsa-raft/balsa/unlisted"
	_ "github.com/balsa-raft/balsa/vfs/memfs" // above it in the table
	_ "golang.org/x/sys/unix"                 // want "wal may not import golang.org/x/sys/unix"
	_ "pgregory.net/rapid"                    // want "wal may not import pgregory.net/rapid"
)
