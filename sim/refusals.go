package sim

import (
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// A refusal of what was forwarded in a term that is over can do harm while its proposals are being given again, because an entry of a later term was executed and
// they are known to be lost: between two steps of their member. By chance alone none arrives just then.

// refusal is one on its way to a member, kept back for that moment.
type refusal struct {
	packet
	term  raft.Term
	until time.Duration // then it arrives anyway
}

const refusalsMax = 8

// keepsBack takes a message that waits for its moment. It reports whether it does.
func (n *network) keepsBack(to raft.NodeID, p packet, m raft.Message) bool {
	w := n.w
	reply, ok := m.(raft.ForwardReply)
	if !ok || reply.Reason != raft.RefusedNotLeader || !w.chaos || !w.knobs.faults.has(FaultDelay) || len(n.refusals[to-1]) >= refusalsMax || !w.chance(500) {
		return false
	}
	w.strikes(FaultDelay, w.member(p.from))
	kept := refusal{packet: p, term: reply.Term, until: w.now + 2*w.knobs.electionTimeout()}
	n.refusals[to-1] = append(n.refusals[to-1], kept)
	w.after(2*w.knobs.electionTimeout(), func() { n.refusalsTo(w.member(to), false) })
	return true
}

// refusalsTo lets those arrive whose moment it is: a later term's entries are just being executed. So may those do that were kept for long.
func (n *network) refusalsTo(m *member, executes bool) {
	was := n.refusals[m.id-1]
	if len(was) == 0 || !m.up || m.group == nil {
		return
	}
	var left []refusal
	n.refusals[m.id-1] = nil
	s := m.group.Status()
	for _, r := range was {
		switch moment := executes && s.Term > r.term && s.Leader != 0; {
		case moment || n.w.now >= r.until:
			n.w.reachIf(lateRefusal, moment)
			n.arrive(r.packet, m.id)
		default:
			left = append(left, r)
		}
	}
	n.refusals[m.id-1] = append(left, n.refusals[m.id-1]...)
}
