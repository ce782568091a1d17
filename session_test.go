package balsa_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
)

// session registers one at a member.
func (c *cluster) session(i int) *balsa.Session[int, int] {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	s, err := c.nodes[i].NewSession(ctx)
	if err != nil {
		c.t.Fatalf("member %d: %v", i, err)
	}
	return s
}

func (c *cluster) resume(i int, s balsa.SessionState) *balsa.Session[int, int] {
	c.t.Helper()
	again, err := c.nodes[i].ResumeSession(s)
	if err != nil {
		c.t.Fatal(err)
	}
	return again
}

func ticketOf(t *testing.T, ticket *balsa.Ticket[int, int], err error) *balsa.Ticket[int, int] {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

// expectResult proposes a ticket, for long enough.
func (c *cluster) expectResult(ticket *balsa.Ticket[int, int], want int) balsa.Result[int] {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	r, err := ticket.Propose(ctx)
	if err != nil || r.Value != want {
		c.t.Fatalf("command %d: %+v, %v; want the value %d", ticket.Serial(), r, err, want)
	}
	return r
}

// TestSessionGoesOnElsewhere: a command whose outcome its client did not hear is tried again at another member, and by another process.
func TestSessionGoesOnElsewhere(t *testing.T) {
	c := newCluster(t, 3)
	s := c.session(0)
	first, err := s.Ticket(5)
	r := c.expectResult(ticketOf(t, first, err), 5)
	if again := c.expectResult(first, 5); again != r {
		t.Errorf("a ticket that has a result: %+v, then %+v", r, again)
	}

	open, err := s.Ticket(6)
	ticketOf(t, open, err)
	state := s.State() // what a client writes down before it proposes
	if state.Next != 3 || state.Wanted != 2 {
		t.Fatalf("the state is %+v", state)
	}
	r = c.expectResult(open, 11)
	for i := range c.nodes {
		retry, err := c.resume(i, state).Retry(open.Serial(), 6)
		if again := c.expectResult(ticketOf(t, retry, err), 11); again != r {
			t.Errorf("member %d: %+v, first it was %+v", i, again, r)
		}
	}
	for i := range c.nodes {
		c.stop(i)
	}
	for i := range c.nodes {
		c.start(i)
	}
	last := c.resume(2, state)
	retry, err := last.Retry(2, 6)
	c.expectResult(ticketOf(t, retry, err), 11)
	if r, err := last.Propose(t.Context(), 1); err != nil || r.Value != 12 {
		t.Errorf("the next command: %+v, %v", r, err)
	}
	if got := c.read(1); got != 12 {
		t.Errorf("the sum is %d", got)
	}
}

// loseMajority stops all but the leader, and proposes 7 there for 50 ms.
func (c *cluster) loseMajority(s *balsa.Session[int, int]) (leader int, ticket *balsa.Ticket[int, int], ctx context.Context, failed error) {
	c.t.Helper()
	leader = c.leader()
	ticket, err := c.resume(leader, s.State()).Ticket(7)
	ticketOf(c.t, ticket, err)
	c.stop((leader + 1) % 3)
	c.stop((leader + 2) % 3)
	ctx, cancel := context.WithTimeout(c.t.Context(), 50*time.Millisecond)
	c.t.Cleanup(cancel)
	_, failed = ticket.Propose(ctx)
	return leader, ticket, ctx, failed
}

// TestTicketIsTriedAgain: a context ends while there is no majority. The ticket does not tell what has become of the command, and finds out later.
func TestTicketIsTriedAgain(t *testing.T) {
	c := newCluster(t, 3)
	s := c.session(0)
	leader, ticket, ctx, err := c.loseMajority(s)
	for tries := 1; errors.Is(err, balsa.ErrNotCommitted) && tries < 20; tries++ {
		// The machine stood still: it did not lead any more when it was given the command, or the time was over before.
		ticket.Release()
		c.start((leader + 1) % 3)
		c.start((leader + 2) % 3)
		leader, ticket, ctx, err = c.loseMajority(s)
	}
	if !errors.Is(err, balsa.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, balsa.ErrNotCommitted) {
		t.Fatalf("without a majority: %v", err)
	}
	if _, err := ticket.Propose(ctx); !errors.Is(err, balsa.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, balsa.ErrNotCommitted) {
		t.Errorf("tried with a context that has ended: %v", err)
	}
	c.start((leader + 1) % 3)
	c.expectResult(ticket, 7)
	if got := c.read(leader); got != 7 {
		t.Errorf("the sum is %d", got)
	}
}

// TestSessionsCountOnce: many clients propose at all members, with contexts that are too short, while members restart. Every command is executed once.
func TestSessionsCountOnce(t *testing.T) {
	c := newCluster(t, 3)
	const clients, commands = 6, 30
	var mu sync.Mutex // of c.nodes
	node := func(i int) *balsa.Node[int, int] {
		mu.Lock()
		defer mu.Unlock()
		return c.nodes[i%3]
	}
	var wait sync.WaitGroup
	for k := range clients {
		s := c.session(0)
		wait.Go(func() {
			for n := range commands {
				ticket, err := s.Ticket(1)
				for try := 0; ; try++ {
					if err != nil {
						t.Error(err)
						return
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+try)*time.Millisecond)
					_, failed := ticket.Propose(ctx)
					cancel()
					if failed == nil {
						break
					}
					if errors.Is(failed, balsa.ErrSessionExpired) || try == 2000 {
						t.Error(failed)
						return
					}
					state := s.State()
					if s, err = node(k + n + try).ResumeSession(state); err != nil {
						t.Error(err)
						return
					}
					ticket, err = s.Retry(ticket.Serial(), 1)
				}
			}
		})
	}
	for i := range 3 {
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		c.stop(i)
		c.start(i)
		mu.Unlock()
	}
	wait.Wait()
	for i := range c.nodes {
		if got := c.read(i); got != clients*commands {
			t.Errorf("member %d has the sum %d, want %d", i, got, clients*commands)
		}
	}
}

