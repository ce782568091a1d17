package raft

import "github.com/balsa-raft/balsa/internal/must"

// Role is what a server currently is.
type Role uint8

const (
	// Follower answers leaders and candidates.
	Follower Role = iota
	// PreCandidate asks whether it could win an election (§9.6).
	PreCandidate
	// Candidate gathers votes.
	Candidate
	// Leader replicates.
	Leader
)

func (r Role) String() string {
	return [...]string{"follower", "pre-candidate", "candidate", "leader"}[r]
}

// Raft is one server of one group. It is not safe for concurrent use: its owner calls one method at a time.
type Raft struct {
	config Config

	// Persistent state on all servers (Figure 3.1): changed here first, durable once a Save is Persisted.
	currentTerm Term
	votedFor    NodeID
	log         log

	// Volatile state on all servers.
	commitIndex Index
	lastApplied Index
	role        Role
	leader      NodeID // of currentTerm; zero while unknown

	// Volatile state on candidates: who granted, reset when a candidacy begins.
	votesGranted map[NodeID]bool
	votesRefused map[NodeID]bool

	// Volatile state on leaders: nextIndex[] and matchIndex[] with what else is known of each other server, in the
	// order of the configuration; nil on others.
	peers     []*peer
	commitDue Index // whoever has no entries to be sent is told that all up to here is committed

	// Beyond the figure: time, in ticks (§3.4, §6.2).
	ticks             uint64 // since start
	ledSince          uint64 // on leaders, ticks at the election
	heartbeatElapsed  int    // on leaders, since the last heartbeat
	electionElapsed   int    // since the leader was heard, a vote granted or the role changed
	electionTimeout   int    // electionElapsed at which to stand for election
	leaderUnreachable bool   // the connection to the leader broke: do not defend it against candidates

	// Beyond the figure: what is on its way to disk. See durable.go.
	disk durability

	// Beyond the figure: what a follower will acknowledge to the leader of currentTerm.
	ack acknowledgement

	// Beyond the figure: entries handed out to the state machine and not reported back.
	applying      Index // the last one handed out
	applyingBytes uint64
	applyLoading  bool // a Load for the state machine is under way

	reads      reads
	lease      lease
	proposals  proposals
	forwards   forwards // on followers
	inflow     inflow
	transfer   transfer      // on leaders
	refusals   []ChangeError // on leaders, of changes that others passed on, oldest first
	preference attempts      // to hand over to one of a higher priority
	stalls     attempts      // to hand over because the disk is stuck
	members    members
	founded    bool // see founded.go

	effects  Effects // gathered since the last call of Effects
	scratch  []Index // of advanceCommitIndex
	previous snapshotOfState
}

// LogState is what a log on disk holds, for New.
type LogState struct {
	HardState HardState
	First     Index // of the oldest entry; 1 for a log that was never compacted
	Last      Index // of the newest; First-1 for an empty log
	BaseTerm  Term  // of the entry before First; 0 if there is none
	Runs      []TermRun
	// Base is the configuration of the snapshot that the log goes on from; an empty one stands for Config.Configuration. Configurations are
	// those of the log's entries behind it, ascending.
	Base           ConfigurationAt
	Configurations []ConfigurationAt
	// Applied is what the state machine reflects to begin with: the index of the snapshot that it was restored from, or what it
	// kept by itself; at least First-1, at most Last. What is applied is committed.
	Applied Index
	// Committed is how far the log is known to be committed, if that is beyond Applied; at most Last.
	Committed Index
}

