package trace

import (
	"sync"
	"time"
)

// Recorder is a Tracer that keeps up to so many hops, and then none.
type Recorder struct {
	start time.Time

	mu   sync.Mutex
	hops []Hop
	max  int
	lost int // that there was no room for
}

// NewRecorder returns a recorder whose times count from start. Use one for each member: they are told at the same time.
func NewRecorder(start time.Time, hopsMax int) *Recorder {
	return &Recorder{start: start, max: hopsMax}
}

// Hop implements Tracer.
func (r *Recorder) Hop(h Hop) {
	h.At = time.Since(r.start)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.hops) >= r.max {
		r.lost++
		return
	}
	r.hops = append(r.hops, h)
}

// Take returns what was kept since the last Take, and how many hops there was no room for.
func (r *Recorder) Take() (hops []Hop, lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	hops, lost = r.hops, r.lost
	r.hops, r.lost = nil, 0
	return hops, lost
}
