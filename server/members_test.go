package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/internal/loopback"
	"github.com/balsa-raft/balsa/kv"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// joinedElectionTimeout is that of members who need each other. They are not to lose their leader because the machine has something else to do.
const joinedElectionTimeout = 500 * time.Millisecond

// startFounder starts a member that others can join.
func startFounder(t *testing.T, change func(*Config)) *testServer {
	return start(t, func(c *Config) {
		c.ListenPeer = loopback.Address(t)
		c.Members = []Member{{ID: c.ID, Name: c.Name, PeerURLs: []string{"http://" + c.ListenPeer}}}
		c.AdvertiseClientURLs = nil
		c.ElectionTimeout, c.HeartbeatInterval = joinedElectionTimeout, 20*time.Millisecond
		if change != nil {
			change(c)
		}
	})
}

// add adds a server through s and does not start it.
func (s *testServer) add(t *testing.T, learner bool) Config {
	t.Helper()
	c := testConfig(t)
	c.ListenPeer = loopback.Address(t)
	r, err := pb.NewClusterClient(s.conn).MemberAdd(t.Context(), &pb.MemberAddRequest{PeerURLs: []string{"http://" + c.ListenPeer}, IsLearner: learner})
	if err != nil {
		t.Fatal(err)
	}
	c.MaxLearners, c.ElectionTimeout, c.HeartbeatInterval = s.config.MaxLearners, s.config.ElectionTimeout, s.config.HeartbeatInterval
	c.Name, c.ID, c.Members, c.ClusterID, c.Join, c.AdvertiseClientURLs = fmt.Sprintf("j%d", len(r.Members)), r.Member.ID, nil, 0, r.Header.ClusterId, nil
	return c
}

// join adds a server through s and starts it.
func (s *testServer) join(t *testing.T, learner bool) *testServer {
	t.Helper()
	joined := open(t, s.add(t, learner))
	<-joined.Ready()
	return joined
}

// eventually waits for something that comes by itself.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// voters are the members that count, as s knows them.
func (s *testServer) voters() (n int) {
	for _, m := range s.node.Status().Members {
		if !m.Learner && !m.Leaving {
			n++
		}
	}
	return n
}

func (s *testServer) leads() bool {
	st := s.node.Status()
	return st.Leader == st.ID
}

// TestMembersComeAndGo: from one to three and back, each call at a member that does not lead.
func TestMembersComeAndGo(t *testing.T) {
	t.Parallel()
	one := startFounder(t, nil)
	c := caller{t, one.conn}
	c.call("Put", `key: "a" value: "1"`)
	two := one.join(t, false)
	eventually(t, "the second to be a voter", func() bool { return one.voters() == 2 })
	three := two.join(t, true)
	if got := (caller{t, three.conn}).call("Range", `key: "a" serializable: true`); !strings.Contains(got, `value:"1"`) {
		t.Errorf("the learner reads %s", got)
	}
	promote := fmt.Sprintf("ID: %d", three.config.ID)
	eventually(t, "the learner to be promoted", func() bool {
		got := (caller{t, two.conn}).call("MemberPromote", promote)
		if !strings.HasPrefix(got, "header") && got != "FailedPrecondition: etcdserver: can only promote a learner member which is in sync with leader" {
			t.Fatal(got)
		}
		return strings.HasPrefix(got, "header")
	})
	if got := (caller{t, two.conn}).call("MemberPromote", promote); got != "FailedPrecondition: etcdserver: can only promote a learner member" {
		t.Errorf("promoted twice: %s", got)
	}

	// The leader goes, at the request of another.
	servers := []*testServer{one, two, three}
	leader := -1
	eventually(t, "a leader", func() bool {
		leader = slices.IndexFunc(servers, (*testServer).leads)
		return leader >= 0
	})
	gone := servers[leader]
	rest := slices.Delete(slices.Clone(servers), leader, leader+1)
	if got := (caller{t, rest[0].conn}).call("MemberRemove", fmt.Sprintf("ID: %d", gone.config.ID)); !strings.HasPrefix(got, "header") || strings.Count(got, "members:") != 2 {
		t.Errorf("the leader is removed: %s", got)
	}
	if known := rest[0].store.Members(); len(known) != 2 {
		t.Errorf("what the removed member has published is still there: %v", known)
	}
	select {
	case <-gone.Done():
		if err := gone.Err(); !errors.Is(err, balsa.ErrRemoved) {
			t.Errorf("the removed member stopped: %v", err)
		}
	case <-time.After(patience):
		t.Error("the removed member goes on")
	}

	// A member can remove itself. The last one stays.
	if got := (caller{t, rest[0].conn}).call("MemberRemove", fmt.Sprintf("ID: %d", rest[0].config.ID)); !strings.HasPrefix(got, "header") {
		t.Errorf("a member removes itself: %s", got)
	}
	eventually(t, "the last member to know that it is alone", func() bool { return rest[1].voters() == 1 })
	c = caller{t, rest[1].conn}
	if got := c.call("Range", `key: "a"`); !strings.Contains(got, `value:"1"`) {
		t.Errorf("the last member reads %s", got)
	}
	if got := c.call("MemberRemove", fmt.Sprintf("ID: %d", rest[1].config.ID)); got != "FailedPrecondition: etcdserver: re-configuration failed due to not enough started members" {
		t.Errorf("the last member is removed: %s", got)
	}
}

