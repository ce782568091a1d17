package raft

import (
	"fmt"
	"slices"
	"strings"
)

// cluster is a whole cluster in memory: servers, what is on their disks, and the messages under way. Nothing happens in it by
// itself: a transcript or a seed decides on every step, and after every step the properties of Figure 3.2 are checked.
type cluster struct {
	config  Config // of every server, but for ID, Epoch and Rand
	servers []*server
	network []*packet // in the order in which they were sent
	cut     map[link]bool
	checks  *checks

	epochStep uint64           // how far the epochs of two incarnations are apart
	story     *strings.Builder // nil: nobody reads it
	indent    string
	showSends bool // say what is sent, and not only what is delivered
	seen      map[string]int
	clock     func(*server) Nanos  // nil: that of the server, which goes on by its ticks
	observe   func(*server, Event) // may be nil
	busy      func() bool          // may be nil; if true, a host takes in more before it looks at the effects
}

// link is one direction of a connection.
type link struct{ from, to NodeID }

// packet is a message under way.
type packet struct {
	from NodeID
	Envelope
	held    string    // not empty: delivered only on demand, under this name
	folders [2]uint64 // of its sender and its addressee when it was sent
}

// server is a core with the host around it. The core is nil while the server is down.
type server struct {
	id          NodeID
	raft        *Raft
	incarnation uint64
	clock       Nanos
	rand        Rand
	disk        disk
	folder      uint64 // which data folder it has, Config.Incarnation; zero: it tells nobody
	joins       bool   // it starts with the empty configuration, and waits for a leader

	// log is the log as the core has it: the one on disk with all saves under way laid over it.
	log   []Entry
	chain []uint64          // of log, see checks.chainOf
	named []ConfigurationAt // the configurations in log

	// What the host does by itself when it is not told to wait.
	manualPersist, manualApply, manualLoad, manualSend, manualIntroduce bool

	given    Index // entries up to here were handed out to be applied
	handed   []handed
	applied  Index
	loads    []load
	streams  []stream // of snapshots to others
	waiting  []waitingRead
	outcomes map[ReadID]string
	met      []NodeID // those who have shown which data folder they have, and the core has not been told
}

// handed is an entry that the state machine is to execute, or a snapshot that it is to continue from.
type handed struct {
	Entry
	restore bool // from the snapshot that ends with the entry
}

// load is a Load with what has been read for it, once it has been.
type load struct {
	Load
	entries []Entry
}

type waitingRead struct {
	id    ReadID
	index Index
}

// disk is what survives a crash, and the saves that do not yet.
type disk struct {
	hardState HardState
	log       []Entry         // from entry 1 on: what is before first is there for the checks alone
	first     Index           // the oldest entry that the log has; 0 is 1
	snapshot  []Entry         // the newest snapshot: the entries that it stands for
	base      ConfigurationAt // in the snapshot
	saves     []*Save         // under way, oldest first
}

// write makes the first entriesMax entries of a save durable, the hard state before them.
func (d *disk) write(s *Save, entriesMax int) {
	d.hardState, d.first = s.HardState, s.First
	if s.Reset {
		d.log = d.replaced(s.First)
	}
	d.log = supersede(d.log, s.Entries[:min(entriesMax, len(s.Entries))])
}

func supersede(log, es []Entry) []Entry {
	if len(es) == 0 {
		return log
	}
	keep := es[0].Index - 1
	if keep > Index(len(log)) {
		panic(fmt.Sprintf("a save begins at entry %d, the log before it ends in %d", es[0].Index, len(log)))
	}
	return append(log[:keep:keep], es...)
}

// state is what New is given after a restart.
func (d *disk) state() LogState {
	d.recover()
	s := LogState{HardState: d.hardState, First: max(1, d.first), Last: Index(len(d.log)), Applied: Index(len(d.snapshot))}
	if s.First > 1 {
		s.BaseTerm = d.log[s.First-2].Term
	}
	for _, e := range d.log[s.First-1:] {
		if n := len(s.Runs); n == 0 || s.Runs[n-1].Term != e.Term {
			s.Runs = append(s.Runs, TermRun{Term: e.Term, First: e.Index})
		}
	}
	return s
}

// fixedRand is the randomness of transcripts: always the same number, or the largest that is asked for.
type fixedRand struct{ value int }

func (f *fixedRand) IntN(n int) int { return min(f.value, n-1) }

