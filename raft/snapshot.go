package raft

import "github.com/balsa-raft/balsa/internal/must"

// Log compaction and snapshots: ch. 5. The core decides who needs a snapshot and what becomes of the log; to write, stream and
// restore it is the host's.

// Compact forgets the entries up to i, which a durable snapshot replaces, or has replaced for so long that nobody is expected to ask for
// them. They are applied, and i is an entry of the log.
func (r *Raft) Compact(i Index) {
	must.Be2(i <= r.lastApplied, "only applied entries are compacted: %d <= %d", i, r.lastApplied)
	if i < r.log.first {
		return
	}
	r.log.compact(i)
	r.compactConfigurations(i)
}

// needsSnapshot asks the host to send p a snapshot, unless it is at it, and keeps up the heartbeat: a follower that waits for a long
// snapshot must not stand for election.
func (r *Raft) needsSnapshot(p *peer) {
	if !p.snapshot && !p.probeSent {
		p.snapshot, p.probeSent = true, true
		p.probing = true
		p.inflight, p.inflightBytes = p.inflight[:0], 0
		r.effects.Send = append(r.effects.Send, p.id)
		r.event(EventSnapshotNeeded, p.id, p.nextIndex)
	}
	if p.heartbeatDue || p.readSeqSent < r.reads.round {
		// Place 0 is in every log, so that this says nothing of entries.
		r.send(p.id, AppendEntries{Term: r.currentTerm, LeaderID: r.config.ID, LeaderCommit: r.commitIndex, ReadSeq: r.reads.round})
		p.readSeqSent = r.reads.round
	}
	p.heartbeatDue = false
}

// SnapshotSent tells that no more of the snapshot will be sent to a peer that was named in Effects.Send: it is there, or could not be sent. If
// the peer does not say that it has it, a snapshot is asked for again with one of the next heartbeats.
func (r *Raft) SnapshotSent(to NodeID) {
	if p := r.peer(to); p != nil && p.snapshot {
		p.snapshot, p.probeSent = false, true
	}
}

// onInstallSnapshot is the receiver of figure 5.3's InstallSnapshot RPC, once the host has the whole snapshot on disk: steps 2 to 5 are done. The
// numbers are the figure's steps.
func (r *Raft) onInstallSnapshot(from NodeID, m InstallSnapshot) error {
	r.updateTerm(m.Term)

	// 1. Reply immediately if term < currentTerm.
	if m.Term < r.currentTerm {
		r.sendWhenTermDurable(from, AppendEntriesReply{Term: r.currentTerm})
		return nil
	}
	if err := r.hear(from); err != nil {
		return err
	}
	index, term := m.LastIncludedIndex, m.LastIncludedTerm
	switch {
	case index <= r.commitIndex:
		// It came late. What we have is newer.
	case r.log.has(term, index):
		// 6. If existing log entry has same index and term as lastIndex and lastTerm, discard log up through lastIndex (but retain any following entries)
		//    and reply. Differs: the entries are committed, so they are applied as any others, and compacted when we see fit.
		r.commitIndex = index
	default:
		// 7. Discard the entire log. 8. Reset state machine using snapshot contents.
		r.install(index, term, m.Configuration)
	}
	r.ack.match = max(r.ack.match, index)
	r.ack.prev = index
	r.ack.pending = r.ack.match > r.disk.index
	if !r.ack.pending {
		r.sendAcknowledgement()
	}
	return nil
}

// install makes the snapshot at index the beginning of everything. It is durable, so what it replaces counts as durable at once, and
// saves that are under way, of the log that is gone, no longer count for anything beyond it.
func (r *Raft) install(index Index, term Term, configuration []byte) {
	r.log.reset(index, term)
	c, err := DecodeConfiguration(configuration)
	must.Be1(err == nil, "the configuration of the snapshot at %d was checked when it came", index)
	r.resetConfigurations(ConfigurationAt{Index: index, Configuration: c})
	d := &r.disk
	d.index, d.lastHanded, d.reset = index, index, true
	for k := range d.saves {
		d.saves[k].last = min(d.saves[k].last, index)
	}
	r.commitIndex, r.applying, r.applyingBytes = index, index, 0
	r.effects.Apply = nil // not begun, and part of the snapshot
	r.effects.Restore = &Restore{Index: index, Term: term}
	r.event(EventInstalled, 0, index)
}
