package sim

import (
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// An election that a member hears of when the next one is over. It waits for the answer to a read then that it has asked the leader of before, and asks the one that it hears of: a leader with a lease,
// which others have deposed because their clocks jumped. What was committed since is not known to either.

// unheard hands the lead over to a member of which another one is to hear nothing yet. It reports whether there are such.
func (w *world) unheard(m *member) bool {
	next, o := w.unheardAndNext(m)
	if o == nil {
		return false
	}
	next.setRate(1000 - w.knobs.drift)
	o.setRate(1000 - w.knobs.drift)
	w.network.isolate(o)
	w.mendAfter(2 * w.siegeLasts())
	until := w.now + w.siegeLasts()
	w.network.quickUntil, w.network.promptUntil = until, until
	m.transfer(next.id)
	cuts := w.network.cuts
	var look func()
	look = func() {
		switch {
		case !w.chaos || w.network.cuts != cuts || !next.up || !o.up || w.now >= until:
		case next.group.Status().Role == raft.Leader && next.ledFrom > 0 && next.commit >= next.ledFrom:
			w.after(between(w.rand, 0, w.knobs.heartbeat()), func() { w.outjumpUnheard(next, o, cuts) })
		default:
			w.after(latencySiege, look)
		}
	}
	w.after(latencySiege, look)
	return true
}

// outjumpUnheard has the clocks of all others jump, so that they elect a third leader. The second one and who has not heard of it stay apart until that one has committed something.
func (w *world) outjumpUnheard(next, o *member, cuts int) {
	if !w.chaos || w.network.cuts != cuts || !next.up || !o.up || next.group.Status().Role != raft.Leader {
		return
	}
	side := map[raft.NodeID]bool{next.id: true, o.id: true}
	w.network.cutBetween(side)
	w.network.isolate(o) // from next, too, for now
	w.network.quickUntil = w.now + w.siegeLasts()
	w.mendAfter(w.siegeLasts())
	next.unheardBy = o
	w.jumpBeyond(next, side)
}

// unheardAndNext are two that follow a leader, and without which the others are a majority; nil: there are none. The first can lead.
func (w *world) unheardAndNext(m *member) (next, o *member) {
	cfg := m.group.Status().Configuration.Configuration
	follows := func(o *member) bool { return o != m && o.up && !o.paused() && o.group.Status().Leader == m.id }
	for _, i := range w.rand.Perm(len(w.members)) {
		for _, j := range w.rand.Perm(len(w.members)) {
			next, o = w.members[i], w.members[j]
			others := func(id raft.NodeID) bool { return id != next.id && id != o.id && w.member(id).up }
			if i != j && follows(next) && follows(o) && cfg.IsVoter(next.id) && enough(cfg, others) {
				return next, o
			}
		}
	}
	return nil, nil
}

// isolate cuts all links from and to a member.
func (n *network) isolate(m *member) {
	n.mute(m)
	n.deafen(m)
}

// askUnheard asks who has not heard of m's election for what no lease may answer, and then lets it hear of that.
func (c *clients) askUnheard(m *member) {
	w, o := c.w, m.unheardBy
	m.unheardBy = nil
	if !o.up || o.group.Status().Leader == 0 || o.group.Status().Term >= m.group.Status().Term {
		return
	}
	w.reach(hearsOfTheFirst)
	for range 3 {
		c.begin(c.read(-1, o, w.rand.IntN(w.knobs.keys), ask{level: linearizable}))
	}
	cuts := w.network.cuts
	w.after(between(w.rand, 3*time.Millisecond, latencySiege), func() {
		if w.chaos && w.network.cuts == cuts {
			w.network.link(m.id, o.id).cut, w.network.link(o.id, m.id).cut = false, false
		}
	})
}
