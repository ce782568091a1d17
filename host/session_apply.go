package host

import (
	"fmt"
	"io"

	"github.com/balsa-raft/balsa/raft"
)

// settled is a proposal of an entry that the machine does not execute, and how it ends.
type settled struct {
	proposal *Proposal
	index    raft.Index
	answer   *Answer
	err      error
}

// prepareSession lets the table decide on an entry. Called by the applier with mu held.
func (g *Group) prepareSession(e *raft.Entry) error {
	s, err := decodeSessionEntry(e)
	if err != nil {
		return err
	}
	p := g.proposalOf(e.Data[sessionMark:])
	switch s.kind {
	case kindRegister:
		g.sessions.register(e.Index, s.limits)
		g.settle(p, e.Index, nil, nil)
	case kindEnd:
		g.sessions.end(s.tag.Session)
		g.settle(p, e.Index, nil, nil)
	case kindSessionCommand:
		switch what, a := g.sessions.take(e.Index, s.tag); what {
		case verdictExecute:
			g.entries = append(g.entries, Entry{Index: e.Index, Term: e.Term, Command: s.command, Proposal: p, Answer: a})
		case verdictAnswered: // perhaps by this batch, so it is looked at behind it
			g.settle(p, a.index, a, nil)
		default:
			g.settle(p, 0, nil, what.err())
		}
	}
	g.sessionsKnown.Store(int64(len(g.sessions.byID)))
	return nil
}

// err says why an entry had no effect.
func (v verdict) err() error {
	switch v {
	case verdictExpired:
		return fmt.Errorf("%w: %w", ErrNotCommitted, ErrSessionExpired)
	case verdictFull:
		return fmt.Errorf("%w: %w: the answer of a command too far back is still wanted", ErrNotCommitted, ErrOverloaded)
	}
	return fmt.Errorf("%w: the session has said that the answer is not wanted", ErrUnknownOutcome)
}

func (g *Group) settle(p *Proposal, i raft.Index, a *Answer, err error) {
	if p != nil {
		g.settled = append(g.settled, settled{proposal: p, index: i, answer: a, err: err})
	}
}

// sessionAnswered takes in what the machine has answered to a command of a session.
func (g *Group) sessionAnswered(e *Entry) {
	if e.Index <= g.kept {
		e.Answer.Lose() // the machine has executed it in an earlier life
	}
	g.sessions.answered(e.Answer)
}

// endSettled ends the waits of those whose entries needed no execution. err is why the machine has failed, if it has: then what the table has
// decided may depend on what was not executed.
func (g *Group) endSettled(err error) {
	for _, s := range g.settled {
		if err != nil {
			s = settled{proposal: s.proposal, err: err}
		}
		g.endAnswered(s.proposal, s.index, s.answer, s.err)
	}
	clear(g.settled)
	g.settled = g.settled[:0]
}

// endAnswered ends a proposal with the answer that an earlier one of the same command was given.
func (g *Group) endAnswered(p *Proposal, i raft.Index, a *Answer, err error) {
	if a != nil && a.state == answerLost {
		err = ErrAnswerLost
	}
	if a != nil && !p.finished {
		s := p.session
		s.answer, s.kept, s.answered = a.bytes, a.state == answerKept, true // the table may lose it at any time
	}
	g.finish(p, i, err)
}

// lookUp ends the proposal of a session's command if the table knows how. It reports false if the command was not executed. Called with mu held.
func (g *Group) lookUp(p *Proposal) bool {
	switch what, a := g.sessions.look(p.session.command); what {
	case verdictExecute:
		return false
	case verdictAnswered:
		g.endAnswered(p, a.index, a, nil)
	case verdictExpired:
		g.finish(p, 0, fmt.Errorf("%w: %w", ErrUnknownOutcome, ErrSessionExpired)) // it may have been executed while the session lived
	default:
		g.finish(p, 0, what.err())
	}
	return true
}

// restoreSessions takes the table off the front of a snapshot.
func (g *Group) restoreSessions(r io.Reader) error {
	b, err := ReadSessionTable(r)
	if err != nil {
		return err
	}
	g.sessions, err = decodeSessions(b)
	g.sessionsKnown.Store(int64(len(g.sessions.byID)))
	return err
}

// Answer returns, after Done and without an error, the answer of a session's command that was executed before this proposal of it, as the machine
// has kept it: nil if it gave none. answered is false if this proposal was executed itself; then Apply had it.
func (p *Proposal) Answer() (answer []byte, kept, answered bool) {
	return p.session.answer, p.session.kept, p.session.answered
}
