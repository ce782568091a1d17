package transport

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

const (
	cluster = 0xba15a
	// patience is how long a test waits for what must happen; nothing waits that long when all is well.
	patience = 30 * time.Second
)

// member is a transport under test, with a handler that passes on what it is told.
type member struct {
	*Transport
	id          raft.NodeID
	got         chan delivery
	unreachable chan raft.NodeID
	refused     chan refused
	logs        *logs
}

type delivery struct {
	from   raft.NodeID
	packet wire.Packet
}

// refused is what Handler.Refused was told.
type refused struct {
	peer    raft.NodeID
	verdict wire.Verdict
	reason  string
}

type handler struct {
	ctx context.Context
	m   *member
}

func (h handler) Receive(from raft.NodeID, batch []wire.Packet) {
	for _, p := range batch {
		select {
		case h.m.got <- delivery{from, p}:
		case <-h.ctx.Done():
			return
		}
	}
}

func (h handler) Unreachable(peer raft.NodeID) {
	select {
	case h.m.unreachable <- peer:
	default: // nobody counts beyond the channel's capacity
	}
}

func (h handler) Refused(peer raft.NodeID, verdict wire.Verdict, reason string) {
	select {
	case h.m.refused <- refused{peer, verdict, reason}:
	default:
	}
}

// start1 starts a member without peers, unless change adds some.
func start1(t testing.TB, id raft.NodeID, change func(*Config)) *member {
	t.Helper()
	m, err := tryStart(t, id, change, tcp())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func tryStart(t testing.TB, id raft.NodeID, change func(*Config), n network) (*member, error) {
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{id: id, got: make(chan delivery, 16), unreachable: make(chan raft.NodeID, 1000),
		refused: make(chan refused, 1000), logs: &logs{}}
	c := Config{ID: id, ClusterID: cluster, Listen: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(m.logs, nil))}
	if change != nil {
		change(&c)
	}
	var err error
	if m.Transport, err = start(c, handler{ctx, m}, n); err != nil {
		cancel()
		return nil, err
	}
	t.Cleanup(func() {
		cancel()
		m.Close()
		if t.Failed() {
			t.Logf("log of n%d:\n%s", id, m.logs)
		}
	})
	return m, nil
}

// startAll starts members 1 to n that know each other.
func startAll(t testing.TB, n int, change func(*Config)) []*member {
	t.Helper()
	var ms []*member
	for i := range n {
		ms = append(ms, start1(t, raft.NodeID(i+1), change))
	}
	for _, m := range ms {
		for _, p := range ms {
			m.SetPeer(p.id, p.Addr())
		}
	}
	for _, m := range ms {
		for _, p := range ms {
			if m != p {
				m.waitConnected(t, p.id)
			}
		}
	}
	return ms
}

// next returns what the member is handed next.
func (m *member) next(t testing.TB) delivery {
	t.Helper()
	select {
	case d := <-m.got:
		return d
	case <-time.After(patience):
		t.Fatalf("n%d received nothing; its log:\n%s", m.id, m.logs)
		panic("unreachable")
	}
}

func (m *member) waitUnreachable(t testing.TB, peer raft.NodeID) {
	t.Helper()
	for {
		select {
		case id := <-m.unreachable:
			if id == peer {
				return
			}
		case <-time.After(patience):
			t.Fatalf("n%d was not told that n%d is unreachable; its log:\n%s", m.id, peer, m.logs)
		}
	}
}

func (m *member) peer(t testing.TB, id raft.NodeID) PeerStats {
	t.Helper()
	for _, p := range m.Stats().Peers {
		if p.ID == id {
			return p
		}
	}
	t.Fatalf("n%d has no peer n%d", m.id, id)
	panic("unreachable")
}

func (m *member) waitConnected(t testing.TB, id raft.NodeID) {
	t.Helper()
	eventually(t, fmt.Sprintf("n%d is connected to n%d", m.id, id), func() bool { return m.peer(t, id).Connected })
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(patience); !cond(); <-poll.C {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// logs collects log lines.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logs) count(s string) int { return strings.Count(l.String(), s) }

// numbered is a packet that can be told from others.
func numbered(n int) wire.Packet {
	return wire.Packet{Group: 5, Message: raft.ReadIndex{Term: 1, Seq: uint64(n)}}
}

// entries is an AppendEntries of n entries of dataBytes each.
func entries(n, dataBytes int) wire.Packet {
	m := raft.AppendEntries{Term: 2, LeaderID: 1, PrevLogIndex: 10, PrevLogTerm: 1}
	for i := range n {
		var data []byte
		if dataBytes > 0 {
			data = bytes.Repeat([]byte{byte(i)}, dataBytes)
		}
		m.Entries = append(m.Entries, raft.Entry{Term: 2, Index: raft.Index(11 + i), Data: data})
	}
	return wire.Packet{Group: 5, Message: m}
}

// fake is the other end of a connection, made by hand.
type fake struct {
	t *testing.T
	net.Conn
}

// dialAs connects to m as a peer would, up to the hello.
func dialAs(t *testing.T, m *member, h wire.Hello) fake {
	t.Helper()
	f := dialRaw(t, m)
	f.write(wire.AppendHello(nil, h))
	return f
}

func dialRaw(t *testing.T, m *member) fake {
	t.Helper()
	conn, err := net.Dial("tcp", m.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return fake{t, conn}
}

func (f fake) write(b []byte) {
	f.t.Helper()
	if _, err := f.Write(b); err != nil {
		f.t.Fatal(err)
	}
}

func (f fake) answer() wire.Answer {
	f.t.Helper()
	a, err := wire.ReadAnswer(f)
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

func (f fake) mustAccept() fake {
	f.t.Helper()
	if a := f.answer(); a.Verdict != wire.Accepted {
		f.t.Fatalf("answer %+v", a)
	}
	return f
}

// waitClosed reads until the other side ends the connection.
func (f fake) waitClosed() {
	f.t.Helper()
	var b [512]byte
	for {
		if _, err := f.Read(b[:]); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				f.t.Fatal("the connection was not closed")
			}
			return
		}
	}
}

// fakePeer listens as a peer would. The test accepts by hand.
type fakePeer struct {
	t *testing.T
	net.Listener
}

func newFakePeer(t *testing.T) fakePeer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return fakePeer{t, l}
}

func (l fakePeer) address() string { return l.Addr().String() }

// take accepts a connection and reads the hello.
func (l fakePeer) take() (fake, wire.Hello) {
	l.t.Helper()
	l.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := l.Accept()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	h, err := wire.ReadHello(conn)
	if err != nil {
		l.t.Fatal(err)
	}
	return fake{l.t, conn}, h
}

func (f fake) accept() {
	f.t.Helper()
	f.write(wire.AppendAnswer(nil, wire.Answer{Verdict: wire.Accepted, Boot: 1, FrameBytesMax: 1 << 20}))
}

// frameOf returns the frame of what put took.
func frameOf(packets ...wire.Packet) []byte {
	var o outbox
	o.init(1<<30, 1<<30)
	for _, p := range packets {
		o.put(p)
	}
	o.ping = true
	b, _ := o.take(nil)
	seal(b)
	return b
}

func newSilentLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }
