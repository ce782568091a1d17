package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// world is one run: everything in it happens in one goroutine, in the order of the queue.
type world struct {
	options Options
	knobs   knobs
	rand    *rand.Rand // decides what happens now; see streams.go

	now      time.Duration // virtual
	queue    queue
	steps    uint64 // events so far
	trace    uint64 // hash of everything that has happened
	chaos    bool   // faults happen
	mendedAt time.Duration

	rotsOfJournals uint64
	rotsOfGuests   uint64
	rotAtStart     int            // disks of guests that are to rot before they are read
	fullIn         map[string]int // how many calls of guests it takes until one finds its disk full, by their names; zero: none does
	rotsRead       int            // reads of a log, of those that come next, one of which is to find rot
	rotReads       uint64         // those that might have
	harms          int            // how often the nemesis had its turn
	ambushes       int            // and the chance of more
	plot           *plot          // nil: there is none
	failure        *Violation

	undisturbedUntil time.Duration // no other fault strikes before

	members []*member
	network *network
	clients *clients
	checker *checker
	lines   *traceWriter // nil: nobody wants a trace, or a story
	story   *story       // nil: nobody wants it
	report  Report
}

func newWorld(o Options) *world {
	w := &world{options: o, rand: rand.New(rand.NewPCG(o.Seed, 0)), trace: o.Seed, chaos: true}
	w.knobs = drawKnobs(o, w.rand)
	w.knobs.faults &^= o.Without.faults
	w.report.Events = make(map[raft.EventKind]int)
	w.checker = newChecker(w)
	for _, id := range w.knobs.raft.Configuration.Voters() {
		w.members = append(w.members, newMember(w, id))
		w.member(id).standing = isMember
	}
	for range w.knobs.spares {
		m := newMember(w, raft.NodeID(len(w.members)+1))
		m.joins = true
		w.members = append(w.members, m)
	}
	w.network = newNetwork(w)
	w.clients = newClients(w)
	w.lines = newTraceWriter(w)
	if o.Story != nil {
		w.story = &story{all: o.All, last: make(map[string][]string)}
	}
	if o.guests != nil {
		o.guests.begin(w)
	}
	return w
}

// member returns the member of an id.
func (w *world) member(id raft.NodeID) *member { return w.members[id-1] }

// after makes f happen after a delay.
func (w *world) after(delay time.Duration, f func()) {
	w.queue.push(event{at: w.now + delay, order: w.queue.pushed, rand: w.rand, f: f})
}

// run lets things happen until the time is end, done says so, or a check fails. done may be nil.
func (w *world) run(end time.Duration, done func() bool) {
	was := w.rand
	defer func() { w.rand = was }()
	for w.failure == nil && len(w.queue.events) > 0 && w.queue.events[0].at <= end {
		e := w.queue.pop()
		if w.options.until > 0 && e.at > w.options.until {
			w.fail(undecided, "the time is over")
			return
		}
		w.now = e.at
		w.steps++
		w.mix(uint64(e.at), e.order)
		w.rand = e.rand
		e.f()
		if done != nil && done() {
			return
		}
	}
	w.now = max(w.now, end)
}

// chance is true in n of 1000 cases.
func (w *world) chance(n int) bool { return w.rand.IntN(1000) < n }

// mix takes part of what happened into the trace.
func (w *world) mix(vs ...uint64) {
	for _, v := range vs {
		w.trace = mix(w.trace, v)
	}
}

// mix is a step of a hash (the finalizer of splitmix64).
func mix(h, v uint64) uint64 {
	h += v + 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

func mixBytes(h uint64, b []byte) uint64 {
	for ; len(b) >= 8; b = b[8:] {
		h = mix(h, uint64(b[0])|uint64(b[1])<<8|uint64(b[2])<<16|uint64(b[3])<<24|
			uint64(b[4])<<32|uint64(b[5])<<40|uint64(b[6])<<48|uint64(b[7])<<56)
	}
	tail := uint64(len(b))
	for _, c := range b {
		tail = tail<<8 | uint64(c)
	}
	return mix(h, tail)
}

// fail ends the run: property does not hold. The first failure counts; what follows it may be its consequence.
func (w *world) fail(property, format string, args ...any) {
	if w.failure != nil {
		return
	}
	w.failure = &Violation{Seed: w.options.Seed, Property: property, Detail: fmt.Sprintf(format, args...), At: w.now, Step: w.steps, About: subjectOf(args)}
	w.tell("FAILED: %s: %s", w.failure.Property, w.failure.Detail)
	w.record(TraceLine{Kind: TraceFailed, What: w.failure.Property, Text: w.failure.Detail})
	for _, m := range w.members {
		w.tell("%v", m)
	}
}

// undecided is in place of a property when a run is broken off.
const undecided = "Undecided"

// plantedProperty is what does not hold in runs that tests make fail.
const plantedProperty = "Planted"

// event is something that will happen.
type event struct {
	at    time.Duration
	order uint64 // of those at the same time, the earliest pushed comes first
	rand  *rand.Rand
	f     func()
}

func (e event) before(f event) bool { return e.at < f.at || e.at == f.at && e.order < f.order }

// queue is a heap of events.
type queue struct {
	events []event
	pushed uint64
}

func (q *queue) push(e event) {
	q.pushed++
	q.events = append(q.events, e)
	for i := len(q.events) - 1; i > 0 && q.events[i].before(q.events[(i-1)/2]); i = (i - 1) / 2 {
		q.events[i], q.events[(i-1)/2] = q.events[(i-1)/2], q.events[i]
	}
}

func (q *queue) pop() event {
	top, last := q.events[0], len(q.events)-1
	q.events[0] = q.events[last]
	q.events[last] = event{}
	q.events = q.events[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if q.events[child].before(q.events[least]) {
				least = child
			}
		}
		if least == i {
			return top
		}
		q.events[i], q.events[least] = q.events[least], q.events[i]
		i = least
	}
}
