package transport

import (
	"context"
	"errors"
	"net"
	"time"
)

// The goroutines. Each is counted in Transport.running, or waited for by the one that starts it.

// accept takes connections until the transport closes.
func (t *Transport) accept() {
	pause := newPause()
	for {
		conn, err := t.listener.Accept()
		if err == nil {
			pause.reset()
			if t.meet(conn) {
				t.running.Go(func() { t.serve(conn) })
			} else {
				conn.Close()
			}
			continue
		}
		if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		// Most likely the process has no file descriptor left. Peers that are connected go on; the others must find
		// somebody here when one is free again.
		t.log.warn("cannot accept connections from peers; trying again", "cause", plain(err))
		if !pause.wait(t.ctx.Done(), nil) {
			return
		}
	}
}

// run keeps a connection to the peer, on some lanes only while there is something to send, until the peer is stopped or
// has left.
func (l *lane) run() {
	defer close(l.ended)
	p, pause := l.peer, newPause()
	for l.out.await() {
		lived, err := l.session()
		l.failed(lived, err)
		if p.ctx.Err() != nil {
			return
		}
		// Only a connection that has lasted earns an attempt at once: one that breaks as soon as it is made, such as
		// to a member that another with the same id keeps replacing, must not be made in a tight loop.
		if lived >= backoffMax {
			pause.reset()
			continue
		}
		if !pause.wait(p.ctx.Done(), l.wake) {
			return
		}
	}
}

// pump writes to conn until it breaks. The outbox knows why it did.
func (l *lane) pump(conn net.Conn) {
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		l.watch(conn)
	}()
	l.write(conn)
	if !l.out.flushed() || !halfClose(conn) {
		conn.Close() // and if not, watch does it when the peer has, or stop
	}
	<-watched
}

// attend ends the guest when no connection from it has come for IdleTimeout.
func (p *peer) attend() {
	for left := p.t.config.IdleTimeout; left > 0; left = p.t.retire(p) {
		select {
		case <-time.After(left):
		case <-p.ctx.Done():
			return
		}
	}
}

// depart ends a removed peer when what waited for it is written, or could not be in flushTimeout.
func (p *peer) depart() {
	ctx, cancel := context.WithTimeout(p.ctx, flushTimeout)
	defer cancel()
	for i := range p.lanes {
		select {
		case <-p.lanes[i].ended:
		case <-ctx.Done():
		}
	}
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	p.t.end(p)
}

// pause is a wait that doubles from backoffMin to backoffMax.
type pause struct{ next time.Duration }

func newPause() *pause { return &pause{backoffMin} }

func (w *pause) reset() { w.next = backoffMin }

// wait waits, and reports false if stop ended it. Something on early ends it too.
func (w *pause) wait(stop, early <-chan struct{}) bool {
	timer := time.NewTimer(w.next)
	defer timer.Stop()
	w.next = min(2*w.next, backoffMax)
	select {
	case <-timer.C:
	case <-early:
		w.reset()
	case <-stop:
		return false
	}
	return true
}
