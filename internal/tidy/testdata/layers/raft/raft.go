package raft

import (
	_ "fmt"

	_ "github.com/balsa-raft/balsa/internal/must"
	_ "github.com/balsa-raft/balsa/internal/script" // want "raft may not import github.com/balsa-raft/balsa/internal/script"
	_ "github.com/balsa-raft/balsa/wire"            // want "raft may not import github.com/balsa-raft/balsa/wire"
)
