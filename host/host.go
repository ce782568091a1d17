package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"sync"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/snapshot"
	"github.com/balsa-raft/balsa/trace"
	"github.com/balsa-raft/balsa/vfs"
	"github.com/balsa-raft/balsa/wal"
	"github.com/balsa-raft/balsa/wire"
)

// Transport carries packets to other members. It may lose them.
type Transport interface {
	// Send never blocks. It has copied what it needs when it returns.
	Send(to raft.NodeID, p wire.Packet)
	// SetPeer says where a member is reached; with an empty address, that it is no peer any more.
	SetPeer(id raft.NodeID, address string)
	// Recheck asks Host.Admit again for all connections.
	Recheck()
}

// Rand is where a host's randomness comes from. *rand.Rand of math/rand/v2 satisfies it; it is used by one goroutine at a time.
type Rand interface {
	raft.Rand
	Uint64() uint64
}

// Config is what a host is opened with. The first group of fields is required.
type Config struct {
	FS        vfs.FS
	Dir       string // made if it is not there
	ID        raft.NodeID
	ClusterID uint64
	Rand      Rand
	// Epoch should be larger at every start than at any before, as the wall clock in nanoseconds is. If it is not, the data folder
	// makes it so.
	Epoch uint64

	Tick           time.Duration // one unit of the core's time; 10 ms by default
	Promise, Lease time.Duration // raft.Config's; none by default, and no leases then
	// Addresses are where members are reached, whatever the configuration says; none by default.
	Addresses       map[raft.NodeID]string
	CommandBytesMax int // 8 MiB by default
	PendingBytesMax int // of proposals that wait, a group; 64 MiB by default
	Log             wal.Options
	Compaction      CompactionOptions
	Logger          *slog.Logger // none by default
	Observer        Observer     // none by default
	Tracer          trace.Tracer // none by default
}

// inboxBytesMax bounds the peers' messages that wait for the shard. Those over it are dropped, as if the network had lost them.
const inboxBytesMax = 64 << 20

