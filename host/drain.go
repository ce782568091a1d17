package host

// drain is somebody's wait for the proposals of a group to end.
type drain struct {
	done  chan struct{}
	ticks int
}

// Drain refuses proposals from now on, and waits until those that wait here have ended, for at most an election timeout: whoever closes
// a host after that leaves no caller in doubt that it could have answered.
func (g *Group) Drain() { <-g.beginDrain().done }

func (g *Group) beginDrain() *drain {
	g.mu.Lock()
	g.draining = true
	g.mu.Unlock()
	d := &drain{done: make(chan struct{})}
	if !g.host.shard.inbox.put(input{kind: inputDrain, group: g, drain: d}, 0, 0) {
		close(d.done)
	}
	return d
}

// followDrains ends the waits when nothing waits any more. Called by the shard.
func (g *Group) followDrains() {
	if len(g.drains) == 0 {
		return
	}
	g.mu.Lock()
	drained := g.pendingBytes == 0
	g.mu.Unlock()
	if drained {
		g.endDrains()
	}
}

// tickDrains gives up. Called by the shard.
func (g *Group) tickDrains() {
	for _, d := range g.drains {
		if d.ticks++; d.ticks >= g.raft.ElectionTicks() {
			g.endDrains()
			return
		}
	}
}

func (g *Group) endDrains() {
	for _, d := range g.drains {
		close(d.done)
	}
	g.drains = nil
}
