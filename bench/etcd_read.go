package main

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"go.etcd.io/raft/v3"
)

// etcdReadRetry is how long etcd waits for the answer of a ReadIndex before it asks again.
const etcdReadRetry = 500 * time.Millisecond

// etcdReads answers linearizable reads as etcd does: all that come while one round is under way share the next one.
type etcdReads struct {
	m        *etcdMember
	wanted   chan struct{}
	states   chan raft.ReadState
	appliedc chan struct{}

	mu   sync.Mutex
	next chan struct{} // guarded by mu; closed when the next round is answered
}

func newEtcdReads(m *etcdMember) *etcdReads {
	return &etcdReads{
		m: m, wanted: make(chan struct{}, 1), states: make(chan raft.ReadState, 1), appliedc: make(chan struct{}, 1),
		next: make(chan struct{}),
	}
}

func (r *etcdReads) wait(ctx context.Context) error {
	r.mu.Lock()
	done := r.next
	r.mu.Unlock()
	select {
	case r.wanted <- struct{}{}:
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.m.stop:
		return r.m.failure()
	}
}

// answered takes an answer of the core; run takes it from here.
func (r *etcdReads) answered(state raft.ReadState) {
	select {
	case r.states <- state:
	case <-r.m.stop:
	}
}

// hasApplied says that applied has risen.
func (r *etcdReads) hasApplied() {
	select {
	case r.appliedc <- struct{}{}:
	default:
	}
}

func (r *etcdReads) run() {
	round := uint64(0)
	for {
		select {
		case <-r.wanted:
		case <-r.m.stop:
			return
		}
		r.mu.Lock()
		done := r.next
		r.next = make(chan struct{})
		r.mu.Unlock()
		index, ok := r.ask(&round)
		for ok && r.m.applied.Load() < index {
			select {
			case <-r.appliedc:
			case <-r.m.stop:
				ok = false
			}
		}
		if !ok {
			return
		}
		close(done)
	}
}

// ask returns the commit index that a majority has confirmed; false once the member stops.
func (r *etcdReads) ask(round *uint64) (index uint64, ok bool) {
	first := *round + 1
	retry := time.NewTicker(etcdReadRetry)
	defer retry.Stop()
	for {
		*round++
		if err := r.m.node.ReadIndex(context.Background(), binary.BigEndian.AppendUint64(nil, *round)); err != nil {
			return 0, false
		}
		for again := false; !again; {
			select {
			case state := <-r.states:
				if n := binary.BigEndian.Uint64(state.RequestCtx); n >= first && n <= *round {
					return state.Index, true
				}
			case <-retry.C:
				again = true
			case <-r.m.stop:
				return 0, false
			}
		}
	}
}
