package sim

import (
	"slices"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
)

// nemesis makes something go wrong now and then.
func (w *world) nemesis() {
	w.harms++
	n := w.harms
	w.with(w.stream(ofNemesis, uint64(n), 0), func() {
		w.after(between(w.rand, 0, 2*w.knobs.faultEvery), func() {
			if w.chaos {
				w.harm(n)
				w.nemesis()
			}
		})
	})
}

// harm audits a disk, perhaps, and does one thing of those that are to go wrong in this run.
func (w *world) harm(number int) {
	if m := w.members[w.rand.IntN(len(w.members))]; w.chance(200) && m.up {
		w.checker.audit(m)
	}
	w.decideHarm(Decision{Source: sourceNemesis, Number: number}, nil)
}

// ambush perhaps does one thing to a member that begins something that is rare or soon over. part is of 1000.
func (w *world) ambush(m *member, part int, within time.Duration) {
	if !w.chaos {
		return
	}
	w.ambushes++
	d := Decision{Source: sourceAmbush, Number: w.ambushes}
	w.with(w.stream(ofAmbush, uint64(d.Number), 0), func() {
		if !w.chance(part) {
			return
		}
		w.after(between(w.rand, 0, within), func() {
			if w.chaos {
				w.decideHarm(d, m)
			}
		})
	})
}

// ambushAt is ambush at what a core says of itself.
func (w *world) ambushAt(m *member, e raft.Event) {
	switch e.Kind {
	case raft.EventTransfer:
		if w.now < max(w.network.keepsBackUntil, w.network.promptUntil) {
			return // what is to strike it has been decided
		}
		w.ambush(m, 900, w.knobs.electionTimeout()/4)
	case raft.EventInstalled:
		w.ambush(m, 200, 20*time.Millisecond)
	case raft.EventTruncated:
		w.ambush(m, 200, 50*time.Millisecond)
	case raft.EventConfiguration:
		if w.now > 0 {
			w.ambush(m, 150, 5*w.knobs.latency)
		}
	case raft.EventLeader:
		w.ambush(m, 50, 5*w.knobs.latency)
	}
}

// ambushSave perhaps ends a process in the middle of a save that truncates, begins the log anew, or is large.
func (m *member) ambushSave(batch []wal.Save) {
	w, bytes := m.w, 0
	rare := slices.ContainsFunc(batch, func(s wal.Save) bool {
		for i := range s.Entries {
			bytes += len(s.Entries[i].Data)
		}
		return s.Reset || len(s.Entries) > 0 && s.Entries[0].Index <= m.disk.durable.last()
	})
	const large = 1500 // some sectors
	if !rare && bytes < large || !w.chaos || m.strike != nil {
		return
	}
	part := 200
	if !rare {
		part = 4
	}
	w.ambushes++
	d := Decision{Source: sourceAmbush, Number: w.ambushes}
	w.with(w.stream(ofAmbush, uint64(d.Number), 0), func() {
		in, power, keep := 1+w.rand.IntN(4), w.chance(700), w.rand.Float64()
		if w.chance(part) && w.knobs.faults.has(FaultPower|FaultKill) && !w.leavesOut(d) {
			power = power && w.knobs.faults.has(FaultPower) || !w.knobs.faults.has(FaultKill)
			w.tell("fault %v: n%d ends in the middle of a save", d, m.id)
			w.record(TraceLine{Kind: TraceFault, Node: m.id, What: death{power: power}.name(), Text: d.String()})
			m.strike = &strike{in: in, death: &death{power: power, keep: keep}}
			w.disarm(m)
		}
	})
}

// ambushFrame perhaps ends a process while it writes to the log. n counts the writes of a save: with the second a segment begins, and its header is there.
func (m *member) ambushFrame(n int) {
	w, part := m.w, 2
	switch {
	case n > 1:
		part = 40
	case m.disk.durable.hardState.CurrentTerm < 2:
		part = 30
	}
	m.frames++
	if !w.chaos || m.strike != nil || !w.knobs.drawn.has(FaultPower) {
		return
	}
	w.with(w.stream(ofFrames, uint64(m.id), m.frames), func() { // without a number for each of so many
		if !w.chance(part) {
			return
		}
		w.ambushes++
		d := Decision{Source: sourceAmbush, Number: w.ambushes}
		if in, keep := 1+w.rand.IntN(3), w.rand.Float64(); w.knobs.faults.has(FaultPower) && !w.leavesOut(d) {
			w.tell("fault %v: n%d ends while it writes to the log, write %d of the save", d, m.id, n)
			w.record(TraceLine{Kind: TraceFault, Node: m.id, What: death{power: true}.name(), Text: d.String()})
			m.strike = &strike{in: in, death: &death{power: true, keep: keep}}
			w.disarm(m)
		}
	})
}

