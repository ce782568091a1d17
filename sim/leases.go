package sim

import (
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// Leases, besieged. A rule of leases that is broken shows only if others lead, and have committed, while a leader of before counts on its lease: within a part of a promise's time, with clocks that are
// as bad as they may be. Chance alone seldom finds that. So while one of these goes on the network is quick and loses nothing by itself, and the deposed leader is asked at the very
// moment at which the others commit.

// besieged is what a process's part in this is.
type besieged struct {
	promise    time.Duration // that it gives to leaders
	mayJump    time.Duration // from then on its clock may jump once as far as leases bear; zero: it may not
	askedIn    raft.Term     // it was asked for reads under a lease when others had committed something in that term
	follower   *member       // that is cut off with it; may be nil
	oversleeps bool          // it is to wake up when others have committed something
	unheardBy  *member       // that is to hear of its election when others have committed something; may be nil
	jointAt    raft.Index    // of its last joint configuration
	replaces   bool          // it is to be besieged in the next one
	followed   following     // whom it has followed last
	hearsAgain time.Duration // until then it hears what it was answered before when it asks to read
}

// sieges has leaders besieged for their leases now and then.
func (w *world) sieges() {
	if w.knobs.leases.promise == 0 || !w.knobs.drawn.has(FaultUsurp) {
		return
	}
	w.ambushes++
	d := Decision{Source: sourceAmbush, Number: w.ambushes}
	w.with(w.stream(ofSieges, uint64(d.Number), 0), func() {
		w.after(between(w.rand, 0, 3*w.siegeLasts()/2), func() {
			if w.chaos {
				if w.knobs.faults.has(FaultUsurp) && !w.leavesOut(d) {
					w.besiege(d)
				}
				w.sieges()
			}
		})
	})
}

// besiege besieges the leader, if it may have a lease.
func (w *world) besiege(d Decision) {
	m := w.leader()
	if m == nil || m.paused() || m.asleep || m.promise == 0 || w.now < w.network.quickUntil || len(m.group.Status().Configuration.Voters()) < 3 {
		return
	}
	if w.chance(700) {
		w.undisturbedUntil = w.now + 2*w.siegeLasts()
	}
	w.reach(sieged)
	w.tell("fault %v, %v, on n%d", d, FaultUsurp, m.id)
	w.record(TraceLine{Kind: TraceFault, Node: m.id, What: FaultUsurp.String(), Text: d.String()})
	w.report.Usurpations++
	w.strikes(FaultUsurp, m)
	w.tell("n%d is besieged for its lease", m.id)
	w.network.mend()
	if w.chance(500) && w.replaceOne(m) {
		return
	}
	how := w.rand.IntN(5)
	if w.promiseLess(m) && w.chance(500) {
		how = 2
	}
	if w.knobs.drawn.has(FaultJump) && w.chance(500) {
		how = 5
	}
	switch how {
	case 0:
		w.oversleep(m)
	case 1:
		w.handOverLate(m)
	case 2:
		w.outlastSome(m)
	case 5:
		if !w.chance(600) || !w.unheard(m) {
			w.outjump(m)
		}
	default:
		w.siege(m)
	}
}

// promiseLess reports whether some voters have promised less than m counts on.
func (w *world) promiseLess(m *member) (less bool) {
	cfg := m.group.Status().Configuration
	for _, o := range w.members {
		less = less || o.up && cfg.IsVoter(o.id) && o.promise < m.promise
	}
	return less
}

// heartbeat is a leader's interval, by its clock.
func (k *knobs) heartbeat() time.Duration { return time.Duration(k.heartbeatTicks()) * tick }

// siegeLasts is long enough for promises to end, and for an election.
func (w *world) siegeLasts() time.Duration {
	longest, _ := w.knobs.promiseLasts()
	return longest + w.knobs.electionTimeout()
}

// setClocks makes a leader's clock as slow as it may be, and the others' as fast. Or they are slow, too, and jump as far as they may once the leader is cut off.
func (w *world) setClocks(m *member, fast bool) (jump bool) {
	jump = w.chance(300) && !fast
	for _, o := range w.members {
		switch {
		case !o.up || o.asleep:
		case o == m || jump:
			o.setRate(1000 - w.knobs.drift)
		default:
			o.setRate(1000 + w.knobs.drift)
		}
	}
	return jump
}

// during lets f happen if m still leads then.
func (w *world) during(m *member, delay time.Duration, f func()) {
	incarnation := m.incarnation
	w.after(delay, func() {
		if w.chaos && m.up && m.incarnation == incarnation && m.group.Status().Role == raft.Leader {
			f()
		}
	})
}

// cutOff keeps a leader and the others apart, and tells them that its process has ended: they vote as soon as they may.
func (w *world) cutOff(m *member) {
	w.network.leaveAlone(m)
	w.rumours(m)
	w.network.quickUntil = w.now + w.siegeLasts()
	w.mendAfter(w.siegeLasts())
}

func (w *world) rumours(m *member) {
	for _, o := range w.members {
		if o != m {
			w.after(between(w.rand, 0, 20*time.Millisecond), func() { w.network.rumour(o, m.id) })
		}
	}
}

// siege cuts a leader off when its clock and those of the others have gone wrong for a while. What it was told before may come late. Sometimes the others start again first, and have
// forgotten all that is not on their disks.
func (w *world) siege(m *member) {
	jumps, late := w.setClocks(m, false), time.Duration(0)
	lead := between(w.rand, 0, 3*w.knobs.heartbeat())
	if jumps {
		lead += w.holdClocks(m)
	}
	if w.chance(400) { // answers of an earlier round when the next one has begun
		round := w.knobs.heartbeat() * 1000 / time.Duration(1000-w.knobs.drift) // by its clock, which is slow
		late = pick(w.rand, between(w.rand, 0, 3*w.knobs.heartbeat()), round, round+between(w.rand, 0, round))
		for _, o := range w.members {
			w.network.link(o.id, m.id).slow(late, w.now+lead+w.siegeLasts())
		}
		lead += late
	}
	restarts := pick(w.rand, 0, 0, 700)
	w.network.quickUntil = w.now + lead
	w.during(m, lead, func() {
		w.network.mute(m)
		w.during(m, late, func() { w.cutOff(m) })
		w.rumours(m)
		for _, o := range w.members {
			switch {
			case o == m || !o.up:
			case jumps:
				o.jumpAsFarAsMay()
			case w.chance(restarts):
				o.die(death{})
				w.after(between(w.rand, 0, 50*time.Millisecond), o.restart)
			}
		}
	})
}

// oversleep suspends a leader's machine until the others have committed something without it. In half of the cases it is told meanwhile what was under way.
func (w *world) oversleep(m *member) {
	w.setClocks(m, false)
	delay := between(w.rand, 0, 2*w.knobs.heartbeat())
	w.network.quickUntil = w.now + delay
	w.during(m, delay, func() {
		w.pause(m, 2*w.siegeLasts(), 1000)
		m.oversleeps = true
		if w.chance(500) {
			w.cutOff(m)
			return
		}
		w.network.mute(m)
		w.after(20*time.Millisecond, func() {
			if w.chaos {
				w.cutOff(m)
			}
		})
	})
}

// handOverLate has a leader told to hand over while nothing is written. Its request reaches the other one when it has given that up.
func (w *world) handOverLate(m *member) {
	w.setClocks(m, false)
	patience := time.Duration(w.knobs.raft.ElectionTicks) * tick * 1000 / time.Duration(m.rate)
	calm := 10 * latencySiege
	w.clients.quietUntil = max(w.clients.quietUntil, w.now+calm+patience+patience/4)
	w.network.quickUntil = w.now + calm + patience
	w.during(m, calm, func() { w.handTo(m, true) })
}

// outlastSome keeps some voters from hearing a leader until their promises have ended. Then nobody hears it any more, and the rest may vote as soon as they may: those who have promised less than
// the leader counts on are among them.
func (w *world) outlastSome(m *member) {
	jumps := w.setClocks(m, w.promiseLess(m))
	cfg := m.group.Status().Configuration
	away := (len(cfg.Voters()) - 1) / 2
	var rest []*member
	for _, i := range w.rand.Perm(len(w.members)) {
		o := w.members[i]
		if o == m || !o.up || !cfg.IsVoter(o.id) {
			continue
		}
		if o.promise < m.promise {
			rest = append(rest, o)
		} else {
			rest = append([]*member{o}, rest...)
		}
	}
	for _, o := range rest[:min(away, len(rest))] { // those whose promises are as long
		w.network.link(m.id, o.id).cut, w.network.link(o.id, m.id).cut = true, true
	}
	over := w.knobs.leases.promise*1000/time.Duration(1000-w.knobs.drift) + between(w.rand, 0, w.knobs.heartbeat())
	if jumps {
		over = max(over, w.holdClocks(m))
	}
	w.network.quickUntil = w.now + over
	if w.chance(700) { // then those who were kept away lack little when they are to commit something
		w.clients.quietUntil = max(w.clients.quietUntil, w.now+over)
	}
	w.mendAfter(over + w.siegeLasts())
	w.reachIf(promisesLess, w.promiseLess(m))
	cuts := w.network.cuts
	w.during(m, over, func() {
		if w.network.cuts == cuts {
			w.cutOff(m)
		}
	})
}

// outjump cuts a leader off, perhaps with one that follows it, and has the clocks of the others jump so far that they may vote at once. Reads under its lease may then be stale, and
// no others: not those that are strict, and none that rests on how fresh one of those was.
func (w *world) outjump(m *member) {
	side := map[raft.NodeID]bool{m.id: true}
	if m.follower = w.companion(m); m.follower != nil {
		side[m.follower.id] = true
	}
	delay := between(w.rand, 0, 2*w.knobs.heartbeat())
	w.network.quickUntil = w.now + delay
	w.during(m, delay, func() {
		w.network.cutBetween(side)
		w.network.quickUntil = w.now + w.siegeLasts()
		w.mendAfter(w.siegeLasts())
		w.jumpBeyond(m, side)
	})
}

// jumpBeyond has the clocks of those on the other side jump farther than leases bear, and tells them that m's process has ended. All stand for election then. If it is one after the other the
// last one has the votes of those before it, and wins at once.
func (w *world) jumpBeyond(m *member, side map[raft.NodeID]bool) {
	apart, next := pick(w.rand, 0, 4*latencySiege, 4*latencySiege), time.Duration(0)
	for _, i := range w.rand.Perm(len(w.members)) {
		o := w.members[i]
		if side[o.id] || !o.up {
			continue
		}
		next += apart
		w.after(next+between(w.rand, 0, 20*time.Millisecond), func() {
			if w.chaos && w.knobs.faults.has(FaultJump) {
				o.jump(2 * w.siegeLasts())
				w.network.rumour(o, m.id)
			}
		})
	}
}

// companion is one that follows a leader, voter or learner, and without which the others are a majority; nil: there is none.
func (w *world) companion(m *member) *member {
	cfg := m.group.Status().Configuration.Configuration
	for _, i := range w.rand.Perm(len(w.members)) {
		o := w.members[i]
		others := func(id raft.NodeID) bool { return id != m.id && id != o.id && w.member(id).up }
		if o != m && o.up && !o.paused() && o.group.Status().Leader == m.id && enough(cfg, others) {
			return o
		}
	}
	return nil
}

// askOthers asks for what no lease may answer, and what may be some time old.
func (c *clients) askOthers(m *member) {
	w := c.w
	begin := func(o *member, delay time.Duration, a ask) {
		incarnation := o.incarnation
		w.after(delay, func() {
			if o.up && o.incarnation == incarnation && !c.stopped {
				c.begin(c.read(-1, o, w.rand.IntN(w.knobs.keys), a))
			}
		})
	}
	for i := range 3 {
		delay := time.Duration(i) * 10 * time.Millisecond
		begin(m, delay, ask{level: linearizable})
		begin(m, delay+5*time.Millisecond, ask{level: lease})
		begin(m, delay+12*time.Millisecond, ask{level: atMostOld, age: 10 * time.Millisecond})
		if m.follower != nil { // who asks the leader on behalf of both at once, and so as for the one that no lease may answer
			begin(m.follower, delay, ask{level: linearizable})
			begin(m.follower, delay, ask{level: lease})
		}
	}
}

// latencySiege is the network's latency while a leader is besieged.
const latencySiege = 10 * time.Millisecond

// committedWithout takes in that something was committed that a leader of before does not know of: is it asked, its answer is wrong.
func (w *world) committedWithout(by *member, term raft.Term) {
	for _, m := range w.members {
		if m == by || !m.up || m.ledFrom == 0 || m.askedIn >= term || !w.chaos || m.group == nil || m.group.Status().Term >= term {
			continue
		}
		m.askedIn = term
		w.clients.askDeposed(m)
	}
}

// askDeposed asks a leader of before, now and until its lease has ended. A machine that is to wake up now does.
func (c *clients) askDeposed(m *member) {
	w := c.w
	w.undisturbedUntil = min(w.undisturbedUntil, w.now+latencySiege)
	w.apart(func() {
		if m.oversleeps && m.asleep {
			m.oversleeps = false
			w.reach(oversleeps)
			m.tell("is to wake up: others have committed")
			m.resume()
		}
	})
	c.extra(func() {
		w.reachIf(leaseOutlived, w.knobs.leases.promise > 0)
		if m.unheardBy != nil {
			c.askUnheard(m)
		}
		if len(w.checker.jumps) > 0 {
			c.askOthers(m)
		}
		incarnation := m.incarnation
		for i := range 4 {
			w.after(time.Duration(i*i)*between(w.rand, 0, 5*time.Millisecond), func() {
				if m.up && m.incarnation == incarnation && !c.stopped && w.knobs.leases.promise > 0 {
					c.begin(c.read(-1, m, w.rand.IntN(w.knobs.keys), ask{level: lease}))
				}
			})
		}
	})
}
