package sim

import (
	"fmt"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
)

// happening is a line of the trace with what a trail needs beside: the message, what was saved, the call.
type happening struct {
	TraceLine
	msg     raft.Message // of a send, and of what becomes of it; without its entries
	entries []place      // of an AppendEntries
	event   raft.Event
	saves   []saved
	op      *operation
}

// saved is a save without its data.
type saved struct {
	raft.HardState
	first   raft.Index
	reset   bool
	entries []place
}

func placesOf(es []raft.Entry) (ps []place) {
	for i := range es {
		ps = append(ps, place{es[i].Index, es[i].Term})
	}
	return ps
}

func savedOf(batch []wal.Save) (ss []saved) {
	for i := range batch {
		s := &batch[i]
		ss = append(ss, saved{HardState: s.HardState, first: s.First, reset: s.Reset, entries: placesOf(s.Entries)})
	}
	return ss
}

// diary is all that has happened in a run whose story is told.
type diary struct {
	all   []happening
	sends map[uint64]int // of a message: where it is in all
}

// add takes in a line of the trace. It keeps no bytes that members hold.
func (d *diary) add(h happening) {
	if m, ok := h.msg.(raft.AppendEntries); ok {
		h.entries, m.Entries = placesOf(m.Entries), nil
		h.msg = m
	}
	switch sent, ok := d.sends[h.ID]; {
	case h.Kind == TraceSend:
		d.sends[h.ID] = len(d.all)
	case ok && (h.Kind == TraceArrive || h.Kind == TraceLost):
		h.msg, h.entries = d.all[sent].msg, d.all[sent].entries
	}
	d.all = append(d.all, h)
}

// String is the happening as the story tells it.
func (h *happening) String() string {
	switch h.Kind {
	case TraceStart:
		if h.Incarnation == 1 {
			return fmt.Sprintf("n%d starts", h.Node)
		}
		return fmt.Sprintf("n%d starts again (incarnation %d)", h.Node, h.Incarnation)
	case TraceDeath:
		return fmt.Sprintf("n%d %s", h.Node, h.Text)
	case TraceEvent:
		return fmt.Sprintf("n%d %v", h.Node, h.event)
	case TraceArrive:
		return fmt.Sprintf("n%d <- n%d %s", h.Node, h.Peer, describeSent(h.msg, h.entries))
	case TraceSend:
		return fmt.Sprintf("n%d -> n%d %s", h.Node, h.To, describeSent(h.msg, h.entries))
	case TraceLost:
		return fmt.Sprintf("n%d -> n%d is lost: %s", h.Node, h.To, describeSent(h.msg, h.entries))
	case TraceSaved:
		return fmt.Sprintf("n%d has made durable %s", h.Node, h.Text)
	case TraceFault:
		return fmt.Sprintf("fault %s, %s, on n%d", h.Text, h.What, h.Node)
	case TraceLinks:
		return "links cut: " + describeLinks(h.Links)
	case TraceRest:
		return fmt.Sprintf("n%d's machine continues from a snapshot at %d", h.Node, h.Index)
	case TraceMended:
		return "everything is mended"
	case TraceBegin:
		return fmt.Sprintf("%s asks n%d %s", clientName(h.Call.Client), h.Node, demand(h.op))
	case TraceEnd:
		return fmt.Sprintf("n%d ends %s's %s: %s", h.Node, clientName(h.Call.Client), h.op.short(), h.op.end())
	}
	return h.Kind
}
