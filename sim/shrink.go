package sim

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Shrunk is a failing run that was made smaller.
type Shrunk struct {
	// Options repeat the small run.
	Options Options
	// Violation is how it fails: the same property as before.
	Violation  *Violation
	Before     Size
	After      Size
	Runs       int  // that were tried
	Unfinished bool // the time was over
}

// Size says how large a run is up to where it fails.
type Size struct {
	Members int // servers, with those that can become members
	Faults  int // decisions to make something go wrong
	Turns   int // of clients
	Kinds   int // of faults that can happen
	Steps   uint64
	Busy    uint64        // of the steps, those before all was mended, if it was
	Time    time.Duration // virtual

	Messages int // that are lost, doubled or late
}

func (s Size) String() string {
	busy := ""
	if s.Busy > 0 {
		busy = fmt.Sprintf(" (%d until all was mended)", s.Busy)
	}
	return fmt.Sprintf("%d servers, %d kinds of faults, %d faults, %d client turns, %d mishaps of messages, %d steps%s, %v",
		s.Members, s.Kinds, s.Faults, s.Turns, s.Messages, s.Steps, busy, s.Time.Round(time.Millisecond))
}

// Shrink runs o, which fails, and then parts of it, for about as long as limit, and returns the smallest that fails for the same reason. It leaves out kinds
// of faults, clients, time, members, single faults and single turns of clients (delta debugging: Zeller and Hildebrandt, 2002), and makes simpler what can be. The
// smallest may be of another seed: of those with the same options that are left, some fail sooner. progress, which may be nil, is called with each smaller
// run. It fails if o does not.
func Shrink(o Options, limit time.Duration, progress func(Size)) (*Shrunk, error) {
	o.Story, o.Trace = nil, nil
	s := &shrinker{deadline: time.Now().Add(limit), limit: limit, progress: func(Size) {}}
	t := s.run(o)
	if t.violation == nil {
		return nil, fmt.Errorf("sim: seed %d does not fail", o.Seed)
	}
	s.property, s.inFaults = t.violation.Property, !t.report.mended
	s.take(t)
	before := s.size
	s.hasten(t)
	if progress != nil {
		s.progress = progress
	}
	s.leap()
	for round := 0; round == 0 || s.better && !s.over(); round++ {
		s.better = false
		s.shorten()
		s.withoutKinds()
		s.simplify()
		s.fewerMembers()
		if round == 0 && s.sooner() {
			s.withoutKinds()
			s.simplify()
			s.fewerMembers()
		}
		s.withoutClients()
		s.withoutDecisions()
		s.confirm()
	}
	s.name()
	if s.confirm() && s.impatient {
		s.take(s.sure)
	}
	return &Shrunk{Options: s.best, Violation: s.violation, Before: before, After: s.size, Runs: int(s.runs.Load()), Unfinished: s.over()}, nil
}

type shrinker struct {
	deadline time.Time
	limit    time.Duration
	progress func(Size)
	property string
	inFaults bool // it fails before anything is mended: what comes after need not be run
	runs     atomic.Int64
	better   bool // something was found in this round
	hurry    bool // it is looked for among faults alone

	impatient bool  // what is stuck is waited for a short time: see shrinklate.go
	sure      tried // the last that is known to fail also if it is waited for

	best      Options
	violation *Violation
	decisions []Decision // of the best
	faults    Faults     // that can happen in it
	size      Size
	weight    uint64        // of the best: see weigh
	lasted    time.Duration // how long its faults go on
}

func (s *shrinker) over() bool { return !time.Now().Before(s.deadline) }

// tried is a run, and how it failed; nil: it did not.
type tried struct {
	options   Options
	report    *Report
	violation *Violation
	decisions []Decision
}

// run can be called by several goroutines at once, if there are no guests.
func (s *shrinker) run(o Options) tried {
	t := tried{options: o}
	o.decided = func(d Decision) { t.decisions = append(t.decisions, d) }
	if o.hurry = s.inFaults || s.hurry; !o.hurry && s.violation != nil && s.property != "Liveness" {
		// After the faults it fails as soon as the best does, or not much later.
		o.until = s.size.Time + s.size.Time/4 + 10*time.Second
	}
	if s.impatient {
		o.patience = shrinkPatience
	}
	s.runs.Add(1)
	r, err := Run(o)
	t.report = r
	errors.As(err, &t.violation)
	return t
}

