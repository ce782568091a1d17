package server

import (
	_ "go.etcd.io/etcd/api/v3/etcdserverpb"
	_ "go.etcd.io/etcd/client/v3" // want "server may not import go.etcd.io/etcd/client/v3"
	_ "google.golang.org/grpc"

	_ "github.com/balsa-raft/balsa"
	_ "github.com/balsa-raft/balsa/cmd/balsa" // want "server may not import github.com/balsa-raft/balsa/cmd/balsa"
	_ "github.com/balsa-raft/balsa/kv"
)
