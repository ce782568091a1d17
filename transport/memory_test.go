package transport

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// memory is a network for tests in a bubble of synctest: its time is the bubble's, so waiting is free and exact, and a
// goroutine that outlives the test fails it.
type memory struct {
	mu        sync.Mutex
	listeners map[string]*memoryListener
	dialled   []wire.Class // the hellos, in their order
	bulkRate  int          // bytes a second on connections of class bulk; 0 is no limit
	mainRate  int          // and of class main
	bulkDown  error        // what breaks a connection of class bulk at its hello
}

// inMemory runs test in a bubble.
func inMemory(t *testing.T, test func(t *testing.T, n *memory)) {
	synctest.Test(t, func(t *testing.T) { test(t, &memory{listeners: map[string]*memoryListener{}}) })
}

// start1 starts member id, which listens at address and knows the peers.
func (n *memory) start1(t *testing.T, id raft.NodeID, address string, peers map[raft.NodeID]string) *member {
	t.Helper()
	m, err := tryStart(t, id, func(c *Config) { c.Listen, c.Peers = address, peers }, network{n.listen, n.dial})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// start2 starts members 1 and 2, and waits until they are connected. The first has no failed attempt behind it.
func (n *memory) start2(t *testing.T) (one, two *member) {
	t.Helper()
	two = n.start1(t, 2, "n2", map[raft.NodeID]string{1: "n1"})
	one = n.start1(t, 1, "n1", map[raft.NodeID]string{2: "n2"})
	one.waitConnected(t, 2)
	two.waitConnected(t, 1)
	return one, two
}

// dialAs connects to m as a peer would, up to the hello.
func (n *memory) dialAs(t *testing.T, m *member, h wire.Hello) fake {
	t.Helper()
	conn, err := n.dial(t.Context(), m.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	f := fake{t, conn}
	f.write(wire.AppendHello(nil, h))
	return f
}

func (n *memory) bulkDialled() int { return n.count(wire.Bulk) }
func (n *memory) mainDialled() int { return n.count(wire.Main) }

func (n *memory) count(class wire.Class) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.dialled {
		if c == class {
			count++
		}
	}
	return count
}

func (n *memory) listen(address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &memoryListener{n: n, address: address, accepted: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[address] = l
	return l, nil
}

func (n *memory) dial(ctx context.Context, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	select {
	case l.accepted <- there:
		return &memoryConn{Conn: here, n: n, closed: make(chan struct{})}, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type memoryListener struct {
	n        *memory
	address  string
	accepted chan net.Conn
	closed   chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if l.n.listeners[l.address] == l {
		delete(l.n.listeners, l.address)
	}
	close(l.closed)
	return nil
}

func (l *memoryListener) Addr() net.Addr  { return l }
func (l *memoryListener) Network() string { return "memory" }
func (l *memoryListener) String() string  { return l.address }

// memoryConn is the dialler's end.
type memoryConn struct {
	net.Conn
	n       *memory
	greeted bool
	class   wire.Class
	once    sync.Once
	closed  chan struct{}
}

func (c *memoryConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *memoryConn) Write(b []byte) (written int, err error) {
	rate, err := c.limits(b)
	if err != nil {
		return 0, err
	}
	if rate == 0 {
		return c.Conn.Write(b)
	}
	for piece := range slices.Chunk(b, 4<<10) {
		select {
		case <-time.After(time.Duration(len(piece)) * time.Second / time.Duration(rate)):
		case <-c.closed:
			return written, net.ErrClosed
		}
		n, err := c.Conn.Write(piece)
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}

// limits returns how fast b may be written.
func (c *memoryConn) limits(b []byte) (rate int, err error) {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if !c.greeted {
		h, err := wire.ReadHello(bytes.NewReader(b))
		if err != nil {
			return 0, err
		}
		c.greeted, c.class = true, h.Class
		c.n.dialled = append(c.n.dialled, c.class)
		if c.class == wire.Bulk {
			return 0, c.n.bulkDown
		}
		return 0, nil
	}
	if c.class == wire.Bulk {
		return c.n.bulkRate, nil
	}
	return c.n.mainRate, nil
}