// try takes a run over that still fails for the same reason.
func (s *shrinker) try(o Options) bool {
	return !s.over() && s.accept(s.run(o))
}

// accept takes a run over if it fails for the same reason.
func (s *shrinker) accept(t tried) bool {
	if t.violation == nil || t.violation.Property != s.property || s.inFaults && t.report.mended {
		return false
	}
	if weight := s.weigh(t.report); weight > s.weight+s.weight/8 {
		return false // with less that goes wrong more may happen before it fails
	}
	s.inFaults = !t.report.mended
	s.take(t)
	s.better = true
	s.progress(s.size)
	return true
}

func (s *shrinker) take(t tried) {
	o, r, v, ds := t.options, t.report, t.violation, t.decisions
	if s.inFaults {
		o.Duration = v.At + 1
	}
	s.best, s.violation, s.decisions, s.faults = o, v, ds, r.faults
	s.size = Size{Members: r.Members, Steps: r.Steps, Time: v.At, Faults: len(o.Add)}
	s.weight, s.lasted = s.weigh(r), r.lasted
	if r.mended {
		s.size.Busy = r.busy
	}
	for _, d := range ds {
		s.size.Messages += bit(d.ofMessage())
		s.size.Faults += bit(d.Source < 0 && !d.ofMessage())
		s.size.Turns += bit(d.Source >= 0)
	}
	for f := Faults(1); f < FaultNone; f <<= 1 {
		s.size.Kinds += bit(r.faults.has(f))
	}
}

// shorten tries less time. One that fails among its faults ends there already.
func (s *shrinker) shorten() {
	if s.inFaults {
		return
	}
	for part := s.lasted / 2; part > shortestPart && part > s.lasted/64; part /= 2 {
		o := s.best
		o.Duration = (s.lasted - part).Round(time.Millisecond)
		s.try(o)
	}
}

func (s *shrinker) withoutKinds() {
	var kinds []Faults
	for f := Faults(1); f < FaultNone; f <<= 1 {
		if s.faults.has(f) {
			kinds = append(kinds, f)
		}
	}
	drop(kinds, func(some []Faults) bool {
		o := s.best
		for _, f := range some {
			o.Without.faults |= f
		}
		return s.try(o)
	})
}

const (
	stepsFew   = 300  // a run that short needs no other seed
	stepsMany  = 1000 // in the time that one that long takes, many short ones can be tried
	othersPart = 3    // of the time, one part goes to other seeds, twice
	othersStep = 1000 // from one to the next: not those that a search may have run
	leapTime   = 10 * time.Second
)

// leap tries other seeds for a short time, before anything is taken from a long run. A fault that shows once in some hundred runs shows in short
// and simple ones, too.
func (s *shrinker) leap() {
	first := s.best
	s.others(stepsMany, func(n uint64) Options {
		o := first
		o.Duration = leapTime
		if n%3 > 0 {
			o.Members = min(3, s.firstMembers())
		}
		if n%3 > 1 {
			o.Without.simple, o.Duration = simplest, leapTime/2 // elections come soon in it
		}
		return o
	})
}

// sooner tries other seeds of what is left, for less time than the best has. Where an accident leads to a failure after a minute, there is often
// a seed in which it happens soon. It reports whether there was one.
func (s *shrinker) sooner() (found bool) {
	return s.others(stepsFew, func(uint64) Options {
		o := s.best
		o.Duration = s.size.Time / 2
		if s.isLate() {
			o.Duration = s.lasted / 2
		}
		return o
	})
}

// others tries other seeds as long as the best has more than so many steps.
func (s *shrinker) others(steps uint64, of func(n uint64) Options) (found bool) {
	first, end := s.best.Seed, time.Now().Add(s.limit/othersPart)
	s.hurry = !s.isLate()
	defer func() { s.hurry = false }()
	several := make([]tried, runtime.GOMAXPROCS(0))
	if s.best.guests != nil {
		several = several[:1] // they belong to one run at a time
	}
	for n := uint64(1); s.weight > steps && time.Now().Before(end); {
		var all sync.WaitGroup
		for i := range several {
			o := of(n)
			if o.Seed = first + n*othersStep; o.Duration == 0 {
				return found
			}
			n++
			all.Go(func() { several[i] = s.run(o) })
		}
		all.Wait()
		for _, t := range several {
			found = s.weigh(t.report) < s.weight/2 && s.isAlike(t) && s.accept(t) || found
		}
	}
	return found
}

