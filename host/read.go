package host

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// Read waits until the state machine here is as fresh as its level asks. Use it once.
type Read struct {
	group     *Group
	level     Level
	done      chan struct{} // closed at the end; if it is pooled, it has a token then
	pooled    bool
	abandoned atomic.Bool

	// Written before done is closed.
	index raft.Index
	err   error
}

// Done is closed when the read may be done, or has failed.
func (r *Read) Done() <-chan struct{} { return r.done }

// Index returns, after Done, what the state machine has at least executed.
func (r *Read) Index() (raft.Index, error) { return r.index, r.err }

// Abandon tells that nobody waits any more, and says what the read has waited for.
func (r *Read) Abandon() error {
	if !r.abandoned.Swap(true) {
		r.group.readsAbandoned.Add(1)
	}
	switch {
	case r.level.kind == atLeast:
		return fmt.Errorf("balsa: this member has executed entry %d, and not yet entry %d", r.group.Executed(), r.level.index)
	case r.group.leader.Load() == 0:
		return ErrNoLeader
	}
	return errors.New("balsa: the leader did not confirm the read, or this member has not caught up with it")
}

func (r *Read) finish(i raft.Index, err error) {
	r.index, r.err = i, err
	if r.pooled {
		r.done <- struct{}{} // from here on it may be another one
		return
	}
	close(r.done)
}

const (
	// readsMax bounds the reads that wait in one group.
	readsMax = 1 << 17
	// readAsksMax bounds what the core is asked for at once. Reads beyond it wait for the next time.
	readAsksMax = 1 << 10
)

// answered is the done of reads that need not wait.
var answered = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Read begins a read.
func (g *Group) Read(level Level) (*Read, error) {
	if i, is := g.isAnswered(level); is {
		return &Read{group: g, level: level, done: answered, index: i}, g.Err()
	}
	r := &Read{group: g, level: level, done: make(chan struct{})}
	if err := g.beginWaiting(r); err != nil {
		return nil, err
	}
	return r, nil
}

// isAnswered reports whether a read of that level need not wait, and what has at least been executed.
func (g *Group) isAnswered(level Level) (raft.Index, bool) {
	i := g.Executed()
	return i, level.kind == local || level.kind == atLeast && level.index <= i
}

func (g *Group) beginWaiting(r *Read) error {
	if g.readsWaiting.Add(1) > readsMax {
		g.readsWaiting.Add(-1)
		return fmt.Errorf("%w: %d reads wait", ErrOverloaded, readsMax)
	}
	inbox := g.host.shard.inbox
	ok := inbox.ride(input{group: g, kind: inputRead, read: r})
	// Those of other levels may need no round.
	if r.level.kind != linearizable || g.rounds.Load() < roundsBusy {
		inbox.rouse()
	}
	if !ok {
		g.readsWaiting.Add(-1)
		return ErrClosed
	}
	return nil
}

// reads are those that have ended, for other ones. Who is abandoned does not come back: it is still waiting somewhere.
var reads = sync.Pool{New: func() any { return &Read{done: make(chan struct{}, 1), pooled: true} }}

// DoRead is Read, and then the wait for its end, or for that of ctx, when it is Abandon.
func (g *Group) DoRead(ctx context.Context, level Level) (raft.Index, error) {
	if i, is := g.isAnswered(level); is {
		return i, g.Err()
	}
	r := reads.Get().(*Read)
	r.group, r.level = g, level
	if err := g.beginWaiting(r); err != nil {
		reads.Put(r)
		return 0, err
	}
	select {
	case <-r.done:
		return r.release()
	default: // an answer that is there is given, whatever has become of ctx
	}
	select {
	case <-r.done:
		return r.release()
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", r.Abandon(), ctx.Err())
	}
}

// release gives back a read that has ended, and returns what it was told.
func (r *Read) release() (raft.Index, error) {
	i, err := r.index, r.err
	r.group, r.index, r.err = nil, 0, nil
	reads.Put(r)
	return i, err
}

// Executed is the last entry that the state machine reflects.
func (g *Group) Executed() raft.Index { return raft.Index(g.executed.Load()) }

// readers are the reads of a group, owned by the shard.
type readers struct {
	held   []*Read // to be asked for; perhaps no leader is known
	leased []*Read // the same, of those that a lease may answer
	asked  map[raft.ReadID]asked
	ready  readyReads
	lastID raft.ReadID
	spare  []*Read // room for held or leased

	// What the state machine reflects is all that was committed anywhere before fresh.at, if fresh.known.
	fresh struct {
		known bool
		at    time.Duration
	}
	slept time.Duration // times before it say nothing of how long ago that is
}

// asked is what the core was asked for together.
type asked struct {
	reads []*Read
	at    time.Duration // what the clock showed before
	lease bool          // a lease may answer: that the answer is fresh is not certain then, if clocks are worse than they should be
}

// readsAt are reads that may be done once the state machine has executed an entry.
type readsAt struct {
	index raft.Index
	asked
}

// readyReads has the smallest index first.
type readyReads []readsAt

func (q readyReads) Len() int           { return len(q) }
func (q readyReads) Less(i, j int) bool { return q[i].index < q[j].index }
func (q readyReads) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *readyReads) Push(x any)        { *q = append(*q, x.(readsAt)) }
func (q *readyReads) Pop() any {
	n := len(*q) - 1
	last := (*q)[n]
	(*q)[n] = readsAt{}
	*q = (*q)[:n]
	return last
}

