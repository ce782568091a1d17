package transport

import (
	"context"
	"io"
	"net"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// A peer that is removed is a guest again when it says hello again, and not before. A guest that is removed ends.
func TestRemovedPeerIsAGuest(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		m := n.start1(t, 1, "n1:1", map[raft.NodeID]string{2: "nowhere:1"})
		f := n.greet(t, m, 2, "n2:1")
		m.SetPeer(2, "")
		time.Sleep(2 * flushTimeout)
		m.expectNobody(t)
		f.waitClosed()
		n.greet(t, m, 2, "n2:1")
		if p, ok := m.guest(2); !ok || p.Address != "n2:1" {
			t.Errorf("peer %+v", p)
		}
		m.SetPeer(2, "")
		m.expectNobody(t)

		// While it leaves, it may say hello again, or be added again.
		n.mainRate = 1
		for range 3 {
			n.start1(t, 2, "n2:1", nil)
			m.SetPeer(2, "n2:1")
			m.waitConnected(t, 2)
			m.Send(2, numbered(1))
			m.SetPeer(2, "")
			synctest.Wait()
			m.mu.Lock()
			if len(m.leaving) != 1 {
				t.Errorf("%d peers leave", len(m.leaving))
			}
			m.mu.Unlock()
			n.greet(t, m, 2, "n2:1")
			synctest.Wait()
			m.mu.Lock()
			if len(m.leaving) != 0 {
				t.Errorf("%d peers leave", len(m.leaving))
			}
			m.mu.Unlock()
			if _, ok := m.guest(2); !ok {
				t.Error("no guest")
			}
			time.Sleep(2 * flushTimeout) // the end of the one that left must not end it
			if _, ok := m.guest(2); !ok {
				t.Error("no guest")
			}
		}
	})
}

// What waits for a peer when it is removed is written, and then its connections end. Nothing is said of it.
func TestRemovedPeerHearsTheLast(t *testing.T) {
	t.Parallel()
	l, n := newFakePeer(t), tcp()
	var ours *halfClosed
	n.dial = func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := tcp().dial(ctx, address)
		if err == nil {
			ours = &halfClosed{TCPConn: conn.(*net.TCPConn)}
			conn = ours
		}
		return conn, err
	}
	m, err := tryStart(t, 1, func(c *Config) { c.Peers = map[raft.NodeID]string{2: l.address()} }, n)
	if err != nil {
		t.Fatal(err)
	}
	f, _ := l.take()
	f.accept()
	m.waitConnected(t, 2)
	in := dialAs(t, m, wire.Hello{ClusterID: cluster, From: 2, To: 1, Boot: 1}).mustAccept()
	const large = 16
	for range large {
		m.Send(2, entries(1, 512<<10)) // together more than sockets hold, so some of it waits
	}
	m.Send(2, numbered(1))
	bulk := m.peer(t, 2).Bulk
	m.SetPeer(2, "")
	m.Send(2, numbered(2))
	in.write(frameOf(numbered(3)))
	if d := m.next(t); d.packet != numbered(3) {
		t.Errorf("got %+v while the peer leaves", d)
	}
	r := newFrameReader(f, 1<<20)
	var got []wire.Packet
	for {
		p, err := r.next()
		if got = append(got, p...); err != nil {
			if err != io.EOF {
				t.Errorf("the connection ended with %v", err)
			}
			break
		}
	}
	if len(got) != large+1 || got[large] != numbered(1) {
		t.Errorf("%d packets, want %d", len(got), large+1)
	}
	if !ours.written.Load() || ours.closed.Load() {
		t.Error("the connection was closed both ways at once; TCP may throw away what the peer has not read")
	}
	f.Close()
	in.waitClosed()
	if s := m.Stats(); s.DroppedUnknown != 1 || len(s.Peers) != 0 || bulk.Breaks != 0 || len(m.unreachable) != 0 || m.logs.count("lost the connection") != 0 {
		t.Errorf("stats %+v; log:\n%s", s, m.logs)
	}
}

