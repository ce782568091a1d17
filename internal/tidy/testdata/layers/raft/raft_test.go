package raft_test

import (
	_ "testing"

	_ "github.com/balsa-raft/balsa/host" // want "raft may not import github.com/balsa-raft/balsa/host"
	_ "github.com/balsa-raft/balsa/internal/script"
	_ "github.com/balsa-raft/balsa/raft"
	_ "github.com/tidwall/btree" // want "raft may not import github.com/tidwall/btree"
	_ "pgregory.net/rapid"
)
