package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/balsa-raft/balsa/raft"
)

// HeaderBytes is how much room a proposal's Data leaves at its front for the host: who proposed it, and its number there.
//
//	origin u64 | id u64 | command
//
// Origin is drawn anew at every start, so that a number is never taken for one of an earlier incarnation. It is never zero: see
// session_entry.go.
const HeaderBytes = 16

// Proposal is a command on its way through the log, and its caller's place to wait. Use it once.
type Proposal struct {
	// Data is HeaderBytes of room and then the command. It belongs to the host from Propose on.
	Data []byte
	// Owner is the caller's, for its Machine; the host does not look at it.
	Owner any

	session *sessionProposal // nil if it does not concern sessions

	done   chan struct{} // closed with the outcome; if it is pooled, it has a token then
	pooled bool

	// Guarded by Group.mu.
	id       uint64
	term     raft.Term // in which the core was given it; 0 while it is held back here
	finished bool
	index    raft.Index
	err      error
}

// proposalOverhead is about what a proposal occupies besides its data. Without it, empty commands could fill the memory within the limit.
const proposalOverhead = 256

// size is about what the proposal occupies while it waits.
func (p *Proposal) size() int { return len(p.Data) + proposalOverhead }

// Propose hands in a proposal. Without an error the outcome comes with Wait or Abandon.
func (g *Group) Propose(p *Proposal) error {
	mark, header := 0, HeaderBytes
	if p.session != nil {
		mark, header = sessionMark, SessionHeaderBytes
	}
	if n := len(p.Data) - header; n > g.host.config.CommandBytesMax {
		return fmt.Errorf("%w: %w: %d bytes, the limit is %d", ErrNotCommitted, ErrTooLarge, n, g.host.config.CommandBytesMax)
	}
	g.mu.Lock()
	if g.draining && g.stopped == nil {
		g.mu.Unlock()
		return fmt.Errorf("%w: %w", ErrNotCommitted, ErrClosed)
	}
	if g.stopped != nil {
		defer g.mu.Unlock()
		return fmt.Errorf("%w: %w", ErrNotCommitted, g.stopped)
	}
	if waits := g.pendingBytes; waits > 0 && waits+p.size() > g.host.config.PendingBytesMax {
		g.mu.Unlock()
		return fmt.Errorf("%w: %w: %d bytes of proposals wait here, the limit is %d",
			ErrNotCommitted, ErrOverloaded, waits, g.host.config.PendingBytesMax)
	}
	g.lastID++
	p.id = g.lastID
	if p.pooled {
		p.done = signals.Get().(chan struct{})
	} else {
		p.done = make(chan struct{})
	}
	g.waiting[p.id] = p
	g.pendingBytes += p.size()
	alone := len(g.waiting) == 1
	g.mu.Unlock()

	binary.LittleEndian.PutUint64(p.Data[mark:], g.origin)
	binary.LittleEndian.PutUint64(p.Data[mark+8:], p.id)
	inbox := g.host.shard.inbox
	inbox.ride(input{group: g, kind: inputProposal, proposal: p})
	switch {
	case g.host.writer.busy.Load(): // it would wait for the disk anyway, and this member will be told that the disk is free
	case g.host.applier.ending.Load(): // the applier will wake the shard
	case alone && inbox.claim():
		g.host.shard.lend()
	case !alone: // the shard's own goroutine comes a little later, and others like this one with it
		inbox.rouse()
	}
	return nil
}

// Done is closed when the outcome is known.
func (p *Proposal) Done() <-chan struct{} { return p.done }

// Outcome returns the place in the log of a proposal that is Done, or why it has none.
func (g *Group) Outcome(p *Proposal) (raft.Index, error) { return p.index, p.err }

// signals are the channels of proposals that have ended, for other ones.
var signals = sync.Pool{New: func() any { return make(chan struct{}, 1) }}

// Do is Propose, and then the wait for the outcome, or for the end of ctx, when it is Abandon. Done is not to be used.
func (g *Group) Do(ctx context.Context, p *Proposal) (raft.Index, error) {
	p.pooled = true
	if err := g.Propose(p); err != nil {
		return 0, err
	}
	select {
	case <-p.done:
		signals.Put(p.done) // nothing more will come in it: a proposal is finished once
		return p.index, p.err
	case <-ctx.Done():
		index, err := g.Abandon(p)
		if err != nil {
			err = fmt.Errorf("%w: %w", err, ctx.Err())
		}
		return index, err
	}
}

// Abandon ends the wait for a proposal's outcome: it is what it is by now.
func (g *Group) Abandon(p *Proposal) (raft.Index, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !p.finished {
		g.finish(p, 0, g.undecided(p))
	}
	return p.index, p.err
}

// undecided is the error of a proposal whose wait ends without an outcome. Called with mu held.
func (g *Group) undecided(p *Proposal) error {
	switch {
	case p.term != 0:
		return ErrUnknownOutcome
	case g.leader.Load() == 0:
		return fmt.Errorf("%w: %w", ErrNotCommitted, ErrNoLeader)
	}
	return ErrNotCommitted
}

