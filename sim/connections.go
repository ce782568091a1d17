package sim

// Connections. When one is made either side asks whether the right data folder is at the other end, and after that only when its host says so (host.Transport's Recheck). So one that is not asked
// about again stays, whatever has become known since.

// connection is one over which a member sends to another: from a process and its folder, to a process and its folder.
type connection struct {
	from, to             int // incarnations of the processes; zero: there is none
	folderFrom, folderTo uint64
}

// joins reports whether it is between these processes.
func (c *connection) joins(from, to *member) bool {
	return c.to != 0 && from.up && to.up && c.from == from.incarnation && c.to == to.incarnation
}

// admits reports whether a packet that was sent from a data folder is let in: by the connection that there is, or by one that is made for it.
func (n *network) admits(from, to *member, folder uint64) bool {
	c := &n.link(from.id, to.id).connection
	if c.joins(from, to) && c.folderFrom == folder {
		return true
	}
	if !n.asks(from, to, folder) {
		return false
	}
	if from.up && from.identity.Incarnation == folder {
		*c = connection{from.incarnation, to.incarnation, folder, to.identity.Incarnation}
	}
	return true
}

// recheck ends a member's connections that it refuses now.
func (n *network) recheck(m *member) {
	for _, o := range n.w.members {
		if o == m {
			continue
		}
		if c := &n.link(o.id, m.id).connection; c.joins(o, m) && m.host.Admit(o.id, c.folderFrom) != nil {
			*c = connection{}
		}
		if c := &n.link(m.id, o.id).connection; c.joins(m, o) && m.host.Admit(o.id, c.folderTo) != nil {
			*c = connection{}
		}
	}
}
