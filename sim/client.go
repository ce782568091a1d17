package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// Outcome is how an operation ended for its client.
type Outcome uint8

const (
	// OutcomeUnknown says that a write may have taken effect, or may still do so. A read without an answer is left out of a History.
	OutcomeUnknown Outcome = iota
	// OutcomeApplied says that a write took effect, or that a read returned Value.
	OutcomeApplied
	// OutcomeRefused says that a write took no effect and never will.
	OutcomeRefused
)

func (o Outcome) String() string { return [...]string{"unknown", "applied", "refused"}[o] }

// Operation is what a client did to a register: a write of a value that is unique in the run, or a read.
type Operation struct {
	Client  int
	Member  raft.NodeID // that was asked
	Key     int
	Write   bool
	Value   uint64 // zero, from a read: never written
	Call    uint64 // Call and Return order the operations of a run: they are numbers of events
	Return  uint64 // the largest there is if the outcome is unknown: the effect may come at any time
	Outcome Outcome
	Index   raft.Index // of an applied write, its place in the log; of a read, what its answer reflects
}

const never = ^uint64(0)

// operation is one that is under way.
type operation struct {
	Operation
	m           *member
	incarnation int
	ask         ask        // of a read
	floor       raft.Index // of a read: what it must reflect
	began       raft.Index // and what was committed when it began
	plight      plight     // of its member when it began
	shardSteps  uint64     // that its member's shard had done then
	proposal    *host.Proposal
	read        *host.Read
	patient     bool // it waits for as long as it takes
	ended       bool
	done        func(op *operation) // may be nil
	err         error               // of a write that has ended
	control     bool                // it writes nothing: a session begins or ends
	leaving     bool                // one ends
	command     *command            // that this is a try of
	answer      []byte              // that the machine gave to a try
}

// clients put and read registers on any member.
type clients struct {
	w       *world
	stopped bool // no client begins anything new
	calm    bool // none gives up

	quietUntil time.Duration // no client writes anything new before

	lastID  uint64
	history []Operation
	patrons []*patron
	acts    map[int]int // of each client: how often it had its turn
}

func newClients(w *world) *clients { return &clients{w: w, acts: make(map[int]int)} }

func (c *clients) start() {
	for i := range c.w.knobs.clients {
		c.think(i)
	}
	c.startPatrons()
}

// think lets a client wait before its next operation.
func (c *clients) think(client int) {
	if !c.stopped {
		c.turn(client, func(d Decision) { c.act(client, d) })
	}
}

// turn lets a client do something after a while. Each turn draws from a source of its own.
func (c *clients) turn(client int, do func(Decision)) {
	c.acts[client]++
	d := Decision{Source: client, Number: c.acts[client]}
	c.w.with(c.w.stream(ofClient, uint64(client), uint64(d.Number)), func() {
		c.w.after(between(c.w.rand, 0, c.w.knobs.think), func() { do(d) })
	})
}

func (c *clients) act(client int, d Decision) {
	w := c.w
	m := c.choose()
	if c.stopped || !m.up || w.leavesOut(d) {
		c.think(client)
		return
	}
	key := w.rand.IntN(w.knobs.keys)
	if w.rand.IntN(100) < w.knobs.readPart || c.quiet() {
		c.next(c.read(client, m, key, c.drawAsk()))
		return
	}
	for range w.rand.IntN(w.knobs.burstMax) {
		c.begin(c.write(client, m, w.rand.IntN(w.knobs.keys)))
	}
	c.next(c.write(client, m, key))
}

// unrest takes in that a leader was elected or gave up: soon some calls go to members that have not heard of it. There an answer can be wrong,
// and by chance alone there would be few.
func (c *clients) unrest() {
	c.extra(func() {
		for range 6 {
			c.w.after(between(c.w.rand, 0, c.w.knobs.electionTimeout()/2), c.surprise)
		}
	})
}

// extra lets f make calls that no client makes by itself, if there are to be such.
func (c *clients) extra(f func()) {
	c.w.apart(func() {
		if !c.w.options.Without.calls {
			f()
		}
	})
}

// doubt asks a member that still believes to lead, while clients of others write.
func (c *clients) doubt(m *member) { c.extra(func() { c.doubts(m) }) }

