package server

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/balsa-raft/balsa"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// viewAgeMax is how old the term and the leader of a response header may be. Asking the node takes its lock, which
// one request in a hundred thousand can afford and every one cannot.
const viewAgeMax = 10 * time.Millisecond

// view is the part of the node's status that every request needs.
type view struct {
	node              node
	clusterID, selfID uint64
	start             time.Time
	asked             atomic.Int64 // when the node was last asked, since start
	term, leader      atomic.Uint64
	isLearner         atomic.Bool // as clients see it: see roster
	refreshing        atomic.Bool
}

func newView(n node) *view {
	s := n.Status()
	v := &view{node: n, clusterID: s.Cluster, selfID: uint64(s.ID), start: time.Now()}
	v.ask()
	return v
}

// refresh asks the node again if what is known is old, or is that there is no leader: the first response after an
// election would else name a term before it. Callers that find another at it use what is there.
func (v *view) refresh() {
	if v.leader.Load() == 0 {
		v.ask()
		return
	}
	now := int64(time.Since(v.start))
	if now-v.asked.Load() < int64(viewAgeMax) || !v.refreshing.CompareAndSwap(false, true) {
		return
	}
	v.ask()
	v.refreshing.Store(false)
}

func (v *view) ask() {
	s := v.node.Status()
	for term := v.term.Load(); uint64(s.Term) > term && !v.term.CompareAndSwap(term, uint64(s.Term)); term = v.term.Load() {
		// Two may ask at once; the term that clients see must not fall.
	}
	v.isLearner.Store(slices.ContainsFunc(s.Members, func(m balsa.Member) bool { return m.ID == s.ID && isLearner(m) }))
	v.leader.Store(uint64(s.Leader))
	v.asked.Store(int64(time.Since(v.start)))
}

// hasLeader reports whether this member knows of a leader.
func (v *view) hasLeader() bool {
	v.refresh()
	return v.leader.Load() != 0
}

// learner reports whether this member is a learner.
func (v *view) learner() bool {
	v.refresh()
	return v.isLearner.Load()
}

// fill writes a response's header; revision is zero for the services that report none.
func (v *view) fill(h *pb.ResponseHeader, revision int64) *pb.ResponseHeader {
	v.refresh()
	h.ClusterId, h.MemberId, h.Revision, h.RaftTerm = v.clusterID, v.selfID, revision, v.term.Load()
	return h
}
