package host

import (
	"cmp"
	"slices"

	"github.com/balsa-raft/balsa/raft"
)

// followConfiguration makes the transport know the members of the configuration that is in force; nil: it is the one that was. Called by the shard. All that Admit goes by
// is there before the connections are asked about: one that nobody asks about again stays, and all that its folder says would count.
func (g *Group) followConfiguration(c *raft.ConfigurationAt) {
	if c != nil {
		g.configuration.Store(c)
	}
	g.takesPart.Store(g.raft.TakesPart())
	ended := g.vouch.end(g.raft.Status().CommitIndex)
	switch {
	case c != nil:
		g.host.followMembers()
	case ended:
		g.host.transport.Recheck()
	}
}

// peerAddress is what the transport knows of a member.
type peerAddress struct {
	id      raft.NodeID
	address string
	left    uint64 // Shard.ticks when it was found to be a member no more; zero for a member
}

// followMembers tells the transport of the members of all groups. Those that have left are kept for a while: a leader still tells them so.
func (h *Host) followMembers() {
	for i := range h.peers {
		if h.peers[i].left == 0 {
			h.peers[i].left = max(h.shard.ticks, 1)
		}
	}
	for _, g := range h.shard.groups {
		for _, m := range g.configuration.Load().Members {
			if m.ID != h.config.ID && m.Address != "" {
				h.setPeer(m.ID, cmp.Or(h.config.Addresses[m.ID], m.Address))
			}
		}
	}
	h.transport.Recheck()
}

func (h *Host) setPeer(id raft.NodeID, address string) {
	i := slices.IndexFunc(h.peers, func(p peerAddress) bool { return p.id == id })
	if i < 0 {
		i = len(h.peers)
		h.peers = append(h.peers, peerAddress{id: id})
	}
	if h.peers[i].address != address {
		h.transport.SetPeer(id, address)
	}
	h.peers[i] = peerAddress{id: id, address: address}
}

// departure is for how many election timeouts the transport keeps a member that has left: longer than raft goes on with it.
const departure = 10

// dropPeers lets go of members that have left long ago.
func (h *Host) dropPeers() {
	h.peers = slices.DeleteFunc(h.peers, func(p peerAddress) bool {
		gone := p.left != 0 && h.shard.ticks-p.left > uint64(departure*h.shard.groups[0].raft.ElectionTicks())
		if gone {
			h.transport.SetPeer(p.id, "")
		}
		return gone
	})
}
