package host

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/balsa-raft/balsa/internal/must"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/snapshot"
	"github.com/balsa-raft/balsa/trace"
)

// Applier owns the state machines.
type Applier struct {
	host  *Host
	inbox *inbox[applyWork]
	batch []applyWork // scratch

	ending atomic.Bool // callers are being told their outcomes; over before the shard hears of it
	yield  func()      // lets those who were told go first; nil: they need not
}

// applyWork is entries to execute, or a snapshot to continue from, or the index of one that is damaged.
type applyWork struct {
	group   *Group
	entries []raft.Entry
	restore *raft.Restore
	damaged raft.Index
}

// Step executes everything that waits. It reports whether there is more to do.
func (a *Applier) Step() (more bool) {
	a.batch = a.inbox.take(a.batch)
	for i := range a.batch {
		work := &a.batch[i]
		switch {
		case work.group.broken || work.group.Err() != nil:
		case work.restore != nil:
			a.restore(work.group, *work.restore)
		case work.damaged > 0:
			a.replace(work.group, work.damaged)
		default:
			a.apply(work.group, work.entries)
		}
	}
	return !a.inbox.empty()
}

func (a *Applier) apply(g *Group, es []raft.Entry) {
	if a.host.config.Tracer != nil {
		a.host.hopEntries(g.id, trace.Applying, es)
	}
	again, err := g.prepare(es)
	if lacking := g.lacking(); err == nil && len(lacking) > 0 {
		err = g.machine.Apply(lacking)
	}
	if err != nil {
		g.broken = true                                                           // at once: the shard hears of it when more batches may already wait here
		g.endApplied(fmt.Errorf("%w: %w: %w", ErrUnknownOutcome, ErrFailed, err)) // committed, but not executed here
		a.host.shard.inbox.put(input{kind: inputFailed, group: g, err: err}, 0, 0)
		return
	}
	if a.host.config.Tracer != nil {
		a.host.hopEntries(g.id, trace.Applied, es)
	}
	last := &es[len(es)-1]
	g.taken = last.Index
	g.executed.Store(uint64(max(last.Index, g.kept)))
	a.ending.Store(true)
	if ended := g.endApplied(nil); a.yield != nil {
		for range min((ended+yieldEvery-1)/yieldEvery, yieldsMax) {
			a.yield()
		}
	}
	a.ending.Store(false)
	a.host.shard.inbox.put(input{kind: inputApplied, group: g, index: last.Index}, 0, 0)
	a.again(g, again)
	g.compaction.count(es)
	// Before it is at the place that it has kept its state is not that of the last entry, but of a later one.
	if last.Index >= g.kept && g.compaction.due() {
		a.pin(g, last.Index, last.Term)
	}
}

// pin takes the state as it is now for a snapshot, which the snapshotter writes.
func (a *Applier) pin(g *Group, i raft.Index, t raft.Term) {
	write, err := g.machine.Snapshot()
	if err != nil {
		a.host.logger.Warn("no snapshot was taken; the log is kept", "group", uint64(g.id), "index", uint64(i), "error", err)
		g.compaction.postpone()
		return
	}
	write = g.sessions.pin().before(write)
	work := snapshotWork{group: g, meta: snapshot.Meta{Group: g.id, Index: i, Term: t, Configuration: g.machineAt}, write: write, compact: g.compaction.begin()}
	a.host.snapshotter.inbox.put(work, 0, 0)
}

// replace takes a snapshot in place of one that is damaged, of the same entry if nothing was executed since: perhaps nothing can be, before the member that lacks the
// snapshot has it.
func (a *Applier) replace(g *Group, damaged raft.Index) {
	if g.taken < max(damaged, g.kept) || g.compaction.busy.Load() {
		return
	}
	g.mu.Lock()
	t := g.appliedTerm
	g.mu.Unlock()
	a.pin(g, g.taken, t)
}

