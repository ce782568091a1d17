package sim

import (
	"bytes"
	"slices"
	"strings"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/wal"
)

// How the situations are recognised that Coverage counts.

// progress is what a member is in the middle of, of one incarnation.
type progress struct {
	ledFrom   raft.Index // the first entry of the term that it has led last
	repairs   raft.Index // it has truncated at this index, and committed less since
	restores  raft.Index // its machine is to continue from a snapshot at this index
	receives  bool       // it has a part of a snapshot
	lastChunk bool       // the last chunk of one has come in
	holdsLast bool       // and is to wait
	loadedFor uint64     // the step of the shard that is given entries to be executed
	handsOver bool
	inForce   raft.Index // of its configuration
}

// follow takes in what a core says of itself.
func (c *checker) follow(m *member, e raft.Event) {
	w := c.w
	switch e.Kind {
	case raft.EventCandidate:
		if c.candidates[e.Term] != 0 && c.candidates[e.Term] != m.id {
			w.reach(splitVote)
		}
		c.candidates[e.Term] = m.id
	case raft.EventLeader:
		m.ledFrom = m.disk.durable.last() + 1
		for _, o := range w.members {
			w.reachIf(twoLeaders, o != m && o.up && o.group != nil && o.group.Status().Role == raft.Leader)
		}
	case raft.EventFollower:
		w.reachIf(neverCommitted, m.ledFrom > m.commit)
		m.ledFrom, m.handsOver, m.receives = 0, false, false
	case raft.EventVoted:
		w.reachIf(votesAgain, m.recycled && m.shelf == nil)
	case raft.EventTruncated:
		m.repairs = e.Index
	case raft.EventInstalled:
		m.coverOvertaken(e.Index)
		m.restores, m.receives, m.lastChunk = e.Index, false, false
	case raft.EventConfiguration:
		w.reachIf(configurationBack, e.Index < m.inForce)
		m.inForce = e.Index
	case raft.EventTransfer:
		m.handsOver = true
		if m.group != nil {
			s := m.group.Status()
			i := slices.IndexFunc(s.Peers, func(p raft.PeerStatus) bool { return p.ID == e.Node })
			w.reachIf(transferToLaggard, i >= 0 && s.Peers[i].MatchIndex < s.LastIndex)
		}
	case raft.EventTransferEnded:
		m.handsOver = false
	case raft.EventStalled:
		w.reachIf(leaderStalls, m.group != nil && m.group.Status().Role == raft.Leader)
	}
}

// coverArrival takes in a message that a member is given.
func (c *checker) coverArrival(m *member, sent packet, msg raft.Message) {
	c.w.reachIf(staleMessage, sent.at < m.started)
	if in, ok := msg.(raft.InstallSnapshot); ok && m.group != nil {
		s := m.group.Status()
		m.lastChunk = in.Offset+uint64(len(in.Data)) >= in.Size
		c.w.reachIf(installStale, in.Term < s.Term)
		c.w.reachIf(installFirstWord, in.Term > s.Term && m.lastChunk)
		c.w.reachIf(installBeforeTail, m.lastChunk && c.hasOthersBehind(m, &in))
		c.w.reachIf(installOld, in.Term == s.Term && in.LastIncludedIndex <= s.CommitIndex)
	}
}

