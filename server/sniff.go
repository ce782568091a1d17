package server

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// preface is how an HTTP/2 connection begins (RFC 9113, section 3.4). gRPC speaks nothing else, and no HTTP/1 request
// begins so: PRI is no method that a server knows.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const (
	// sniffTimeout is how long a connection may take to say what it speaks.
	sniffTimeout = 10 * time.Second
	// sniffingMax bounds the connections that have not said it yet; one more is closed.
	sniffingMax = 4096
	// acceptedMax bounds the connections that are told apart and wait for their server to accept them.
	acceptedMax = 64
)

// sniffer splits the connections of one listener into those that speak gRPC and those that speak HTTP/1.
type sniffer struct {
	listener   net.Listener
	grpc, http *lane
	sniffing   chan struct{} // holds one element a connection that is being told apart

	closed context.Context // done once Close has begun
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu   sync.Mutex
	open map[*sniffedConn]bool // handed to a server and not closed yet
}

func newSniffer(l net.Listener) *sniffer {
	s := &sniffer{listener: l, grpc: newLane(l.Addr()), http: newLane(l.Addr()), sniffing: make(chan struct{}, sniffingMax), open: map[*sniffedConn]bool{}}
	s.closed, s.cancel = context.WithCancel(context.Background())
	return s
}

// serve accepts connections until Close, or until the listener fails for good.
func (s *sniffer) serve() error {
	pause := 5 * time.Millisecond
	for {
		c, err := s.listener.Accept()
		if err != nil {
			if s.closed.Err() != nil {
				return nil
			}
			if !temporary(err) {
				return err
			}
			time.Sleep(pause) // out of file descriptors: the next Accept would fail at once
			pause = min(2*pause, time.Second)
			continue
		}
		pause = 5 * time.Millisecond
		s.take(c)
	}
}

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// take tells one connection apart without holding up the next.
func (s *sniffer) take(c net.Conn) {
	select {
	case s.sniffing <- struct{}{}:
	default:
		c.Close()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Err() != nil { // nothing starts that Close would not wait for
		c.Close()
		return
	}
	s.start(func() {
		defer func() { <-s.sniffing }()
		s.sort(c)
	})
}

func (s *sniffer) sort(c net.Conn) {
	// Without this, Close would wait for clients that say nothing.
	unhook := context.AfterFunc(s.closed, func() { c.SetDeadline(time.Now()) })
	c.SetReadDeadline(time.Now().Add(sniffTimeout))
	seen, isGRPC, err := sniff(c)
	if !unhook() || err != nil {
		c.Close()
		return
	}
	c.SetReadDeadline(time.Time{})
	to := s.http
	if isGRPC {
		to = s.grpc
	}
	told := &sniffedConn{Conn: c, seen: seen, sniffer: s}
	s.mu.Lock()
	s.open[told] = true
	s.mu.Unlock()
	to.give(told)
}

// sniff reads until the bytes can only be a preface, or cannot be one, and returns what it has read.
func sniff(r io.Reader) (seen []byte, isGRPC bool, err error) {
	buf := make([]byte, len(preface))
	for n := 0; n < len(preface); {
		k, err := r.Read(buf[n:])
		n += k
		if string(buf[:n]) != preface[:n] {
			return buf[:n], false, nil
		}
		if err != nil && n < len(preface) {
			return nil, false, err
		}
	}
	return buf, true, nil
}

// Close closes the listener, and every connection that no server has accepted. It may be called again.
func (s *sniffer) Close() error {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	err := s.listener.Close()
	s.grpc.Close()
	s.http.Close()
	s.wait.Wait()
	return err
}

// closeConns closes the connections that servers still have. gRPC's does not know those that have not finished their
// handshake, and would wait for them.
func (s *sniffer) closeConns() {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

// lane is the net.Listener of one of the two protocols.
type lane struct {
	addr  net.Addr
	conns chan net.Conn

	closed chan struct{}
	once   sync.Once
}

func newLane(addr net.Addr) *lane {
	return &lane{addr: addr, conns: make(chan net.Conn, acceptedMax), closed: make(chan struct{})}
}

// give hands the connection to the lane's server, or closes it if that has stopped.
func (l *lane) give(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.closed:
		c.Close()
		return
	}
	select {
	case <-l.closed:
		l.drain() // Close may have drained before c was there
	default:
	}
}

// Accept returns the next connection that speaks the lane's protocol.
func (l *lane) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. The listener below is closed by the sniffer.
func (l *lane) Close() error {
	l.once.Do(func() { close(l.closed) })
	l.drain()
	return nil
}

// Addr is the address of the listener below.
func (l *lane) Addr() net.Addr { return l.addr }

func (l *lane) drain() {
	for {
		select {
		case c := <-l.conns:
			c.Close()
		default:
			return
		}
	}
}

// sniffedConn gives back the bytes that were read to tell the protocol.
type sniffedConn struct {
	net.Conn
	seen    []byte // owned by Read, which one goroutine at a time calls
	sniffer *sniffer
}

// Close closes the connection.
func (c *sniffedConn) Close() error {
	c.sniffer.mu.Lock()
	delete(c.sniffer.open, c)
	c.sniffer.mu.Unlock()
	return c.Conn.Close()
}

func (c *sniffedConn) Read(b []byte) (int, error) {
	if len(c.seen) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.seen)
	c.seen = c.seen[n:]
	return n, nil
}
