package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
)

// knobs are what a seed decides before the run begins. Limits are often tiny, so that what they guard happens all the time.
type knobs struct {
	members  int // that the cluster starts with
	spares   int // servers that can become members
	duration time.Duration
	drawn    Faults // by the seed, or as the options say
	faults   Faults // of them, those that are not left out

	raft          raft.Config // ID, Epoch and Rand are the host's
	segmentBytes  int64
	spareSegments int
	pendingBytes  int
	compaction    host.CompactionOptions
	padding       int // of a snapshot, of 9 bytes each

	clients    int
	keys       int
	think      time.Duration // between two operations of a client, at most
	toLeaders  int           // of 100 operations, those that go to a member that says to lead
	readPart   int           // of 100 operations
	burstMax   int           // writes that a client hands in at once
	valueBytes int           // of padding, at most

	ruin    bool // rot may damage more members than the cluster can do without
	setBack bool // wall clocks may show less at a start than at the one before
	keeps   bool // machines keep their state on disk by themselves

	patrons  int // clients with sessions
	sessions host.SessionLimits

	leases leases

	faultEvery time.Duration // on average
	onLeader   int           // of 100 faults, those that are aimed at the leader
	drift      int64         // of 1000, how far the members' clocks go too fast or too slow, at most
	latency    time.Duration // of the network, at most
	lateMax    time.Duration
	lateCopies int // of 1000 second copies
	kinds      [messageKinds]mishaps
}

// tick makes election timeouts and heartbeats as long as they are by default. All other times go with it: a disk is as quick, compared to an election, as a slow one is.
const tick = 100 * time.Millisecond

func drawKnobs(o Options, r *rand.Rand) knobs {
	k := knobs{
		members:  pick(r, 1, 3, 3, 3, 3, 5, 5, 5),
		spares:   pick(r, 0, 1, 2, 4),
		duration: time.Duration(30+r.IntN(60)) * time.Second,
		faults:   drawFaults(r),
		raft: raft.Config{
			ElectionTicks:       pick(r, 10, 10, 20, 40),
			AppendBytesMax:      pick[uint64](r, 1, 150, 1000, 0),
			InflightBytesMax:    pick[uint64](r, 1, 300, 3000, 0),
			UncommittedBytesMax: pick[uint64](r, 1500, 20_000, 0, 0),
			ApplyBytesMax:       pick[uint64](r, 1, 500, 0),
			CacheBytesMax:       pick[uint64](r, 1, 500, 5000, 0),
		},
		segmentBytes:  pick[int64](r, 8<<10, 12<<10, 32<<10, 128<<10),
		spareSegments: pick(r, 1, 2, 6),
		pendingBytes:  pick(r, 400, 10_000, 0, 0),
		clients:       1 + r.IntN(10),
		keys:          1 + r.IntN(5),
		think:         time.Duration(20+r.IntN(1000)) * time.Millisecond,
		toLeaders:     pick(r, 0, 0, 50, 90),
		readPart:      pick(r, 10, 30, 50, 80),
		burstMax:      pick(r, 1, 1, 4, 20),
		valueBytes:    pick(r, 0, 50, 500, 5000),
		faultEvery:    time.Duration(300+r.IntN(6000)) * time.Millisecond,
		onLeader:      pick(r, 0, 30, 60, 90),
		drift:         pick[int64](r, 50, 400),
		latency:       pick(r, 5*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond, 400*time.Millisecond),
		lateCopies:    pick(r, 50, 200, 800),
		kinds:         drawMishaps(r),
	}
	k.leases = drawLeases(r, k.raft.ElectionTicks)
	k.compaction, k.padding = drawCompaction(r), pick(r, 0, 10, 100, 400)
	k.patrons, k.sessions = drawSessions(r)
	k.lateMax = pick(r, k.electionTimeout()/4, 2*k.electionTimeout(), 50*time.Second)
	if o.Members != 0 {
		k.members = o.Members
	}
	if o.Duration != 0 {
		k.duration = o.Duration
	}
	if o.Faults != 0 {
		k.faults = o.Faults
	}
	k.drawDisks(o)
	k.drawn = k.faults
	k.setWorkload(o.Workload)
	var ids []raft.NodeID
	for id := 1; id <= k.members; id++ {
		ids = append(ids, raft.NodeID(id))
	}
	k.raft.Configuration = raft.NewConfiguration(ids...)
	if r.IntN(2) == 0 {
		for i := range k.raft.Configuration.Members {
			k.raft.Configuration.Members[i].Priority = pick[uint8](r, 0, 0, 1, 2)
		}
	}
	k.simplify(o.Without.simple)
	k.spare(o.Without.mishaps)
	return k
}

