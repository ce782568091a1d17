package host

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/balsa-raft/balsa/raft"
)

// Read waits until the state machine here reflects all that was committed anywhere before it was asked. Use it once.
type Read struct {
	done      chan struct{}
	abandoned atomic.Bool

	// Written before done is closed.
	index raft.Index
	err   error
}

// Done is closed when the read may be done, or has failed.
func (r *Read) Done() <-chan struct{} { return r.done }

// Index returns, after Done, what the state machine has at least applied.
func (r *Read) Index() (raft.Index, error) { return r.index, r.err }

// Abandon tells that nobody waits any more.
func (r *Read) Abandon() { r.abandoned.Store(true) }

func (r *Read) finish(i raft.Index, err error) {
	r.index, r.err = i, err
	close(r.done)
}

// readsMax bounds the reads that wait in one group.
const readsMax = 1 << 17

// Read begins a linearizable read (thesis §6.4).
func (g *Group) Read() (*Read, error) {
	if g.readsWaiting.Add(1) > readsMax {
		g.readsWaiting.Add(-1)
		return nil, fmt.Errorf("%w: %d reads wait", ErrOverloaded, readsMax)
	}
	r := &Read{done: make(chan struct{})}
	if !g.host.shard.inbox.put(input{group: g, kind: inputRead, read: r}, 0, 0) {
		g.readsWaiting.Add(-1)
		return nil, ErrClosed
	}
	return r, nil
}

// readers are the reads of a group, owned by the shard.
type readers struct {
	held   []*Read                 // no leader is known, or not asked for yet
	asked  map[raft.ReadID][]*Read // asked for, a batch an id
	ready  []readsAt               // confirmed at an index that is not yet applied
	lastID raft.ReadID
}

type readsAt struct {
	index raft.Index
	reads []*Read
}

// askHeld asks the core for one read index on behalf of all reads that wait.
func (g *Group) askHeld() {
	s := &g.readers
	if len(s.held) == 0 {
		return
	}
	s.lastID++
	if err := g.raft.ReadIndex(s.lastID); err != nil {
		if !errors.Is(err, raft.ErrNoLeader) {
			g.endReads(s.held, 0, err)
			s.held = nil
		}
		return
	}
	s.asked[s.lastID] = s.held
	s.held = nil
}

// confirmed takes in a read index.
func (g *Group) confirmed(ready raft.ReadReady) {
	s := &g.readers
	for _, id := range ready.IDs {
		reads := s.asked[id]
		delete(s.asked, id)
		if ready.Index <= g.applied {
			g.endReads(reads, g.applied, nil)
		} else {
			s.ready = append(s.ready, readsAt{index: ready.Index, reads: reads})
		}
	}
}

// aborted takes back reads whose leader is gone.
func (g *Group) aborted(ids []raft.ReadID) {
	s := &g.readers
	for _, id := range ids {
		s.held = append(s.held, s.asked[id]...)
		delete(s.asked, id)
	}
}

// readApplied ends the reads that waited for the state machine.
func (g *Group) readApplied() {
	s := &g.readers
	s.ready = slices.DeleteFunc(s.ready, func(r readsAt) bool {
		if r.index > g.applied {
			return false
		}
		g.endReads(r.reads, g.applied, nil)
		return true
	})
}

// dropAbandonedReads forgets held reads whose callers have left, so that they do not pile up while there is no leader.
func (g *Group) dropAbandonedReads() {
	s := &g.readers
	n := len(s.held)
	s.held = slices.DeleteFunc(s.held, func(r *Read) bool { return r.abandoned.Load() })
	g.readsWaiting.Add(int64(len(s.held) - n))
}

func (g *Group) endReads(reads []*Read, i raft.Index, err error) {
	for _, r := range reads {
		r.finish(i, err)
	}
	g.readsWaiting.Add(-int64(len(reads)))
}

// failReads ends all reads.
func (g *Group) failReads(err error) {
	s := &g.readers
	g.endReads(s.held, 0, err)
	s.held = nil
	for _, id := range slices.Sorted(maps.Keys(s.asked)) {
		g.endReads(s.asked[id], 0, err)
		delete(s.asked, id)
	}
	for _, r := range s.ready {
		g.endReads(r.reads, 0, err)
	}
	s.ready = nil
}
