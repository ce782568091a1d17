package balsa

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/trace"
	"github.com/balsa-raft/balsa/transport"
	"github.com/balsa-raft/balsa/vfs"
)

// NodeID names a member. It must not change, and no other server may ever use it in the same cluster.
type NodeID = raft.NodeID

// Index numbers the entries of the log from 1.
type Index = raft.Index

// Term numbers the elections.
type Term = raft.Term

// Config says who this member is, where it keeps its data and who its peers are. The zero value of every other
// field is a good default.
type Config struct {
	// Dir is the member's data folder. It is created if it is not there; one process at a time uses it. A member that has lost its
	// folder must not start again under its id with an empty one, or with an older copy: it has forgotten what it acknowledged, and
	// with it a majority can forget. An empty folder is recognised and refused. A copy is not: two processes with copies of one folder, as after a
	// virtual machine was cloned, are one and the same member to all others, and vote and acknowledge each for itself. No Raft can bear that.
	//
	// A member that was removed (ErrRemoved) may be added again under its id, with an empty folder, once its old process has ended and its connections are
	// gone: the folder that is seen first from then on is the member's, and any other is refused.
	Dir string
	// ID is this member's id: one of Members', or with Join the one that it was added under.
	ID NodeID
	// ClusterID separates clusters that start with the same ids: messages of another cluster are refused. All first members must agree on it.
	ClusterID uint64
	// Members is the cluster as it first starts, the same on every member: a data folder that was made with other ids is refused, and so
	// are peers that were told of others. It stays the same although members come and go: from the first leader on the members are what the log says
	// (ChangeMembers), and this field says only which cluster it is.
	Members []Member
	// Join makes this a member of a cluster that exists, instead of Members: Status.Cluster of any of its members, or FolderOwner of a data
	// folder that is there. The member is started before or after it is added with ChangeMembers; it waits until it is.
	Join uint64
	// Listen is the address to listen on for peers, by default this member's Address in Members.
	Listen string
	// Addresses are where members are reached now, whatever the cluster knows: for one whose members have all moved at once, so that none could tell
	// the others. It holds for this process; ChangeMembers makes it known. None by default.
	Addresses map[NodeID]string
	// Advertise is the address that peers that do not know this member yet are told to answer to; by default its Address in Members, or
	// else Listen, if that names a host.
	Advertise string

	// HeartbeatInterval is how often a leader speaks when it has nothing to say; 100 ms by default.
	HeartbeatInterval time.Duration
	// ElectionTimeout is how long a member waits for a leader before it stands for election: between once and
	// twice this; 1 s by default, and at least three heartbeats.
	ElectionTimeout time.Duration

	// ClockDrift turns leases on, for reads at the level Lease: by how much the clocks of two members differ in speed at most. 0.05 says that
	// while one measures 100 s no other measures more than 105 s. Clocks that the operating system disciplines differ by less than 0.001, which
	// is the least that can be said; the rest is for machines that are paused without their clocks showing it. If it is not true, as when a virtual
	// machine is moved and its clock jumps by more than ClockDrift of an ElectionTimeout, reads at that level, and nothing else, may miss what was
	// applied before: for one ElectionTimeout. Zero, the default, is no leases.
	//
	// The members promise the leader not to vote for another for an ElectionTimeout at a time. So a leader that dies is replaced not before
	// that, even if its process was seen to end, and a member that starts again votes not before that. Members without
	// ClockDrift, or with a shorter ElectionTimeout, promise nothing that counts: with a majority of those Lease is Linearizable.
	ClockDrift float64

	// CommandBytesMax bounds one encoded command; 8 MiB by default.
	CommandBytesMax int
	// PendingBytesMax bounds the commands that wait here for their outcome, and on a leader those that are not
	// yet committed; 64 MiB by default.
	PendingBytesMax int

	// SnapshotLogBytes is how much of the log comes, at least, before the state machine's snapshot takes its place; while the last snapshot was
	// larger, as much as that; 64 MiB by default.
	SnapshotLogBytes int64
	// LogTailBytes is how much of the log before a snapshot is kept, for members that were away briefly; 16 MiB by default.
	LogTailBytes int64

	// Tracer, if it is set, is told of each step that a write takes through this member; see package trace. None by default, which costs nothing.
	Tracer trace.Tracer
	// Logger receives what operators should know; slog.Default by default.
	Logger *slog.Logger
	// FS is the file system of Dir; the operating system's by default.
	FS vfs.FS
}