// TestLearner: a learner answers serializable ranges and its status.
func TestLearner(t *testing.T) {
	t.Parallel()
	one := startFounder(t, nil)
	learner := one.join(t, true)
	time.Sleep(2 * viewAgeMax)
	c := caller{t, learner.conn}
	const refused = "FailedPrecondition: etcdserver: rpc not supported for learner"
	for _, call := range []struct{ method, request string }{
		{"Range", `key: "a"`}, {"Range", ``}, {"Put", `key: "a"`}, {"Put", ``}, {"DeleteRange", `key: "a"`}, {"Txn", ``}, {"Compact", `revision: 1`},
		{"Txn", `success: {request_range: {key: "a" serializable: true}}`},
		{"MemberList", ``}, {"MemberAdd", ``}, {"MemberRemove", ``}, {"MemberUpdate", ``}, {"MemberPromote", ``}, {"MoveLeader", ``}, {"Alarm", ``},
	} {
		if got := c.call(call.method, call.request); got != refused {
			t.Errorf("%s %s: %s", call.method, call.request, got)
		}
	}
	if got := c.call("Range", `key: "a" serializable: true`); !strings.HasPrefix(got, "header") {
		t.Errorf("serializable: %s", got)
	}
	if got := c.call("Status", ``); !strings.Contains(got, "isLearner:true") {
		t.Errorf("status: %s", got)
	}
	if code, body := httpGet(t, learner, "/readyz"); code != 503 || !strings.Contains(body, "[-]non_learner failed: not supported for learner\n") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if code, body := httpGet(t, learner, "/readyz?exclude=non_learner"); code != 200 || body != "ok\n" {
		t.Errorf("readyz without that: %d %s", code, body)
	}
	if _, body := httpGet(t, learner, "/metrics"); !strings.Contains(body, "etcd_server_is_learner 1\n") {
		t.Error("the metrics do not say that it is a learner")
	}
}

// TestConcurrentAdds: those who are slower decide again; nobody undoes what another has done.
func TestConcurrentAdds(t *testing.T) {
	t.Parallel()
	const adds = 8
	one := startFounder(t, func(c *Config) { c.MaxLearners = adds })
	two := one.join(t, false)
	var all sync.WaitGroup
	var failed atomic.Pointer[string]
	for i := range adds {
		all.Go(func() {
			at := []*testServer{one, two}[i%2]
			if got := (caller{t, at.conn}).call("MemberAdd", fmt.Sprintf(`peerURLs: "http://m%d:1" isLearner: true`, i)); !strings.HasPrefix(got, "header") {
				failed.Store(&got)
			}
		})
	}
	all.Wait()
	if f := failed.Load(); f != nil {
		t.Error(*f)
	}
	if r := one.Server.roster(); r.learners() != adds || len(r.members) != adds+2 {
		t.Errorf("%d learners of %d members", r.learners(), len(r.members))
	}
	eventually(t, "the second to be a voter", func() bool { return one.voters() == 2 })
}

