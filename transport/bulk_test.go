package transport

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

const chunkBytes = 256 << 10

// chunk is the n-th chunk of a snapshot.
func chunk(n int) wire.Packet {
	return wire.Packet{Group: 5, Message: raft.InstallSnapshot{
		Term: 3, LeaderID: 1, LastIncludedIndex: 100, LastIncludedTerm: 2,
		Size: 1 << 30, Offset: uint64(n * chunkBytes), Data: bytes.Repeat([]byte{byte(n)}, chunkBytes),
	}}
}

// drain returns what the member has been handed, after everything has happened that needs no time to pass.
func (m *member) drain() (got []wire.Packet) {
	for {
		synctest.Wait()
		select {
		case d := <-m.got:
			got = append(got, d.packet)
		default:
			return got
		}
	}
}

// A snapshot on a slow link does not delay the heartbeats beside it, and both arrive in their order.
func TestSnapshotDoesNotDelayHeartbeats(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		a, b := n.start2(t)
		const chunks = 16
		n.bulkRate = 1 << 20
		for i := range chunks {
			a.Send(2, chunk(i))
		}
		chunksGot, beats := 0, 0
		for ; chunksGot < chunks; beats++ {
			a.Send(2, numbered(beats))
			beat := false
			for _, p := range b.drain() {
				switch {
				case !beat && p == numbered(beats):
					beat = true
				case chunksGot < chunks && reflect.DeepEqual(p, chunk(chunksGot)):
					chunksGot++
				default:
					t.Fatalf("beat %d, after %d chunks: got a %T out of order", beats, chunksGot, p.Message)
				}
			}
			if !beat {
				t.Fatalf("heartbeat %d did not arrive at once; %d chunks had", beats, chunksGot)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if beats < 4*20 { // 4 MiB at 1 MiB/s
			t.Errorf("the snapshot took the time of only %d heartbeats; it was not slow", beats)
		}
		if s := a.peer(t, 2); s.Bulk.SentPackets != chunks || s.SentPackets != uint64(beats) || s.Breaks+s.Bulk.Breaks > 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// The bulk connection is there while there are chunks, and for IdleTimeout longer.
func TestBulkConnectionComesAndGoes(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		a, b := n.start2(t)
		time.Sleep(time.Minute)
		if c := n.bulkDialled(); c != 0 {
			t.Fatalf("%d bulk connections for nothing", c)
		}
		for want := 1; want <= 2; want++ {
			for i := range 10 {
				a.Send(2, chunk(i))
				if got := b.drain(); len(got) != 1 || !reflect.DeepEqual(got[0], chunk(i)) {
					t.Fatalf("chunk %d: got %d packets", i, len(got))
				}
				time.Sleep(idleTimeoutDefault * 9 / 10)
				if c := n.bulkDialled(); c != want || !a.peer(t, 2).Bulk.Connected {
					t.Fatalf("%d bulk connections dialled, want %d, still there", c, want)
				}
			}
			time.Sleep(idleTimeoutDefault / 4)
			if s := a.peer(t, 2); s.Bulk.Connected || s.Bulk.Breaks != 0 || s.Bulk.OutboxBytes != 0 || !s.Connected {
				t.Fatalf("after an idle time: %+v", s)
			}
			if newest(b, 1, wire.Bulk) != "" {
				t.Fatal("the acceptor's end is still there")
			}
		}
		if c := n.bulkDialled(); c != 2 {
			t.Errorf("%d bulk connections, want 2", c)
		}
		if a.logs.count("no connection for snapshots") > 0 || len(a.unreachable) > 0 {
			t.Errorf("an idle connection's end was called a failure; log:\n%s", a.logs)
		}
	})
}

// A peer that goes in the middle of a snapshot, and comes back: chunks flow again, and only the main connection speaks
// of its absence.
func TestPeerRestartsWithinASnapshot(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		a, b := n.start2(t)
		n.bulkRate = 1 << 20
		for round := range 3 {
			before := a.peer(t, 2)
			for i := range 8 {
				a.Send(2, chunk(i))
			}
			time.Sleep(600 * time.Millisecond)
			if got := b.drain(); len(got) != 2 {
				t.Fatalf("round %d: %d chunks arrived in time for two", round, len(got))
			}
			b.Close()
			for range 30 { // their sender does not know, or does not care
				a.Send(2, chunk(2))
				time.Sleep(100 * time.Millisecond)
			}
			s := a.peer(t, 2)
			if s.Bulk.Connected || s.Bulk.Breaks < before.Bulk.Breaks+3 || s.Bulk.DroppedBroken < before.Bulk.DroppedBroken+30 {
				t.Errorf("round %d: stats %+v", round, s)
			}
			if told := uint64(len(a.unreachable)); told != s.Breaks {
				t.Errorf("round %d: told %d times that the peer is unreachable, for %d failures of the main connection", round, told, s.Breaks)
			}
			b = n.start1(t, 2, "n2", map[raft.NodeID]string{1: "n1"})
			time.Sleep(3 * time.Second) // and until the last of the old chunks has come
			b.drain()
			a.Send(2, chunk(3))
			a.Send(2, numbered(1))
			time.Sleep(time.Second)
			if got := b.drain(); len(got) != 2 || got[0] != numbered(1) || !reflect.DeepEqual(got[1], chunk(3)) {
				t.Fatalf("round %d: %d packets after the restart", round, len(got))
			}
		}
		if c := a.logs.count("no connection for snapshots"); c > 6 {
			t.Errorf("%d log lines of three restarts:\n%s", c, a.logs)
		}
	})
}

