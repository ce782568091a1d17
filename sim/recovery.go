package sim

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// recoveryMax is how long a mended cluster may take, in virtual time. It is far more than it needs: what is not there by then is stuck.
const recoveryMax = 10 * time.Minute

// patience is recoveryMax, but in runs that are tried: what is stuck is so after a minute, too, and that is seen ten times as fast.
func (w *world) patience() time.Duration {
	if w.options.patience > 0 {
		return w.options.patience
	}
	return recoveryMax
}

// endFaults ends the time in which anything may go wrong.
func (w *world) endFaults() {
	if w.chaos {
		w.report.busy, w.report.lasted = w.steps, w.now
	}
	w.chaos = false
}

// mend ends everything that goes wrong and starts everybody.
func (w *world) mend() {
	w.endFaults()
	w.clients.stopped, w.clients.calm = true, true
	w.mendedAt = w.now
	w.network.mend()
	w.tell("everything is mended")
	w.record(TraceLine{Kind: TraceMended})
	w.mendRot()
	for _, m := range w.members {
		if m.mend(); w.failure != nil {
			return
		}
	}
	w.endWishes(w.now)
}

func (m *member) mend() {
	m.strike, m.readStrike = nil, 0
	m.makeRoom()
	m.disk.slowUntil, m.slowMachine, m.stall.until = 0, 0, 0
	m.resume()
	m.endOld()
	m.mendGuest()
	m.restart()
}

// demandService checks that a majority whose members hear each other goes on for good, although of the others some are down, and links from
// and to them are cut in any direction: it settles on a leader, and serves clients.
func (w *world) demandService() {
	core := make(map[raft.NodeID]bool)
	at, cfg := w.checker.committedConfiguration(w.checker.committedTo())
	has := func(id raft.NodeID) bool { return core[id] }
	for _, i := range w.rand.Perm(len(w.members)) {
		if m := w.members[i]; cfg.IsVoter(m.id) && m.standing == isMember && !m.wiped && !m.disk.rotten && !enough(cfg, has) {
			core[m.id] = true
		}
	}
	if len(core) == len(w.members) || !enough(cfg, has) || !cfg.AtRest() || !w.checker.configurationsSettled(at) {
		return // there is nobody else, or a change is under way that may need more than a majority, or make another one count
	}
	w.endFaults()
	w.clients.stopped = true
	w.endWishes(math.MaxInt64) // another change could make those count that a majority does without
	if !w.checker.configurationsSettled(at) {
		return // one that was paused has taken up what it had been asked for
	}
	w.network.cutBeyond(core)
	for _, m := range w.members {
		if m.up && !core[m.id] && w.chance(300) {
			m.die(death{})
		}
		if core[m.id] {
			m.mend()
		}
	}
	if w.failure != nil {
		return
	}
	w.tell("a majority is mended: %v; %v", core, w.network)
	end, settled := w.now+w.patience(), false
	for !settled && w.now < end && w.failure == nil {
		before := w.terms(core)
		w.run(w.now+4*w.knobs.electionTimeout(), nil)
		settled = before == w.terms(core)
	}
	served := false
	for _, m := range w.members {
		if core[m.id] {
			w.probe(m, false, func() bool { return served }, func() { served = true })
		}
	}
	w.run(w.now+w.patience(), func() bool { return served })
	if (!settled || !served) && !w.waitsForTheNews(core) {
		w.fail("Liveness", "a majority is mended for %v, settled: %v, clients served: %v; %v", recoveryMax, settled, served, w.network)
	}
}

// waitsForTheNews reports whether a majority that cannot do without any of its members elects nobody because one of them was away while another one came back with an empty folder: it takes that one
// for an impostor, and that one has the longest log. Only of a leader's folder others can tell it (raft/vouch.go), so it waits for somebody outside.
func (w *world) waitsForTheNews(core map[raft.NodeID]bool) bool {
	found := false
	for _, m := range w.members {
		refused, longest := false, core[m.id] && m.up
		for _, o := range w.members {
			if o == m || !core[o.id] || !longest {
				continue
			}
			mine, theirs := &m.disk.durable, &o.disk.durable
			end, other := mine.at(mine.last()).term, theirs.at(theirs.last()).term
			longest = o.up && (end > other || end == other && mine.last() >= theirs.last())
			refused = refused || longest && m.recycled && o.host.Admit(m.id, m.identity.Incarnation) != nil
		}
		if longest && !refused {
			return false // it can be elected
		}
		found = found || longest
	}
	if found {
		w.tell("who alone can be elected is not known yet by one whose vote it needs: %v", core)
	}
	return found
}

// terms is a picture of the terms that members are in.
func (w *world) terms(of map[raft.NodeID]bool) (s string) {
	for _, m := range w.members {
		if of[m.id] && m.up {
			s += fmt.Sprintf("n%d t%d ", m.id, m.group.Status().Term)
		}
	}
	return s
}