func newCluster(n int, config Config) *cluster {
	c := &cluster{config: config, cut: map[link]bool{}, checks: newChecks(), seen: map[string]int{}, epochStep: 1000, showSends: true}
	for id := NodeID(1); id <= NodeID(n); id++ {
		c.config.Configuration = NewConfiguration(append(c.config.Configuration.Voters(), id)...)
		c.servers = append(c.servers, &server{id: id, rand: &fixedRand{5}})
	}
	return c
}

func (c *cluster) server(id NodeID) *server { return c.servers[id-1] }

func (c *cluster) say(format string, args ...any) {
	if c.story != nil {
		fmt.Fprintf(c.story, c.indent+format+"\n", args...)
	}
}

// indented runs f with its part of the story set in.
func (c *cluster) indented(f func()) {
	was := c.indent
	c.indent += "  "
	f()
	c.indent = was
}

// tickNanos is a tick by a server's clock, where nothing else is said.
const tickNanos = 10

// tellTime tells a server what its clock shows.
func (c *cluster) tellTime(s *server) {
	if c.clock != nil {
		s.clock = c.clock(s)
	}
	if s.raft != nil {
		s.raft.Clock(s.clock)
	}
}

// tick lets a tick pass at a server.
func (c *cluster) tick(s *server) {
	s.clock += tickNanos
	c.tellTime(s)
	s.raft.Tick()
}

// start starts a server from what is on its disk.
func (c *cluster) start(s *server) {
	s.incarnation++
	config := c.config
	config.ID, config.Rand, config.Epoch = s.id, s.rand, s.incarnation*c.epochStep
	config.Configuration, config.Incarnation = c.first(s), s.folder
	state := s.disk.state()
	state.Base = s.disk.base
	state.Configurations = configurationsOf(s.disk.log[len(s.disk.snapshot):])
	r, err := New(config, state)
	if err != nil {
		panic(fmt.Sprintf("n%d does not start: %v", s.id, err))
	}
	s.raft = r
	c.tellTime(s)
	s.log = slices.Clone(s.disk.log)
	s.chain = c.checks.chainOf(s.log)
	s.named = configurationsOf(s.log)
	s.handed, s.loads, s.waiting, s.streams = nil, nil, nil, nil
	s.applied = Index(len(s.disk.snapshot))
	s.given = s.applied
	s.outcomes = map[ReadID]string{}
	c.connect(s)
	c.checks.store(c, s)
	c.settle(s)
}

// crash ends a server. Of the saves under way, the first keep had reached the disk, and torn entries of the one after them.
func (c *cluster) crash(s *server, keep, torn int) {
	for i, save := range s.disk.saves {
		if i < keep {
			s.disk.write(save, len(save.Entries))
		} else if i == keep && torn > 0 {
			s.disk.write(save, torn)
		}
	}
	s.disk.saves = nil
	s.raft = nil
}

// settle carries out the effects of a server, and all that its host does by itself, until it is quiet.
func (c *cluster) settle(s *server) {
	if c.busy != nil && c.busy() {
		c.checks.grows(c, s)
		return
	}
	for s.raft != nil {
		c.carryOut(s, s.raft.Effects())
		c.checks.step(c, s)
		if !c.hostActs(s) {
			return
		}
	}
}

// hostActs does one thing that the host is not told to wait with, and reports whether there was one.
func (c *cluster) hostActs(s *server) bool {
	switch {
	case len(s.disk.saves) > 0 && !s.manualPersist:
		c.persist(s, len(s.disk.saves))
	case len(s.loads) > 0 && !s.manualLoad:
		c.load(s, ^uint64(0))
	case len(s.handed) > 0 && !s.manualApply:
		c.apply(s, len(s.handed))
	case len(s.met) > 0 && !s.manualIntroduce:
		c.introduce(s)
	case !s.manualSend && c.sendNext(s):
	default:
		return false
	}
	return true
}

