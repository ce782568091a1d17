package sim

import (
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// TestClock: what a clock shows that goes at half its speed, is suspended, and then goes at twice its speed; and when it showed that last.
func TestClock(t *testing.T) {
	w := newWorld(Options{Seed: 1})
	m := w.members[0]
	m.up = true
	const s = time.Second
	m.clocks = []clockSegment{{at: 2 * s, rate: 500}}
	w.now = 6 * s
	m.suspend(10 * s)
	w.now = 10 * s
	m.setRate(2000)
	for _, test := range []struct{ now, shows, last, woke time.Duration }{
		{2 * s, 0, 2 * s, 0}, {4 * s, s, 4 * s, 0}, {10 * s, 2 * s, 10 * s, 10 * s}, {11 * s, 4 * s, 11 * s, 10 * s},
	} {
		if last := m.lastShown(test.shows); last != test.last {
			t.Errorf("%v was shown last at %v, want %v", test.shows, last, test.last)
		}
		if woke := m.wokeAt(test.now); woke != test.woke {
			t.Errorf("at %v it woke last at %v, want %v", test.now, woke, test.woke)
		}
		if test.now >= 10*s {
			if w.now = test.now; m.clock() != test.shows {
				t.Errorf("at %v the clock shows %v, want %v", test.now, m.clock(), test.shows)
			}
		}
	}
}

// TestClockJumps: a clock that jumps shows what it shows after the jump, and what it jumped over it showed last when it did.
func TestClockJumps(t *testing.T) {
	w := newWorld(Options{Seed: 1})
	m := w.members[0]
	m.up = true
	const s = time.Second
	m.clocks, m.rate = []clockSegment{{rate: 1000}}, 1000
	w.now = 10 * s
	m.jumpBy(5 * s)
	if w.now = 12 * s; m.clock() != 17*s || m.wokeAt(w.now) != 0 {
		t.Errorf("the clock shows %v, and woke at %v", m.clock(), m.wokeAt(w.now))
	}
	for shown, want := range map[time.Duration]time.Duration{9 * s: 9 * s, 10 * s: 10 * s, 14 * s: 10 * s, 16 * s: 11 * s} {
		if last := m.lastShown(shown); last != want {
			t.Errorf("%v was shown last at %v, want %v", shown, last, want)
		}
	}
}

// TestLeaseFloor: a jump lowers what lease reads must reflect to what was committed before it, for as long as a promise lasts.
func TestLeaseFloor(t *testing.T) {
	w := newWorld(Options{Seed: 1})
	const s = time.Second
	w.knobs.leases, w.knobs.drift = leases{promise: 2 * s}, 0
	w.checker.committed = []committed{{at: 1 * s}, {at: 5 * s}, {at: 6 * s}}
	w.checker.jumps = []time.Duration{4 * s, 5 * s}
	for _, test := range []struct {
		now  time.Duration
		want raft.Index
	}{{5 * s, 1}, {6 * s, 1}, {7 * s, 2}, {8 * s, 3}} {
		if w.now = test.now; w.checker.leaseFloor() != test.want {
			t.Errorf("at %v a lease read must reflect %d, want %d", test.now, w.checker.leaseFloor(), test.want)
		}
	}
}
