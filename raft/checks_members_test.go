package raft

import "slices"

// What the checks know of membership. They have their own idea of a majority, and do not use the core's.

// agree reports whether those of which yes holds decide in a configuration: a majority of the voters, and of the old ones while it is joint.
func agree(c Configuration, yes func(NodeID) bool) bool {
	voters, old := halves(c)
	return most(voters, yes) && (len(old) == 0 || most(old, yes))
}

func most(voters []NodeID, yes func(NodeID) bool) bool {
	n := 0
	for _, id := range voters {
		if yes(id) {
			n++
		}
	}
	return 2*n > len(voters)
}

// halves are the voters of a configuration, and those of its old half while it is joint.
func halves(c Configuration) (voters, old []NodeID) {
	for _, m := range c.Members {
		if m.Suffrage == Voter {
			voters = append(voters, m.ID)
		}
		if m.Old == Voter {
			old = append(old, m.ID)
		}
	}
	return voters, old
}

// elected checks that a server that has become leader has the votes, by the configuration that was in force when it stood.
func (k *checks) elected(c *cluster, s *server, t Term) {
	n := len(s.log)
	for n > 0 && s.log[n-1].Term == t {
		n--
	}
	at := c.configurationOf(s.log[:n])
	voted := func(id NodeID) bool {
		if id == s.id {
			return s.disk.hardState == HardState{CurrentTerm: t, VotedFor: id}
		}
		return k.ballots[ballot{voter: id, candidate: s.id, term: t}]
	}
	if !agree(at.Configuration, voted) {
		violate("Election Safety", "n%d leads term %d without the votes of a majority in %v", s.id, t, at)
	}
}

// tally takes in what is committed in term t, by how far servers have stored its leader's log, and the configuration that is in force at the
// leader: only it can say that something is committed.
func (k *checks) tally(c *cluster, t Term, log []Entry) {
	if l := k.leaders[t]; l != nil {
		log = l.log
	}
	configuration := c.configurationOf(log).Configuration
	stored := k.stored[t]
	var reached Index
	for _, n := range stored {
		enough := func(id NodeID) bool { return stored[id] >= n }
		if n > reached && int(n) <= len(log) && agree(configuration, enough) {
			reached = n
		}
	}
	k.commit(t, log[:reached])
}

// grows takes in what a leader has appended and not yet handed out. It may never do so, and yet it has counted by the configuration in it.
func (k *checks) grows(c *cluster, s *server) {
	l := k.leaders[k.termOf(s)]
	if l == nil || s.raft.role != Leader || int(s.raft.log.last) <= len(l.log) {
		return
	}
	n := len(s.log)
	es, _ := s.raft.log.cached(Index(n+1), s.raft.log.last, ^uint64(0))
	k.extend(s.chain[:n:n], es)
	l.log = append(s.log[:n:n], es...)
	k.tally(c, k.termOf(s), nil)
}

// configured keeps the configurations in a server's log, which now ends with es, and checks those that a leader appends.
func (k *checks) configured(c *cluster, s *server, es []Entry) {
	if len(es) == 0 {
		return
	}
	for n := len(s.named); n > 0 && s.named[n-1].Index >= es[0].Index; n-- {
		c.seen["configurations undone"]++
		s.named = s.named[: n-1 : n-1]
	}
	for _, at := range configurationsOf(es) {
		if s.raft.role == Leader {
			k.follows(c, s, at)
		}
		s.named = append(s.named, at)
	}
}

// follows checks that a configuration that a leader appends may follow the one before it (§4.3): the voters change by way of a joint
// configuration and in no other way, it begins and ends when what is before it is committed, and who votes has what is to vote on.
func (k *checks) follows(c *cluster, s *server, at ConfigurationAt) {
	t := k.termOf(s)
	was := c.configurationOf(s.log[:at.Index-1])
	voters, old := halves(at.Configuration)
	wasVoters, wasOld := halves(was.Configuration)
	fail := func(why string) {
		violate("Configurations", "n%d puts %v after %v at %d: %s", s.id, at, was, was.Index, why)
	}
	// What the leader of this term has committed, with all that is before it.
	committed := Index(0)
	for i := len(k.committed); i > 0 && committed == 0; i-- {
		if k.committed[i-1].term == t && k.committed[i-1].entry.Term == t {
			committed = Index(i)
		}
	}
	switch {
	case len(wasOld) == 0 && len(old) == 0:
		if !slices.Equal(voters, wasVoters) {
			fail("the voters change in one step")
		}
		if was.Pending() && !at.Pending() {
			c.seen["changes made"]++
		}
	case len(wasOld) == 0:
		c.seen["joint configurations"]++
		if !slices.Equal(old, wasVoters) {
			fail("its old half is not what was")
		}
		if committed == 0 || committed < was.Index {
			fail("what was is not committed in this term")
		}
		for _, id := range voters {
			if !slices.Contains(wasVoters, id) {
				k.mayVote(c, id, was, fail)
			}
		}
	case len(old) > 0:
		fail("a joint configuration can only be left, or taken back")
	case slices.Equal(voters, wasVoters):
		c.seen["changes made"]++
		if !at.IsVoter(s.id) {
			c.seen["leaders removed"]++
		}
		if committed == 0 || committed < was.Index {
			fail("what was is not committed in this term")
		}
	case slices.Equal(voters, wasOld):
		c.seen["joint configurations cancelled"]++
		if committed == 0 {
			fail("nothing is committed in this term: another leader may have gone on from it")
		}
	default:
		fail("it is neither half of what was")
	}
}

// mayVote checks that a server that is to vote is known, and knows by its own log that its time has come.
func (k *checks) mayVote(c *cluster, id NodeID, was ConfigurationAt, fail func(string)) {
	s := c.server(id)
	m, _ := was.Member(id)
	log := s.disk.recovered()
	switch {
	case m.Incarnation == 0 || m.Incarnation != s.folder:
		fail("a new voter's data folder is not the one that it has")
	case len(configurationsOf(log)) == 0:
		fail("a new voter has not caught up")
	case m.Incarnation%100 > 1:
		c.seen["voters that had lost their disk"]++
	}
}

// inForce checks that a server goes by the last configuration in its log, or by the one before its log.
func (k *checks) inForce(c *cluster, s *server) {
	at := s.raft.Configuration()
	want := c.first(s)
	if len(s.named) > 0 {
		want = s.named[len(s.named)-1].Configuration
	} else if s.joins && len(at.Members) > 0 {
		want = c.config.Configuration // it came with a snapshot
	}
	if !at.Configuration.equal(want) {
		violate("in force on append", "n%d goes by %v at %d, the last in its log is %v", s.id, at, at.Index, want)
	}
	if h := s.raft.members.history; len(h) > 1 && h[1].Index < s.raft.log.first {
		violate("bounds", "n%d keeps a configuration at %d that can come back no more", s.id, h[0].Index)
	}
	if q := s.raft.members.quorum; !slices.Equal(q.voters, at.Voters()) {
		violate("in force on append", "n%d counts %v, in force is %v", s.id, q, at)
	}
}

// wiped takes in that what a server had stored is gone.
func (k *checks) wiped(s *server) {
	for _, stored := range k.stored {
		delete(stored, s.id)
	}
}
