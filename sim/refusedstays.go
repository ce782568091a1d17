package sim

import (
	"slices"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// A follower passes on a change of the members, and is told that it is refused, because a voter that it needs is not heard. A copy is late on the network, and comes when that one is heard again.

// demandRefused makes this demand. It draws apart from all else.
func (w *world) demandRefused() {
	w.with(w.stream(ofRefused, 0, 0), func() { w.perhaps(100, w.voters, 3, w.demandRefusedStays) })
}

// demandRefusedStays checks that the copy begins nothing: who asked for it was told that nothing has changed.
func (w *world) demandRefusedStays() {
	leader := w.leader()
	others := slices.DeleteFunc(w.voters(), func(m *member) bool { return m == leader })
	w.rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	asked, silent := others[0], others[1]
	w.network.leaveAlone(silent)
	w.run(w.now+2*w.knobs.electionTimeout(), nil)
	if w.failure != nil || !asked.up {
		return
	}
	asked.wishFor([]raft.Member{{ID: leader.id, Suffrage: raft.Voter}, {ID: silent.id, Suffrage: raft.Voter}}, false, 0)
	change := asked.wishes[len(asked.wishes)-1].id
	refused := func() bool { return w.checker.configurations.refused[change] }
	w.run(w.now+w.patience()/10, refused)
	copied, term := w.network.passedOn(leader, change), leader.group.Status().Term
	w.network.mend()
	w.run(w.now+w.patience(), func() bool { return w.converged() == "" })
	w.run(w.now+w.knobs.electionTimeout(), nil) // until the leader hears it, too
	if s := leader.group.Status(); w.failure == nil && refused() && copied != nil && s.Role == raft.Leader && s.Term == term {
		w.tell("a copy of the refused change comes to n%d, which hears n%d again", leader.id, silent.id)
		w.network.arrive(*copied, leader.id)
		w.run(w.now+3*w.knobs.electionTimeout(), nil)
		w.reachIf(refusedStays, w.failure == nil)
	}
	w.endChange()
}

// passedOn is the last packet to a leader that asks for a change, if it is not long ago.
func (n *network) passedOn(leader *member, change uint64) *packet {
	for _, p := range slices.Backward(n.sent[leader.id-1]) {
		of, err := wire.DecodePacket(slices.Clone(p.bytes))
		if asks, ok := of.Message.(raft.ForwardChange); err == nil && ok && asks.Change.ID == change {
			return &p
		}
	}
	return nil
}