// simplify puts simple things in place of what the seed has decided.
func (s *shrinker) simplify() {
	var can []simple
	for i := range simples {
		if s.best.Without.simple&(1<<i) == 0 {
			can = append(can, 1<<i)
		}
	}
	drop(can, func(some []simple) bool {
		o := s.best
		for _, one := range some {
			o.Without.simple |= one
		}
		return s.try(o)
	})
	var mishaps []mishapOf
	for _, m := range allMishaps() {
		if s.faults.has(m.fault) && !s.best.Without.mishaps[m] {
			mishaps = append(mishaps, m)
		}
	}
	drop(mishaps, func(some []mishapOf) bool {
		o := s.best
		o.Without = o.Without.clone()
		for _, m := range some {
			o.Without.addMishap(m)
		}
		return s.try(o)
	})
}

func (s *shrinker) withoutClients() {
	if o := s.best; !o.Without.calls {
		o.Without.calls = true
		s.try(o)
	}
	clients := make(map[int]bool)
	for _, d := range s.decisions {
		if d.Source >= 0 {
			clients[d.Source] = true
		}
	}
	drop(slices.Sorted(maps.Keys(clients)), func(some []int) bool {
		o := s.best
		o.Without = o.Without.clone()
		for _, client := range some {
			o.Without.addClient(client)
		}
		return s.try(o)
	})
}

// fewerMembers is another run; it may fail for the same reason.
func (s *shrinker) fewerMembers() {
	for _, n := range []int{1, 2, 3} {
		if o := s.best; n < s.firstMembers() {
			if o.Members = n; s.try(o) {
				return
			}
		}
	}
}

func (s *shrinker) firstMembers() int {
	if s.best.Members != 0 {
		return s.best.Members
	}
	return s.size.Members
}

func (s *shrinker) withoutDecisions() {
	drop(s.best.Add, func(some []Added) bool {
		o := s.best
		o.Add = slices.DeleteFunc(slices.Clone(o.Add), func(a Added) bool { return slices.Contains(some, a) })
		return s.try(o)
	})
	of := func(d Decision) int { return bit(d.Source >= 0) + 2*bit(d.ofMessage()) }
	for kind := range 3 {
		ds := slices.DeleteFunc(slices.Clone(s.decisions), func(d Decision) bool { return of(d) != kind })
		drop(ds, func(some []Decision) bool {
			o := s.best
			o.Without = o.Without.clone()
			for _, d := range some {
				o.Without.addDecision(d)
			}
			return s.try(o)
		})
	}
}

// name says what is left and not what is left out, if that is shorter and the same run.
func (s *shrinker) name() {
	s.best.Without = s.best.Without.clone()
	maps.DeleteFunc(s.best.Without.mishaps, func(m mishapOf, _ bool) bool { return !s.faults.has(m.fault) })
	o := s.best
	o.Without.clients, o.Without.decisions = nil, nil
	for _, d := range s.decisions {
		if !d.ofMessage() || s.best.Without.messages {
			o.Only.addDecision(d)
		}
	}
	o.Only.nothing = len(o.Only.decisions) == 0
	if len(o.Flags("-")) >= len(s.best.Flags("-")) {
		return
	}
	if v := s.run(o).violation; v != nil && v.At == s.violation.At && v.Step == s.violation.Step {
		s.best = o
	}
}

// drop leaves out as many items as it can: halves first, then smaller parts, at last single ones. without reports whether what is left without some
// is good; then they stay out.
func drop[T any](items []T, without func(some []T) bool) {
	for part := max(1, len(items)); part > 0 && len(items) > 0; part /= 2 {
		for at := 0; at < len(items); {
			end := min(at+part, len(items))
			if without(items[at:end]) {
				items = slices.Delete(slices.Clone(items), at, end)
			} else {
				at = end
			}
		}
	}
}

func (o Decisions) clone() Decisions {
	o.clients, o.decisions, o.mishaps = maps.Clone(o.clients), maps.Clone(o.decisions), maps.Clone(o.mishaps)
	return o
}
