package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// A disk that is stuck: what is asked of it neither ends nor fails. The rule is raft's: a leader hands over; its heartbeats do not wait for the disk; it
// does not hand over again and again.

// stall is what is known of a member's disk that is, or was, stuck.
type stall struct {
	until time.Duration // nothing comes back from the disk before
	reads bool          // reads do, all the same

	// What a leader can see of it: since when, in its ticks, others have committed what its own disk does not have.
	term    raft.Term
	durable raft.Index
	since   uint64
	seen    int // of raft.EventStalled in this incarnation

	beats map[raft.NodeID]uint64 // on leaders of term: when, in its ticks, each of the others was last sent AppendEntries
}

// writesDisk reports whether a part waits for the disk to write or sync while it works.
func writesDisk(p host.Part) bool {
	switch p {
	case host.PartWriter, host.PartPreparer, host.PartRest, host.PartSnapshotter, host.PartReceiver:
		return true
	}
	return false
}

func readsDisk(p host.Part) bool { return p == host.PartReader || p == host.PartSender }

func (m *member) stuck(p host.Part) bool {
	return m.held[p] || m.w.now < m.stall.until && (writesDisk(p) || readsDisk(p) && !m.stall.reads)
}

// stallPoll is how often a part that waits for a stuck disk looks again.
const stallPoll = 200 * time.Millisecond

// harmStall makes a disk stuck for a while, and sometimes those of others with it. Some members go on when it does, some end first.
func (w *world) harmStall(m *member) {
	longest := pick(w.rand, w.knobs.electionTimeout(), 3*w.knobs.electionTimeout(), 80*time.Second)
	if w.chance(200) {
		for _, o := range w.members {
			if o != m && w.chance(400) {
				o.stick(between(w.rand, 0, longest))
			}
		}
	}
	m.stick(between(w.rand, 0, longest))
}

func (m *member) stick(delay time.Duration) {
	if !m.up {
		return
	}
	w := m.w
	w.report.Stalls++
	w.strikes(FaultStall, m)
	m.stall.until, m.stall.reads = w.now+delay, w.chance(300)
	m.tell("has a disk that is stuck until %v, reads: %v", m.stall.until, !m.stall.reads)
	if incarnation := m.incarnation; w.chance(300) {
		w.after(delay, func() {
			if w.chaos && m.up && m.incarnation == incarnation {
				w.report.DeathsStuck++
				m.die(death{power: w.chance(500), keep: w.rand.Float64()})
			}
		})
	}
}

// patience is for how many ticks a leader may go on although the others have committed what its own disk does not have. A leader that has
// handed over before because of its disk is more patient.
func (m *member) patience() uint64 {
	timeouts := 2
	if m.stall.seen > 1 {
		timeouts = 9
	}
	return uint64(timeouts*m.w.knobs.raft.ElectionTicks + 2)
}

// followStall looks for a leader that goes on with a stuck disk, and for one that is silent.
func (m *member) followStall(s raft.Status) {
	l := &m.stall
	ahead := s.Role == raft.Leader && s.CommitIndex > s.DurableIndex
	if s.Role != raft.Leader || s.Term != l.term {
		l.beats = nil
	}
	if !ahead || s.Term != l.term || s.DurableIndex != l.durable {
		l.term, l.durable, l.since = s.Term, s.DurableIndex, m.ticks
	}
	if ahead && m.ticks-l.since > m.patience() {
		m.w.fail("Liveness", "n%d leads although its disk has been stuck for %d ticks: %v", m.id, m.ticks-l.since, s)
	}
	if s.Role == raft.Leader {
		m.followBeats(s)
	}
}

// beat takes in that AppendEntries was sent.
func (m *member) beat(to raft.NodeID) {
	if m.stall.beats != nil {
		m.stall.beats[to] = m.ticks
	}
}

// followBeats: a leader is heard by the others at its intervals, whatever its disk does.
func (m *member) followBeats(s raft.Status) {
	const slack = 2 // the clock's, and the shard's, which count ticks for themselves
	beats := m.stall.beats
	if beats == nil {
		beats = make(map[raft.NodeID]uint64)
	}
	for _, p := range s.Peers {
		if _, ok := beats[p.ID]; !ok {
			beats[p.ID] = m.ticks
		}
		if silent := m.ticks - beats[p.ID]; silent > uint64(m.w.knobs.heartbeatTicks()+slack) {
			m.w.fail("Liveness", "n%d leads and has sent nothing to n%d for %d ticks: %v", m.id, p.ID, silent, s)
		}
	}
	maps.DeleteFunc(beats, func(id raft.NodeID, _ uint64) bool {
		return !slices.ContainsFunc(s.Peers, func(p raft.PeerStatus) bool { return p.ID == id })
	})
	m.stall.beats = beats
}

// demandHandover checks that the others go on when the leader's disk gets stuck for good, while all else is well: within two election timeouts
// another one leads and serves clients, and there is no election after that. A majority has disks that work; of the rest some may be stuck, too.
func (w *world) demandHandover() {
	old, voters := w.leader(), w.voters()
	patience := old.patience() // before this one is counted
	spare := len(voters) - (len(voters)/2 + 1) - 1
	var at *member
	for _, m := range voters {
		switch {
		case m == old:
		case spare > 0 && w.chance(500):
			spare--
			m.stuckForGood()
		default:
			at = m
		}
	}
	before := w.latestTerm()
	deposed := func() bool { l := w.leader(); return l != nil && l != old }
	w.stuckShortly(old, at)
	w.othersStuck(old, voters)
	start := w.now
	old.stuckForGood()
	w.writesOn(at, deposed) // without work nobody notices
	served := false
	w.after(0, func() { w.probeOf(at, deposed, &served) })
	limit := time.Duration(patience)*tick*1000/time.Duration(old.rate) + handoverSlack
	w.run(start+limit, func() bool { return served })
	if w.failure == nil && !served {
		w.fail("Liveness", "n%d's disk is stuck for %v, and a client of n%d is not served by another leader: %v; %v", old.id, limit, at.id, old, at)
	}
	w.report.Handovers++
	w.run(w.now+6*w.knobs.electionTimeout(), nil)
	// One of a higher priority may be handed the lead meanwhile.
	if after := w.latestTerm(); w.failure == nil && (after > before+2 || !deposed()) {
		w.fail("Liveness", "n%d's disk is stuck, and the others went from term %d to %d: %v", old.id, before, after, old)
	}
	for _, m := range voters {
		m.stall.until = 0
	}
}

