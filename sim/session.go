package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// Clients with sessions: what has no outcome they try again, on any member, and it must take effect once; and what has one they sometimes try
// again, and must be given the same answer.

// patron is a client with a session.
type patron struct {
	c      *clients
	number int
	limits host.SessionLimits
	id     raft.Index // of its session; zero: it has none
	next   uint64     // serial
	open   []*command // whose answers it wants, by ascending serial
	begins bool       // a session is on its way
}

// command is one of a session, over all tries.
type command struct {
	Operation
	by        *patron
	rand      *rand.Rand
	session   raft.Index
	serial    uint64
	lowest    uint64 // that was wanted at its last try
	ending    []byte
	tries     int
	uncertain bool // a try had no outcome
	answered  bool // it goes on to see whether the answer stays the same
}

// firstPatron is the number of the first client with a session.
const firstPatron = 1000

// drawSessions makes tables tiny in most runs.
func drawSessions(r *rand.Rand) (patrons int, l host.SessionLimits) {
	return pick(r, 0, 1, 2, 4, 6), host.SessionLimits{
		SessionsMax: pick[uint32](r, 1, 3, 6, 0), OpenMax: pick[uint32](r, 1, 2, 0), AnswersMax: pick[uint32](r, 3, 6, 0),
		AnswerBytesMax: pick[uint64](r, 300, 1000, 0, 0),
	}
}

func (c *clients) startPatrons() {
	for i := range c.w.knobs.patrons {
		p := &patron{c: c, number: firstPatron + i, limits: c.w.knobs.sessions}
		c.patrons = append(c.patrons, p)
		p.think()
	}
}

// think lets the client wait before it begins something.
func (p *patron) think() {
	p.c.turn(p.number, p.act)
}

const openMax = 4

func (p *patron) act(d Decision) {
	m := p.c.somebody()
	switch {
	case p.c.stopped:
		return
	case m == nil || p.c.w.leavesOut(d) || len(p.open) >= openMax || p.begins:
	case p.id == 0:
		p.register(m)
	default:
		cmd := &command{by: p, rand: p.c.w.rand, session: p.id, serial: p.next, ending: p.c.ending()}
		p.next++
		p.c.lastID++
		cmd.Operation = Operation{Client: p.number, Key: p.c.w.rand.IntN(p.c.w.knobs.keys), Write: true, Value: p.c.lastID, Call: p.c.w.steps, Return: never}
		p.open = append(p.open, cmd)
		p.c.w.checker.opened(cmd)
		cmd.try(m)
	}
	p.think()
}

// somebody is a member that can be asked, or nil.
func (c *clients) somebody() *member {
	if m := c.choose(); m.up && !c.outside(m) && !c.quiet() {
		return m
	}
	return nil
}

// outside reports whether the others go on without m, which it may not know.
func (c *clients) outside(m *member) bool {
	return m.standing != isMember || c.calm && !slices.Contains(c.w.cluster(), m)
}

// withdraw gives up a try at a member that is no longer one of the cluster.
func (c *clients) withdraw(op *operation) {
	c.w.after(10*time.Second, func() {
		switch {
		case op.ended:
		case c.outside(op.m):
			c.abandon(op)
		default:
			c.withdraw(op)
		}
	})
}

// register asks for a session.
func (p *patron) register(m *member) {
	p.begins = true
	op := p.c.operation(p.number, m, 0)
	op.Write, op.control = true, true
	op.proposal = &host.Proposal{}
	op.proposal.RegisterSession(p.limits)
	op.done = func(op *operation) {
		p.begins = false
		if op.Outcome == OutcomeApplied {
			p.id, p.next = op.Index, 1
			p.c.w.report.Sessions++
		}
	}
	p.c.w.tellCall(op, false)
	p.c.propose(op)
}

// end ends the session.
func (p *patron) end(m *member) {
	op := p.c.operation(p.number, m, 0)
	op.Write, op.control, op.leaving = true, true, true
	op.proposal = &host.Proposal{}
	op.proposal.EndSession(p.id)
	p.c.w.tellCall(op, false)
	p.id = 0
	p.c.propose(op)
}

// propose hands a proposal in that has its member already.
func (c *clients) propose(op *operation) {
	if err := op.m.group.Propose(op.proposal); err != nil {
		c.endWrite(op, 0, err)
	}
	c.begin(op)
}

