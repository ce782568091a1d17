package raft

import (
	"fmt"
	"hash/fnv"
	"slices"
)

// checks knows what has ever happened in a cluster, over all crashes, and holds every step against the properties of Figure 3.2 and
// against what Raft promises of its effects. It believes only what is on disks, never what a server says.
type checks struct {
	// Log Matching: an index and a term name one entry, and one log before it.
	entries map[place]uint64 // hash of the entry
	chains  map[place]uint64 // hash of the log that ends in it

	// Election Safety: who led, over all incarnations.
	leaders map[Term]*leadership
	terms   []Term // the keys of leaders, ascending
	votes   map[vote]NodeID
	ballots map[ballot]bool // that were given away

	// stored is how far each server held the log of a term's leader on disk while it was in that term. What a majority stored is
	// committed, whether anybody knows it or not: no later leader can be elected without it.
	stored     map[Term]map[NodeID]Index
	committed  []commitment // by index-1
	commitSeen Index        // the largest commitIndex of any server ever

	proposals map[string]*proposed // by command
	byID      map[uint64]*proposed
	reads     map[readKey]Index // what each read must reflect
	forwards  map[[2]uint64]bool
}

type place struct {
	index Index
	term  Term
}

type vote struct {
	voter  NodeID
	folder uint64
	term   Term
}

type ballot struct {
	voter, candidate NodeID
	term             Term
}

// leadership is a server's that was elected.
type leadership struct {
	server      NodeID
	incarnation uint64
	log         []Entry // as far as it grew
	chain       []uint64
}

// commitment is an entry that is committed for ever, and the term in which it became so.
type commitment struct {
	entry Entry
	chain uint64
	term  Term
}

// proposed is what became of a command.
type proposed struct {
	id       uint64
	term     Term
	by       *server
	life     uint64 // by's incarnation
	refused  bool   // it must never be in any log
	appended place  // the only one that it may have
	commits  int
}

type readKey struct {
	server      NodeID
	incarnation uint64
	id          ReadID
}

// violation is a broken property.
type violation string

func violate(property, format string, args ...any) {
	panic(violation(property + ": " + fmt.Sprintf(format, args...)))
}

func newChecks() *checks {
	return &checks{
		entries: map[place]uint64{}, chains: map[place]uint64{}, leaders: map[Term]*leadership{}, votes: map[vote]NodeID{}, ballots: map[ballot]bool{},
		stored: map[Term]map[NodeID]Index{}, proposals: map[string]*proposed{}, byID: map[uint64]*proposed{}, reads: map[readKey]Index{},
		forwards: map[[2]uint64]bool{},
	}
}

func hashEntry(before uint64, e Entry) uint64 {
	h := fnv.New64a()
	var b [25]byte
	for i := range 8 {
		b[i], b[8+i], b[16+i] = byte(before>>(8*i)), byte(e.Index>>(8*i)), byte(e.Term>>(8*i))
	}
	b[24] = byte(e.Type)
	h.Write(b[:])
	h.Write(e.Data)
	return h.Sum64()
}

// chainOf returns the hashes of all prefixes of a log, and checks Log Matching for it.
func (k *checks) chainOf(log []Entry) []uint64 { return k.extend(nil, log) }

func (k *checks) extend(chain []uint64, es []Entry) []uint64 {
	for _, e := range es {
		var before uint64
		if len(chain) > 0 {
			before = chain[len(chain)-1]
		}
		h := hashEntry(before, e)
		p := place{e.Index, e.Term}
		if known, ok := k.chains[p]; ok && known != h {
			violate("Log Matching", "two logs have an entry %d of term %d, and are not identical up to it", e.Index, e.Term)
		}
		k.chains[p], k.entries[p] = h, hashEntry(0, e)
		chain = append(chain, h)
	}
	return chain
}

// appended takes in that a server's log now ends with es.
func (k *checks) appended(s *server, es []Entry) {
	if len(es) == 0 {
		return
	}
	if l := k.leaders[k.termOf(s)]; l != nil && l.server == s.id && int(es[0].Index) <= len(l.chain) {
		violate("Leader Append-Only", "n%d, leader of term %d, replaces its entry %d", s.id, k.termOf(s), es[0].Index)
	}
	keep := es[0].Index - 1
	s.chain = k.extend(s.chain[:keep:keep], es)
	for _, e := range es {
		p := k.proposals[string(e.Data)]
		here := place{e.Index, e.Term}
		switch {
		case p == nil:
		case p.refused:
			violate("refused", "%v is in the log of n%d", e, s.id)
		case p.term != e.Term:
			violate("term of a proposal", "%v was given in term %d", e, p.term)
		case p.appended != place{} && p.appended != here:
			violate("appended once", "%v is also entry %d of term %d", e, p.appended.index, p.appended.term)
		default:
			p.appended = here
		}
	}
}

