package balsa_test

import (
	"encoding/json"
	"io"
	"iter"
	"sync"
	"testing"

	"github.com/balsa-raft/balsa"
)

// stock is a number of things that can be taken, as long as there are enough.
type stock struct{ left int }

func (s *stock) Apply(batch iter.Seq[balsa.Entry[int, bool]]) error {
	for e := range batch {
		if e.Command <= s.left {
			s.left -= e.Command
			e.Reply(true)
		}
	}
	return nil
}

func (s *stock) Snapshot() (func(io.Writer) error, error) {
	left := s.left
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(left) }, nil
}

func (s *stock) Restore(r io.Reader) error { return json.NewDecoder(r).Decode(&s.left) }

// TestC9_RefusedWhenExecuted: commands that were all sensible when they were proposed, and of which only some can be executed one after the
// other. Nobody has promised anything about them before they were executed, and a refusal is an answer: the member goes on.
func TestC9_RefusedWhenExecuted(t *testing.T) {
	machine := &stock{left: 3}
	n, err := openOne(t, t.TempDir(), machine)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var wg sync.WaitGroup
	granted := make([]bool, 10)
	for i := range granted {
		wg.Go(func() {
			r, err := n.Propose(t.Context(), 1)
			if err != nil {
				t.Errorf("propose: %v", err)
			}
			granted[i] = r.Value
		})
	}
	wg.Wait()
	taken := 0
	for _, g := range granted {
		if g {
			taken++
		}
	}
	if taken != 3 {
		t.Errorf("of 3 things %d were taken", taken)
	}
	if err := n.Err(); err != nil {
		t.Errorf("the member has stopped: %v", err)
	}
}
