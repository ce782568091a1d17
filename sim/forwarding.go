package sim

import (
	"slices"

	"github.com/balsa-raft/balsa/raft"
)

// demandForwarding checks that what followers pass on to their leader arrives although half of those messages are lost: the leader stays, so no
// later term ends the wait.
func (w *world) demandForwarding() {
	const each = 3
	if w.startAgain(); w.failure != nil {
		return
	}
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

// startAgain lets a follower forward something, ends its process and starts it anew, perhaps with a clock that was set back: what it forwards then must not be taken
// for what it has forwarded before.
func (w *world) startAgain() {
	leader, served := w.leader(), 0
	var m *member
	for _, i := range w.rand.Perm(len(w.members)) {
		if o := w.members[i]; o != leader && slices.Contains(w.cluster(), o) {
			m = o
		}
	}
	if m == nil {
		return
	}
	probe := func(n int) {
		served = 0
		for range n {
			w.probe(m, true, func() bool { return false }, func() { served++ })
		}
		w.run(w.now+w.patience(), func() bool { return served == n })
	}
	probe(3)
	if w.failure != nil {
		return
	}
	m.die(death{})
	if m.restart(); w.failure != nil {
		return // or a member would be asked that has not started
	}
	probe(2)
	if w.failure == nil && served < 2 {
		w.fail("Liveness", "n%d was started again, and its clients wait for %v: %v; %v", m.id, recoveryMax, m, w.leader())
	}
	w.run(w.now+w.patience(), func() bool { return w.leader() != nil && w.converged() == "" })
}

// losesForward reports whether the network is to lose a message between a follower and its leader on behalf of a client.
func (n *network) losesForward(m raft.Message) bool {
	switch m.(type) {
	case raft.ForwardProposals, raft.ForwardReply:
		return n.losesForwards && n.w.chance(500)
	}
	return false
}