func (c *clients) doubts(m *member) {
	incarnation := m.incarnation
	for range 8 {
		c.w.after(between(c.w.rand, 0, c.w.knobs.electionTimeout()/4), func() {
			if m.up && m.incarnation == incarnation && !c.stopped && m.group.Status().Role == raft.Leader {
				c.begin(c.read(-1, m, c.w.rand.IntN(c.w.knobs.keys), c.drawAsk()))
			}
			if o := c.choose(); o != m && o.up && !c.stopped {
				c.begin(c.write(-1, o, c.w.rand.IntN(c.w.knobs.keys)))
			}
		})
	}
}

// elected takes in that a leader was: others may still believe to lead.
func (c *clients) elected(leader *member) {
	for _, m := range c.w.members {
		if m != leader && m.up && m.group.Status().Role == raft.Leader && m.group.Err() == nil {
			c.doubt(m)
		}
	}
}

// rush makes some calls to the others, so that something is under way when a member dies.
func (c *clients) rush(victim *member) {
	c.extra(func() {
		for range 6 {
			c.w.after(between(c.w.rand, 0, 2*c.w.knobs.latency), func() {
				if m := c.choose(); m != victim && m.up && !c.stopped {
					c.call(m)
				}
			})
		}
	})
}

func (c *clients) call(m *member) {
	if key := c.w.rand.IntN(c.w.knobs.keys); c.w.chance(400) {
		c.begin(c.read(-1, m, key, c.drawAsk()))
	} else {
		c.begin(c.write(-1, m, key))
	}
}

func (c *clients) surprise() {
	w := c.w
	var term raft.Term
	for _, m := range w.members {
		if m.up {
			term = max(term, m.group.Status().Term)
		}
	}
	first := w.rand.IntN(len(w.members))
	for i := range w.members {
		m := w.members[(first+i)%len(w.members)]
		if c.stopped || !m.up {
			continue
		}
		s := m.group.Status()
		out := s.Leader != 0 && (s.Term < term || w.member(s.Leader).up && w.member(s.Leader).group.Status().Role != raft.Leader)
		if !out {
			continue
		}
		c.call(m)
		return
	}
}

// next begins an operation with whose end its client goes on.
func (c *clients) next(op *operation) {
	op.done = func(op *operation) {
		if op.Outcome == OutcomeRefused { // it would be the same again
			c.w.after(200*time.Millisecond, func() { c.think(op.Client) })
		} else {
			c.think(op.Client)
		}
	}
	c.begin(op)
}

// pileUp makes many writes wait on a member that was cut off. If it leads, its log gets a long end that is never committed, in whose place the
// others may have a snapshot soon.
func (c *clients) pileUp(m *member) { c.extra(func() { c.pile(m) }) }

func (c *clients) pile(m *member) {
	for range 5 + c.w.rand.IntN(40) {
		if c.stopped || !m.up {
			return
		}
		c.begin(c.write(-1, m, c.w.rand.IntN(c.w.knobs.keys)))
	}
}

// choose picks the member to ask. Those that say to lead are the most interesting: one of them may be wrong.
func (c *clients) choose() *member {
	w := c.w
	first := w.rand.IntN(len(w.members))
	if w.rand.IntN(100) < w.knobs.toLeaders {
		for i := range w.members {
			m := w.members[(first+i)%len(w.members)]
			if m.up && m.group.Status().Role == raft.Leader {
				return m
			}
		}
	}
	return w.members[first]
}

// begin gives an operation its time limit.
func (c *clients) begin(op *operation) {
	c.w.recordCall(op, false)
	if op.ended {
		c.finished(op)
		return
	}
	op.m.waits = append(op.m.waits, op)
	op.m.wake()
	if op.patient {
		return
	}
	limit := between(c.w.rand, 100*time.Millisecond, pick(c.w.rand, 500*time.Millisecond, 2*time.Second, 20*time.Second))
	if c.stopped {
		limit = 50 * time.Second
	}
	c.w.after(limit, func() {
		// In a mended cluster everything ends by itself. While only a majority is, a follower may hear a leader that does not hear it.
		if !op.ended && (op.ask.hopeless || !c.calm && (op.Write || !c.stopped)) {
			c.abandon(op)
		}
	})
}

func (c *clients) operation(client int, m *member, key int) *operation {
	return &operation{
		Operation:   Operation{Client: client, Member: m.id, Key: key, Call: c.w.steps, Return: never},
		m:           m,
		incarnation: m.incarnation,
	}
}