// When bulk connections alone fail, the peer is not called unreachable.
func TestBulkConnectionFails(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		a, b := n.start2(t)
		n.bulkDown = errors.New("cut off")
		for i := range 100 {
			a.Send(2, chunk(i))
			a.Send(2, numbered(i))
			if got := b.drain(); len(got) != 1 || got[0] != numbered(i) {
				t.Fatalf("%d: got %d packets", i, len(got))
			}
			time.Sleep(100 * time.Millisecond)
		}
		s := a.peer(t, 2)
		if s.Breaks != 0 || len(a.unreachable) != 0 {
			t.Errorf("the peer was called unreachable: %+v", s)
		}
		if s.Bulk.LastErr == nil || s.Bulk.LastErr.Error() != "cut off" || s.Bulk.DroppedBroken+s.Bulk.DroppedFull < 80 {
			t.Errorf("stats %+v", s.Bulk)
		}
		if c := n.bulkDialled(); c < 5 || c > 20 { // in 10 s: after 20 to 640 ms, then every second
			t.Errorf("%d attempts", c)
		}
		if c := a.logs.count("cut off"); c != 1 {
			t.Errorf("%d log lines", c)
		}
		n.mu.Lock()
		n.bulkDown = nil
		n.mu.Unlock()
		time.Sleep(2 * time.Second)
		a.Send(2, chunk(7))
		if got := b.drain(); len(got) == 0 || !reflect.DeepEqual(got[len(got)-1], chunk(7)) {
			t.Errorf("got %d packets when bulk connections can be made again", len(got))
		}
	})
}

// Chunks that nobody takes cost a bounded amount of memory and then their connection, and the peer nothing.
func TestBulkConnectionStalls(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		a, b := n.start2(t)
		n.bulkRate = 1 // byte a second
		for i := range 100 {
			a.Send(2, chunk(i))
		}
		synctest.Wait()
		s := a.peer(t, 2).Bulk
		if s.OutboxBytes > bulkBytesMax || s.OutboxBytes < bulkBytesMax/2 || s.DroppedFull < 100-bulkBytesMax/chunkBytes {
			t.Errorf("stats %+v", s)
		}
		a.Send(2, numbered(1))
		if got := b.drain(); len(got) != 1 || got[0] != numbered(1) {
			t.Errorf("got %v", got)
		}
		time.Sleep(idleTimeoutDefault + time.Second)
		p := a.peer(t, 2)
		silent := p.Bulk.LastErr == errSilent || p.Bulk.LastErr == errHungUp // the one here or the one there came first
		if !silent || p.Bulk.OutboxBytes != 0 || p.Breaks != 0 || len(a.unreachable) != 0 {
			t.Errorf("stats %+v", p)
		}
	})
}

// stuck is a handler that does not take chunks until it is let go.
type stuck struct {
	handler
	release chan struct{}
}

func (s stuck) Receive(from raft.NodeID, batch []wire.Packet) {
	if classOf(batch[0].Message) == wire.Bulk {
		<-s.release
	}
	s.handler.Receive(from, batch)
}

