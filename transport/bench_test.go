package transport

import (
	"fmt"
	"net"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// window holds how many packets are under way: as Raft does, the benchmarks wait for answers.
type window struct{ slots chan struct{} }

func (w window) Receive(_ raft.NodeID, batch []wire.Packet) {
	for range batch {
		<-w.slots
	}
}
func (w window) Unreachable(raft.NodeID) {}

func (w window) Refused(raft.NodeID, wire.Verdict, string) {}

// BenchmarkThroughput is one direction of one connection, with at most 256 packets under way.
func BenchmarkThroughput(b *testing.B) {
	for _, c := range []struct {
		name   string
		packet wire.Packet
	}{
		{"ack", wire.Packet{Group: 1, Message: raft.AppendEntriesReply{Term: 7, Success: true, MatchIndex: 1 << 20, ReadSeq: 1 << 20}}},
		{"entry128", entries(1, 128)},
		{"entries64x128", entries(64, 128)},
		{"entry1MiB", entries(1, 1<<20)},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := window{make(chan struct{}, 256)}
			to, _ := benchPair(b, w, w)
			b.SetBytes(int64(wire.PacketSizeMax(c.packet)))
			b.ReportAllocs()
			for b.Loop() {
				w.slots <- struct{}{}
				to.Send(2, c.packet)
			}
			for range cap(w.slots) { // wait for the last
				w.slots <- struct{}{}
			}
			p := to.Stats().Peers[0]
			b.ReportMetric(float64(p.SentPackets)/float64(p.Writes), "packets/write")
			if dropped := p.DroppedFull + p.DroppedBroken; dropped > 0 {
				b.Fatalf("%d packets dropped", dropped)
			}
		})
	}
}

// benchPair connects members 1 and 2, with the handlers h1 and h2.
func benchPair(b *testing.B, h1, h2 Handler) (one, two *Transport) {
	b.Helper()
	config := Config{ID: 2, Listen: "127.0.0.1:0", Logger: newSilentLogger(), OutboxBytesMax: 1 << 30}
	var err error
	two, err = Listen(config, h2)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { two.Close() })
	config.ID, config.Peers = 1, map[raft.NodeID]string{2: two.Addr()}
	one, err = Listen(config, h1)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { one.Close() })
	two.SetPeer(1, one.Addr())
	eventually(b, "connected", func() bool {
		return one.Stats().Peers[0].Connected && two.Stats().Peers[0].Connected
	})
	return one, two
}

// echo sends every packet back, and counts the answers that it gets.
type echo struct {
	to   *Transport
	back chan struct{}
}

func (e *echo) Receive(from raft.NodeID, batch []wire.Packet) {
	if e.back != nil {
		e.back <- struct{}{}
		return
	}
	for _, p := range batch {
		e.to.Send(from, p)
	}
}
func (e *echo) Unreachable(raft.NodeID) {}

func (e *echo) Refused(raft.NodeID, wire.Verdict, string) {}

// BenchmarkRoundTrip is one packet there and back; Raw is the same over bare connections.
func BenchmarkRoundTrip(b *testing.B) {
	for _, size := range []int{0, 128} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			there, here := &echo{}, &echo{back: make(chan struct{}, 1)}
			one, two := benchPair(b, here, there)
			there.to = two
			p := entries(1, size)
			b.ReportAllocs()
			for b.Loop() {
				one.Send(2, p)
				<-here.back
			}
		})
	}
	b.Run("Raw", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var buf [1024]byte
			for {
				n, err := c.Read(buf[:])
				if err != nil {
					return
				}
				c.Write(buf[:n])
			}
		}()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		var buf [170]byte
		for b.Loop() {
			c.Write(buf[:])
			c.Read(buf[:])
		}
	})
}
