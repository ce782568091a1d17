package raft

import (
	"fmt"
	"slices"
)

// replica is a member in a model: a core, its disk, and a host that does at once what it is asked to, but for what takes the disk. It is never
// changed: an input makes another one of it. So replicas are shared by all states that they occur in.
type replica struct {
	id   NodeID
	raft *Raft
	disk disk    // its saves are handed out, and a crash loses them
	log  []Entry // the one of the core, with saves laid over what is on disk

	memory, durable *chain // log, and what a restart would find
}

// chain is a log as a path: two logs are equal if they are the same chain, and what two have in common is where their paths part.
type chain struct {
	before *chain
	entry  Entry
	config Configuration // in force at the entry
	n      Index
	keys   []uint64 // by naming
}

func (c *chain) term() Term { return c.entry.Term }

// to is the log up to i, or nil if it is not as long.
func (c *chain) to(i Index) *chain {
	for c.n > i {
		c = c.before
	}
	if c.n < i {
		return nil
	}
	return c
}

// begins reports whether c is a beginning of other.
func (c *chain) begins(other *chain) bool { return c.n == 0 || other.to(c.n) == c }

type chainKey struct {
	before *chain
	term   Term
	kind   EntryType
	data   string
}

// inputKind is what can happen to a member.
type inputKind uint8

const (
	inputDeliver     inputKind = iota // a message arrives; arg is which
	inputSync                         // the oldest save becomes durable
	inputCrash                        // it loses all that is not durable and starts again; arg-1 entries of the oldest save are left, with 0 nothing
	inputCampaign                     // it stands for election, as if its leader had asked it to
	inputTimeout                      // its election timer runs out
	inputPatience                     // the minimum election timeout has passed since it heard its leader
	inputHeartbeat                    // a tick at a leader
	inputQuorumLost                   // nobody has answered a leader for an election timeout
	inputPropose                      // a client's command
	inputRead                         // a client's read; arg is its id
	inputTransfer                     // a leader is told to hand over to member arg
	inputTransferEnd                  // and gives up
	inputChange                       // a leader is told to make change arg-1 of the model, with id arg
	inputCompact                      // it takes a snapshot of all that is applied, and forgets the log before it

	inputKinds = iota // how many there are
)

type input struct {
	kind inputKind
	arg  uint32
}

// mail is a message with where it comes from and goes to.
type mail struct {
	from NodeID
	Envelope
	snapshot []Entry // with InstallSnapshot: the entries that it stands for
}

// outcome is what an input leads to. It depends on the replica and the input alone.
type outcome struct {
	next    *replica
	sends   []mail
	acks    []ack
	ready   []ReadReady
	aborted []ReadID
	asked   bool // the input was taken: a proposal, a read, a transfer, a change
	crashed bool
	broken  string // not empty: the property that does not hold
}

// ack is a follower's word that it has the log of the leader of term.
type ack struct {
	term  Term
	match *chain
}

// step is a replica on its way to the next one.
type step struct {
	*replica
	model *model
	out   *outcome
	tell  func(format string, args ...any) // nil: nobody listens
}

// act makes an input happen.
func (m *model) act(from *replica, in input, message *mail, tell func(string, ...any)) (out outcome) {
	next := *from
	next.raft = from.raft.clone()
	next.disk.saves = slices.Clone(from.disk.saves)
	out.next = &next
	s := &step{replica: &next, model: m, out: &out, tell: tell}
	defer func() {
		if v := recover(); v != nil {
			out.broken = fmt.Sprint(v)
		}
	}()
	s.input(in, message)
	s.settle()
	s.check()
	next.memory, next.durable = m.chain(next.log), m.chain(next.disk.recovered())
	return out
}

func (s *step) say(format string, args ...any) {
	if s.tell != nil {
		s.tell(format, args...)
	}
}

