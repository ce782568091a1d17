package balsa_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
)

// journal is a state machine that notes every command, and answers with how many there were.
type journal struct {
	mu       sync.Mutex
	commands []uint64
	indexes  []balsa.Index
}

func (j *journal) Apply(batch iter.Seq[balsa.Entry[uint64, int]]) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for e := range batch {
		j.commands = append(j.commands, e.Command)
		j.indexes = append(j.indexes, e.Index)
		e.Reply(len(j.commands))
	}
	return nil
}

func (j *journal) Snapshot() (func(io.Writer) error, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	pinned := struct {
		Commands []uint64
		Indexes  []balsa.Index
	}{slices.Clone(j.commands), slices.Clone(j.indexes)}
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(pinned) }, nil
}

func (j *journal) Restore(r io.Reader) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var pinned struct {
		Commands []uint64
		Indexes  []balsa.Index
	}
	err := json.NewDecoder(r).Decode(&pinned)
	j.commands, j.indexes = pinned.Commands, pinned.Indexes
	return err
}

func (j *journal) last() balsa.Index {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.indexes) == 0 {
		return 0
	}
	return j.indexes[len(j.indexes)-1]
}

// seat is a member that is restarted again and again. Callers keep the node that they have begun with.
type seat struct {
	mu      sync.Mutex
	node    *balsa.Node[uint64, int]
	machine *journal
}

func (s *seat) get() (*balsa.Node[uint64, int], *journal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node, s.machine
}

// load is callers with little patience, and what they were told.
type load struct {
	t       *testing.T
	seats   []*seat
	next    atomic.Uint64
	floor   atomic.Uint64 // the last index that a caller was told of
	ended   atomic.Bool
	mu      sync.Mutex
	applied map[uint64]balsa.Result[int]
	refused map[uint64]bool
	unknown int
	reads   int
}

func (l *load) write(rng *rand.Rand) {
	n, _ := l.seats[rng.IntN(len(l.seats))].get()
	command := l.next.Add(1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+rng.IntN(400))*time.Millisecond)
	defer cancel()
	r, err := n.Propose(ctx, command)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.applied[command] = r
		for was := l.floor.Load(); uint64(r.Index) > was && !l.floor.CompareAndSwap(was, uint64(r.Index)); was = l.floor.Load() {
		}
	case errors.Is(err, balsa.ErrUnknownOutcome) && !errors.Is(err, balsa.ErrNotCommitted):
		l.unknown++
	case errors.Is(err, balsa.ErrNotCommitted) && !errors.Is(err, balsa.ErrUnknownOutcome):
		l.refused[command] = true
	default:
		l.t.Errorf("command %d ends with %v", command, err)
	}
}

func (l *load) read(rng *rand.Rand) {
	n, machine := l.seats[rng.IntN(len(l.seats))].get()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+rng.IntN(400))*time.Millisecond)
	defer cancel()
	floor := balsa.Index(l.floor.Load())
	i, err := n.Read(ctx, balsa.Linearizable)
	if err != nil {
		return
	}
	l.mu.Lock()
	l.reads++
	l.mu.Unlock()
	if last := machine.last(); i < floor || last < floor {
		l.t.Errorf("a read reflects entry %d, the machine has %d, and %d was acknowledged before", i, last, floor)
	}
}

// TestRestartsUnderLoad: members close and start again while callers write and read everywhere and give up at any moment. What was
// acknowledged is there, once, at its place; what was refused is not; and no read is old.
func TestRestartsUnderLoad(t *testing.T) {
	c := newCluster(t, 3)
	for i := range c.nodes {
		c.stop(i)
	}
	c.dir = t.TempDir()
	l := &load{t: t, applied: map[uint64]balsa.Result[int]{}, refused: map[uint64]bool{}}
	open := func(i int) (*balsa.Node[uint64, int], *journal) {
		machine := &journal{}
		n, err := balsa.Open(t.Context(), c.config(i), machine)
		if err != nil {
			t.Fatal(err)
		}
		return n, machine
	}
	for i := range c.nodes {
		n, machine := open(i)
		l.seats = append(l.seats, &seat{node: n, machine: machine})
	}
	var callers sync.WaitGroup
	for w := range 16 {
		callers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 0))
			for !l.ended.Load() {
				if l.write(rng); w%2 == 0 {
					l.read(rng)
				}
				time.Sleep(time.Duration(rng.IntN(3000)) * time.Microsecond)
			}
		})
	}
	rng := rand.New(rand.NewPCG(99, 0))
	for range restarts {
		time.Sleep(time.Duration(20+rng.IntN(150)) * time.Millisecond)
		i := rng.IntN(3)
		s := l.seats[i]
		var closers sync.WaitGroup
		old, _ := s.get()
		for range 2 {
			closers.Go(func() {
				if err := old.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		closers.Wait()
		n, machine := open(i)
		s.mu.Lock()
		s.node, s.machine = n, machine
		s.mu.Unlock()
	}
	l.ended.Store(true)
	callers.Wait()
	l.check()
	for _, s := range l.seats {
		if err := s.node.Close(); err != nil {
			t.Error(err)
		}
	}
	expectNoGoroutines(t)
	t.Logf("%d applied, %d refused, %d unknown, %d reads", len(l.applied), len(l.refused), l.unknown, l.reads)
	if len(l.applied) == 0 || l.reads == 0 {
		t.Error("nothing was tested")
	}
}

const restarts = 6

func (l *load) check() {
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	for _, s := range l.seats {
		if _, err := s.node.Read(ctx, balsa.Linearizable); err != nil {
			l.t.Fatal(err)
		}
	}
	first := l.seats[0].machine
	for i, s := range l.seats {
		if !slices.Equal(s.machine.commands, first.commands) || !slices.Equal(s.machine.indexes, first.indexes) {
			l.t.Errorf("members 0 and %d have executed different commands", i)
		}
	}
	at := map[uint64]int{}
	for k, command := range first.commands {
		if was, twice := at[command]; twice {
			l.t.Errorf("command %d was executed at entries %d and %d", command, first.indexes[was], first.indexes[k])
		}
		if l.refused[command] {
			l.t.Errorf("command %d was refused and is at entry %d", command, first.indexes[k])
		}
		at[command] = k
	}
	for command, r := range l.applied {
		k, ok := at[command]
		if !ok || first.indexes[k] != r.Index || r.Value != k+1 {
			l.t.Errorf("command %d was acknowledged as the %d. at entry %d: %s", command, r.Value, r.Index, fmt.Sprint(ok, k))
		}
	}
}