// New returns a server in the state that it left on disk: a follower that has voted as s says and knows of no commit. A
// server that starts for the first time has LogState{First: 1}. All that s tells of must be durable: the server counts on it.
func New(config Config, s LogState) (*Raft, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	r := &Raft{
		config:      config.withDefaults(),
		currentTerm: s.HardState.CurrentTerm,
		votedFor:    s.HardState.VotedFor,
		log:         newLog(s),
		commitIndex: max(s.Applied, s.Committed),
		lastApplied: s.Applied,
		applying:    s.Applied,
		members:     newMembers(s.configurations(config.Configuration)),
	}
	r.disk = durability{term: s.HardState, handed: s.HardState, lastHanded: s.Last, index: s.Last, first: s.First}
	r.reads.lastSeq = config.Epoch
	if s.HardState.CurrentTerm == 0 {
		r.config.Promised = 0 // it has never heard a leader
	}
	r.forwards = forwards{lastStream: config.Epoch}
	r.inflow = inflow{forgotten: s.HardState.CurrentTerm}
	r.electionTimeout = r.firstElectionTimeout()
	r.previous = r.state()
	r.checkState()
	return r, nil
}

// Receive takes a message from another server. It fails with *BadMessageError if no correct server sends it, and then
// nothing has changed; with *SafetyError if the cluster is broken, and then the host must stop this server.
func (r *Raft) Receive(from NodeID, m Message) error {
	if err := r.validate(from, m); err != nil {
		return err
	}
	switch m := m.(type) {
	case RequestVote:
		r.onRequestVote(from, m)
	case RequestVoteReply:
		r.onRequestVoteReply(from, m)
	case AppendEntries:
		return r.onAppendEntries(from, m)
	case AppendEntriesReply:
		r.onAppendEntriesReply(from, m)
	case TimeoutNow:
		r.onTimeoutNow(from, m)
	case ForwardChange:
		r.onForwardChange(from, m)
	case ForwardChangeReply:
		r.onForwardChangeReply(m)
	case InstallSnapshot:
		return r.onInstallSnapshot(from, m)
	case ForwardProposals:
		r.onForwardProposals(from, m)
	case ForwardReply:
		r.onForwardReply(m)
	case ReadIndex:
		r.onReadIndex(from, m)
	case ReadIndexReply:
		r.onReadIndexReply(from, m)
	}
	return nil
}

// updateTerm applies the rule for all servers: if an RPC contains a term T > currentTerm, set currentTerm = T and
// convert to follower (§3.3). Every handler calls it first, for all messages but those of a pre-vote.
func (r *Raft) updateTerm(term Term) {
	if term <= r.currentTerm {
		return
	}
	r.currentTerm = term
	r.votedFor = 0 // a vote belongs to its term, and to nothing else: only here it is forgotten
	r.becomeFollower(0)
}

// becomeFollower converts to follower in the current term. leader is zero while it is unknown.
func (r *Raft) becomeFollower(leader NodeID) {
	if r.role != Follower {
		r.resetElectionTimer()
	}
	r.leaveRole()
	r.role, r.leader = Follower, leader
	r.event(EventFollower, leader, 0)
}

// leaveRole ends what belongs to the current role, term or leader.
func (r *Raft) leaveRole() {
	r.leader, r.leaderUnreachable = 0, false
	r.peers, r.votesGranted, r.votesRefused = nil, nil, nil
	r.ack = acknowledgement{}
	r.transfer = transfer{}
	r.refusals = nil
	r.lease.rounds, r.lease.handed = nil, 0
	r.disk.dropWithheld()
	r.abortReads()
}

// Tick tells that one unit of time has passed.
func (r *Raft) Tick() {
	r.ticks++
	r.electionElapsed++
	r.tickReads()
	r.tickForwards()
	r.tickDisk()
	if r.role == Leader {
		r.tickLeader()
		return
	}
	if r.electionElapsed >= r.electionTimeout && !r.awaitPromise() {
		r.timeOut()
	}
}

// Applied tells that the state machine has executed the entries up to i, of those handed out in Effects.Apply.
func (r *Raft) Applied(i Index) {
	must.Be2(i > r.lastApplied, "applied %d was not applied before, up to %d", i, r.lastApplied)
	must.Be2(i <= r.applying, "applied %d was handed out, up to %d", i, r.applying)
	r.lastApplied = i
	r.commitDue = max(r.commitDue, i)
	if i == r.applying {
		r.applyingBytes = 0
	}
}