func (s *step) input(in input, message *mail) {
	r := s.raft
	err := error(nil)
	switch in.kind {
	case inputDeliver:
		s.say("n%d -> n%d %s", message.from, s.id, describe(message.Message))
		s.storeSnapshot(message)
		if err := r.Receive(message.from, message.Message); err != nil {
			violate("receive", "n%d: %v", s.id, err)
		}
	case inputSync:
		save := s.disk.saves[0]
		s.say("n%d: its oldest save is durable: %s", s.id, describeSave(save))
		s.sync()
	case inputCrash:
		s.crash(int(in.arg))
	case inputCampaign:
		s.say("n%d stands for election", s.id)
		r.startElection(true)
	case inputTimeout:
		s.say("n%d: its election timer runs out", s.id)
		r.electionElapsed = r.electionTimeout
		r.Tick()
	case inputPatience:
		s.say("n%d has not heard its leader for the minimum election timeout", s.id)
		r.electionElapsed = r.config.ElectionTicks
	case inputHeartbeat:
		s.say("n%d: a tick", s.id)
		r.Tick()
	case inputQuorumLost:
		s.say("n%d: an election timeout passes without an answer", s.id)
		r.ticks += uint64(r.config.ElectionTicks)
		r.Tick()
	case inputPropose:
		s.say("n%d is given a command", s.id)
		_, err = r.Propose(Proposal{ID: 1, Data: []byte{byte(s.id)}})
		s.out.asked = err == nil
	case inputRead:
		s.say("n%d is asked read %d", s.id, in.arg)
		s.out.asked = r.ReadIndex(ReadID(in.arg)) == nil
	case inputTransfer:
		s.say("n%d is told to hand over to n%d", s.id, in.arg)
		s.out.asked = r.TransferLeadership(NodeID(in.arg)) == nil
	case inputTransferEnd:
		s.say("n%d: an election timeout has passed since it began to hand over", s.id)
		r.transfer.since = r.ticks - uint64(r.config.ElectionTicks)
		r.Tick()
	case inputChange:
		change := s.model.changes[in.arg-1]
		change.ID, change.Base, change.Force = uint64(in.arg), r.Configuration().Change, true
		s.say("n%d is told change %d: %s", s.id, change.ID, describeDesired(change))
		s.out.asked = r.ChangeMembers(change) == nil
	case inputCompact:
		i := r.lastApplied
		s.say("n%d takes a snapshot at %d and forgets the log before it", s.id, i)
		if int(i) > len(s.disk.snapshot) {
			s.disk.snapshot, s.disk.base = s.log[:i:i], s.model.configurationOf(s.log[:i])
		}
		r.Compact(i)
	}
}

// configurationOf is the last configuration in a log.
func (m *model) configurationOf(log []Entry) ConfigurationAt {
	if named := configurationsOf(log); len(named) > 0 {
		return named[len(named)-1]
	}
	return ConfigurationAt{Configuration: m.configuration}
}

// storeSnapshot does what a host does with a snapshot that comes: it is durable before the core hears of it.
func (s *step) storeSnapshot(message *mail) {
	m, ok := message.Message.(InstallSnapshot)
	if ok && m.Term >= s.raft.currentTerm && len(message.snapshot) > len(s.disk.snapshot) {
		s.disk.snapshot, s.disk.base = message.snapshot, s.model.configurationOf(message.snapshot)
	}
}

// settle carries out effects until there are no more.
func (s *step) settle() {
	for range 100 {
		e := s.raft.Effects()
		if !s.carryOut(e) {
			return
		}
	}
	violate("model", "n%d does not become quiet", s.id)
}

// carryOut does what a core wants done, and reports whether the core has been told anything.
func (s *step) carryOut(e Effects) (told bool) {
	for _, event := range e.Events {
		s.say("         n%d %v", s.id, event)
	}
	for _, m := range e.Messages { // nothing waits for the save beside them
		s.send(m)
	}
	if len(e.Refused) > 0 {
		violate("model", "n%d refuses a proposal, and no model has any on their way", s.id)
	}
	for _, to := range e.Send {
		s.sendSnapshot(to)
		told = true
	}
	if e.Restore != nil {
		s.restore(*e.Restore)
		told = true
	}
	s.out.ready, s.out.aborted = append(s.out.ready, e.Reads...), append(s.out.aborted, e.Aborted...)
	if len(e.Apply) > 0 {
		s.apply(e.Apply)
		told = true
	}
	for _, l := range e.Load {
		s.load(l)
		told = true
	}
	if e.Configuration != nil && s.model.folders {
		for _, m := range e.Configuration.Members {
			if m.ID != s.id {
				s.raft.Introduce(m.ID, uint64(m.ID))
			}
		}
		told = true
	}
	if e.Save != nil {
		told = s.save(e.Save) || told
	}
	return told
}

