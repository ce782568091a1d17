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

// staleStore shows old members until the node has caught up.
type staleStore struct {
	store
	members  []kv.MemberAttributes
	caughtUp bool
}

func (s *staleStore) Members() []kv.MemberAttributes {
	if s.caughtUp {
		return s.store.Members()
	}
	return s.members
}

type catchUpNode struct {
	node
	store *staleStore
}

func (n *catchUpNode) Read(ctx context.Context, level balsa.Level) (balsa.Index, error) {
	n.store.caughtUp = true
	return n.node.Read(ctx, level)
}

// TestPublishRetries: a member publishes until it is told; one that has already published does not again.
func TestPublishRetries(t *testing.T) {
	t.Parallel()
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
	// A store that has not caught up shows an old name; the read before the look makes it catch up.
	stale := &staleStore{store: st, members: st.Members()}
	other := kv.MemberAttributes{ID: config.ID, Name: "other", ClientURLs: config.AdvertiseClientURLs}
	if _, err := inner.Propose(context.Background(), kv.Command{Publish: &other}); err != nil {
		t.Fatal(err)
	}
	m.store, m.node = stale, &catchUpNode{n, stale}
	if !m.publish(context.Background()) || st.Members()[0].Name != "default" {
		t.Errorf("members: %v", st.Members())
	}
	m.store, m.node = st, n
	m.config.Name = "other"
	n.refuse.Store(1 << 30)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if m.publish(ctx) {
		t.Error("published although it was stopped")
	}
}