// halfClosed knows which ways of a connection were closed.
type halfClosed struct {
	*net.TCPConn
	written, closed atomic.Bool
}

func (c *halfClosed) CloseWrite() error {
	c.written.Store(true)
	return c.TCPConn.CloseWrite()
}

func (c *halfClosed) Close() error {
	c.closed.Store(true)
	return c.TCPConn.Close()
}

// What waits for a removed peer is written although it is refused by now, perhaps because it is removed.
func TestRemovedPeerIsRefused(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		var refuse atomic.Bool
		m, err := tryStart(t, 1, func(c *Config) {
			c.Listen, c.Peers = "n1:1", map[raft.NodeID]string{2: "n2:1"}
			c.Admit = func(raft.NodeID, uint64) error {
				if refuse.Load() {
					return ErrUnknownSender
				}
				return nil
			}
		}, network{n.listen, n.dial})
		if err != nil {
			t.Fatal(err)
		}
		other := n.start1(t, 2, "n2:1", map[raft.NodeID]string{1: "n1:1"})
		m.waitConnected(t, 2)
		other.waitConnected(t, 1)
		n.mainRate = 10_000
		m.Send(2, entries(1, 5000))
		m.SetPeer(2, "")
		refuse.Store(true)
		m.Recheck()
		synctest.Wait()
		if newest(other, 1, wire.Main) == "" || other.peer(t, 1).Connected {
			t.Error("it is not as a refused peer that leaves should be")
		}
		if d := other.next(t); !reflect.DeepEqual(d.packet, entries(1, 5000)) {
			t.Errorf("got a %T", d.packet.Message)
		}
		time.Sleep(flushTimeout)
		if newest(other, 1, wire.Main) != "" || m.Stats().Refused == 0 {
			t.Error("the refused peer is still heard")
		}
		m.expectNobody(t)
	})
}

// A removed peer that takes nothing, or is not there, ends all the same, in about a second; one with nothing to be
// written at once.
func TestRemovedPeerDoesNotStay(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(*testing.T, *memory, *member)
		ends    time.Duration
	}{
		{"nothing to write", func(t *testing.T, n *memory, m *member) { n.start1(t, 2, "n2:1", nil) }, 0},
		{"takes nothing", func(t *testing.T, n *memory, m *member) {
			n.start1(t, 2, "n2:1", nil)
			n.mainRate = 1
			m.waitConnected(t, 2)
			m.Send(2, numbered(1))
		}, flushTimeout},
		{"takes it slowly", func(t *testing.T, n *memory, m *member) {
			n.start1(t, 2, "n2:1", nil)
			m.waitConnected(t, 2)
			n.mainRate = 10_000
			m.Send(2, entries(1, 5000))
		}, flushTimeout * 503 / 1000},
		{"does not answer", func(t *testing.T, n *memory, m *member) {
			n.listen("n2:1")
			time.Sleep(backoffMax)
			m.Send(2, numbered(1))
		}, flushTimeout},
		{"is not there", func(t *testing.T, n *memory, m *member) {
			time.Sleep(time.Minute)
			m.Send(2, numbered(1))
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, n *memory) {
				m := n.start1(t, 1, "n1:1", map[raft.NodeID]string{2: "n2:1"})
				c.prepare(t, n, m)
				synctest.Wait()
				if c.name == "nothing to write" {
					m.waitConnected(t, 2)
				}
				m.SetPeer(2, "")
				told := len(m.unreachable)
				synctest.Wait()
				start := time.Now()
				for leaves := true; leaves; {
					synctest.Wait()
					m.mu.Lock()
					leaves = len(m.leaving) > 0
					m.mu.Unlock()
					if leaves {
						time.Sleep(time.Millisecond)
					}
				}
				if took := time.Since(start); took < c.ends-50*time.Millisecond || took > c.ends+50*time.Millisecond {
					t.Errorf("it took %v, want %v", took, c.ends)
				}
				m.expectNobody(t)
				if len(m.unreachable) != told {
					t.Error("the handler was told of a removed peer")
				}
			})
		})
	}
}
