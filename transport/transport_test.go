package transport

import (
	"reflect"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// Everybody sends to everybody, and each hears the others in their order.
func TestPacketsArriveInOrder(t *testing.T) {
	ms := startAll(t, 3, nil)
	const n = 2000
	for i := range n {
		for _, m := range ms {
			for _, to := range ms {
				m.Send(to.id, numbered(i)) // to oneself too: that is dropped
			}
		}
	}
	for _, m := range ms {
		next := map[raft.NodeID]uint64{}
		for range n * (len(ms) - 1) {
			d := m.next(t)
			seq := d.packet.Message.(raft.ReadIndex).Seq
			if seq != next[d.from] {
				t.Fatalf("n%d got %d of n%d, want %d", m.id, seq, d.from, next[d.from])
			}
			next[d.from]++
		}
		s := m.Stats()
		if s.DroppedUnknown != n {
			t.Errorf("%d packets to unknown members, want %d", s.DroppedUnknown, n)
		}
		for _, p := range s.Peers {
			if p.ReceivedPackets != n || p.DroppedFull+p.DroppedLarge+p.DroppedBroken != 0 {
				t.Errorf("n%d about n%d: %+v", m.id, p.ID, p)
			}
		}
	}
}

// What was sent arrives whole, whatever its size, and belongs to the receiver from then on.
func TestPacketsArriveWhole(t *testing.T) {
	ms := startAll(t, 2, nil)
	sent := []wire.Packet{
		numbered(1),
		entries(3, 100),
		entries(1, 0),
		entries(5000, 50),   // more than a frame's target
		entries(1, 8<<20),   // more than the read buffer
		entries(2, 200<<10), // a frame just beyond it
		{Group: 1, Message: raft.ForwardProposals{Term: 1, Stream: 1, Seq: 1, Commands: [][]byte{[]byte("abc")}}},
		numbered(2),
	}
	for _, p := range sent {
		ms[0].Send(2, p)
	}
	var got []wire.Packet
	for range sent {
		got = append(got, ms[1].next(t).packet)
	}
	for range 200 { // what the reader reuses is overwritten now
		ms[0].Send(2, entries(10, 500))
		ms[1].next(t)
	}
	for i := range sent {
		if !reflect.DeepEqual(got[i], sent[i]) {
			t.Errorf("packet %d arrived as another", i)
		}
	}
}