// sendSnapshot sends the newest snapshot. Whether it arrives is seen by the answer.
func (s *step) sendSnapshot(to NodeID) {
	n := len(s.disk.snapshot)
	last := s.disk.snapshot[n-1]
	m := InstallSnapshot{
		Term: s.raft.currentTerm, LeaderID: s.id, LastIncludedIndex: last.Index, LastIncludedTerm: last.Term,
		Configuration: AppendConfiguration(nil, s.disk.base.Configuration),
	}
	s.say("         n%d sends n%d %s", s.id, to, describe(m))
	s.out.sends = append(s.out.sends, mail{s.id, Envelope{to, m}, s.disk.snapshot})
	s.raft.SnapshotSent(to)
}

func (s *step) restore(r Restore) {
	if int(r.Index) > len(s.disk.snapshot) || s.disk.snapshot[r.Index-1].Term != r.Term {
		violate("S11 restored", "n%d is to continue from a snapshot at %s, which it does not have", s.id, at(r.Index, r.Term))
	}
	s.say("         n%d continues from the snapshot at %s", s.id, at(r.Index, r.Term))
	s.raft.Applied(r.Index)
}

func (s *step) save(save *Save) (told bool) {
	s.disk.saves = append(s.disk.saves, save)
	if save.Reset {
		s.log = s.disk.replaced(save.First)
	}
	if f := save.First; int(f)-1 > len(s.disk.snapshot) || f > 1 && (int(f)-1 > len(s.log) || s.log[f-2].Term != save.BaseTerm) {
		violate("S11 compaction", "the log of n%d is to begin behind %s; its snapshot ends in %d, its log in %d", s.id, at(f-1, save.BaseTerm), len(s.disk.snapshot), len(s.log))
	}
	s.log = supersede(s.log, save.Entries)
	switch s.model.disk {
	case diskQuick:
		s.sync()
		return true
	case diskLies:
		s.raft.Persisted(save.Seq)
		return true
	}
	s.say("         n%d begins to save %s", s.id, describeSave(save))
	return false
}

func (s *step) sync() {
	save := s.disk.saves[0]
	was := s.disk.hardState
	s.disk.saves = s.disk.saves[1:]
	s.disk.write(save, len(save.Entries))
	if h := save.HardState; h.CurrentTerm < was.CurrentTerm || h.CurrentTerm == was.CurrentTerm && was.VotedFor != 0 && h.VotedFor != was.VotedFor {
		violate("S7 one vote a term", "n%d had stored %v, now it stores %v", s.id, describeHardState(was), describeHardState(h))
	}
	if s.model.disk != diskLies {
		s.raft.Persisted(save.Seq)
	}
}

// crash ends the core and starts it again from what is on disk.
func (s *step) crash(left int) {
	was := s.raft
	if left > 0 {
		s.disk.write(s.disk.saves[0], left-1)
		s.say("n%d crashes and starts again; of its oldest save the first %d entries are left, of the others nothing", s.id, left-1)
	} else {
		s.say("n%d crashes and starts again; what was not durable, of %d saves, is lost", s.id, len(s.disk.saves))
	}
	s.disk.saves = nil
	s.raft = s.model.start(s.id, &s.disk, max(was.reads.lastSeq, was.forwards.lastStream)+1)
	s.log = s.disk.log
	s.out.crashed = true
	s.say("         n%d has %v, log %s", s.id, describeHardState(s.disk.hardState), describeLog(s.disk.log, 1))
}

// start is a core that begins with what is on disk.
func (m *model) start(id NodeID, d *disk, epoch uint64) *Raft {
	config := Config{ID: id, Configuration: m.configuration, Rand: &fixedRand{}, HeartbeatTicks: 1, ElectionTicks: 1000}
	if m.folders {
		config.Incarnation = uint64(id)
	}
	if m.reads > 0 {
		config.Epoch = epoch
	}
	state := d.state()
	state.Base, state.Configurations = d.base, configurationsOf(d.log[len(d.snapshot):])
	r, err := New(config, state)
	if err != nil {
		violate("model", "n%d does not start: %v", id, err)
	}
	return r
}

