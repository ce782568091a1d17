package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/balsa-raft/balsa/wire"
)

// inbound is a connection that a peer dialled.
type inbound struct {
	conn        net.Conn
	incarnation uint64        // of the dialler's data folder, as its hello gave it
	interval    time.Duration // of looking for signs of life

	// Of the goroutine that reads.
	deadlineSet, ponged time.Time
	silent              int // intervals without a sign of life

	once   sync.Once
	closed chan struct{}
}

func newInbound(conn net.Conn, incarnation uint64, idle time.Duration) *inbound {
	return &inbound{conn: conn, incarnation: incarnation, interval: idle / silentMax, closed: make(chan struct{})}
}

func (in *inbound) close() {
	in.once.Do(func() {
		close(in.closed)
		in.conn.Close()
	})
}

// Read reads from the connection for the frame reader, and shows the other side that it did.
func (in *inbound) Read(b []byte) (int, error) {
	for {
		// Deadlines are not free, and reads are many: it is enough that one is nearly right.
		if now := time.Now(); now.Sub(in.deadlineSet) > in.interval/4 {
			in.deadlineSet = now
			in.conn.SetReadDeadline(now.Add(in.interval))
		}
		n, err := in.conn.Read(b)
		if n > 0 {
			in.silent = 0
			return n, in.pong()
		}
		if !isTimeout(err) {
			return 0, err
		}
		if in.silent++; in.silent >= silentMax {
			return 0, errSilent
		}
		in.deadlineSet = time.Time{}
	}
}

// pong shows the dialler a sign of life, if it has not lately. It also keeps Linux from acknowledging every packet on its
// own, which it does where a program never answers.
func (in *inbound) pong() error {
	now := time.Now()
	if now.Sub(in.ponged) < pongInterval {
		return nil
	}
	in.ponged = now
	in.conn.SetWriteDeadline(now.Add(in.interval))
	_, err := in.conn.Write([]byte{0})
	return err
}

// meet takes conn in as a stranger, unless the transport is closed.
func (t *Transport) meet(conn net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	if len(t.strangers) >= strangersMax {
		t.strangers[0].Close()
		t.strangers = slices.Delete(t.strangers, 0, 1)
		t.refused.Add(1)
		t.log.warn("too many connections that do not say who they are; closing the oldest", "limit", strangersMax)
	}
	t.strangers = append(t.strangers, conn)
	return true
}

func (t *Transport) forget(conn net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.strangers, conn); i >= 0 {
		t.strangers = slices.Delete(t.strangers, i, i+1)
	}
}

// serve finds out who dialled conn, a stranger, and hands on what it sends, until it ends.
func (t *Transport) serve(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(t.config.HandshakeTimeout))
	h, err := t.welcome(conn)
	t.forget(conn)
	if err != nil {
		t.turnedAway(conn, err)
		return
	}
	p, err := t.sender(h)
	if err != nil {
		return
	}
	defer t.left(p.id)
	l, in := &p.lanes[h.Class], newInbound(conn, h.Incarnation, t.config.IdleTimeout)
	defer in.close()
	if !l.accept(in) {
		return
	}
	defer l.leave(in)
	if err := t.letIn(conn, h); err != nil { // again: a Recheck may have come before it could find in
		t.turnedAway(conn, err)
		return
	}
	if err := t.accepted(conn); err != nil {
		return // the dialler tries again, and knows why
	}
	err = l.receive(in)
	if errors.Is(err, wire.ErrMalformed) && t.ctx.Err() == nil {
		t.log.warn("closed the connection from a peer that sends what cannot be", "peer", p.id, "from", hostOf(conn), "cause", err)
	}
}

func hostOf(conn net.Conn) string {
	address := conn.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// turnedAway counts and logs that conn was not let in.
func (t *Transport) turnedAway(conn net.Conn, why error) {
	if errors.Is(why, net.ErrClosed) || errors.Is(why, errAnswered) {
		return // closed here: it gave way, which is told already, or all is closed; or it wanted no more
	}
	t.refused.Add(1)
	t.log.warn("refused a connection", "from", hostOf(conn), "cause", why)
}

// welcome reads the dialler's hello. If it is to be refused it says so to the dialler and returns an error.
func (t *Transport) welcome(conn net.Conn) (wire.Hello, error) {
	h, err := wire.ReadHello(conn)
	if errors.Is(err, wire.ErrVersion) {
		t.refuse(conn, wire.WrongVersion, err)
	}
	if err != nil {
		return h, plain(err)
	}
	if h.Question() {
		return h, t.answer(conn, h)
	}
	return h, t.letIn(conn, h)
}

// letIn returns nil if the sender of h may come in. Otherwise it says so to the dialler.
func (t *Transport) letIn(conn net.Conn, h wire.Hello) error {
	verdict, err := t.judge(h)
	if err != nil {
		t.refuse(conn, verdict, err)
		return fmt.Errorf("member n%d of cluster %x: %v: %w", h.From, h.ClusterID, verdict, err)
	}
	return nil
}

// refuse tells the dialler why. If that fails there is nobody to tell.
func (t *Transport) refuse(conn net.Conn, v wire.Verdict, why error) {
	conn.Write(wire.AppendAnswer(nil, wire.Answer{Verdict: v, Reason: why.Error()}))
}

// accepted tells the dialler that it may send.
func (t *Transport) accepted(conn net.Conn) error {
	a := wire.Answer{Verdict: wire.Accepted, Incarnation: t.config.Incarnation, Boot: t.boot, FrameBytesMax: uint32(t.config.FrameBytesMax)}
	if _, err := conn.Write(wire.AppendAnswer(nil, a)); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// accept makes in the lane's connection from the peer, in place of one that it ends, and waits until nothing of that
// one is being handed on. It reports false if in was itself replaced or closed, or the peer removed, before.
func (l *lane) accept(in *inbound) bool {
	p := l.peer
	p.mu.Lock()
	if l.in != nil {
		l.in.close()
	}
	l.in = in
	if p.ctx.Err() != nil {
		in.close() // stop may have run before in was there to be closed
	}
	p.mu.Unlock()
	select {
	case l.receiving <- struct{}{}:
	case <-in.closed:
		l.gone(in)
		return false
	}
	select {
	case <-in.closed: // both may have been ready
		l.leave(in)
		return false
	default:
		return true
	}
}

// leave lets the lane's next connection from the peer hand on its packets.
func (l *lane) leave(in *inbound) {
	l.gone(in)
	<-l.receiving
}

// gone forgets in, which has ended. A guest that seemed to have a connection would stay for ever.
func (l *lane) gone(in *inbound) {
	l.peer.heardNow()
	l.peer.mu.Lock()
	defer l.peer.mu.Unlock()
	if l.in == in {
		l.in = nil
	}
}

// receive hands on what in carries until it ends.
func (l *lane) receive(in *inbound) error {
	t := l.peer.t
	frames := newFrameReader(in, t.config.FrameBytesMax)
	for {
		packets, err := frames.next()
		if n := l.belong(packets); n < len(packets) {
			err = fmt.Errorf("%w: %T on a connection of class %v", wire.ErrMalformed, packets[n].Message, l.class)
			packets = packets[:n]
		}
		if len(packets) > 0 {
			l.receivedPackets.Add(uint64(len(packets)))
			l.peer.heardNow()
			t.handler.Receive(l.peer.id, packets)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// belong returns how many packets come before one that must not travel on this lane: the handler may rely on it.
func (l *lane) belong(packets []wire.Packet) int {
	for i := range packets {
		if classOf(packets[i].Message) != l.class {
			return i
		}
	}
	return len(packets)
}