// TestChangeErrors: what the library says of a change, and what the client sees.
func TestChangeErrors(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	c := caller{t, s.conn}
	refused := func(reason balsa.ChangeReason) error { return &balsa.ChangeError{Reason: reason, Detail: "so it is"} }
	for i, test := range []struct {
		errs []error
		want string
	}{
		{[]error{refused(balsa.ChangeStale), refused(balsa.ChangeStale)}, "header"},
		{[]error{balsa.ErrSuperseded}, "header"},
		{[]error{refused(balsa.ChangeUnreachable)}, "Unavailable: etcdserver: unhealthy cluster"},
		{[]error{refused(balsa.ChangeNotReady)}, "FailedPrecondition: etcdserver: can only promote a learner member which is in sync with leader"},
		{[]error{refused(balsa.ChangeInvalid)}, "FailedPrecondition: balsa: so it is"},
		{[]error{fmt.Errorf("%w: who knows", balsa.ErrUnknownOutcome)}, "Unavailable: etcdserver: request timed out"},
		{[]error{fmt.Errorf("it waits: %w", context.DeadlineExceeded)}, "Unavailable: etcdserver: request timed out"},
		{[]error{balsa.ErrOverloaded}, "ResourceExhausted: etcdserver: too many requests"},
		{[]error{balsa.ErrFailed}, "Unavailable: etcdserver: server stopped"},
	} {
		errs := test.errs
		f := func(context.Context, balsa.Change) error {
			if len(errs) == 0 {
				return nil
			}
			err := errs[0]
			errs = errs[1:]
			return err
		}
		s.node.change.Store(&f)
		got := c.call("MemberAdd", fmt.Sprintf(`peerURLs: "http://m%d:1"`, i))
		if !strings.HasPrefix(got, test.want) {
			t.Errorf("%v: %s", test.errs, got)
		}
		s.node.change.Store(nil)
		for _, m := range s.roster().members { // make room for the next
			if m.ID != s.config.ID {
				c.call("MemberRemove", fmt.Sprintf("ID: %d", m.ID))
			}
		}
	}
}

// TestChangeDoneAlready: a change that was made although its call was told that it was stale is not made twice.
func TestChangeDoneAlready(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	c := caller{t, s.conn}
	stale := func(ctx context.Context, change balsa.Change) error {
		if err := s.node.node.ChangeMembers(ctx, change); err != nil {
			return err
		}
		return &balsa.ChangeError{Reason: balsa.ChangeStale}
	}
	s.node.change.Store(&stale)
	got := c.call("MemberAdd", `peerURLs: "http://a:1" isLearner: true`)
	if !strings.HasPrefix(got, "header") || strings.Count(got, "members:") != 2 {
		t.Fatalf("added: %s", got)
	}
	id := s.roster().members[0].ID
	if id == s.config.ID {
		id = s.roster().members[1].ID
	}
	if got := c.call("MemberRemove", fmt.Sprintf("ID: %d", id)); !strings.HasPrefix(got, "header") || strings.Count(got, "members:") != 1 {
		t.Errorf("removed: %s", got)
	}
}

// TestNothingWaitsForWhoHasNotStarted: a promotion and a removal do not wait for a voter that was added and never started; it stays to be one.
func TestNothingWaitsForWhoHasNotStarted(t *testing.T) {
	t.Parallel()
	one := startFounder(t, func(c *Config) { c.MaxLearners = 2 })
	two := one.join(t, false)
	eventually(t, "the second to be a voter", func() bool { return one.voters() == 2 })
	learner := one.join(t, true)
	late := one.add(t, false)
	c := caller{t, two.conn}
	eventually(t, "the learner to be promoted", func() bool {
		return strings.HasPrefix(c.call("MemberPromote", fmt.Sprintf("ID: %d", learner.config.ID)), "header")
	})
	if got := c.call("MemberRemove", fmt.Sprintf("ID: %d", two.config.ID)); !strings.HasPrefix(got, "header") {
		t.Errorf("removed: %s", got)
	}
	eventually(t, "two voters", func() bool { return one.voters() == 2 }) // another one was asked
	for _, m := range one.node.Status().Members {
		if m.Promoting != (uint64(m.ID) == late.ID) {
			t.Errorf("%+v; only %x is to become a voter", m, late.ID)
		}
	}
	started := open(t, late)
	<-started.Ready()
	eventually(t, "the late one to be a voter", func() bool { return one.voters() == 3 })
}

// TestRosterRules: etcd's rules of how many voters must have started.
func TestRosterRules(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		voters, started      int
		add, promote, remove bool // remove one that has started
	}{
		{1, 0, false, false, false}, {1, 1, true, true, false},
		{2, 1, false, true, false}, {2, 2, true, true, true},
		{3, 1, false, false, false}, {3, 2, false, true, false}, {3, 3, true, true, true},
		{4, 3, true, true, true}, {5, 3, false, true, false}, {5, 4, true, true, true},
	} {
		r := roster{members: []*pb.Member{{ID: 100, Name: "learner", IsLearner: true}}}
		for i := range test.voters {
			m := &pb.Member{ID: uint64(i + 1)}
			if i < test.started {
				m.Name = "started"
			}
			r.members = append(r.members, m)
		}
		if got := r.mayAdd(); got != test.add {
			t.Errorf("%d of %d: add: %t", test.started, test.voters, got)
		}
		if got := r.mayPromote(); got != test.promote {
			t.Errorf("%d of %d: promote: %t", test.started, test.voters, got)
		}
		if got := test.started > 0 && r.mayRemove(1); got != test.remove {
			t.Errorf("%d of %d: remove: %t", test.started, test.voters, got)
		}
	}
}

