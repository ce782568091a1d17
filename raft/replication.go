package raft

import (
	"fmt"

	"github.com/balsa-raft/balsa/internal/must"
)

// Log replication: §3.5, pipelined (§10.2.2), the leader's disk in parallel (§10.2.1).

// replicate sends what p lacks, within its window, or an empty request when one is due.
func (r *Raft) replicate(p *peer) {
	if p.nextIndex < r.log.first {
		r.needsSnapshot(p)
		return
	}
	sent := false
	if p.probing {
		if !p.probeSent {
			es, _ := r.log.cached(p.nextIndex, p.nextIndex, 1) // one entry or none: it may well be refused
			r.sendAppendEntries(p, es)
			p.probeSent, sent = true, true
		}
	} else {
		for p.nextIndex <= r.log.last && p.inflightBytes < r.config.InflightBytesMax && !p.loading {
			if !r.sendNext(p) {
				break
			}
			sent = true
		}
	}
	// A follower learns of commits with the next entries. If there are none it is told by itself, for those who wait there; but only when we have applied that, or a tick
	// has passed: whoever has waited for it here often has the next command ready.
	behind := !p.probing && p.commitSent < r.commitDue
	if !sent && (p.heartbeatDue || p.readSeqSent < r.reads.round || behind) {
		r.sendAppendEntries(p, nil)
	}
	p.heartbeatDue = false
}

// sendNext sends the entries from nextIndex on. It reports false, and asks for them to be loaded, if they are not in memory.
func (r *Raft) sendNext(p *peer) bool {
	es, ok := r.log.cached(p.nextIndex, r.log.last, r.config.AppendBytesMax)
	if !ok {
		p.loading = true
		to := min(r.log.last, r.log.cache.first-1)
		r.effects.Load = append(r.effects.Load, Load{For: p.id, From: p.nextIndex, To: to, MaxBytes: r.config.AppendBytesMax})
		return false
	}
	r.sendAppendEntries(p, es)
	return true
}

// sendLoaded sends entries that were read from the log on disk.
func (r *Raft) sendLoaded(p *peer, es []Entry) {
	p.loading = false
	if len(es) == 0 || es[0].Index != p.nextIndex || p.nextIndex < r.log.first || !r.log.matches(es) {
		return // nextIndex has moved, the log was compacted, or the read failed: it is asked for again, or a snapshot is
	}
	r.sendAppendEntries(p, es)
}

func (r *Raft) sendAppendEntries(p *peer, es []Entry) {
	prev := p.nextIndex - 1
	prevTerm, ok := r.log.term(prev)
	must.Be1(ok, "entry %d, before what is sent, has a term: nothing is compacted yet", prev)
	r.send(p.id, AppendEntries{
		Term: r.currentTerm, LeaderID: r.config.ID,
		PrevLogIndex: prev, PrevLogTerm: prevTerm, Entries: es,
		LeaderCommit: r.commitIndex, ReadSeq: r.reads.round,
	})
	p.commitSent, p.readSeqSent = r.commitIndex, r.reads.round
	if len(es) > 0 && !p.probing {
		var bytes uint64
		for i := range es {
			bytes += es[i].Size()
		}
		p.sent(es[len(es)-1].Index, bytes)
	}
}

// onAppendEntries is the receiver of Figure 3.1's AppendEntries RPC (§3.5) and HandleAppendEntriesRequest in raft.tla. The
// numbers are the figure's steps.
func (r *Raft) onAppendEntries(from NodeID, m AppendEntries) error {
	r.updateTerm(m.Term)

	// 1. Reply false if term < currentTerm (§3.3).
	if m.Term < r.currentTerm {
		// Without PrevLogIndex: its sender may lead again, in our term, with another log, and must not take this for an answer in it.
		r.sendWhenTermDurable(from, AppendEntriesReply{Term: r.currentTerm})
		return nil
	}
	if err := r.hear(from); err != nil {
		return err
	}
	r.founded = r.founded || m.LeaderCommit > 0
	newRound := m.ReadSeq > r.ack.readSeq
	r.ack.readSeq = max(r.ack.readSeq, m.ReadSeq)

	// 2. Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm (§3.5). What is committed is in every
	//    later leader's log (Leader Completeness), so there the logs agree even where the entry has been compacted away.
	if m.PrevLogIndex >= r.log.first && !r.log.has(m.PrevLogTerm, m.PrevLogIndex) {
		if m.PrevLogIndex <= r.commitIndex {
			return r.incomplete(m.PrevLogIndex, m.PrevLogTerm)
		}
		term, index := r.log.conflict(m.PrevLogIndex)
		r.sendWhenTermDurable(from, AppendEntriesReply{
			Term: r.currentTerm, PrevLogIndex: m.PrevLogIndex, ConflictTerm: term, ConflictIndex: index, ReadSeq: r.ack.readSeq,
			Promise: r.config.Promise,
		})
		return nil
	}

	// 3. If an existing entry conflicts with a new one (same index but different terms), delete the existing entry and all that follow it.
	// 4. Append any new entries not already in the log.
	if err := r.appendMissing(m.Entries); err != nil {
		return err
	}

	// 5. If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry). The last new entry is the
	//    last that this request proves equal to the leader's, which is not the last that we have.
	match := m.PrevLogIndex + Index(len(m.Entries))
	before := r.commitIndex
	r.commitIndex = max(r.commitIndex, min(m.LeaderCommit, match))

	// The leader may count us only for what survives a crash (§3.8).
	known := match <= r.ack.match
	again := known && r.termIsDurable()
	r.ack.prev = m.PrevLogIndex
	r.ack.match = max(r.ack.match, match)
	r.ack.pending = r.ack.match > r.disk.index
	switch {
	case len(m.Entries) == 0 && r.commitIndex > before && known && !newRound && !r.ack.pending && !r.ack.silent:
		// It was sent to tell what is committed, and that we have all of it has been said. A heartbeat that is the first to tell it is not answered either; the next request is,
		// whatever it tells: the leader must not take us for dead.
		r.ack.silent = true
	case !r.ack.pending || len(m.Entries) == 0 || newRound || again:
		// A heartbeat, and a round of reads, is answered at once, whatever the disk does: that we live, and what is durable by now. A probe that comes
		// again is one, too: a new leader sends nothing else, and would hear nobody for as long as its first entry takes on our disk, and resign.
		r.sendAcknowledgement()
	}
	return nil
}

