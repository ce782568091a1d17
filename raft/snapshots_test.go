package raft

import (
	"fmt"
	"slices"
)

// Snapshots in the cluster of the tests. One is the list of entries that it stands for, so that the checks can go on to compare whole
// logs. It travels in one message, where hosts send chunks; it is durable when it arrives.

// stream is a snapshot under way to another server: from the moment that its host sends it until that is answered or given up.
type stream struct {
	to    NodeID
	begun bool
	term  Term
	at    Index
}

// replaced is the log that a reset leaves: what the snapshot before its first entry stands for.
func (d *disk) replaced(first Index) []Entry {
	n := int(first) - 1
	if n > len(d.snapshot) {
		panic(fmt.Sprintf("the log is to begin with entry %d, the newest snapshot ends in %d", first, len(d.snapshot)))
	}
	return slices.Clone(d.snapshot[:n])
}

// recover does what a host does before it starts its core: if the log does not hold the end of the newest snapshot, the crash came before
// the log was reset to it.
func (d *disk) recover() {
	n := len(d.snapshot)
	if n == 0 || d.holds(d.snapshot[n-1]) {
		return
	}
	d.log, d.first = slices.Clone(d.snapshot), Index(n)+1
	if t := d.snapshot[n-1].Term; d.hardState.CurrentTerm < t {
		d.hardState = HardState{CurrentTerm: t}
	}
}

func (d *disk) holds(e Entry) bool {
	return int(e.Index) <= len(d.log) && d.log[e.Index-1].Term == e.Term
}

// recovered is the log that a restart would find.
func (d *disk) recovered() []Entry {
	if n := len(d.snapshot); n > 0 && !d.holds(d.snapshot[n-1]) {
		return d.snapshot
	}
	return d.log
}

// savedFirst is where the log begins, with the saves under way.
func (s *server) savedFirst() Index {
	if n := len(s.disk.saves); n > 0 {
		return s.disk.saves[n-1].First
	}
	return s.disk.first
}

// compact takes a snapshot of what a server has applied, and forgets its log up to an entry.
func (c *cluster) compact(s *server, to Index) {
	if int(s.applied) > len(s.disk.snapshot) {
		s.disk.base = c.baseAt(s, s.applied)
		s.disk.snapshot = slices.Clone(s.log[:s.applied])
		c.say("n%d has a snapshot of %d entries", s.id, s.applied)
	}
	s.raft.Compact(to)
}

// beginRestore hands the state machine a snapshot to continue from.
func (c *cluster) beginRestore(s *server, r Restore) {
	if int(r.Index) > len(s.disk.snapshot) || s.disk.snapshot[r.Index-1].Term != r.Term {
		violate("restore", "n%d is to continue from a snapshot at %s, which it does not have", s.id, at(r.Index, r.Term))
	}
	if r.Index <= s.given {
		violate("restore", "n%d is to continue from a snapshot at %s, and was handed out entries up to %d", s.id, at(r.Index, r.Term), s.given)
	}
	s.handed = append(s.handed, handed{Entry: s.disk.snapshot[r.Index-1], restore: true})
	s.given = r.Index
}

func (c *cluster) restore(s *server, last Entry) {
	c.checks.applied(s, []Entry{last})
	s.applied = last.Index
	c.say("n%d restores its state from the snapshot at %s", s.id, at(last.Index, last.Term))
	c.answerReads(s)
	s.raft.Applied(s.applied)
}

// beginStream takes in that a peer needs a snapshot. While one is on its way to it, nothing more is sent.
func (c *cluster) beginStream(s *server, to NodeID) {
	c.seen["snapshots asked for"]++
	if s.manualSend {
		c.say("n%d is to send n%d a snapshot", s.id, to)
	}
	if !slices.ContainsFunc(s.streams, func(st stream) bool { return st.to == to }) {
		s.streams = append(s.streams, stream{to: to})
	}
}

