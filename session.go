package balsa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/balsa-raft/balsa/host"
)

// Session makes commands exactly once, over everything that can happen to a caller: a context that ends, a member that dies, a reply that
// is lost. What had no outcome is proposed again, here or on any other member, and is then executed if it was not, and answered if it was
// (thesis §6.3). It is safe for concurrent use.
//
//	session, err := node.NewSession(ctx)
//	ticket, err := session.Ticket(command)
//	result, err := ticket.Propose(ctx) // and again, until it has an outcome
//
// A session costs an entry in the log, and each of its commands 33 bytes more than a plain one. It lives in the replicated state, for as long as it is
// used now and then: the one that was used the longest ago is forgotten when there are more than 65,536. Its commands are then refused with
// ErrSessionExpired, by all members alike.
//
// One process uses a session at a time. To go on with it elsewhere, or after a restart, take its State there and call Node.ResumeSession. A
// client that must be able to writes State down when it has the ticket, with the command, and before it proposes.
type Session[C, R any] struct {
	node *Node[C, R]
	id   Index

	mu     sync.Mutex
	lowest uint64 // the lowest serial whose answer is wanted
	closed []bool // of the serials from lowest on, those whose answer is not; the first is false, if there is one
}

// SessionState is all that it takes to go on with a session.
type SessionState struct {
	ID Index // the index of its registration
	// The next command has the serial number Next. Those from Wanted on are open: they may have no outcome yet.
	Wanted, Next uint64
}

// NewSession registers a session.
func (n *Node[C, R]) NewSession(ctx context.Context) (*Session[C, R], error) {
	for {
		p := &host.Proposal{}
		p.RegisterSession(host.SessionLimits{})
		id, err := n.propose(ctx, p)
		switch {
		case err == nil:
			return &Session[C, R]{node: n, id: id, lowest: 1}, nil
		case !errors.Is(err, host.ErrSkipped): // of which nobody has the id: it will be forgotten
			return nil, fmt.Errorf("balsa: no session was registered: %w", err)
		}
	}
}

// ResumeSession goes on with a session that was begun elsewhere, or before a restart. Of the commands that are open there, Retry those whose
// outcome matters and Release the others.
func (n *Node[C, R]) ResumeSession(s SessionState) (*Session[C, R], error) {
	if s.ID == 0 || s.Wanted == 0 || s.Next < s.Wanted || s.Next-s.Wanted > openMax {
		return nil, fmt.Errorf("balsa: no session has the state %+v", s)
	}
	return &Session[C, R]{node: n, id: s.ID, lowest: s.Wanted, closed: make([]bool, s.Next-s.Wanted)}, nil
}

// State returns what ResumeSession needs. What it says of commands holds until the next one is begun or ends.
func (s *Session[C, R]) State() SessionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SessionState{ID: s.id, Wanted: s.lowest, Next: s.lowest + uint64(len(s.closed))}
}

// End forgets the session on all members. Commands of it that have no outcome by then have none. It may be called again if it fails.
func (s *Session[C, R]) End(ctx context.Context) error {
	for {
		p := &host.Proposal{}
		p.EndSession(s.id)
		if _, err := s.node.propose(ctx, p); !errors.Is(err, host.ErrSkipped) {
			return err
		}
	}
}

// Propose replicates a command of the session, as Node.Propose does, and tries by itself again what has no outcome, until ctx ends. If it fails with
// ErrUnknownOutcome nobody will know whether the command has taken effect: to be able to try again, use a Ticket.
func (s *Session[C, R]) Propose(ctx context.Context, command C) (Result[R], error) {
	t, err := s.Ticket(command)
	if err != nil {
		return Result[R]{}, err
	}
	defer t.Release()
	return t.Propose(ctx)
}

// openMax is how far apart the serials of open commands can be. The members' limit is the same.
const openMax = host.SessionOpenMax

// Ticket gives a command its place in the session. Nothing is proposed yet. It fails with ErrOverloaded if the oldest open command is 1,024
// commands back.
func (s *Session[C, R]) Ticket(command C) (*Ticket[C, R], error) {
	data, err := s.node.encode(host.SessionHeaderBytes, command)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.closed) == openMax {
		return nil, fmt.Errorf("%w: %w: command %d of the session is open, and the next would be %d: let it end, or release it",
			ErrNotCommitted, ErrOverloaded, s.lowest, s.lowest+openMax)
	}
	s.closed = append(s.closed, false)
	return &Ticket[C, R]{session: s, serial: s.lowest + uint64(len(s.closed)) - 1, data: data}, nil
}

