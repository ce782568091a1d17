package sim

import "time"

// recoveryMax is how long a mended cluster may take, in virtual time. It is far more than it needs: what is not there by then is stuck.
const recoveryMax = 60 * time.Second

// mend ends everything that goes wrong and starts everybody.
func (w *world) mend() {
	w.chaos = false
	w.clients.stopped = true
	w.network.mend()
	w.tell("everything is mended")
	for _, m := range w.members {
		m.strike = nil
		m.disk.slowUntil, m.slowMachine = 0, 0
		m.pausedUntil = min(m.pausedUntil, w.now)
		if !m.up {
			m.start()
		}
	}
}

// demandProgress checks that a mended cluster goes on: every member's clients are served, what waited has ended, all reach the same state,
// and then nothing happens any more.
func (w *world) demandProgress() {
	unserved := make([]bool, len(w.members))
	for i, m := range w.members {
		unserved[i] = true
		w.probe(m, func() { unserved[i] = false })
	}
	start := w.now
	w.run(start+recoveryMax, func() bool {
		for _, waits := range unserved {
			if waits {
				return false
			}
		}
		return w.converged() == ""
	})
	if w.failure != nil {
		return
	}
	w.report.Recovery = w.now - start
	for i, m := range w.members {
		if unserved[i] {
			w.fail("Liveness", "everything is mended for %v, and a client of n%d is not served: %v", recoveryMax, m.id, m)
		}
	}
	if problem := w.converged(); problem != "" {
		w.fail("Liveness", "everything is mended for %v, and %s", recoveryMax, problem)
	}
}

// probe writes on m until it is applied there.
func (w *world) probe(m *member, served func()) {
	if !m.up {
		w.after(10*time.Millisecond, func() { w.probe(m, served) })
		return
	}
	op := w.clients.write(-1, m, 0)
	op.done = func(op *operation) {
		if op.Outcome == OutcomeApplied {
			served()
			return
		}
		w.after(10*time.Millisecond, func() { w.probe(m, served) })
	}
	if op.ended {
		w.clients.finished(op)
		return
	}
	m.waits = append(m.waits, op)
	m.wake()
}

// converged says what is still different between the members, or nothing.
func (w *world) converged() string {
	leader := w.leader()
	if leader == nil {
		return "nobody leads"
	}
	is := leader.group.Status()
	for _, m := range w.members {
		if !m.up {
			return m.String()
		}
		s := m.group.Status()
		switch {
		case s.Term != is.Term || s.Leader != leader.id:
			return "there is no agreement on the leader: " + m.String() + "; " + leader.String()
		case s.AppliedIndex != w.checker.committedTo() || s.LastIndex != is.LastIndex || s.CommitIndex != s.LastIndex:
			return "a member lags: " + m.String() + "; " + leader.String()
		case len(m.waits) > 0:
			return m.waits[0].String() + " has no outcome"
		}
	}
	return ""
}

// demandPeace checks that nothing changes when nothing is wrong.
func (w *world) demandPeace() {
	before := w.leader().group.Status()
	w.run(w.now+3*w.knobs.electionTimeout(), nil)
	if w.failure != nil {
		return
	}
	for _, m := range w.members {
		s := m.group.Status()
		if s.Term != before.Term || s.Leader != before.Leader {
			w.fail("Liveness", "nothing is wrong, and n%d gives up n%d as leader of term %d: %v", m.id, before.Leader, before.Term, m)
		}
		if m.machine.state != w.members[0].machine.state || m.machine.applied != w.members[0].machine.applied {
			w.fail("State Machine Safety", "n%d and n1 end in different states", m.id)
		}
	}
}
