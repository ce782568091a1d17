package sim

import (
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// Clocks go at speeds of their own, which change, within what members are told of each other's (raft.Config.Lease). They go on while a process is paused, and
// stand still while its machine is suspended, of which it is told when it goes on. They can jump: see jump.go.

// clockSegment is a stretch in which a clock goes at one speed.
type clockSegment struct {
	at, shown time.Duration // from then on, and what it showed
	rate      int64         // of 1000
}

func (m *member) startClock() {
	m.clocks, m.asleep, m.rateHeld = nil, false, 0
	m.rate = m.w.drawRate()
	m.clocks = append(m.clocks, clockSegment{at: m.w.now, rate: m.rate})
}

// drawRate is often the fastest or the slowest that there is: a bound is seen to hold at its ends.
func (w *world) drawRate() int64 {
	drift := w.knobs.drift
	return pick(w.rand, 1000-drift, 1000+drift, 1000-drift+w.rand.Int64N(2*drift+1))
}

// clock is the time that the process sees.
func (m *member) clock() time.Duration {
	last := m.clocks[len(m.clocks)-1]
	if m.w.now < last.at {
		return last.shown
	}
	return last.shown + (m.w.now-last.at)*time.Duration(last.rate)/1000
}

// lastShown is the last moment at which the clock showed t or less.
func (m *member) lastShown(t time.Duration) time.Duration {
	for i := len(m.clocks) - 1; i >= 0; i-- {
		if c := m.clocks[i]; c.shown <= t {
			at := c.at + (t-c.shown)*1000/time.Duration(c.rate)
			if i+1 < len(m.clocks) {
				at = min(at, m.clocks[i+1].at) // it has jumped over t
			}
			return at
		}
	}
	return m.started
}

func (m *member) setRate(rate int64) {
	if m.w.now < m.rateHeld {
		return
	}
	m.clocks = append(m.clocks, clockSegment{at: max(m.w.now, m.clocks[len(m.clocks)-1].at), shown: m.clock(), rate: rate})
	m.rate = rate
}

// suspend lets the clock stand still.
func (m *member) suspend(until time.Duration) {
	m.clocks = append(m.clocks, clockSegment{at: until, shown: m.clock(), rate: m.rate})
	m.asleep = true
}

// wokeAt is when the clock went on again that had stood still last, before t; zero: it never has.
func (m *member) wokeAt(t time.Duration) time.Duration {
	for i := len(m.clocks) - 1; i > 0; i-- {
		c, before := m.clocks[i], m.clocks[i-1]
		if stood := before.shown+(c.at-before.at)*time.Duration(before.rate)/1000 > c.shown; stood && c.at <= t {
			return c.at
		}
	}
	return 0
}

// resume ends a pause before its time.
func (m *member) resume() {
	m.pausedUntil = min(m.pausedUntil, m.w.now)
	if n := len(m.clocks); m.up && n > 0 {
		m.clocks[n-1].at = min(m.clocks[n-1].at, m.w.now)
	}
}

// wakeUp tells the process that its clock has stood still. While it still does, the process is told again later.
func (m *member) wakeUp() {
	if m.asleep {
		if leader := m.w.leader(); m.group != nil && m.group.Status().Role == raft.Leader && leader != nil && leader != m {
			m.w.reach(deposedWakes)
		}
		m.asleep = m.w.now < m.clocks[len(m.clocks)-1].at
		m.host.Slept()
	}
}

func (w *world) harmClock(m *member) {
	if m.up && !m.asleep {
		w.strikes(FaultClock, m)
		m.setRate(w.drawRate())
		m.tell("has a clock that goes at %d of 1000", m.rate)
	}
}

// wallClock is what the computer's clock shows at a start, in nanoseconds. It has moved on since the last one, or was set back by hours.
func (m *member) wallClock() uint64 {
	const begin = uint64(1000 * time.Hour)
	t := begin + uint64(m.w.now) + uint64(m.incarnation)
	if m.w.knobs.setBack {
		m.w.with(m.w.stream(ofWallClock, uint64(m.id), uint64(m.incarnation)), func() {
			if m.w.chance(500) {
				t -= uint64(between(m.w.rand, 0, 100*time.Hour))
			}
		})
	}
	return t
}