// setWorkload puts a workload in place of what the seed has drawn.
func (k *knobs) setWorkload(name string) {
	switch name {
	case "writes":
		k.readPart = 5
	case "reads":
		k.readPart = 95
	case "sessions":
		k.patrons, k.clients = max(k.patrons, 6), 1
	case "idle":
		k.clients, k.patrons, k.think = 1, 0, 20*time.Second
	}
}

// mishaps says of how many of 1000 messages of a kind something happens to.
type mishaps struct{ lost, duplicated, late int }

// drawMishaps treats some kinds of messages worse than others: what matters is often the one message that is missing.
func drawMishaps(r *rand.Rand) (kinds [messageKinds]mishaps) {
	usual := mishaps{lost: pick(r, 5, 50, 200), duplicated: pick(r, 10, 100, 400), late: pick(r, 2, 20, 100)}
	for i := range kinds {
		worse := func(n int) int { return min(800, n*pick(r, 0, 1, 1, 1, 1, 5, 20)) }
		if i >= messageKindsFrequent {
			worse = func(n int) int { return min(600, n*pick(r, 1, 5, 20)) }
		}
		kinds[i] = mishaps{lost: worse(usual.lost), duplicated: worse(usual.duplicated), late: worse(usual.late)}
	}
	return kinds
}

// drawFaults takes each kind of fault in or leaves it out: runs with few kinds reach states that a mixture of all hides.
func drawFaults(r *rand.Rand) Faults {
	if r.IntN(20) == 0 {
		return FaultNone
	}
	part := pick(r, 20, 40, 60)
	var f Faults
	for one := Faults(1); one < FaultNone; one <<= 1 {
		if !one.ofDisks() && r.IntN(100) < part {
			f |= one
		}
	}
	return f
}

func pick[T any](r *rand.Rand, choices ...T) T { return choices[r.IntN(len(choices))] }

// between is a duration in [from, to).
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(max(1, to-from))))
}

const clusterID = 0xba15a

// host is the configuration of one incarnation of a member.
func (k *knobs) host(m *member) host.Config {
	promise, lease := k.promises(m.w.rand)
	m.promise = promise
	return host.Config{
		Promise: promise, Lease: lease,
		FS: m.disk.fs, Dir: dataDir, ID: m.id, ClusterID: clusterID,
		Rand:  rand.New(rand.NewPCG(m.w.rand.Uint64(), m.w.rand.Uint64())),
		Epoch: m.wallClock(),
		Tick:  tick, PendingBytesMax: k.pendingBytes, Compaction: k.compaction, Log: wal.Options{SegmentBytes: k.segmentBytes, SparesMax: k.spareSegments}, Logger: newLogger(m), Observer: m,
	}
}

// log is how a member's log is opened.
func (k *knobs) log(m *member) wal.Options {
	return wal.Options{SegmentBytes: k.segmentBytes, SparesMax: k.spareSegments, ID: m.identity.Incarnation}
}

// electionTimeout is the longest that a follower waits before it stands for election.
func (k *knobs) electionTimeout() time.Duration {
	return 2 * time.Duration(k.raft.ElectionTicks) * tick
}

// heartbeatTicks is the interval of heartbeats by default.
func (k *knobs) heartbeatTicks() int { return max(1, k.raft.ElectionTicks/10) }

func (k *knobs) String() string {
	c := k.raft
	return fmt.Sprintf("members %d and %d spare, %v, faults %v every %v (%d%% on the leader), clocks off by %d of 1000, set back: %v; "+
		"election %d ticks, append %d, inflight %d, uncommitted %d, apply %d, cache %d, segment %d, %d spares, pending %d bytes; compaction %+v, padding %d; "+
		"machines that keep their state: %v; leases %+v; clients %d, keys %d, think %v, %d%% to leaders, reads %d%%, burst %d, value %d bytes; latency %v, late by %v, of 1000 messages %v, of 1000 copies %d late",
		k.members, k.spares, k.duration, k.faults, k.faultEvery, k.onLeader, k.drift, k.setBack,
		c.ElectionTicks, c.AppendBytesMax, c.InflightBytesMax, c.UncommittedBytesMax, c.ApplyBytesMax, c.CacheBytesMax,
		k.segmentBytes, k.spareSegments, k.pendingBytes, k.compaction, k.padding, k.keeps, k.leases, k.clients, k.keys, k.think, k.toLeaders, k.readPart, k.burstMax, k.valueBytes,
		k.latency, k.lateMax, k.kinds, k.lateCopies)
}