// decideHarm does one thing to a member, or to whoever is the victim if it is nil, unless this one is left out.
func (w *world) decideHarm(d Decision, m *member) {
	harms := w.harmsThatCanBe()
	n := 0
	for _, h := range harms {
		if w.knobs.drawn.has(h.fault) {
			harms[n] = h
			n++
		}
	}
	if n == 0 {
		return
	}
	h := harms[w.rand.IntN(n)]
	if m == nil {
		m = w.victim()
	}
	if !w.knobs.faults.has(h.fault) || w.leavesOut(d) || w.now < w.undisturbedUntil {
		return
	}
	w.tell("fault %v, %v, on n%d", d, h.fault, m.id)
	w.record(TraceLine{Kind: TraceFault, Node: m.id, What: h.fault.String(), Text: d.String()})
	h.do(m)
}

// harm is something to do to a member.
type harm struct {
	fault Faults
	do    func(m *member)
}

func (w *world) harmsThatCanBe() []harm {
	return []harm{
		{FaultPower, w.harmPower},
		{FaultKill, w.harmKill},
		{FaultBlackout, w.harmBlackout},
		{FaultPartition, w.harmPartition},
		{FaultCut, w.harmCut},
		{FaultPause, w.harmPause},
		{FaultSlowDisk, w.harmSlowDisk},
		{FaultDiskError, w.harmDisk},
		{FaultSlowMachine, w.harmMachine},
		{FaultRumour, w.harmRumour},
		{FaultDuplicate, func(m *member) { w.network.echo(m.id) }},
		{FaultTransfer, w.harmTransfer},
		{FaultMembers, w.harmMembers},
		{FaultWipe, w.harmWipe},
		{FaultStall, w.harmStall},
		{FaultClock, w.harmClock},
		{FaultUsurp, w.harmUsurp},
		{FaultReadError, w.harmRead},
		{FaultFull, w.harmFull},
		{FaultRot, w.harmRot},
		{FaultBridge, w.harmBridge},
		{FaultRing, w.harmRing},
		{FaultSwizzle, w.harmSwizzle},
		{FaultFlap, w.harmFlap},
		{FaultSlowLink, w.harmSlowLink},
		{FaultJump, w.harmJump},
		{FaultRecycle, w.harmRecycle},
	}
}

// victim is the leader or anybody.
func (w *world) victim() *member {
	if w.rand.IntN(100) < w.knobs.onLeader {
		if m := w.leader(); m != nil {
			return m
		}
	}
	return w.members[w.rand.IntN(len(w.members))]
}

// leader is the member that leads the latest term, or nil.
func (w *world) leader() (leader *member) {
	var term raft.Term
	for _, m := range w.members {
		if !m.up {
			continue
		}
		if s := m.group.Status(); s.Role == raft.Leader && s.Term >= term {
			leader, term = m, s.Term
		}
	}
	return leader
}

func (w *world) harmPower(m *member) {
	keep := pick(w.rand, 0, 0, 0.5, w.rand.Float64(), 1)
	w.kill(m, death{power: true, keep: keep})
}

func (w *world) harmKill(m *member) { w.kill(m, death{}) }

// kill ends a process between two steps, or in the middle of one.
func (w *world) kill(m *member, d death) {
	if !m.up {
		return
	}
	w.clients.rush(m)
	if w.chance(400) {
		incarnation := m.incarnation
		w.after(between(w.rand, 0, 3*w.knobs.latency), func() {
			if w.chaos && m.up && m.incarnation == incarnation {
				m.die(d)
			}
		})
		return
	}
	m.strike = &strike{in: 1 + w.rand.IntN(pick(w.rand, 3, 20, 60)), death: &d}
	w.disarm(m)
}

