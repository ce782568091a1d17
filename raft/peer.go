package raft

import "github.com/balsa-raft/balsa/internal/must"

// peer is what a leader knows of another server. It lives for one leadership.
//
// Invariant: matchIndex < nextIndex.
type peer struct {
	id         NodeID
	nextIndex  Index // the next entry to send
	matchIndex Index // known to be durable there and equal to ours

	// While probing, the leader does not know whether the logs agree before nextIndex: it sends one small request and waits for
	// the answer, or for the next heartbeat. Otherwise requests are pipelined: nextIndex advances as they are sent.
	probing   bool
	probeSent bool
	loading   bool // entries for it are being read from disk
	snapshot  bool // it is being sent a snapshot

	inflight      []inflight // sent and not acknowledged, oldest first; empty while probing
	inflightBytes uint64

	heartbeatDue bool
	commitSent   Index  // the last LeaderCommit that it was sent
	readSeqSent  uint64 // the last ReadSeq that it was sent
	readSeq      uint64 // the last that it returned
	promised     Nanos  // by our clock: until then it votes for nobody else
	heard        bool   // it has answered in this leadership
	heardAt      uint64 // Raft.ticks of its last answer

	// Catching up (§4.2.1): whether the last round was short, where the one under way ends, and when it began.
	caughtUp   bool
	roundEnd   Index
	roundBegan uint64

	steadySince uint64 // Raft.ticks since when it has kept up

	leaving      Index  // the configuration that it has left with; zero for a member
	leavingSince uint64 // Raft.ticks
}

type inflight struct {
	last  Index
	bytes uint64
}

func newPeer(id NodeID, next Index, ticks uint64) *peer {
	// It counts as heard, so that a new leader has an election timeout to reach it.
	return &peer{id: id, nextIndex: next, probing: true, heardAt: ticks, roundEnd: next - 1, roundBegan: ticks, steadySince: ticks}
}

// peer returns the leader's record of id, or nil.
func (r *Raft) peer(id NodeID) *peer {
	for _, p := range r.peers {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (p *peer) heardWithin(now uint64, ticks int) bool { return now-p.heardAt < uint64(ticks) }

// heartbeat makes the next round of effects send something, and a lost probe be repeated.
func (p *peer) heartbeat() {
	p.heartbeatDue = true
	p.probeSent = false
}

// probeAt makes the peer be probed at next.
func (p *peer) probeAt(next Index) {
	must.Be2(next > p.matchIndex, "nextIndex %d is behind matchIndex %d", next, p.matchIndex)
	p.probing, p.probeSent, p.loading, p.snapshot = true, false, false, false
	p.nextIndex = next
	p.inflight, p.inflightBytes = p.inflight[:0], 0
}

// acknowledged takes in that the peer's log equals ours up to match, and is durable that far.
func (p *peer) acknowledged(match Index) {
	p.matchIndex = max(p.matchIndex, match)
	p.nextIndex = max(p.nextIndex, p.matchIndex+1)
	n := 0
	for n < len(p.inflight) && p.inflight[n].last <= p.matchIndex {
		p.inflightBytes -= p.inflight[n].bytes
		n++
	}
	p.inflight = p.inflight[:copy(p.inflight, p.inflight[n:])]
}

// sent takes in that entries up to last are on their way.
func (p *peer) sent(last Index, bytes uint64) {
	p.inflight = append(p.inflight, inflight{last: last, bytes: bytes})
	p.inflightBytes += bytes
	p.nextIndex = last + 1
}
