package raft_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/balsa-raft/balsa/raft"
)

// lab is a cluster that is driven through the public methods of package raft alone, as any host would. A step is a millisecond; messages and
// saves take some, servers lose the saves that are under way when they crash. All of it follows from a seed.
type lab struct {
	t       *testing.T
	seed    uint64
	rand    *rand.Rand
	servers []*labServer
	voters  raft.Configuration
	now     int // milliseconds
	mail    map[int][]labPacket

	rough      bool // messages are small and overtake each other, and disks are sometimes slow
	unreliable bool // messages are delayed, and some are lost
	reordering bool // most answers take long
	snapshots  bool // servers compact their logs

	requests int // sent, without answers
	bytes    int // of them

	log     []string                    // by index-1: what the first server that got there has applied
	leaders map[raft.Term]labLeadership // over all restarts
	nextID  uint64
}

const (
	labTick          = 10  // milliseconds
	labElection      = 400 // what an election timeout is at most
	labSnapshotEvery = 10  // entries
	labStreamTimeout = 300 // until a snapshot that is not answered for is given up
)

type labLeadership struct {
	server *labServer
	start  int
}

type labPacket struct {
	from, to *labServer
	message  raft.Message
	state    []string // of the snapshot that the message brings
}

// labServer is a server over all its lives.
type labServer struct {
	lab       *lab
	id        raft.NodeID
	connected bool
	starts    int
	disk      labDisk

	raft    *raft.Raft // nil: it is down
	saves   []labSave
	applied []string // the state: what it has executed, by index-1
	streams []labStream
	busy    bool // it has had input since its effects were carried out
}

// labDisk is what survives a crash.
type labDisk struct {
	hardState raft.HardState
	base      labPlace // what the log begins behind
	entries   []raft.Entry
	snapshot  labPlace
	state     []string // of snapshot
}

type labPlace struct {
	index raft.Index
	term  raft.Term
}

type labSave struct {
	*raft.Save
	due int
}

type labStream struct {
	to    *labServer
	at    raft.Index
	until int
}

func newLab(t *testing.T, seed uint64, n int, rough bool) *lab {
	l := &lab{t: t, seed: seed, rough: rough, rand: rand.New(rand.NewPCG(seed, uint64(n))), mail: map[int][]labPacket{}, leaders: map[raft.Term]labLeadership{}}
	var ids []raft.NodeID
	for i := range n {
		ids = append(ids, raft.NodeID(i+1))
		l.servers = append(l.servers, &labServer{lab: l, id: raft.NodeID(i + 1)})
	}
	l.voters = raft.NewConfiguration(ids...)
	for _, s := range l.servers {
		s.start()
	}
	return l
}

// fatalf ends the test, with what it takes to see it again.
func (l *lab) fatalf(format string, args ...any) {
	l.t.Helper()
	l.t.Fatalf("seed %d, at %d ms: "+format, append([]any{l.seed, l.now}, args...)...)
}

// at is the server i places behind server s, around the circle.
func (l *lab) at(s *labServer, i int) *labServer { return l.servers[(int(s.id)-1+i)%len(l.servers)] }

// start begins a life, connected to the others.
func (s *labServer) start() {
	s.starts++
	s.connected, s.saves, s.streams = true, nil, nil
	state := s.disk.recover()
	state.Base.Configuration = s.lab.voters
	config := raft.Config{
		ID: s.id, Configuration: s.lab.voters, Epoch: uint64(s.starts) << 32, Rand: s.lab.rand,
		ElectionTicks: labElection / 2 / labTick, HeartbeatTicks: 5, CacheBytesMax: 1 << 10,
	}
	if s.lab.rough {
		config.AppendBytesMax, config.InflightBytesMax = 1, 1 // an entry a round trip
		config.ElectionTicks, config.HeartbeatTicks = config.ElectionTicks/4, 1
	}
	r, err := raft.New(config, state)
	if err != nil {
		s.lab.fatalf("n%d does not start: %v", s.id, err)
	}
	s.raft, s.applied, s.busy = r, slices.Clone(s.disk.state), true
}