// carryOut takes over what a core wants done.
func (c *cluster) carryOut(s *server, e Effects) {
	for _, event := range e.Events {
		c.say("n%d %v", s.id, event)
		c.count(event)
		if event.Kind == EventTransfer && s.raft.stalled() {
			c.seen["transfers because of a stuck disk"]++
		}
		if c.observe != nil {
			c.observe(s, event)
		}
	}
	for _, r := range e.Refused {
		c.checks.refused(r)
		c.say("n%d learns that proposals %d of t%d are refused: %v", s.id, r.IDs, r.Term, r.Reason)
	}
	for _, id := range e.Aborted {
		c.checks.endRead(s, id, "aborted")
		c.say("n%d aborts read %d", s.id, id)
	}
	if e.Save != nil {
		c.beginSave(s, e.Save)
	}
	c.checks.leads(c, s)
	for _, m := range e.Messages {
		c.checks.sent(s, m)
		if v, ok := m.Message.(RequestVote); ok && v.Transfer {
			c.seen["votes for a transfer"]++
		}
		if f, ok := m.Message.(ForwardProposals); ok {
			c.checks.forwarded(c, f)
		}
		if c.showSends {
			c.say("n%d sends n%d %s", s.id, m.To, describe(m.Message))
		}
		c.post(s, m)
	}
	c.membersChanged(s, e)
	if e.Restore != nil {
		c.beginRestore(s, *e.Restore)
	}
	if len(e.Apply) > 0 {
		c.checks.handedToApply(s, e.Apply)
		for _, entry := range e.Apply {
			s.handed = append(s.handed, handed{Entry: entry})
		}
		s.given = e.Apply[len(e.Apply)-1].Index
	}
	for _, to := range e.Send {
		c.beginStream(s, to)
	}
	for _, l := range e.Load {
		c.checks.asked(s, l)
		s.loads = append(s.loads, load{Load: l})
		if s.manualLoad {
			c.say("n%d wants %s", s.id, describeLoad(l))
		}
	}
	for _, r := range e.Reads {
		for _, id := range r.IDs {
			c.checks.confirmRead(s, id, r.Index)
			s.waiting = append(s.waiting, waitingRead{id, r.Index})
			if r.Index > s.applied {
				c.say("n%d read %d waits until %d is applied", s.id, id, r.Index)
			}
		}
	}
	c.answerReads(s)
}

// count counts what a random run must meet.
func (c *cluster) count(e Event) {
	switch e.Kind {
	case EventTruncated:
		c.seen["truncations"]++
	case EventQuorumLost:
		c.seen["quorums lost"]++
	case EventInstalled:
		c.seen["snapshots installed"]++
	case EventTransfer:
		c.seen["transfers"]++
	case EventTransferEnded:
		c.seen["transfers that ended"]++
	case EventStalled:
		c.seen["stuck disks"]++
	}
}

// post puts a message on its way.
func (c *cluster) post(s *server, e Envelope) {
	c.network = append(c.network, &packet{from: s.id, Envelope: e, folders: [2]uint64{s.folder, c.server(e.To).folder}})
}

func (c *cluster) answerReads(s *server) {
	s.waiting = slices.DeleteFunc(s.waiting, func(w waitingRead) bool {
		if w.index > s.applied {
			return false
		}
		c.say("n%d answers read %d from the state at %d", s.id, w.id, s.applied)
		return true
	})
}

func (c *cluster) beginSave(s *server, save *Save) {
	was := s.disk.hardState
	if n := len(s.disk.saves); n > 0 {
		was = s.disk.saves[n-1].HardState
	}
	var parts []string
	if save.HardState != was {
		parts = append(parts, describeHardState(save.HardState))
	}
	if save.Reset {
		parts = append(parts, fmt.Sprintf("an empty log behind %s", at(save.First-1, save.BaseTerm)))
	} else if save.First > max(1, s.savedFirst()) {
		parts = append(parts, fmt.Sprintf("that the log begins behind %s", at(save.First-1, save.BaseTerm)))
	}
	if len(save.Entries) > 0 {
		parts = append(parts, describeEntries(save.Entries))
	}
	what := strings.Join(parts, " and ")
	if s.manualPersist {
		c.say("n%d begins save %d: %s", s.id, save.Seq, what)
	} else {
		c.say("n%d saves %s", s.id, what)
	}
	s.disk.saves = append(s.disk.saves, save)
	if save.Reset {
		s.log = s.disk.replaced(save.First)
		s.chain, s.named = c.checks.chainOf(s.log), configurationsOf(s.log)
	}
	c.checks.compacted(s, save)
	s.log = supersede(s.log, save.Entries)
	c.checks.appended(s, save.Entries)
	c.checks.configured(c, s, save.Entries)
}

// persist tells a core that the oldest n of its saves are durable.
func (c *cluster) persist(s *server, n int) {
	for _, save := range s.disk.saves[:n] {
		s.disk.write(save, len(save.Entries))
	}
	seq := s.disk.saves[n-1].Seq
	s.disk.saves = s.disk.saves[n:]
	c.checks.store(c, s)
	if s.manualPersist {
		c.say("n%d save %d is durable", s.id, seq)
	}
	s.raft.Persisted(seq)
}