// hear takes in that from leads currentTerm.
func (r *Raft) hear(from NodeID) error {
	if r.role == Leader || r.leader != 0 && r.leader != from {
		return &SafetyError{"Election Safety", fmt.Sprintf("n%d and n%d both lead term %d", from, r.leader, r.currentTerm)}
	}
	if r.role != Follower || r.leader != from {
		r.becomeFollower(from) // the term has a leader, so a candidate gives up (§3.4)
	}
	r.leaderUnreachable = false
	r.resetElectionTimer()
	r.promise()
	return nil
}

// incomplete is the proof that the current leader lacks a committed entry.
func (r *Raft) incomplete(i Index, t Term) error {
	return &SafetyError{"Leader Completeness", fmt.Sprintf(
		"n%d leads term %d with entry %d of term %d, where another one is committed", r.leader, r.currentTerm, i, t)}
}

// appendMissing appends those of es that the log does not have. A request that was delayed or duplicated must not cut off what a newer one
// appended, so only a different term at the same index deletes.
func (r *Raft) appendMissing(es []Entry) error {
	for i := range es {
		e := &es[i]
		if e.Index < r.log.first || r.log.has(e.Term, e.Index) {
			continue
		}
		if e.Index <= r.commitIndex {
			return r.incomplete(e.Index, e.Term)
		}
		if e.Index <= r.log.last {
			r.truncate(e.Index)
		}
		r.append(es[i:]...)
		return nil
	}
	return nil
}

// acknowledgement is what a follower owes the leader of currentTerm. Requests that wait for the same save share one reply.
type acknowledgement struct {
	match   Index // the log equals the leader's up to here
	prev    Index // PrevLogIndex of the last request that was not refused
	readSeq uint64
	pending bool // a request awaits its reply
	silent  bool // the last request was not answered, because it only told what is committed
}

// acknowledge replies to requests whose entries have become durable.
func (r *Raft) acknowledge() {
	if r.ack.pending && r.termIsDurable() {
		r.sendAcknowledgement()
		r.ack.pending = r.ack.match > r.disk.index
	}
}

func (r *Raft) sendAcknowledgement() {
	r.ack.silent = false
	r.sendWhenTermDurable(r.leader, AppendEntriesReply{
		Term: r.currentTerm, Success: true, MatchIndex: min(r.ack.match, r.disk.index),
		PrevLogIndex: r.ack.prev, ReadSeq: r.ack.readSeq, Promise: r.config.Promise,
	})
}

func (r *Raft) onAppendEntriesReply(from NodeID, m AppendEntriesReply) {
	r.updateTerm(m.Term)
	p := r.peer(from)
	if p == nil || m.Term < r.currentTerm {
		return // not leader, not of this leadership, or not a member
	}
	p.heard, p.heardAt = true, r.ticks
	p.readSeq = max(p.readSeq, m.ReadSeq)
	r.countPromise(p, m)
	r.confirmReads()
	if m.Success {
		r.onMatch(p, m)
	} else {
		r.onConflict(p, m)
	}
}

// onMatch: if successful, update nextIndex and matchIndex for follower (§3.5).
func (r *Raft) onMatch(p *peer, m AppendEntriesReply) {
	p.acknowledged(m.MatchIndex)
	if p.nextIndex < r.log.first {
		return // to a heartbeat; it waits for a snapshot
	}
	p.snapshot = false
	if p.probing && (m.PrevLogIndex == p.nextIndex-1 || m.MatchIndex == p.nextIndex-1) {
		p.probing = false
		r.event(EventReplicating, p.id, p.nextIndex)
	}
	r.countRound(p)
	r.advanceCommitIndex()
}

// onConflict: if AppendEntries fails because of log inconsistency, decrement nextIndex and retry (§3.5); by the hint of the
// reply, a term at a time.
func (r *Raft) onConflict(p *peer, m AppendEntriesReply) {
	stale := p.snapshot || m.PrevLogIndex <= p.matchIndex || p.probing && m.PrevLogIndex != p.nextIndex-1
	if stale {
		return
	}
	next := m.ConflictIndex
	if m.ConflictTerm != 0 {
		// Up to our last entry of that term the logs may agree; if we have none of it, all of it goes.
		if last, ok := r.log.lastOf(m.ConflictTerm); ok {
			next = last + 1
		}
	}
	// At least one back, or the same hint could come for ever; and never behind what is known to match.
	r.probe(p, max(p.matchIndex+1, min(next, m.PrevLogIndex)))
}

func (r *Raft) probe(p *peer, next Index) {
	p.probeAt(next)
	r.event(EventProbing, p.id, next)
}