// restore lets the state machine continue from a snapshot, which is on disk.
func (a *Applier) restore(g *Group, s raft.Restore) {
	if err := g.restore(snapshot.Meta{Group: g.id, Index: s.Index, Term: s.Term}); err != nil {
		g.broken = true // at once: what already waits here would be executed on a part of a state, and its callers believe the results
		a.host.shard.inbox.put(input{kind: inputFailed, group: g, err: err}, 0, 0)
		return
	}
	g.taken = s.Index
	g.executed.Store(uint64(max(s.Index, g.kept)))
	g.tellConfiguration(s.Index)
	again := g.skipped(s.Term)
	g.compaction.restart()
	a.host.shard.inbox.put(input{kind: inputApplied, group: g, index: s.Index}, 0, 0)
	a.again(g, again)
}

// again has the shard propose once more what is certain not to be in the log.
func (a *Applier) again(g *Group, ps []*Proposal) {
	for _, p := range ps {
		a.host.shard.inbox.put(input{kind: inputProposal, group: g, proposal: p}, 0, 0)
	}
}

// tellConfiguration tells the shard which configuration is committed.
func (g *Group) tellConfiguration(i raft.Index) {
	c, err := raft.DecodeConfiguration(g.machineAt)
	must.Be1(err == nil, "the configuration at %d was read before", i)
	g.host.shard.inbox.put(input{kind: inputConfigured, group: g, applied: &raft.ConfigurationAt{Index: i, Configuration: c}}, 0, 0)
}

// restore feeds the machine from a snapshot, unless it has kept what is in it.
func (g *Group) restore(m snapshot.Meta) error {
	r, err := g.host.snapshots.Read(m)
	if err != nil {
		return fmt.Errorf("restore from the snapshot at %d: %w", m.Index, err)
	}
	g.machineAt = r.Meta().Configuration
	g.compaction.snapshotSize.Store(r.Size()) // or a large state would be written again soon after every start
	err = g.restoreSessions(r)
	if err == nil && m.Index > g.kept {
		err = g.machine.Restore(r)
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("restore from the snapshot at %d: %w", m.Index, err)
	}
	// A durable machine is synced, or it would have to be restored again after a crash. And those before it are of no use any more: a member that lags
	// again and again would keep each that it was sent, until it has executed enough for one of its own.
	g.host.snapshotter.inbox.put(snapshotWork{group: g, meta: m}, 0, 0)
	return nil
}

// prepare makes g.entries of es, each with the proposal that waits for it, and returns the proposals that are now certain never to come.
func (g *Group) prepare(es []raft.Entry) (again []*Proposal, err error) {
	g.entries = g.entries[:0]
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range es {
		e := &es[i]
		if e.Term > g.appliedTerm {
			g.appliedTerm = e.Term
			again = append(again, g.passed(e.Term)...)
		}
		if e.Type == raft.EntryConfiguration {
			g.machineAt = bytes.Clone(e.Data)
			g.tellConfiguration(e.Index)
		}
		switch {
		case e.Type != raft.EntryCommand || len(e.Data) < HeaderBytes:
		case isSessionEntry(e.Data):
			if err = g.prepareSession(e); err != nil {
				return again, err
			}
		default:
			// The cap keeps a machine that appends to its command off the bytes behind it.
			command := e.Data[HeaderBytes:len(e.Data):len(e.Data)]
			g.entries = append(g.entries, Entry{Index: e.Index, Term: e.Term, Command: command, Proposal: g.proposalOf(e.Data)})
		}
	}
	return again, nil
}

// Callers that are told that their commands were applied often have another one at once. So the applier lets them go first: what they bring rides with its
// word to the shard, and is one batch and not many; and a follower is told of the commit with it. The scheduler comes back to who yields after some thirty others, so
// it yields once for so many, or fewer, but not for ever: where the program's other goroutines keep the processors busy each time can take long.
const (
	yieldEvery = 32
	yieldsMax  = 16
)

// endApplied ends the waits of the callers of what was applied, and returns how many there were.
func (g *Group) endApplied(err error) (ended int) {
	g.mu.Lock()
	for i := range g.entries {
		e := &g.entries[i]
		if e.Answer != nil && err == nil {
			g.sessionAnswered(e)
		}
		if e.Proposal != nil {
			g.finish(e.Proposal, e.Index, err)
			ended++
		}
	}
	g.endSettled(err)
	g.mu.Unlock()
	clear(g.entries)
	return ended
}
