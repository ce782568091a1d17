package host

import (
	"slices"
	"sync/atomic"

	"github.com/balsa-raft/balsa/raft"
)

// vouch is what voters have said of data folders with which others lead, where this member's own configuration says otherwise and is older: one word a member. The shard
// writes it; Admit and Receive read it.
type vouch struct {
	words atomic.Pointer[[]raft.Vouch] // never changed in place; nil: none
}

func (v *vouch) load() []raft.Vouch {
	if words := v.words.Load(); words != nil {
		return *words
	}
	return nil
}

// folder is the data folder that member m is to have: zero if any will do.
func (v *vouch) folder(m raft.Member) uint64 {
	for _, of := range v.load() {
		if of.ID == m.ID && m.Incarnation != 0 {
			return of.Incarnation
		}
	}
	return m.Incarnation
}

// keep replaces what is known of one member.
func (v *vouch) keep(said raft.Vouch) {
	words := slices.DeleteFunc(slices.Clone(v.load()), func(of raft.Vouch) bool { return of.ID == said.ID })
	words = append(words, said)
	v.words.Store(&words)
}

// end forgets what the configuration here says as well, since it is that of entry commit and so as new. It reports whether there was any.
func (v *vouch) end(commit raft.Index) (ended bool) {
	words := v.load()
	isOld := func(of raft.Vouch) bool { return of.Index <= commit }
	if !slices.ContainsFunc(words, isOld) {
		return false
	}
	if words = slices.DeleteFunc(slices.Clone(words), isOld); len(words) == 0 {
		v.words.Store(nil)
	} else {
		v.words.Store(&words)
	}
	return true
}

// vouchedFor takes in with which folder a voter knows its leader. Of two such words of one member that by the later entry counts.
func (g *Group) vouchedFor(said raft.Vouch) {
	m, _ := g.configuration.Load().Member(said.ID)
	if m.Incarnation == 0 || m.Incarnation == said.Incarnation {
		return // it is let in
	}
	for _, of := range g.vouch.load() {
		if of.ID == said.ID && of.Index >= said.Index {
			return
		}
	}
	g.vouch.keep(said)
	g.host.transport.Recheck() // the folder that was known may be here, too
}

// leadsOnly reports whether a peer is let in by a voter's word, and not by the configuration.
func (g *Group) leadsOnly(peer raft.NodeID) bool {
	for _, of := range g.vouch.load() {
		if of.ID == peer {
			m, _ := g.configuration.Load().Member(peer)
			return m.Incarnation != 0 && m.Incarnation != of.Incarnation
		}
	}
	return false
}

// isLeaders reports whether a message is one by which a leader brings its followers forward.
func isLeaders(m raft.Message) bool {
	switch m.(type) {
	case raft.AppendEntries, raft.InstallSnapshot:
		return true
	default:
		return false
	}
}
