package transport

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// peer is another member: one that SetPeer named, or a guest, or one that was removed and is about to end.
type peer struct {
	t      *Transport
	id     raft.NodeID
	ctx    context.Context // ends when the peer is removed or the transport closes
	cancel context.CancelFunc
	lanes  [wire.Classes]lane // by class

	heardAt atomic.Int64 // the transport's uptime when something came from it, or a connection from it ended

	mu          sync.Mutex
	guest       bool   // changes once, to false
	leaving     bool   // changes once, to true
	address     string // empty: of a guest that gave none
	incarnation uint64 // as the peer last gave it
}

func newPeer(t *Transport, id raft.NodeID, address string, guest bool, receiving *turns) *peer {
	p := &peer{t: t, id: id, address: address, guest: guest}
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	for i := range p.lanes {
		p.lanes[i].init(p, wire.Class(i), receiving.lanes[i])
	}
	return p
}

// start starts the peer's goroutines.
func (p *peer) start() {
	for i := range p.lanes {
		p.t.running.Go(p.lanes[i].run)
	}
	if p.guest {
		p.t.running.Go(p.attend)
	}
}

// stop ends them, soon.
func (p *peer) stop() {
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.lanes {
		p.lanes[i].stop()
	}
}

// leave lets what waits for the peer be written, and ends its connections then. What it sends until then is handed on.
func (p *peer) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving = true
	for i := range p.lanes {
		p.lanes[i].out.finish()
		p.lanes[i].hurry()
	}
	p.t.running.Go(p.depart)
}

// settle makes the peer one of the configuration, at that address.
func (p *peer) settle(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.guest {
		p.guest = false
		for i := range p.lanes {
			p.lanes[i].serve(false)
		}
	}
	p.moveTo(address)
}

// moveTo changes the address. Connections to the old one end. The caller holds the mutex.
func (p *peer) moveTo(address string) {
	if p.address == address {
		return
	}
	p.address = address
	for i := range p.lanes {
		p.lanes[i].out.open(address != "")
		p.lanes[i].breakOff(errMoved)
		p.lanes[i].hurry()
	}
}

// heard is told of the peer's own hello.
func (p *peer) heard(h wire.Hello) {
	p.heardNow()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.incarnation = h.Incarnation
	if p.guest {
		p.moveTo(h.Address) // nobody else knows it
	}
	for i := range p.lanes {
		p.lanes[i].heard(h)
	}
}

func (p *peer) heardNow() { p.heardAt.Store(int64(p.t.uptime())) }