func (k *checks) termOf(s *server) Term { return s.raft.Term() }

// sent checks that nothing leaves a server that a crash could make it forget.
func (k *checks) sent(s *server, e Envelope) {
	durable := s.disk.hardState
	switch m := e.Message.(type) {
	case RequestVote:
		if !m.PreVote {
			k.voted(s, m.Term, s.id)
		}
	case RequestVoteReply:
		if m.VoteGranted && !m.PreVote {
			k.voted(s, m.Term, e.To)
		} else if !m.VoteGranted && durable.CurrentTerm < m.Term {
			violate("durable before sent", "n%d answers in term %d, on its disk is %d", s.id, m.Term, durable.CurrentTerm)
		}
	case AppendEntries:
		l := k.leaders[m.Term]
		if l == nil || l.server != s.id {
			violate("Election Safety", "n%d sends AppendEntries of term %d, which it does not lead", s.id, m.Term)
		}
		if durable != (HardState{m.Term, s.id}) {
			violate("durable before sent", "n%d leads term %d, on its disk is %v", s.id, m.Term, durable)
		}
		k.checkEntries(m.Entries)
	case AppendEntriesReply:
		if durable.CurrentTerm < m.Term {
			violate("durable before sent", "n%d answers in term %d, on its disk is %d", s.id, m.Term, durable.CurrentTerm)
		}
		if m.Success {
			k.acknowledged(s, m)
		}
	}
}

// voted checks the vote that a message tells of.
func (k *checks) voted(s *server, t Term, candidate NodeID) {
	if s.disk.hardState != (HardState{t, candidate}) {
		violate("durable before sent", "n%d tells of its vote for n%d in term %d, on its disk is %v", s.id, candidate, t, s.disk.hardState)
	}
	v := vote{voter: s.id, folder: s.folder, term: t}
	if other, ok := k.votes[v]; ok && other != candidate {
		violate("one vote a term", "n%d votes for n%d and for n%d in term %d", s.id, other, candidate, t)
	}
	k.votes[v], k.ballots[ballot{s.id, candidate, t}] = candidate, true
}

// acknowledged checks that what a server acknowledges is on its disk, and equal to the leader's.
func (k *checks) acknowledged(s *server, m AppendEntriesReply) {
	if m.MatchIndex == 0 {
		return
	}
	l := k.leaders[m.Term]
	if l == nil || m.MatchIndex > Index(len(l.chain)) {
		violate("acknowledged", "n%d acknowledges entry %d to the leader of term %d, which does not have it", s.id, m.MatchIndex, m.Term)
	}
	log := s.disk.recovered()
	if m.MatchIndex > Index(len(log)) {
		violate("durable before sent", "n%d acknowledges entry %d, its log on disk ends in %d", s.id, m.MatchIndex, len(log))
	}
	last := log[m.MatchIndex-1]
	if k.chains[place{last.Index, last.Term}] != l.chain[m.MatchIndex-1] {
		violate("durable before sent", "n%d acknowledges entry %d, on its disk is %v, which is not the leader's", s.id, m.MatchIndex, last)
	}
}

// received checks that a message holds what its sender's log holds.
func (k *checks) received(p *packet) {
	if m, ok := p.Message.(AppendEntries); ok {
		k.checkEntries(m.Entries)
	}
}

// checkEntries finds entries whose bytes have changed since they were appended.
func (k *checks) checkEntries(es []Entry) {
	for _, e := range es {
		if h, ok := k.entries[place{e.Index, e.Term}]; ok && h != hashEntry(0, e) {
			violate("immutable entries", "%v is not what was appended", e)
		}
	}
}

