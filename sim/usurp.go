package sim

import (
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// What makes it hard for a leader to learn that it leads no longer, while clients ask it and write to the others. By chance alone it hears of the next
// leader before a client can ask.

// harmUsurp has the leader's clock go as slow as can be and those of the others as fast, and lets it hear of the others no more, or late.
func (w *world) harmUsurp(m *member) {
	if leader := w.leader(); leader != nil {
		m = leader
	}
	if !m.up {
		return
	}
	w.report.Usurpations++
	w.strikes(FaultUsurp, m)
	w.tell("n%d is made to hold on to its office", m.id)
	for _, o := range w.members {
		switch {
		case !o.up || o.asleep:
		case o == m:
			o.setRate(1000 - w.knobs.drift)
		default:
			o.setRate(1000 + w.knobs.drift)
		}
	}
	long := 2 * w.knobs.electionTimeout()
	how := w.rand.IntN(7)
	if w.knobs.leases.odd > 0 && w.chance(500) {
		how = pick(w.rand, 0, 4, 4) // who has promised less may vote at once
	}
	switch how {
	case 0: // and some of the others hear that its process has ended
		w.network.leaveAlone(m)
		part := pick(w.rand, 0, 1000, 1000)
		for _, o := range w.members {
			if o != m && w.chance(part) {
				w.after(between(w.rand, 0, w.knobs.electionTimeout()/8), func() { w.network.rumour(o, m.id) })
			}
		}
	case 1: // its machine goes on when others lead
		w.network.leaveAlone(m)
		delay := between(w.rand, 0, pick[time.Duration](w.rand, 1, 2)*w.knobs.electionTimeout())
		w.pause(m, delay, 700)
		long += delay
	case 2: // who has promised dies, and has forgotten all that is not on its disk
		w.network.leaveAlone(m)
		for _, o := range w.members {
			if o != m && o.up {
				o.die(death{})
				w.after(between(w.rand, 0, 200*time.Millisecond), o.restart)
			}
		}
	case 3: // answers come so late that the next leader is there before them
		late := between(w.rand, 0, w.knobs.electionTimeout())
		for _, o := range w.members {
			w.network.link(o.id, m.id).slow(late, w.now+long)
		}
		incarnation := m.incarnation
		w.after(between(w.rand, 0, late), func() {
			if w.chaos && m.up && m.incarnation == incarnation {
				w.network.mute(m)
			}
		})
	case 4: // one that is bound by no promise any more asks those that are
		w.outlast(m)
		return
	default: // who is asked to follow it hears of that too late
		w.handLate(m)
		return
	}
	w.mendAfter(long)
	w.askBoth(m, long)
}

// askBoth has clients ask a leader that may have lost its office, and write to the others.
func (w *world) askBoth(m *member, long time.Duration) {
	w.clients.extra(func() { w.clients.askBoth(m, long) })
}

func (c *clients) askBoth(m *member, long time.Duration) {
	w := c.w
	for range 20 {
		w.after(between(w.rand, 0, long), func() {
			if a := c.drawAsk(); m.up && !c.stopped {
				if w.chance(500) {
					a = ask{level: lease}
				}
				c.begin(c.read(-1, m, w.rand.IntN(w.knobs.keys), a))
			}
		})
		w.after(between(w.rand, 0, long), func() {
			if o := c.choose(); o != m && o.up && !c.stopped {
				c.begin(c.write(-1, o, w.rand.IntN(w.knobs.keys)))
			}
		})
	}
}

// mute cuts the links from a member.
func (n *network) mute(m *member) {
	for _, o := range n.w.members {
		n.link(m.id, o.id).cut = o != m
	}
}

// handsOver takes in that a leader asks another one to stand for election. Sometimes that is the last that it hears of it.
func (n *network) handsOver(from *member) {
	w := n.w
	if !w.chaos || !w.knobs.faults.has(FaultUsurp) || !w.chance(500) {
		return
	}
	w.report.Usurpations++
	w.strikes(FaultUsurp, from)
	w.tell("n%d is to hear nothing of who follows it", from.id)
	n.deafen(from)
	long := w.knobs.electionTimeout()
	w.mendAfter(between(w.rand, 0, long))
	w.askBoth(from, long/4)
}

// outlast keeps one of the others from hearing a leader until its promise to vote for nobody else has ended. Then nobody hears the leader any more, and all are told that its
// process has ended: they vote, unless their promises hold them back.
func (w *world) outlast(m *member) {
	var o *member
	for _, i := range w.rand.Perm(len(w.members)) {
		if o = w.members[i]; o != m && o.up {
			break
		}
	}
	w.network.mend()
	w.network.link(m.id, o.id).cut, w.network.link(o.id, m.id).cut = true, true
	over := w.knobs.leases.promise*1000/time.Duration(1000-w.knobs.drift) + between(w.rand, 0, w.knobs.electionTimeout())
	long := w.knobs.electionTimeout()
	w.mendAfter(over + long)
	incarnation, cuts := m.incarnation, w.network.cuts
	w.after(over, func() {
		if !w.chaos || w.network.cuts != cuts || !m.up || m.incarnation != incarnation || m.group.Status().Role != raft.Leader {
			return
		}
		w.tell("n%d has not heard n%d for long, and the others are to hear it no more", o.id, m.id)
		w.network.leaveAlone(m)
		for _, other := range w.members {
			if other != m {
				w.network.rumour(other, m.id)
			}
		}
		w.askBoth(m, long/2)
	})
}
