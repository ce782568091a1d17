package sim

import (
	"cmp"
	"slices"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// Servers that were removed and come back: with the data folder that they have, or with an empty one. Then they have forgotten what they acknowledged and whom they voted for, and
// are nobody until their logs say that they are members again.

// empty gives a server that is none of the members an empty data folder, to join with.
func (m *member) empty() {
	m.tell("is given an empty data folder, to join with")
	if !m.wiped {
		m.old = m.putAway()
	}
	m.w.report.Recycled++
	m.joins, m.wiped, m.had, m.recycled, m.standing = true, false, folder{}, true, isSpare
	m.w.network.parted = slices.DeleteFunc(m.w.network.parted, func(pair [2]*member) bool { return pair[0] == m || pair[1] == m })
	m.emptied = append(m.emptied, m.identity.Incarnation)
	m.identity = host.Identity{}
	m.disk = newDisk()
}

// mayComeBack reports whether a server can be made a member again. Its folder is emptied first if it must be, and sometimes in any case. While things go wrong nobody knows that a folder
// must be: repairMembers finds out.
func (m *member) mayComeBack() bool {
	switch {
	case m.up:
	case m.standing == isRefused && m.replaced():
		m.empty()
	case m.standing == isSpare:
		if m.incarnation > 0 && m.replaced() && (m.w.chance(500) || !m.w.chaos && m.knowsNobody()) {
			m.empty()
		}
		return true
	}
	return m.standing == isSpare
}

// knowsNobody reports whether every voter that a server's folder knows has left the cluster, or has another folder by now: it would refuse them all, and has to be replaced.
func (m *member) knowsNobody() bool {
	c := m.w.checker
	_, own := c.configurationOnDisk(m)
	_, now := c.committedConfiguration(c.committedTo())
	return !slices.ContainsFunc(own.Members, func(o raft.Member) bool {
		return o.ID != m.id && own.IsVoter(o.ID) && c.isMember(now, o.ID) && m.w.member(o.ID).mayBe(o)
	})
}

// mayBe reports whether a configuration knows a server with the folder that it has, or with none yet.
func (m *member) mayBe(known raft.Member) bool {
	return known.Incarnation == 0 || known.Incarnation == m.identity.Incarnation
}

// demandComeback checks that in a cluster where nothing is wrong a server whose disk was lost is removed, and comes back under its id with an empty one.
func (w *world) demandComeback() {
	leader := w.leader()
	var m *member
	for _, o := range w.voters() {
		if o != leader && (m == nil || w.chance(500)) {
			m = o
		}
	}
	own, _ := leader.group.Status().Configuration.Member(m.id)
	w.removeLost(m)
	if w.failure != nil {
		return
	}
	m.empty()
	w.after(between(w.rand, 0, w.knobs.electionTimeout()), m.install)
	w.addAgain(own)
}

// removeLost has the others remove a member whose disk was lost.
func (w *world) removeLost(m *member) {
	m.tell("loses its disk, and is to be replaced under its id")
	if m.up {
		m.die(death{})
	}
	m.standing = isSpare // nobody starts it until it is a member again
	w.demandMembers(func(want []raft.Member) []raft.Member { return leftOut(m, want) })
}

// leftOut is the members but for one.
func leftOut(m *member, want []raft.Member) []raft.Member {
	return slices.DeleteFunc(want, func(o raft.Member) bool { return o.ID == m.id })
}

// addAgain has them add it as the voter that it was.
func (w *world) addAgain(own raft.Member) {
	w.demandMembers(func(want []raft.Member) []raft.Member {
		for _, o := range want {
			if o.ID == own.ID {
				return want
			}
		}
		return append(want, raft.Member{ID: own.ID, Suffrage: raft.Voter, Priority: own.Priority})
	})
}

// demandMembers checks that an operator who asks again and again comes to have the members that he wants.
func (w *world) demandMembers(want func([]raft.Member) []raft.Member) {
	var wanted string
	done := func() bool {
		leader := w.leader()
		if leader == nil {
			return false
		}
		s := leader.group.Status()
		// It has said so, too: it can have much to execute before, and a server that waits that long to be added hears that it was removed, and stops.
		return s.Configuration.AtRest() && s.Configuration.Index <= s.CommitIndex && describeMembers(s.Configuration.Members) == wanted && len(leader.wishes) == 0
	}
	for end := w.now + w.patience(); w.failure == nil; {
		if leader := w.leader(); leader != nil && len(leader.wishes) == 0 {
			to := want(leader.wants())
			slices.SortFunc(to, func(a, b raft.Member) int { return cmp.Compare(a.ID, b.ID) })
			if wanted = describeMembers(to); !done() {
				leader.wish(to, false)
			}
		}
		if w.run(w.now+tick, done); done() {
			break
		}
		if w.now >= end {
			w.fail("Liveness", "nothing is wrong for %v, and the members do not become %s: %v", recoveryMax, wanted, w.leader())
		}
	}
}

// hasVoted reports whether a member has voted so, with the data folder that is known of it, or with one of those that it had if none is.
func (c *checker) hasVoted(cfg raft.Configuration, id raft.NodeID, term raft.Term, candidate raft.NodeID) bool {
	is, _ := cfg.Member(id)
	return slices.ContainsFunc(c.folders[id], func(folder uint64) bool {
		return (is.Incarnation == 0 || is.Incarnation == folder) && c.votes[ballot{member: id, folder: folder, term: term}] == candidate
	})
}

// checkPart: who votes, for another or for itself, is a member by its own log, with the data folder that it has. Who has lost its folder has forgotten how it has voted.
func (c *checker) checkPart(m *member, term raft.Term, how string) {
	if at, cfg, ok := c.takesPart(m); !ok {
		c.w.fail("Vote of a Member", "n%d %s %d, and it is no member with the folder that it has, %x, since %v at %d, which it knows to be committed", m.id, how, term, m.identity.Incarnation, cfg, at)
	}
}

// takesPart looks on a member's disk for a configuration that may be in force and has the member with its folder: from the last that it knows to be committed on, which is
// returned if there is none. Until its folder is written down it counts as the right one if it is among the first members.
func (c *checker) takesPart(m *member) (at raft.Index, cfg raft.Configuration, ok bool) {
	for last := max(m.disk.durable.last(), c.snapshotOf(m).Index); ; last = at - 1 {
		at, cfg = c.configurationIn(func(i raft.Index) raft.Term { return c.held(m, i).term }, last)
		if at == 0 && m.joins {
			cfg = raft.Configuration{}
		}
		if is, in := cfg.Member(m.id); in && (is.Incarnation == m.identity.Incarnation || is.Incarnation == 0 && !m.joins) {
			return at, cfg, true
		}
		if at <= m.commit {
			return at, cfg, false
		}
	}
}

// demandGone checks that servers which are no members any more, and do not know it, are told so and stop: once everything is mended they ask the others for votes. Those whose
// configuration has nobody who still is a member, with the folder that they know, have nobody to ask.
func (w *world) demandGone() {
	left := func() *member {
		_, cfg := w.checker.committedConfiguration(w.checker.committedTo())
		for _, m := range w.members {
			_, own := w.checker.configurationOnDisk(m)
			told := m.up && slices.ContainsFunc(own.Members, func(o raft.Member) bool {
				return own.IsVoter(o.ID) && w.checker.isMember(cfg, o.ID) && m.host.Admit(o.ID, w.member(o.ID).identity.Incarnation) == nil
			})
			is, _ := own.Member(m.id) // who came back and has heard of nothing but its old folder asks nobody: it waits to become a member, as a new server does
			asks := is.Incarnation == m.identity.Incarnation || is.Incarnation == 0 && !m.joins
			if m.up && asks && !w.checker.isMember(cfg, m.id) && told && own.IsVoter(m.id) && (!m.joins || m.disk.durable.last() > 0) {
				return m
			}
		}
		return nil
	}
	w.run(w.now+w.patience(), func() bool {
		w.network.reunite()
		return left() == nil
	})
	if m := left(); w.failure == nil && m != nil {
		w.fail("Liveness", "everything is mended for %v, and n%d is no member and does not know it: %v", recoveryMax, m.id, m)
	}
}

// breakConnections lets some of the others hear that the leader cannot be reached, one after the other: the rest hears it, so it goes on, and as soon as they hear it again they defend it.
func (w *world) breakConnections(leader *member, voters []*member) {
	term := w.latestTerm()
	for _, m := range voters {
		if m != leader && w.chance(500) {
			w.network.rumour(m, leader.id)
			w.run(w.now+w.knobs.electionTimeout(), nil)
		}
	}
	if w.failure == nil && (w.leader() != leader || w.latestTerm() != term) {
		w.fail("Liveness", "connections to n%d broke one after the other, and it leads no longer, or others do, too: %v", leader.id, leader)
	}
}

// askedBy is a candidate as one that may vote for it sees it.
type askedBy struct{ voter, candidate raft.NodeID }

// asks takes in that a candidate's request for a vote arrives, sent with that data folder.
func (c *checker) asks(voter *member, p packet, msg raft.Message) {
	if q, ok := msg.(raft.RequestVote); ok && !q.PreVote {
		c.asked[askedBy{voter.id, p.from}] = p.incarnation
	}
}

// checkKnown: who votes for a member votes for the data folder with which it knows that member, by some configuration that may be in force. A vote for one folder could else be taken for a vote
// for another.
func (c *checker) checkKnown(m *member, candidate raft.NodeID, term raft.Term) {
	folder := c.asked[askedBy{m.id, candidate}]
	for last := max(m.disk.durable.last(), c.snapshotOf(m).Index); ; {
		at, cfg := c.configurationIn(func(i raft.Index) raft.Term { return c.held(m, i).term }, last)
		if is, in := cfg.Member(candidate); !in || is.Incarnation == 0 || is.Incarnation == folder {
			return
		}
		if at <= m.commit {
			c.w.fail("Identity", "n%d votes in term %d for n%d with folder %x, and knows it with another one by entry %d: %v", m.id, term, candidate, folder, at, cfg)
			return
		}
		last = at - 1
	}
}
