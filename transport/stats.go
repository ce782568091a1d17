package transport

import (
	"cmp"
	"slices"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// Stats is what the transport has counted since it started.
type Stats struct {
	Peers          []PeerStats // ascending by ID
	DroppedUnknown uint64      // packets to members that are no peers, or that gave no address
	Refused        uint64      // connections that were not let in
}

// PeerStats is one peer's part of Stats.
type PeerStats struct {
	ID          raft.NodeID
	Guest       bool      // SetPeer did not name it; it has said hello
	Address     string    // of a guest the one that it gave, which may be none
	Incarnation uint64    // as the peer last gave it; zero if it never did
	LaneStats             // of everything but snapshots
	Bulk        LaneStats // of snapshots
}

// LaneStats is what goes to and comes from a peer on the connections of one class.
type LaneStats struct {
	Connected bool   // packets can be written
	Breaks    uint64 // connections to it that broke, and attempts that failed
	LastErr   error  // of the last break or attempt that failed; nil if there was none

	OutboxBytes   int    // waiting, or being written
	SentPackets   uint64 // written to the connection; not necessarily received
	SentBytes     uint64
	Writes        uint64
	DroppedFull   uint64 // packets that found no room in the outbox
	DroppedLarge  uint64 // packets that no frame can hold
	DroppedBroken uint64 // packets that waited, or were being written, when the connection broke

	ReceivedPackets uint64
}

// Stats returns the counters as they are now.
func (t *Transport) Stats() Stats {
	s := Stats{DroppedUnknown: t.droppedUnknown.Load(), Refused: t.refused.Load()}
	for _, p := range *t.peers.Load() {
		s.Peers = append(s.Peers, p.stats())
	}
	slices.SortFunc(s.Peers, func(a, b PeerStats) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

func (p *peer) stats() PeerStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PeerStats{
		ID:          p.id,
		Guest:       p.guest,
		Address:     p.address,
		Incarnation: p.incarnation,
		LaneStats:   p.lanes[wire.Main].stats(),
		Bulk:        p.lanes[wire.Bulk].stats(),
	}
}

// stats is called with the peer's mutex held.
func (l *lane) stats() LaneStats {
	count, held := l.out.counts()
	return LaneStats{
		Connected:       l.connected,
		Breaks:          l.breaks,
		LastErr:         l.lastErr,
		OutboxBytes:     held,
		SentPackets:     count.sentPackets,
		SentBytes:       count.sentBytes,
		Writes:          count.writes,
		DroppedFull:     count.droppedFull,
		DroppedLarge:    count.droppedLarge,
		DroppedBroken:   count.droppedBroken,
		ReceivedPackets: l.receivedPackets.Load(),
	}
}
