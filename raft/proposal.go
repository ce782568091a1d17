package raft

// Proposals: clients' commands on their way to the log (§6.2).
//
// A proposal is given in a term: it enters the log in that very term, at the leader of that term, or never. So a server that
// applies an entry of a later term knows of every older proposal that has not come by that it never will.

// proposals is the accounting of a leader.
type proposals struct {
	termFirst   Index  // the first entry of the term
	uncommitted uint64 // bytes of the term's entries that are not committed, or not durable here
	released    Index  // the entries up to here no longer count
}

// beginTerm begins a leadership.
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
// enter the log, which is certain once an entry of a later term is applied. With an error none was kept.
func (r *Raft) Propose(ps ...Proposal) (Term, error) {
	switch {
	case r.transfer.to != 0:
		return 0, ErrTransferring
	case r.role == Leader:
		es := make([]Entry, len(ps))
		for i := range ps {
			es[i].Data = ps[i].Data
		}
		return r.currentTerm, r.appendProposed(es)
	case r.leader == 0:
		return 0, ErrNoLeader
	}
	return r.currentTerm, r.forward(ps)
}

// appendProposed is the figure's rule for leaders: if command received from client, append entry to local log. Role, term and append are
// one step here: a command stamped with a term that this server does not lead would forge an entry of that term's leader.
func (r *Raft) appendProposed(es []Entry) error {
	var size uint64
	for i := range es {
		size += es[i].Size()
	}
	if r.proposals.uncommitted > 0 && r.proposals.uncommitted+size > r.config.UncommittedBytesMax {
		return ErrOverloaded
	}
	r.proposals.uncommitted += size
	for i := range es {
		es[i].Term, es[i].Index = r.currentTerm, r.log.last+1+Index(i)
	}
	r.append(es...)
	return nil
}