// apply executes the next n entries that were handed out, and restores the snapshots among them.
func (c *cluster) apply(s *server, n int) {
	var es []Entry
	for _, h := range s.handed[:n] {
		if h.restore {
			c.applied(s, es)
			c.restore(s, h.Entry)
			es = nil
			continue
		}
		es = append(es, h.Entry)
	}
	s.handed = s.handed[n:]
	c.applied(s, es)
}

func (c *cluster) applied(s *server, es []Entry) {
	if len(es) == 0 {
		return
	}
	c.checks.applied(s, es)
	s.applied = es[len(es)-1].Index
	c.say("n%d applies %s", s.id, describeEntries(es))
	c.answerReads(s)
	s.raft.Applied(s.applied)
}

// fetch reads what a Load asks for, as far as it allows and as fits in bytesMax, but at least one entry; none if the log has forgotten it.
func (s *server) fetch(l *load, bytesMax uint64) {
	if l.From < s.disk.first {
		return
	}
	var size uint64
	for i := l.From; i <= min(l.To, Index(len(s.disk.log))); i++ {
		e := s.disk.log[i-1]
		if size += e.Size(); len(l.entries) > 0 && size > min(l.MaxBytes, bytesMax) {
			break
		}
		l.entries = append(l.entries, e)
	}
}

// load hands in what the oldest Load asked for, and reads it now if that was not done before.
func (c *cluster) load(s *server, bytesMax uint64) {
	l := s.loads[0]
	s.loads = s.loads[1:]
	if l.entries == nil {
		s.fetch(&l, bytesMax)
	}
	c.say("n%d loads %s", s.id, describeLoad(l.Load))
	if l.For == 0 {
		c.seen["loads to apply"]++
	} else {
		c.seen["loads for peers"]++
	}
	s.raft.Loaded(l.Load, l.entries)
}

// deliver takes a packet off the network and gives it to its addressee.
func (c *cluster) deliver(p *packet) {
	c.remove(p)
	c.receive(p)
}

func (c *cluster) receive(p *packet) {
	s := c.server(p.To)
	if c.cut[link{p.from, p.To}] || s.raft == nil || c.refused(p) {
		c.say("n%d -x n%d %s", p.from, p.To, describe(p.Message))
		return
	}
	c.say("n%d -> n%d %s", p.from, p.To, describe(p.Message))
	c.checks.received(p)
	c.tellTime(s)
	c.countLease(s, p)
	if c.receiveForHost(s, p) {
		return
	}
	err := s.raft.Receive(p.from, p.Message)
	c.indented(func() {
		if err != nil {
			c.say("n%d: %v", s.id, err)
		}
		if _, broken := err.(*SafetyError); broken {
			s.raft = nil // as its host must
			return
		}
		c.settle(s)
	})
}

// countLease counts the followers' reads that a lease answers.
func (c *cluster) countLease(s *server, p *packet) {
	if m, ok := p.Message.(ReadIndex); ok && m.Lease && s.raft.role == Leader && m.Term == s.raft.currentTerm && s.raft.holdsLease() {
		c.seen["followers' reads under a lease"]++
	}
}

func (c *cluster) remove(p *packet) {
	c.network = slices.DeleteFunc(c.network, func(q *packet) bool { return q == p })
}

// propose gives a server commands. Its effects are not carried out yet.
func (c *cluster) propose(s *server, commands ...string) error {
	ps := make([]Proposal, len(commands))
	for i, command := range commands {
		ps[i] = Proposal{ID: c.checks.newProposal(command), Data: []byte(command)}
	}
	c.tellTime(s)
	term, err := s.raft.Propose(ps...)
	c.checks.proposed(s, ps, term, err)
	return err
}

// read gives a server a read. Its effects are not carried out yet: several reads may come at once.
func (c *cluster) read(s *server, id ReadID, lease bool) error {
	c.checks.askRead(s, id)
	c.tellTime(s)
	read := s.raft.ReadIndex
	if lease {
		read = s.raft.ReadLease
	}
	if lease && s.raft.role == Leader && s.raft.holdsLease() {
		c.seen["reads under a lease"]++
	}
	err := read(id)
	if err != nil {
		delete(s.outcomes, id)
	}
	return err
}
