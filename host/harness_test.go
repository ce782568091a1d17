package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/wal"
	"github.com/balsa-raft/balsa/wire"
)

const (
	testGroup = raft.GroupID(1)
	testTick  = 10 * time.Millisecond
)

// cluster is members that are stepped by hand, over disks in memory and a network that carries what a test lets it: nothing
// happens by itself.
type cluster struct {
	t          *testing.T
	members    []*member
	compaction CompactionOptions
	network    []letter // sent and not delivered, oldest first

	durable bool        // the machines are keepers
	raft    raft.Config // of every member that starts from now on
	pending int         // Config.PendingBytesMax
	promise time.Duration
	lease   time.Duration
}

// letter is a packet under way.
type letter struct {
	from, to raft.NodeID
	bytes    []byte
}

func (l letter) message(t *testing.T) raft.Message {
	p, err := wire.DecodePacket(slices.Clone(l.bytes))
	if err != nil {
		t.Fatalf("a packet from n%d to n%d: %v", l.from, l.to, err)
	}
	return p.Message
}

// member is one of them over all its incarnations.
type member struct {
	c       *cluster
	id      raft.NodeID
	fs      *memfs.FS
	starts  uint64
	clock   int64 // how far it is wrong
	now     time.Duration
	stalled [PartCount]bool // parts that do not come to their work
	log     bytes.Buffer

	host    *Host
	group   *Group
	machine *recorder
	keeper  *keeper // whose recorder it is, if the cluster is durable
	ended   []error // what OnStop was told
}

// recorder is a state machine that notes what it executes.
type recorder struct {
	commands []string
	calls    int
	fail     error  // of the next call alone
	during   func() // called once, in the next call
}

func (r *recorder) Apply(batch []Entry) error {
	r.calls++
	if f := r.during; f != nil {
		r.during = nil
		f()
	}
	if err := r.fail; err != nil {
		r.fail = nil
		return err
	}
	for i := range batch {
		r.commands = append(r.commands, string(batch[i].Command))
		if a := batch[i].Answer; a != nil && batch[i].Command[0] != '-' { // which wants none
			a.Keep(fmt.Appendf(nil, "%s was number %d", batch[i].Command, len(r.commands)))
		}
	}
	return nil
}

func (r *recorder) Snapshot() (func(io.Writer) error, error) {
	commands := strings.Join(r.commands, "\n")
	return func(w io.Writer) error {
		_, err := io.WriteString(w, commands)
		return err
	}, nil
}

func (r *recorder) Restore(from io.Reader) error {
	b, err := io.ReadAll(from)
	r.commands = strings.Split(string(b), "\n")
	return err
}

func newCluster(t *testing.T, n int) *cluster {
	c := &cluster{t: t, raft: raft.Config{ElectionTicks: 20, HeartbeatTicks: 2}}
	for i := range n {
		id := raft.NodeID(i + 1)
		// With its incarnation, so that no entry is spent on writing that down: it is the first that a new member draws.
		incarnation := rand.New(rand.NewPCG(uint64(id), 1)).Uint64()
		c.raft.Configuration.Members = append(c.raft.Configuration.Members,
			raft.Member{ID: id, Suffrage: raft.Voter, Target: raft.Voter, Incarnation: incarnation})
		c.members = append(c.members, &member{c: c, id: id, fs: memfs.New()})
	}
	t.Cleanup(func() {
		for _, m := range c.members {
			m.close()
		}
	})
	return c
}

// startAll starts every member.
func (c *cluster) startAll() *cluster {
	c.t.Helper()
	for _, m := range c.members {
		m.start()
	}
	return c
}

func (c *cluster) member(id raft.NodeID) *member { return c.members[id-1] }

func (m *member) config() Config {
	return Config{
		FS: m.fs, Dir: "data", ID: m.id, ClusterID: 7, Epoch: uint64(max(0, int64(m.starts)<<32+m.clock)),
		Rand: rand.New(rand.NewPCG(uint64(m.id), m.starts)), Tick: testTick, PendingBytesMax: m.c.pending,
		Promise: m.c.promise, Lease: m.c.lease,
		Compaction: m.c.compaction,
		Log:        wal.Options{SegmentBytes: 64 << 10}, Logger: slog.New(slog.NewTextHandler(&m.log, nil)),
	}
}

