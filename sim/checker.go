package sim

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/wal"
)

// checker knows of the whole cluster what no member can know, and checks after every step the properties that bind several members or
// several incarnations. What it knows it has from the outside: messages on the wire, batches that are durable, commands that
// are executed, and what members say of themselves.
type checker struct {
	w *world

	leaders    map[raft.Term]leadership
	candidates map[raft.Term]raft.NodeID // who stood last
	votes      map[ballot]raft.NodeID
	handed     map[ballot]bool                        // elections that a leader has asked for
	asked      map[askedBy]uint64                     // the data folder with which a candidate has asked for a vote last
	folders    map[raft.NodeID][]uint64               // incarnations of data folders with which members have voted
	entries    map[place]linked                       // every entry that was ever seen
	logs       map[raft.Term]map[raft.Index]raft.Term // of each term's leader: when it was elected, and what it has sent
	committed  []committed                            // from index 1 on
	jumps      []time.Duration                        // when clocks jumped farther than leases bear, of late

	written map[uint64]raft.Index // where a value's command was executed
	refused map[uint64]bool       // values whose clients were told that they never will be

	sessionOf map[uint64]raft.Index // of values that are written in sessions
	gone      map[raft.Index]bool   // sessions that clients were told to be
	answers   map[uint64][]byte     // of values that were written in sessions
	tables    map[raft.Index][]byte // of sessions, in snapshots

	streams map[streamed]uint64 // how far snapshots were sent
	sizes   map[streamed]uint64 // of snapshots: see sized
	puts    []put               // in the order of the log, if there are guests

	configurations configurations
	reference      reference
	inForce        map[raft.NodeID]inForce
}

type leadership struct {
	member      raft.NodeID
	incarnation int
}

// ballot is one member's vote in one term, with one data folder.
type ballot struct {
	member raft.NodeID
	folder uint64
	term   raft.Term
}

type place struct {
	index raft.Index
	term  raft.Term
}

// linked is what an entry holds, and the term of the one before it.
type linked struct {
	sum      uint64
	previous raft.Term
}

type committed struct {
	term     raft.Term
	in       raft.Term     // in which it was first declared committed
	at       time.Duration // when
	executed bool          // and then state is that of the machine after it
	state    uint64
}

func newChecker(w *world) *checker {
	return &checker{
		w:          w,
		leaders:    make(map[raft.Term]leadership),
		candidates: make(map[raft.Term]raft.NodeID),
		votes:      make(map[ballot]raft.NodeID),
		handed:     make(map[ballot]bool),
		asked:      make(map[askedBy]uint64),
		folders:    make(map[raft.NodeID][]uint64),
		entries:    make(map[place]linked),
		logs:       make(map[raft.Term]map[raft.Index]raft.Term),
		written:    make(map[uint64]raft.Index),
		refused:    make(map[uint64]bool),
		streams:    make(map[streamed]uint64),

		sessionOf: make(map[uint64]raft.Index),
		gone:      make(map[raft.Index]bool),
		answers:   make(map[uint64][]byte),
		tables:    make(map[raft.Index][]byte),
		sizes:     make(map[streamed]uint64),

		configurations: newConfigurations(w.knobs.raft.Configuration),
		reference:      reference{entries: make(map[place]logEntry), not: make(map[raft.Index]verdict)},
		inForce:        make(map[raft.NodeID]inForce),
	}
}

// committedTo is the last entry that was ever declared committed.
func (c *checker) committedTo() raft.Index { return raft.Index(len(c.committed)) }

// committedBy is the last entry that had been declared committed by a moment.
func (c *checker) committedBy(t time.Duration) raft.Index {
	n := sort.Search(len(c.committed), func(i int) bool { return c.committed[i].at > t })
	return raft.Index(n)
}

