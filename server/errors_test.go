package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/kv"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Clients retry a write on some of these and not on others, so each must say what is true of it.
func TestProposeErrors(t *testing.T) {
	t.Parallel()
	notCommitted := func(err error) error { return fmt.Errorf("%w: %w", balsa.ErrNotCommitted, err) }
	unknown := func(err error) error { return fmt.Errorf("%w: %w", balsa.ErrUnknownOutcome, err) }
	s := start(t, nil)
	c := caller{t, s.conn}
	for _, test := range []struct {
		err  error
		want string
	}{
		{balsa.ErrUnknownOutcome, "Unavailable: etcdserver: request timed out"},
		{unknown(context.DeadlineExceeded), "Unavailable: etcdserver: request timed out"},
		// Each of these alone would say that nothing happened.
		{unknown(balsa.ErrNoLeader), "Unavailable: etcdserver: request timed out"},
		{unknown(balsa.ErrClosed), "Unavailable: etcdserver: request timed out"},
		{unknown(balsa.ErrFailed), "Unavailable: etcdserver: request timed out"},
		{unknown(balsa.ErrOverloaded), "Unavailable: etcdserver: request timed out"},
		{notCommitted(balsa.ErrOverloaded), "ResourceExhausted: etcdserver: too many requests"},
		{notCommitted(balsa.ErrTooLarge), "InvalidArgument: etcdserver: request is too large"},
		{notCommitted(balsa.ErrNoLeader), "Unavailable: etcdserver: no leader"},
		{notCommitted(context.DeadlineExceeded), "Unavailable: etcdserver: request timed out"},
		{notCommitted(balsa.ErrClosed), "Unavailable: etcdserver: server stopped"},
		{balsa.ErrFailed, "Unavailable: etcdserver: server stopped"},
		{balsa.ErrNotCommitted, "Unavailable: etcdserver: leader changed"},
		{errors.New("something else"), "Unknown: something else"},
	} {
		s.node.failPropose(test.err)
		for _, call := range [][2]string{
			{"Put", `key:"a"`}, {"DeleteRange", `key:"a"`}, {"Txn", `success:{request_put:{key:"a"}}`}, {"Compact", `revision:1`},
		} {
			if got := c.call(call[0], call[1]); got != test.want {
				t.Errorf("%s after %v:\ngot  %s\nwant %s", call[0], test.err, got, test.want)
			}
		}
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	c := caller{t, s.conn}
	for _, test := range []struct {
		err  error
		want string
	}{
		{balsa.ErrNoLeader, "Unavailable: etcdserver: no leader"},
		{fmt.Errorf("%w: %w", balsa.ErrNoLeader, context.DeadlineExceeded), "Unavailable: etcdserver: no leader"},
		{context.DeadlineExceeded, "Unavailable: etcdserver: request timed out"},
		{balsa.ErrClosed, "Unavailable: etcdserver: server stopped"},
		{balsa.ErrOverloaded, "ResourceExhausted: etcdserver: too many requests"},
	} {
		s.node.failRead(test.err)
		for _, call := range [][2]string{
			{"Range", `key:"a"`}, {"Txn", `success:{request_range:{key:"a"}}`}, {"Txn", ``},
			{"Txn", `success:{request_range:{key:"a" serializable:true}} failure:{request_range:{key:"a"}}`},
			{"MemberList", `linearizable:true`}, {"Alarm", ``},
		} {
			if got := c.call(call[0], call[1]); got != test.want {
				t.Errorf("%s %s after %v:\ngot  %s\nwant %s", call[0], call[1], test.err, got, test.want)
			}
		}
		// What needs no cluster is answered without one.
		for _, call := range [][2]string{
			{"Range", `key:"a" serializable:true`}, {"Txn", `success:{request_range:{key:"a" serializable:true}}`},
			{"MemberList", ``}, {"Status", ``},
		} {
			if got := c.call(call[0], call[1]); !strings.HasPrefix(got, "header:") {
				t.Errorf("%s %s: %s", call[0], call[1], got)
			}
		}
	}
}

func TestRequireLeader(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	c := caller{t, s.conn}
	calls := [][2]string{
		{"Range", `key:"a"`}, {"Range", `key:"a" serializable:true`}, {"Put", `key:"a"`}, {"DeleteRange", `key:"a"`}, {"Txn", ``},
		{"Compact", `revision:2`}, {"MemberList", ``}, {"Status", ``}, {"Alarm", ``},
	}
	for _, call := range calls {
		if got := c.call(call[0], call[1], "hasleader", "true"); !strings.HasPrefix(got, "header:") {
			t.Errorf("%s with a leader: %s", call[0], got)
		}
	}
	s.node.loseLeader()
	time.Sleep(2 * viewAgeMax)
	for _, call := range calls {
		if got, want := c.call(call[0], call[1], "hasleader", "true"), "Unavailable: etcdserver: no leader"; got != want {
			t.Errorf("%s without a leader: got %s, want %s", call[0], got, want)
		}
	}
	if got := c.call("Status", ""); !strings.Contains(got, `errors:"etcdserver: no leader"`) {
		t.Errorf("Status: %s", got)
	}
	if got := c.call("Range", `key:"a" serializable:true`); !strings.HasPrefix(got, "header:") {
		t.Errorf("Range that does not ask for a leader: %s", got)
	}
}

// The server gives up after its own timeout, whatever the client's, and a client's own end is told apart.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.timeout = 30 * time.Millisecond
	wait := func(ctx context.Context, _ kv.Command) (balsa.Result[kv.Response], error) {
		<-ctx.Done()
		return balsa.Result[kv.Response]{}, fmt.Errorf("%w: %w", balsa.ErrUnknownOutcome, ctx.Err())
	}
	s.node.propose.Store(&wait)
	for _, ctx := range []func() (context.Context, context.CancelFunc){
		func() (context.Context, context.CancelFunc) { return context.WithCancel(context.Background()) },
		func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), time.Minute)
		},
	} {
		ctx, cancel := ctx()
		_, err := pb.NewKVClient(s.conn).Put(ctx, &pb.PutRequest{Key: []byte("a")})
		cancel()
		if got := status.Convert(err); got.Code() != codes.Unavailable || got.Message() != "etcdserver: request timed out" {
			t.Errorf("got %v", got)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if got := contextError(ctx); got != nil {
		t.Errorf("before the end: %v", got)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := pb.NewKVClient(s.conn).Put(ctx, &pb.PutRequest{Key: []byte("a")}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the client's own end: %v", err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.MaxRequestBytes, c.MaxTxnOps = 1000, 2 })
	c := caller{t, s.conn}
	put := func(n int) string { return fmt.Sprintf(`key:"a" value:%q`, strings.Repeat("x", n)) }
	const overhead = 3 + 3 // the key with its tag, the value's tag and length
	if got := c.call("Put", put(1000-overhead)); !strings.HasPrefix(got, "header:") {
		t.Errorf("at the limit: %s", got)
	}
	if got, want := c.call("Put", put(1000-overhead+1)), "InvalidArgument: etcdserver: request is too large"; got != want {
		t.Errorf("one more: %s", got)
	}
	if got, want := c.call("Txn", fmt.Sprintf(`success:{request_put:{%s}}`, put(1000))), "InvalidArgument: etcdserver: request is too large"; got != want {
		t.Errorf("a transaction: %s", got)
	}
	// Far over the limit gRPC refuses it itself.
	if got := c.call("Put", put(grpcOverheadBytes+2000)); !strings.HasPrefix(got, "ResourceExhausted: grpc: received message larger than max") {
		t.Errorf("far more: %s", got)
	}
	get := `success:{request_range:{key:"a"}} `
	if got := c.call("Txn", get+get); !strings.HasPrefix(got, "header:") {
		t.Errorf("as many operations as may be: %s", got)
	}
	if got, want := c.call("Txn", get+get+get), "InvalidArgument: etcdserver: too many operations in txn request"; got != want {
		t.Errorf("one more: %s", got)
	}
}
