package raft

// ghost is what the properties need to know of the past beside the state: who led, who voted for whom, and what is committed, by a rule that is
// stricter than anything a server knows. It is a value: two pasts that are equal in this are one.
type ghost struct {
	leaders [modelTermsMax + 1]leaderGhost
	votes   [modelTermsMax + 1][modelServersMax + 1]uint8 // that were sent: for whom
	// stored is how far each server held the log of a term's leader on disk while it was in that term. What a majority stored is
	// committed, whether anybody knows it or not: no later leader can be elected without it.
	stored      [modelTermsMax + 1][modelServersMax + 1]uint8
	committed   *chain
	committedIn [modelLogMax + 1]uint8   // the term, by index
	commitSeen  uint8                    // the largest commitIndex of any server ever
	reads       [modelReadsMax + 1]uint8 // by id: what the read must reflect, and one more; zero when it has ended
}

const (
	modelTermsMax, modelServersMax, modelLogMax, modelReadsMax = 5, 4, 12, 2
)

// leaderGhost is who led a term, and its log as far as it grew.
type leaderGhost struct {
	id   uint8
	over bool // it leads no more, and must never again
	log  *chain
}

// write is for keys.
func (g *ghost) write(e *encoder, m *model, names int) {
	for t := range g.leaders {
		l := &g.leaders[t]
		e.id(NodeID(l.id))
		e.flags(l.over)
		e.number(m.chainHash(l.log, names))
		e.inOrder(func(id NodeID) {
			e.id(NodeID(g.votes[t][id]))
			e.number(uint64(g.stored[t][id]))
		})
	}
	e.number(m.chainHash(g.committed, names))
	e.b = append(e.b, g.committedIn[:]...)
	e.b = append(e.b, g.commitSeen)
	e.b = append(e.b, g.reads[:]...)
}

// follow takes in a step, and checks what takes several servers to check. docs/testing.md lists the properties.
func (g *ghost) follow(m *model, out *outcome) {
	s := out.next
	if out.crashed {
		for t := range g.leaders {
			if g.leaders[t].id == uint8(s.id) {
				g.leaders[t].over = true
			}
		}
	}
	for _, sent := range out.sends {
		g.sent(sent)
	}
	g.store(m, s) // before the leader's log grows: a commit may be by the configuration that was in force until then
	g.leads(m, s, out)
	g.store(m, s)
	g.matches(s, s.memory)
	g.matches(s, s.durable)
	for _, a := range out.acks {
		if l := g.leaders[a.term].log; l == nil || !a.match.begins(l) {
			violate("S6 committed is durable", "n%d acknowledges entry %d to the leader of term %d, whose log is another", s.id, a.match.n, a.term)
		}
	}
	i := s.raft.commitIndex
	if i > g.committed.n {
		violate("S6 committed is durable", "n%d says that entry %d is committed; a majority has stored, in one term, only up to %d", s.id, i, g.committed.n)
	}
	if s.memory.to(i) != g.committed.to(i) {
		violate("S5 State Machine Safety", "n%d says that its entry %v is committed, it is %v", s.id, s.log[i-1], g.committed.to(i).entry)
	}
	g.commitSeen = max(g.commitSeen, uint8(i))
	for _, r := range out.ready {
		for _, id := range r.IDs {
			if need := Index(g.reads[id]) - 1; g.reads[id] == 0 || r.Index < need {
				violate("S13 fresh reads", "n%d may answer read %d from the state at %d; when it was asked, %d was committed", s.id, id, r.Index, need)
			}
			g.reads[id] = 0
		}
	}
	for _, id := range out.aborted {
		g.reads[id] = 0
	}
}

// sent takes in a vote.
func (g *ghost) sent(sent mail) {
	var t Term
	var candidate NodeID
	switch v := sent.Message.(type) {
	case RequestVote:
		if !v.PreVote {
			t, candidate = v.Term, sent.from
		}
	case RequestVoteReply:
		if v.VoteGranted && !v.PreVote {
			t, candidate = v.Term, sent.To
		}
	}
	if candidate == 0 {
		return
	}
	known := &g.votes[t][sent.from]
	if *known != 0 && NodeID(*known) != candidate {
		violate("S7 one vote a term", "n%d votes for n%d in term %d, after it has voted for n%d", sent.from, candidate, t, *known)
	}
	*known = uint8(candidate)
}

