package sim

import (
	"errors"
	"time"

	"github.com/balsa-raft/balsa/host"
)

func (m *member) paused() bool { return m.w.now < m.pausedUntil }

// scheduleTick steps the shard whenever its clock has gone on by a tick.
func (m *member) scheduleTick() {
	incarnation := m.incarnation
	m.w.after(tick*1000/time.Duration(m.rate)+1, func() {
		if m.up && m.incarnation == incarnation {
			if !m.paused() {
				m.ticks++
				m.step(host.PartShard)
			}
			if m.up {
				m.scheduleTick()
			}
		}
	})
}

// scheduleRest lets the log settle now and then.
func (m *member) scheduleRest() {
	incarnation := m.incarnation
	m.w.after(between(m.rand, 0, 20*time.Second), func() {
		if m.up && m.incarnation == incarnation {
			if !m.paused() && !m.stuck(host.PartRest) {
				m.step(host.PartRest)
			}
			if m.up {
				m.scheduleRest()
			}
		}
	})
}

// wake schedules the parts that have something to do.
func (m *member) wake() {
	for p := host.PartShard; m.up && p < host.PartCount; p++ {
		switch {
		case m.due[p]:
		case !m.host.Idle(p):
			m.due[p] = true
			m.schedule(p, m.delay(p))
		case p == host.PartSender && m.host.Sending():
			m.due[p] = true
			m.schedule(p, m.delay(p)+between(m.rand, 0, 400*time.Millisecond))
		}
	}
}

func (m *member) schedule(p host.Part, delay time.Duration) {
	incarnation := m.incarnation
	m.w.after(delay, func() {
		switch {
		case !m.up || m.incarnation != incarnation:
		case m.paused():
			m.schedule(p, m.pausedUntil-m.w.now)
		case m.held[p]:
			m.schedule(p, stallPoll)
		case m.stuck(p):
			m.schedule(p, min(stallPoll, m.stall.until-m.w.now))
		default:
			m.due[p] = false
			m.step(p)
		}
	})
}

// delay is how long a part takes to come to its work, or to do it.
func (m *member) delay(p host.Part) time.Duration {
	r := m.rand
	if p == host.PartSnapshotter && m.w.options.guests != nil { // their machines go on between Snapshot and the writing
		return between(r, 0, pick(r, 10*time.Millisecond, 2*time.Second))
	}
	switch p {
	case host.PartWriter, host.PartReader, host.PartPreparer, host.PartSnapshotter, host.PartSender, host.PartReceiver:
		if m.disk.takes > 0 {
			return m.disk.takes
		}
		if m.w.now < m.disk.slowUntil {
			return between(r, 0, m.disk.slow)
		}
		return between(r, 100*time.Microsecond, 10*time.Millisecond)
	case host.PartApplier:
		if m.w.now < m.slowMachine {
			return between(r, 0, 5*time.Second)
		}
	}
	return between(r, 10*time.Microsecond, 2*time.Millisecond)
}

// step lets a part do its work, and looks at what came of it.
func (m *member) step(p host.Part) {
	was := m.w.rand
	m.w.rand = m.rand
	defer func() { m.w.rand, m.part = was, host.PartCount }()
	m.w.mix(uint64(m.id), uint64(p))
	switch p {
	case host.PartReader:
		m.w.report.Loads++
		m.loadedFor = m.stepsShard + 1
	case host.PartReceiver:
		if m.loadsFirst(); !m.up || m.w.failure != nil {
			return
		}
	}
	m.part = p
	if p == host.PartShard {
		m.stepsShard++
		m.wakeUp()
	}
	m.guard(func() { m.host.Step(p, m.clock()) })
	if !m.up || m.w.failure != nil {
		return
	}
	if p == host.PartShard {
		m.observe()
	}
	if p == host.PartRest {
		m.rests()
	}
	if p == host.PartApplier {
		m.w.network.refusalsTo(m, true)
	}
	if p == host.PartReceiver {
		if m.dieBetween() {
			return
		}
		if m.disk.kept.newest.Index > m.commit {
			m.w.ambush(m, 350, 5*time.Millisecond)
		}
	}
	if m.checkStopped(); !m.up {
		return
	}
	m.followTransfers()
	m.followWishes()
	m.w.clients.poll(m)
	m.wake()
}

// observe takes in what the member says of itself.
func (m *member) observe() {
	s := m.group.Status().Status
	m.w.recordStatus(m, s)
	m.w.checker.observe(m, s)
	m.w.besiegeJoint(m, s)
	m.checkOld(s)
	if m.group.Err() == nil { // one that has stopped publishes nothing any more
		m.followStall(s)
	}
}

// checkStopped looks for a member that has stopped by itself.
func (m *member) checkStopped() {
	err := errors.Join(m.host.Err(), m.group.Err())
	if err == nil || m.stopped {
		return
	}
	if m.stops(err) {
		return
	}
	m.stopped = true
	if m.saysDamaged(err) {
		m.diskFailed = true
		m.w.reach(rotStops)
	}
	if m.lacksRoom(err) {
		m.diskFailed = true
		m.w.reach(fullStops)
	}
	if !m.diskFailed && !m.guestSaysDamaged() {
		m.w.fail("Fail Stop", "n%d has stopped although its disk did not fail: %v", m.id, err)
		return
	}
	incarnation := m.incarnation
	m.w.after(between(m.w.rand, 0, 10*time.Second), func() {
		if m.up && m.incarnation == incarnation {
			m.die(death{power: m.w.chance(500), keep: m.w.rand.Float64()})
			m.restart()
		}
	})
}
