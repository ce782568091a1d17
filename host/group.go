package host

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// Group is one replicated state machine on this host.
type Group struct {
	id      raft.GroupID
	host    *Host
	machine Machine
	durable Durable     // the machine, if it is; set by Join
	onStop  func(error) // called by the shard when the group stops by itself; may be nil
	origin  uint64      // marks the proposals of this incarnation
	began   bool        // with the cluster: it is one of the first members

	// Owned by the shard.
	raft        *raft.Raft
	active      bool            // has had input since its effects were last carried out
	held        []*Proposal     // to be given to the core
	heldBytes   int             // of them
	refusedTerm raft.Term       // in this term its leader has refused proposals: wait for a later one
	pausedTerm  raft.Term       // in this term its leader is handing over: wait for a later one, or the next tick
	takenBack   bool            // proposals were refused, and can perhaps be given again at once
	batch       []raft.Proposal // scratch
	transfers   []*Transfer
	drains      []*drain
	changes     []*MembersChange
	committed   raft.ConfigurationAt // the last configuration that was applied
	member      bool                 // this member was in one that was
	silence     int                  // ticks since a leader was heard
	stranger    raft.NodeID          // who has said since that this server is no member, or zero
	applied     raft.Index
	readers     readers
	told        raft.Index // a Tracer was, that all up to here is committed

	// Owned by the applier.
	taken       raft.Index // the last entry that came from the log, or from a snapshot that it continued from; a machine that keeps its state may be farther
	appliedTerm raft.Term
	machineAt   []byte     // the configuration that is in force where the machine is, encoded
	broken      bool       // the machine has failed: what comes after is not for it
	kept        raft.Index // what a durable machine had by itself at the start: entries up to here are not for it
	entries     []Entry    // scratch
	sessions    sessions
	settled     []settled // scratch: proposals that need no execution
	compaction  compaction

	// Owned by the receiver.
	incoming incoming

	// Owned by the sender.
	repairAgain time.Duration // from then on another attempt is made to replace a snapshot that is damaged

	readsWaiting   atomic.Int64
	rounds         atomic.Int32                         // of reads, that are under way
	readsAbandoned atomic.Int64                         // of them, since abandoned ones were last dropped
	executed       atomic.Uint64                        // the last entry that the machine reflects; stored by the applier
	configuration  atomic.Pointer[raft.ConfigurationAt] // in force
	vouch          vouch
	leader         atomic.Uint64
	term           atomic.Uint64
	takesPart      atomic.Bool // see raft.TakesPart
	statusMu       sync.Mutex
	status         raft.Status
	leaderChanges  uint64 // seen since start

	// mu guards the proposals that wait here, and the fields of Proposal that say so.
	mu           sync.Mutex
	waiting      map[uint64]*Proposal
	lastID       uint64
	pendingBytes int
	stopped      error // why nothing is accepted any more
	draining     bool  // no proposals are

	sessionsKnown atomic.Int64 // in the table

	down atomic.Bool // stopped is set
}

// OnStop sets what is called, once, when the group stops by itself. It is called before Start.
func (g *Group) OnStop(f func(error)) { g.onStop = f }

// Status is a group's state as it last was published: at least once a tick.
type Status struct {
	raft.Status
	LeaderChanges uint64 // seen since start
	Pending       int    // proposals that wait here for their outcome
	Reads         int    // that wait here, with those whose callers have left and that are still known
	Sessions      int    // in the table
}

// Status returns the group's state.
func (g *Group) Status() Status {
	g.mu.Lock()
	pending := len(g.waiting)
	g.mu.Unlock()
	g.statusMu.Lock()
	defer g.statusMu.Unlock()
	return Status{Status: g.status, LeaderChanges: g.leaderChanges, Pending: pending, Reads: int(g.readsWaiting.Load()), Sessions: int(g.sessionsKnown.Load())}
}

// Configuration returns the configuration in force. It must not be changed.
func (g *Group) Configuration() raft.ConfigurationAt { return *g.configuration.Load() }

// publish makes the core's state visible to others. Called by the shard.
func (g *Group) publish() {
	s := g.raft.Status()
	g.leader.Store(uint64(s.Leader))
	g.term.Store(uint64(s.Term))
	g.rounds.Store(int32(len(g.readers.asked)))
	g.takesPart.Store(g.raft.TakesPart())
	g.statusMu.Lock()
	defer g.statusMu.Unlock()
	if s.Leader != g.status.Leader && s.Leader != 0 {
		g.leaderChanges++
	}
	g.status = s
}

// Err says why the group has stopped, or is nil.
func (g *Group) Err() error {
	if !g.down.Load() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stopped
}

// stop ends all that waits in the group with err, and refuses what comes. It is the last that happens to it.
func (g *Group) stop(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped != nil {
		return
	}
	g.stopped = err
	g.down.Store(true)
	for _, id := range slices.Sorted(maps.Keys(g.waiting)) {
		p := g.waiting[id]
		g.finish(p, 0, fmt.Errorf("%w: %w", g.undecided(p), err))
	}
}

// fail stops the group because of err.
func (g *Group) fail(err error) {
	if g.Err() != nil {
		return
	}
	err = fmt.Errorf("%w: %w", ErrFailed, err)
	g.host.logger.Error("the group has stopped", "group", uint64(g.id), "error", err)
	g.stop(err)
	g.failReads(err)
	g.endTransfers(err)
	g.endDrains()
	g.endChanges(err)
	if g.onStop != nil {
		g.onStop(err)
	}
}