// TestSessionEnds: what comes after its end is refused for certain, unless an earlier try of it is in doubt.
func TestSessionEnds(t *testing.T) {
	c := newCluster(t, 1)
	s := c.session(0)
	if _, err := s.Propose(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if n := c.nodes[0].Status().Sessions; n != 1 {
		t.Errorf("%d sessions", n)
	}
	open, err := s.Ticket(2)
	ticketOf(t, open, err)
	doubtful, err := c.resume(0, s.State()).Retry(open.Serial(), 2)
	ticketOf(t, doubtful, err)
	for range 2 {
		if err := s.End(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := open.Propose(t.Context()); !errors.Is(err, balsa.ErrSessionExpired) || !errors.Is(err, balsa.ErrNotCommitted) {
		t.Errorf("the first try: %v", err)
	}
	if _, err := doubtful.Propose(t.Context()); !errors.Is(err, balsa.ErrSessionExpired) || !errors.Is(err, balsa.ErrUnknownOutcome) || errors.Is(err, balsa.ErrNotCommitted) {
		t.Errorf("a try again: %v", err)
	}
	if got := c.read(0); got != 1 {
		t.Errorf("the sum is %d", got)
	}
}

// TestSessionWindow: commands that are open keep so many others out, and no more.
func TestSessionWindow(t *testing.T) {
	c := newCluster(t, 1)
	s := c.session(0)
	var tickets []*balsa.Ticket[int, int]
	for {
		ticket, err := s.Ticket(1)
		if err != nil {
			if !errors.Is(err, balsa.ErrOverloaded) || !errors.Is(err, balsa.ErrNotCommitted) {
				t.Error(err)
			}
			break
		}
		tickets = append(tickets, ticket)
	}
	if len(tickets) != 1024 {
		t.Fatalf("%d commands can be open", len(tickets))
	}
	c.expectResult(tickets[1023], 1)
	c.expectResult(tickets[1], 2)
	if _, err := s.Ticket(1); err == nil {
		t.Error("one more, although the first is open")
	}
	c.expectResult(tickets[0], 3)
	if state := s.State(); state.Wanted != 3 || state.Next != 1025 {
		t.Errorf("the state is %+v", state)
	}
	for _, ticket := range tickets {
		ticket.Release()
	}
	if state := s.State(); state.Wanted != 1025 || state.Next != 1025 {
		t.Errorf("the state is %+v", state)
	}
	if _, err := s.Retry(4, 1); err == nil {
		t.Error("a command that was released is open")
	}
	for _, state := range []balsa.SessionState{{}, {ID: 2}, {ID: 2, Wanted: 3, Next: 2}, {ID: 2, Wanted: 1, Next: 1026}} {
		if _, err := c.nodes[0].ResumeSession(state); err == nil {
			t.Errorf("a session is resumed with %+v", state)
		}
	}
}

// echo answers a command as the command says.
type echo[R any] struct{ answer func(string) (R, bool) }

func (m *echo[R]) Apply(batch iter.Seq[balsa.Entry[string, R]]) error {
	for e := range batch {
		if r, ok := m.answer(e.Command); ok {
			e.Reply(r)
		}
	}
	return nil
}

func (m *echo[R]) Snapshot() (func(io.Writer) error, error) {
	return func(io.Writer) error { return nil }, nil
}
func (m *echo[R]) Restore(io.Reader) error { return nil }

// TestAnswersOfAllTypes: an answer that is told again is the answer, whatever its type.
func TestAnswersOfAllTypes(t *testing.T) {
	type pair struct {
		Key   string
		Value *int
	}
	seven := 7
	checkAnswer(t, func(c string) ([]byte, bool) { return []byte(c), c != "" }, "[97]")
	checkAnswer(t, func(c string) (string, bool) { return "", true }, "")
	checkAnswer(t, func(c string) (int, bool) { return 9, false }, "0")
	checkAnswer(t, func(c string) (*int, bool) { return nil, true }, "<nil>")
	checkAnswer(t, func(c string) (pair, bool) { return pair{Key: c}, true }, "{a <nil>}")
	checkAnswer(t, func(c string) (error, bool) { return nil, false }, "<nil>")
	checkAnswer(t, func(c string) (pair, bool) { return pair{c, &seven}, true }, "")
	checkAnswer(t, func(c string) (func(), bool) { return func() {}, true }, "lost")
}

func checkAnswer[R any](t *testing.T, answer func(string) (R, bool), want string) {
	t.Helper()
	n, err := balsa.Open(t.Context(), balsa.Config{
		Dir: t.TempDir(), ID: 1, Members: []balsa.Member{{ID: 1, Address: "127.0.0.1:0"}}, Logger: slog.New(slog.DiscardHandler),
	}, &echo[R]{answer})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	s, err := n.NewSession(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.Ticket("a")
	if err != nil {
		t.Fatal(err)
	}
	state := s.State()
	if _, err := first.Propose(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := n.ResumeSession(state)
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := again.Retry(1, "a")
	if err != nil {
		t.Fatal(err)
	}
	r, err := ticket.Propose(t.Context())
	switch got := fmt.Sprint(r.Value); {
	case want == "lost":
		if !errors.Is(err, balsa.ErrAnswerLost) || r.Index == 0 {
			t.Errorf("%T: %+v, %v", r.Value, r, err)
		}
	case err != nil || got != want && !(want == "" && strings.HasPrefix(got, "{a 0x")):
		t.Errorf("%T: answered again with %v, %v; want %s", r.Value, got, err, want)
	}
}
