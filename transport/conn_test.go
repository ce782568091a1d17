package transport

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/internal/loopback"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// A peer that stops is reported at once, and one that comes back on its port is connected to again, both ways.
func TestPeerRestarts(t *testing.T) {
	t.Parallel()
	address := loopback.Address(t)
	ms := startAll(t, 2, func(c *Config) {
		if c.ID == 2 {
			c.Listen = address
		}
	})
	a, b := ms[0], ms[1]
	for round := range 3 {
		b.Close()
		a.waitUnreachable(t, 2)
		eventually(t, "attempts are refused", func() bool {
			err := a.peer(t, 2).LastErr
			return err != nil && strings.Contains(err.Error(), "connection refused")
		})
		b = start1(t, 2, func(c *Config) {
			c.Listen = address
			c.Peers = map[raft.NodeID]string{1: a.Addr()}
		})
		a.waitConnected(t, 2)
		b.waitConnected(t, 1)
		a.Send(2, numbered(round))
		b.Send(1, numbered(round))
		for _, m := range []*member{a, b} {
			if d := m.next(t); d.packet != numbered(round) {
				t.Fatalf("round %d: n%d got %+v", round, m.id, d)
			}
		}
	}
}

// A peer that accepts and never reads costs a bounded amount of memory, and then its connection.
func TestPeerThatNeverReads(t *testing.T) {
	t.Parallel()
	l := newFakePeer(t)
	const bound = 4 << 20
	m := start1(t, 1, func(c *Config) {
		c.Peers = map[raft.NodeID]string{2: l.address()}
		c.OutboxBytesMax = bound
		c.IdleTimeout = time.Second
	})
	f, _ := l.take()
	f.accept()
	m.waitConnected(t, 2)
	large := entries(1, 256<<10)
	eventually(t, "the outbox is full", func() bool {
		m.Send(2, large)
		return m.peer(t, 2).DroppedFull > 100
	})
	if p := m.peer(t, 2); p.OutboxBytes > bound {
		t.Errorf("%d bytes are held, the bound is %d", p.OutboxBytes, bound)
	}
	m.waitUnreachable(t, 2)
	eventually(t, "the outbox is empty", func() bool { return m.peer(t, 2).OutboxBytes == 0 })
	if p := m.peer(t, 2); p.DroppedBroken == 0 || m.logs.count("no sign of life") == 0 {
		t.Errorf("peer %+v", p)
	}
}

// A peer that goes without a word is noticed, whether anything is written or not.
func TestSilentPeer(t *testing.T) {
	t.Parallel()
	l := newFakePeer(t)
	m := start1(t, 1, func(c *Config) {
		c.Peers = map[raft.NodeID]string{2: l.address()}
		c.IdleTimeout = 200 * time.Millisecond
	})
	f, _ := l.take()
	f.accept()
	m.waitUnreachable(t, 2)
	f.waitClosed() // it had been sent pings until then
	if err := m.peer(t, 2).LastErr; err == nil || !strings.Contains(err.Error(), "no sign of life") {
		t.Errorf("cause %v", err)
	}
	in := dialAs(t, m, wire.Hello{ClusterID: cluster, From: 2, To: 1}).mustAccept()
	in.waitClosed()
}

// Signs of life keep a connection that carries nothing.
func TestIdleConnectionStays(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		a, _ := n.start2(t)
		time.Sleep(time.Hour)
		if p := a.peer(t, 2); !p.Connected || p.Breaks != 0 || p.Writes < 3600 {
			t.Errorf("an idle connection broke: %+v", p)
		}
	})
}

// A peer that lost its power and came back knows nothing of our connection, and TCP may take minutes to say so. Its
// own hello says so at once.
func TestHelloOfARestartedPeer(t *testing.T) {
	l := newFakePeer(t)
	m := start1(t, 1, func(c *Config) {
		c.Peers = map[raft.NodeID]string{2: l.address()}
		c.IdleTimeout = time.Hour
	})
	f, _ := l.take()
	f.accept() // by the process of Boot 1
	m.waitConnected(t, 2)
	m.Send(2, chunk(0))
	bulk, h := l.take()
	if h.Class != wire.Bulk {
		t.Errorf("hello %+v", h)
	}
	bulk.accept()
	eventually(t, "the bulk connection is there", func() bool { return m.peer(t, 2).Bulk.Connected })
	dialAs(t, m, wire.Hello{ClusterID: cluster, From: 2, To: 1, Boot: 1}).mustAccept()
	if p := m.peer(t, 2); p.Breaks+p.Bulk.Breaks != 0 {
		t.Fatalf("the hello of the same process broke the connection: %+v", p)
	}
	dialAs(t, m, wire.Hello{ClusterID: cluster, From: 2, To: 1, Boot: 2}).mustAccept()
	f.waitClosed()
	bulk.waitClosed()
	m.waitUnreachable(t, 2)
	l.take() // it dials again
	if err := m.peer(t, 2).LastErr; err != errRestarted {
		t.Errorf("cause %v", err)
	}
}

