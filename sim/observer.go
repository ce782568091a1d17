package sim

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
	"github.com/balsa-raft/balsa/wire"
)

// Event implements host.Observer.
func (m *member) Event(_ raft.GroupID, e raft.Event) {
	m.w.mix(uint64(m.id), uint64(e.Kind), uint64(e.Term), uint64(e.Node), uint64(e.Index))
	m.w.tellEvent(m, e)
	m.w.recordAll(happening{event: e, TraceLine: TraceLine{Kind: TraceEvent, Node: m.id, What: eventNames[e.Kind], Term: e.Term, Peer: e.Node, Index: e.Index}})
	m.w.checker.event(m, e)
	m.w.ambushAt(m, e)
	if e.Kind == raft.EventStalled {
		m.stall.seen++
	}
	if e.Kind == raft.EventLeader {
		m.w.clients.elected(m)
		m.w.apart(func() { m.w.network.echoAcks(m) })
	}
	if e.Kind == raft.EventFollower && e.Node != 0 {
		m.w.network.followsAgain(m, e)
	}
	if e.Kind == raft.EventTransferEnded {
		m.w.network.gaveUp(m)
	}
	if e.Kind == raft.EventLeader || e.Kind == raft.EventQuorumLost {
		m.w.clients.unrest()
	}
}

// Saving implements host.Observer.
func (m *member) Saving(batch []wal.Save) {
	m.disk.saving, m.disk.writes = append([]wal.Save(nil), batch...), 0
	m.checkQuota(batch)
	m.ambushSave(batch)
}

// Saved implements host.Observer.
func (m *member) Saved(batch []wal.Save) {
	m.w.report.Saves++
	if m.w.story != nil {
		m.tell("has made durable %s", describeSaves(batch))
	}
	if m.w.lines != nil {
		m.w.recordAll(happening{TraceLine: TraceLine{Kind: TraceSaved, Node: m.id, Text: describeSaves(batch)}, saves: savedOf(batch)})
	}
	if m.disk.writes > 0 {
		m.disk.wrote(m.disk.saving)
	}
	overTail := slices.ContainsFunc(batch, func(s wal.Save) bool { return s.Reset && m.disk.durable.last() >= s.First })
	m.w.checker.saved(m, batch) // after it was told: it may fail because of this
	m.disk.saving = nil
	if overTail { // soon there are other entries in the place of those that are to be gone
		m.w.checker.audit(m)
	}
}

// sender is a member's transport.
type sender struct{ m *member }

// SetPeer has nothing to do: everybody reaches everybody.
func (sender) SetPeer(raft.NodeID, string) {}

// Recheck implements host.Transport.
func (s sender) Recheck() { s.m.w.network.recheck(s.m) }

// Send implements host.Transport.
func (s sender) Send(to raft.NodeID, p wire.Packet) {
	m := s.m
	if m.strike != nil && m.strike.death != nil {
		m.struck()
	}
	if _, ok := p.Message.(raft.AppendEntries); ok {
		m.beat(to)
	}
	m.w.network.send(m, to, p)
}

// logger watches for what correct members never say about each other.
type logger struct{ m *member }

func newLogger(m *member) *slog.Logger { return slog.New(logger{m}) }

// Enabled implements slog.Handler.
func (l logger) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (l logger) Handle(_ context.Context, r slog.Record) error {
	var text strings.Builder
	text.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&text, " %v", a)
		return true
	})
	l.m.tell("logs: %s", &text)
	if strings.HasPrefix(r.Message, "a message was ignored") {
		l.m.w.fail("Assertion", "n%d: %s", l.m.id, &text)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (l logger) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l logger) WithGroup(string) slog.Handler { return l }
