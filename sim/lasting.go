package sim

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// What is demanded of a cluster whose network stays apart, in shapes in which who hears whom is no equivalence. Say that a voter can lead if it and those voters
// with which it has links that are whole in both directions are a majority: it hears a majority that hears it.
//
// Who leads and can lead stays (demandStays). Each of its majority hears it within every election timeout, and so neither votes nor grants pre-votes; the others are
// no majority, so none of them stands for election, and no term rises. All of its majority answer, so it does not resign.
//
// Who leads and cannot lead resigns (demandResigns): only those answer that hear it and that it hears, and that is no majority. Till then it may hold back others who
// hear it, and whom it does not hear.
//
// Somebody is elected who can lead (demandLeader), if one of those that can lead has a log that is at least as good as those of a majority of those whom it hears
// both ways: sooner or later its timer runs out first while nobody leads, and this majority grants both votes. As long as nobody is elected no log changes, so it
// can be elected until somebody is; and who was elected has the best log from then on. Where no such voter is nobody can be elected without breaking Leader
// Completeness: in a star whose hub lacks entries that a majority of the others has, say. In a ring and in a balanced bridge of an odd number of voters each can lead, and
// so whoever has the best log can be elected.
//
// All that holds as long as links alone stay wrong. Who answers a leader and can store nothing keeps it in office all the same: so all voters have room on their disks, also
// those that are damaged.

// leastTimeouts is for how many election timeouts nothing may change in a network that stays as it is.
const leastTimeouts = 4

// hearEachOther reports whether the links between two members are whole.
func (n *network) hearEachOther(a, b *member) bool {
	return a == b || !n.link(a.id, b.id).cut && !n.link(b.id, a.id).cut
}

// canLead reports whether those whom m and who hear m are a majority, counting those for which count holds.
func (w *world) canLead(m *member, cfg raft.Configuration, count func(*member) bool) bool {
	return cfg.IsVoter(m.id) && enough(cfg, func(id raft.NodeID) bool {
		o := w.member(id)
		return o.up && w.network.hearEachOther(m, o) && count(o)
	})
}

func anyone(*member) bool { return true }

// canBeElected reports whether somebody can lead, and a majority that it hears has no better log.
func (w *world) canBeElected(of []*member, cfg raft.Configuration) bool {
	return slices.ContainsFunc(of, func(m *member) bool {
		own := m.group.Status()
		return w.canLead(m, cfg, func(o *member) bool {
			s := o.group.Status()
			return slices.Contains(of, o) && (s.LastTerm < own.LastTerm || s.LastTerm == own.LastTerm && s.LastIndex <= own.LastIndex)
		})
	})
}

// demandLeader checks that in a network that stays apart somebody comes to lead, if somebody can be elected, and serves clients.
func (w *world) demandLeader() {
	at, cfg := w.checker.committedConfiguration(w.checker.committedTo())
	if len(cfg.Voters()) < 3 || !cfg.AtRest() || !w.checker.configurationsSettled(at) {
		return
	}
	w.endFaults()
	w.clients.stopped = true
	w.endWishes(math.MaxInt64)
	if !w.checker.configurationsSettled(at) {
		return // one that was paused has taken up what it had been asked for
	}
	var well []*member
	for _, id := range cfg.Voters() {
		m := w.member(id)
		if m.standing != isMember || m.wiped {
			continue
		}
		m.mend() // also with rot: a leader counts on it as long as it answers
		if !m.disk.rotten {
			well = append(well, m)
		}
	}
	if len(well) == 0 || w.failure != nil {
		return
	}
	s, reached := w.drawLasting(well[w.rand.IntN(len(well))])
	w.network.take(s)
	w.network.cuts++ // nothing is mended later
	w.tell("the network stays %s; %v", s.name, w.network)
	for end := w.now + w.patience(); w.failure == nil; {
		before := w.latestTerm()
		w.run(w.now+leastTimeouts*w.knobs.electionTimeout(), nil)
		leader, settled := w.leader(), before == w.latestTerm()
		switch {
		case w.failure != nil:
		case settled && leader != nil && w.canLead(leader, cfg, anyone):
			if w.servesAround(leader, well, end) {
				w.reach(reached)
				return
			}
		case leader == nil && !w.canBeElected(well, cfg):
			w.tell("nobody can be elected")
			return
		}
		switch {
		case w.now < end || w.failure != nil:
		case w.canBeElected(well, cfg):
			w.fail("Liveness", "the network is %s for %v, and nobody leads and serves clients who can: %v; %v; %v", s.name, recoveryMax, well, leader, w.network)
		case settled && leader != nil && !w.canLead(leader, cfg, anyone):
			w.fail("Liveness", "the network is %s for %v, and n%d leads and cannot: %v; %v", s.name, recoveryMax, leader.id, leader, w.network)
		default:
			w.tell("nobody can be elected any more")
			return
		}
	}
}

// drawLasting draws a shape in which the network stays, and which situation it is to find a leader in it.
func (w *world) drawLasting(hub *member) (shape, state) {
	switch w.rand.IntN(5) {
	case 0:
		return w.star(hub), leadsStar
	case 1:
		return w.ring(), leadsRing
	case 2:
		return w.anyShape(), leadsAnyShape
	}
	return w.bridge(hub), leadsBridge
}

// anyShape cuts some directions of links, whichever.
func (w *world) anyShape() shape {
	part := pick(w.rand, 200, 400, 600)
	cut := make(map[TraceLink]bool)
	for _, a := range w.members {
		for _, b := range w.members {
			cut[TraceLink{a.id, b.id}] = w.chance(part)
		}
	}
	return shape{fmt.Sprintf("cut in %d of 1000 directions", part), func(a, b raft.NodeID) bool { return !cut[TraceLink{a, b}] }}
}

