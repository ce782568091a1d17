package raft

// A server that was away for long may know another one with the data folder that it had before that was removed and added again. Its host refuses that one, as it
// must: it cannot tell a folder that the cluster knows by now from one that has lost what it had acknowledged. But if that one leads, nobody else brings it the
// news, and it stays behind until another leads. So whoever does not vote for it says with which folder the leader is known, by a committed configuration that its log cannot have.
// Its host then lets that folder in as a leader, and as nothing else: until its own configuration has it, that folder's votes, and what it asks for as a candidate, count for
// nothing here, because a vote for the one folder could be taken for a vote for the other.

// Vouch says with which data folder a member is known where entry Index is. That is committed, and at or behind the configuration that says so.
type Vouch struct {
	ID          NodeID
	Incarnation uint64 // not zero
	Index       Index  // not zero
}

// vouch is what a candidate whose log ends at last in lastTerm should know of the leader that is heard here; zero if its log may have that, or if
// the leader is this server, whose folder it knows.
func (r *Raft) vouch(lastTerm Term, last Index) Vouch {
	c := r.members.mayBeInForce(r.commitIndex)[0]
	leader, _ := c.Member(r.leader)
	if leader.Incarnation == 0 || r.leader == r.config.ID || c.Index == 0 || !r.isBefore(c.Index, lastTerm, last) {
		return Vouch{}
	}
	return Vouch{ID: r.leader, Incarnation: leader.Incarnation, Index: c.Index}
}

// isBefore reports whether a log that ends at last in lastTerm lacks something that is committed here, and if not by its term, then entry i.
func (r *Raft) isBefore(i Index, lastTerm Term, last Index) bool {
	committed, _ := r.log.term(r.commitIndex)
	return i > last || committed > lastTerm
}

// hearVouch takes in what a voter says of the leader's folder. Others' word does not count: they may know no more of it than this server.
func (r *Raft) hearVouch(from NodeID, v Vouch) {
	if v.Index > max(r.commitIndex, r.effects.Vouch.Index) && r.members.inForce().IsVoter(from) {
		r.effects.Vouch = v
	}
}
