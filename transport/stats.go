package transport

import (
	"cmp"
	"slices"

	"github.com/balsa-raft/balsa/raft"
)

// Stats is what the transport has counted since it started.
type Stats struct {
	Peers          []PeerStats // ascending by ID
	DroppedUnknown uint64      // packets to members that are no peers
	Refused        uint64      // connections that were not let in
}

// PeerStats is one peer's part of Stats.
type PeerStats struct {
	ID          raft.NodeID
	Address     string
	Connected   bool   // packets can be written
	Incarnation uint64 // as the peer last gave it; zero if it never did
	Breaks      uint64 // connections to it that broke, and attempts that failed
	LastErr     error  // of the last break or attempt that failed; nil if there was none

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
	count, held := p.out.counts()
	p.mu.Lock()
	defer p.mu.Unlock()
	return PeerStats{
		ID:              p.id,
		Address:         p.address,
		Connected:       p.connected,
		Incarnation:     p.incarnation,
		Breaks:          p.breaks,
		LastErr:         p.lastErr,
		OutboxBytes:     held,
		SentPackets:     count.sentPackets,
		SentBytes:       count.sentBytes,
		Writes:          count.writes,
		DroppedFull:     count.droppedFull,
		DroppedLarge:    count.droppedLarge,
		DroppedBroken:   count.droppedBroken,
		ReceivedPackets: p.receivedPackets.Load(),
	}
}
