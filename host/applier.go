package host

import (
	"fmt"

	"github.com/balsa-raft/balsa/raft"
)

// Applier owns the state machines.
type Applier struct {
	host  *Host
	inbox *inbox[applyWork]
	batch []applyWork // scratch
}

type applyWork struct {
	group   *Group
	entries []raft.Entry
}

// Step executes everything that waits. It reports whether there is more to do.
func (a *Applier) Step() (more bool) {
	a.batch = a.inbox.take(a.batch)
	for i := range a.batch {
		a.apply(a.batch[i].group, a.batch[i].entries)
	}
	return !a.inbox.empty()
}

func (a *Applier) apply(g *Group, es []raft.Entry) {
	if g.broken || g.Err() != nil {
		return
	}
	again := g.prepare(es)
	if len(g.entries) > 0 {
		if err := g.machine.Apply(g.entries); err != nil {
			g.broken = true                                                           // at once: the shard hears of it when more batches may already wait here
			g.endApplied(fmt.Errorf("%w: %w: %w", ErrUnknownOutcome, ErrFailed, err)) // committed, but not executed here
			a.host.shard.inbox.put(input{kind: inputFailed, group: g, err: err}, 0, 0)
			return
		}
	}
	g.endApplied(nil)
	a.host.shard.inbox.put(input{kind: inputApplied, group: g, index: es[len(es)-1].Index}, 0, 0)
	for _, p := range again {
		a.host.shard.inbox.put(input{kind: inputProposal, group: g, proposal: p}, 0, 0)
	}
}

// prepare makes g.entries of es, each with the proposal that waits for it, and returns the proposals that are now certain never to come.
func (g *Group) prepare(es []raft.Entry) (again []*Proposal) {
	g.entries = g.entries[:0]
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range es {
		e := &es[i]
		if e.Term > g.appliedTerm {
			g.appliedTerm = e.Term
			again = append(again, g.passed(e.Term)...)
		}
		if e.Type == raft.EntryCommand && len(e.Data) >= HeaderBytes {
			p := g.proposalOf(e.Data)
			if p != nil {
				delete(g.waiting, p.id) // it has come: no later term takes it back
			}
			// The cap keeps a machine that appends to its command off the bytes behind it.
			command := e.Data[HeaderBytes:len(e.Data):len(e.Data)]
			g.entries = append(g.entries, Entry{Index: e.Index, Term: e.Term, Command: command, Proposal: p})
		}
	}
	return again
}

// endApplied ends the waits of g.entries' callers.
func (g *Group) endApplied(err error) {
	g.mu.Lock()
	for i := range g.entries {
		if p := g.entries[i].Proposal; p != nil {
			g.finish(p, g.entries[i].Index, err)
		}
	}
	g.mu.Unlock()
	clear(g.entries)
}