// Retry returns a ticket for a command that is open, of a session that was resumed. It must be the very command that had this serial: another one is given
// the answer of that one, and not executed.
func (s *Session[C, R]) Retry(serial uint64, command C) (*Ticket[C, R], error) {
	data, err := s.node.encode(host.SessionHeaderBytes, command)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if serial < s.lowest || serial-s.lowest >= uint64(len(s.closed)) || s.closed[serial-s.lowest] {
		return nil, fmt.Errorf("balsa: command %d of the session is not open", serial)
	}
	return &Ticket[C, R]{session: s, serial: serial, data: data, uncertain: true}, nil
}

// Release says that the answer of a command is not wanted any more. It will not be executed if it has not been by the time that the session's next
// command is applied.
func (s *Session[C, R]) Release(serial uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if serial < s.lowest || serial-s.lowest >= uint64(len(s.closed)) {
		return
	}
	s.closed[serial-s.lowest] = true
	n := 0
	for n < len(s.closed) && s.closed[n] {
		n++
	}
	s.lowest += uint64(n)
	s.closed = slices.Delete(s.closed, 0, n)
}

// Ticket is a command with its place in a session. It is used by one goroutine at a time.
type Ticket[C, R any] struct {
	session   *Session[C, R]
	serial    uint64
	data      []byte // behind room for the host; the first try takes it as it is
	tried     bool
	uncertain bool // a try had no outcome

	ended  bool
	result Result[R]
	err    error // ErrAnswerLost, or nil
}

// Serial is the command's number in its session, for Session.Retry.
func (t *Ticket[C, R]) Serial() uint64 { return t.serial }

// Release gives the command up: see Session.Release. It is not needed for one that has a result.
func (t *Ticket[C, R]) Release() { t.session.Release(t.serial) }

// Propose replicates the command and returns its result. It goes on trying until ctx ends, through changes of the leader and all else that
// passes. It can be called again after any error, and on another member after Session.Retry: however often it is called, the command is executed
// at most once, and once it was, every call returns its result.
//
// It ends with a Result; with an error that wraps ErrNotCommitted (no try of it has taken effect or ever will); with one that wraps
// ErrUnknownOutcome (one may have, or may still: call it again to know); or with ErrAnswerLost and a Result that has the Index alone: it was executed
// there, and its answer is not known on this member. With ErrSessionExpired, which is wrapped beside one of these, calling it again is of no use.
func (t *Ticket[C, R]) Propose(ctx context.Context) (Result[R], error) {
	for !t.ended {
		err := t.try(ctx)
		switch {
		case err == nil:
		case errors.Is(err, host.ErrSkipped): // this member was brought forward by a snapshot, and cannot tell: the log will
			t.uncertain = true
		case errors.Is(err, ErrUnknownOutcome):
			t.uncertain = true
			return Result[R]{}, err
		case t.uncertain:
			return Result[R]{}, &uncertainError{err}
		default:
			return Result[R]{}, err
		}
	}
	return t.result, t.err
}

// try proposes the command once. Without an error the ticket has ended.
func (t *Ticket[C, R]) try(ctx context.Context) error {
	n, w := t.session.node, &waiter[R]{}
	w.Owner, w.Data = w, t.data
	if t.tried {
		w.Data = slices.Clone(t.data) // what was proposed may be in the log
	}
	t.tried = true
	w.InSession(host.SessionCommand{Session: t.session.id, Serial: t.serial, Wanted: t.session.wanted()})
	index, err := n.propose(ctx, &w.Proposal)
	switch {
	case errors.Is(err, ErrAnswerLost):
		t.err = err
	case err != nil:
		return err
	}
	t.ended, t.data, t.result = true, nil, Result[R]{Value: w.value, Index: index}
	if b, kept, answered := w.Answer(); answered && kept {
		if t.result.Value, err = n.machine.results.Decode(b); err != nil {
			t.err = fmt.Errorf("%w: it cannot be read: %w", ErrAnswerLost, err)
		}
	}
	t.Release()
	return nil
}

// wanted is the lowest serial whose answer is wanted.
func (s *Session[C, R]) wanted() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lowest
}

// uncertainError is the error of a try that had no effect, of a command of which an earlier try may have had.
type uncertainError struct{ last error }

func (e *uncertainError) Error() string {
	return fmt.Sprintf("%v: an earlier try may have taken effect; the last had none: %v", ErrUnknownOutcome, e.last)
}

// Is makes the error one of unknown outcome, and all that the last try's is but for ErrNotCommitted.
func (e *uncertainError) Is(target error) bool {
	return target == ErrUnknownOutcome || target != ErrNotCommitted && errors.Is(e.last, target)
}
