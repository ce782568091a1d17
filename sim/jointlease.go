package sim

import (
	"slices"

	"github.com/balsa-raft/balsa/raft"
)

// A lease in a joint configuration. A leader that has just begun to replace voters hears a majority of the new ones, and those may be less than a majority of the old ones: these have not heard
// of the change, and elect another leader as soon as their promises have ended.

// besiegeJoint takes in that a leader's configuration may have become joint, and sometimes leaves it alone with a majority of the new voters.
func (w *world) besiegeJoint(m *member, s raft.Status) {
	if !s.Configuration.Joint() || s.Role != raft.Leader || m.jointAt == s.Configuration.Index {
		return
	}
	m.jointAt = s.Configuration.Index
	replaces := m.replaces
	m.replaces = false
	if !w.chaos || m.promise == 0 || s.CommitIndex >= m.jointAt || !w.knobs.drawn.has(FaultUsurp) || w.now < w.network.quickUntil && !replaces {
		return
	}
	w.ambushes++
	d := Decision{Source: sourceAmbush, Number: w.ambushes}
	w.with(w.stream(ofSieges, uint64(d.Number), 0), func() {
		side := w.newHalf(m, s.Configuration.Configuration)
		if side == nil || !replaces && !w.chance(800) || !w.knobs.faults.has(FaultUsurp) || w.leavesOut(d) {
			return
		}
		w.tell("fault %v, %v, on n%d", d, FaultUsurp, m.id)
		w.record(TraceLine{Kind: TraceFault, Node: m.id, What: FaultUsurp.String(), Text: d.String()})
		w.report.Usurpations++
		w.strikes(FaultUsurp, m)
		w.tell("n%d is besieged for its lease in a joint configuration", m.id)
		w.reach(siegedJoint)
		w.undisturbedUntil = w.now + w.siegeLasts()
		w.setClocks(m, true)
		w.network.cutBetween(side)
		w.network.severedAt = w.now // the change is on its way to those who are not to hear of it
		w.network.quickUntil = w.now + w.siegeLasts()
		w.mendAfter(w.siegeLasts())
		for _, o := range w.members {
			if !side[o.id] {
				w.after(between(w.rand, 0, 2*latencySiege), func() { w.network.rumour(o, m.id) })
			}
		}
	})
}

// replaceOne has a server that is spare take the place of a voter, in one step. It reports whether that is asked for.
func (w *world) replaceOne(m *member) bool {
	s := m.group.Status()
	if !w.knobs.faults.has(FaultMembers) || len(w.lost()) > 0 || len(m.wishes) > 0 || !s.Configuration.AtRest() {
		return false
	}
	want := m.wants()
	for _, i := range w.rand.Perm(len(w.members)) {
		spare := w.members[i]
		if slices.ContainsFunc(want, func(o raft.Member) bool { return o.ID == spare.id }) || !spare.mayComeBack() {
			continue
		}
		voters := slices.DeleteFunc(s.Configuration.Voters(), func(id raft.NodeID) bool { return id == m.id })
		leaves := voters[w.rand.IntN(len(voters))]
		want = slices.DeleteFunc(want, func(o raft.Member) bool { return o.ID == leaves })
		spare.install()
		m.replaces = true
		w.network.quickUntil = w.now + w.siegeLasts()
		m.wishFor(append(want, raft.Member{ID: spare.id, Suffrage: raft.Voter}), false, 0)
		return true
	}
	return false
}

// newHalf is as few as are a majority of the new voters with m, if the rest are one of the old voters; nil: they are not.
func (w *world) newHalf(m *member, cfg raft.Configuration) map[raft.NodeID]bool {
	side := map[raft.NodeID]bool{m.id: true}
	others := raft.Configuration{Members: make([]raft.Member, len(cfg.Members))}
	for i, o := range cfg.Members {
		o.Old = raft.NonMember
		others.Members[i] = o // the new voters
	}
	isNew := func(id raft.NodeID) bool { return side[id] && w.member(id).up && !w.member(id).paused() }
	for _, was := range []bool{false, true} {
		for _, o := range cfg.Members {
			if o.Suffrage == raft.Voter && (o.Old == raft.Voter) == was && !enough(others, isNew) {
				side[o.ID] = true
			}
		}
	}
	left, old := 0, 0
	for _, o := range cfg.Members {
		if o.Old == raft.Voter {
			old++
			left += bit(!side[o.ID] && w.member(o.ID).up)
		}
	}
	if !enough(others, isNew) || left <= old/2 {
		return nil
	}
	return side
}