// An inbound connection makes a member that was waiting dial at once.
func TestInboundConnectionHurriesTheDialler(t *testing.T) {
	t.Parallel()
	address := loopback.Address(t)
	hurry := func() time.Duration {
		m := start1(t, 1, func(c *Config) { c.Peers = map[raft.NodeID]string{2: address} })
		defer m.Close()
		eventually(t, "the pause is long", func() bool { return m.peer(t, 2).Breaks >= 7 }) // 20 to 640 ms; now a second
		inner, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer inner.Close()
		start := time.Now()
		dialAs(t, m, wire.Hello{ClusterID: cluster, From: 2, To: 1}).mustAccept()
		f, _ := fakePeer{t, inner}.take()
		f.accept()
		return time.Since(start)
	}
	for try := 1; ; try++ {
		took := hurry()
		if took < 600*time.Millisecond {
			return
		}
		if try == 5 { // not each time because the machine stood still
			t.Fatalf("the dialler took %v", took)
		}
	}
}

// blocked is a handler that does not return until it is let go.
type blocked struct {
	entered chan raft.NodeID
	release chan struct{}
	only    raft.NodeID
	got     chan delivery
}

func (b blocked) Receive(from raft.NodeID, batch []wire.Packet) {
	if from == b.only {
		b.entered <- from
		<-b.release
	}
	for _, p := range batch {
		b.got <- delivery{from, p}
	}
}

func (b blocked) Unreachable(raft.NodeID) {}

func (b blocked) Refused(raft.NodeID, wire.Verdict, string) {}

