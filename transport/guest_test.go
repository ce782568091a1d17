package transport

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// greet says hello to m as member id, which is reached at address, and shows signs of life until it is closed.
func (n *memory) greet(t *testing.T, m *member, id raft.NodeID, address string) fake {
	t.Helper()
	f := n.dialAs(t, m, wire.Hello{ClusterID: cluster, From: id, To: m.id, Address: address}).mustAccept()
	go io.Copy(io.Discard, f)
	go func() {
		for {
			select {
			case <-time.After(pingInterval):
			case <-t.Context().Done():
				return
			}
			if _, err := f.Write(frameOf()); err != nil {
				return
			}
		}
	}()
	return f
}

// guest returns what m says about the guest id, and whether there is one.
func (m *member) guest(id raft.NodeID) (p PeerStats, ok bool) {
	for _, p := range m.Stats().Peers {
		if p.ID == id {
			return p, p.Guest
		}
	}
	return p, false
}

// expectNobody checks that m has no peer, and has kept nothing of those that it had.
func (m *member) expectNobody(t *testing.T) {
	t.Helper()
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.Stats(); len(s.Peers)+len(m.leaving)+len(m.receiving) != 0 {
		t.Errorf("n%d has %d peers, %d that leave, and turns of %d", m.id, len(s.Peers), len(m.leaving), len(m.receiving))
	}
}

// startJoiner starts member 1, which knows nobody, and member 2, which knows it.
func (n *memory) startJoiner(t *testing.T) (joiner, other *member) {
	t.Helper()
	joiner = n.start1(t, 1, "n1:1", nil)
	other = n.start1(t, 2, "n2:1", map[raft.NodeID]string{1: "n1:1"})
	other.waitConnected(t, 1)
	return joiner, other
}

// A member that knows nobody hears who says hello, and can answer; it dials only to do so.
func TestGuestIsAnswered(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		joiner, other := n.startJoiner(t)
		other.Send(1, numbered(1))
		if d := joiner.next(t); d.from != 2 || d.packet != numbered(1) {
			t.Errorf("got %+v", d)
		}
		time.Sleep(time.Minute)
		if p, ok := joiner.guest(2); !ok || p.Address != "n2:1" || p.Connected || n.mainDialled() != 1 {
			t.Errorf("before it answers, after %d connections: %+v", n.mainDialled(), p)
		}
		for i := range 3 {
			joiner.Send(2, numbered(i))
			joiner.Send(2, chunk(i))
			if got := other.drain(); len(got) != 2 {
				t.Fatalf("%d: answers %v", i, got)
			}
			time.Sleep(idleTimeoutDefault / 2)
		}
		if n.mainDialled() != 2 || n.bulkDialled() != 1 {
			t.Errorf("%d main and %d bulk connections", n.mainDialled(), n.bulkDialled())
		}
		time.Sleep(2 * idleTimeoutDefault)
		if p, ok := joiner.guest(2); !ok || p.Connected || p.Bulk.Connected || p.Breaks+p.Bulk.Breaks != 0 || len(joiner.unreachable) != 0 {
			t.Errorf("after nothing was answered for long: %+v", p)
		}
		joiner.Send(2, numbered(9))
		if got := other.drain(); len(got) != 1 || got[0] != numbered(9) {
			t.Errorf("answers %v", got)
		}
	})
}

// A guest stays while a connection from it lives, and for IdleTimeout longer.
func TestGuestEnds(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		m := n.start1(t, 1, "n1:1", nil)
		f := n.greet(t, m, 2, "nowhere:1")
		time.Sleep(time.Hour + idleTimeoutDefault*3/5)
		f.Close()
		time.Sleep(idleTimeoutDefault - time.Millisecond)
		if _, ok := m.guest(2); !ok {
			t.Fatal("the guest ended at once")
		}
		f = n.greet(t, m, 2, "nowhere:1")
		time.Sleep(idleTimeoutDefault * 3 / 2)
		if _, ok := m.guest(2); !ok {
			t.Fatal("the guest ended although it came back")
		}
		f.Close()
		m.Send(2, numbered(1)) // it is tried in vain meanwhile
		time.Sleep(2 * idleTimeoutDefault)
		m.expectNobody(t)
		before := m.Stats().DroppedUnknown
		if m.Send(2, numbered(1)); m.Stats().DroppedUnknown != before+1 {
			t.Error("a packet to a guest that ended was not dropped")
		}
	})
}

// Two members that are guests of each other, as when each removed the other, do not keep each other for ever.
func TestGuestsOfEachOtherEnd(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		a := n.start1(t, 1, "n1:1", nil)
		b := n.start1(t, 2, "n2:1", nil)
		a.SetPeer(2, "n2:1")
		a.waitConnected(t, 2)
		b.Send(1, numbered(1))
		synctest.Wait()
		a.SetPeer(2, "") // b dials again, to say what it has to
		for range 30 {
			time.Sleep(100 * time.Millisecond)
			a.Send(2, numbered(2))
			b.Send(1, numbered(2))
			a.drain()
			b.drain()
		}
		for _, m := range []*member{a, b} {
			if p, ok := m.guest(3 - m.id); !ok || !p.Connected {
				t.Fatalf("n%d: %+v", m.id, p)
			}
		}
		time.Sleep(4 * idleTimeoutDefault)
		a.expectNobody(t)
		b.expectNobody(t)
	})
}

