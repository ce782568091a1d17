package host

import (
	"errors"
	"sync"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/trace"
	"github.com/balsa-raft/balsa/wire"
)

// inputKind says what has come in.
type inputKind uint8

const (
	inputMessage inputKind = iota + 1
	inputProposal
	inputRead
	inputPersisted
	inputApplied
	inputLoaded
	inputUnreachable
	inputTransfer
	inputDrain
	inputChange
	inputChangeAbandoned
	inputConfigured
	inputIntroduced
	inputRefused
	inputSnapshotted
	inputSnapshotSent
	inputFailed
)

// input is one thing that has come in for a group: a union, by kind.
type input struct {
	kind  inputKind
	group *Group // nil for inputUnreachable, and for inputFailed of the whole host

	from     raft.NodeID // inputMessage, inputUnreachable, inputSnapshotSent
	message  raft.Message
	proposal *Proposal
	read     *Read
	transfer *Transfer
	drain    *drain
	change   *MembersChange
	applied  *raft.ConfigurationAt // inputConfigured
	seq      uint64                // inputPersisted; inputIntroduced: the incarnation
	index    raft.Index            // inputApplied; inputSnapshotted: up to here the log can go
	load     raft.Load             // inputLoaded
	entries  []raft.Entry
	err      error // inputFailed, inputRefused
}

// Shard owns the cores of its groups: only Step touches them.
type Shard struct {
	host   *Host
	inbox  *inbox[input]
	groups []*Group // in the order of their ids

	stepping sync.Mutex           // held by who steps the shard: its own goroutine, or one that lends itself
	clock    func() time.Duration // for those that do; nil: none may

	batch  []input  // scratch
	active []*Group // those with effects to carry out

	tick   time.Duration
	ticked time.Duration // when time was last told to the cores
	ticks  uint64        // how often
	now    time.Duration // of the step
	slept  bool          // the clock may have stood still since the last step

	warnAt  time.Duration // when it may be warned of an ignored message again
	leftOut int           // messages that were ignored since the last warning
}

// Step gives the cores all that has come in, and the time, and carries out their effects. It reports whether there is more to do. The clock tells
// the time since some fixed moment, and never falls.
func (s *Shard) Step(clock func() time.Duration) (more bool) {
	s.batch = s.inbox.take(s.batch)
	if s.host.config.Tracer != nil && len(s.batch) > 0 {
		s.host.hop(0, trace.Taken, 0, 0)
	}
	// Only now: between a look at the clock and the inbox the process may pause, and a read that came afterwards would be answered under a lease
	// that had ended before, or a promise begin before the request that it is for.
	s.now = clock()
	if s.slept {
		s.wakeUp()
	}
	for i := range s.batch {
		s.accept(&s.batch[i])
	}
	s.passTime(s.now)
	for _, g := range s.active {
		g.active = false
		if g.Err() == nil {
			g.proposeHeld()
			g.askHeld(s.now)
			s.carryOut(g)
			s.giveAgain(g)
			g.followDrains()
		}
	}
	clear(s.active)
	s.active = s.active[:0]
	return !s.inbox.empty()
}

// passTime tells the cores how many ticks have passed. Messages come first: after a pause of the process, what had arrived meanwhile
// must count before the time that it took. For the same reason a long pause counts as one tick.
func (s *Shard) passTime(now time.Duration) {
	if now < s.ticked+s.tick {
		return
	}
	if s.ticked += s.tick; now >= s.ticked+s.tick {
		s.ticked = now
	}
	s.ticks++
	s.host.dropPeers()
	for _, g := range s.groups {
		if g.Err() == nil {
			s.activate(g)
			g.raft.Tick()
			g.pausedTerm = 0
			g.dropAbandonedReads()
			g.dropFinished()
			g.tickTransfers()
			g.tickDrains()
			g.tickChanges()
			g.checkRemoval()
		}
	}
}

// giveAgain gives the core what has just been refused, if another leader is known by now.
func (s *Shard) giveAgain(g *Group) {
	if g.takenBack {
		g.takenBack = false
		g.proposeHeld()
		s.carryOut(g)
	}
}

func (s *Shard) activate(g *Group) {
	if !g.active {
		g.active = true
		s.active = append(s.active, g)
		g.raft.Clock(raft.Nanos(s.now))
	}
}

// wakeUp tells everybody who measures time that nobody knows how much of it has passed.
func (s *Shard) wakeUp() {
	s.slept = false
	for _, g := range s.groups {
		if g.Err() == nil {
			s.activate(g)
			g.raft.Slept()
			g.sleptUntil(s.now)
		}
	}
}

func (s *Shard) accept(in *input) {
	g := in.group
	switch {
	case g == nil:
		s.acceptForAll(in)
		return
	case g.Err() != nil:
		s.acceptStopped(in)
		return
	}
	s.activate(g)
	switch in.kind {
	case inputMessage:
		s.receive(g, in)
	case inputProposal:
		g.hold(in.proposal)
	case inputRead:
		g.beginRead(in.read, s.now)
	case inputTransfer:
		g.beginTransfer(in.transfer)
	case inputDrain:
		g.drains = append(g.drains, in.drain)
	case inputChange:
		g.beginChange(in.change)
	case inputChangeAbandoned:
		g.abandonChange(in.change)
	case inputConfigured:
		g.configured(*in.applied)
	case inputIntroduced:
		g.introduced(in.from, in.seq)
	case inputRefused:
		g.refusedByPeer(in.err)
	case inputPersisted:
		g.raft.Persisted(in.seq)
		if s.host.config.Tracer != nil {
			s.host.hop(g.id, trace.Matched, 0, g.raft.Status().DurableIndex)
		}
	case inputApplied:
		g.applied = in.index
		g.raft.Applied(in.index)
		g.endReady()
	case inputLoaded:
		g.raft.Loaded(in.load, in.entries)
	case inputSnapshotted:
		g.raft.Compact(in.index)
	case inputSnapshotSent:
		g.raft.SnapshotSent(in.from)
	case inputFailed:
		g.fail(in.err)
	}
}