// disarm takes a strike back that has not found its operation.
func (w *world) disarm(m *member) {
	s := m.strike
	w.after(10*time.Second, func() {
		if m.strike == s {
			m.strike = nil
		}
	})
}

func (w *world) harmBlackout(*member) {
	keep := pick(w.rand, 0, 0, 0.5, 1)
	w.strikes(FaultBlackout, nil)
	for _, m := range w.members {
		if m.up {
			m.die(death{power: true, keep: keep})
		}
	}
}

func (w *world) harmPartition(m *member) {
	side := map[raft.NodeID]bool{m.id: true}
	w.strikes(FaultPartition, nil)
	if w.chance(500) {
		for _, o := range w.members {
			side[o.id] = w.chance(500)
		}
	}
	w.network.cutBetween(side)
	w.mendLater()
	if w.chance(500) {
		w.clients.pileUp(m)
	}
}

func (w *world) harmCut(m *member) {
	w.strikes(FaultCut, m)
	for _, o := range w.members {
		if o != m && w.chance(500) {
			w.network.link(m.id, o.id).cut = w.chance(500)
			w.network.link(o.id, m.id).cut = w.chance(500)
		}
	}
	w.mendLater()
}

func (w *world) mendLater() {
	w.mendAfter(between(w.rand, 0, pick(w.rand, w.knobs.electionTimeout()/2, 2*w.knobs.electionTimeout(), 40*time.Second)))
}

func (w *world) mendAfter(delay time.Duration) {
	w.tell("%v", w.network)
	w.report.Partitions++
	w.network.cuts++
	cuts := w.network.cuts
	w.after(delay, func() {
		if w.chaos && w.network.cuts == cuts {
			w.network.mend()
			w.tell("all links are mended")
		}
	})
}

func (w *world) harmPause(m *member) {
	if !m.up {
		return
	}
	w.report.Pauses++
	w.strikes(FaultPause, m)
	delay := between(w.rand, 0, pick(w.rand, 500*time.Millisecond, w.knobs.electionTimeout(), 3*w.knobs.electionTimeout()))
	if incarnation := m.incarnation; w.chance(500) { // it is to know, before it sleeps, that its state is fresh
		w.clients.freshen(m)
		w.after(between(w.rand, 0, 4*w.knobs.latency), func() {
			if w.chaos && m.up && m.incarnation == incarnation {
				w.pause(m, delay, 800)
			}
		})
	} else {
		w.pause(m, delay, 400)
	}
	if w.knobs.faults.has(FaultPartition) && w.chance(500) {
		// So that it hears nothing of what it has missed when it goes on.
		w.network.leaveAlone(m)
		w.mendAfter(delay + between(w.rand, 0, w.knobs.electionTimeout()))
	}
}

// pause stops a process, or its machine and the clock with it, in so many of 1000 cases.
func (w *world) pause(m *member, delay time.Duration, suspends int) {
	m.resume() // or the clock could stand still while the process goes on
	m.pausedUntil = w.now + delay
	if w.chance(suspends) {
		w.report.Suspensions++
		m.suspend(m.pausedUntil)
		w.clients.rush(m)
		w.clients.askAtWaking(m)
	}
	m.tell("is paused until %v, suspended: %v", m.pausedUntil, m.asleep)
}

func (w *world) harmSlowDisk(m *member) {
	w.strikes(FaultSlowDisk, m)
	m.disk.slow = pick(w.rand, 200*time.Millisecond, 2*time.Second, 20*time.Second)
	m.disk.slowUntil = w.now + between(w.rand, 0, 40*time.Second)
	m.tell("has a disk that takes up to %v until %v", m.disk.slow, m.disk.slowUntil)
}

func (w *world) harmDisk(m *member) {
	if m.up {
		m.strike = &strike{in: 1 + w.rand.IntN(10)}
		w.disarm(m)
	}
}

func (w *world) harmMachine(m *member) {
	w.strikes(FaultSlowMachine, m)
	m.slowMachine = w.now + between(w.rand, 0, 40*time.Second)
	m.tell("has a slow machine until %v", m.slowMachine)
}

func (w *world) harmRumour(m *member) {
	if o := w.members[w.rand.IntN(len(w.members))]; o != m {
		w.network.rumour(m, o.id)
	}
}
