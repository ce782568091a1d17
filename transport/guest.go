package transport

import (
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// A guest is a member that SetPeer did not name and that has said hello: of a configuration that is newer than this
// member's, or older, or the first that a new member hears. Raft answers it, so it is a peer at the address that it
// gave. These are the differences:
//
//   - its connections are dialled when there is something to send and end when there is nothing, those of class Main
//     too: two guests of each other would else stay so for ever, each for the other's connection;
//   - it ends when there was no connection from it for IdleTimeout;
//   - there are at most guestsMax, with little room for each;
//   - while it gives no address, what is sent to it is dropped.
//
// SetPeer makes a peer of it, and never the other way round: a peer that is removed ends, and its next hello makes
// another one.
const (
	guestsMax     = 64
	guestBytesMax = 4 << 20 // what waits for one on the main connection
)

// sender returns the peer that said h, and counts the connection that it came on, until left.
func (t *Transport) sender(h wire.Hello) (*peer, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, ErrClosed
	}
	p, crowded := (*t.peers.Load())[h.From], false
	met := p != nil
	if !met {
		p, crowded = t.invite(h)
	}
	p.heard(h)
	t.receiving[p.id].users++
	t.mu.Unlock()
	if !met {
		t.config.Logger.Info("a member that is not in the configuration has said hello", "peer", h.From, "address", h.Address)
	}
	if crowded {
		t.log.warn("too many members that are not in the configuration; the one that was silent longest gave way", "limit", guestsMax)
	}
	return p, nil
}

// invite makes a guest of the sender of h, and says whether another had to give way. The caller holds the mutex.
func (t *Transport) invite(h wire.Hello) (p *peer, crowded bool) {
	oldest, n := t.oldestGuest()
	if n >= guestsMax {
		t.end(oldest)
	}
	return t.add(h.From, h.Address, true), n >= guestsMax
}

// oldestGuest returns the guest that was heard least recently and how many there are. The caller holds the mutex.
func (t *Transport) oldestGuest() (oldest *peer, n int) {
	for _, p := range *t.peers.Load() {
		if p.isGuest() {
			n++
			if oldest == nil || p.heardAt.Load() < oldest.heardAt.Load() {
				oldest = p
			}
		}
	}
	return oldest, n
}

// retire ends the guest p if it is time, and otherwise returns how long it will be until it can be; zero means that
// there is nothing to wait for.
func (t *Transport) retire(p *peer) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.ctx.Err() != nil || !p.isGuest() {
		return 0
	}
	left := p.idleLeft()
	if left <= 0 {
		t.end(p)
		return 0
	}
	return left
}

// idleLeft is how much longer a guest may stay if no connection from it comes.
func (p *peer) idleLeft() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.t.config.IdleTimeout
	for i := range p.lanes {
		if p.lanes[i].in != nil {
			return idle
		}
	}
	return idle - (p.t.uptime() - time.Duration(p.heardAt.Load()))
}

func (p *peer) isGuest() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.guest
}

// left ends the count of a connection from the member id.
func (t *Transport) left(id raft.NodeID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.yield(id)
}

// yield ends the count of a connection from the member id, or of a peer of that id. When nobody is counted, nobody is
// handing on its packets, and strangers with ever new ids leave nothing behind. The caller holds the mutex.
func (t *Transport) yield(id raft.NodeID) {
	r := t.receiving[id]
	if r.users--; r.users == 0 {
		delete(t.receiving, id)
	}
}