// A handler that blocks on one peer's packets backs up that peer alone. When that peer dials again its packets wait
// for those of the old connection: one goroutine at a time, in order.
func TestBlockedHandler(t *testing.T) {
	h := blocked{make(chan raft.NodeID, 10), make(chan struct{}), 2, make(chan delivery, 10)}
	tr, err := Listen(Config{ID: 1, ClusterID: cluster, Listen: "127.0.0.1:0", Logger: newSilentLogger(),
		Peers: map[raft.NodeID]string{2: "127.0.0.1:1", 3: "127.0.0.1:1"}}, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	release := sync.OnceFunc(func() { close(h.release) })
	t.Cleanup(release) // or Close would wait for Receive
	m := &member{Transport: tr, id: 1}
	first := dialAs(t, m, wire.Hello{ClusterID: cluster, From: 2, To: 1}).mustAccept()
	first.write(frameOf(numbered(1)))
	<-h.entered

	other := dialAs(t, m, wire.Hello{ClusterID: cluster, From: 3, To: 1}).mustAccept()
	other.write(frameOf(numbered(30)))
	if d := <-h.got; d.from != 3 {
		t.Fatalf("got %+v", d)
	}

	var later []fake
	before := runtime.NumGoroutine()
	for range 5 {
		f := dialAs(t, m, wire.Hello{ClusterID: cluster, From: 2, To: 1})
		eventually(t, "it is the newest", func() bool { return newest(m, 2, wire.Main) == f.LocalAddr().String() })
		later = append(later, f)
	}
	first.waitClosed()
	for _, f := range later[:4] {
		f.waitClosed() // replaced before it was answered
	}
	eventually(t, "the replaced have gone", func() bool { return runtime.NumGoroutine() <= before+1 })
	release()
	last := later[4].mustAccept()
	last.write(frameOf(numbered(2)))
	for want := 1; want <= 2; want++ {
		if d := <-h.got; d.from != 2 || d.packet != numbered(want) {
			t.Fatalf("got %+v, want %d", d, want)
		}
	}
}

// newest returns the address that m's newest connection from the peer comes from, or "" if there is none.
func newest(m *member, id raft.NodeID, class wire.Class) string {
	p := (*m.peers.Load())[id]
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.lanes[class].in
	if in == nil {
		return ""
	}
	return in.conn.RemoteAddr().String()
}

// Whatever a peer sends after its hello, the worst is the loss of its connection.
func TestHostilePeer(t *testing.T) {
	ms := startAll(t, 2, nil)
	m := ms[0]
	m.SetPeer(3, "127.0.0.1:1")
	good := frameOf(numbered(1))
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	random := make([]byte, 100_000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	for _, c := range []struct {
		name  string
		b     []byte
		cause string
	}{
		{"largest length", []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, "frame of 4294967295 bytes"},
		{"length over the limit", binary.LittleEndian.AppendUint64(nil, frameBytesMaxDefault+1), "frame of 67108865 bytes"},
		{"zeros", make([]byte, 64), "checksum"},
		{"flipped bit", flipped, "checksum"},
		{"random", random, "frame"},
		{"packet beyond its frame", reframe([]byte{200, 0, 0, 0, 1, 2, 3}), "packet of 200 bytes where 3 are left"},
		{"half a packet head", reframe([]byte{200, 0}), "2 bytes at the end"},
		{"unknown kind", reframe([]byte{1, 0, 0, 0, 99}), "kind 99"},
	} {
		f := dialAs(t, m, wire.Hello{ClusterID: cluster, From: 3, To: 1}).mustAccept()
		f.write(good)
		if d := m.next(t); d.from != 3 || d.packet != numbered(1) {
			t.Errorf("%s: got %+v", c.name, d)
		}
		f.Write(c.b)
		f.waitClosed()
		eventually(t, "a log line with "+c.cause, func() bool { return m.logs.count(c.cause) > 0 })
		ms[1].Send(1, numbered(2))
		if d := m.next(t); d.from != 2 || d.packet != numbered(2) {
			t.Errorf("%s: got %+v", c.name, d)
		}
	}
	// What came before the damage is handed on.
	f := dialAs(t, m, wire.Hello{ClusterID: cluster, From: 3, To: 1}).mustAccept()
	f.write(append(bytes.Clone(good), flipped...))
	f.waitClosed()
	m.next(t)
}

// reframe makes a frame with a right checksum of any payload.
func reframe(payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	b = append(append(b, 0, 0, 0, 0), payload...)
	seal(b)
	return b
}

// A packet that no frame can hold is dropped and counted; those around it arrive.
func TestPacketTooLarge(t *testing.T) {
	ms := startAll(t, 2, nil)
	small := start1(t, 3, func(c *Config) {
		c.FrameBytesMax = 50_000
		c.Peers = map[raft.NodeID]string{1: ms[0].Addr()}
	})
	ms[0].SetPeer(3, small.Addr())
	ms[0].waitConnected(t, 3)
	small.waitConnected(t, 1)
	for _, m := range []*member{ms[0], small} {
		to := 4 - m.id
		m.Send(to, numbered(1))
		m.Send(to, entries(1, 50_000)) // the smaller limit of the two holds
		m.Send(to, entries(1, 49_000))
		for range 100 { // together they exceed the smaller limit
			m.Send(to, entries(1, 1000))
		}
		m.Send(to, numbered(2))
		if p := m.peer(t, to); p.DroppedLarge != 1 {
			t.Errorf("n%d: %+v", m.id, p)
		}
		if n := m.logs.count("raise FrameBytesMax"); n != 1 {
			t.Errorf("n%d: %d log lines", m.id, n)
		}
	}
	for _, m := range []*member{ms[0], small} {
		var last wire.Packet
		for range 103 {
			last = m.next(t).packet
		}
		if last != numbered(2) {
			t.Errorf("n%d: last is %+v", m.id, last)
		}
	}
}

// An address can change, and a peer can go and come back.
func TestSetPeer(t *testing.T) {
	ms := startAll(t, 2, nil)
	a, b := ms[0], ms[1]
	moved := newFakePeer(t)
	a.SetPeer(2, moved.address())
	f, h := moved.take()
	if h.To != 2 {
		t.Errorf("hello %+v", h)
	}
	f.accept()
	a.waitConnected(t, 2)
	a.Send(2, numbered(1))
	p, err := newFrameReader(f, 1000).next()
	if err != nil || len(p) != 1 || p[0] != numbered(1) {
		t.Errorf("got %v, %v", p, err)
	}
	before := a.peer(t, 2).Breaks
	a.SetPeer(2, moved.address()) // nothing changes
	a.Send(2, numbered(2))
	if p, err := newFrameReader(f, 1000).next(); err != nil || len(p) != 1 || p[0] != numbered(2) {
		t.Errorf("got %v, %v", p, err)
	}
	if n := a.peer(t, 2).Breaks; n != before {
		t.Error("the same address broke the connection")
	}

	a.SetPeer(2, "")
	a.SetPeer(2, "")
	a.Send(2, numbered(3))
	if s := a.Stats(); len(s.Peers) != 0 || s.DroppedUnknown != 1 {
		t.Errorf("stats %+v", s)
	}
	f.waitClosed()
	f.Close()
	b.waitUnreachable(t, 1) // its connection was ended too
	eventually(t, "the removed peer comes back as a guest", func() bool {
		p, ok := a.guest(2)
		return ok && p.Address == b.Addr()
	})

	a.SetPeer(2, b.Addr())
	a.waitConnected(t, 2)
	b.waitConnected(t, 1)
	b.Send(1, numbered(4))
	if d := a.next(t); d.packet != numbered(4) {
		t.Errorf("got %+v", d)
	}
}

// Close ends everything, in the middle of everything, and calls after it do nothing.
func TestCloseLeavesNothing(t *testing.T) {
	l := newFakePeer(t) // never answers a hello
	ms := startAll(t, 3, func(c *Config) {
		c.Peers = map[raft.NodeID]string{8: l.address(), 9: "127.0.0.1:1"}
		c.HandshakeTimeout = time.Hour
	})
	dialRaw(t, ms[0])
	l.take()
	done := make(chan struct{})
	var senders sync.WaitGroup
	for _, m := range ms {
		senders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
					m.Send(raft.NodeID(i%10), entries(1, i%3000))
					if i%50 < 10 {
						m.Send(raft.NodeID(i%10), chunk(i))
					}
					runtime.Gosched()
				}
			}
		})
		senders.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-m.got:
				}
			}
		})
	}
	eventually(t, "traffic", func() bool {
		p := ms[0].peer(t, 2)
		return p.SentPackets > 100 && p.Bulk.SentPackets > 10
	})
	var closers sync.WaitGroup
	for _, m := range ms {
		for range 2 {
			closers.Go(func() { m.Close() })
		}
	}
	closers.Wait()
	for _, m := range ms {
		m.SetPeer(5, "127.0.0.1:1")
		m.Stats()
	}
	close(done)
	senders.Wait()
	eventually(t, "no goroutine is left", func() bool {
		b := make([]byte, 1<<20)
		return !strings.Contains(string(b[:runtime.Stack(b, true)]), "transport.(*")
	})
}