// apply executes committed entries.
func (s *step) apply(es []Entry) {
	for i, e := range es {
		if e.Index != s.raft.lastApplied+Index(i)+1 {
			violate("S9 applied once, in order", "n%d hands out entry %d after %d", s.id, e.Index, s.raft.lastApplied+Index(i))
		}
		if stored := s.disk.recovered(); s.model.disk != diskLies && (int(e.Index) > len(stored) || hashEntry(0, stored[e.Index-1]) != hashEntry(0, e)) {
			violate("S9 applied when durable", "n%d hands out %v, which is not on its disk", s.id, e)
		}
	}
	s.say("         n%d applies %s", s.id, describeEntries(es))
	s.raft.Applied(es[len(es)-1].Index)
}

func (s *step) load(l Load) {
	if l.From < s.raft.log.first || l.From <= s.disk.first-1 || int(l.To) > len(s.disk.log) {
		violate("loads", "n%d wants %s, its log on disk ends in %d", s.id, describeLoad(l), len(s.disk.log))
	}
	s.raft.Loaded(l, s.disk.log[l.From-1:l.To:l.To])
}

// send checks that nothing leaves a server that a crash could make it forget.
func (s *step) send(e Envelope) {
	s.say("         n%d sends n%d %s", s.id, e.To, describe(e.Message))
	if s.model.disk != diskLies {
		s.checkDurable(e)
	}
	if m, ok := e.Message.(AppendEntriesReply); ok && m.Success {
		match := s.model.chain(s.disk.recovered()).to(m.MatchIndex)
		if s.model.disk == diskLies {
			match = s.model.chain(s.log).to(m.MatchIndex)
		}
		if match == nil {
			violate("S6 durable before sent", "n%d acknowledges entry %d, its log on disk ends in %d", s.id, m.MatchIndex, len(s.disk.recovered()))
		}
		s.out.acks = append(s.out.acks, ack{m.Term, match})
	}
	s.out.sends = append(s.out.sends, mail{from: s.id, Envelope: e})
}

func (s *step) checkDurable(e Envelope) {
	stored := s.disk.hardState
	fail := func() {
		violate("S7 durable before sent", "n%d sends n%d %s, and has stored %s", s.id, e.To, describe(e.Message), describeHardState(stored))
	}
	switch m := e.Message.(type) {
	case RequestVote:
		if !m.PreVote && stored != (HardState{m.Term, s.id}) {
			fail()
		}
	case RequestVoteReply:
		if m.VoteGranted && !m.PreVote && stored != (HardState{m.Term, e.To}) || !m.VoteGranted && stored.CurrentTerm < m.Term {
			fail()
		}
	case AppendEntries:
		if stored != (HardState{m.Term, s.id}) {
			fail()
		}
	case AppendEntriesReply:
		if stored.CurrentTerm < m.Term {
			fail()
		}
	}
}

// check asserts what keys rest on, see notInKey, and that a server goes by the last configuration in its log.
func (s *step) check() {
	r := s.raft
	l := &r.log
	runs := len(l.runs)
	for i, e := range s.log {
		if e.Index < l.first-1 {
			continue
		}
		if !l.has(e.Term, e.Index) || e.Index >= l.cache.first && hashEntry(0, l.cache.between(e.Index, e.Index, 0)[0]) != hashEntry(0, e) {
			violate("model", "n%d has not handed out its entry %d to be saved", s.id, e.Index)
		}
		if e.Index == l.first || e.Index > l.first && s.log[i-1].Term != e.Term {
			runs--
		}
	}
	if l.last != Index(len(s.log)) || runs != 0 {
		violate("model", "the log of n%d ends in %d, what it handed out to be saved in %d", s.id, l.last, len(s.log))
	}
	if r.previous != r.state() || r.forwards.stream != 0 || len(r.inflow.streams) > 0 || len(r.forwards.kept) > 0 {
		violate("model", "n%d has a state that its key does not tell", s.id)
	}
	want := s.model.configurationOf(s.log).Configuration
	voters, old := halves(want)
	if !r.Configuration().Configuration.equal(want) || !slices.Equal(r.members.quorum.voters, voters) || !slices.Equal(r.members.quorum.old, old) {
		violate("S10 in force on append", "n%d goes by %v, the last in its log is %v", s.id, r.Configuration(), want)
	}
}

func describeSave(s *Save) string {
	if len(s.Entries) == 0 {
		return describeHardState(s.HardState)
	}
	return describeHardState(s.HardState) + " and " + describeEntries(s.Entries)
}
