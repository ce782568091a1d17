package sim

import (
	"regexp"
	"time"
)

// What shows only when all is mended, and something does not go on, takes most of its steps to wait for what will not come. It is made smaller by the steps before
// that, and while it is, it is waited for less.

// shrinkPatience takes the place of recoveryMax in runs that are tried.
const shrinkPatience = time.Minute

// shortestPart is the least by which the time with faults is made shorter.
const shortestPart = 50 * time.Millisecond

// isLate reports whether what is looked for shows only when all is mended, because something does not go on.
func (s *shrinker) isLate() bool { return s.property == "Liveness" && !s.inFaults }

// weigh says how large a run is: its steps, without those in which it is waited.
func (s *shrinker) weigh(r *Report) uint64 {
	if s.isLate() && r.mended {
		return r.busy
	}
	return r.Steps
}

// hasten waits less, if the run fails then, too.
func (s *shrinker) hasten(full tried) {
	if !s.isLate() {
		return
	}
	s.impatient = true
	t := s.run(s.best)
	if t.violation == nil || !s.accept(t) {
		s.impatient = false
		return
	}
	s.sure = full
}

// confirm lets the best wait for as long as any other run does. If it does not fail then it is given up, for the last that does.
func (s *shrinker) confirm() bool {
	if !s.impatient {
		return true
	}
	s.impatient = false
	t := s.run(s.best)
	if t.violation == nil || t.violation.Property != s.property || !t.report.mended {
		s.take(s.sure)
		return false
	}
	s.impatient, s.sure = true, t
	return true
}

var inDetail = regexp.MustCompile(`[0-9]+`)

// isAlike reports whether a run of another seed fails in a like way: by the first words of what was found. There are many ways not to go on.
func (s *shrinker) isAlike(t tried) bool {
	if !s.isLate() || t.violation == nil {
		return true
	}
	first := func(v *Violation) string {
		text := inDetail.ReplaceAllString(v.Detail, "")
		return text[:min(len(text), 45)]
	}
	return first(t.violation) == first(s.violation)
}
