package host

import (
	"sync/atomic"

	"github.com/balsa-raft/balsa/raft"
)

// vouch is what a voter has said of its leader's data folder, until this member's own configuration tells it. The shard writes it; Admit and Receive read it.
type vouch struct {
	word atomic.Pointer[raft.Vouch]
}

// folder is the data folder that member m is to have: zero if any will do.
func (v *vouch) folder(m raft.Member) uint64 {
	if of := v.word.Load(); of != nil && of.ID == m.ID && m.Incarnation != 0 {
		return of.Incarnation
	}
	return m.Incarnation
}

// end forgets it if the configuration here is that of entry commit, and so as new.
func (v *vouch) end(commit raft.Index) {
	if of := v.word.Load(); of != nil && of.Index <= commit {
		v.word.Store(nil)
	}
}

// vouchedFor takes in with which folder a voter knows its leader. Of two such words the one by the later configuration counts.
func (g *Group) vouchedFor(said raft.Vouch) {
	if of := g.vouch.word.Load(); of != nil && of.Index >= said.Index {
		return
	}
	g.vouch.word.Store(&said)
	g.host.transport.Recheck() // the folder that was known may be here, too
}

// leadsOnly reports whether a peer is let in by a voter's word, and not by the configuration.
func (g *Group) leadsOnly(peer raft.NodeID) bool {
	of := g.vouch.word.Load()
	if of == nil || of.ID != peer {
		return false
	}
	m, _ := g.configuration.Load().Member(peer)
	return m.Incarnation != 0 && m.Incarnation != of.Incarnation
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
