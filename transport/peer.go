package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// peer is another member: the packets and the connection to it, and the connection from it.
type peer struct {
	t      *Transport
	id     raft.NodeID
	out    outbox
	ctx    context.Context // ends when the peer is removed or the transport closes
	cancel context.CancelFunc
	wake   chan struct{} // 1: cuts the pause before the next attempt short

	// receiving is held by the one connection whose packets are handed on. A newer one waits for it, or packets of the
	// older could be handed on after its own.
	receiving chan struct{} // 1; the transport's, so that it outlives a peer that is removed and added again

	receivedPackets, receivedBytes atomic.Uint64

	mu          sync.Mutex
	address     string
	conn        net.Conn // to the peer, from dial to end
	connected   bool     // conn's hello was accepted
	boot        uint64   // of the process that accepted conn
	incarnation uint64   // as the peer last gave it
	breaks      uint64
	lastErr     error
	hinted      time.Time
	in          *inbound // from the peer: the newest
}

func newPeer(t *Transport, id raft.NodeID, address string, receiving chan struct{}) *peer {
	p := &peer{t: t, id: id, address: address, wake: make(chan struct{}, 1), receiving: receiving}
	p.out.init(t.config.OutboxBytesMax, t.config.FrameBytesMax)
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	return p
}

// stop ends the peer's goroutines, soon.
func (p *peer) stop() {
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		p.conn.Close()
	}
	if p.in != nil {
		p.in.close()
	}
}

// moveTo changes the address. A connection to the old one ends.
func (p *peer) moveTo(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.address == address {
		return
	}
	p.address = address
	p.breakOff(errMoved)
	p.hurry()
}

// breakOff ends the connection to the peer, if there is one. The caller holds the mutex.
func (p *peer) breakOff(why error) {
	if p.connected {
		p.out.breakOff(why)
	}
	if p.conn != nil {
		p.conn.Close()
	}
}

// hurry makes the next attempt to connect start at once.
func (p *peer) hurry() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// heard is told of the peer's own hello. It is a sign that the peer can be reached again, and if it comes from another
// process than accepted our connection, that this connection leads nowhere, which TCP might not say for minutes.
func (p *peer) heard(h wire.Hello) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.incarnation = h.Incarnation
	if p.connected {
		if p.boot != h.Boot {
			p.breakOff(errRestarted)
		}
		return
	}
	// Two members that both accept and then break would otherwise hurry each other on without a pause.
	if now := time.Now(); now.Sub(p.hinted) > backoffMax {
		p.hinted = now
		p.hurry()
	}
}

// session opens a connection and writes to it until it breaks. It returns how long packets could be written.
func (p *peer) session() (lived time.Duration, err error) {
	conn, err := p.connect()
	if err == nil {
		start := time.Now()
		p.pump(conn)
		lived = time.Since(start)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// Under the mutex, so that nobody breaks off the next connection for the sake of this one.
	if broken := p.out.reset(); broken != nil {
		err = broken
	}
	p.conn, p.connected = nil, false
	p.breaks++
	p.lastErr = err
	return lived, err
}

// connect dials the peer and says hello.
func (p *peer) connect() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(p.ctx, p.t.config.HandshakeTimeout)
	defer cancel()
	p.mu.Lock()
	address := p.address
	p.mu.Unlock()
	conn, err := p.t.net.dial(ctx, address)
	if err != nil {
		return nil, plain(err)
	}
	if err := p.greet(ctx, conn, address); err != nil {
		conn.Close()
		return nil, plain(err)
	}
	p.t.config.Logger.Info("connected to peer", "peer", p.id, "address", address)
	return conn, nil
}

// Why a connection ended.
var (
	errSilent    = errors.New("no sign of life for too long")
	errHungUp    = errors.New("the peer closed it")
	errMoved     = errors.New("the peer was removed, or its address changed")
	errRestarted = errors.New("the peer has restarted")
)

// greet makes conn the peer's connection: it says hello and takes the answer, in the time that ctx leaves.
func (p *peer) greet(ctx context.Context, conn net.Conn, address string) error {
	p.mu.Lock()
	moved := p.address != address || p.ctx.Err() != nil
	if !moved {
		p.conn = conn // from now on stop and moveTo close it
	}
	p.mu.Unlock()
	if moved {
		return errMoved
	}
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	c := &p.t.config
	hello := wire.Hello{ClusterID: c.ClusterID, From: c.ID, To: p.id, Incarnation: c.Incarnation, Boot: p.t.boot}
	if _, err := conn.Write(wire.AppendHello(nil, hello)); err != nil {
		return err
	}
	a, err := wire.ReadAnswer(conn)
	switch {
	case isTimeout(err):
		return fmt.Errorf("no answer to the hello within %v", c.HandshakeTimeout)
	case errors.Is(err, io.EOF):
		return errors.New("it closed the connection instead of answering the hello")
	case err != nil:
		return err
	}
	if a.Verdict != wire.Accepted {
		return fmt.Errorf("refused, %v: %s", a.Verdict, a.Reason)
	}
	if err := p.t.admit(p.id, a.Incarnation); err != nil {
		return err
	}
	conn.SetDeadline(time.Time{})
	p.out.limitFrames(min(c.FrameBytesMax, int(min(a.FrameBytesMax, 1<<31-1))))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connected, p.boot, p.incarnation = true, a.Boot, a.Incarnation
	return nil
}

// write writes what is put into the outbox until the connection breaks.
func (p *peer) write(conn net.Conn) {
	var batch []byte
	for {
		var ok bool
		if batch, ok = p.out.take(batch); !ok {
			return
		}
		seal(batch)
		if _, err := conn.Write(batch); err != nil {
			p.out.breakOff(plain(err))
			return
		}
	}
}

// watch reads signs of life until there are none, and asks for them. It sets no deadline on the writer: closing the
// connection, which it does, ends a write that does not.
func (p *peer) watch(conn net.Conn) {
	interval := min(pingInterval, p.t.config.IdleTimeout/silentMax)
	patience := int(p.t.config.IdleTimeout / interval)
	var b [64]byte
	for silent := 0; ; {
		conn.SetReadDeadline(time.Now().Add(interval))
		n, err := conn.Read(b[:])
		if n > 0 {
			silent = 0
			continue
		}
		if isTimeout(err) {
			p.out.wantPing()
			if silent++; silent < patience {
				continue
			}
			err = errSilent
		}
		if err == io.EOF {
			err = errHungUp
		}
		p.out.breakOff(plain(err))
		break
	}
	conn.Close()
}

// failed tells everyone that the connection broke, or could not be made, because of err.
func (p *peer) failed(lived time.Duration, err error) {
	if p.ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	address := p.address
	p.mu.Unlock()
	if lived > 0 {
		p.t.config.Logger.Warn("lost the connection to peer", "peer", p.id, "address", address, "cause", err)
	} else {
		p.t.log.warn("cannot reach peer", "peer", p.id, "address", address, "cause", err)
	}
	p.t.handler.Unreachable(p.id)
}
