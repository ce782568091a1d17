package balsa

import (
	"fmt"
	"io"

	"github.com/balsa-raft/balsa/host"
)

// machine gives the typed StateMachine the host's entries.
type machine[C, R any] struct {
	user    StateMachine[C, R]
	codec   Codec[C]
	results Codec[R]
	answers []answer[R] // scratch: of the batch that is being applied
}

// answer is a command of a session and who its answer is given to.
type answer[R any] struct {
	of     *host.Answer
	waiter *waiter[R]
}

// waiter is a caller of Propose on this member.
type waiter[R any] struct {
	host.Proposal
	value   R
	replied bool
	reply   func(R) // of NewEntry
}

// Apply implements host.Machine.
func (m *machine[C, R]) Apply(batch []host.Entry) error {
	var bad error
	err := m.user.Apply(func(yield func(Entry[C, R]) bool) {
		for i := range batch {
			e, err := m.decode(&batch[i])
			if err != nil {
				bad = err
				return
			}
			if !yield(e) {
				bad = fmt.Errorf("the state machine left its batch before entry %d", batch[i].Index)
				return
			}
		}
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	m.keepAnswers()
	return nil
}

// keepAnswers gives the host the answers of commands of sessions, as they are now.
func (m *machine[C, R]) keepAnswers() {
	for _, a := range m.answers {
		if !a.waiter.replied {
			continue
		}
		if b, err := m.results.Append(nil, a.waiter.value); err != nil {
			a.of.Lose() // the command was executed, and that is what counts
		} else {
			a.of.Keep(b)
		}
	}
	clear(m.answers)
	m.answers = m.answers[:0]
}

// Snapshot implements host.Machine.
func (m *machine[C, R]) Snapshot() (func(io.Writer) error, error) { return m.user.Snapshot() }

// Restore implements host.Machine.
func (m *machine[C, R]) Restore(r io.Reader) error { return m.user.Restore(r) }

func (m *machine[C, R]) decode(e *host.Entry) (Entry[C, R], error) {
	c, err := m.codec.Decode(e.Command)
	if err != nil {
		// Skipping it would make this member differ from those that can read it.
		return Entry[C, R]{}, fmt.Errorf("entry %d is not a command that this program can read: %w", e.Index, err)
	}
	entry := Entry[C, R]{Index: e.Index, Term: e.Term, Command: c}
	if e.Proposal != nil {
		entry.waiter = e.Proposal.Owner.(*waiter[R])
	}
	if e.Answer != nil {
		if entry.waiter == nil {
			entry.waiter = &waiter[R]{}
		}
		m.answers = append(m.answers, answer[R]{of: e.Answer, waiter: entry.waiter})
	}
	return entry, nil
}
