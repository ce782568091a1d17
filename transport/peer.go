package transport

import (
	"context"
	"sync"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// peer is another member.
type peer struct {
	t      *Transport
	id     raft.NodeID
	ctx    context.Context // ends when the peer is removed or the transport closes
	cancel context.CancelFunc
	lanes  [wire.Classes]lane // by class

	mu          sync.Mutex
	address     string
	incarnation uint64 // as the peer last gave it
}

func newPeer(t *Transport, id raft.NodeID, address string, receiving turns) *peer {
	p := &peer{t: t, id: id, address: address}
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	for i := range p.lanes {
		p.lanes[i].init(p, wire.Class(i), receiving[i])
	}
	return p
}

// start starts the peer's goroutines.
func (p *peer) start() {
	for i := range p.lanes {
		p.t.running.Go(p.lanes[i].run)
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

// moveTo changes the address. Connections to the old one end.
func (p *peer) moveTo(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.address == address {
		return
	}
	p.address = address
	for i := range p.lanes {
		p.lanes[i].breakOff(errMoved)
		p.lanes[i].hurry()
	}
}

// heard is told of the peer's own hello.
func (p *peer) heard(h wire.Hello) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.incarnation = h.Incarnation
	for i := range p.lanes {
		p.lanes[i].heard(h)
	}
}
