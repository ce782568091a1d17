package sim

import (
	"slices"

	"github.com/balsa-raft/balsa/raft"
)

// A learner is made a voter, and has not heard of it when the leader is gone for good, with as many others as can be. Its vote counts for those who have: without it they elect nobody, and
// only who is elected can tell it.

// demandLateVoter checks that clients are served then.
func (w *world) demandLateVoter() {
	late := w.aLearner()
	if w.failure != nil || late == nil {
		return
	}
	w.run(w.now+w.patience(), func() bool { return w.converged() == "" })
	leader := w.leader()
	if w.failure != nil || leader == nil || leader == late {
		return
	}
	votes := func(cfg raft.Configuration) bool { return cfg.IsVoter(late.id) }
	w.network.withheld = func(from, to raft.NodeID, m raft.Message) bool {
		sent, ok := m.(raft.AppendEntries)
		return ok && from == leader.id && to == late.id && slices.ContainsFunc(sent.Entries, func(e raft.Entry) bool {
			cfg, err := raft.DecodeConfiguration(e.Data)
			return e.Type == raft.EntryConfiguration && err == nil && votes(cfg)
		})
	}
	want := leader.wants()
	for i := range want {
		if want[i].ID == late.id {
			want[i].Suffrage = raft.Voter
		}
	}
	leader.wishFor(want, false, 0)
	atRest := w.chance(500)
	knows := func(m *member) bool {
		_, cfg := w.checker.configurationOnDisk(m)
		return votes(cfg) && (cfg.AtRest() || !atRest)
	}
	others := slices.DeleteFunc(w.voters(), func(m *member) bool { return m == leader || m == late })
	w.run(w.now+w.patience()/10, func() bool { return !leader.up || slices.ContainsFunc(others, knows) })
	if w.failure == nil && leader.up && slices.ContainsFunc(others, knows) {
		w.electWith(late, leader, others)
	}
	w.network.withheld = nil
	for _, m := range w.members {
		m.restart()
	}
	w.endWishes(w.now)
	if w.failure == nil {
		w.settleMembers()
	}
}

// aLearner is a server that is no voter, or is made that: a spare one, or a voter. It is nil if there is none that can be.
func (w *world) aLearner() (late *member) {
	leader := w.leader()
	_, cfg := w.checker.committedConfiguration(w.checker.committedTo())
	for _, i := range w.rand.Perm(len(w.members)) {
		switch m := w.members[i]; {
		case m == leader:
		case !w.checker.isMember(cfg, m.id) && m.mayComeBack():
			late = m
			w.after(0, m.install)
		case w.checker.isMember(cfg, m.id) && late == nil:
			late = m
		}
	}
	if late == nil {
		return nil
	}
	w.demandMembers(func(want []raft.Member) []raft.Member {
		i := slices.IndexFunc(want, func(m raft.Member) bool { return m.ID == late.id })
		if i < 0 {
			return append(want, raft.Member{ID: late.id, Suffrage: raft.Learner})
		}
		want[i].Suffrage = raft.Learner
		return want
	})
	return late
}

// electWith ends the leader, and as many others as can be, for good.
func (w *world) electWith(late, leader *member, others []*member) {
	slices.SortStableFunc(others, func(a, b *member) int { return int(b.disk.durable.last()) - int(a.disk.durable.last()) })
	gone := w.mayGo(append([]*member{leader}, others[1:]...)) // who knows most stays
	if !gone[leader.id] {
		return
	}
	var rest []*member
	for _, m := range w.members {
		if gone[m.id] && m.up {
			m.die(death{})
		} else if m.up {
			rest = append(rest, m)
		}
	}
	_, knows := w.checker.configurationOnDisk(others[0])
	_, own := w.checker.configurationOnDisk(late)
	needed := !own.IsVoter(late.id) && !enough(knows, func(id raft.NodeID) bool { return id != late.id && !gone[id] })
	w.tell("for good are gone: %v; n%d is a voter, and knows it: %v", gone, late.id, own.IsVoter(late.id))
	served, over := false, false
	for _, m := range rest {
		w.probe(m, false, func() bool { return served || over }, func() { served = true })
	}
	w.run(w.now+w.patience(), func() bool { return served })
	if over = true; w.failure == nil && !served {
		w.fail("Liveness", "without %v the servers are a majority by each configuration, and serve no clients for %v; n%d was made a voter, and knows it: %v; %v", gone, recoveryMax, late.id, own.IsVoter(late.id), rest)
	}
	w.reachIf(lateVoterVotes, w.failure == nil && needed)
}
