package sim

import (
	"slices"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// Plots: several things go wrong in an order that chance alone does not find. Some of the first members are kept from hearing of almost all entries; another one loses its folder, and is alone
// with them. If that one counted as who it was they would be a majority of the first members, and begin the cluster anew, or go on from where they are.

// plot is one, in one run.
type plot struct {
	w        *world
	number   int
	ignorant []*member
	upTo     raft.Index // entries that the ignorant have
	lost     *member    // who loses its folder
	heard    map[*member]hearing
	until    time.Duration // it is given up then
}

// hearing is that a member was told of a leader that has committed something, since it started.
type hearing struct {
	incarnation, times int
	first              time.Duration
}

// drawPlot perhaps begins one.
func (w *world) drawPlot() {
	w.ambushes++
	d := Decision{Source: sourceAmbush, Number: w.ambushes}
	w.with(w.stream(ofAmbush, uint64(d.Number), 0), func() {
		begins, joins := w.chance(300), w.chance(500)
		if !begins || w.knobs.members < 3 || !w.knobs.faults.has(FaultWipe) || joins && w.knobs.spares == 0 || w.leavesOut(d) {
			return
		}
		p := &plot{w: w, heard: make(map[*member]hearing), until: w.knobs.duration - 2*w.knobs.electionTimeout()}
		for _, i := range w.rand.Perm(w.knobs.members)[:w.knobs.members/2] {
			p.ignorant = append(p.ignorant, w.members[i])
		}
		w.plot = p
		w.tell("fault %v: entries do not reach %v", d, p.ignorant)
		if joins {
			p.upTo = 1
			p.later(p.remove)
		} else {
			p.later(p.lose)
		}
	})
}

// later goes on with the plot soon.
func (p *plot) later(next func()) {
	p.w.after(tick, func() {
		switch {
		case !p.w.chaos || p.w.plot != p:
		case p.w.now >= p.until || slices.ContainsFunc(p.ignorant, func(m *member) bool { return m.disk.durable.last() > p.upTo }):
			p.end()
		default:
			next()
		}
	})
}

// end lets all entries through again. Who has lost its folder and who does not know it stay apart, at least until everything is mended: that they can be taken in is known.
func (p *plot) end() {
	p.w.plot = nil
	p.part()
	p.w.tell("entries reach everybody again")
}

func (p *plot) part() {
	for _, m := range p.ignorant {
		if p.lost != nil && p.upTo == 0 {
			p.w.network.parted = append(p.w.network.parted, [2]*member{m, p.lost})
		}
	}
}

// loses reports whether a message is one of those that do not arrive.
func (p *plot) loses(to raft.NodeID, m raft.Message) bool {
	if p == nil || !p.w.chaos || !slices.Contains(p.ignorant, p.w.member(to)) {
		return false
	}
	switch m := m.(type) {
	case raft.AppendEntries:
		return len(m.Entries) > 0 && m.Entries[len(m.Entries)-1].Index > p.upTo
	case raft.InstallSnapshot:
		return true
	}
	return false
}

// hears takes in that a message arrives.
func (p *plot) hears(m *member, msg raft.Message) {
	if ae, ok := msg.(raft.AppendEntries); p == nil || !ok || ae.LeaderCommit == 0 {
		return
	}
	h := p.heard[m]
	if h.incarnation != m.incarnation {
		h = hearing{incarnation: m.incarnation, first: p.w.now}
	}
	h.times++
	p.heard[m] = h
}

// starts takes in that a member starts. It does not know any more that the cluster has begun.
func (p *plot) starts(m *member) {
	if p != nil && p.upTo == 0 && p.lost != nil && p.lost != m && slices.Contains(p.ignorant, m) {
		p.end()
	}
}

// leader is who leads, if it knows more than the ignorant.
func (p *plot) leader() *member {
	leader := p.w.leader()
	if leader == nil || leader.paused() || slices.Contains(p.ignorant, leader) || leader.commit <= p.upTo+1 {
		return nil
	}
	return leader
}

// other is one of the first members that knows more, and does not lead.
func (p *plot) other(leader *member) *member {
	for _, i := range p.w.rand.Perm(p.w.knobs.members) {
		if m := p.w.members[i]; m != leader && m.standing == isMember && !m.wiped && !slices.Contains(p.ignorant, m) {
			return m
		}
	}
	return nil
}

// remove has a member replaced by those that are spare.
func (p *plot) remove() {
	leader := p.leader()
	if leader == nil || len(leader.wishes) > 0 || len(p.w.lost()) > 0 {
		p.later(p.remove)
		return
	}
	if p.lost == nil {
		p.lost = p.other(leader)
	}
	m := p.lost
	if m == nil || m == leader {
		p.lost = nil
		p.later(p.remove)
		return
	}
	if m.replaced() {
		p.comeBack(leader)
		return
	}
	want := p.wanted(leader, m)
	for _, o := range p.w.members {
		if o.standing == isSpare && o.incarnation == 0 {
			want = append(want, raft.Member{ID: o.id, Suffrage: raft.Voter})
			o.install()
		}
	}
	leader.wish(want, false)
	p.later(p.remove)
}

// wanted is what the members are to be, without m.
func (p *plot) wanted(leader, m *member) []raft.Member {
	return leftOut(m, leader.wants())
}

// comeBack has the one that was removed join again with an empty folder, alone with the ignorant.
func (p *plot) comeBack(leader *member) {
	w, m := p.w, p.lost
	if m.up {
		m.die(death{})
	}
	m.empty()
	leader.wish(append(p.wanted(leader, m), raft.Member{ID: m.id, Suffrage: raft.Voter}), false)
	for _, o := range p.ignorant {
		if w.chance(700) { // leases rest on promises that this breaks, but its log is too short to win
			w.after(between(w.rand, 0, 5*w.knobs.latency), func() { w.hurry(o) })
		}
	}
	p.alone()
	m.install()
}

// lose takes the folder from a member that is of the majority which began the cluster.
func (p *plot) lose() {
	leader := p.leader()
	var m *member
	if leader != nil {
		m = p.other(leader)
	}
	know := func(o *member) bool {
		h := p.heard[o]
		return o.up && !o.paused() && h.incarnation == o.incarnation && h.times > 3 && p.w.now-h.first > 2*time.Second && o.group.Status().Leader == leader.id
	}
	if m == nil || slices.ContainsFunc(p.ignorant, func(o *member) bool { return !know(o) }) || !p.w.mayBeLost(m, p.ignorant) {
		p.later(p.lose)
		return
	}
	p.lost = m
	p.alone()
	m.lose()
	m.restart()
}

// alone leaves the ignorant alone with the one that has lost its folder.
func (p *plot) alone() {
	w := p.w
	side := map[raft.NodeID]bool{p.lost.id: true}
	for _, o := range p.ignorant {
		side[o.id] = true
	}
	w.network.mend()
	w.network.cutBetween(side)
	p.until = max(p.until, w.now+4*w.knobs.electionTimeout())
	w.mendAfter(3 * w.knobs.electionTimeout())
	w.after(3*w.knobs.electionTimeout(), func() {
		if w.plot == p {
			p.end()
		}
	})
}

// areParted reports whether two members are never to hear of each other.
func (n *network) areParted(a, b *member) bool {
	return len(n.parted) > 0 && (slices.Contains(n.parted, [2]*member{a, b}) || slices.Contains(n.parted, [2]*member{b, a}))
}

// reunite lets those hear of each other again whose ignorant one has it on its disk by now, committed, that the other is no member with the folder that it has: that one is not taken in any more, and
// perhaps nobody else that it can ask is left to tell it.
func (n *network) reunite() {
	n.parted = slices.DeleteFunc(n.parted, func(pair [2]*member) bool {
		m, lost := pair[0], pair[1]
		at, own := n.w.checker.configurationOnDisk(m)
		known, in := own.Member(lost.id)
		return at <= m.commit && (!in || !lost.mayBe(known))
	})
}