// commandBytes is a command without its padding: value u64, key u8.
const commandBytes = 9

func (c *clients) write(client int, m *member, key int) *operation {
	c.w.report.Writes++
	op := c.operation(client, m, key)
	c.lastID++
	op.Write, op.Value = true, c.lastID
	data := append(make([]byte, host.HeaderBytes+commandBytes), c.ending()...)
	binary.LittleEndian.PutUint64(data[host.HeaderBytes:], op.Value)
	data[host.HeaderBytes+8] = byte(key)
	op.proposal = &host.Proposal{Data: data}
	c.w.tellCall(op, false)
	if err := m.group.Propose(op.proposal); err != nil {
		c.endWrite(op, 0, err)
	}
	return op
}

// poll ends those of a member's operations that have an outcome.
func (c *clients) poll(m *member) {
	for i := 0; i < len(m.waits); i++ {
		op := m.waits[i]
		if !op.ended && !c.look(op) {
			continue
		}
		m.waits = append(m.waits[:i], m.waits[i+1:]...)
		i--
		c.finished(op)
		if !m.up {
			return
		}
	}
}

// look takes the outcome, if there is one.
func (c *clients) look(op *operation) bool {
	if op.Write {
		if !isClosed(op.proposal.Done()) {
			return false
		}
		i, err := op.m.group.Outcome(op.proposal)
		c.endWrite(op, i, err)
		return true
	}
	if !isClosed(op.read.Done()) {
		return false
	}
	i, err := op.read.Index()
	c.endRead(op, i, err)
	return true
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// abandon ends an operation whose client waits no longer.
func (c *clients) abandon(op *operation) {
	if op.Write {
		i, err := op.m.group.Abandon(op.proposal)
		c.endWrite(op, i, err)
	} else {
		op.read.Abandon()
		c.endRead(op, 0, host.ErrNoLeader)
	}
	c.poll(op.m)
}

// leave ends what still waits at servers that are no members any more, and may never hear so.
func (c *clients) leave() {
	for _, m := range c.w.members {
		for _, op := range m.waits {
			op.err = errRunEnds
			c.lost(op)
		}
		m.waits = nil
	}
}

var errRunEnds = errors.New("the run ends")

// lost ends an operation whose member has died. It may have an outcome that nobody has looked at yet.
func (c *clients) lost(op *operation) {
	op.ended = true
	c.finished(op)
}

func (c *clients) endWrite(op *operation, i raft.Index, err error) {
	op.ended, op.err = true, err
	switch {
	case err == nil || errors.Is(err, host.ErrAnswerLost):
		op.Outcome, op.Index = OutcomeApplied, i
	case errors.Is(err, host.ErrNotCommitted):
		op.Outcome = OutcomeRefused
	case !errors.Is(err, host.ErrUnknownOutcome):
		c.w.fail("Outcome", "n%d ends a proposal with an error that has no outcome: %v", op.m.id, err)
	}
	if op.Outcome != OutcomeUnknown {
		op.Return = c.w.steps
	}
	c.w.tellCall(op, true)
	if !op.control && op.command == nil {
		c.w.checker.wrote(op)
	}
}

// finished enters an operation in the history and lets its client go on.
func (c *clients) finished(op *operation) {
	w := c.w
	w.mix(op.Value, uint64(op.Index), uint64(op.Outcome))
	w.recordCall(op, true)
	if op.control || op.command != nil {
		if op.done != nil {
			op.done(op)
		}
		return
	}
	switch {
	case !op.Write && op.Outcome != OutcomeApplied:
		w.report.ReadsUnanswered++
	case op.Write && op.Outcome == OutcomeRefused:
		w.report.Refused++
	case op.Write && op.Outcome == OutcomeUnknown:
		w.report.Unknown++
	}
	if op.Write || op.Outcome == OutcomeApplied && op.ask.level.strict() && !op.stale() {
		c.history = append(c.history, op.Operation)
	}
	if op.done != nil {
		op.done(op)
	}
}

func (op *operation) String() string {
	if op.Write {
		return fmt.Sprintf("the write %d=%d on n%d", op.Key, op.Value, op.Member)
	}
	return fmt.Sprintf("a read of %d on n%d", op.Key, op.Member)
}

// quiet reports whether no client is to write anything.
func (c *clients) quiet() bool { return c.w.chaos && c.w.now < c.quietUntil }
