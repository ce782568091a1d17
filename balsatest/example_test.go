package balsatest_test

import (
	"encoding/json"
	"io"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/balsatest"
)

// stock counts what is in a warehouse.
type stock struct{ pieces map[string]int }

// movement is a command: so many pieces come in, or leave.
type movement struct {
	Article string
	Pieces  int
}

// answer is its result. A command that is refused is a result like others, not an error of Apply.
type answer struct {
	Left    int
	Refused string
}

func newStock() *stock { return &stock{pieces: map[string]int{}} }

func (s *stock) Apply(batch iter.Seq[balsa.Entry[movement, answer]]) error {
	for e := range batch {
		m := e.Command
		left := s.pieces[m.Article] + m.Pieces
		if left < 0 {
			e.Reply(answer{Left: s.pieces[m.Article], Refused: "there are not so many"})
			continue
		}
		s.pieces[m.Article] = left
		e.Reply(answer{Left: left})
	}
	return nil
}

func (s *stock) Snapshot() (func(io.Writer) error, error) {
	b, err := json.Marshal(s.pieces) // now, not when the function is called: by then there may be other pieces
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}, err
}

func (s *stock) Restore(r io.Reader) error {
	pieces := map[string]int{} // a new one: what is not in the snapshot is not there
	err := json.NewDecoder(r).Decode(&pieces)
	s.pieces = pieces
	return err
}

// In a program this is a function TestStateMachine(t *testing.T) of the machine's package.
func ExampleStateMachine() {
	_ = func(t *testing.T) {
		balsatest.StateMachine(t,
			func() balsa.StateMachine[movement, answer] { return newStock() },
			func(r *rand.Rand) movement {
				articles := []string{"log", "rope", "sail"}
				return movement{Article: articles[r.IntN(len(articles))], Pieces: r.IntN(20) - 10}
			},
			balsatest.Options[movement, answer]{SameBytes: true}) // JSON sorts the keys of maps
	}
}