func (c Config) withDefaults() Config {
	c.Members = slices.Clone(c.Members) // the caller's slice stays the caller's
	if c.HeartbeatInterval == 0 {
		c.HeartbeatInterval = 100 * time.Millisecond
	}
	if c.ElectionTimeout == 0 {
		c.ElectionTimeout = max(time.Second, 10*c.HeartbeatInterval)
	}
	if c.CommandBytesMax == 0 {
		c.CommandBytesMax = 8 << 20
	}
	if c.PendingBytesMax == 0 {
		c.PendingBytesMax = 64 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.FS == nil {
		c.FS = vfs.OS()
	}
	if self := slices.IndexFunc(c.Members, func(m Member) bool { return m.ID == c.ID }); self >= 0 {
		c.Listen = cmp.Or(c.Listen, c.Members[self].Address)
		if address := c.Members[self].Address; c.Advertise == "" && !strings.HasSuffix(address, ":0") {
			c.Advertise = address
		}
	}
	return c
}

// validate names the first field that cannot work.
func (c Config) validate() error {
	switch {
	case c.Dir == "":
		return errors.New("balsa: Config.Dir is empty: name a folder for this member's data")
	case c.ID == 0:
		return errors.New("balsa: Config.ID is zero: give this member an id, one of Config.Members'")
	case c.Join != 0 && len(c.Members) > 0:
		return errors.New("balsa: Config.Members and Config.Join exclude each other: a member that joins is told by the others who they are")
	case c.Join != 0 && c.Listen == "":
		return errors.New("balsa: Config.Listen is empty: a member that joins needs to be told where")
	case c.Join == 0 && !slices.ContainsFunc(c.Members, func(m Member) bool { return m.ID == c.ID }):
		return fmt.Errorf("balsa: Config.Members does not have this member, id %d", c.ID)
	case c.HeartbeatInterval < time.Millisecond:
		return fmt.Errorf("balsa: Config.HeartbeatInterval %v is less than 1ms", c.HeartbeatInterval)
	case c.ElectionTimeout/3 < c.HeartbeatInterval: // the product could overflow
		return fmt.Errorf("balsa: Config.ElectionTimeout %v is less than three heartbeats of %v", c.ElectionTimeout, c.HeartbeatInterval)
	case c.ClockDrift != 0 && !(c.ClockDrift >= clockDriftMin && c.ClockDrift <= 1):
		return fmt.Errorf("balsa: Config.ClockDrift %v is neither 0 nor within %v..1", c.ClockDrift, clockDriftMin)
	case c.CommandBytesMax < 0 || c.CommandBytesMax > commandBytesLimit:
		return fmt.Errorf("balsa: Config.CommandBytesMax %d is not within 1..%d", c.CommandBytesMax, commandBytesLimit)
	case c.ElectionTimeout > electionTimeoutLimit:
		return fmt.Errorf("balsa: Config.ElectionTimeout %v is more than %v", c.ElectionTimeout, electionTimeoutLimit)
	case c.PendingBytesMax < 0 || c.PendingBytesMax > pendingBytesLimit:
		return fmt.Errorf("balsa: Config.PendingBytesMax %d is not within 1..%d", c.PendingBytesMax, pendingBytesLimit)
	case c.SnapshotLogBytes < 0 || c.LogTailBytes < 0:
		return errors.New("balsa: Config.SnapshotLogBytes and Config.LogTailBytes cannot be negative")
	}
	if err := validateMembers("Config.Members", c.Members, false); err != nil {
		return err
	}
	if len(c.Members) > 0 && !slices.ContainsFunc(c.Members, func(m Member) bool { return !m.Learner }) {
		return errors.New("balsa: Config.Members are all learners: nobody would vote")
	}
	return nil
}

// commandBytesLimit is what a frame between members can carry.
const commandBytesLimit = 48 << 20

// pendingBytesLimit is half of what the log can write at once: all that has waited for a leader may be given to it in one step.
const pendingBytesLimit = 512 << 20

// electionTimeoutLimit keeps the number of ticks within an int of any size.
const electionTimeoutLimit = time.Hour

// clockDriftMin is twice what the operating system may make a clock go faster or slower to set it right.
const clockDriftMin = 0.001

// ticksPerHeartbeat is how finely time is cut: election timeouts differ by whole ticks.
const ticksPerHeartbeat = 10

func (c Config) tick() time.Duration {
	return max(c.HeartbeatInterval/ticksPerHeartbeat, time.Millisecond)
}

// voters are the ids of the members, ascending.
func (c Config) voters() []NodeID {
	var ids []NodeID
	for _, m := range c.Members {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids
}

// configuration is the one that the cluster first starts with.
func (c Config) configuration() raft.Configuration {
	first := raft.NewConfiguration(c.voters()...)
	for i := range first.Members {
		m := &first.Members[i]
		of := c.Members[slices.IndexFunc(c.Members, func(o Member) bool { return o.ID == m.ID })]
		m.Address, m.Priority = of.Address, of.Priority
		if of.Learner {
			m.Suffrage, m.Target = raft.Learner, raft.Learner
		}
	}
	return first
}

// Cluster names the cluster, as Status.Cluster does; so FolderOwner tells whether a data folder was made with this configuration. It is
// the mark of the data folder and of connections, made of ClusterID and the members' ids: a member of three that started as
// the only one would be a majority of its own, and acknowledge what the others do not have.
func (c Config) Cluster() uint64 {
	if c.Join != 0 {
		return c.Join
	}
	b := binary.LittleEndian.AppendUint64(nil, c.ClusterID)
	for _, id := range c.voters() {
		b = binary.LittleEndian.AppendUint64(b, uint64(id))
	}
	sum := sha256.Sum256(b)
	return binary.LittleEndian.Uint64(sum[:])
}

func (c Config) host() host.Config {
	var promise, lease time.Duration
	if c.ClockDrift > 0 {
		promise = c.ElectionTimeout
		lease = time.Duration(float64(promise) / (1 + c.ClockDrift))
	}
	return host.Config{
		Promise: promise, Lease: lease,
		FS: c.FS, Dir: c.Dir, ID: c.ID, Addresses: c.Addresses, ClusterID: c.Cluster(), Rand: newRand(), Epoch: epoch(),
		Tick: c.tick(), CommandBytesMax: c.CommandBytesMax, PendingBytesMax: c.PendingBytesMax, Logger: c.Logger, Tracer: c.Tracer,
		Compaction: host.CompactionOptions{LogBytes: c.SnapshotLogBytes, TailBytes: c.LogTailBytes},
	}
}

func (c Config) raft() raft.Config {
	return raft.Config{
		Configuration:       c.configuration(),
		HeartbeatTicks:      int(c.HeartbeatInterval / c.tick()),
		ElectionTicks:       int(c.ElectionTimeout / c.tick()),
		UncommittedBytesMax: uint64(c.PendingBytesMax),
	}
}

// transport has no peers: the host tells it who they are.
func (c Config) transport(h *host.Host) transport.Config {
	id := h.Identity()
	t := transport.Config{
		ID: c.ID, ClusterID: id.ClusterID, Incarnation: id.Incarnation,
		Listen: c.Listen, Advertise: c.Advertise, Admit: h.Admit, Find: h.Find, Logger: c.Logger,
	}
	if c.Tracer != nil {
		t.Track = h.Track
	}
	return t
}

// Result is a command's outcome.
type Result[R any] struct {
	Value R
	Index Index // the command's place in the log
}

// Status is a member's own view of the cluster at one moment.
type Status struct {
	ID           NodeID
	Cluster      uint64 // names the cluster, for Config.Join
	Leader       NodeID // zero: none known
	Term         Term
	Role         string // "leader", "follower", "candidate", "pre-candidate"
	CommitIndex  Index
	AppliedIndex Index
	FirstIndex   Index
	LastIndex    Index
	DurableIndex Index
	LogBytes     int64    // on disk
	Members      []Member // as this member knows them: what is in force, committed or not
	// MembersVersion names the members, for Change.Base. MembersPending says what a change under way waits for; empty if there is none.
	MembersVersion uint64
	MembersPending string
	LeaderChanges  uint64 // seen since start
	Pending        int    // proposals that wait here for their outcome
	Sessions       int    // that the replicated state has
	Peers          []PeerStatus
}

// PeerStatus is what a leader knows of another member. Empty on followers.
type PeerStatus struct {
	ID         NodeID
	MatchIndex Index
	NextIndex  Index
	Probing    bool // looking for the place where the logs agree
	Active     bool // heard from within an election timeout
}