// recover is what a host finds on its disk. A crash may have come between a snapshot and the reset of the log to it.
func (d *labDisk) recover() raft.LogState {
	if d.snapshot.index > 0 && d.termOf(d.snapshot.index) != d.snapshot.term {
		d.base, d.entries = d.snapshot, nil
		if d.hardState.CurrentTerm < d.base.term {
			d.hardState = raft.HardState{CurrentTerm: d.base.term}
		}
	}
	s := raft.LogState{HardState: d.hardState, First: d.base.index + 1, BaseTerm: d.base.term, Applied: d.snapshot.index}
	s.Last = d.base.index + raft.Index(len(d.entries))
	for _, e := range d.entries {
		if n := len(s.Runs); n == 0 || s.Runs[n-1].Term != e.Term {
			s.Runs = append(s.Runs, raft.TermRun{Term: e.Term, First: e.Index})
		}
	}
	s.Base.Index = d.snapshot.index
	return s
}

// termOf is the term of an entry, or zero if the log has none such.
func (d *labDisk) termOf(i raft.Index) raft.Term {
	switch {
	case i == d.base.index:
		return d.base.term
	case i < d.base.index || i > d.base.index+raft.Index(len(d.entries)):
		return 0
	}
	return d.entries[i-d.base.index-1].Term
}

// write makes a save durable, with the first n of its entries.
func (d *labDisk) write(s *raft.Save, n int) {
	d.hardState = s.HardState
	if s.Reset {
		d.entries = nil
	} else if drop := int(s.First - 1 - d.base.index); drop > 0 {
		d.entries = slices.Clone(d.entries[drop:])
	}
	d.base = labPlace{s.First - 1, s.BaseTerm}
	for _, e := range s.Entries[:n] {
		d.entries = append(d.entries[:e.Index-s.First], e)
	}
}

// crash ends a life. What was being saved is lost but for some beginning of it.
func (s *labServer) crash() {
	if s.raft == nil {
		return
	}
	n := s.lab.rand.IntN(len(s.saves) + 1)
	for _, save := range s.saves[:n] {
		s.disk.write(save.Save, len(save.Entries))
	}
	if n < len(s.saves) && s.lab.rand.IntN(2) == 0 {
		s.disk.write(s.saves[n].Save, s.lab.rand.IntN(len(s.saves[n].Entries)+1))
	}
	s.raft, s.connected = nil, false
}

// wait lets milliseconds pass.
func (l *lab) wait(ms int) {
	for range ms {
		l.step()
	}
}

// waitFor lets time pass until something holds, and reports whether it did within so many milliseconds.
func (l *lab) waitFor(ms int, holds func() bool) bool {
	for range ms {
		if holds() {
			return true
		}
		l.step()
	}
	return holds()
}

func (l *lab) step() {
	l.now++
	mail := l.mail[l.now]
	delete(l.mail, l.now)
	for _, p := range mail {
		l.deliver(p)
	}
	for _, s := range l.servers {
		if s.raft == nil {
			continue
		}
		s.saved()
		s.endStreams()
		if l.now%labTick == 0 {
			s.raft.Tick()
			s.busy = true
		}
		for n := 0; s.busy; n++ {
			if s.busy = false; n > 1000 {
				l.fatalf("n%d does not become quiet: %s", s.id, l.describe())
			}
			s.carryOut(s.raft.Effects())
		}
	}
}

// send posts a message: requests and answers alike may be late or lost if the network is unreliable.
func (l *lab) send(p labPacket) {
	answer := false
	switch m := p.message.(type) {
	case raft.RequestVoteReply, raft.AppendEntriesReply, raft.InstallSnapshotReply, raft.ForwardReply, raft.ReadIndexReply:
		answer = true
	case raft.AppendEntries:
		for i := range m.Entries {
			l.bytes += len(m.Entries[i].Data)
		}
	}
	if !answer {
		l.requests++
		l.bytes += 64
	}
	delay := 1
	if l.rough {
		delay += l.rand.IntN(10)
	}
	if l.unreliable {
		delay += l.rand.IntN(27)
		if l.rand.IntN(10) == 0 {
			return
		}
	}
	if l.reordering && answer && l.rand.IntN(3) > 0 {
		delay += 200 + l.rand.IntN(1+l.rand.IntN(2000))
	}
	l.mail[l.now+delay] = append(l.mail[l.now+delay], p)
}

func (l *lab) deliver(p labPacket) {
	if p.to.raft == nil || !p.to.connected || !p.from.connected {
		return
	}
	p.to.busy = true
	switch m := p.message.(type) {
	case raft.InstallSnapshot:
		if m.Term < p.to.raft.Term() {
			return
		}
		if d := &p.to.disk; m.LastIncludedIndex > d.snapshot.index {
			d.snapshot, d.state = labPlace{m.LastIncludedIndex, m.LastIncludedTerm}, p.state
		}
		l.send(labPacket{from: p.to, to: p.from, message: raft.InstallSnapshotReply{Term: m.Term, LastIncludedIndex: m.LastIncludedIndex}})
	case raft.InstallSnapshotReply:
		p.to.answered(p.from, m.LastIncludedIndex)
		return
	}
	if err := p.to.raft.Receive(p.from.id, p.message); err != nil {
		l.fatalf("n%d receives %#v from n%d: %v", p.to.id, p.message, p.from.id, err)
	}
}

