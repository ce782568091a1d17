package host

import (
	"fmt"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/snapshot"
	"github.com/balsa-raft/balsa/wal"
)

// recover brings a group's log and state machine to where they were, as far as the disk tells, and says where that is.
//
// A crash can leave a snapshot that is newer than the log, between the moment that it was whole and the moment that the log was reset to
// it. So the newest snapshot decides: if the log does not hold its last entry, the log is reset now. It can't be the other
// way about, because the log is compacted only up to a snapshot that is durable; if the log begins behind the newest
// snapshot, one was lost, and this member must not go on.
func (g *Group) recover() (raft.LogState, error) {
	state := g.recoveredLog()
	newest, ok, err := g.host.snapshots.Latest(g.id)
	if err != nil {
		return state, err
	}
	if !ok {
		if state.First > 1 {
			return state, fmt.Errorf("balsa: %s: the log begins with entry %d, and there is no snapshot of what was before it: "+
				"restore the snapshots folder, or replace this member", g.host.config.Dir, state.First)
		}
		if err := g.keep(&state, newest); err != nil {
			return state, err
		}
		return state, g.findConfigurations(&state)
	}
	if newest.Index < state.First-1 {
		return state, fmt.Errorf("balsa: %s: the log begins with entry %d, and the newest snapshot ends with entry %d: "+
			"what is between them is lost; restore the snapshots folder, or replace this member", g.host.config.Dir, state.First, newest.Index)
	}
	if !holds(state, newest) {
		if state, err = g.resetLog(state, newest); err != nil {
			return state, err
		}
	}
	state.Applied = newest.Index
	g.appliedTerm = newest.Term
	if err := g.keep(&state, newest); err != nil {
		return state, err
	}
	if err := g.restore(newest); err != nil {
		return state, err
	}
	base, err := raft.DecodeConfiguration(g.machineAt)
	if err != nil {
		return state, fmt.Errorf("balsa: %s: the snapshot at %d: %w", g.host.config.Dir, newest.Index, err)
	}
	state.Base = raft.ConfigurationAt{Index: newest.Index, Configuration: base}
	return state, g.findConfigurations(&state)
}

// findConfigurations reads the log behind the snapshot for configurations: the last one of them is in force, committed or not.
func (g *Group) findConfigurations(s *raft.LogState) error {
	return g.eachEntry(max(s.Applied+1, s.First), s.Last, func(e *raft.Entry) error {
		if e.Type != raft.EntryConfiguration {
			return nil
		}
		c, err := raft.DecodeConfiguration(e.Data)
		if err != nil {
			return fmt.Errorf("balsa: %s: entry %d: %w", g.host.config.Dir, e.Index, err)
		}
		s.Configurations = append(s.Configurations, raft.ConfigurationAt{Index: e.Index, Configuration: c})
		return nil
	})
}

// eachEntry reads entries of the log.
func (g *Group) eachEntry(from, to raft.Index, visit func(*raft.Entry) error) error {
	const pageBytes = 4 << 20
	for from <= to {
		es, err := g.host.log.Entries(g.id, from, to, pageBytes)
		if err != nil {
			return err
		}
		for k := range es {
			if err := visit(&es[k]); err != nil {
				return err
			}
		}
		from = es[len(es)-1].Index + 1
	}
	return nil
}

func (g *Group) recoveredLog() raft.LogState {
	for _, found := range g.host.log.Groups() {
		if found.Group == g.id {
			return raft.LogState{
				HardState: found.HardState, First: found.FirstIndex, Last: found.LastIndex,
				BaseTerm: found.BaseTerm, Runs: found.Terms, Applied: found.FirstIndex - 1,
			}
		}
	}
	return raft.LogState{First: 1}
}

// holds reports whether the log has the snapshot's last entry, or begins right behind it.
func holds(s raft.LogState, m snapshot.Meta) bool {
	if m.Index == s.First-1 {
		return m.Term == s.BaseTerm
	}
	var term raft.Term
	for _, run := range s.Runs {
		if run.First <= m.Index {
			term = run.Term
		}
	}
	return m.Index <= s.Last && term == m.Term
}

// resetLog makes the log begin behind the snapshot.
func (g *Group) resetLog(s raft.LogState, m snapshot.Meta) (raft.LogState, error) {
	if s.HardState.CurrentTerm < m.Term {
		// The snapshot came from a leader of its term or a later one. No vote of ours in a term that we have not stored was ever sent.
		s.HardState = raft.HardState{CurrentTerm: m.Term}
	}
	reset := raft.LogState{HardState: s.HardState, First: m.Index + 1, Last: m.Index, BaseTerm: m.Term}
	err := g.host.log.Append([]wal.Save{{
		Group: g.id, HardState: reset.HardState, First: reset.First, BaseTerm: reset.BaseTerm, Reset: true,
	}})
	return reset, err
}
