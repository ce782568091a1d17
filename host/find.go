package host

import "github.com/balsa-raft/balsa/raft"

// Find returns the member that others reach at address, zero if it is nobody's, and the place in the log of the configuration that says so. The transport
// asks for those who want to join and know no more than addresses.
func (h *Host) Find(address string) (member raft.NodeID, at raft.Index) {
	for _, g := range h.shard.groups {
		c := g.configuration.Load()
		for _, m := range c.Members {
			if address != "" && (m.Address == address || h.config.Addresses[m.ID] == address) {
				return m.ID, c.Index
			}
		}
		at = c.Index
	}
	return 0, at
}