func (c Config) withDefaults() Config {
	if c.Tick == 0 {
		c.Tick = 10 * time.Millisecond
	}
	if c.CommandBytesMax == 0 {
		c.CommandBytesMax = 8 << 20
	}
	if c.PendingBytesMax == 0 {
		c.PendingBytesMax = 64 << 20
	}
	c.Compaction = c.Compaction.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Host is one member: a data folder, a log, and the groups that it takes part in.
type Host struct {
	config    Config
	logger    *slog.Logger
	identity  Identity
	promised  time.Duration // the longest Config.Promise of any start
	lock      io.Closer
	log       *wal.Log
	snapshots *snapshot.Store
	transport Transport

	shard    *Shard
	writer   *Writer
	applier  *Applier
	reader   *Reader
	preparer *Preparer

	snapshotter *Snapshotter
	sender      *Sender
	receiver    *Receiver

	shells shells
	peers  []peerAddress // that the transport was told of; owned by the shard

	closing  sync.Once
	closeErr error // of the Close that did it

	mu  sync.Mutex
	err error // why the host has stopped
}

// Open opens the data folder of a member and recovers its log. Groups are added with Join; then Start sets the host going. An error says what is
// wrong with the folder; nothing is left open then.
func Open(config Config) (_ *Host, err error) {
	config = config.withDefaults()
	fsys, dir := config.FS, config.Dir
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("balsa: make the data folder: %w", err)
	}
	lock, err := fsys.Lock(path.Join(dir, "lock"))
	if errors.Is(err, vfs.ErrLocked) {
		return nil, fmt.Errorf("balsa: the data folder %s is in use: %w", dir, vfs.ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("balsa: lock the data folder %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	want := Identity{ClusterID: config.ClusterID, Member: config.ID, Incarnation: config.Rand.Uint64()}
	identity, err := openIdentity(fsys, dir, want)
	if err != nil {
		return nil, err
	}
	// This also makes the identity's name durable, which a process that was killed may not have done; and the log, which will be
	// durable, is of no use without it.
	if config.Epoch, err = nextEpoch(fsys, dir, config.Epoch); err != nil {
		return nil, err
	}
	promised, err := longestPromise(fsys, dir, config.Promise)
	if err != nil {
		return nil, err
	}
	if config.Log.ID == 0 {
		config.Log.ID = identity.Incarnation // a log that was copied from another folder is refused
	}
	if tracer := config.Tracer; tracer != nil {
		config.Log.Written = func() { tracer.Hop(trace.Hop{Step: trace.Written, Node: config.ID}) }
	}
	log, err := wal.Open(fsys, path.Join(dir, "wal"), config.Log)
	if err != nil {
		return nil, err
	}
	snapshots, err := snapshot.Open(fsys, path.Join(dir, "snapshots"), snapshot.Options{ClusterID: identity.ClusterID})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	h := &Host{config: config, promised: promised, logger: config.Logger, identity: identity, lock: lock, log: log, snapshots: snapshots}
	h.shard = &Shard{host: h, inbox: newInbox[input](), tick: config.Tick}
	h.writer = &Writer{host: h, inbox: newInbox[saveWork](), bytesMax: writeBytesMax}
	h.applier = &Applier{host: h, inbox: newInbox[applyWork]()}
	h.reader = &Reader{host: h, inbox: newInbox[loadWork]()}
	h.preparer = &Preparer{host: h, inbox: newInbox[struct{}]()}
	h.snapshotter = &Snapshotter{host: h, inbox: newInbox[snapshotWork]()}
	h.sender = &Sender{host: h, inbox: newInbox[sendWork]()}
	h.receiver = &Receiver{host: h, inbox: newInbox[receiveWork]()}
	return h, nil
}

// Join makes the host a member of a group, whose machine is fed from the beginning of the log. It is called before Start. Of config
// the host sets ID, Epoch and Rand, and what is about leases.
func (h *Host) Join(id raft.GroupID, config raft.Config, machine Machine) (*Group, error) {
	config.ID, config.Epoch, config.Rand = h.config.ID, h.config.Epoch, h.config.Rand
	config.Promise, config.Lease, config.Promised = raft.Nanos(h.config.Promise), raft.Nanos(h.config.Lease), raft.Nanos(h.promised)
	origin := h.config.Rand.Uint64()
	for origin == 0 { // it marks what concerns sessions
		origin = h.config.Rand.Uint64()
	}
	g := &Group{
		id: id, host: h, machine: machine, origin: origin, compaction: compaction{options: h.config.Compaction},
		readers: readers{asked: map[raft.ReadID]asked{}}, waiting: map[uint64]*Proposal{}, sessions: newSessions(),
	}
	_, g.began = config.Configuration.Member(h.config.ID)
	g.machineAt = raft.AppendConfiguration(nil, config.Configuration)
	config.Incarnation = h.identity.Incarnation
	state, err := g.recover()
	if err != nil {
		return nil, err
	}
	if g.raft, err = raft.New(config, state); err != nil {
		return nil, err
	}
	g.applied, g.taken = state.Applied, state.Applied
	g.executed.Store(uint64(max(state.Applied, g.kept)))
	inForce := g.raft.Configuration()
	g.configuration.Store(&inForce)
	first := state.Base
	if first.Index == 0 {
		first.Configuration = config.Configuration
	}
	g.configured(first)
	g.publish()
	h.shard.groups = append(h.shard.groups, g)
	return g, nil
}

// Connect gives the host its way to the others. It is called once, before Start or the first Step.
func (h *Host) Connect(t Transport) {
	h.transport = t
	h.followMembers()
}

// Identity is who the data folder belongs to.
func (h *Host) Identity() Identity { return h.identity }

// LogStats describes the log on disk.
func (h *Host) LogStats() wal.Stats { return h.log.Stats() }

// Receive takes packets from another member. The transport's readers call it; what it is given belongs to the host.
func (h *Host) Receive(from raft.NodeID, batch []wire.Packet) {
	idle := false
	for i := range batch {
		g := h.group(batch[i].Group)
		if g == nil {
			continue // not, or no longer, here
		}
		idle = h.receive(g, from, batch[i].Message) || idle
	}
	if idle {
		h.shard.lend()
	}
}

// receive reports whether the shard is to be woken.
func (h *Host) receive(g *Group, from raft.NodeID, m raft.Message) (idle bool) {
	if h.config.Tracer != nil {
		h.hopMessage(g.id, from, m, trace.Received, trace.Heard)
	}
	if g.leadsOnly(from) && !isLeaders(m) {
		return false
	}
	switch m := m.(type) {
	case raft.InstallSnapshot:
		// The core gets it from the receiver, once it is whole.
		h.receiver.inbox.put(receiveWork{group: g, from: from, chunk: m}, messageBytes(m), receiveBytesMax)
	case raft.InstallSnapshotReply:
		h.sender.inbox.put(sendWork{group: g, peer: from, reply: &m}, messageBytes(m), receiveBytesMax)
	default:
		idle, _ = h.shard.inbox.add(input{kind: inputMessage, group: g, from: from, message: m}, messageBytes(m), inboxBytesMax)
	}
	return idle
}

// messageBytes is about what a message occupies while it waits.
func messageBytes(m raft.Message) int {
	const overhead = 256
	size := uint64(overhead)
	switch m := m.(type) {
	case raft.AppendEntries:
		for i := range m.Entries {
			size += m.Entries[i].Size()
		}
	case raft.ForwardProposals:
		for i := range m.Commands {
			size += uint64(len(m.Commands[i])) + 32
		}
	case raft.ForwardChange:
		for i := range m.Change.Members {
			size += uint64(len(m.Change.Members[i].Address)) + 64
		}
	case raft.ForwardChangeReply:
		size += uint64(len(m.Detail) + 8*len(m.Unreachable))
	case raft.InstallSnapshot:
		size += uint64(len(m.Data) + len(m.Configuration))
	}
	return int(size)
}

// Unreachable takes in that the connection to a peer broke or could not be made.
func (h *Host) Unreachable(peer raft.NodeID) {
	h.shard.inbox.put(input{kind: inputUnreachable, from: peer}, 0, 0)
}

// group finds a group. The list does not change after Start.
func (h *Host) group(id raft.GroupID) *Group {
	for _, g := range h.shard.groups {
		if g.id == id {
			return g
		}
	}
	return nil
}

// observe reports what people want to know of a group.
func (h *Host) observe(g *Group, e raft.Event) {
	level := slog.LevelDebug
	switch e.Kind {
	case raft.EventLeader, raft.EventQuorumLost, raft.EventCandidate, raft.EventTruncated:
		level = slog.LevelInfo
	case raft.EventFollower:
		if e.Node != 0 {
			level = slog.LevelInfo
		}
	}
	h.logger.Log(context.Background(), level, e.String(), "group", uint64(g.id))
	if h.config.Observer != nil {
		h.config.Observer.Event(g.id, e)
	}
}

// Err says why the host has stopped, or is nil.
func (h *Host) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// fail stops the host for good: after a failed write nothing is known of the disk.
func (h *Host) fail(err error) {
	h.mu.Lock()
	first := h.err == nil
	if first {
		h.err = fmt.Errorf("%w: %w", ErrFailed, err)
	}
	h.mu.Unlock()
	if first {
		h.logger.Error("this member has stopped: its log failed", "error", err)
		h.shard.inbox.put(input{kind: inputFailed, err: err}, 0, 0)
	}
}

// shutdown ends every wait and closes the data folder. No part is stepped any more.
func (h *Host) shutdown() error {
	for _, g := range h.shard.groups {
		g.stop(ErrClosed)
	}
	h.shard.close(ErrClosed)
	h.snapshotter.close()
	return errors.Join(h.log.Close(), h.lock.Close())
}