// start begins an incarnation.
func (m *member) start() {
	m.c.t.Helper()
	m.starts++
	m.now, m.ended, m.machine = 0, nil, &recorder{}
	h, err := Open(m.config())
	if err != nil {
		m.c.t.Fatalf("n%d does not start: %v", m.id, err)
	}
	var machine Machine = m.machine
	if m.c.durable {
		if m.keeper, err = openKeeper(m.fs); err != nil {
			m.c.t.Fatalf("n%d: %v", m.id, err)
		}
		machine, m.machine = m.keeper, &m.keeper.recorder
	}
	if m.group, err = h.Join(testGroup, m.c.raft, machine); err != nil {
		m.c.t.Fatalf("n%d does not join: %v", m.id, err)
	}
	m.group.OnStop(func(err error) { m.ended = append(m.ended, err) })
	m.host = h
	h.Connect(post{m})
}

// kill ends the process: the disk keeps everything, the network what is under way.
func (m *member) kill() {
	m.host, m.group, m.fs = nil, nil, m.fs.KillClone()
}

// cut ends the process by a power failure: the disk keeps what is durable.
func (m *member) cut() {
	m.host, m.group, m.fs = nil, nil, m.fs.CrashClone(memfs.CrashConfig{})
}

func (m *member) close() {
	if m.host != nil {
		if err := m.host.Close(); err != nil && m.host.Err() == nil {
			m.c.t.Errorf("n%d: close: %v", m.id, err)
		}
		m.host = nil
	}
}

// post is a member's transport.
type post struct{ m *member }

// SetPeer and Recheck have nothing to do: everybody reaches everybody.
func (post) SetPeer(raft.NodeID, string) {}
func (post) Recheck()                    {}

func (p post) Send(to raft.NodeID, packet wire.Packet) {
	c := p.m.c
	c.network = append(c.network, letter{from: p.m.id, to: to, bytes: wire.AppendPacket(nil, packet)})
}

// died is what a hook panics with to end the process in the middle of a step.
type died struct{}

// step lets one part of a member do what has come in.
func (m *member) step(p Part) {
	defer func() {
		if r := recover(); r == (died{}) {
			m.host, m.group = nil, nil
		} else if r != nil {
			panic(r)
		}
	}()
	if m.host != nil {
		m.host.Step(p, m.now)
	}
}

// work lets the parts of a member work until all are idle, without what is stalled.
func (m *member) work() {
	for again := true; again; {
		again = false
		for p := PartShard; p < PartCount; p++ {
			if m.host != nil && !m.stalled[p] && !m.host.Idle(p) {
				m.step(p)
				again = true
			}
		}
	}
}

// settle lets everybody work, and delivers what they send, until nothing happens any more.
func (c *cluster) settle() {
	c.t.Helper()
	for range 10_000 {
		for _, m := range c.members {
			if m.host != nil {
				m.work()
			}
		}
		if len(c.network) == 0 {
			return
		}
		c.deliver(c.network[0])
		c.network = c.network[1:]
	}
	c.t.Fatal("the members do not settle")
}

// settleOnce delivers what is under way, and what comes of it, but no snapshots' chunks: those go through the test's hands.
func (c *cluster) settleOnce() {
	c.t.Helper()
	for len(c.network) > 0 {
		l := c.network[0]
		c.network = c.network[1:]
		c.deliver(l)
		for _, m := range c.members {
			m.work()
		}
		chunks := take[raft.InstallSnapshot](c, 3)
		defer func() { c.network = append(c.network, chunks...) }()
	}
}

// deliver hands a letter over. Whoever is down does not get it.
func (c *cluster) deliver(l letter) {
	if m := c.member(l.to); m.host != nil {
		m.receive(l.from, l.message(c.t))
	}
}

// take removes the letters to a member that hold a message of type M from the network.
func take[M raft.Message](c *cluster, to raft.NodeID) (taken []letter) {
	c.network = slices.DeleteFunc(c.network, func(l letter) bool {
		_, ok := l.message(c.t).(M)
		if ok = ok && l.to == to; ok {
			taken = append(taken, l)
		}
		return ok
	})
	return taken
}

// tick lets time pass for a member alone.
func (m *member) tick() {
	m.now += testTick
	m.step(PartShard)
	m.step(PartSender)
	m.work()
}

// alone lets so many ticks pass for a member of which nothing arrives anywhere. It returns how much it has sent.
func (m *member) alone(ticks int) (sent int) {
	for range ticks {
		m.c.network = nil
		m.tick()
		sent += len(m.c.network)
	}
	return sent
}

// receive hands a member what another one has sent.
func (m *member) receive(from raft.NodeID, message raft.Message) {
	m.host.Receive(from, []wire.Packet{{Group: testGroup, Message: message}})
}

