package transport

import (
	"errors"
	"fmt"
	"net"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// ErrUnknownSender is what an error of Config.Admit wraps when this member takes no connections from the id at all,
// whatever its data folder. Other errors of Admit say that it is the wrong data folder.
var ErrUnknownSender = errors.New("no connections are taken from this member")

// refusal is the cause when a peer has refused our connection.
type refusal struct {
	verdict wire.Verdict
	reason  string
}

func (r *refusal) Error() string { return fmt.Sprintf("refused, %v: %s", r.verdict, r.reason) }

// judge says whether the sender of h is let in. That it is no peer is no reason: its configuration may be newer than
// this member's, or this member is new and has none.
func (t *Transport) judge(h wire.Hello) (wire.Verdict, error) {
	c := &t.config
	switch {
	case h.ClusterID != c.ClusterID:
		return wire.WrongCluster, fmt.Errorf("n%d here is of cluster %x, n%d of cluster %x; members of two clusters never talk: "+
			"correct the address by which n%d came here, or start the wrong one of the two with its own cluster's id and members",
			c.ID, c.ClusterID, h.From, h.ClusterID, h.From)
	case h.To != c.ID:
		return wire.WrongMember, fmt.Errorf("this is member n%d, not n%d; one of the addresses is wrong", c.ID, h.To)
	case h.From == c.ID:
		return wire.UnknownSender, fmt.Errorf("n%d is this member itself; no two can have one id: give the newer one another", h.From)
	case h.From == 0:
		return wire.UnknownSender, errors.New("n0 is nobody; ids start at 1")
	}
	return t.admit(h.From, h.Incarnation)
}

// admit asks the configuration. It must be called without a lock that a call of Stats takes, and again after the
// connection is where Recheck finds it: what is known may have changed since, and Recheck have passed.
func (t *Transport) admit(id raft.NodeID, incarnation uint64) (wire.Verdict, error) {
	if t.config.Admit == nil {
		return wire.Accepted, nil
	}
	err := t.config.Admit(id, incarnation)
	switch {
	case err == nil:
		return wire.Accepted, nil
	case errors.Is(err, ErrUnknownSender):
		return wire.UnknownSender, err
	}
	return wire.WrongIncarnation, err
}

// Recheck asks Config.Admit again for every connection that there is, and closes those that it refuses now, so that a
// refused peer learns why when it dials again. Guests that it refuses end. What waits for a removed peer is written all
// the same. It asks in the goroutine that calls, and does not wait for the connections' ends. Call it when what Admit
// says has changed.
func (t *Transport) Recheck() {
	if t.config.Admit == nil {
		return
	}
	t.mu.Lock()
	var peers []*peer
	for _, p := range *t.peers.Load() {
		peers = append(peers, p)
	}
	for _, p := range t.leaving {
		peers = append(peers, p)
	}
	t.mu.Unlock()
	for _, p := range peers {
		p.recheck()
	}
}

// recheck closes p's connections that are refused now.
func (p *peer) recheck() {
	inbounds, outbounds, incarnation, guest := p.connections()
	for _, in := range inbounds {
		if _, err := p.t.admit(p.id, in.incarnation); err != nil {
			in.close()
			p.t.log.warn("closed the connection from a peer that is refused now", "peer", p.id, "cause", err)
		}
	}
	for _, out := range outbounds {
		if _, err := p.t.admit(p.id, out.incarnation); err != nil {
			p.breakOff(out.conn, err)
		}
	}
	if !guest {
		return
	}
	if _, err := p.t.admit(p.id, incarnation); err != nil {
		p.t.mu.Lock()
		defer p.t.mu.Unlock()
		if p.isGuest() {
			p.t.end(p)
		}
	}
}

// outbound is a connection to a peer whose answer came from that data folder.
type outbound struct {
	conn        net.Conn
	incarnation uint64
}

// connections returns what Admit was asked for and let be.
func (p *peer) connections() (ins []*inbound, outs []outbound, incarnation uint64, guest bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.lanes {
		l := &p.lanes[i]
		if l.in != nil {
			ins = append(ins, l.in)
		}
		if l.connected && !p.leaving { // it should still hear that it was removed, which may be why it is refused
			outs = append(outs, outbound{l.conn, l.incarnation})
		}
	}
	return ins, outs, p.incarnation, p.guest
}

// breakOff ends the connection conn to the peer, unless it has ended.
func (p *peer) breakOff(conn net.Conn, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.lanes {
		if l := &p.lanes[i]; l.conn == conn {
			l.breakOff(why)
		}
	}
}
