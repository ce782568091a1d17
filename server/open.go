package server

import (
	"context"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/kv"
)

var _ node = (*balsa.Node[kv.Command, kv.Response])(nil)

// openNode starts the replicated store of config.
func openNode(ctx context.Context, config Config) (node, store, error) {
	panic("not yet")
}