// A frame is read right however the stream is cut.
func TestFramesInPieces(t *testing.T) {
	var stream []byte
	var want int
	for i := range 300 {
		stream = append(stream, frameOf(numbered(i), entries(i%7, i*3), numbered(i))...)
		stream = append(stream, frameOf()...)
		want += 3
	}
	stream = append(stream, frameOf(entries(1, readBufferBytes+5))...)
	stream = append(stream, frameOf(numbered(1))...)
	want += 2
	rng := rand.New(rand.NewPCG(3, 4))
	for _, pieceMax := range []int{1, 7, 1000, readBufferBytes, 1 << 30} {
		r := newFrameReader(&pieces{stream, rng, pieceMax}, 1<<20)
		got := 0
		for {
			p, err := r.next()
			got += len(p)
			if err != nil {
				break
			}
		}
		if got != want {
			t.Errorf("pieces of up to %d bytes: %d packets, want %d", pieceMax, got, want)
		}
	}
}

type pieces struct {
	b   []byte
	rng *rand.Rand
	max int
}

func (p *pieces) Read(b []byte) (int, error) {
	n := min(1+p.rng.IntN(p.max), len(p.b), len(b))
	copy(b, p.b[:n])
	p.b = p.b[n:]
	if n == 0 {
		return 0, net.ErrClosed
	}
	return n, nil
}

func FuzzFrames(f *testing.F) {
	f.Add(frameOf(numbered(1), entries(2, 10)), true)
	f.Add(append(frameOf(), frameOf(entries(1, 1000))...), true)
	f.Add([]byte{3, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7}, false)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		const bytesMax = 1 << 16
		if fix && len(b) >= frameHeadBytes { // a fuzzer does not find checksums
			b = bytes.Clone(b)
			binary.LittleEndian.PutUint32(b, uint32(len(b)-frameHeadBytes))
			seal(b)
		}
		r := newFrameReader(bytes.NewReader(b), bytesMax)
		var packets []wire.Packet
		for {
			p, err := r.next()
			packets = append(packets, p...)
			if err != nil {
				break
			}
			if len(p) == 0 {
				t.Fatal("neither packets nor an error")
			}
		}
		if len(packets) == 0 {
			return
		}
		again, err := newFrameReader(bytes.NewReader(frameOf(packets...)), 1<<30).next()
		if err != nil || len(again) == 0 {
			t.Fatalf("what was read cannot be sent on: %v", err)
		}
	})
}