// event takes in what a core says of itself.
func (c *checker) event(m *member, e raft.Event) {
	c.w.report.Events[e.Kind]++
	c.follow(m, e)
	if e.Kind == raft.EventConfiguration {
		c.configurations.own[m.id] = place{e.Index, e.Term}
		if c.leaders[e.Term].member == m.id {
			c.configurations.led[m.id] = place{e.Index, e.Term}
		}
	}
	if e.Kind != raft.EventLeader {
		return
	}
	now := leadership{member: m.id, incarnation: m.incarnation}
	if was, ok := c.leaders[e.Term]; ok && was != now {
		c.w.fail("Election Safety", "term %d has two leaders: n%d in incarnation %d, and n%d in incarnation %d",
			e.Term, was.member, was.incarnation, now.member, now.incarnation)
	}
	c.leaders[e.Term] = now
	c.checkVote(m, e.Term, m.id, "leads the term")
	// Its own vote had to be durable, and so is everything that was to be saved before it: its whole log.
	log := map[raft.Index]raft.Term{0: 0}
	for i, entry := range m.disk.durable.entries {
		log[raft.Index(i+1)] = entry.term
	}
	c.logs[e.Term] = log
	_, cfg := c.configurationIn(func(i raft.Index) raft.Term { return log[i] }, raft.Index(len(log)))
	if !enough(cfg, func(id raft.NodeID) bool { return id == m.id || c.hasVoted(cfg, id, e.Term, m.id) }) {
		c.w.fail("Election Safety", "n%d leads term %d without the votes of a majority of %v, of the folders that it knows", m.id, e.Term, cfg)
	}
	for i, entry := range c.committed {
		if has := m.disk.durable.at(raft.Index(i + 1)); entry.in < e.Term && has.term != entry.term {
			c.w.fail("Leader Completeness", "n%d leads term %d without entry %d of term %d, which was committed in term %d; it has one of term %d",
				m.id, e.Term, raft.Index(i+1), entry.term, entry.in, has.term)
			return
		}
	}
}

// vote takes in that a member says to have voted.
func (c *checker) vote(m *member, term raft.Term, candidate raft.NodeID, how string) {
	b := ballot{member: m.id, folder: m.identity.Incarnation, term: term}
	if was, ok := c.votes[b]; ok && was != candidate {
		c.w.fail("Vote Once", "n%d has voted for n%d and for n%d in term %d", m.id, was, candidate, term)
	}
	c.votes[b] = candidate
	if !slices.Contains(c.folders[m.id], b.folder) {
		c.folders[m.id] = append(c.folders[m.id], b.folder)
	}
	c.checkPart(m, term, how)
	c.checkVote(m, term, candidate, how)
}

// keepsPromise: who has promised a leader to vote for nobody else keeps that over a restart, whatever it is configured to promise then. A vote that the leader
// itself has asked for breaks none.
func (c *checker) keepsPromise(m *member, term raft.Term, candidate raft.NodeID, transfer bool) {
	b := ballot{member: candidate, term: term}
	if transfer {
		c.handed[b] = true
	}
	if at := m.clock(); at < m.disk.bound && !c.handed[b] {
		c.w.fail("Promise", "n%d votes for n%d in term %d, %v after it began, and had promised before that to vote for nobody for %v", m.id, candidate, term, at, m.disk.bound)
	}
}

// checkVote: what depends on a vote may be said when a crash would keep it.
func (c *checker) checkVote(m *member, term raft.Term, candidate raft.NodeID, how string) {
	h := m.disk.durable.hardState
	if h.CurrentTerm < term || h.CurrentTerm == term && h.VotedFor != candidate {
		c.w.fail("Durable First", "n%d %s %d and its vote for n%d is not durable: the disk has a vote for n%d in term %d",
			m.id, how, term, candidate, h.VotedFor, h.CurrentTerm)
	}
}

// checkTerm: a member that speaks in a term must not forget it.
func (c *checker) checkTerm(m *member, term raft.Term, what string) {
	if h := m.disk.durable.hardState; h.CurrentTerm < term {
		c.w.fail("Durable First", "n%d sends %s in term %d, and the disk has term %d", m.id, what, term, h.CurrentTerm)
	}
}