// sendNext sends the newest snapshot to the next peer that waits for one, and reports whether there was one.
func (c *cluster) sendNext(s *server) bool {
	i := slices.IndexFunc(s.streams, func(st stream) bool { return !st.begun })
	if i < 0 {
		return false
	}
	st := &s.streams[i]
	if s.raft.role != Leader || len(s.disk.snapshot) == 0 {
		c.endStream(s, st.to)
		return true
	}
	last := s.disk.snapshot[len(s.disk.snapshot)-1]
	st.begun, st.term, st.at = true, s.raft.Term(), last.Index
	m := InstallSnapshot{Term: st.term, LeaderID: s.id, LastIncludedIndex: last.Index, LastIncludedTerm: last.Term, Size: uint64(last.Index),
		Configuration: AppendConfiguration(nil, s.disk.base.Configuration)}
	if c.showSends {
		c.say("n%d sends n%d %s", s.id, st.to, describe(m))
	}
	c.post(s, Envelope{To: st.to, Message: m})
	return true
}

// endStream tells a core that a snapshot has arrived, or will not be sent any more.
func (c *cluster) endStream(s *server, to NodeID) {
	s.streams = slices.DeleteFunc(s.streams, func(st stream) bool { return st.to == to })
	s.raft.SnapshotSent(to)
}

// receiveForHost does a host's part with the messages of a transfer. It reports whether the core gets nothing of it.
func (c *cluster) receiveForHost(s *server, p *packet) bool {
	switch m := p.Message.(type) {
	case InstallSnapshot:
		if m.Term < s.raft.Term() || m.LastIncludedIndex == 0 {
			return false // of a leader that was deposed, and hosts drop it; the core must not believe it either
		}
		c.storeSnapshot(s, m)
		reply := InstallSnapshotReply{Term: m.Term, LastIncludedIndex: m.LastIncludedIndex, Offset: m.Size}
		c.post(s, Envelope{To: p.from, Message: reply})
		return false
	case InstallSnapshotReply:
		i := slices.IndexFunc(s.streams, func(st stream) bool { return st.to == p.from && st.at == m.LastIncludedIndex && st.term == m.Term })
		if i >= 0 {
			c.endStream(s, p.from)
			c.indented(func() { c.settle(s) })
		}
		return true
	}
	return false
}

// storeSnapshot makes a snapshot that has arrived durable, unless there is a newer one.
func (c *cluster) storeSnapshot(s *server, m InstallSnapshot) {
	es := c.checks.snapshot(s, m)
	if len(es) > len(s.disk.snapshot) {
		s.disk.snapshot, s.disk.base = es, baseOf(m)
	}
	c.checks.store(c, s)
}

// snapshot is the entries that a snapshot stands for.
func (k *checks) snapshot(s *server, m InstallSnapshot) []Entry {
	n := m.LastIncludedIndex
	if int(n) > len(k.committed) || k.committed[n-1].entry.Term != m.LastIncludedTerm {
		violate("State Machine Safety", "n%d is sent a snapshot at %s, which is not committed", s.id, at(n, m.LastIncludedTerm))
	}
	es := make([]Entry, n)
	for i := range es {
		es[i] = k.committed[i].entry
	}
	return es
}

// compacted checks where a save lets the log begin.
func (k *checks) compacted(s *server, save *Save) {
	switch {
	case save.First == 0 || save.First-1 > Index(len(s.log)):
		violate("compaction", "the log of n%d is to begin with entry %d, it ends in %d", s.id, save.First, len(s.log))
	case save.First > 1 && s.log[save.First-2].Term != save.BaseTerm:
		violate("compaction", "the log of n%d is to begin behind %s, it has %v there", s.id, at(save.First-1, save.BaseTerm), s.log[save.First-2])
	case int(save.First)-1 > len(s.disk.snapshot):
		violate("compaction", "the log of n%d is to begin with entry %d, its snapshot ends in %d", s.id, save.First, len(s.disk.snapshot))
	}
}