// stuckShortly checks that a leader stays whose disk is stuck for less than an election timeout.
func (w *world) stuckShortly(leader, at *member) {
	before := w.latestTerm()
	leader.stall.until = w.now + time.Duration(w.knobs.raft.ElectionTicks-3)*tick*1000/time.Duration(leader.rate)
	leader.tell("has a disk that is stuck until %v", leader.stall.until)
	w.probe(at, false, func() bool { return false }, func() {})
	w.run(leader.stall.until+w.knobs.electionTimeout(), nil)
	if w.failure == nil && w.latestTerm() != before {
		w.fail("Liveness", "n%d's disk was stuck for less than an election timeout, and it leads no longer: %v", leader.id, leader)
	}
}

// othersStuck checks that a leader stays while the disks of all others are stuck, for longer than an election takes: they hear it, answer that they do, and nobody
// would do better. One of them has a save under way that does not end.
func (w *world) othersStuck(leader *member, voters []*member) {
	if w.failure != nil {
		return
	}
	before := w.latestTerm()
	for _, m := range voters {
		if m != leader {
			m.stall.until, m.stall.reads = w.now+4*w.knobs.electionTimeout(), false
			m.tell("has a disk that is stuck until %v", m.stall.until)
		}
	}
	w.probe(leader, false, func() bool { return w.latestTerm() != before }, func() {})
	w.run(w.now+5*w.knobs.electionTimeout(), nil)
	if w.failure == nil && w.latestTerm() != before {
		w.fail("Liveness", "all disks but n%d's were stuck, nothing else was wrong, and it leads no longer: %v", leader.id, leader)
	}
}

// writesOn writes on m once, or again and again until enough says so: the disk that is stuck is then asked for ever more.
func (w *world) writesOn(m *member, enough func() bool) {
	again := w.stream(ofLasting, 2, 0).IntN(2) == 0
	var next func()
	next = func() {
		if again {
			w.after(tick, func() { w.probe(m, false, enough, next) })
		}
	}
	w.probe(m, false, enough, next)
}

// handoverSlack is for what beside waiting is to be done: messages there and back, a vote and two entries made durable, in a calm network.
const handoverSlack = time.Second

// probeOf writes on m as soon as ready says so, until one is applied there.
func (w *world) probeOf(m *member, ready func() bool, served *bool) {
	if !ready() {
		w.after(tick, func() { w.probeOf(m, ready, served) })
		return
	}
	w.probe(m, false, func() bool { return *served }, func() { *served = true })
}

func (m *member) stuckForGood() {
	m.stall.until, m.stall.reads = never64, m.w.chance(300)
	m.tell("has a disk that is stuck")
}

// demandQuiet checks that there is no election after the other while none can be won: the leader is down, and of the others so many have stuck
// disks that the rest is no majority. When the disks go on there is a leader again.
func (w *world) demandQuiet() {
	old, voters := w.leader(), w.voters()
	var stuck, well []*member
	for _, m := range voters {
		switch {
		case m == old:
		case len(stuck) < len(voters)-len(voters)/2-1:
			stuck = append(stuck, m)
			m.stuckForGood()
		default:
			well = append(well, m)
		}
	}
	w.probe(well[0], false, func() bool { return false }, func() {})
	w.run(w.now+2*w.knobs.electionTimeout(), nil)
	if w.failure != nil {
		return
	}
	old.die(death{})
	before := w.latestTerm()
	w.run(w.now+10*w.knobs.electionTimeout(), nil)
	if after := w.latestTerm(); w.failure == nil && after > before+1 {
		w.fail("Liveness", "no majority can vote, and the others went from term %d to %d: %v", before, after, well[0])
	}
	for _, m := range stuck {
		m.stall.until = 0
	}
	old.restart()
	w.run(w.now+w.patience(), func() bool { return w.leader() != nil })
	if w.failure == nil && w.leader() == nil {
		w.fail("Liveness", "all disks go on, and nobody leads for %v: %v", recoveryMax, well[0])
	}
}

// never64 is a time that does not come.
const never64 = time.Duration(1<<63 - 1)

// demandPreferred checks that in a cluster where nothing is wrong a voter of the highest priority comes to lead.
func (w *world) demandPreferred() {
	preferred := func() bool {
		leader := w.leader()
		if leader == nil || w.converged() != "" {
			return false
		}
		c := leader.group.Status().Configuration
		own, _ := c.Member(leader.id)
		for _, id := range c.Voters() {
			if m, _ := c.Member(id); m.Priority > own.Priority {
				return false
			}
		}
		return true
	}
	// The pauses between two attempts grow to 96 election timeouts, and the leader's clock may be slow.
	w.run(w.now+100*w.knobs.electionTimeout(), preferred)
	if w.failure == nil && !preferred() {
		w.fail("Liveness", "nothing is wrong, and no voter of the highest priority leads: %v", w.leader())
	}
}
