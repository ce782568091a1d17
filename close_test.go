package balsa_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
)

// goroutines returns the stacks of the goroutines that this module has started.
func goroutines() (stacks []string) {
	buf := make([]byte, 1<<20)
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "balsa/host.") || strings.Contains(stack, "balsa/transport.") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

func expectNoGoroutines(t *testing.T) {
	t.Helper()
	if left := goroutines(); len(left) > 0 {
		t.Errorf("%d goroutines are left: %s", len(left), strings.Join(left, "\n\n"))
	}
}

// openOne starts a group of one member.
func openOne[C, R any](t *testing.T, dir string, machine balsa.StateMachine[C, R]) (*balsa.Node[C, R], error) {
	t.Helper()
	return balsa.Open(t.Context(), balsa.Config{
		Dir: dir, ID: 1, Members: []balsa.Member{{ID: 1, Address: "127.0.0.1:0"}}, Logger: slog.New(slog.DiscardHandler),
	}, machine)
}

// TestCloseTwice: closing again, from wherever, waits for the first and says the same.
func TestCloseTwice(t *testing.T) {
	dir := t.TempDir()
	n, err := openOne(t, dir, &adder{})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
			again, err := openOne(t, dir, &adder{}) // the folder is free
			if err == nil {
				again.Close()
			} else if !strings.Contains(err.Error(), "in use: locked") {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if !errors.Is(n.Err(), balsa.ErrClosed) {
		t.Errorf("the node stopped because %v", n.Err())
	}
	if _, err := n.Propose(t.Context(), 1); !errors.Is(err, balsa.ErrClosed) || !errors.Is(err, balsa.ErrNotCommitted) {
		t.Errorf("propose: %v", err)
	}
	for _, level := range []balsa.Level{balsa.Linearizable, balsa.Lease, balsa.Local, balsa.AtLeast(1 << 40), balsa.AtMostOld(time.Hour)} {
		if _, err := n.Read(t.Context(), level); !errors.Is(err, balsa.ErrClosed) {
			t.Errorf("read at level %d: %v", level, err)
		}
	}
	if s := n.Status(); s.ID != 1 {
		t.Errorf("status: %+v", s)
	}
	expectNoGoroutines(t)
}

// TestCloseEndsEveryWait: callers that wait without a deadline come back when their member closes, whether or not there is a leader.
func TestCloseEndsEveryWait(t *testing.T) {
	for _, alive := range []int{3, 1} { // with one of three there is no leader
		c := newCluster(t, 3)
		c.add(0, 1)
		for i := alive; i < 3; i++ {
			c.stop(i)
		}
		n := c.nodes[0]
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				for {
					r, err := n.Propose(context.Background(), 1)
					switch {
					case err == nil && r.Index > 0:
					case errors.Is(err, balsa.ErrNotCommitted) != errors.Is(err, balsa.ErrUnknownOutcome) && errors.Is(err, balsa.ErrClosed):
						return
					default:
						t.Errorf("propose: %+v, %v", r, err)
						return
					}
				}
			})
			callers.Go(func() {
				for {
					if _, err := n.Read(context.Background(), balsa.Linearizable); err != nil {
						if !errors.Is(err, balsa.ErrClosed) {
							t.Errorf("read: %v", err)
						}
						return
					}
				}
			})
		}
		time.Sleep(50 * time.Millisecond) // they wait, or are at work
		c.stop(0)
		callers.Wait()
		for i := range c.nodes {
			c.stop(i)
		}
		expectNoGoroutines(t)
	}
}

// TestOpenThatFailsLeavesNothing: when the address is taken, the folder is free again.
func TestOpenThatFailsLeavesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	config := balsa.Config{
		Dir: t.TempDir(), ID: 1, Members: []balsa.Member{{ID: 1, Address: "127.0.0.1:1"}, {ID: 2, Address: "127.0.0.1:2"}},
		Listen: taken.Addr().String(), Logger: slog.New(slog.DiscardHandler),
	}
	if n, err := balsa.Open(t.Context(), config, &adder{}); err == nil {
		n.Close()
		t.Fatal("opened on an address that is taken")
	}
	expectNoGoroutines(t)
	config.Listen = "127.0.0.1:0"
	n, err := balsa.Open(t.Context(), config, &adder{})
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
	expectNoGoroutines(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := balsa.Open(ended, config, &adder{}); !errors.Is(err, context.Canceled) {
		t.Errorf("open with a context that has ended: %v", err)
	}
}

// careless does not append to what it is given.
type careless struct{ Text string }

func (c careless) AppendBinary(b []byte) ([]byte, error) { return []byte(c.Text), nil }
func (c *careless) UnmarshalBinary(b []byte) error       { c.Text = string(b); return nil }
func (careless) Apply(iter.Seq[balsa.Entry[careless, int]]) error {
	return errors.New("it is in the log")
}

func (careless) Snapshot() (func(io.Writer) error, error) { return nil, errors.ErrUnsupported }
func (careless) Restore(io.Reader) error                  { return errors.ErrUnsupported }

// unreadable can be written as JSON, and not be read.
type unreadable struct{ Value fmt.Stringer }

func (unreadable) Apply(iter.Seq[balsa.Entry[unreadable, int]]) error {
	return errors.New("it is in the log")
}

func (unreadable) Snapshot() (func(io.Writer) error, error) { return nil, errors.ErrUnsupported }
func (unreadable) Restore(io.Reader) error                  { return errors.ErrUnsupported }

// TestCommandsThatNobodyCouldReadAreRefused: in the log they would stop every member, again at each start.
func TestCommandsThatNobodyCouldReadAreRefused(t *testing.T) {
	c, err := openOne(t, t.TempDir(), careless{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, text := range []string{"", "short", "longer than what is in front of a command"} {
		if _, err := c.Propose(t.Context(), careless{text}); !errors.Is(err, balsa.ErrNotCommitted) {
			t.Errorf("%q: %v", text, err)
		}
	}
	u, err := openOne(t, t.TempDir(), unreadable{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if _, err := u.Propose(t.Context(), unreadable{time.Second}); !errors.Is(err, balsa.ErrNotCommitted) {
		t.Error(err)
	}
	if err := errors.Join(c.Err(), u.Err()); err != nil {
		t.Error(err)
	}
}
