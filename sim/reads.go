package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// Reads of all levels, on members in any state, and what each level promises.

// level is which of host's levels a read has.
type level uint8

const (
	linearizable level = iota
	lease
	atMostOld
	atLeast
	local
	levels
)

func (l level) String() string {
	return [...]string{"linearizable", "lease", "at most old", "at least", "local"}[l]
}

// strict reports whether reads of the level are part of one order with all writes.
func (l level) strict() bool { return l <= lease }

// ask is what a client wants of a read.
type ask struct {
	level    level
	index    raft.Index    // of atLeast
	age      time.Duration // of atMostOld
	hopeless bool          // it may never be answered
}

func (a ask) of() host.Level {
	switch a.level {
	case lease:
		return host.Lease
	case atMostOld:
		return host.AtMostOld(a.age)
	case atLeast:
		return host.AtLeast(a.index)
	case local:
		return host.Local
	}
	return host.Linearizable
}

// plight is the state of a member that is asked, as nobody but the simulator knows it.
type plight uint8

const (
	leads     plight = iota
	deposed          // it believes to lead, and a later term has a leader
	handsOver        // it leads, and a transfer is under way
	follows
	learns
	stands // or knows no leader
	isPaused
	isCutOff // it hears no majority, or is not heard by one
	isBroken // it has stopped by itself
	plights
)

func (p plight) String() string {
	return [...]string{"leader", "deposed", "handing over", "follower", "learner", "without a leader", "paused", "cut off", "broken"}[p]
}

func (w *world) plightOf(m *member) plight {
	s := m.group.Status()
	own, _ := s.Configuration.Member(m.id)
	switch leader := w.leader(); {
	case m.group.Err() != nil:
		return isBroken
	case m.paused():
		return isPaused
	case s.Role == raft.Leader && leader != m:
		return deposed
	case w.network.isolates(m, s.Configuration.Configuration):
		return isCutOff
	case s.Role == raft.Leader && len(m.handovers) > 0:
		return handsOver
	case s.Role == raft.Leader:
		return leads
	case s.Leader == 0:
		return stands
	case own.Suffrage == raft.Learner:
		return learns
	}
	return follows
}

// isolates reports whether a member has links in both directions to no majority.
func (n *network) isolates(m *member, cfg raft.Configuration) bool {
	reaches := func(id raft.NodeID) bool {
		return id == m.id || !n.link(m.id, id).cut && !n.link(id, m.id).cut
	}
	return len(cfg.Voters()) > 0 && !enough(cfg, reaches)
}

// ReadCount is what became of the reads of a level on members in a state.
type ReadCount struct{ Asked, Answered int }

// readCounts is by level and plight.
type readCounts [levels][plights]ReadCount

func (c *readCounts) add(more *readCounts) {
	for l := range c {
		for p := range c[l] {
			c[l][p].Asked += more[l][p].Asked
			c[l][p].Answered += more[l][p].Answered
		}
	}
}

func (c *readCounts) String() (s string) {
	for l := range c {
		s += fmt.Sprintf("\n\t%v:", level(l))
		for p, n := range c[l] {
			s += fmt.Sprintf(" %v %d/%d,", plight(p), n.Answered, n.Asked)
		}
	}
	return s
}

// leases is how much a run makes of them.
type leases struct {
	promise time.Duration // zero: there are none
	odd     int           // of 1000 starts, those with another promise than usual
	weights [levels]int   // of what clients ask for
}

func drawLeases(r *rand.Rand, electionTicks int) leases {
	usual := time.Duration(electionTicks) * tick
	return leases{
		promise: pick(r, 0, usual/2, usual, usual, usual, 2*usual),
		odd:     pick(r, 0, 0, 300, 900),
		weights: pick(r, [levels]int{8, 0, 0, 0, 0}, [levels]int{4, 4, 4, 2, 2}, [levels]int{1, 8, 1, 0, 0}, [levels]int{1, 1, 8, 1, 1}, [levels]int{2, 2, 1, 4, 4}),
	}
}

// promises are host.Config's Promise and Lease of a member that starts.
func (k *knobs) promises(r *rand.Rand) (promise, lease time.Duration) {
	promise = k.leases.promise
	if r.IntN(1000) < k.leases.odd {
		promise = pick(r, 0, promise/2)
	}
	// Clocks show whole nanoseconds.
	return promise, max(0, promise*time.Duration(1000-k.drift)/time.Duration(1000+k.drift)-2)
}