func TestMoveLeader(t *testing.T) {
	t.Parallel()
	one := startFounder(t, nil)
	two := one.join(t, false)
	eventually(t, "the second to be a voter", func() bool { return one.voters() == 2 })
	if got := (caller{t, two.conn}).call("MoveLeader", fmt.Sprintf("targetID: %d", two.config.ID)); got != "FailedPrecondition: etcdserver: not leader" {
		t.Errorf("at a follower: %s", got)
	}
	c := caller{t, one.conn}
	for _, test := range []struct {
		err  error
		want string
	}{
		{errors.New("it did not take over"), "Aborted: etcdserver: request timed out, leader transfer took too long: it did not take over"},
		{balsa.ErrClosed, "Unavailable: etcdserver: server stopped"},
		{nil, "Aborted: balsa: member 8e9e05c52164694d leads now, and not the one that was asked for"},
	} {
		f := func(balsa.NodeID) error { return test.err }
		one.node.lead.Store(&f)
		if got := c.call("MoveLeader", fmt.Sprintf("targetID: %d", two.config.ID)); got != test.want {
			t.Errorf("%v: %s", test.err, got)
		}
	}
	one.node.lead.Store(nil)
	if got := c.call("MoveLeader", fmt.Sprintf("targetID: %d", two.config.ID)); got != "" {
		t.Errorf("the lead is moved: %s", got)
	}
	eventually(t, "the second to lead", two.leads)
}

// TestPeerURLsOfFirstMembers: those who join know all URLs of the members that the cluster began with.
func TestPeerURLsOfFirstMembers(t *testing.T) {
	t.Parallel()
	one := startFounder(t, func(c *Config) { c.Members[0].PeerURLs = append(c.Members[0].PeerURLs, "http://elsewhere:1") })
	two := one.join(t, true)
	if m := two.Server.roster().find(one.config.ID); len(m.PeerURLs) != 2 || m.PeerURLs[1] != "http://elsewhere:1" {
		t.Errorf("it knows %v", m)
	}
	// An address without its record. The learner does not reach it any more, which matters to nobody.
	if err := one.node.ChangeMembers(t.Context(), balsa.Change{Members: one.Server.roster().with(one.config.ID, func(m *balsa.Member) { m.Address = "moved:1" }), Begin: true}); err != nil {
		t.Fatal(err)
	}
	if m := one.Server.roster().find(one.config.ID); !slices.Equal(m.PeerURLs, []string{"http://moved:1"}) {
		t.Errorf("moved, it is known at %v", m.PeerURLs)
	}
}

// TestForgetStrangers: what a removed member has published is forgotten at the latest when another one starts.
func TestForgetStrangers(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, c := range []kv.Command{{Publish: &kv.MemberAttributes{ID: 7, Name: "gone"}}, {PeerURLs: &kv.MemberPeerURLs{ID: 8, URLs: []string{"http://a:1"}}}} {
		if _, err := s.node.Propose(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.publishOnce(t.Context(), &kv.MemberAttributes{ID: s.config.ID, Name: s.config.Name, ClientURLs: s.config.AdvertiseClientURLs}); err != nil {
		t.Fatal(err)
	}
	if got := s.store.Members(); len(got) != 1 || got[0].ID != s.config.ID {
		t.Errorf("%v is known", got)
	}
}

func TestConfigOfAJoiner(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) {}, ""},
		{func(c *Config) { c.Members = []Member{{ID: c.ID}} }, "exclude each other"},
		{func(c *Config) { c.ID = 0 }, "Config.ID is zero"},
		{func(c *Config) { c.ListenPeer = "" }, "Config.ListenPeer is empty"},
		{func(c *Config) { c.MaxRequestBytes = MaxRequestBytesLimit + 1 }, "at most 25165824 is possible"},
		{func(c *Config) { c.MaxLearners = -1 }, "must not be negative"},
		{func(c *Config) { c.Join, c.Members = 0, []Member{{ID: c.ID, PeerURLs: []string{"nowhere"}}} }, "the first must be http://HOST:PORT"},
	} {
		c := testConfig(t)
		c.Members, c.ClusterID, c.Join = nil, 0, 9
		test.change(&c)
		if _, err := c.withDefaults(); test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
}