// There are at most so many guests, and who was silent longest gives way.
func TestGuestsAreBounded(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		m := n.start1(t, 1, "n1:1", map[raft.NodeID]string{2: "n2:1"})
		n.greet(t, m, 2, "n2:1")
		talks := n.greet(t, m, 100, "x:1")
		for i := 1; i < guestsMax; i++ {
			time.Sleep(time.Millisecond)
			n.greet(t, m, raft.NodeID(100+i), "x:1")
		}
		talks.write(frameOf(numbered(1)))
		m.next(t)
		for i := range 10 {
			time.Sleep(time.Millisecond)
			n.greet(t, m, raft.NodeID(100+guestsMax+i), "x:1")
		}
		guests := 0
		for _, p := range m.Stats().Peers {
			if p.Guest {
				guests++
			}
			if p.ID > 100 && p.ID <= 110 {
				t.Errorf("n%d did not give way", p.ID)
			}
		}
		if _, ok := m.guest(100); !ok {
			t.Error("the guest that talks gave way")
		}
		if p := m.peer(t, 2); guests != guestsMax || p.Guest {
			t.Errorf("%d guests; n2 is %+v", guests, p)
		}
		if c := m.logs.count("too many members"); c != 1 {
			t.Errorf("%d log lines", c)
		}
		synctest.Wait() // until the connections of those that gave way have gone
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.receiving) != guestsMax+1 {
			t.Errorf("turns of %d members are kept", len(m.receiving))
		}
	})
}

// A guest that gives no address is heard and costs nothing; it is answered from when it gives one until it gives none.
func TestGuestWithoutAddress(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		m := n.start1(t, 1, "n1:1", nil)
		other := n.start1(t, 2, "n2:1", map[raft.NodeID]string{1: "nowhere:1"})
		f := n.greet(t, m, 2, "")
		f.write(frameOf(numbered(1)))
		if d := m.next(t); d.from != 2 || d.packet != numbered(1) {
			t.Errorf("got %+v", d)
		}
		send := func(dropped uint64) {
			t.Helper()
			before := m.Stats().DroppedUnknown
			m.Send(2, numbered(2))
			m.Send(2, chunk(2))
			synctest.Wait()
			if s := m.Stats(); s.DroppedUnknown != before+dropped || s.Peers[0].OutboxBytes+s.Peers[0].Bulk.OutboxBytes != 0 {
				t.Errorf("%d dropped, want %d more than %d; peer %+v", s.DroppedUnknown, dropped, before, s.Peers[0])
			}
		}
		send(2)
		time.Sleep(time.Minute)
		if s := m.Stats(); s.Peers[0].Breaks != 0 || len(m.unreachable) != 0 {
			t.Errorf("no address was dialled: %+v", s.Peers[0])
		}
		n.greet(t, m, 2, "n2:1")
		send(0)
		if got := other.drain(); len(got) != 2 {
			t.Errorf("answers %v", got)
		}
		n.greet(t, m, 2, "")
		synctest.Wait()
		if p, ok := m.guest(2); !ok || p.Connected || p.Bulk.Connected {
			t.Errorf("peer %+v", p)
		}
		send(2)
	})
}

// A guest's newest hello says where it is.
func TestGuestMoves(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		m := n.start1(t, 1, "n1:1", nil)
		n.greet(t, m, 2, "old:1")
		m.Send(2, numbered(1))
		synctest.Wait() // it is tried in vain
		other := n.start1(t, 2, "new:1", map[raft.NodeID]string{1: "n1:1"})
		other.waitConnected(t, 1)
		m.Send(2, numbered(2))
		if got := other.drain(); len(got) != 1 || got[0] != numbered(2) {
			t.Errorf("answers %v", got)
		}
		// The address of one in the configuration is the configuration's to say.
		m.SetPeer(2, "new:1")
		other.Close() // or it would dial again, and replace this connection
		n.greet(t, m, 2, "old:1")
		if p := m.peer(t, 2); p.Address != "new:1" {
			t.Errorf("a hello moved a peer: %+v", p)
		}
	})
}

