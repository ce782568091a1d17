package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// lane is what a peer has of each class: the packets and the connection to it, and the connection from it. The main
// lane keeps its connection to the peer open. The bulk lane, and a guest's main lane, opens one when there is something
// to send, and ends it when there has been nothing for Config.IdleTimeout.
type lane struct {
	peer  *peer
	class wire.Class
	out   outbox
	wake  chan struct{} // 1: cuts the pause before the next attempt short
	ended chan struct{} // closed when run has returned

	// receiving is held by the one connection whose packets are handed on. A newer one waits for it, or packets of the
	// older could be handed on after its own.
	receiving chan struct{} // 1; the transport's, so that it outlives a peer that is removed and added again

	receivedPackets atomic.Uint64

	// Guarded by the peer's mutex.
	conn        net.Conn // to the peer, from dial to end
	connected   bool     // conn's hello was accepted
	boot        uint64   // of the process that accepted conn
	incarnation uint64   // of its data folder
	breaks      uint64
	lastErr     error
	hinted      time.Time
	in          *inbound // from the peer: the newest
}

// turns are the lane.receiving of all peers that have one id, one after the other.
type turns struct {
	lanes [wire.Classes]chan struct{} // by class
	users int                         // peers, and connections from them, that may use it; guarded by the transport's mutex
}

func newTurns() *turns {
	t := &turns{}
	for i := range t.lanes {
		t.lanes[i] = make(chan struct{}, 1)
	}
	return t
}

// bulkBytesMax bounds the chunks of snapshots that wait for one peer. Over it they are dropped, and sent again when no
// answer comes; a larger one would only hold chunks that were sent again already.
const bulkBytesMax = 8 << 20

// classOf says on which connection m travels.
func classOf(m raft.Message) wire.Class {
	if _, ok := m.(raft.InstallSnapshot); ok {
		return wire.Bulk
	}
	return wire.Main
}

func (l *lane) init(p *peer, class wire.Class, receiving chan struct{}) {
	l.peer, l.class, l.receiving = p, class, receiving
	l.wake, l.ended = make(chan struct{}, 1), make(chan struct{})
	l.out.init(0, p.t.config.FrameBytesMax)
	if track := p.t.config.Track; track != nil {
		l.out.track = func(packet wire.Packet) func() { return track(p.id, packet) }
	}
	l.out.open(p.address != "")
	l.serve(p.guest)
}

// serve sets the lane up for a peer or a guest.
func (l *lane) serve(guest bool) {
	bytesMax := l.peer.t.config.OutboxBytesMax
	switch {
	case l.class == wire.Bulk:
		bytesMax = bulkBytesMax
	case guest:
		bytesMax = min(bytesMax, guestBytesMax)
	}
	l.out.serve(bytesMax, guest || l.class == wire.Bulk)
}

// stop ends what the lane's goroutines wait for. The caller holds the mutex and has cancelled the peer's context.
func (l *lane) stop() {
	l.out.breakOff(errMoved) // also where there is no connection yet that could break
	if l.conn != nil {
		l.conn.Close()
	}
	if l.in != nil {
		l.in.close()
	}
}

// breakOff ends the connection to the peer, if there is one. The caller holds the mutex.
func (l *lane) breakOff(why error) {
	if l.connected {
		l.out.breakOff(why)
	}
	if l.conn != nil {
		l.conn.Close()
	}
}

// hurry makes the next attempt to connect start at once.
func (l *lane) hurry() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// heard is told of a hello from the peer, of any class. It is a sign that the peer can be reached again, and if it
// comes from another process than accepted our connection, that this connection leads nowhere, which TCP might not say
// for minutes. The caller holds the mutex.
func (l *lane) heard(h wire.Hello) {
	if l.connected {
		if l.boot != h.Boot {
			l.breakOff(errRestarted)
		}
		return
	}
	// Two members that both accept and then break would otherwise hurry each other on without a pause.
	if now := time.Now(); now.Sub(l.hinted) > backoffMax {
		l.hinted = now
		l.hurry()
	}
}

