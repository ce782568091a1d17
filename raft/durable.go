package raft

import "github.com/balsa-raft/balsa/internal/must"

// durability knows what of the persistent state has been handed out to be saved and what of it is on disk. It is
// why the host may do everything at once: what depends on the disk is withheld here until Persisted.
type durability struct {
	seq        uint64    // of the last Save handed out
	handed     HardState // in the last Save
	lastHanded Index     // the log's entries up to here have been handed out; falls when they are superseded

	// Invariant: index <= lastHanded <= log.last. Both fall when the log is truncated: that an older version of an
	// entry became durable says nothing of the one that took its place.
	index Index     // the log's entries up to here are on disk
	term  HardState // the one on disk

	first Index // LogState.First in the last Save
	reset bool  // the next Save replaces the log

	saves    []pendingSave // handed out and not yet Persisted, oldest first
	withheld []withheld    // waiting for a save, oldest first

	told bool // that it is stuck: see stall.go
}

type pendingSave struct {
	seq       uint64
	hardState HardState
	last      Index  // the entries up to here are durable when it is
	since     uint64 // Raft.ticks when it was handed out
}

// withheldMax bounds the messages that wait for the disk.
const withheldMax = 256

type withheld struct {
	seq uint64 // of the save to wait for
	Envelope
}

func (d *durability) dropWithheld() { d.withheld = nil }

func (r *Raft) hardState() HardState {
	return HardState{CurrentTerm: r.currentTerm, VotedFor: r.votedFor}
}

// save hands out what has changed since the last one.
func (r *Raft) save() {
	d := &r.disk
	if d.lastHanded == r.log.last && d.handed == r.hardState() && d.first == r.log.first && !d.reset {
		return
	}
	s := &Save{HardState: r.hardState(), First: r.log.first, BaseTerm: r.log.baseTerm, Reset: d.reset}
	d.first, d.reset = r.log.first, false
	if d.lastHanded < r.log.last {
		es, ok := r.log.cached(d.lastHanded+1, r.log.last, ^uint64(0))
		must.Be1(ok, "entries from %d on, not yet saved, are in memory", d.lastHanded+1)
		s.Entries = es
	}
	d.seq++
	s.Seq = d.seq
	d.handed, d.lastHanded = s.HardState, r.log.last
	d.saves = append(d.saves, pendingSave{seq: d.seq, hardState: s.HardState, last: r.log.last, since: r.ticks})
	r.effects.Save = s
}

// truncate removes entry i and all behind it from the log, and from what is known to be, or to become, durable: saves
// that are under way hold versions of them that no longer count.
func (r *Raft) truncate(i Index) {
	must.Be2(i > r.commitIndex, "truncation at %d keeps the committed entries up to %d", i, r.commitIndex)
	r.log.truncateFrom(i)
	r.undoConfigurations(i)
	d := &r.disk
	d.lastHanded = min(d.lastHanded, i-1)
	d.index = min(d.index, i-1)
	for k := range d.saves {
		d.saves[k].last = min(d.saves[k].last, i-1)
	}
	r.event(EventTruncated, 0, i)
}

// Persisted tells that every Save up to seq is durable.
func (r *Raft) Persisted(seq uint64) {
	d := &r.disk
	must.Be2(seq <= d.seq, "save %d was handed out, the last is %d", seq, d.seq)
	n := 0
	for n < len(d.saves) && d.saves[n].seq <= seq {
		d.term = d.saves[n].hardState
		d.index = max(d.index, d.saves[n].last)
		n++
	}
	d.saves = d.saves[:copy(d.saves, d.saves[n:])]
	r.release(seq)
	switch r.role {
	case Candidate:
		r.countOwnVote()
	case Leader:
		r.advanceCommitIndex()
	case Follower:
		r.acknowledge()
	}
}

// release sends what waited for the saves up to seq.
func (r *Raft) release(seq uint64) {
	d := &r.disk
	n := 0
	for n < len(d.withheld) && d.withheld[n].seq <= seq {
		r.effects.Messages = append(r.effects.Messages, d.withheld[n].Envelope)
		n++
	}
	d.withheld = d.withheld[:copy(d.withheld, d.withheld[n:])]
}

// termIsDurable reports whether a crash now would keep currentTerm and the vote in it.
func (r *Raft) termIsDurable() bool { return r.disk.term == r.hardState() }

// sendWhenTermDurable sends m once currentTerm and votedFor are on disk (§3.8): a server that answered in a term, crashed and
// had forgotten the term or its vote could vote twice in it.
func (r *Raft) sendWhenTermDurable(to NodeID, m Message) {
	d := &r.disk
	if r.termIsDurable() {
		r.send(to, m)
		return
	}
	seq := d.seq
	if d.handed != r.hardState() {
		seq++ // the save that Effects will hand out next
	}
	if len(d.withheld) == withheldMax {
		return // the disk has stalled for long; any message may be lost, and its sender will ask again
	}
	d.withheld = append(d.withheld, withheld{seq: seq, Envelope: Envelope{To: to, Message: m}})
}
