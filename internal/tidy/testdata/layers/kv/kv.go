package kv

import (
	_ "github.com/balsa-raft/balsa"
	_ "github.com/balsa-raft/balsa/raft" // want "kv may not import github.com/balsa-raft/balsa/raft"
	_ "github.com/tidwall/btree"
	_ "github.com/tidwall/btreeish"  // want "kv may not import github.com/tidwall/btreeish"
	_ "google.golang.org/grpc/codes" // want "kv may not import google.golang.org/grpc/codes"
)