// A handler that blocks on chunks backs up these alone.
func TestHandlerBlocksOnChunks(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		b := &member{id: 2, got: make(chan delivery, 16), logs: &logs{}}
		taken := make(chan struct{})
		release := sync.OnceFunc(func() { close(taken) })
		var err error
		b.Transport, err = start(Config{ID: 2, ClusterID: cluster, Listen: "n2", Peers: map[raft.NodeID]string{1: "n1"},
			Logger: newSilentLogger()}, stuck{handler{t.Context(), b}, taken}, network{n.listen, n.dial})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		t.Cleanup(release) // or Close would wait for Receive
		a := n.start1(t, 1, "n1", map[raft.NodeID]string{2: "n2"})
		a.waitConnected(t, 2)
		a.Send(2, chunk(0))
		for i := range 30 { // 3 s, less than IdleTimeout
			a.Send(2, numbered(i))
			if got := b.drain(); len(got) != 1 || got[0] != numbered(i) {
				t.Fatalf("heartbeat %d: got %d packets", i, len(got))
			}
			time.Sleep(100 * time.Millisecond)
		}
		release()
		if got := b.drain(); len(got) != 1 || !reflect.DeepEqual(got[0], chunk(0)) {
			t.Errorf("got %d packets after the release", len(got))
		}
		if s := a.peer(t, 2); s.Bulk.Breaks+s.Breaks > 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// Close ends a bulk connection in each of its states: about to be dialled, being written, pausing, idle.
func TestCloseEndsBulkConnections(t *testing.T) {
	for name, prepare := range map[string]func(*member, *memory){
		"never used": func(*member, *memory) {},
		"writing": func(a *member, n *memory) {
			n.bulkRate = 1
			a.Send(2, chunk(0))
		},
		"pausing": func(a *member, n *memory) {
			n.bulkDown = errors.New("cut off")
			a.Send(2, chunk(0))
		},
		"idle": func(a *member, n *memory) { a.Send(2, chunk(0)) },
		"gone": func(a *member, n *memory) {
			a.Send(2, chunk(0))
			time.Sleep(time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, n *memory) {
				a, b := n.start2(t)
				prepare(a, n)
				synctest.Wait()
				a.SetPeer(2, "") // a removed peer's lanes end as well
				b.drain()
				a.SetPeer(2, "n2")
				synctest.Wait()
				prepare(a, n)
				synctest.Wait()
				before := time.Now()
				a.Close()
				b.Close()
				if took := time.Since(before); took > 0 {
					t.Errorf("Close took %v", took)
				}
			})
		})
	}
}

// A member has at most one connection of each class from a peer, the newest; one of another class does not end it.
func TestOneConnectionOfEachClass(t *testing.T) {
	m := start1(t, 1, func(c *Config) { c.Peers = map[raft.NodeID]string{2: "127.0.0.1:1"} })
	h := wire.Hello{ClusterID: cluster, From: 2, To: 1}
	main := dialAs(t, m, h).mustAccept()
	h.Class = wire.Bulk
	var bulk fake
	for i := range 20 {
		older := bulk
		bulk = dialAs(t, m, h).mustAccept()
		if i > 0 {
			older.waitClosed()
		}
	}
	bulk.write(frameOf(chunk(1)))
	if d := m.next(t); d.from != 2 || !reflect.DeepEqual(d.packet, chunk(1)) {
		t.Errorf("got a %T from n%d", d.packet.Message, d.from)
	}
	main.write(frameOf(numbered(1)))
	if d := m.next(t); d.from != 2 || d.packet != numbered(1) {
		t.Errorf("got %+v", d)
	}
	if p := m.peer(t, 2); p.ReceivedPackets != 1 || p.Bulk.ReceivedPackets != 1 {
		t.Errorf("stats %+v", p)
	}
}

// What a peer sends on the wrong connection costs it that connection: a handler may wait for room for chunks and yet
// never wait for them with a heartbeat in its hands.
func TestPacketOfTheWrongClass(t *testing.T) {
	m := start1(t, 1, func(c *Config) { c.Peers = map[raft.NodeID]string{2: "127.0.0.1:1"} })
	for _, c := range []struct {
		class wire.Class
		right wire.Packet
		wrong wire.Packet
		cause string
	}{
		{wire.Main, numbered(1), chunk(1), "raft.InstallSnapshot on a connection of class main"},
		{wire.Bulk, chunk(1), numbered(1), "raft.ReadIndex on a connection of class bulk"},
	} {
		f := dialAs(t, m, wire.Hello{ClusterID: cluster, From: 2, To: 1, Class: c.class}).mustAccept()
		f.write(frameOf(c.right, c.wrong, c.right))
		f.waitClosed()
		if d := m.next(t); !reflect.DeepEqual(d.packet, c.right) {
			t.Errorf("%v: got a %T", c.class, d.packet.Message)
		}
		eventually(t, "a log line", func() bool { return strings.Contains(m.logs.String(), c.cause) })
	}
	if len(m.got) > 0 {
		t.Error("more was handed on")
	}
}