// try proposes the command at a member.
func (cmd *command) try(m *member) {
	c := cmd.by.c
	cmd.tries++
	c.w.report.Tries++
	op := c.operation(cmd.Client, m, cmd.Key)
	op.Write, op.Value, op.command = true, cmd.Value, cmd
	op.proposal = &host.Proposal{Data: cmd.data(), Owner: op}
	cmd.lowest = cmd.by.wanted(cmd.session)
	op.proposal.InSession(host.SessionCommand{Session: cmd.session, Serial: cmd.serial, Wanted: cmd.lowest})
	op.done = func(op *operation) { c.w.with(cmd.rand, func() { cmd.tried(op) }) }
	c.withdraw(op)
	c.w.tellCall(op, false)
	c.propose(op)
}

// late proposes a command once more of which the client has the answer, as a copy of it that was under way for long: it must not be executed.
func (cmd *command) late() {
	c := cmd.by.c
	if !cmd.answered || !c.w.chaos || !c.w.chance(200) {
		return
	}
	c.w.after(between(c.w.rand, 0, pick(c.w.rand, 200*time.Millisecond, 2*time.Second, 10*time.Second)), func() {
		m := c.somebody()
		if m == nil || c.stopped {
			return
		}
		op := c.operation(cmd.Client, m, cmd.Key)
		op.Write, op.control, op.Value, op.proposal = true, true, cmd.Value, &host.Proposal{Data: cmd.data(), Owner: op}
		op.proposal.InSession(host.SessionCommand{Session: cmd.session, Serial: cmd.serial, Wanted: cmd.lowest})
		op.done = func(op *operation) {
			if op.err != nil && strings.Contains(op.err.Error(), "too far back") {
				c.w.fail("Session", "%v is number %d of session %d, has its answer, and a late copy of it is refused as one too far ahead: %v", op, cmd.serial, cmd.session, op.err)
			}
		}
		c.w.reach(lateCopy)
		c.withdraw(op)
		c.w.tellCall(op, false)
		c.propose(op)
	})
}

// data is the command with room for a header.
func (cmd *command) data() []byte {
	data := append(make([]byte, host.SessionHeaderBytes+commandBytes), cmd.ending...)
	binary.LittleEndian.PutUint64(data[host.SessionHeaderBytes:], cmd.Value)
	data[host.SessionHeaderBytes+8] = byte(cmd.Key)
	return data
}

// wanted is the lowest serial whose answer is wanted.
func (p *patron) wanted(session raft.Index) uint64 {
	for _, cmd := range p.open {
		if cmd.session == session {
			return cmd.serial
		}
	}
	return p.next
}

// again tries the command again soon, on some member.
func (cmd *command) again() {
	c := cmd.by.c
	c.w.after(between(c.w.rand, 0, pick(c.w.rand, 50*time.Millisecond, 500*time.Millisecond, 5*time.Second)), func() {
		if m := c.somebody(); m != nil {
			cmd.try(m)
		} else {
			cmd.again()
		}
	})
}

// tried takes in how a try has ended.
func (cmd *command) tried(op *operation) {
	c, w := cmd.by.c, cmd.by.c.w
	expired := errors.Is(op.err, host.ErrSessionExpired)
	switch {
	case op.Outcome == OutcomeApplied:
		cmd.applied(op)
		if cmd.tries < 10 && w.chance(400) {
			cmd.again()
			return
		}
	case expired && op.Outcome == OutcomeRefused:
		w.checker.expired(cmd)
	case expired:
	case op.Outcome == OutcomeUnknown && !c.stopped && w.chance(50): // it gives up
		cmd.uncertain = true
	default:
		cmd.uncertain = cmd.uncertain || op.Outcome == OutcomeUnknown
		cmd.again()
		return
	}
	if expired {
		w.report.SessionsExpired++
		w.reachIf(retryExpired, cmd.tries > 1)
		cmd.uncertain = cmd.uncertain || op.Outcome == OutcomeUnknown
		if cmd.by.id == cmd.session {
			cmd.by.id = 0
		}
	}
	cmd.close(op)
}

