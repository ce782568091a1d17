package sim

import (
	"testing"
	"time"
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