// sent takes in a message, at the moment that it leaves its sender.
func (c *checker) sent(m *member, to raft.NodeID, msg raft.Message) {
	if m.diskFailed && m.host.Err() != nil {
		c.w.fail("Fail Stop", "n%d sends %T although its disk has failed", m.id, msg)
	}
	switch msg := msg.(type) {
	case raft.RequestVote:
		if !msg.PreVote {
			c.vote(m, msg.Term, m.id, "asks for votes in term")
			c.keepsPromise(m, msg.Term, m.id, msg.Transfer)
		}
	case raft.RequestVoteReply:
		switch {
		case msg.VoteGranted && !msg.PreVote:
			c.vote(m, msg.Term, to, "grants a vote in term")
			c.checkKnown(m, to, msg.Term)
			c.keepsPromise(m, msg.Term, to, false)
		case !msg.VoteGranted:
			c.checkTerm(m, msg.Term, "a refused vote")
			c.checkVouch(m, msg.Leader)
		}
	case raft.AppendEntries:
		c.checkVote(m, msg.Term, m.id, "leads term")
		c.appended(m, &msg)
	case raft.AppendEntriesReply:
		c.checkTerm(m, msg.Term, "a reply to AppendEntries")
		m.disk.told = max(m.disk.told, time.Duration(msg.Promise))
		if msg.Success {
			c.acknowledged(m, &msg)
		}
	case raft.InstallSnapshot:
		c.chunk(m, to, &msg)
	case raft.InstallSnapshotReply:
		c.received(m, to, &msg)
	case raft.ForwardProposals:
		c.w.report.Forwards++
	case raft.ForwardReply:
		c.w.report.ForwardRefusals++
		c.checkTerm(m, msg.Term, "a refusal")
	case raft.ReadIndexReply:
		c.checkTerm(m, msg.Term, "a read index")
	}
}

// appended takes in what a leader says of its log.
func (c *checker) appended(m *member, msg *raft.AppendEntries) {
	if was := c.leaders[msg.Term]; was.member != m.id || was.incarnation != m.incarnation {
		c.w.fail("Election Safety", "n%d sends AppendEntries in term %d, which it was not elected to lead", m.id, msg.Term)
		return
	}
	log := c.logs[msg.Term]
	note := func(i raft.Index, t raft.Term) {
		if was, ok := log[i]; ok && was != t {
			c.w.fail("Leader Append-Only", "n%d leads term %d, had entry %d of term %d and has one of term %d", m.id, msg.Term, i, was, t)
		}
		log[i] = t
	}
	note(msg.PrevLogIndex, msg.PrevLogTerm)
	previous := msg.PrevLogTerm
	for i := range msg.Entries {
		e := &msg.Entries[i]
		note(e.Index, e.Term)
		c.see(m, e, previous)
		previous = e.Term
	}
	c.notSent(m, msg.Term)
	c.commits(m, msg.Term, msg.LeaderCommit)
	c.checkSteps(m, msg)
}

// see takes in an entry wherever it is: if two logs contain an entry with the same index and term, then the logs are identical up to it.
func (c *checker) see(m *member, e *raft.Entry, previous raft.Term) {
	at, is := place{e.Index, e.Term}, linked{sumOf(e).sum, previous}
	switch was, ok := c.entries[at]; {
	case !ok:
		c.reference.saw(e)
	case was != is:
		c.mismatch(m, at, is, was)
	}
	c.entries[at] = is
	c.seeConfiguration(m, e)
}

// mismatch says how an entry differs from the one of the same index and term that was seen first: in what is before it, or in itself.
func (c *checker) mismatch(m *member, at place, is, was linked) {
	if is.previous != was.previous {
		c.w.fail("Log Matching", "n%d took entry %d of term %d behind an entry %d of term %d; n%d, who made it, has one of term %d there",
			m.id, at.index, at.term, at.index-1, is.previous, c.leaders[at.term].member, was.previous)
		return
	}
	c.w.fail("Log Matching", "n%d has another entry %d of term %d (hash %x) than n%d, who made it (hash %x)",
		m.id, at.index, at.term, is.sum, c.leaders[at.term].member, was.sum)
}

// acknowledged takes in that a follower says to have durably what its leader has.
func (c *checker) acknowledged(m *member, msg *raft.AppendEntriesReply) {
	want, ok := c.logs[msg.Term][msg.MatchIndex]
	// Beyond a snapshot that it has not taken over yet, it may go on with a leader that has lost its office.
	if has := m.disk.durable.at(msg.MatchIndex); !ok || has.term != want && c.held(m, msg.MatchIndex).term != want {
		c.w.fail("Durable First", "n%d acknowledges entry %d to the leader of term %d, which has one of term %d there; n%d's disk has %s",
			m.id, msg.MatchIndex, msg.Term, want, m.id, m.disk.durable.describe(msg.MatchIndex))
	}
	c.coverAcknowledged(msg.Term, msg.MatchIndex)
}