// leads takes in a server's election: it is called once its log is known and before its messages leave.
func (k *checks) leads(c *cluster, s *server) {
	if s.raft.role != Leader {
		return
	}
	t := k.termOf(s)
	l := k.leaders[t]
	if l != nil {
		if l.server != s.id || l.incarnation != s.incarnation {
			violate("Election Safety", "n%d leads term %d, in its incarnation %d, after n%d in its incarnation %d",
				s.id, t, s.incarnation, l.server, l.incarnation)
		}
		grown := len(s.log) > len(l.log)
		l.log, l.chain = s.log, s.chain
		if grown {
			k.tally(c, t, nil) // another configuration may be in force
		}
		return
	}
	k.elected(c, s, t)
	l = &leadership{server: s.id, incarnation: s.incarnation, log: s.log, chain: s.chain}
	k.leaders[t] = l
	i, _ := slices.BinarySearch(k.terms, t)
	k.terms = slices.Insert(k.terms, i, t)
	for i := len(k.committed); i > 0; i-- {
		if c := k.committed[i-1]; c.term < t {
			k.checkComplete(t, l, Index(i))
			break
		}
	}
}

// checkComplete checks Leader Completeness for the entry at i, which is committed.
func (k *checks) checkComplete(t Term, l *leadership, i Index) {
	c := k.committed[i-1]
	if Index(len(l.chain)) < i || l.chain[i-1] != c.chain {
		violate("Leader Completeness", "n%d leads term %d without entry %v, committed in term %d", l.server, t, c.entry, c.term)
	}
}

// step checks a server when it has nothing more to say.
func (k *checks) step(c *cluster, s *server) {
	r := s.raft
	if r.log.last != Index(len(s.log)) {
		violate("saves", "the log of n%d ends in %d, what it handed out to be saved in %d", s.id, r.log.last, len(s.log))
	}
	k.store(c, s)
	i := r.commitIndex
	if i > Index(len(k.committed)) {
		violate("committed is durable", "n%d says that %d is committed, a majority has stored only up to %d", s.id, i, len(k.committed))
	}
	if i > 0 && s.chain[i-1] != k.committed[i-1].chain {
		violate("State Machine Safety", "n%d says that its entry %v is committed, it is %v", s.id, s.log[i-1], k.committed[i-1].entry)
	}
	k.commitSeen = max(k.commitSeen, i)
	k.inForce(c, s)
	k.checkLimits(s)
}

// store takes in how far a server's disk holds the log of its term's leader, and what is committed thereby.
func (k *checks) store(c *cluster, s *server) {
	log := s.disk.recovered()
	n := Index(len(log))
	t := k.termOf(s)
	if n == 0 || log[n-1].Term != t {
		return // the last entries are an earlier leader's, or the leader's have not come yet
	}
	stored := k.stored[t]
	if stored == nil {
		stored = map[NodeID]Index{}
		k.stored[t] = stored
	}
	if stored[s.id] >= n {
		return
	}
	stored[s.id] = n
	k.tally(c, t, log)
}

// commit takes in that a prefix of a log is committed in term t.
func (k *checks) commit(t Term, log []Entry) {
	for i, e := range log {
		chain := k.chains[place{e.Index, e.Term}]
		if i < len(k.committed) {
			if k.committed[i].chain != chain {
				violate("State Machine Safety", "%v is committed in term %d, and so is %v in term %d", e, t, k.committed[i].entry, k.committed[i].term)
			}
			continue
		}
		k.committed = append(k.committed, commitment{entry: e, chain: chain, term: t})
		if p := k.proposals[string(e.Data)]; p != nil {
			if p.commits++; p.commits > 1 {
				violate("committed once", "%v", e)
			}
		}
	}
	for _, later := range k.terms {
		if later > t && len(log) > 0 {
			k.checkComplete(later, k.leaders[later], Index(len(log)))
		}
	}
}

// checkLimits checks the bounds that Config promises.
func (k *checks) checkLimits(s *server) {
	r := s.raft
	for _, p := range r.peers {
		if n := len(p.inflight); n > 0 && p.inflightBytes-p.inflight[n-1].bytes >= r.config.InflightBytesMax {
			violate("InflightBytesMax", "n%d has %d bytes under way to n%d", s.id, p.inflightBytes, p.id)
		}
	}
	if len(r.disk.withheld) > withheldMax {
		violate("withheldMax", "n%d withholds %d messages", s.id, len(r.disk.withheld))
	}
	var cached uint64
	in := &r.log.cache
	for _, b := range in.blocks {
		for _, e := range b {
			cached += e.Size()
		}
	}
	if in.bytes != cached {
		violate("cache.bytes", "n%d counts %d bytes, they are %d", s.id, in.bytes, cached)
	}
	if in.next() > in.first && in.bytes > r.config.CacheBytesMax && in.first <= min(r.commitIndex, r.disk.index) {
		violate("CacheBytesMax", "n%d keeps %d bytes, from %d on", s.id, in.bytes, in.first)
	}
}

