package server

import (
	"context"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/kv"
)

// openNode starts the replicated store of config.
func openNode(ctx context.Context, config Config) (node, store, error) {
	st := kv.New()
	var moved map[balsa.NodeID]string
	if config.Moved {
		moved = map[balsa.NodeID]string{}
		for _, m := range config.peers() {
			moved[m.ID] = m.Address
		}
	}
	n, err := balsa.Open[kv.Command, kv.Response](ctx, balsa.Config{
		Dir: config.Dir, ID: balsa.NodeID(config.ID), ClusterID: config.ClusterID,
		Members: config.peers(), Join: config.Join, Addresses: moved, Listen: config.ListenPeer, Advertise: config.AdvertisePeer,
		HeartbeatInterval: config.HeartbeatInterval, ElectionTimeout: config.ElectionTimeout,
		// An encoded command is shorter than the request that it was made from, but for a few bytes an operation.
		CommandBytesMax: max(2*config.MaxRequestBytes, 8<<20),
		Logger:          config.Logger,
	}, st)
	if err != nil {
		return nil, nil, err
	}
	return n, st, nil
}
