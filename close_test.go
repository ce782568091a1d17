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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// TestCloseEndsEveryCall: calls of every kind that wait without a deadline, under load, come back soon when their member closes, each with an error
// that its documentation names; and no goroutine is left.
func TestCloseEndsEveryCall(t *testing.T) {
	for _, test := range []struct {
		name   string
		alive  int
		leader bool
	}{{"leader", 3, true}, {"follower", 3, false}, {"without a majority", 1, false}} {
		c := newCluster(t, 3)
		c.add(0, 1)
		n := c.nodes[c.leader()]
		if !test.leader {
			n = c.nodes[(c.leader()+1)%3]
		}
		session, err := n.NewSession(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		kept, err := n.NewSession(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		four := c.newMember()
		added := append(slices.Clone(c.members), four) // it never starts, so this change waits
		for i, other := range c.nodes {
			if other != n && test.alive == 1 {
				c.stop(i)
			}
		}

		ctx := context.Background()
		closed := func(err error) bool { return errors.Is(err, balsa.ErrClosed) }
		var callers sync.WaitGroup
		var calls atomic.Int64
		call := func(what string, goroutines int, do func() error, documented func(error) bool) {
			for range goroutines {
				callers.Go(func() {
					for {
						calls.Add(1)
						switch err := do(); {
						case err == nil:
							runtime.Gosched() // reads that need not wait would keep the processors from everybody else
						case closed(err):
							if !documented(err) {
								t.Errorf("%s, %s: %v", test.name, what, err)
							}
							return
						case what == "transfer" || what == "change": // refused, or overtaken, or it did not come about
							if n.Err() != nil {
								return
							}
							time.Sleep(time.Millisecond)
						default:
							t.Errorf("%s, %s: %v", test.name, what, err)
							return
						}
					}
				})
			}
		}
		outcome := func(err error) bool {
			return errors.Is(err, balsa.ErrNotCommitted) != errors.Is(err, balsa.ErrUnknownOutcome)
		}
		always := func(error) bool { return true }
		call("propose", 20, func() error { _, err := n.Propose(ctx, 1); return err }, outcome)
		call("propose in a session", 10, func() error { _, err := session.Propose(ctx, 1); return err }, outcome)
		call("a ticket", 5, func() error {
			ticket, err := kept.Ticket(1)
			if err != nil {
				return err
			}
			_, err = ticket.Propose(ctx)
			return err
		}, outcome)
		call("session", 2, func() error {
			s, err := n.NewSession(ctx)
			if err == nil {
				err = s.End(ctx)
			}
			return err
		}, outcome)
		for _, level := range []balsa.Level{balsa.Linearizable, balsa.Lease, balsa.Local, balsa.AtLeast(1 << 40), balsa.AtMostOld(time.Millisecond)} {
			call(fmt.Sprintf("read %v", level), 10, func() error { _, err := n.Read(ctx, level); return err }, always)
		}
		call("change", 2, func() error { return n.ChangeMembers(ctx, balsa.Change{Members: added}) }, always)
		call("transfer", 2, func() error { return n.Transfer(ctx, 0) }, always)
		callers.Go(func() { <-n.Done() })
		for calls.Load() < 100 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(20 * time.Millisecond) // more of them wait

		watch, begun := watchStalls(t), time.Now()
		if err := n.Close(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		ended := make(chan struct{})
		go func() { callers.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatalf("%s: calls have not ended %v after Close began: %s", test.name, time.Since(begun), strings.Join(goroutines(), "\n\n"))
		}
		if took := time.Since(begun) - watch.sum(); took > 5*time.Second { // three election timeouts are 600 ms
			t.Errorf("%s: the last call ended %v after Close began", test.name, took)
		}
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