// leads takes in an election, and what a leader appends.
func (g *ghost) leads(m *model, s *replica, out *outcome) {
	now := Term(0)
	if s.raft.role == Leader {
		now = s.raft.currentTerm
	}
	for _, sent := range out.sends {
		if a, ok := sent.Message.(AppendEntries); ok {
			now = a.Term // it may have stepped down since
		}
	}
	if now > 0 {
		l := &g.leaders[now]
		switch {
		case l.id == 0:
			*l = leaderGhost{id: uint8(s.id), log: s.memory}
			g.elected(m, s, now)
		case l.id != uint8(s.id) || l.over:
			violate("S1 Election Safety", "n%d leads term %d, after n%d (whose leadership is over: %v)", s.id, now, l.id, l.over)
		case !l.log.begins(s.memory):
			violate("S2 Leader Append-Only", "n%d, leader of term %d, had the log up to %v, and now has %v", s.id, now, l.log.entry, s.memory.entry)
		}
		l.log = s.memory
		g.tally(m, now) // another configuration may be in force, or this server is all that it takes
	}
	for t := range g.leaders {
		if l := &g.leaders[t]; l.id == uint8(s.id) && (s.raft.role != Leader || s.raft.currentTerm != Term(t)) {
			l.over = true
		}
	}
}

// elected checks that a server that has become leader has the votes, by the configuration that was in force when it stood, and all that is
// committed.
func (g *ghost) elected(m *model, s *replica, t Term) {
	stood := s.memory
	for stood.n > 0 && stood.term() == t {
		stood = stood.before
	}
	voted := func(id NodeID) bool {
		return g.votes[t][id] == uint8(s.id) || id == s.id && s.raft.disk.term == s.raft.hardState()
	}
	if !agree(stood.config, voted) {
		violate("S1 Election Safety", "n%d leads term %d without the votes of a majority in %v", s.id, t, stood.config)
	}
	for i := g.committed.n; i > 0; i-- {
		if Term(g.committedIn[i]) < t {
			g.complete(t, i)
			break
		}
	}
}

// complete checks that the leader of a term has what is committed up to i.
func (g *ghost) complete(t Term, i Index) {
	if c := g.committed.to(i); !c.begins(g.leaders[t].log) {
		violate("S4 Leader Completeness", "n%d leads term %d without entry %v, committed in term %d", g.leaders[t].id, t, c.entry, g.committedIn[i])
	}
}

// matches checks that a log is a beginning of the log of the leader of its last term: then any two logs that have an entry of the same index and
// term are identical up to it, as both are beginnings of one.
func (g *ghost) matches(s *replica, log *chain) {
	if log.n == 0 {
		return
	}
	if l := g.leaders[log.term()].log; l == nil || !log.begins(l) {
		violate("S3 Log Matching", "the log of n%d ends in %v and is not what the leader of term %d had", s.id, log.entry, log.term())
	}
}

// store takes in how far a server's disk holds the log of its term's leader.
func (g *ghost) store(m *model, s *replica) {
	t, n := s.raft.currentTerm, uint8(s.durable.n)
	if kept := s.durable.to(Index(g.stored[t][s.id])); kept == nil || !kept.begins(g.leaders[t].log) {
		violate("S6 committed is durable", "n%d had stored the log of the leader of term %d up to %d, and is in that term, and has no more than %v",
			s.id, t, g.stored[t][s.id], s.durable.entry)
	}
	if n > 0 && s.durable.term() == t && g.stored[t][s.id] < n {
		g.stored[t][s.id] = n
		g.tally(m, t)
	}
}

// tally takes in what is committed in a term, by the configuration that is in force at its leader.
func (g *ghost) tally(m *model, t Term) {
	l := g.leaders[t].log
	if l == nil {
		return
	}
	var reached Index
	for _, n := range g.stored[t] {
		if Index(n) > reached && Index(n) <= l.n && agree(l.config, func(id NodeID) bool { return g.stored[t][id] >= n }) {
			reached = Index(n)
		}
	}
	c := l.to(reached)
	if c.n <= g.committed.n {
		if !c.begins(g.committed) {
			violate("S5 State Machine Safety", "%v is committed in term %d, and so is %v in term %d", c.entry, t, g.committed.to(c.n).entry, g.committedIn[c.n])
		}
	} else {
		if !g.committed.begins(c) {
			violate("S5 State Machine Safety", "%v is committed in term %d, and not what was before it, %v", c.entry, t, g.committed.entry)
		}
		for i := g.committed.n + 1; i <= c.n; i++ {
			g.committedIn[i] = uint8(t)
		}
		g.committed = c
	}
	for later := t + 1; int(later) < len(g.leaders); later++ {
		if g.leaders[later].id != 0 && c.n > 0 {
			g.complete(later, c.n)
		}
	}
}
