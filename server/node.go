package server

import (
	"context"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/kv"
)

// node is what the services need of a *balsa.Node[kv.Command, kv.Response].
type node interface {
	Propose(ctx context.Context, command kv.Command) (balsa.Result[kv.Response], error)
	Read(ctx context.Context, level balsa.Level) (balsa.Index, error)
	ChangeMembers(ctx context.Context, change balsa.Change) error
	Transfer(ctx context.Context, to balsa.NodeID) error
	Status() balsa.Status
	Done() <-chan struct{}
	Err() error
	Close() error
}

// store is what the services need of a *kv.Store: reads of what this member has applied.
type store interface {
	Range(r kv.RangeRequest) (kv.RangeResponse, error)
	ReadTxn(r kv.TxnRequest) (kv.TxnResponse, error)
	// Revision returns the latest revision and the one up to which history is forgotten.
	Revision() (current, compacted int64)
	// Members returns what the members have published, in no particular order.
	Members() []kv.MemberAttributes
	// Size is about how many bytes the store holds.
	Size() int64
}
