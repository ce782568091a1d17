package host

import (
	"errors"
	"fmt"

	"github.com/balsa-raft/balsa/raft"
)

// Transfer is an attempt to hand the lead over (thesis §3.10). Use it once.
type Transfer struct {
	to   raft.NodeID
	done chan struct{}
	err  error // written before done is closed

	term  raft.Term // in which it began
	ticks int       // since then
}

// Transfer asks this member, which leads, to hand over to another; to zero lets it choose. The outcome comes with Done, within
// two election timeouts.
func (g *Group) Transfer(to raft.NodeID) *Transfer {
	t := &Transfer{to: to, done: make(chan struct{})}
	if !g.host.shard.inbox.put(input{kind: inputTransfer, group: g, transfer: t}, 0, 0) {
		t.finish(ErrClosed)
	}
	return t
}

// Done is closed when another member leads, or it is certain that this one goes on, or when nobody is known to lead for too long.
func (t *Transfer) Done() <-chan struct{} { return t.done }

// Err says, after Done, why the lead was not handed over; nil if it was.
func (t *Transfer) Err() error { return t.err }

func (t *Transfer) finish(err error) {
	t.err = err
	close(t.done)
}

func (g *Group) beginTransfer(t *Transfer) {
	if err := g.raft.TransferLeadership(t.to); err != nil {
		t.finish(err)
		return
	}
	t.term = g.raft.Term()
	g.transfers = append(g.transfers, t)
}

// followTransfer ends the waits for a transfer when it has come to an end. Events of the transfer's own term, and before, may be older
// than it: that this member was elected, or followed another until then.
func (g *Group) followTransfer(e raft.Event) {
	switch {
	case len(g.transfers) == 0:
	case e.Kind == raft.EventTransferEnded:
		g.endTransfers(fmt.Errorf("balsa: member %x did not take over within an election timeout; this member goes on", uint64(e.Node)))
	case e.Term <= g.transfers[0].term:
	case e.Kind == raft.EventLeader:
		g.endTransfers(errors.New("balsa: the lead was given up, and this member was elected again"))
	case e.Kind == raft.EventFollower && e.Node != 0:
		g.endTransfers(nil)
	}
}

// tickTransfers gives up those that this member could not follow to their end: it left office, and nobody tells it who leads.
func (g *Group) tickTransfers() {
	for _, t := range g.transfers {
		if t.ticks++; t.ticks >= 2*g.raft.ElectionTicks() {
			g.endTransfers(fmt.Errorf("%w: this member has given up the lead, and knows of no other that took it over", ErrNoLeader))
			return
		}
	}
}

func (g *Group) endTransfers(err error) {
	for _, t := range g.transfers {
		t.finish(err)
	}
	g.transfers = nil
}