// saved tells the core of the saves that have become durable.
func (s *labServer) saved() {
	for len(s.saves) > 0 && s.saves[0].due <= s.lab.now {
		save := s.saves[0]
		s.saves = s.saves[1:]
		s.disk.write(save.Save, len(save.Entries))
		s.raft.Persisted(save.Seq)
		s.busy = true
	}
}

func (s *labServer) carryOut(e raft.Effects) {
	l := s.lab
	for _, event := range e.Events {
		if event.Kind == raft.EventLeader {
			l.leads(s, event.Term)
		}
	}
	if e.Save != nil {
		due := l.now + l.rand.IntN(4)
		if l.rough && l.rand.IntN(4) == 0 {
			due += 20
		}
		if n := len(s.saves); n > 0 {
			due = max(due, s.saves[n-1].due)
		}
		s.saves = append(s.saves, labSave{e.Save, due})
		s.busy = s.busy || due == l.now
		if due == l.now {
			s.saved()
		}
	}
	for _, m := range e.Messages {
		if s.connected {
			l.send(labPacket{from: s, to: l.servers[m.To-1], message: m.Message})
		}
	}
	if e.Restore != nil {
		s.restore(*e.Restore)
	}
	s.apply(e.Apply)
	for _, load := range e.Load {
		s.raft.Loaded(load, s.disk.read(load))
		s.busy = true
	}
	for _, to := range e.Send {
		s.stream(l.servers[to-1])
	}
}

// leads checks that a term has one leader, over all restarts.
func (l *lab) leads(s *labServer, t raft.Term) {
	was, ok := l.leaders[t]
	if ok {
		l.fatalf("n%d leads term %d in its life %d, after n%d in its life %d", s.id, t, s.starts, was.server.id, was.start)
	}
	l.leaders[t] = labLeadership{s, s.starts}
}

// read is the entries that a Load asks for, none if they are forgotten.
func (d *labDisk) read(load raft.Load) (es []raft.Entry) {
	if load.From <= d.base.index {
		return nil
	}
	var size uint64
	for i := load.From; i <= load.To; i++ {
		e := d.entries[i-d.base.index-1]
		if size += e.Size(); len(es) > 0 && size > load.MaxBytes {
			break
		}
		es = append(es, e)
	}
	return es
}

// apply executes entries, and holds them against what others have executed.
func (s *labServer) apply(es []raft.Entry) {
	l := s.lab
	for _, e := range es {
		if int(e.Index) != len(s.applied)+1 {
			l.fatalf("n%d applies entry %d after %d", s.id, e.Index, len(s.applied))
		}
		s.applied = append(s.applied, string(e.Data))
		if int(e.Index) == len(l.log)+1 {
			l.log = append(l.log, string(e.Data))
		}
		if l.log[e.Index-1] != string(e.Data) {
			l.fatalf("n%d applies %q at %d, another has applied %q", s.id, e.Data, e.Index, l.log[e.Index-1])
		}
		s.raft.Applied(e.Index)
		s.busy = true
		if l.snapshots && e.Index%labSnapshotEvery == 0 {
			s.disk.snapshot, s.disk.state = labPlace{e.Index, e.Term}, slices.Clone(s.applied)
			s.raft.Compact(e.Index - raft.Index(l.rand.IntN(4))) // with a tail, or without
		}
	}
}

func (s *labServer) restore(r raft.Restore) {
	l := s.lab
	if s.disk.snapshot != (labPlace{r.Index, r.Term}) || len(s.applied) >= int(r.Index) {
		l.fatalf("n%d is to restore the snapshot at %d: it has one at %d, and has applied %d", s.id, r.Index, s.disk.snapshot.index, len(s.applied))
	}
	s.applied = slices.Clone(s.disk.state)
	s.raft.Applied(r.Index)
	s.busy = true
}