func (s *Shard) acceptForAll(in *input) {
	for _, g := range s.groups {
		switch {
		case g.Err() != nil:
		case in.kind == inputUnreachable:
			s.activate(g)
			g.raft.Unreachable(in.from)
		case in.kind == inputFailed:
			g.fail(in.err)
		}
	}
}

// acceptStopped ends what comes in for a group that has stopped.
func (s *Shard) acceptStopped(in *input) {
	if in.kind == inputTransfer {
		in.transfer.finish(in.group.Err())
	}
	if in.kind == inputDrain {
		close(in.drain.done)
	}
	if in.kind == inputChange {
		in.change.finish(in.group.Err())
	}
	if in.kind == inputRead {
		in.group.endReads([]*Read{in.read}, 0, in.group.Err())
	}
}

func (s *Shard) receive(g *Group, in *input) {
	err := g.raft.Receive(in.from, in.message)
	var bad *raft.BadMessageError
	switch {
	case errors.As(err, &bad):
		s.ignored(g, err)
	case err != nil:
		g.fail(err)
	case g.raft.HearsLeader(): // now, and not when the tick comes: its connection may have broken by then
		g.silence, g.stranger = 0, 0
	}
}

// warnEvery is how often it is reported that messages were ignored: a peer that floods this member must not fill its log.
const warnEvery = time.Minute

func (s *Shard) ignored(g *Group, err error) {
	if s.now < s.warnAt {
		s.leftOut++
		return
	}
	s.host.logger.Warn("a message was ignored", "group", uint64(g.id), "error", err, "leftOut", s.leftOut)
	s.warnAt, s.leftOut = s.now+warnEvery, 0
}

// carryOut starts everything that the core wants done. Disk and network run in parallel (§10.2.1): the core has withheld what must wait.
func (s *Shard) carryOut(g *Group) {
	if s.host.config.Tracer != nil {
		s.host.hop(g.id, trace.Stepped, 0, 0)
	}
	e := g.raft.Effects()
	if s.host.config.Tracer != nil {
		g.hopEffects(&e)
	}
	for _, ev := range e.Events { // first, so that who watches hears of an election before the messages that follow from it
		s.host.observe(g, ev)
	}
	if e.Configuration != nil || g.vouch.words.Load() != nil { // before the messages: some may be to members that it brings
		g.followConfiguration(e.Configuration)
	}
	if e.Stranger != 0 {
		g.unknownTo(e.Stranger)
	}
	if e.Vouch.ID != 0 {
		g.vouchedFor(e.Vouch)
	}
	for _, a := range e.Changes {
		g.changeAnswered(a)
	}
	for _, m := range e.Messages {
		s.host.transport.Send(m.To, wire.Packet{Group: g.id, Message: m.Message})
	}
	if e.Save != nil {
		s.host.writer.put(g, e.Save)
	}
	if e.Restore != nil {
		s.host.applier.inbox.put(applyWork{group: g, restore: e.Restore}, 0, 0)
	}
	for _, peer := range e.Send {
		s.host.sender.inbox.put(sendWork{group: g, peer: peer}, 0, 0)
	}
	if len(e.Apply) > 0 {
		s.host.applier.inbox.put(applyWork{group: g, entries: e.Apply}, 0, 0)
	}
	for _, l := range e.Load {
		if l.For == 0 {
			s.host.reader.inbox.put(loadWork{group: g, load: l}, 0, 0)
		} else {
			s.host.sender.inbox.put(sendWork{group: g, load: &l}, 0, 0)
		}
	}
	for _, r := range e.Reads {
		g.confirmed(r)
	}
	for _, r := range e.Refused {
		g.refused(r)
	}
	if len(e.Aborted) > 0 {
		g.aborted(e.Aborted)
	}
	g.publish()
	for _, ev := range e.Events { // last: who has waited for a transfer may look at once who leads
		g.followTransfer(ev)
	}
}

// close ends the reads that wait; the proposals have been ended.
func (s *Shard) close(err error) {
	s.inbox.close()
	s.batch = s.inbox.take(s.batch)
	for i := range s.batch {
		switch in := &s.batch[i]; in.kind {
		case inputRead:
			in.group.readers.held = append(in.group.readers.held, in.read)
		case inputTransfer:
			in.group.transfers = append(in.group.transfers, in.transfer)
		case inputDrain:
			in.group.drains = append(in.group.drains, in.drain)
		case inputChange:
			in.group.changes = append(in.group.changes, in.change)
		}
	}
	for _, g := range s.groups {
		g.failReads(err)
		g.endTransfers(err)
		g.endDrains()
		g.endChanges(err)
	}
}
