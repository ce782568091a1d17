package sim

import (
	"fmt"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// Shapes of a network that has come apart, in which who hears whom is no equivalence: two that do not hear each other both hear a third. Algorithms that are
// right when the members fall into sets have failed in these.

// shape says which links are whole; a member always hears itself.
type shape struct {
	name  string
	whole func(from, to raft.NodeID) bool
}

// bridge is two halves that do not hear each other, and one member that hears both and is heard by both.
func (w *world) bridge(hub *member) shape {
	half, n := make(map[raft.NodeID]int), 0
	for _, o := range w.shuffled() {
		if o != hub {
			half[o.id] = n & 1
			n++
		}
	}
	return shape{fmt.Sprintf("a bridge over n%d", hub.id), func(a, b raft.NodeID) bool {
		return a == hub.id || b == hub.id || half[a] == half[b]
	}}
}

// star is members that hear one, and nobody else.
func (w *world) star(hub *member) shape {
	return shape{fmt.Sprintf("a star around n%d", hub.id), func(a, b raft.NodeID) bool { return a == hub.id || b == hub.id }}
}

// ring is members that hear those beside them alone, so many to either side: one, or so many that each hears a majority, and each another one. The ring may be open
// somewhere, or whole in one direction only: then each hears those before it.
func (w *world) ring() shape {
	place := make(map[raft.NodeID]int)
	ring := w.shuffled()
	for n, o := range ring { // those that were never started are not in it
		if o.standing == isMember {
			place[o.id] = n
		}
	}
	n := len(place)
	reach := pick(w.rand, 1, 1, (n/2+1)/2)
	open, oneWay := n <= 3 || w.chance(300), w.chance(200)
	name := fmt.Sprintf("a ring, %d to either side, open: %v, one way: %v", reach, open, oneWay)
	return shape{name, func(from, to raft.NodeID) bool {
		a, inA := place[from]
		b, inB := place[to]
		if !inA || !inB {
			return false
		}
		far := b - a
		if !open {
			far = (far+n+n/2)%n - n/2
		}
		return far >= -reach && far <= reach && !(oneWay && far < 0)
	}}
}

// shuffled is all members in any order; those that were never started come last.
func (w *world) shuffled() []*member {
	of := make([]*member, 0, len(w.members))
	for _, standing := range []bool{true, false} {
		for _, i := range w.rand.Perm(len(w.members)) {
			if m := w.members[i]; (m.standing == isMember) == standing {
				of = append(of, m)
			}
		}
	}
	return of
}

// take cuts all links that are not whole in a shape, and no others.
func (n *network) take(s shape) {
	for _, m := range n.w.members {
		for _, o := range n.w.members {
			n.link(m.id, o.id).cut = m != o && !s.whole(m.id, o.id)
		}
	}
}

func (w *world) harmBridge(m *member) {
	w.strikes(FaultBridge, nil)
	w.apartAs(w.bridge(m))
	w.mendLater()
	w.after(between(w.rand, 0, 2*w.knobs.electionTimeout()), func() { w.tempt(m) })
}

// tempt lets a member hear, perhaps, that the leader cannot be reached, so that it may help to elect another one whom the leader does not hear.
func (w *world) tempt(m *member) {
	if leader := w.leader(); w.chaos && leader != nil && leader != m && w.chance(500) {
		w.network.rumour(m, leader.id)
		w.askBoth(leader, w.knobs.electionTimeout()/4)
	}
}

func (w *world) harmRing(*member) {
	w.strikes(FaultRing, nil)
	w.apartAs(w.ring())
	w.mendLater()
}

func (w *world) apartAs(s shape) {
	w.tell("the network is %s", s.name)
	w.network.take(s)
}

// change is a change of links that goes on as long as nothing else changes them: it returns how to do its next step.
func (n *network) change() (next func(delay time.Duration, f func())) {
	w := n.w
	w.report.Partitions++
	n.cuts++
	cuts := n.cuts
	return func(delay time.Duration, f func()) {
		w.after(delay, func() {
			if w.chaos && n.cuts == cuts {
				f()
			}
		})
	}
}

// harmSwizzle cuts the links of some members one after the other, and mends them one after the other, in another order.
func (w *world) harmSwizzle(m *member) {
	w.strikes(FaultSwizzle, nil)
	some := map[raft.NodeID]bool{m.id: true}
	for _, o := range w.members {
		some[o.id] = some[o.id] || w.chance(300)
	}
	next := w.network.change()
	span := pick(w.rand, w.knobs.electionTimeout()/4, w.knobs.electionTimeout(), 3*w.knobs.electionTimeout())
	back := pick(w.rand, span, 20*time.Second)
	w.tell("the links of %v are cut within %v, and mended within %v", some, span, back)
	for _, a := range w.members {
		for _, b := range w.members[a.id:] {
			if some[a.id] || some[b.id] {
				next(between(w.rand, 0, span), func() { w.network.switchBoth(a.id, b.id, true) })
				next(between(w.rand, span, span+back), func() { w.network.switchBoth(a.id, b.id, false) })
			}
		}
	}
}

// switchBoth cuts or mends both directions between two members.
func (n *network) switchBoth(a, b raft.NodeID, cut bool) {
	n.link(a, b).cut, n.link(b, a).cut = cut, cut
	n.w.tell("the link between n%d and n%d is cut: %v", a, b, cut)
}

// harmFlap cuts and mends links of a member many times within an election timeout: all of them, or one; in one direction, or in both. The two ends
// may see their connection break.
func (w *world) harmFlap(m *member) {
	w.strikes(FaultFlap, m)
	all, out, in := w.chance(500), true, true
	if w.chance(400) {
		out = w.chance(500)
		in = !out
	}
	only := w.members[w.rand.IntN(len(w.members))]
	end := w.now + between(w.rand, 0, pick(w.rand, w.knobs.electionTimeout(), 5*w.knobs.electionTimeout()))
	every := w.knobs.electionTimeout() / time.Duration(pick(w.rand, 5, 20, 100))
	next := w.network.change()
	m.tell("has links that come and go until %v, every %v: all %v, out %v, in %v", end, every, all, out, in)
	var flip func(cut bool)
	flip = func(cut bool) {
		cut = cut && w.now < end
		for _, o := range w.members {
			if o != m && (all || o == only) {
				w.network.flip(m, o, out, cut)
				w.network.flip(o, m, in, cut)
			}
		}
		if w.now < end {
			next(between(w.rand, 0, 2*every), func() { flip(!cut) })
		}
	}
	flip(true)
}

func (n *network) flip(from, to *member, yes, cut bool) {
	if !yes {
		return
	}
	n.link(from.id, to.id).cut = cut
	if cut && n.w.chance(300) {
		n.rumour(from, to.id) // it is true for once
	}
}

// harmSlowLink makes links of a member take up to an election timeout for a while: all of them, or one; in one direction, or in both.
func (w *world) harmSlowLink(m *member) {
	w.strikes(FaultSlowLink, m)
	out, in := true, true
	if w.chance(500) {
		out = w.chance(500)
		in = !out
	}
	all, only := w.chance(500), w.members[w.rand.IntN(len(w.members))]
	by := between(w.rand, 0, pick(w.rand, w.knobs.electionTimeout()/4, w.knobs.electionTimeout()))
	until := w.now + between(w.rand, 0, pick(w.rand, 2*w.knobs.electionTimeout(), 40*time.Second))
	m.tell("has links that take %v until %v: all %v, out %v, in %v", by, until, all, out, in)
	for _, o := range w.members {
		if o != m && (all || o == only) {
			if out {
				w.network.link(m.id, o.id).slow(by, until)
			}
			if in {
				w.network.link(o.id, m.id).slow(by, until)
			}
		}
	}
}

// slow makes what is sent before that time arrive so much later.
func (l *link) slow(by, until time.Duration) { l.slowBy, l.slowUntil = by, until }
