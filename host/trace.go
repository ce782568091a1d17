package host

import (
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/trace"
	"github.com/balsa-raft/balsa/wal"
	"github.com/balsa-raft/balsa/wire"
)

// What a Tracer is told. Everything here is called only if there is one.

func (h *Host) hop(g raft.GroupID, step trace.Step, first, last raft.Index) {
	h.config.Tracer.Hop(trace.Hop{Step: step, Group: g, Node: h.config.ID, First: first, Last: last})
}

func (h *Host) hopEntries(g raft.GroupID, step trace.Step, es []raft.Entry) {
	if len(es) > 0 {
		h.hop(g, step, es[0].Index, es[len(es)-1].Index)
	}
}

// hopEffects: what is to be saved is also what is to be sent.
func (g *Group) hopEffects(e *raft.Effects) {
	if commit := g.raft.Status().CommitIndex; commit > g.told {
		g.host.hop(g.id, trace.Committed, g.told+1, commit)
		g.told = commit
	}
	if e.Save != nil {
		g.host.hopEntries(g.id, trace.HandedOut, e.Save.Entries)
	}
}

func (h *Host) hopSaves(step trace.Step, saves []wal.Save) {
	for i := range saves {
		h.hopEntries(saves[i].Group, step, saves[i].Entries)
	}
}

// hopMessage is about a message to a peer, or from it.
func (h *Host) hopMessage(g raft.GroupID, peer raft.NodeID, m raft.Message, entries, reply trace.Step) {
	hop := trace.Hop{Group: g, Node: h.config.ID, Peer: peer}
	switch m := m.(type) {
	case raft.AppendEntries:
		if len(m.Entries) == 0 {
			return
		}
		hop.Step, hop.First, hop.Last = entries, m.Entries[0].Index, m.Entries[len(m.Entries)-1].Index
	case raft.AppendEntriesReply:
		if !m.Success {
			return
		}
		hop.Step, hop.Last = reply, m.MatchIndex
	default:
		return
	}
	h.config.Tracer.Hop(hop)
}

// Track is for the transport of a host with a Tracer: it is called with each packet that will be sent, and what it returns when that begins.
func (h *Host) Track(to raft.NodeID, p wire.Packet) (sending func()) {
	switch m := p.Message.(type) {
	case raft.AppendEntries:
		if len(m.Entries) == 0 {
			return nil
		}
		// The entries are the core's; which they are is all that is told.
		m.Entries = []raft.Entry{{Index: m.Entries[0].Index}, {Index: m.Entries[len(m.Entries)-1].Index}}
		return func() { h.hopMessage(p.Group, to, m, trace.Sent, trace.Acknowledged) }
	case raft.AppendEntriesReply:
		return func() { h.hopMessage(p.Group, to, m, trace.Sent, trace.Acknowledged) }
	}
	return nil
}
