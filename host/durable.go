package host

import (
	"errors"
	"fmt"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/snapshot"
)

// Durable is what a Machine also implements that keeps its state on disk by itself. At a start it goes on from there: entries that are part
// of its state are not given to it again.
//
// What the host itself keeps of the entries that it applies is not in the machine. It comes from the newest snapshot, and from the entries
// between that snapshot and the machine's place, which are applied as all others are but for the machine. So the log is compacted only
// up to a snapshot, for this machine as for any other.
type Durable interface {
	// Applied returns the last entry that the state on disk reflects, zeros if none. Join calls it, before all else.
	Applied() (raft.Index, raft.Term, error)
	// Sync makes durable what Apply and Restore had done when it was called. The snapshotter calls it, while they go on. An error stops the
	// group.
	Sync() error
}

// keep finds out whether the machine has kept its state, and how far that goes. newest is the newest snapshot, or zero; the log goes on from it.
func (g *Group) keep(s *raft.LogState, newest snapshot.Meta) error {
	var ok bool
	if g.durable, ok = g.machine.(Durable); !ok {
		return nil
	}
	index, term, err := g.durable.Applied()
	if err != nil {
		return fmt.Errorf("balsa: ask the state machine for its place in the log: %w", err)
	}
	if err := belongs(s, index, term); err != nil {
		return fmt.Errorf("balsa: %s: the state machine has kept the state of entry %d, term %d, which is not of this log: %w; "+
			"the two were not copied or restored together: bring back the state that belongs to this data folder, or none, "+
			"or replace this member", g.host.config.Dir, index, term, err)
	}
	if index < newest.Index {
		same, err := g.isStateOf(s, index, newest.Index)
		if !same {
			return err // it is restored
		}
		index = newest.Index
	}
	g.kept, s.Committed = index, index
	return nil
}

// belongs returns an error if no machine that was fed from this log has ever been where the machine is: entries are executed only when they
// are committed, and durable here.
func belongs(s *raft.LogState, index raft.Index, term raft.Term) error {
	switch {
	case (index == 0) != (term == 0):
		return errors.New("entries and terms begin at 1")
	case index > s.Last:
		return fmt.Errorf("the log ends with entry %d", s.Last)
	case index < s.First-1 && term > s.BaseTerm:
		return fmt.Errorf("the log begins behind it, and with an earlier term, %d", s.BaseTerm)
	case index >= s.First-1 && !holds(*s, snapshot.Meta{Index: index, Term: term}):
		return errors.New("the log has an entry of another term there")
	}
	return nil
}

// isStateOf reports whether the state of entry i is that of a later one, too: if none between is a command. What the log no longer has may be one.
func (g *Group) isStateOf(s *raft.LogState, i, later raft.Index) (same bool, err error) {
	if i < s.First-1 {
		return false, nil
	}
	same = true
	err = g.eachEntry(i+1, later, func(e *raft.Entry) error {
		same = same && e.Type != raft.EntryCommand
		return nil
	})
	return same && err == nil, err
}

// lacking returns those of g.entries that are not part of the machine's state yet.
func (g *Group) lacking() []Entry {
	n := 0
	for n < len(g.entries) && g.entries[n].Index <= g.kept {
		n++
	}
	return g.entries[n:]
}

// sync makes what a durable machine has executed so far durable.
func (g *Group) sync() error {
	if g.durable == nil {
		return nil
	}
	if err := g.durable.Sync(); err != nil {
		return fmt.Errorf("sync the state machine: %w", err)
	}
	return nil
}
