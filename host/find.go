package host

import "github.com/balsa-raft/balsa/raft"

// Find returns the member that others reach at address, zero if it is nobody's, the incarnation of its data folder, zero if it has not shown one, and the
// place in the log of the configuration that says so. The transport asks for those who want to join and know no more than addresses.
func (h *Host) Find(address string) (member raft.NodeID, incarnation uint64, at raft.Index) {
	for _, g := range h.shard.groups {
		c := g.configuration.Load()
		at = c.Index
		for _, m := range c.Members {
			// One that is leaving may have the address of the one that takes its place.
			leaves := m.Target == raft.NonMember || m.Suffrage == raft.NonMember
			if address != "" && (m.Address == address || h.config.Addresses[m.ID] == address) && (member == 0 || !leaves) {
				member, incarnation = m.ID, m.Incarnation
			}
		}
	}
	return member, incarnation, at
}
