package raft

import "fmt"

// Leadership transfer: §3.10.

// transfer is a leader's attempt to hand over. While it lasts nothing is appended, or the target could never catch up.
type transfer struct {
	to    NodeID // zero: none
	since uint64 // Raft.ticks
	asked bool   // TimeoutNow was sent

	leaving bool // this server steps down in any case: see resign
}

// TransferError says why leadership cannot be handed over. Nothing has changed.
type TransferError struct {
	To     NodeID
	Reason string
}

func (e *TransferError) Error() string {
	return fmt.Sprintf("raft: leadership cannot be transferred to n%d: %s", e.To, e.Reason)
}

// TransferLeadership begins to hand the lead over to a voter; to zero chooses the one that is best placed. Until it ends, Propose fails
// with ErrTransferring. It ends within an election timeout: with another leader, or with EventTransferEnded and this server in
// office. It fails with *TransferError, and changes nothing, if that is not to be expected.
func (r *Raft) TransferLeadership(to NodeID) error {
	refuse := func(reason string) error { return &TransferError{To: to, Reason: reason} }
	switch {
	case r.role != Leader:
		return refuse("this server does not lead")
	case to == r.config.ID:
		return refuse("it leads already")
	case r.transfer.to != 0:
		return refuse(fmt.Sprintf("a transfer to n%d is under way", r.transfer.to))
	}
	p := r.peer(to)
	if to == 0 {
		p = r.successor()
	}
	switch {
	case p == nil && to == 0:
		return refuse("no other server has been heard lately")
	case p == nil || !r.isNewVoter(p.id):
		return refuse("it is not a voter")
	case !p.heardWithin(r.ticks, r.config.ElectionTicks):
		return refuse("it has not been heard for an election timeout")
	case p.nextIndex < r.log.first:
		return refuse("it needs a snapshot first")
	}
	r.transfer = transfer{to: p.id, since: r.ticks}
	r.event(EventTransfer, p.id, r.log.last)
	return nil
}

// isNewVoter reports whether id will count when the change that may be under way has ended.
func (r *Raft) isNewVoter(id NodeID) bool {
	m, _ := r.members.inForce().Member(id)
	return m.Suffrage == Voter
}

// successor is the peer that is best placed to lead, of those that are alive, or nil.
func (r *Raft) successor() (best *peer) {
	for _, p := range r.peers {
		alive := r.isNewVoter(p.id) && p.heardWithin(r.ticks, r.config.ElectionTicks) && p.nextIndex >= r.log.first
		if alive && (best == nil || r.leadsBetter(p, best)) {
			best = p
		}
	}
	return best
}

// leadsBetter: of those that have all that is committed the one of the highest priority, and else the one that would be the first to catch up.
func (r *Raft) leadsBetter(p, q *peer) bool {
	ready := p.matchIndex >= r.commitIndex
	if ready != (q.matchIndex >= r.commitIndex) {
		return ready
	}
	if a, b := r.priority(p.id), r.priority(q.id); ready && a != b {
		return a > b
	}
	return p.matchIndex > q.matchIndex
}

// resign gives up the office: to the one that is best placed, which is asked to stand for election so that there is no election timeout of
// silence; and if that does not succeed within an election timeout, to whoever will be elected.
func (r *Raft) resign() {
	if t := &r.transfer; t.to != 0 {
		t.leaving = true
		return
	}
	p := r.successor()
	if p == nil {
		r.becomeFollower(0)
		return
	}
	r.transfer = transfer{to: p.id, since: r.ticks, leaving: true}
	r.event(EventTransfer, p.id, r.log.last)
}

// askTarget tells the target to stand for election once its log is the leader's.
func (r *Raft) askTarget() {
	t := &r.transfer
	if t.to == 0 || t.asked {
		return
	}
	if p := r.peer(t.to); p != nil && p.matchIndex == r.log.last {
		t.asked = true
		r.lease.handed = r.log.last
		r.send(t.to, TimeoutNow{Term: r.currentTerm, LastLogIndex: r.log.last})
		if t.leaving {
			r.becomeFollower(0)
		}
	}
}

// tickTransfer gives up after an election timeout: the target did not catch up, or lost, or the message did.
func (r *Raft) tickTransfer() {
	if t := r.transfer; t.to != 0 && r.ticks-t.since >= uint64(r.config.ElectionTicks) {
		if t.leaving {
			r.becomeFollower(0)
			return
		}
		r.transfer = transfer{}
		r.event(EventTransferEnded, t.to, 0)
	}
}

// onTimeoutNow stands for election at once, as if the election timeout had run out, if nothing has changed since the leader
// asked: one that comes late, after the leader gave up and went on, finds a longer log, another term or another leader.
func (r *Raft) onTimeoutNow(from NodeID, m TimeoutNow) {
	r.updateTerm(m.Term)
	if m.Term == r.currentTerm && r.role == Follower && r.leader == from && r.log.last == m.LastLogIndex &&
		r.mayStand() && !r.stalled() {
		r.startElection(true)
	}
}
