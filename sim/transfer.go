package sim

import (
	"slices"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// handover is an operator's call to hand the lead over.
type handover struct {
	*host.Transfer
	to    raft.NodeID
	leads bool   // the member said so when it was called
	began uint64 // member.ticks
}

// harmTransfer hands the lead over, or asks what cannot be.
func (w *world) harmTransfer(m *member) {
	if w.knobs.leases.promise == 0 && w.chance(600) {
		w.hurry(w.members[w.rand.IntN(len(w.members))])
		return
	}
	if leader := w.leader(); leader != nil && w.chance(800) {
		m = leader
	}
	if !m.up {
		return
	}
	to := raft.NodeID(w.rand.IntN(len(w.members) + 1)) // zero: anybody
	if w.chance(50) {
		to = raft.NodeID(len(w.members) + 1 + w.rand.IntN(3))
	}
	m.transfer(to)
}

// hurry has a follower stand for election at once, as if its leader had asked it to: there is no pre-vote, and who hears a leader votes, too. So safety is
// seen not to rest on these. Leases do, so this is done in runs that have none.
func (w *world) hurry(m *member) {
	if !m.up {
		return
	}
	s := m.group.Status()
	if s.Role != raft.Follower || s.Leader == 0 {
		return
	}
	w.strikes(FaultTransfer, m)
	w.tell("n%d is told to stand for election, and n%d has not said so", m.id, s.Leader)
	m.host.Receive(s.Leader, []wire.Packet{{Group: group, Message: raft.TimeoutNow{Term: s.Term, LastLogIndex: s.LastIndex}}})
	m.wake()
}

// transfer asks the member to hand over.
func (m *member) transfer(to raft.NodeID) *handover {
	h := &handover{Transfer: m.group.Transfer(to), to: to, began: m.ticks, leads: m.group.Status().Role == raft.Leader}
	m.w.report.Transfers++
	m.w.strikes(FaultTransfer, m)
	m.tell("is asked to hand over to n%d", to)
	m.handovers = append(m.handovers, h)
	m.wake()
	return h
}

// followTransfers looks for those that have ended, and for those that should have.
func (m *member) followTransfers() {
	m.handovers = slices.DeleteFunc(m.handovers, func(h *handover) bool {
		if !isClosed(h.Done()) {
			if limit := uint64(2*m.w.knobs.raft.ElectionTicks + 10); m.ticks-h.began > limit {
				m.w.fail("Liveness", "n%d was asked to hand over to n%d %d ticks ago, and that has not ended: %v", m.id, h.to, m.ticks-h.began, m)
			}
			return false
		}
		m.tell("ends the transfer to n%d: %v", h.to, h.Err())
		switch err := h.Err(); {
		case err == nil:
			m.w.report.TransfersDone++
			if h.to == m.id || int(h.to) > len(m.w.members) {
				m.w.fail("Transfer", "n%d says to have handed over to n%d", m.id, h.to)
			}
			if m.group.Status().Role == raft.Leader && m.group.Status().Term == m.w.latestTerm() {
				m.w.fail("Transfer", "n%d says to have handed over to n%d, and leads: %v", m.id, h.to, m)
			}
		default:
			m.w.report.TransfersFailed++
		}
		return true
	})
}

// latestTerm is the latest that a member that runs is in.
func (w *world) latestTerm() (term raft.Term) {
	for _, m := range w.members {
		if m.up {
			term = max(term, m.group.Status().Term)
		}
	}
	return term
}

// demandTransfer checks that in a cluster where nothing is wrong the lead can be handed over.
func (w *world) demandTransfer() {
	leader := w.leader()
	to := w.voters()[w.rand.IntN(len(w.voters()))].id
	if to == leader.id {
		to = 0
	}
	h := leader.transfer(to)
	if w.chance(500) {
		// What others forward must not be appended either.
		w.hammer(pick(w.rand, leader, w.voters()[w.rand.IntN(len(w.voters()))]), func() bool { return isClosed(h.Done()) })
	}
	w.run(w.now+4*w.knobs.electionTimeout(), func() bool { return isClosed(h.Done()) && w.leader() != nil && w.leader() != leader })
	switch now := w.leader(); {
	case w.failure != nil:
	case !isClosed(h.Done()) || h.Err() != nil:
		w.fail("Liveness", "nothing is wrong, and n%d cannot hand over to n%d: %v", leader.id, to, leader)
	case now == nil || to != 0 && now.id != to:
		w.fail("Liveness", "nothing is wrong, n%d has handed over to n%d, and the leader is %v", leader.id, to, now)
	}
}

// hammer writes on m without a rest until done says so: a transfer must not wait for an end of that.
func (w *world) hammer(m *member, done func() bool) {
	if m.up && !done() {
		w.clients.begin(w.clients.write(-1, m, 0))
		w.after(between(w.rand, 0, 5*time.Millisecond), func() { w.hammer(m, done) })
	}
}
