package sim

import (
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// Clocks that jump: forward, for the clock that a host is given never falls. What Balsa says of clocks is that those of two members differ in speed by no more than the
// leases are told (balsa.Config.ClockDrift), and that if it is not so reads at the level Lease, and nothing else, may miss what was applied before.
//
// A jump within that is one that a clock could have made by going as fast as it may, for as long as a promise lasts. So it is after it has gone as slow as it may for
// as long, and it goes on so afterwards. All reads are as fresh as ever.
//
// Any other jump ends the promises that its member has given before their time. A lease that rests on them lasts as long as promises do, at most. So a lease
// read that begins within that time must reflect only what was committed before the jump (checker.leaseFloor); everything else is demanded as ever. A leader's
// jump ends no promise: it gives none while it leads, and those that it gave before are to leaders that hold no lease any more. It makes leases shorter, and what is "at most
// so old" is so by the member's own clock.

func (w *world) harmJump(m *member) {
	w.strikes(FaultJump, m)
	switch w.rand.IntN(4) {
	case 0:
		m.jumpWithin()
	case 1:
		m.jump(w.drawJump())
	default:
		w.jumpAround(m)
	}
}

func (w *world) drawJump() time.Duration {
	return between(w.rand, time.Millisecond, pick(w.rand, w.knobs.electionTimeout(), 2*w.knobs.electionTimeout(), 10*time.Minute))
}

// promiseLasts is how long, at least, the longest promise lasts, and the shortest.
func (k *knobs) promiseLasts() (longest, shortest time.Duration) {
	longest = k.leases.promise * 1000 / time.Duration(1000+k.drift)
	if shortest = longest; k.leases.odd > 0 {
		shortest /= 2
	}
	return longest, shortest
}

// jumpWithin makes the clock jump as far as it may for the leases, in a while.
func (m *member) jumpWithin() {
	span := m.goSlowly(0)
	if span == 0 {
		return
	}
	incarnation := m.incarnation
	m.w.after(span, func() {
		if m.w.chaos && m.up && m.incarnation == incarnation && !m.asleep {
			m.jumpAsFarAsMay()
		}
	})
}

// goSlowly makes the clock go as slow as it may, so that it may jump once after the time that it returns, or some more; zero: it cannot be made so.
func (m *member) goSlowly(more time.Duration) (span time.Duration) {
	w := m.w
	span, _ = w.knobs.promiseLasts()
	if !m.up || m.asleep || span == 0 || w.now < m.rateHeld {
		return 0
	}
	m.setRate(1000 - w.knobs.drift)
	m.rateHeld = w.now + 2*span + more + 1
	m.mayJump = w.now + span
	m.tell("has a clock that goes at %d of 1000, and may jump", m.rate)
	return span
}

// holdClocks has all clocks but one go as slow as they may, and returns when they may jump.
func (w *world) holdClocks(but *member) (span time.Duration) {
	for _, o := range w.members {
		if o != but {
			span = max(span, o.goSlowly(8*w.knobs.heartbeat()))
		}
	}
	return span
}

// jumpAsFarAsMay makes the clock jump, if it has gone slow for long enough and goes on so for as long: so far that a promise which is given just before ends no sooner than by a clock that goes as
// fast as it may. In what is left of the promise's time, P - by at the slowest, a lease of P*(1-d)/(1+d) at the slowest has ended.
func (m *member) jumpAsFarAsMay() {
	longest, shortest := m.w.knobs.promiseLasts()
	if m.mayJump == 0 || m.w.now < m.mayJump || m.w.now+longest > m.rateHeld || m.asleep {
		return
	}
	m.mayJump = 0
	drift := time.Duration(m.w.knobs.drift)
	promise := shortest * (1000 - drift) / 1000
	m.w.reach(jumpsWithin)
	m.jumpBy(promise * 2 * drift / (1000 + drift))
}

// jump makes the clock jump farther than it may.
func (m *member) jump(by time.Duration) {
	if !m.up || m.asleep {
		return
	}
	if m.group.Status().Role != raft.Leader {
		m.w.checker.jumps = append(m.w.checker.jumps, m.w.now)
	}
	m.jumpBy(by)
	if m.w.chance(300) {
		m.host.Slept() // that is what a host takes it for whose other clock has not jumped
	}
	m.wake()
}

func (m *member) jumpBy(by time.Duration) {
	m.tell("has a clock that jumps by %v", by)
	m.clocks = append(m.clocks, clockSegment{at: m.w.now, shown: m.clock() + by, rate: m.rate})
}

// jumpAround cuts the leader off, and makes the others' clocks jump so that they can elect another one while it holds a lease; some of them have just started and
// would otherwise wait for the promises of before.
func (w *world) jumpAround(m *member) {
	if leader := w.leader(); leader != nil {
		m = leader
	}
	w.network.leaveAlone(m)
	long, restarts := w.knobs.electionTimeout()/2, pick(w.rand, 300, 1000)
	w.mendAfter(2 * long)
	for _, o := range w.members {
		if o == m || !o.up {
			continue
		}
		if w.chance(restarts) {
			o.die(death{})
			w.after(between(w.rand, 0, 50*time.Millisecond), o.restart)
		}
		w.after(between(w.rand, 50*time.Millisecond, 250*time.Millisecond), func() {
			if w.chaos {
				o.jump(8 * long)
			}
		})
	}
	w.askBoth(m, long)
}

// leaseFloor is what a lease read that begins now must reflect.
func (c *checker) leaseFloor() raft.Index {
	lasts, _ := c.w.knobs.promiseLasts()
	for len(c.jumps) > 0 && c.jumps[0]+lasts < c.w.now {
		c.jumps = c.jumps[1:]
	}
	if len(c.jumps) > 0 {
		return c.committedBy(c.jumps[0])
	}
	return c.committedTo()
}