// session opens a connection and writes to it until it breaks. It returns how long packets could be written.
func (l *lane) session() (lived time.Duration, err error) {
	p := l.peer
	conn, err := l.connect()
	if err == nil {
		start := time.Now()
		l.pump(conn)
		lived = time.Since(start)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// Under the mutex, so that nobody breaks off the next connection for the sake of this one.
	if broken := l.out.reset(); broken != nil {
		err = broken
	}
	l.conn, l.connected = nil, false
	if err != errIdle {
		l.breaks++
		l.lastErr = err
	}
	return lived, err
}

// connect dials the peer and says hello.
func (l *lane) connect() (net.Conn, error) {
	p := l.peer
	ctx, cancel := context.WithTimeout(p.ctx, p.t.config.HandshakeTimeout)
	defer cancel()
	p.mu.Lock()
	address := p.address
	p.mu.Unlock()
	conn, err := p.t.net.dial(ctx, address)
	if err != nil {
		return nil, plain(err)
	}
	if err := l.greet(ctx, conn, address); err != nil {
		conn.Close()
		return nil, plain(err)
	}
	p.t.config.Logger.Info("connected to peer", "peer", p.id, "address", address, "class", l.class)
	return conn, nil
}

// Why a connection ended.
var (
	errSilent    = errors.New("no sign of life for too long")
	errHungUp    = errors.New("the peer closed it")
	errMoved     = errors.New("the peer was removed, or its address changed")
	errRestarted = errors.New("the peer has restarted")
	errIdle      = errors.New("there was nothing to send")  // no failure
	errFlushed   = errors.New("the last of it was written") // the peer leaves
)

// greet makes conn the lane's connection: it says hello and takes the answer, in the time that ctx leaves.
func (l *lane) greet(ctx context.Context, conn net.Conn, address string) error {
	p := l.peer
	p.mu.Lock()
	moved := p.address != address || p.ctx.Err() != nil
	if !moved {
		l.conn = conn // from now on stop and moveTo close it
	}
	p.mu.Unlock()
	if moved {
		return errMoved
	}
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	c := &p.t.config
	hello := wire.Hello{ClusterID: c.ClusterID, From: c.ID, To: p.id, Incarnation: c.Incarnation, Boot: p.t.boot, Class: l.class, Address: c.Advertise}
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
		return &refusal{a.Verdict, a.Reason}
	}
	if _, err := p.t.admit(p.id, a.Incarnation); err != nil {
		return err
	}
	conn.SetDeadline(time.Time{})
	l.out.limitFrames(min(c.FrameBytesMax, int(min(a.FrameBytesMax, 1<<31-1))))
	p.mu.Lock()
	l.connected, l.boot, l.incarnation, p.incarnation = true, a.Boot, a.Incarnation, a.Incarnation
	p.mu.Unlock()
	_, err = p.t.admit(p.id, a.Incarnation) // again: a Recheck may have come before it was connected
	return err
}

// write writes what is put into the outbox until the connection breaks, or it was the last.
func (l *lane) write(conn net.Conn) {
	var batch []byte
	for {
		var ok bool
		if batch, ok = l.out.take(batch); !ok {
			return
		}
		seal(batch)
		for _, sending := range l.out.writing {
			sending()
		}
		if _, err := conn.Write(batch); err != nil {
			l.out.breakOff(plain(err))
			return
		}
	}
}

// watch reads signs of life, and asks for them, until there are none; on a lane that connects only to send also until
// there has been nothing else for IdleTimeout. It sets no deadline on the writer: closing the connection, which it does, ends a write that does
// not.
func (l *lane) watch(conn net.Conn) {
	idle := l.peer.t.config.IdleTimeout
	interval := min(pingInterval, idle/silentMax)
	patience := int(idle / interval)
	var b [64]byte
	for silent := 0; ; {
		conn.SetReadDeadline(time.Now().Add(interval))
		n, err := conn.Read(b[:])
		if n > 0 {
			silent = 0
			continue
		}
		if isTimeout(err) {
			if l.out.endIdle(patience) {
				break
			}
			l.out.wantPing()
			if silent++; silent < patience {
				continue
			}
			err = errSilent
		}
		if err == io.EOF {
			err = errHungUp
		}
		l.out.breakOff(plain(err))
		break
	}
	conn.Close()
}

// failed tells everyone that the connection broke, or could not be made, because of err.
func (l *lane) failed(lived time.Duration, err error) {
	p := l.peer
	p.mu.Lock()
	address, leaving := p.address, p.leaving
	p.mu.Unlock()
	if p.ctx.Err() != nil || leaving || err == errIdle {
		return
	}
	if l.class == wire.Bulk {
		// Whether the peer is alive is the main lane's to say, and the sender of a snapshot misses the answers.
		p.t.log.warn("no connection for snapshots to peer", "peer", p.id, "address", address, "cause", err)
		return
	}
	if lived > 0 {
		p.t.config.Logger.Warn("lost the connection to peer", "peer", p.id, "address", address, "cause", err)
	} else {
		p.t.log.warn("cannot reach peer", "peer", p.id, "address", address, "cause", err)
	}
	if r := (*refusal)(nil); errors.As(err, &r) {
		p.t.handler.Refused(p.id, r.verdict, r.reason)
	}
	p.t.handler.Unreachable(p.id)
}
