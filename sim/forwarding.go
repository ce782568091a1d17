package sim

import "github.com/balsa-raft/balsa/raft"

// demandForwarding checks that what followers pass on to their leader arrives although half of those messages are lost: the leader stays, so no
// later term ends the wait.
func (w *world) demandForwarding() {
	const each = 3
	before := w.leader().group.Status()
	waiting := each * len(w.cluster())
	w.network.losesForwards = true
	w.tell("half of what is forwarded is lost")
	for _, m := range w.cluster() {
		for range each {
			w.probe(m, true, func() bool { return false }, func() { waiting-- })
		}
	}
	w.run(w.now+w.patience(), func() bool { return waiting == 0 })
	w.network.losesForwards = false
	if w.failure != nil {
		return
	}
	for _, m := range w.cluster() {
		if s := m.group.Status(); waiting > 0 || s.Term != before.Term {
			w.fail("Liveness", "half of what is forwarded was lost for %v, and %d clients wait: %v", recoveryMax, waiting, m)
		}
	}
}

// losesForward reports whether the network is to lose a message between a follower and its leader on behalf of a client.
func (n *network) losesForward(m raft.Message) bool {
	switch m.(type) {
	case raft.ForwardProposals, raft.ForwardReply:
		return n.losesForwards && n.w.chance(500)
	}
	return false
}