// pass lets so many ticks pass for everybody.
func (c *cluster) pass(ticks int) {
	c.t.Helper()
	for range ticks {
		for _, m := range c.members {
			if m.host != nil {
				m.tick()
			}
		}
		c.settle()
	}
}

// elect makes a member leader: time passes for it alone, so that the others do not stand.
func (c *cluster) elect(id raft.NodeID) *member {
	c.t.Helper()
	m := c.member(id)
	for range 200 {
		if m.role() == raft.Leader {
			c.settle()
			return m
		}
		m.tick()
		c.settle()
	}
	c.t.Fatalf("n%d is not elected: %v", id, m.group.Status())
	return nil
}

// without lets something happen that a member does not take part in, nor hear of.
func (c *cluster) without(m *member, do func()) {
	host := m.host
	m.host = nil
	do()
	m.host = host
}

// depose makes the others elect a member while the old leader hears nothing, and nothing of it is heard.
func (c *cluster) depose(from, to raft.NodeID) {
	c.t.Helper()
	c.without(c.member(from), func() {
		for _, m := range c.members {
			if m.host != nil {
				m.host.Unreachable(from)
			}
		}
		c.elect(to)
	})
}

// isolate makes a member believe that there is no leader.
func (c *cluster) isolate(id raft.NodeID) *member {
	c.t.Helper()
	m := c.member(id)
	for range 100 {
		if m.group.Status().Leader == 0 {
			c.network = nil
			return m
		}
		m.tick()
		c.network = nil
	}
	c.t.Fatalf("n%d still has a leader: %v", id, m.group.Status())
	return nil
}

// join lets an isolated member hear the others again, and waits until it knows who leads.
func (c *cluster) join(m *member) {
	c.t.Helper()
	for range 100 {
		if m.group.Status().Leader != 0 {
			return
		}
		c.pass(1)
	}
	c.t.Fatalf("n%d finds no leader: %v", m.id, m.group.Status())
}

func packetBytes(m raft.Message) []byte {
	return wire.AppendPacket(nil, wire.Packet{Group: testGroup, Message: m})
}

func (m *member) role() raft.Role { return m.group.Status().Role }
func (m *member) term() raft.Term { return m.group.Status().Term }

// propose hands in a command.
func (m *member) propose(command string) *Proposal {
	m.c.t.Helper()
	p := newProposal(command)
	if err := m.group.Propose(p); err != nil {
		m.c.t.Fatalf("n%d: propose %q: %v", m.id, command, err)
	}
	return p
}

func newProposal(command string) *Proposal {
	return &Proposal{Data: append(make([]byte, HeaderBytes), command...)}
}

// outcome says how a proposal has ended so far.
func (m *member) outcome(p *Proposal) string {
	if !isClosed(p.Done()) {
		return "waits"
	}
	i, err := m.group.Outcome(p)
	return describe(i, err)
}

// describe is an outcome as the tables write it: what a caller can tell it by.
func describe(i raft.Index, err error) string {
	if err == nil {
		return fmt.Sprintf("applied at %d", i)
	}
	var is []string
	for _, known := range []struct {
		err  error
		name string
	}{
		{ErrNotCommitted, "not committed"}, {ErrUnknownOutcome, "unknown"}, {ErrNoLeader, "no leader"}, {ErrOverloaded, "overloaded"},
		{ErrTooLarge, "too large"}, {ErrClosed, "closed"}, {ErrFailed, "failed"}, {ErrSessionExpired, "session expired"},
	} {
		if errors.Is(err, known.err) {
			is = append(is, known.name)
		}
	}
	if len(is) == 0 {
		return err.Error()
	}
	return strings.Join(is, ", ")
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (m *member) read() *Read { return m.readAt(Linearizable) }

func (m *member) readAt(level Level) *Read {
	m.c.t.Helper()
	r, err := m.group.Read(level)
	if err != nil {
		m.c.t.Fatalf("n%d: read: %v", m.id, err)
	}
	return r
}

// answer says how a read has ended so far.
func answer(r *Read) string {
	if !isClosed(r.Done()) {
		return "waits"
	}
	i, err := r.Index()
	if err != nil {
		return describe(i, err)
	}
	return fmt.Sprintf("as of %d", i)
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// expectExecuted compares what the members that run have executed.
func (c *cluster) expectExecuted(want ...string) {
	c.t.Helper()
	for _, m := range c.members {
		if m.host != nil && !slices.Equal(m.machine.commands, want) {
			c.t.Errorf("n%d has executed %q, want %q", m.id, m.machine.commands, want)
		}
	}
}