// Loaded hands in entries that a Load asked for, from l.From on without gaps, or none if the log no longer has them. l is the Load as it
// was given.
func (r *Raft) Loaded(l Load, es []Entry) {
	for i := range es {
		must.Be2(es[i].Index == l.From+Index(i), "entry %d of what was loaded from %d on follows the one before it", es[i].Index, l.From)
		must.Be2(es[i].Index <= l.To, "entry %d was asked for, up to %d", es[i].Index, l.To)
	}
	if l.For == 0 {
		r.applyLoading = false
		if len(es) > 0 && es[0].Index == r.applying+1 && r.log.matches(es) {
			r.handToApply(es)
		}
		return
	}
	if p := r.peer(l.For); p != nil && p.loading {
		r.sendLoaded(p, es)
	}
}

// Unreachable tells that the connection to another server broke or could not be made. It is a hint, which may be
// wrong or missing.
func (r *Raft) Unreachable(id NodeID) {
	if p := r.peer(id); p != nil {
		p.heard = false // until its next answer
		if !p.probing {
			r.probe(p, p.matchIndex+1) // what was under way may be lost
		}
		return // a lost probe is repeated by the next heartbeat; at once, a peer that is down would keep us busy
	}
	if r.role == Follower && id == r.leader {
		// Most likely its process ended. Ask the others soon, by pre-vote: if they still hear it, nothing happens.
		r.leaderUnreachable = true
		r.forwards.restartTimer(r)
		r.resendForwards() // what was under way may be lost
		soon := r.electionElapsed + 1 + r.config.Rand.IntN(r.config.HeartbeatTicks)
		r.electionTimeout = min(r.electionTimeout, soon)
	}
}

// Effects drains what is to be done since the last call.
func (r *Raft) Effects() Effects {
	if r.role == Leader {
		r.tendMembers()
	}
	if r.role == Leader {
		r.startReadRound()
		for _, p := range r.peers {
			r.replicate(p)
		}
		r.askTarget()
	} else {
		r.forwardReads()
	}
	r.answerForwards()
	r.save()
	r.apply()
	r.log.cache.evict(min(r.commitIndex, r.disk.index), r.config.CacheBytesMax)
	r.checkStep()
	e := r.effects
	r.effects = Effects{}
	return e
}

// apply hands out committed entries, as far as they are durable here: a state machine that were ahead of its own log
// would be ahead of itself after a restart.
func (r *Raft) apply() {
	limit := min(r.commitIndex, r.disk.index)
	for r.applying < limit && !r.applyLoading && r.applyingBytes < r.config.ApplyBytesMax {
		from := r.applying + 1
		room := r.config.ApplyBytesMax - r.applyingBytes
		es, ok := r.log.cached(from, limit, room)
		if !ok {
			r.applyLoading = true
			to := min(limit, r.log.cache.first-1)
			r.effects.Load = append(r.effects.Load, Load{From: from, To: to, MaxBytes: min(room, r.config.AppendBytesMax)})
			return
		}
		r.handToApply(es)
	}
}

func (r *Raft) handToApply(es []Entry) {
	r.applying = es[len(es)-1].Index
	for i := range es {
		r.applyingBytes += es[i].Size()
	}
	if r.effects.Apply == nil {
		r.effects.Apply = es
		return
	}
	n := len(r.effects.Apply)
	r.effects.Apply = append(r.effects.Apply[:n:n], es...)
}

func (r *Raft) send(to NodeID, m Message) {
	r.effects.Messages = append(r.effects.Messages, Envelope{To: to, Message: m})
}

func (r *Raft) event(k EventKind, node NodeID, i Index) { r.eventIn(r.currentTerm, k, node, i) }

func (r *Raft) eventIn(t Term, k EventKind, node NodeID, i Index) {
	r.effects.Events = append(r.effects.Events, Event{Kind: k, Term: t, Node: node, Index: i})
}
