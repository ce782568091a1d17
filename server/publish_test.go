package server

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/kv"
)

// flakyNode refuses the first proposals.
type flakyNode struct {
	node
	refuse atomic.Int32
	calls  atomic.Int32
}

func (n *flakyNode) Propose(ctx context.Context, c kv.Command) (balsa.Result[kv.Response], error) {
	n.calls.Add(1)
	if n.refuse.Add(-1) >= 0 {
		return balsa.Result[kv.Response]{}, balsa.ErrUnknownOutcome
	}
	return n.node.Propose(ctx, c)
}

// TestPublishRetries: a member publishes until it is told; one that has already published does not again.
func TestPublishRetries(t *testing.T) {
	config, err := testConfig(t).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	inner, st, err := openNode(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	n := &flakyNode{node: inner}
	n.refuse.Store(2)
	m := &member{config: config, node: n, store: st, metrics: &metrics{}, timeout: 5e9}
	if !m.publish(context.Background()) {
		t.Fatal("not published")
	}
	if got := n.calls.Load(); got != 3 {
		t.Errorf("%d proposals, want 3", got)
	}
	if got := st.Members(); len(got) != 1 || got[0].Name != "default" || got[0].ID != config.ID || len(got[0].ClientURLs) != 1 {
		t.Errorf("members: %v", got)
	}
	if !m.publish(context.Background()) || n.calls.Load() != 3 {
		t.Errorf("published again: %d proposals", n.calls.Load())
	}
	m.config.Name = "other"
	n.refuse.Store(1 << 30)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if m.publish(ctx) {
		t.Error("published although it was stopped")
	}
}