// demandProgress checks that a mended cluster goes on: every member's clients are served, what waited has ended, all reach the same state,
// and then nothing happens any more.
func (w *world) demandProgress() {
	w.run(w.now+w.patience(), func() bool { return w.leader() != nil }) // who says who the members are
	cluster := w.cluster()
	unserved := make([]bool, len(cluster))
	for i, m := range cluster {
		unserved[i] = true
		w.probe(m, true, func() bool { return false }, func() { unserved[i] = false })
	}
	start := w.now
	w.run(start+w.patience(), func() bool { return !slices.Contains(unserved, true) && w.converged() == "" })
	if w.failure != nil {
		return
	}
	w.report.Recovery = w.now - start
	for i, m := range cluster {
		if unserved[i] {
			w.fail("Liveness", "everything is mended for %v, and a client of n%d is not served: %v", recoveryMax, m.id, m)
		}
	}
	if problem := w.converged(); problem != "" {
		w.fail("Liveness", "everything is mended for %v, and %s", recoveryMax, problem)
	}
	w.demandPreferred()
}

// probeMax is how long a patient caller waits at most before it writes again.
const probeMax = time.Minute

// probe writes on m again and again until a write is applied there, or enough says that it is not needed any more. A patient caller whose write was overtaken by a snapshot waits longer
// each time: where logs are short and snapshots slow, the writes of many such callers are what the members lag behind with next.
func (w *world) probe(m *member, patient bool, enough func() bool, served func()) {
	wait := 100 * time.Millisecond
	var try func()
	try = func() {
		switch {
		case enough():
		case !m.up:
			w.after(wait, try)
		default:
			op := w.clients.write(-1, m, 0)
			op.patient = patient // nothing is lost in a mended cluster: not to end is a fault
			op.done = func(op *operation) {
				if op.Outcome == OutcomeApplied {
					served()
					return
				}
				if patient && op.Outcome == OutcomeUnknown {
					wait = min(2*wait, probeMax)
				}
				w.after(wait, try)
			}
			w.clients.begin(op)
		}
	}
	try()
}

// converged says what is still different between the members, or nothing.
func (w *world) converged() string {
	leader := w.leader()
	if leader == nil {
		return "nobody leads"
	}
	is := leader.group.Status()
	for _, p := range is.Peers {
		if p.Probing || p.MatchIndex != is.LastIndex {
			return fmt.Sprintf("the leader does not know what n%d has: %v", p.ID, leader)
		}
	}
	for _, m := range w.cluster() {
		if !m.up {
			return m.String()
		}
		s := m.group.Status()
		switch {
		case s.Term != is.Term || s.Leader != leader.id:
			return "there is no agreement on the leader: " + m.String() + "; " + leader.String()
		case s.AppliedIndex != w.checker.committedTo() || s.LastIndex != is.LastIndex || s.CommitIndex != s.LastIndex:
			return "a member lags: " + m.String() + "; " + leader.String()
		case len(m.handovers) > 0:
			return m.String() + " has a transfer that does not end"
		case len(m.wishes) > 0:
			return m.String() + " has a change of the members that does not end"
		case len(m.waits) > 0:
			return m.waits[0].String() + " has no outcome"
		}
	}
	for _, p := range w.clients.patrons {
		if len(p.open) > 0 {
			return fmt.Sprintf("command %d of session %d has no outcome after %d tries", p.open[0].serial, p.open[0].session, p.open[0].tries)
		}
	}
	return ""
}

// demandPeace checks that nothing changes when nothing is wrong. What is late may still bring a later term, of a server that is gone; behind that nothing does.
func (w *world) demandPeace() {
	late := w.now < w.mendedAt+w.knobs.lateMax
	unrest := w.unrest()
	if unrest != "" && late && w.failure == nil && w.outlastLate() != nil {
		w.run(w.now+w.patience(), func() bool { return w.converged() == "" })
		unrest = w.unrest()
	}
	if unrest != "" && w.failure == nil {
		w.fail("Liveness", "nothing is wrong, and %s", unrest)
	}
}

// unrest waits, and says what has changed meanwhile.
func (w *world) unrest() string {
	leader := w.leader()
	if leader == nil {
		return "nobody leads"
	}
	before, first := leader.group.Status(), leader.machine
	w.run(w.now+3*w.knobs.electionTimeout(), nil)
	if w.failure != nil {
		return ""
	}
	for _, m := range w.cluster() {
		s := m.group.Status()
		if s.Term != before.Term || s.Leader != before.Leader {
			return fmt.Sprintf("n%d gives up n%d as leader of term %d: %v", m.id, before.Leader, before.Term, m)
		}
		if st := m.group.Status(); st.Pending > 0 || st.Reads != 0 {
			return fmt.Sprintf("n%d counts %d proposals and %d reads that wait, and nobody does: it would refuse others sooner or later: %v", m.id, st.Pending, st.Reads, m)
		}
		if hoard := m.hoards(); hoard != "" {
			return hoard
		}
		if m.machine.state != first.state || m.machine.applied != first.applied {
			w.fail("State Machine Safety", "n%d and n%d end in different states", m.id, before.ID)
		}
	}
	return ""
}