// saved takes in that a batch is durable.
func (c *checker) saved(m *member, batch []wal.Save) {
	g := &m.disk.durable
	for i := range batch {
		c.coverSave(m, g, &batch[i])
		if batch[i].Reset || batch[i].First > g.first {
			c.begins(m, g, &batch[i])
		}
		for k := range batch[i].Entries {
			e := &batch[i].Entries[k]
			previous := g.at(e.Index - 1).term
			if k > 0 {
				previous = batch[i].Entries[k-1].Term
			}
			c.see(m, e, previous)
		}
		g.add(c, batch[i:i+1])
	}
}

// observe takes in what a member says of itself after a step.
func (c *checker) observe(m *member, s raft.Status) {
	c.machineAt(m, s.AppliedIndex)
	c.says(m, s)
}

func (c *checker) says(m *member, s raft.Status) {
	if s.CommitIndex < m.commit {
		c.w.fail("Commit Monotone", "n%d's commitIndex falls from %d to %d", m.id, m.commit, s.CommitIndex)
	}
	m.commit = s.CommitIndex
	c.checkInForce(m, s)
	if s.CommitIndex <= c.committedTo() {
		return
	}
	// Others say so after their leader has. It may have led until this very step.
	term, ok := c.lastLed(m)
	if !ok {
		c.w.fail("Committed Is Durable", "n%d says in term %d that entry %d is committed, and no leader has said so", m.id, s.Term, s.CommitIndex)
		return
	}
	if s.Role == raft.Leader || m.group != nil && c.configurations.own[m.id] == (place{m.group.Configuration().Index, term}) { // also if it has stepped down since, in this step
		c.notSent(m, term)
	} else {
		c.notSeen(m, term)
	}
	c.commits(m, term, s.CommitIndex)
}

// lastLed is the last term that this incarnation of a member has led.
func (c *checker) lastLed(m *member) (last raft.Term, ok bool) {
	for term, l := range c.leaders {
		if l.member == m.id && l.incarnation == m.incarnation {
			last, ok = max(last, term), true
		}
	}
	return last, ok
}

// commits takes in that the leader of a term says that entries up to last are committed.
func (c *checker) commits(m *member, term raft.Term, last raft.Index) {
	before := c.committedTo() + 1
	if last < before {
		return
	}
	log := c.logs[term]
	if c.leaders[term].member == m.id { // what it has and has sent to nobody: a group of one
		for i := c.committedTo() + 1; i <= last; i++ {
			if _, ok := log[i]; !ok {
				log[i] = c.held(m, i).term
			}
		}
	}
	for i := c.committedTo() + 1; i <= last; i++ {
		if !c.mayCommit(log, i) {
			c.w.fail("Committed Is Durable", "n%d says in term %d that entry %d of term %d is committed, and no majority has it on disk: %s",
				m.id, term, i, log[i], c.holders(i))
			return
		}
		c.committed = append(c.committed, committed{term: log[i], in: term, at: c.w.now})
		c.reference.commit(place{i, log[i]})
		if cfg, ok := c.configurations.at[place{i, log[i]}]; ok {
			c.committedChange(cfg)
			c.coverConfiguration(cfg, m.id)
		}
	}
	c.w.committedWithout(m, term)
	c.w.reachIf(figureE, log[last] == term && c.ghost(before).term < term)
	if log[last] != term {
		c.w.fail("Committed Is Durable", "n%d leads term %d and commits entry %d of term %d by counting replicas", m.id, term, last, log[last])
	}
}

func (c *checker) holders(i raft.Index) (s string) {
	for _, m := range c.w.members {
		s += fmt.Sprintf(" n%d t%d", m.id, c.held(m, i).term)
	}
	return s
}

// applied takes in that a machine has executed a command.
func (c *checker) applied(r *register, previous raft.Index, e *host.Entry, value uint64) {
	m := r.m
	c.w.mix(uint64(m.id), uint64(e.Index), r.state)
	c.w.report.Applied++
	if e.Index <= previous {
		c.w.fail("Applied Once", "n%d executes entry %d after entry %d", m.id, e.Index, previous)
		return
	}
	if e.Index > c.committedTo() {
		c.w.fail("State Machine Safety", "n%d executes entry %d, and entries up to %d are committed", m.id, e.Index, c.committedTo())
		return
	}
	known := &c.committed[e.Index-1]
	switch {
	case c.held(m, e.Index).term != e.Term:
		c.w.fail("Durable First", "n%d executes entry %d of term %d, and its disk has one of term %d", m.id, e.Index, e.Term, c.held(m, e.Index).term)
	case known.term != e.Term:
		c.w.fail("State Machine Safety", "n%d executes entry %d of term %d, committed is one of term %d", m.id, e.Index, e.Term, known.term)
	case known.executed && known.state != r.state:
		c.w.fail("State Machine Safety", "n%d is in another state after entry %d than others were", m.id, e.Index)
	case !known.executed:
		known.executed, known.state = true, r.state
		c.executes(m, e.Index)
		c.executed(e.Index, value)
	}
}