// finish gives a proposal its outcome, once. Called with mu held.
func (g *Group) finish(p *Proposal, i raft.Index, err error) {
	if p.finished {
		return
	}
	p.finished, p.index, p.err = true, i, err
	delete(g.waiting, p.id)
	g.pendingBytes -= p.size()
	if p.pooled {
		p.done <- struct{}{}
		return
	}
	close(p.done)
}

// hold keeps a proposal until the core can be given it. Called by the shard.
func (g *Group) hold(p *Proposal) {
	g.held = append(g.held, p)
	g.heldBytes += p.size()
}

// dropFinished forgets held proposals whose callers have left, once they are most of what is held: callers that try again and again
// while there is no leader would else fill the memory. Called by the shard.
func (g *Group) dropFinished() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.heldBytes <= 2*g.pendingBytes {
		return
	}
	g.held = slices.DeleteFunc(g.held, func(p *Proposal) bool {
		if p.finished {
			g.heldBytes -= p.size()
		}
		return p.finished
	})
}

// proposeBytesMax bounds the proposals that are given to the core at once, except that one is always given: forwarded, they
// travel in one message.
const proposeBytesMax = 1 << 20

// proposeHeld gives the core what waits here, if a leader is known. Called by the shard.
func (g *Group) proposeHeld() {
	for len(g.held) > 0 && g.raft.Leader() != 0 && g.raft.Term() > max(g.refusedTerm, g.pausedTerm) {
		n, size := 0, 0
		g.batch = g.batch[:0]
		g.mu.Lock()
		for ; n < len(g.held) && (n == 0 || size+g.held[n].size() <= proposeBytesMax); n++ {
			if p := g.held[n]; !p.finished {
				g.batch = append(g.batch, raft.Proposal{ID: p.id, Data: p.Data})
				size += p.size()
			}
		}
		given := g.giveBatch(g.held[:n])
		g.mu.Unlock()
		if !given {
			return
		}
		for _, p := range g.held[:n] {
			g.heldBytes -= p.size()
		}
		clear(g.held[:n])
		g.held = g.held[n:]
	}
	if len(g.held) == 0 {
		g.held = g.held[:0:0]
	}
}

// giveBatch proposes g.batch, which is what is left of ps. The lock is held throughout: whoever sees an entry of a later term applied must
// find the term of every proposal that was given before. It reports false if the core wants them later.
func (g *Group) giveBatch(ps []*Proposal) bool {
	if len(g.batch) == 0 {
		return true
	}
	term, err := g.raft.Propose(g.batch...)
	switch {
	case errors.Is(err, raft.ErrWindowFull): // an answer of the leader will wake this group
		return false
	case errors.Is(err, raft.ErrTransferring):
		g.pausedTerm = g.raft.Term()
		return false
	}
	for _, p := range ps {
		switch {
		case p.finished:
		case err != nil:
			g.finish(p, 0, errLeaderOverloaded)
		default:
			p.term = term
		}
	}
	return true
}

// refused takes back proposals that the leader did not append. Called by the shard.
func (g *Group) refused(r raft.Refused) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range r.IDs {
		p := g.waiting[id]
		switch {
		case p == nil || p.term != r.Term: // an old refusal; the proposal has an outcome or has been given again
		case r.Reason == raft.RefusedOverloaded:
			g.finish(p, 0, errLeaderOverloaded)
		default:
			p.term = 0
			g.hold(p)
			g.takenBack = true
			if r.Reason == raft.RefusedTransferring {
				g.pausedTerm = max(g.pausedTerm, r.Term)
			} else {
				g.refusedTerm = max(g.refusedTerm, r.Term)
			}
		}
	}
}

// proposalOf finds the proposal of a committed entry by its origin and id, if it was made here and somebody waits for it. From now on no later
// term takes it back. Called by the applier with mu held.
func (g *Group) proposalOf(header []byte) *Proposal {
	if binary.LittleEndian.Uint64(header) != g.origin {
		return nil
	}
	p := g.waiting[binary.LittleEndian.Uint64(header[8:])]
	if p != nil {
		delete(g.waiting, p.id)
	}
	return p
}

// passed takes back the proposals that were given in a term before t and have not been applied: now that an entry of t is, they never
// will be. The shard proposes them again. Called by the applier with mu held.
func (g *Group) passed(t raft.Term) []*Proposal {
	var ps []*Proposal
	for _, id := range slices.Sorted(maps.Keys(g.waiting)) {
		if p := g.waiting[id]; p.term != 0 && p.term < t {
			p.term = 0
			ps = append(ps, p)
		}
	}
	return ps
}

// skipped ends the proposals that may be part of a snapshot whose last entry is of term t: that they are not seen here says nothing. For those of
// sessions the snapshot knows. It returns those that are certain never to come.
func (g *Group) skipped(t raft.Term) (again []*Proposal) {
	g.appliedTerm = max(g.appliedTerm, t)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(g.waiting)) {
		p := g.waiting[id]
		switch {
		case p.term == 0 || p.term > t:
		case p.session.isCommand() && g.lookUp(p):
		case p.session.isCommand() && p.term < t: // its entry had no effect, or there is none
			p.term = 0
			again = append(again, p)
		default:
			g.finish(p, 0, ErrSkipped)
		}
	}
	return again
}