// asked checks that what a core wants to read is on the disk.
func (k *checks) asked(s *server, l Load) {
	if l.From < s.raft.log.first {
		violate("loads", "n%d wants %s, and its log begins with entry %d", s.id, describeLoad(l), s.raft.log.first)
	}
	for i := l.From; i <= l.To; i++ {
		if i > Index(len(s.disk.log)) || s.disk.log[i-1].Term != s.log[i-1].Term {
			violate("loads", "n%d wants %s, and entry %d is not on its disk", s.id, describeLoad(l), i)
		}
	}
}

// handedToApply checks what a core hands out to its state machine.
func (k *checks) handedToApply(s *server, es []Entry) {
	for i, e := range es {
		if e.Index != s.given+1+Index(i) {
			violate("applied in order", "n%d hands out entry %d after %d", s.id, e.Index, s.given+Index(i))
		}
		if log := s.disk.recovered(); e.Index > Index(len(log)) || hashEntry(0, log[e.Index-1]) != hashEntry(0, e) {
			violate("applied when durable", "n%d hands out %v, which is not on its disk", s.id, e)
		}
	}
}

// applied checks what a state machine executes.
func (k *checks) applied(s *server, es []Entry) {
	for _, e := range es {
		if e.Index > Index(len(k.committed)) {
			violate("State Machine Safety", "n%d applies %v, which is not committed", s.id, e)
		}
		if c := k.committed[e.Index-1].entry; hashEntry(0, c) != hashEntry(0, e) {
			violate("State Machine Safety", "n%d applies %v, committed is %v", s.id, e, c)
		}
	}
}

// newProposal registers a command, which must be a new one, and returns its ID.
func (k *checks) newProposal(command string) uint64 {
	if k.proposals[command] != nil {
		panic(fmt.Sprintf("%q was proposed before: the checks tell commands apart by their bytes", command))
	}
	p := &proposed{id: uint64(len(k.proposals) + 1)}
	k.proposals[command], k.byID[p.id] = p, p
	return p.id
}

// proposed takes in the answer to a proposal.
func (k *checks) proposed(s *server, ps []Proposal, t Term, err error) {
	for _, p := range ps {
		known := k.byID[p.ID]
		known.term, known.refused, known.by, known.life = t, err != nil, s, s.incarnation
	}
}

// forwarded counts the messages that are sent again.
func (k *checks) forwarded(c *cluster, m ForwardProposals) {
	key := [2]uint64{m.Stream, m.Seq}
	if k.forwards[key] {
		c.seen["forwards sent again"]++
	}
	k.forwards[key] = true
}

func (k *checks) refused(r Refused) {
	for _, id := range r.IDs {
		p := k.byID[id]
		if p.appended != (place{}) {
			violate("refused", "proposal %d is said to be refused, it is entry %d of term %d", id, p.appended.index, p.appended.term)
		}
		if p.term != r.Term {
			violate("refused", "proposal %d was given in term %d, and is said to be refused in %d", id, p.term, r.Term)
		}
		p.refused = true
	}
}

// askRead notes what a read must reflect: all that any server knows by now to be committed.
func (k *checks) askRead(s *server, id ReadID) {
	if _, ok := s.outcomes[id]; ok {
		panic(fmt.Sprintf("n%d was asked read %d before", s.id, id))
	}
	s.outcomes[id] = ""
	k.reads[readKey{s.id, s.incarnation, id}] = k.commitSeen
}

func (k *checks) confirmRead(s *server, id ReadID, i Index) {
	k.endRead(s, id, "confirmed")
	if need := k.reads[readKey{s.id, s.incarnation, id}]; i < need {
		violate("fresh reads", "n%d may answer read %d from the state at %d; when it was asked, %d was committed", s.id, id, i, need)
	}
}

func (k *checks) endRead(s *server, id ReadID, how string) {
	was, asked := s.outcomes[id]
	if !asked || was != "" {
		violate("reads end once", "read %d of n%d is %s, it was %q", id, s.id, how, was)
	}
	s.outcomes[id] = how
}
