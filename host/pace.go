package host

import "time"

// allowance is how much may be done at some rate.
type allowance struct {
	bytes  int64         // that may be done now; less than zero after a piece that was larger
	raised time.Duration // when
}

// raise lets time pass. An idle second saves up no more than a tenth of one, or least, if that is more.
func (a *allowance) raise(rate, least int64, now time.Duration) {
	passed := min(now-a.raised, time.Second/10)
	a.raised = now
	a.bytes = min(a.bytes+rate*int64(passed)/int64(time.Second), max(rate/10, least))
}

// growth measures how fast something grows.
type growth struct {
	total   uint64 // when it was last looked at
	looked  time.Duration
	current int64 // bytes a second
}

const (
	growthInterval = 200 * time.Millisecond
	// growthLead is how many times faster than the log grows old entries are sent at least: or who lacks them would never catch up.
	growthLead = 2
)

// rate returns the bytes a second by which the total has grown lately, zero if nobody has looked for some time.
func (g *growth) rate(total uint64, now time.Duration) int64 {
	switch passed := now - g.looked; {
	case passed >= 10*growthInterval:
		*g = growth{total: total, looked: now}
	case passed >= growthInterval:
		*g = growth{total: total, looked: now, current: int64(float64(total-g.total) / passed.Seconds())}
	}
	return g.current
}
