package raft

// Linearizable reads without a log entry: ReadIndex, §6.4. Those under a lease, §6.4.1, differ in that a leader that holds one answers at once;
// whether it does is lease.go's.

// reads is the bookkeeping of ReadIndex. On a leader, reads wait in turn in early, next and round; on a follower in waiting and asked.
type reads struct {
	// On leaders. All reads that wait share a round: the leader raises ReadSeq, and once a majority has returned it in this term, no
	// other leader can have committed anything before the round began.
	early   []read // before the first commit of the term: until then commitIndex may be older than what was acknowledged
	next    []read // for the round after the one under way
	current []read // of the round under way
	number  uint64 // of the round under way
	index   Index  // commitIndex when it began
	round   uint64 // number of the last round begun in this term, by reads or for the lease

	// On followers.
	waiting []ReadID // to be asked for
	strict  bool     // among them is one that no lease may answer
	asked   []ReadID // asked for under lastSeq
	lease   bool     // a lease may answer those
	askedAt uint64   // Raft.ticks
	lastSeq uint64   // of our last request; never given to another, so that a late reply answers nothing else
}

// read is one request at the leader: its own (from is zero), or a follower's.
type read struct {
	from NodeID
	seq  uint64
	id   ReadID
}

// abortReads ends the reads of a leadership. Followers repeat theirs by themselves.
func (r *Raft) abortReads() {
	s := &r.reads
	for _, queue := range [][]read{s.early, s.next, s.current} {
		for _, rd := range queue {
			if rd.from == 0 {
				r.effects.Aborted = append(r.effects.Aborted, rd.id)
			}
		}
	}
	r.effects.Aborted = append(r.effects.Aborted, s.waiting...)
	r.effects.Aborted = append(r.effects.Aborted, s.asked...)
	*s = reads{lastSeq: s.lastSeq}
}

// ReadIndex asks for an index such that a state machine that has applied it reflects every command that was committed
// anywhere before this call. The answer is in Effects.Reads, or the id in Effects.Aborted. With ErrNoLeader nothing was kept.
func (r *Raft) ReadIndex(id ReadID) error { return r.beginRead(id, false) }

// ReadLease is ReadIndex, but a leader that holds a lease answers at once, and that is fresh only as long as the clocks of any two servers differ
// in speed by no more than what is between Config.Promise and Config.Lease. Without a lease it is ReadIndex.
func (r *Raft) ReadLease(id ReadID) error { return r.beginRead(id, true) }

func (r *Raft) beginRead(id ReadID, lease bool) error {
	s := &r.reads
	switch {
	case r.role == Leader && lease && r.holdsLease():
		r.effects.Reads = append(r.effects.Reads, ReadReady{IDs: []ReadID{id}, Index: r.commitIndex})
	case r.role == Leader:
		r.register(read{id: id})
	case r.leader == 0:
		return ErrNoLeader
	default:
		s.waiting = append(s.waiting, id)
		s.strict = s.strict || !lease
	}
	return nil
}

func (r *Raft) onReadIndex(from NodeID, m ReadIndex) {
	r.updateTerm(m.Term)
	switch {
	case r.role != Leader || m.Term != r.currentTerm || r.peer(from) == nil:
	case m.Lease && r.holdsLease():
		r.commitDue = r.commitIndex // it waits until it has applied that
		r.send(from, ReadIndexReply{Term: r.currentTerm, Seq: m.Seq, Index: r.commitIndex})
	default:
		r.register(read{from: from, seq: m.Seq})
	}
}

// readsQueuedMax bounds the followers' requests that wait at a leader. A follower has one at a time and repeats it.
const readsQueuedMax = 1 << 16

func (r *Raft) register(rd read) {
	s := &r.reads
	if rd.from != 0 && len(s.early)+len(s.next) >= readsQueuedMax {
		return
	}
	if r.commitIndex < r.proposals.termFirst {
		s.early = append(s.early, rd)
		return
	}
	s.next = append(s.next, rd)
}

// registerEarlyReads lets the reads in that waited for the term's first commit.
func (r *Raft) registerEarlyReads() {
	s := &r.reads
	s.next = append(s.next, s.early...)
	s.early = nil
}

// startReadRound begins a round for all reads that wait, unless one is under way: acknowledgements of requests that were sent before a
// read was registered say nothing about it.
func (r *Raft) startReadRound() {
	s := &r.reads
	if len(s.next) == 0 || len(s.current) > 0 {
		return
	}
	s.current, s.next = s.next, s.current[:0]
	s.round++
	s.number, s.index = s.round, r.commitIndex
	r.confirmReads() // a group of one has its majority
}

// confirmReads ends the round under way if a majority has returned its number.
func (r *Raft) confirmReads() {
	s := &r.reads
	if r.role != Leader || len(s.current) == 0 {
		return
	}
	returned := func(id NodeID) bool { return id == r.config.ID || r.peer(id).readSeq >= s.number }
	if !r.members.quorum.has(returned) {
		return
	}
	var own []ReadID
	for _, rd := range s.current {
		if rd.from == 0 {
			own = append(own, rd.id)
		} else {
			r.send(rd.from, ReadIndexReply{Term: r.currentTerm, Seq: rd.seq, Index: s.index})
		}
	}
	if len(own) > 0 {
		r.effects.Reads = append(r.effects.Reads, ReadReady{IDs: own, Index: s.index})
	}
	s.current = s.current[:0]
}

// forwardReads asks the leader on behalf of all reads that wait here, one request at a time.
func (r *Raft) forwardReads() {
	s := &r.reads
	if len(s.waiting) == 0 || len(s.asked) > 0 {
		return
	}
	s.asked, s.waiting = s.waiting, nil
	s.lease, s.strict = !s.strict, false
	s.lastSeq++
	r.askForReads()
}

// tickReads repeats a request that got no answer. It stays the same request: were it another, an answer that takes longer than we wait
// would always come too late.
func (r *Raft) tickReads() {
	s := &r.reads
	if len(s.asked) > 0 && r.ticks-s.askedAt >= uint64(2*r.config.HeartbeatTicks) {
		r.askForReads()
	}
}

func (r *Raft) askForReads() {
	r.reads.askedAt = r.ticks
	r.send(r.leader, ReadIndex{Term: r.currentTerm, Seq: r.reads.lastSeq, Lease: r.reads.lease})
}

func (r *Raft) onReadIndexReply(from NodeID, m ReadIndexReply) {
	r.updateTerm(m.Term)
	s := &r.reads
	if len(s.asked) == 0 || m.Seq != s.lastSeq {
		return // of an older request
	}
	if m.Term != r.currentTerm || from != r.leader {
		return // not of who was asked, in the term in which it was: a read of an index that never comes would wait for ever
	}
	r.effects.Reads = append(r.effects.Reads, ReadReady{IDs: s.asked, Index: m.Index})
	s.asked = nil
}