// drawAsk is what a client may want.
func (c *clients) drawAsk() ask {
	w := c.w
	n, l := 0, linearizable
	for _, weight := range w.knobs.leases.weights {
		n += weight
	}
	for n = w.rand.IntN(n); n >= w.knobs.leases.weights[l]; l++ {
		n -= w.knobs.leases.weights[l]
	}
	a := ask{level: l}
	switch last := c.w.checker.committedTo(); l {
	case atMostOld:
		a.age = pick(w.rand, 0, 10*time.Millisecond, 200*time.Millisecond, w.knobs.electionTimeout()/2, between(w.rand, 0, 100*time.Second))
	case atLeast:
		a.index = pick(w.rand, last, raft.Index(w.rand.Uint64N(uint64(last)+1)), last+1, last+raft.Index(w.rand.IntN(100)))
		a.hopeless = a.index > last
	}
	return a
}

// read asks a member.
func (c *clients) read(client int, m *member, key int, a ask) *operation {
	w := c.w
	w.report.Reads++
	op := c.operation(client, m, key)
	op.ask, op.plight, op.shardSteps = a, w.plightOf(m), m.stepsShard
	op.floor, op.began = w.checker.floor(m, a), w.checker.committedTo()
	w.report.ReadsBy[a.level][op.plight].Asked++
	w.reachIf(leaseOfDeposed, a.level == lease && op.plight == deposed)
	if m.group.Status().Role == raft.Leader && m.commit < op.floor {
		w.report.ReadsOfDeposed++
	}
	w.tellCall(op, false)
	var err error
	if op.read, err = m.group.Read(a.of()); err != nil {
		c.endRead(op, 0, err)
	}
	return op
}

// floor is what a read that begins now must reflect.
func (c *checker) floor(m *member, a ask) raft.Index {
	switch a.level {
	case atLeast:
		return a.index
	case local:
		return 0
	case lease:
		return c.leaseFloor()
	case atMostOld:
		const granularity = 2 // nanoseconds, of clocks
		since := m.lastShown(m.clock() - a.age - granularity)
		const before = 1 // what is committed in the moment of waking may come after a question of that moment
		return c.committedBy(min(m.w.now, max(since, m.wokeAt(m.w.now)-before)))
	}
	return c.committedTo()
}

func (c *clients) endRead(op *operation, i raft.Index, err error) {
	op.ended = true
	m, w := op.m, c.w
	if err != nil {
		w.tellCall(op, true)
		return
	}
	op.Outcome, op.Index, op.Return = OutcomeApplied, i, w.steps
	op.Value = m.machine.values[op.Key]
	w.tellCall(op, true)
	w.report.ReadsBy[op.ask.level][op.plight].Answered++
	if m.stepsShard <= op.shardSteps+1 && len(m.group.Status().Configuration.Voters()) > 1 { // no message can have come back meanwhile
		switch op.ask.level {
		case lease:
			w.report.ReadsUnderLease++
		case atMostOld:
			w.report.ReadsNotOld++
		}
	}
	w.reachIf(staleLease, op.stale())
	w.checker.fresh(op, i)
}

// stale reports whether a lease read misses what it would reflect had no clock jumped: then it is no part of the order of strict reads and writes.
func (op *operation) stale() bool { return op.ask.level == lease && !op.Write && op.Index < op.began }

// fresh: a read reflects what its level promises, it is of what the member's machine has executed, and a member's local reads never go back.
func (c *checker) fresh(op *operation, i raft.Index) {
	m := op.m
	if i < op.floor {
		c.w.fail("Read Freshness", "%v (%v) reflects entry %d, and must reflect %d", op, op.ask.of(), i, op.floor)
	}
	if op.ask.level == local {
		if i < m.local {
			c.w.fail("Read Freshness", "%v (local) reflects entry %d, and one before it has reflected %d", op, i, m.local)
		}
		m.local = i
	}
	if i > c.committedTo() {
		c.w.fail("Read Freshness", "%v is said to reflect entry %d, and %d is committed", op, i, c.committedTo())
		return
	}
	if at, _ := c.stateAt(i); m.machine.applied < at {
		c.w.fail("Read Freshness", "%v is said to reflect entry %d, and the machine is after command %d of %d", op, i, m.machine.applied, at)
	}
}

// demandReads checks that in a cluster where nothing is wrong every member answers reads of every level.
func (w *world) demandReads() {
	var open []*operation
	for _, m := range w.cluster() {
		for l := range levels {
			op := w.clients.read(-1, m, 0, ask{level: l, index: w.checker.committedTo(), age: 10 * time.Millisecond})
			op.patient = true
			open = append(open, op)
			w.clients.begin(op)
		}
	}
	answered := func() bool {
		for _, op := range open {
			if !op.ended {
				return false
			}
		}
		return true
	}
	w.run(w.now+w.patience(), answered)
	for _, op := range open {
		if w.failure == nil && op.Outcome != OutcomeApplied {
			w.fail("Liveness", "nothing is wrong, and %v (%v) has no answer: %v", op, op.ask.of(), op.m)
		}
	}
}
