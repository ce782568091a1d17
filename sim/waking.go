package sim

import "time"

// A machine that wakes up must not take what it knew before it slept for new: its clock does not tell for how long it did.

// freshen asks a member for reads that make sure how fresh its state is.
func (c *clients) freshen(m *member) {
	c.extra(func() {
		for range 3 {
			c.w.after(between(c.w.rand, 0, 2*c.w.knobs.latency), func() {
				if m.up && !m.paused() && !c.stopped {
					c.begin(c.read(-1, m, c.w.rand.IntN(c.w.knobs.keys), ask{}))
				}
			})
		}
	})
}

// askAtWaking asks a member that sleeps, just when it wakes up, for reads that may be some time old: what they may be by a clock that has gone on.
func (c *clients) askAtWaking(m *member) {
	incarnation, at := m.incarnation, m.pausedUntil
	c.extra(func() {
		for range 4 {
			age := between(c.w.rand, 0, pick(c.w.rand, 500*time.Millisecond, 2*c.w.knobs.electionTimeout()))
			c.w.after(at-c.w.now+between(c.w.rand, 0, 30*time.Millisecond), func() {
				if m.up && m.incarnation == incarnation && !c.stopped {
					c.w.reach(wakesFresh)
					c.begin(c.read(-1, m, c.w.rand.IntN(c.w.knobs.keys), ask{level: atMostOld, age: age}))
				}
			})
		}
	})
}