// coverSave takes in what a save does to what is there.
func (c *checker) coverSave(m *member, g *image, s *wal.Save) {
	w, d := c.w, &m.disk
	if s.Reset {
		w.reachIf(installOverTail, g.last() >= s.First)
		d.rolls = d.rolls[:0]
	}
	if len(s.Entries) == 0 {
		return
	}
	first := s.Entries[0].Index
	if !s.Reset && first <= g.last() {
		terms, rolls := g.at(first).term != g.at(g.last()).term, false
		for len(d.rolls) > 0 && d.rolls[len(d.rolls)-1] >= first {
			rolls = rolls || d.rolls[len(d.rolls)-1] > first
			d.rolls = d.rolls[:len(d.rolls)-1]
		}
		w.reach(truncates)
		w.reachIf(truncatesTerms, terms)
		w.reachIf(truncatesSegments, rolls)
		w.reachIf(truncatesBoth, terms && rolls)
		for i := first; i <= g.last(); i++ {
			if !c.onMajority(i, g.at(i).term) {
				break
			}
			w.reachIf(figureD, i > c.committedTo())
		}
	}
	if d.writes > 1 { // the file's header and what restates the group came before
		d.rolls, d.writes = append(d.rolls, first), 0
	}
}

// onMajority reports whether the disks of a majority have the entry of that term at i, by the last committed configuration.
func (c *checker) onMajority(i raft.Index, term raft.Term) bool {
	_, cfg := c.committedConfiguration(c.committedTo())
	return enough(cfg, func(id raft.NodeID) bool { return c.w.member(id).disk.durable.at(i).term == term })
}

// coverAcknowledged takes in an acknowledgement that a leader will not count.
func (c *checker) coverAcknowledged(term raft.Term, i raft.Index) {
	if i > c.committedTo() && c.logs[term][i] < term {
		c.w.reachIf(figureC, c.onMajority(i, c.logs[term][i]))
	}
}

// coverConfiguration takes in that a configuration is committed.
func (c *checker) coverConfiguration(cfg raft.Configuration, by raft.NodeID) {
	w, was := c.w, c.configurations.lastCommitted
	if was.Joint() && !cfg.Joint() {
		w.reachIf(jointByAnother, c.configurations.lastBy != by)
		w.reachIf(leaderLeaves, !cfg.IsVoter(by))
	}
	for _, m := range cfg.Members {
		before, _ := was.Member(m.ID)
		w.reachIf(promotes, m.Suffrage == raft.Voter && before.Suffrage == raft.Learner)
	}
	c.configurations.lastCommitted, c.configurations.lastBy = cfg, by
}

// coverDeath takes in that a process is about to end: disk is what its disk was.
func (m *member) coverDeath(d death) {
	w := m.w
	for i := range m.disk.saving {
		s := &m.disk.saving[i]
		w.reachIf(diesTruncating, !s.Reset && len(s.Entries) > 0 && s.Entries[0].Index <= m.disk.durable.last())
		w.reachIf(diesResetting, s.Reset)
	}
	if m.group != nil {
		s := m.group.Status()
		w.reachIf(jointOrphaned, s.Role == raft.Leader && s.Configuration.Joint())
	}
	up := 0
	for _, o := range w.members {
		up += bit(o.up && o != m)
	}
	w.reachIf(allDown, up == 0 && len(w.members) > 1)
}

// coverTorn compares what a power cut has left of the log with what was written.
func (m *member) coverTorn(before *memfs.FS) {
	wrote, synced, got := before.KillClone(), before.CrashClone(memfs.CrashConfig{}), m.disk.fs.KillClone()
	names, err := wrote.List(logDir)
	if err != nil {
		return
	}
	for _, name := range names {
		name = logDir + "/" + name
		if strings.HasSuffix(name, ".tmp") {
			continue
		}
		a, b, c := contents(wrote, name), contents(synced, name), contents(got, name)
		lost := false
		const sector = 512
		for at := 0; at+sector <= min(len(a), len(b), len(c)); at += sector {
			full, none, is := a[at:at+sector], b[at:at+sector], c[at:at+sector]
			if bytes.Equal(full, none) {
				continue
			}
			if !bytes.Equal(is, full) {
				m.w.reachIf(tornTail, !lost)
				lost = true
			} else if lost {
				m.w.reach(tornHole)
				return
			}
		}
	}
}

// contents is what a file holds, or nothing.
func contents(fs *memfs.FS, name string) []byte {
	f, err := fs.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil
	}
	return b
}
