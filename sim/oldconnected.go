package sim

import (
	"slices"

	"github.com/balsa-raft/balsa/host"
)

// A member is away while the disk of another one is replaced. The old disk is started in the place of the new one, and the two that know nothing of it find each other. Then the first is told by a
// leader that has just been started, and does not know how much of that is committed; and soon after that it is. The connection was made by what is outdated now. So its end must not
// be left to chance: what the old folder says would count.

// oldConnection is one.
type oldConnection struct {
	w          *world
	away, back *member
	rest       []*member
}

// demandOldConnected checks that the old folder elects nobody.
func (w *world) demandOldConnected() {
	c := w.drawOldConnection()
	if c == nil {
		return
	}
	c.away.tell("is away, and the disk of n%d is to be replaced, and started all the same", c.back.id)
	c.takeNoSnapshots(true)
	if c.replace() && c.connect() && c.inform() {
		c.elect()
	}
	w.network.unheard = nil
	c.takeNoSnapshots(false)
	c.back.endOld()
	for _, m := range w.members {
		m.restart()
	}
	w.network.mend()
	if w.failure == nil {
		w.settleMembers()
		w.demandGone()
	}
}

// drawOldConnection draws who they are; nil if the rest is no majority.
func (w *world) drawOldConnection() *oldConnection {
	if m := w.newcomer(); m != nil && len(w.voters()) < 5 {
		w.demandMembers((&absence{away: m}).withAway)
	}
	if w.failure != nil || w.leader() == nil || len(w.voters()) < 5 {
		return nil
	}
	c, voters := &oldConnection{w: w}, w.voters()
	for _, i := range w.rand.Perm(len(voters)) {
		switch m := voters[i]; {
		case m == w.leader():
			c.rest = append(c.rest, m)
		case c.away == nil:
			c.away = m
		case c.back == nil:
			c.back = m
		default:
			c.rest = append(c.rest, m)
		}
	}
	return c
}

// takeNoSnapshots keeps the rest from taking any, or no longer: they would know when they start that all before one is committed.
func (c *oldConnection) takeNoSnapshots(yes bool) {
	for _, m := range c.rest {
		m.hold(host.PartSnapshotter, yes)
	}
}

// leave leaves a member alone with those that it may hear.
func (c *oldConnection) leave(m *member, with ...*member) {
	for _, o := range c.w.members {
		cut := o != m && !slices.Contains(with, o)
		c.w.network.link(m.id, o.id).cut, c.w.network.link(o.id, m.id).cut = cut, cut
	}
}

// replace has the disk replaced, perhaps twice: then the first new one leads meanwhile, and who was away is told of it, and of nothing else.
func (c *oldConnection) replace() bool {
	w := c.w
	lose := func() {
		c.back.die(death{})
		c.back.standing = isSpare // nobody starts it until it is a member again
		w.replaceDisk(c.back)
	}
	w.network.unheard = []*member{c.away}
	c.leave(c.away)
	lose()
	if w.failure == nil && w.chance(700) {
		if !w.handLead(c.back) {
			return false
		}
		w.network.mend()
		w.run(w.now+20*w.knobs.electionTimeout(), func() bool { return c.away.group.Status().Leader == c.back.id })
		c.leave(c.away)
		if !w.handLead(c.rest[0]) {
			return false
		}
		lose()
	}
	return w.failure == nil && c.away.up
}

// connect starts the old disk, alone with the one that is away.
func (c *oldConnection) connect() bool {
	w := c.w
	c.back.die(death{})
	c.leave(c.back, c.away)
	c.leave(c.away, c.back)
	c.back.useOld()
	both := func() bool {
		return w.network.link(c.away.id, c.back.id).connection.joins(c.away, c.back) && w.network.link(c.back.id, c.away.id).connection.joins(c.back, c.away)
	}
	w.run(w.now+10*w.knobs.electionTimeout(), both)
	return w.failure == nil && both()
}

// inform has the rest start again, and their next leader tell the one that is away before it has committed anything: what the others say of their logs is lost until then.
func (c *oldConnection) inform() bool {
	w := c.w
	for _, m := range c.rest {
		m.die(death{})
	}
	w.network.unheard = c.rest
	for _, m := range c.rest {
		m.restart()
	}
	c.takeNoSnapshots(true)
	knows := func() bool {
		is, _ := c.away.group.Configuration().Member(c.back.id)
		return is.Incarnation == c.back.shelf.identity.Incarnation
	}
	for end := w.now + 20*w.knobs.electionTimeout(); w.failure == nil && !knows() && w.now < end; {
		if w.run(w.now+w.knobs.electionTimeout(), func() bool { return slices.Contains(c.rest, w.leader()) }); w.leader() != nil {
			c.leave(c.away, w.leader(), c.back)
			leader := w.leader()
			w.run(w.now+w.knobs.electionTimeout(), func() bool { return knows() || w.leader() != leader })
		}
	}
	w.network.unheard = nil
	if w.failure != nil || !knows() {
		return false
	}
	c.leave(c.away, append(c.rest, c.back)...)
	done := func() bool {
		l := w.leader()
		return l != nil && c.away.commit == w.checker.committedTo() && l.group.Status().LastIndex == c.away.commit
	}
	w.run(w.now+10*w.knobs.electionTimeout(), done)
	w.reachIf(oldConnected, w.failure == nil && done())
	return w.failure == nil && done()
}

// elect leaves those that were told with so few of the rest that they lack one vote.
func (c *oldConnection) elect() {
	w := c.w
	leader, left := w.leader(), (len(c.rest)+2)/2-1
	for _, m := range c.rest {
		if m == leader || left == 0 {
			m.die(death{})
			continue
		}
		left--
	}
	c.leave(c.back, c.away)
	c.leave(c.away, append(c.rest, c.back)...)
	w.run(w.now+10*w.knobs.electionTimeout(), nil)
}