// roundsBusy is how many rounds of reads are under way when others wait for the end of one of them.
const roundsBusy = 2

// beginRead takes a read in. The clock showed now when it had come.
func (g *Group) beginRead(r *Read, now time.Duration) {
	s := &g.readers
	switch {
	case r.level.kind == atLeast:
		heap.Push(&s.ready, readsAt{r.level.index, asked{reads: []*Read{r}, lease: true}})
		g.endReady()
	case r.level.kind == atMostOld && s.fresh.known && now-s.fresh.at <= r.level.age:
		g.endReads([]*Read{r}, g.applied, nil)
	case r.level.kind == lease:
		s.leased = append(s.leased, r)
	default: // one that may be old is asked for as if it must not be, for those that follow it
		s.held = append(s.held, r)
	}
}

// askHeld asks the core for one read index on behalf of all reads that wait, and for another on behalf of those that a lease may answer.
func (g *Group) askHeld(now time.Duration) {
	s := &g.readers
	if g.ask(asked{reads: s.held, at: now}) {
		s.held, s.spare = s.spare, nil
	}
	if g.ask(asked{reads: s.leased, at: now, lease: true}) {
		s.leased, s.spare = s.spare, nil
	}
}

// ask reports whether the reads need not be held any longer.
func (g *Group) ask(a asked) bool {
	s := &g.readers
	if len(a.reads) == 0 || len(s.asked) >= readAsksMax {
		return false
	}
	s.lastID++
	err := error(nil)
	if a.lease {
		err = g.raft.ReadLease(s.lastID)
	} else {
		err = g.raft.ReadIndex(s.lastID)
	}
	switch {
	case errors.Is(err, raft.ErrNoLeader):
		return false
	case err != nil:
		g.endReads(a.reads, 0, err)
	default:
		s.asked[s.lastID] = a
	}
	return true
}

// confirmed takes in a read index.
func (g *Group) confirmed(ready raft.ReadReady) {
	s := &g.readers
	for _, id := range ready.IDs {
		heap.Push(&s.ready, readsAt{ready.Index, s.asked[id]})
		delete(s.asked, id)
	}
	g.endReady()
}

// aborted takes back reads whose leader is gone.
func (g *Group) aborted(ids []raft.ReadID) {
	s := &g.readers
	for _, id := range ids {
		if a := s.asked[id]; a.lease {
			s.leased = append(s.leased, a.reads...)
		} else {
			s.held = append(s.held, a.reads...)
		}
		delete(s.asked, id)
	}
}

// endReady ends the reads for which the state machine has executed enough.
func (g *Group) endReady() {
	s := &g.readers
	for len(s.ready) > 0 && s.ready[0].index <= g.applied {
		r := heap.Pop(&s.ready).(readsAt)
		if !r.lease && r.at >= s.slept && (!s.fresh.known || r.at > s.fresh.at) {
			s.fresh.known, s.fresh.at = true, r.at
		}
		g.endReads(r.reads, g.applied, nil)
		if cap(r.reads) <= spareMax && cap(r.reads) > cap(s.spare) {
			clear(r.reads)
			s.spare = r.reads[:0]
		}
	}
}

// sleptUntil takes in that the clock may have stood still before it showed now: how long ago anything before was is not known any more.
func (g *Group) sleptUntil(now time.Duration) {
	g.readers.fresh.known, g.readers.slept = false, now
}

// dropAbandonedReads forgets reads whose callers have left, once they are most of those that wait: callers that try again and again while
// there is no leader, or that wait for an entry that never comes, would else fill the memory.
func (g *Group) dropAbandonedReads() {
	if n := g.readsAbandoned.Load(); n == 0 || 2*n < g.readsWaiting.Load() {
		return
	}
	g.readsAbandoned.Store(0) // before looking: who leaves meanwhile is counted for the next time
	s := &g.readers
	s.held, s.leased = g.withoutAbandoned(s.held), g.withoutAbandoned(s.leased)
	for _, id := range slices.Sorted(maps.Keys(s.asked)) {
		a := s.asked[id]
		a.reads = g.withoutAbandoned(a.reads)
		s.asked[id] = a
	}
	for i := range s.ready {
		s.ready[i].reads = g.withoutAbandoned(s.ready[i].reads)
	}
	s.ready = slices.DeleteFunc(s.ready, func(r readsAt) bool { return len(r.reads) == 0 })
	heap.Init(&s.ready)
}

func (g *Group) withoutAbandoned(reads []*Read) []*Read {
	n := len(reads)
	reads = slices.DeleteFunc(reads, func(r *Read) bool { return r.abandoned.Load() })
	g.readsWaiting.Add(int64(len(reads) - n))
	return reads
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
	g.endReads(s.leased, 0, err)
	for _, id := range slices.Sorted(maps.Keys(s.asked)) {
		g.endReads(s.asked[id].reads, 0, err)
	}
	for _, r := range s.ready {
		g.endReads(r.reads, 0, err)
	}
	s.held, s.leased, s.ready = nil, nil, nil
	clear(s.asked)
}