// applied takes in that the command was executed.
func (cmd *command) applied(op *operation) {
	w := cmd.by.c.w
	if !cmd.answered {
		cmd.answered = true
		cmd.Outcome, cmd.Index, cmd.Member, cmd.Return = OutcomeApplied, op.Index, op.Member, w.steps
	}
	answer, kept, again := op.proposal.Answer()
	switch {
	case errors.Is(op.err, host.ErrAnswerLost):
		w.report.AnswersLost++
		w.checker.tooMuch(cmd)
		return
	case !again:
		answer, kept = op.answer, op.answer != nil
	default:
		w.report.AnsweredAgain++
		w.reachIf(retryElsewhere, cmd.Member != op.Member)
		if op.Index <= op.m.machine.restoredTo {
			w.report.AnsweredFromSnapshots++
			w.reach(retryFromSnapshot)
		}
	}
	w.checker.answered(cmd, op, answer, kept)
}

// close ends the command: its answer is not wanted any more.
func (cmd *command) close(op *operation) {
	p := cmd.by
	p.open = slices.DeleteFunc(p.open, func(o *command) bool { return o == cmd })
	if !cmd.answered && !cmd.uncertain {
		cmd.Outcome, cmd.Return = OutcomeRefused, p.c.w.steps
		p.c.w.checker.refuse(cmd.Value)
	}
	p.c.history = append(p.c.history, cmd.Operation)
	p.c.extra(cmd.late)
	if p.id == cmd.session && len(p.open) == 0 && !p.c.stopped && p.c.w.chance(30) && op.m.up {
		p.end(op.m)
	}
}

// answerOf is what the machine answers to a session's command: the same on every member, and nothing for some.
func answerOf(value, previous uint64) []byte {
	if value%5 == 0 {
		return nil
	}
	b := binary.LittleEndian.AppendUint64(nil, value)
	return append(binary.LittleEndian.AppendUint64(b, previous), make([]byte, value%50)...)
}

// opened takes in that a client begins a command.
func (c *checker) opened(cmd *command) { c.sessionOf[cmd.Value] = cmd.session }

// expired takes in that a session is said to be forgotten: none of its commands takes effect from now on, on any member.
func (c *checker) expired(cmd *command) { c.gone[cmd.session] = true }

// replied takes in what a machine has answered to a session's command.
func (c *checker) replied(value uint64, answer []byte) {
	was, ok := c.answers[value]
	c.answers[value] = answer
	switch {
	case ok && !bytes.Equal(was, answer):
		c.w.fail("State Machine Safety", "the write of %d is answered with %x, and elsewhere with %x", writeOf(value), answer, was)
	case !ok && c.gone[c.sessionOf[value]]:
		c.w.fail("Session", "the write of %d takes effect, and its session %d had expired", writeOf(value), c.sessionOf[value])
	}
}

// answered takes in which answer a client is given.
func (c *checker) answered(cmd *command, op *operation, answer []byte, kept bool) {
	want, ok := c.answers[cmd.Value]
	if at := c.written[cmd.Value]; !ok || at != op.Index || !bytes.Equal(answer, want) || kept != (want != nil) {
		c.w.fail("Session", "%v, try %d, is answered with %x at %d; it was executed at %d and answered with %x", op, cmd.tries, answer, op.Index, at, want)
	}
}

// tooMuch takes in that an answer was lost, which happens for lack of room alone.
func (c *checker) tooMuch(cmd *command) {
	if !c.answersMayDiffer() {
		c.w.fail("Session", "the answer to the write of %d was lost, and there is room", writeOf(cmd.Value))
	}
}

// refuse takes in that a value is never to be written.
func (c *checker) refuse(value uint64) {
	c.refused[value] = true
	if at, ok := c.written[value]; ok {
		c.w.fail("Outcome", "the write of %d is refused, and has taken effect at entry %d", writeOf(value), at)
	}
}

// sessionsAt compares the tables of sessions in all snapshots of an index. Answers may be lost for lack of room alone.
func (c *checker) sessionsAt(m *member, i raft.Index, table []byte) {
	if was, ok := c.tables[i]; ok && !bytes.Equal(was, table) && (!c.answersMayDiffer() || !host.SameSessions(was, table)) {
		c.w.fail("Snapshot State", "the snapshot of n%d at %d has the sessions %x, and elsewhere it has %x", m.id, i, table, was)
	}
	c.tables[i] = table
}