// executed takes in a command's first execution anywhere.
func (c *checker) executed(i raft.Index, value uint64) {
	if was, ok := c.written[value]; ok {
		c.w.fail("Exactly Once", "the write of %d takes effect at entry %d and again at entry %d", writeOf(value), was, i)
	}
	if c.refused[value] {
		c.w.fail("Outcome", "the write of %d was refused, and takes effect at entry %d", writeOf(value), i)
	}
	c.written[value] = i
}

// wrote takes in what a client is told of its write.
func (c *checker) wrote(op *operation) {
	at, ok := c.written[op.Value]
	switch op.Outcome {
	case OutcomeApplied:
		if !ok || at != op.Index {
			c.w.fail("Outcome", "%v is said to be at entry %d; it is at %d", op, op.Index, at)
		}
	case OutcomeRefused:
		c.refused[op.Value] = true
		if ok {
			c.w.fail("Outcome", "%v is refused, and has taken effect at entry %d", op, at)
		}
	}
}

// recovered takes in how a member starts: with what was durable, and perhaps the batch that was being written when it died.
func (c *checker) recovered(m *member) {
	d := &m.disk
	has, err := readImage(d.fs.CrashClone(memfs.CrashConfig{}), c.w.knobs.log(m))
	if err != nil {
		c.w.fail("Recovery", "what n%d has on disk after it has started cannot be read: %v", m.id, err)
		return
	}
	d.kept.stale = true
	newest := c.snapshotOf(m)
	without, with := d.durable.clone(), d.durable.clone()
	without.resume(c, newest)
	with.add(c, d.saving)
	with.resume(c, newest)
	switch {
	case has.equal(&without):
	case len(d.saving) > 0 && has.equal(&with):
		c.saved(m, d.saving)
		d.wrote(d.saving)
	default:
		c.w.fail("Recovery", "n%d starts with %v on disk; durable was %v, under way %s",
			m.id, &has, &d.durable, describeSaves(d.saving))
		return
	}
	d.saving = nil
	first := d.durable.first
	if d.durable.resume(c, newest); d.durable.first != first { // the start has written that
		d.wrote([]wal.Save{{HardState: d.durable.hardState, First: newest.Index + 1, BaseTerm: newest.Term, Reset: true}})
	}
	s := m.group.Status()
	c.started(m, s, newest)
	h := raft.HardState{CurrentTerm: s.Term, VotedFor: s.VotedFor}
	if h != has.hardState || s.FirstIndex != has.first || s.LastIndex != has.last() || s.LastTerm != has.at(has.last()).term {
		c.w.fail("Recovery", "n%d starts as %v, and its disk has %v", m.id, s.Status, &has)
	}
}

// audit compares what a member's disk would hold after a crash with what it must hold.
func (c *checker) audit(m *member) {
	c.w.report.Audits++
	has, err := readImage(m.disk.fs.CrashClone(memfs.CrashConfig{}), c.w.knobs.log(m))
	switch {
	case m.diskFailed || m.disk.rotten:
	case err != nil:
		c.w.fail("Committed Is Durable", "a crash would leave n%d with a log that cannot be read: %v", m.id, err)
	case !has.equal(&m.disk.durable):
		c.w.fail("Committed Is Durable", "a crash would leave n%d with %v; durable is %v", m.id, &has, &m.disk.durable)
	default:
		m.disk.kept.stale = true
		if s := c.snapshotOf(m); s.Index+1 < has.first {
			c.w.fail("Compaction", "a crash would leave n%d with %v, and a snapshot at %d", m.id, &has, s.Index)
		}
	}
}

func (g *image) String() string {
	return fmt.Sprintf("term %d, a vote for n%d and entries %d..%d (t%d)", g.hardState.CurrentTerm, g.hardState.VotedFor, g.first, g.last(), g.at(g.last()).term)
}