// servesAround reports whether clients are served at the leader and at those whom it hears and who hear it, unless the lead changes, or the time is over.
func (w *world) servesAround(leader *member, of []*member, end time.Duration) bool {
	term, over, left := w.latestTerm(), false, 0
	for _, m := range of {
		if w.network.hearEachOther(leader, m) && !m.isOutdated(leader) {
			left++
			w.probe(m, false, func() bool { return over }, func() { left-- })
		}
	}
	w.run(end, func() bool { return left == 0 || w.latestTerm() != term })
	over = true
	return left == 0
}

// demandStays checks that a leader whom a majority hears, and who hears it, stays, whatever else is cut, and serves clients; also when those come back that
// have not heard it.
func (w *world) demandStays() {
	leader, voters := w.leader(), w.voters()
	cfg := leader.group.Status().Configuration.Configuration
	kept := map[raft.NodeID]bool{leader.id: true}
	for _, i := range w.rand.Perm(len(voters)) {
		if !enough(cfg, func(id raft.NodeID) bool { return kept[id] }) {
			kept[voters[i].id] = true
		}
	}
	w.breakConnections(leader, voters)
	w.run(w.mendedAt+w.knobs.lateMax, nil) // a pre-vote that was granted long ago may still elect somebody
	if w.failure != nil || w.leader() != leader {
		return
	}
	term, others := w.latestTerm(), w.drawOthers(leader)
	w.network.take(shape{others.name, func(a, b raft.NodeID) bool {
		return (a == leader.id || b == leader.id) && kept[a] && kept[b] || others.whole(a, b)
	}})
	w.tell("the network stays %s, and n%d hears %v; %v", others.name, leader.id, kept, w.network)
	stays := func(what string) {
		if w.failure == nil && (w.leader() != leader || w.latestTerm() != term) {
			w.fail("Liveness", "%s, and n%d leads no longer, or others do, too: %v; %v", what, leader.id, leader, w.network)
		}
	}
	w.run(w.now+leastTimeouts*w.knobs.electionTimeout(), nil) // without work: all logs are equally good
	stays("a majority hears the leader")
	served := w.failure == nil && w.servesAround(leader, voters, w.now+w.patience())
	stays("a majority hears the leader and writes")
	if w.failure == nil && !served {
		w.fail("Liveness", "a majority hears n%d, which leads, and clients are not served: %v; %v", leader.id, leader, w.network)
	}
	w.run(w.now+2*w.knobs.electionTimeout(), nil)
	w.network.mend()
	w.run(w.now+2*w.knobs.electionTimeout(), nil)
	stays("all links are mended")
}

// drawOthers is what else is whole in a network in which a leader hears a majority: all that is not the leader's, nothing, or anything.
func (w *world) drawOthers(leader *member) shape {
	switch w.rand.IntN(3) {
	case 0:
		return shape{"but for links of the leader whole", func(a, b raft.NodeID) bool { return a != leader.id && b != leader.id }}
	case 1:
		return shape{"cut but for links of the leader", func(a, b raft.NodeID) bool { return false }}
	}
	return w.anyShape()
}

// demandResigns checks that a leader resigns that hears no majority, or is heard by none, and that the others go on.
func (w *world) demandResigns() {
	w.run(w.mendedAt+w.knobs.lateMax+2*w.knobs.electionTimeout(), nil) // what was late has arrived
	leader, voters := w.leader(), w.voters()
	if w.failure != nil || leader == nil {
		return
	}
	cfg := leader.group.Status().Configuration.Configuration
	few := w.rand.IntN(len(voters) / 2) // so many stay with it, who are no majority with it
	if len(voters) == 2 {
		few = 0
	}
	way := w.rand.IntN(3)
	for _, i := range w.rand.Perm(len(w.members)) {
		o := w.members[i]
		switch {
		case o == leader:
		case few > 0 && cfg.IsVoter(o.id):
			few--
		default:
			w.network.link(leader.id, o.id).cut = way != 0
			w.network.link(o.id, leader.id).cut = way != 1
		}
	}
	w.tell("n%d leads, and has no majority any more; %v", leader.id, w.network)
	w.expectResigned(leader)
	if w.failure != nil {
		return
	}
	w.reach(resigns)
	if len(voters) > 2 {
		w.demandNext(leader, voters, cfg)
	}
	w.network.mend()
	w.run(w.now+w.patience(), func() bool { return w.leader() != nil })
}

// demandNext checks that of the others one comes to lead who can, and serves clients.
func (w *world) demandNext(leader *member, voters []*member, cfg raft.Configuration) {
	next := func() bool { l := w.leader(); return l != nil && l != leader && w.canLead(l, cfg, anyone) }
	served, over := false, false
	for _, m := range voters {
		if m != leader {
			w.after(0, func() { w.probe(m, false, func() bool { return served || over }, func() { served = true }) })
		}
	}
	w.run(w.now+resignTimeouts*w.knobs.electionTimeout(), func() bool { return served && next() })
	if over = true; w.failure == nil && !(served && next()) {
		w.fail("Liveness", "n%d has resigned, and the others find no leader that serves clients: %v; %v", leader.id, voters, w.network)
	}
}

// resignTimeouts is within how many election timeouts the others have elected another leader: one has passed for each of them when it begins, and promises last two.
const resignTimeouts = 12