// stream sends the newest snapshot to a server, one at a time.
func (s *labServer) stream(to *labServer) {
	if slices.ContainsFunc(s.streams, func(st labStream) bool { return st.to == to }) {
		return
	}
	at := s.disk.snapshot
	s.streams = append(s.streams, labStream{to: to, at: at.index, until: s.lab.now + labStreamTimeout})
	if s.connected {
		s.lab.send(labPacket{from: s, to: to, state: slices.Clone(s.disk.state), message: raft.InstallSnapshot{
			Term: s.raft.Term(), LeaderID: s.id, LastIncludedIndex: at.index, LastIncludedTerm: at.term,
			Configuration: raft.AppendConfiguration(nil, s.lab.voters),
		}})
	}
}

func (s *labServer) answered(by *labServer, at raft.Index) {
	s.endStreamsIf(func(st labStream) bool { return st.to == by && st.at == at })
}

// endStreams gives up those that nobody answers for.
func (s *labServer) endStreams() {
	s.endStreamsIf(func(st labStream) bool { return st.until <= s.lab.now })
}

func (s *labServer) endStreamsIf(ended func(labStream) bool) {
	s.streams = slices.DeleteFunc(s.streams, func(st labStream) bool {
		if ended(st) {
			s.raft.SnapshotSent(st.to.id)
			s.busy = true
		}
		return ended(st)
	})
}

// propose gives a leader a command, and returns where it appended it; zero if it does not lead.
func (s *labServer) propose(command string) raft.Index {
	if s.raft == nil || s.raft.Status().Role != raft.Leader {
		return 0
	}
	s.lab.nextID++
	if _, err := s.raft.Propose(raft.Proposal{ID: s.lab.nextID, Data: []byte(command)}); err != nil {
		return 0
	}
	s.busy = true
	return s.raft.Status().LastIndex
}

// reached is how many servers have applied the entry at i, which must be the command, unless that is empty.
func (l *lab) reached(i raft.Index, command string) (n int) {
	for _, s := range l.servers {
		if s.raft != nil && len(s.applied) >= int(i) && (command == "" || s.applied[i-1] == command) {
			n++
		}
	}
	return n
}

// agree sees a command applied by so many servers, whoever leads, and returns its index.
func (l *lab) agree(command string, servers int) raft.Index {
	for until := l.now + 10_000; l.now < until; l.wait(50) {
		for _, s := range l.servers {
			i := raft.Index(0)
			if s.connected {
				i = s.propose(command)
			}
			if i != 0 && l.waitFor(2000, func() bool { return l.reached(i, command) >= servers }) {
				return i
			}
		}
	}
	l.fatalf("%d servers do not agree on %q: %s", servers, command, l.describe())
	return 0
}

// leader waits for a leader among those that are connected. No two may lead in one term, and of several the last counts.
func (l *lab) leader() *labServer {
	var last *labServer
	l.waitFor(5000, func() bool {
		last = nil
		for _, s := range l.servers {
			if s.raft != nil && s.connected && s.raft.Status().Role == raft.Leader && (last == nil || s.raft.Term() > last.raft.Term()) {
				last = s
			}
		}
		return last != nil && l.now%50 == 0
	})
	if last == nil {
		l.fatalf("nobody leads: %s", l.describe())
	}
	return last
}

// nobodyLeads expects that no connected server believes to lead.
func (l *lab) nobodyLeads() {
	for _, s := range l.servers {
		if s.raft != nil && s.connected && s.raft.Status().Role == raft.Leader {
			l.fatalf("n%d believes to lead without a majority: %s", s.id, l.describe())
		}
	}
}

// term is the one that all connected servers are in.
func (l *lab) term() raft.Term {
	var term raft.Term
	for _, s := range l.servers {
		if s.raft == nil || !s.connected {
			continue
		}
		if term != 0 && s.raft.Term() != term {
			l.fatalf("servers are in different terms: %s", l.describe())
		}
		term = s.raft.Term()
	}
	return term
}

// logsAgree reports whether a leader knows that the end of another's log is its own.
func (l *lab) logsAgree(leader, other *labServer) bool {
	status := leader.raft.Status()
	for _, p := range status.Peers {
		if p.ID == other.id {
			return p.MatchIndex == status.LastIndex
		}
	}
	return leader == other
}

func (l *lab) disconnect(servers ...*labServer) {
	for _, s := range servers {
		s.connected = false
	}
}

func (l *lab) connect(servers ...*labServer) {
	for _, s := range servers {
		s.connected = s.raft != nil
	}
}

func (l *lab) describe() (text string) {
	for _, s := range l.servers {
		if s.raft == nil {
			text += fmt.Sprintf("\nn%d is down", s.id)
			continue
		}
		text += fmt.Sprintf("\n%v connected %v", s.raft.Status(), s.connected)
	}
	return text
}