// SetPeer makes a peer of a guest without breaking anything: it is connected to for good, and has a peer's room.
func TestGuestBecomesPeer(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		joiner, other := n.startJoiner(t)
		joiner.Send(2, numbered(1))
		other.drain()
		f := n.greet(t, joiner, 3, "") // one that had no address
		out := &(*joiner.peers.Load())[2].lanes[wire.Main].out
		if out.bytesMax != guestBytesMax {
			t.Errorf("a guest has room for %d bytes", out.bytesMax)
		}
		joiner.SetPeer(2, "n2:1")
		joiner.SetPeer(3, "n2:1")
		if out.bytesMax != outboxBytesMaxDefault {
			t.Errorf("a peer has room for %d bytes", out.bytesMax)
		}
		time.Sleep(time.Hour)
		if p := joiner.peer(t, 2); p.Guest || !p.Connected || p.Breaks != 0 {
			t.Errorf("the guest became %+v", p)
		}
		if p := other.peer(t, 1); !p.Connected || p.Breaks != 0 {
			t.Errorf("the other side's connection: %+v", p)
		}
		if p := joiner.peer(t, 3); p.Guest || p.LastErr == nil || !strings.Contains(p.LastErr.Error(), "wrong member") {
			t.Errorf("the guest without an address became %+v", p)
		}
		f.Close()
		other.Close()
		time.Sleep(time.Hour)
		if p := joiner.peer(t, 2); p.Guest { // it panics if it is gone
			t.Errorf("peer %+v", p)
		}
	})
}

// The packets of a guest that ended while the handler has some of them come before those of its next life.
func TestGuestsTakeTurns(t *testing.T) {
	h := blocked{make(chan raft.NodeID, 10), make(chan struct{}), 2, make(chan delivery, 10)}
	tr, err := Listen(Config{ID: 1, ClusterID: cluster, Listen: "127.0.0.1:0", Logger: newSilentLogger()}, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	release := sync.OnceFunc(func() { close(h.release) })
	t.Cleanup(release) // or Close would wait for Receive
	m := &member{Transport: tr, id: 1}
	greet := wire.Hello{ClusterID: cluster, From: 2, To: 1}
	first := dialAs(t, m, greet).mustAccept()
	first.write(frameOf(numbered(1)))
	<-h.entered
	m.SetPeer(2, "")
	first.waitClosed()
	second := dialAs(t, m, greet)
	eventually(t, "the second is there", func() bool { return len(m.Stats().Peers) == 1 && newest(m, 2, wire.Main) != "" })
	second.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := wire.ReadAnswer(second); !isTimeout(err) {
		t.Errorf("the second was answered while the first is being handed on: %v", err)
	}
	second.SetReadDeadline(time.Now().Add(patience))
	release()
	second.mustAccept().write(frameOf(numbered(2)))
	for want := 1; want <= 2; want++ {
		if d := <-h.got; d.packet != numbered(want) {
			t.Fatalf("got %+v, want %d", d, want)
		}
	}
	m.SetPeer(2, "")
	eventually(t, "nothing is kept", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.receiving) == 0
	})
}

// One who is let in while the transport closes does not become a guest, whom nobody would end.
func TestCloseAsAGuestComes(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		deciding := make(chan struct{})
		m, err := tryStart(t, 1, func(c *Config) {
			c.Listen = "n1:1"
			c.Admit = func(raft.NodeID, uint64) error {
				<-deciding
				return nil
			}
		}, network{n.listen, n.dial})
		if err != nil {
			t.Fatal(err)
		}
		f := n.dialAs(t, m, wire.Hello{ClusterID: cluster, From: 2, To: 1, Address: "n2:1"})
		synctest.Wait()
		closed := make(chan struct{})
		go func() {
			m.Close()
			close(closed)
		}()
		synctest.Wait()
		close(deciding)
		f.waitClosed()
		<-closed
		m.expectNobody(t)
	})
}

// Close ends guests in every state: heard, answered, being dialled, without an address, leaving.
func TestCloseEndsGuests(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		m := n.start1(t, 1, "n1:1", map[raft.NodeID]string{8: "n8:1", 9: "n9:1"})
		var others []*member
		for id := raft.NodeID(2); id < 5; id++ {
			others = append(others, n.start1(t, id, fmt.Sprintf("n%d:1", id), map[raft.NodeID]string{1: "n1:1"}))
		}
		others = append(others, n.start1(t, 8, "n8:1", nil))
		n.listen("n9:1") // never answers
		n.greet(t, m, 5, "")
		n.greet(t, m, 6, "nowhere:1")
		n.greet(t, m, 7, "n9:1")
		gone := n.greet(t, m, 10, "nowhere:1")
		for i := range 4 {
			m.Send(raft.NodeID(3+i), numbered(1))
			m.Send(raft.NodeID(3+i), chunk(1))
		}
		m.Send(7, numbered(1))
		m.waitConnected(t, 8)
		synctest.Wait()
		n.mainRate = 1
		for _, id := range []raft.NodeID{8, 9} {
			m.Send(id, numbered(1))
			m.SetPeer(id, "")
		}
		gone.Close()
		synctest.Wait()
		m.mu.Lock()
		peers, leaving := len(m.Stats().Peers), len(m.leaving)
		m.mu.Unlock()
		if peers != 7 || leaving != 2 {
			t.Fatalf("%d guests, %d leave", peers, leaving)
		}
		before := time.Now()
		m.Close()
		if took := time.Since(before); took > 0 {
			t.Errorf("Close took %v", took)
		}
		synctest.Wait()
		for _, o := range others {
			o.Close()
		}
		m.SetPeer(3, "n3:1")
		m.Recheck()
	})
}
