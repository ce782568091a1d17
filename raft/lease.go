package raft

import "github.com/balsa-raft/balsa/internal/must"

// Leases: §6.4.1. A server that hears a leader promises to vote for nobody else for a while; a leader with the promises of a majority knows
// that nobody else can be elected, and answers reads without asking. "Leases" in the package documentation says why that is safe.

// Nanos is a time in nanoseconds by this server's own clock: since some fixed moment, or between two.
type Nanos uint64

// lease is a server's part in leases: the word that it gives, and, on leaders, what it makes of the word of others.
type lease struct {
	now  Nanos // as Clock told last
	told bool  // Clock has told

	promised Nanos // until then this server votes for nobody else; outlives terms and roles

	// On leaders.
	rounds []roundBegun // that are younger than Config.Lease, oldest first
	handed Index        // where the log ended when last in this term a server was asked to stand for election
}

// roundBegun is when the first request with a ReadSeq was about to be sent.
type roundBegun struct {
	seq uint64
	at  Nanos
}

// Clock tells what the host's clock shows, which never falls. The host reads it when it has all the inputs that it is about to give, and before it
// carries out any of their effects, and calls Clock before it gives them: so what came in came before that time, and what goes out goes out
// after it. Without Config.Promise nobody needs it.
func (r *Raft) Clock(now Nanos) {
	l := &r.lease
	must.Be2(now >= l.now, "the clock does not fall from %d to %d", uint64(l.now), uint64(now))
	if !l.told {
		// The last promise of an earlier incarnation was made before this one began.
		l.told, l.promised = true, now+r.config.Promised
	}
	l.now = now
}

// Slept tells that the clock may have stood still for a time of unknown length, as it does while a machine is suspended. It is called after Clock.
func (r *Raft) Slept() { r.voidLease() }

// hasPromised reports whether this server's word stands to vote for nobody else. It binds its vote for itself, too.
func (r *Raft) hasPromised() bool {
	l := &r.lease
	return l.now < l.promised || !l.told && r.config.Promised > 0
}

// promise gives this server's word to the leader that it hears.
func (r *Raft) promise() {
	if r.config.Promise > 0 {
		must.Be(r.lease.told, "the host tells the time, since promises are made")
		r.lease.promised = max(r.lease.promised, r.lease.now+r.config.Promise)
	}
}

// awaitPromise postpones this server's own election while it is bound. Afterwards it is due soon, and not for all at once.
func (r *Raft) awaitPromise() bool {
	if !r.hasPromised() {
		return false
	}
	r.electionTimeout = r.electionElapsed + 1 + r.config.Rand.IntN(r.config.HeartbeatTicks)
	return true
}

// holdsLease reports whether it is certain that no other server has been elected before the time that Clock told last, and that commitIndex is not
// behind what has been acknowledged by then. It is called on leaders.
func (r *Raft) holdsLease() bool {
	l := &r.lease
	switch {
	case r.config.Lease == 0 || r.transfer.to != 0:
		return false
	case r.commitIndex < r.proposals.termFirst:
		return false // predecessors may have committed more than is known here
	case r.commitIndex <= l.handed:
		// A server that was told to stand for election may do so late, and promises do not bind its voters. It is certain to lose once
		// an entry is committed that it was not told of.
		return false
	}
	return r.members.quorum.has(func(id NodeID) bool { return id == r.config.ID || l.now < r.peer(id).promised })
}

// beginLeaseRound begins a round whose answers extend the lease.
func (r *Raft) beginLeaseRound() {
	if r.config.Lease == 0 {
		return
	}
	l := &r.lease
	old := 0
	for old < len(l.rounds) && l.rounds[old].at+r.config.Lease <= l.now {
		old++
	}
	r.reads.round++
	l.rounds = append(l.rounds[:copy(l.rounds, l.rounds[old:])], roundBegun{r.reads.round, l.now})
}

// countPromise takes in that p keeps a promise since it received the round that its answer names. Received it was after it was sent, and when
// that was is all that this server's clock can tell.
func (r *Raft) countPromise(p *peer, m AppendEntriesReply) {
	if r.config.Lease == 0 || m.Promise < r.config.Promise {
		return
	}
	for _, begun := range r.lease.rounds {
		if begun.seq <= m.ReadSeq {
			p.promised = max(p.promised, begun.at+r.config.Lease)
		}
	}
}

// voidLease gives up what was promised to this leader so far.
func (r *Raft) voidLease() {
	r.lease.rounds = nil
	for _, p := range r.peers {
		p.promised = 0
	}
}
