package raft

import "slices"

// Proposals: clients' commands on their way to the leader (§6.2).
//
// A proposal is given in a term: it enters the log in that very term, at the leader of that term, or never. So a server that
// applies an entry of a later term knows of every older proposal that has not come by that it never will.

// proposals is the accounting of a leader, and the numbering of a follower's forwards.
type proposals struct {
	termFirst   Index             // on leaders, the first entry of the term
	uncommitted uint64            // on leaders, bytes of the term's entries that are not committed, or not durable here
	released    Index             // on leaders, the entries up to here no longer count
	lastSeq     uint64            // of our last ForwardProposals
	taken       map[NodeID]uint64 // the last ForwardProposals.Seq that was answered for, of each server
	startTerm   Term              // currentTerm when this incarnation began
}

// beginTerm begins a leadership. What was taken stays: a copy of a request that was appended may still arrive.
func (s *proposals) beginTerm(first Index) {
	s.termFirst, s.uncommitted = first, 0
}

// release gives back the bytes of the entries up to i, which are committed and durable here. Released at commitment alone, a leader
// whose own disk is stuck would take on more and more that it cannot save.
func (s *proposals) release(l *log, i Index) {
	from := max(s.released, s.termFirst)
	if from >= i {
		return
	}
	es, _ := l.cached(from+1, i, ^uint64(0))
	for k := range es {
		s.uncommitted -= es[k].Size()
	}
	s.released = i
}

// Propose appends commands to the log of the leader: here if this server leads, else by forwarding them. It returns the term in
// which they were given. Without an error each of them will be among Effects.Apply with that term, or in Effects.Refused, or never
// enter the log, which is certain once an entry of a later term is applied. With ErrNoLeader or ErrOverloaded none was kept.
func (r *Raft) Propose(ps ...Proposal) (Term, error) {
	switch {
	case r.transfer.to != 0:
		return 0, ErrTransferring
	case r.role == Leader:
		return r.currentTerm, r.appendProposals(ps)
	case r.leader == 0:
		return 0, ErrNoLeader
	}
	r.proposals.lastSeq++
	r.send(r.leader, ForwardProposals{Term: r.currentTerm, Seq: r.proposals.lastSeq, Proposals: slices.Clone(ps)})
	return r.currentTerm, nil
}

// appendProposals is the figure's rule for leaders: if command received from client, append entry to local log. Role, term and append are
// one step here: a command stamped with a term that this server does not lead would forge an entry of that term's leader.
func (r *Raft) appendProposals(ps []Proposal) error {
	var size uint64
	for i := range ps {
		size += Entry{Data: ps[i].Data}.Size()
	}
	if r.proposals.uncommitted > 0 && r.proposals.uncommitted+size > r.config.UncommittedBytesMax {
		return ErrOverloaded
	}
	r.proposals.uncommitted += size
	es := make([]Entry, len(ps))
	for i := range ps {
		es[i] = Entry{Term: r.currentTerm, Index: r.log.last + 1 + Index(i), Data: ps[i].Data}
	}
	r.append(es...)
	return nil
}

func (r *Raft) onForwardProposals(from NodeID, m ForwardProposals) {
	r.updateTerm(m.Term)
	if m.Seq <= r.proposals.taken[from] {
		return // a copy, or overtaken by a newer one: appended twice, its commands would be executed twice
	}
	if m.Term <= r.proposals.startTerm {
		return // it may have been appended before this server restarted, so a refusal could be a lie
	}
	r.proposals.taken[from] = m.Seq
	switch {
	case r.role != Leader || m.Term != r.currentTerm:
		r.refuse(from, m, RefusedNotLeader)
	case r.transfer.to != 0:
		r.refuse(from, m, RefusedTransferring)
	case r.appendProposals(m.Proposals) != nil:
		r.refuse(from, m, RefusedOverloaded)
	}
}

func (r *Raft) refuse(from NodeID, m ForwardProposals, reason RefuseReason) {
	ids := make([]uint64, len(m.Proposals))
	for i := range ids {
		ids[i] = m.Proposals[i].ID
	}
	r.sendWhenTermDurable(from, ForwardReply{Term: m.Term, IDs: ids, Reason: reason})
}

func (r *Raft) onForwardReply(m ForwardReply) {
	r.effects.Refused = append(r.effects.Refused, Refused{Term: m.Term, IDs: m.IDs, Reason: m.Reason})
}
