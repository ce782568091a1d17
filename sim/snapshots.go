package sim

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/snapshot"
	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/wal"
)

// Snapshots, for the checker: what a member's disk holds of the committed log is what is in its log or before its newest durable snapshot, and
// every snapshot, whoever wrote it, is the state that all members have at its index.

const snapshotsDir = "data/snapshots"

// drawCompaction makes snapshots happen all the time in most runs.
func drawCompaction(r *rand.Rand) host.CompactionOptions {
	if r.IntN(7) == 0 {
		return host.CompactionOptions{}
	}
	bytes := pick[int64](r, 200, 600, 2000, 6000)
	return host.CompactionOptions{
		LogBytes:       bytes,
		TailBytes:      pick(r, 1, 1, bytes/4, bytes),
		ChunkBytes:     pick(r, 16, 64, 200, 512),
		BytesPerSecond: pick[int64](r, 1000, 4000, 0, 0),
	}
}

// kept is what a disk has of snapshots.
type kept struct {
	stale  bool          // the folder has changed since it was looked at
	newest snapshot.Meta // that a crash would leave; zero: none
}

// snapshotOf looks for the newest snapshot that a crash would leave on a member's disk, and checks what is in it.
func (c *checker) snapshotOf(m *member) snapshot.Meta {
	if k := &m.disk.kept; k.stale {
		k.stale = false
		newest := c.readSnapshot(m, m.disk.fs.CrashClone(memfs.CrashConfig{}))
		if m.disk.rotten && newest.Index < k.newest.Index { // it was there
			newest = k.newest
		}
		if newest.Index < k.newest.Index {
			c.w.fail("Snapshot Durable", "n%d's newest durable snapshot was at %d, and is now at %d", m.id, k.newest.Index, newest.Index)
		}
		if newest.Index > k.newest.Index {
			m.tell("has a durable snapshot at %d", newest.Index)
		}
		k.newest = newest
	}
	return m.disk.kept.newest
}

// readSnapshot returns the newest snapshot on a disk, after it has checked it.
func (c *checker) readSnapshot(m *member, fs *memfs.FS) snapshot.Meta {
	fs.SetCapacity(0)
	store, err := snapshot.Open(fs, snapshotsDir, snapshot.Options{ClusterID: clusterID})
	if err != nil {
		c.w.fail("Snapshot Durable", "n%d's snapshots cannot be read after a crash: %v", m.id, err)
		return snapshot.Meta{}
	}
	meta, ok, err := store.Latest(group)
	if m.disk.rotten {
		return meta
	}
	if err != nil {
		c.w.fail("Snapshot Durable", "a crash would leave n%d with a damaged snapshot: %v", m.id, err)
	}
	if !ok || err != nil {
		return snapshot.Meta{}
	}
	c.checkSnapshot(m, store, meta)
	return meta
}

// emptyConfigurationBytes is what a server knows that has joined and been told nothing yet.
var emptyConfigurationBytes = len(raft.AppendConfiguration(nil, raft.Configuration{}))

// checkSnapshot: a snapshot is the state after the committed entry of its index and term.
func (c *checker) checkSnapshot(m *member, store *snapshot.Store, meta snapshot.Meta) {
	if meta.Index > c.committedTo() || c.committed[meta.Index-1].term != meta.Term {
		c.w.fail("Snapshot State", "n%d has a snapshot at %d (t%d), and that is not committed", m.id, meta.Index, meta.Term)
		return
	}
	if _, cfg := c.committedConfiguration(meta.Index); !m.joins || len(meta.Configuration) > emptyConfigurationBytes {
		if want := raft.AppendConfiguration(nil, cfg); !bytes.Equal(meta.Configuration, want) {
			has, err := raft.DecodeConfiguration(meta.Configuration)
			c.w.fail("Snapshot State", "n%d's snapshot at %d has the configuration %s, and %s is committed there (%v)",
				m.id, meta.Index, describeConfiguration(has), describeConfiguration(cfg), err)
		}
	}
	r, err := store.Read(meta)
	if err != nil {
		c.w.fail("Snapshot Durable", "n%d's snapshot at %d cannot be read: %v", m.id, meta.Index, err)
		return
	}
	defer r.Close()
	table, err := host.ReadSessionTable(r)
	if err != nil {
		c.w.fail("Snapshot Durable", "n%d's snapshot at %d: %v", m.id, meta.Index, err)
		return
	}
	c.sessionsAt(m, meta.Index, table)
	b, err := io.ReadAll(r)
	if err != nil || len(b) < 16 {
		c.w.fail("Snapshot Durable", "n%d's snapshot at %d cannot be read, after %d bytes: %v", m.id, meta.Index, len(b), err)
		return
	}
	c.checkState(m, "the snapshot of", meta.Index, raft.Index(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint64(b[8:]))
}

// stateAt is what every machine has at index i: its last command and the hash of all.
func (c *checker) stateAt(i raft.Index) (raft.Index, uint64) {
	for ; i > 0; i-- {
		if known := &c.committed[i-1]; known.executed {
			return i, known.state
		}
	}
	return 0, 0
}

// checkState: equal state at equal indexes, whether entries or a snapshot brought it.
func (c *checker) checkState(m *member, whose string, i, applied raft.Index, state uint64) {
	if at, want := c.stateAt(i); at != applied || want != state {
		c.w.fail("Snapshot State", "%s n%d at %d has the state after command %d (%x), which is not the one after command %d (%x)",
			whose, m.id, i, applied, state, at, want)
	}
}

// held is the entry that counts as being on a member's disk at i: what is at or before the newest snapshot is in it, and what a log that does
// not hold the snapshot's last entry has beyond is not there, because the member would begin anew behind the snapshot.
func (c *checker) held(m *member, i raft.Index) entrySum {
	return folder{snapshot: c.snapshotOf(m), log: m.disk.durable}.at(c, i)
}

// counts reports whether a leader may count on a member for the entry of that term at i. What was in a folder that was lost counts, too: its member
// will not vote again, so that every majority has one of the others that had it.
func (c *checker) counts(m *member, i raft.Index, term raft.Term) bool {
	if m.shelf != nil && m.shelf.has.at(c, i).term == term {
		return true
	}
	return c.held(m, i).term == term || m.wiped && m.had.at(c, i).term == term
}

// folder is what a data folder has.
type folder struct {
	snapshot snapshot.Meta
	log      image
}

func (f folder) at(c *checker, i raft.Index) entrySum {
	switch {
	case i == 0 || i > f.snapshot.Index && f.log.at(f.snapshot.Index).term != f.snapshot.Term:
		return entrySum{}
	case i <= f.snapshot.Index:
		return c.ghost(i)
	}
	return f.log.at(i)
}

// ghost is the committed entry at i.
func (c *checker) ghost(i raft.Index) entrySum {
	if i == 0 || i > c.committedTo() {
		return entrySum{}
	}
	term := c.committed[i-1].term
	return entrySum{term: term, sum: c.entries[place{i, term}].sum}
}

// begins takes in that a member's log is to begin behind entry first-1.
func (c *checker) begins(m *member, g *image, s *wal.Save) {
	first := max(s.First, 1)
	switch newest := c.snapshotOf(m); {
	case first < g.first:
		c.w.fail("Compaction", "n%d's log begins with entry %d, and is to begin with %d", m.id, g.first, first)
	case first > g.first && first-1 > newest.Index && !m.disk.rotten: // or it may have been damaged since
		c.w.fail("Compaction", "n%d's log is to begin with entry %d, and its newest durable snapshot is at %d", m.id, first, newest.Index)
	case first > g.first && c.ghost(first-1).term != s.BaseTerm:
		c.w.fail("Compaction", "n%d's log is to begin behind entry %d of term %d, where one of term %d is committed",
			m.id, first-1, s.BaseTerm, c.ghost(first-1).term)
	default:
		if first > g.first {
			c.w.report.Compactions++
		}
		g.begin(c, first, s.BaseTerm, s.Reset)
	}
}

// begin forgets what is before first, or with reset everything. What is forgotten was committed, and stays in the image.
func (g *image) begin(c *checker, first raft.Index, base raft.Term, reset bool) {
	if reset {
		g.entries = g.entries[:0:0]
		for i := raft.Index(1); i < first; i++ {
			g.entries = append(g.entries, c.ghost(i))
		}
	}
	g.first, g.base = first, base
}

// resume does to an image what a member does when it starts: a snapshot whose last entry is not in the log takes its place.
func (g *image) resume(c *checker, s snapshot.Meta) {
	if s.Index == 0 || g.at(s.Index).term == s.Term && s.Index >= g.first-1 {
		return
	}
	if g.hardState.CurrentTerm < s.Term {
		g.hardState = raft.HardState{CurrentTerm: s.Term}
	}
	g.begin(c, s.Index+1, s.Term, true)
	c.w.report.ResetsAtStart++
	c.w.reach(startsBetween)
}

// started takes in where a member's machine is when it starts.
func (c *checker) started(m *member, s host.Status, newest snapshot.Meta) {
	if s.AppliedIndex != newest.Index || s.CommitIndex != newest.Index && !(m.machine.isDurable() && s.CommitIndex > newest.Index) {
		c.w.fail("Recovery", "n%d starts as %v, and its newest snapshot is at %d", m.id, s.Status, newest.Index)
		return
	}
	if s.FirstIndex > 1 {
		c.w.report.StartsBehind++
	}
	at := s.AppliedIndex
	if m.machine.isDurable() {
		at = max(at, m.machine.applied)
	}
	c.checkState(m, "the machine of", at, m.machine.applied, m.machine.state)
}

// restored takes in that a machine continues from a snapshot.
func (c *checker) restored(r *register) {
	c.w.mix(uint64(r.m.id), uint64(r.applied), r.state)
	c.w.report.Restores++
	r.m.restores = 0
	c.w.record(TraceLine{Kind: TraceRest, Node: r.m.id, Index: r.applied})
	r.m.tell("continues from a snapshot, after command %d", r.applied)
	c.checkState(r.m, "the restored machine of", r.applied, r.applied, r.state)
}

// machineAt: what a member says to have applied is in its machine.
func (c *checker) machineAt(m *member, i raft.Index) {
	if at, _ := c.stateAt(min(i, c.committedTo())); m.machine.applied < at {
		c.w.fail("State Machine Safety", "n%d says to have applied entry %d, and its machine is at command %d of %d", m.id, i, m.machine.applied, at)
	}
}

// streamed is a leader's sending of one snapshot to one member.
type streamed struct {
	term raft.Term
	to   raft.NodeID
	at   place
}

// chunk takes in a part of a snapshot, at the moment that it leaves its sender.
func (c *checker) chunk(m *member, to raft.NodeID, msg *raft.InstallSnapshot) {
	c.w.report.Chunks++
	c.checkVote(m, msg.Term, m.id, "leads term")
	if was := c.leaders[msg.Term]; was.member != m.id || was.incarnation != m.incarnation {
		c.w.fail("Election Safety", "n%d sends InstallSnapshot in term %d, which it was not elected to lead", m.id, msg.Term)
		return
	}
	at := place{msg.LastIncludedIndex, msg.LastIncludedTerm}
	if s := c.snapshotOf(m); s.Index < at.index || c.ghost(at.index).term != at.term {
		c.w.fail("Snapshot Durable", "n%d sends a snapshot at %d (t%d), and its newest durable one is at %d", m.id, at.index, at.term, s.Index)
	}
	sized := c.sized(msg.Term, at)
	if size, ok := c.sizes[sized]; ok && size != msg.Size {
		c.w.fail("Snapshot State", "the snapshot at %d has %d bytes on n%d, and %d elsewhere", at.index, msg.Size, m.id, size)
	}
	c.sizes[sized] = msg.Size
	key := streamed{msg.Term, to, at}
	if _, ok := c.streams[key]; !ok {
		c.w.report.Streams++
		if at.index+1 < m.disk.durable.first && at.index > m.sendsLate && c.w.knobs.compaction.BytesPerSecond == 0 {
			c.w.fail("Compaction", "n%d begins to send the snapshot at %d, and its log begins with entry %d", m.id, at.index, m.disk.durable.first)
		}
	}
	c.streams[key] = max(c.streams[key], msg.Offset+uint64(len(msg.Data)))
}

// received takes in what a member says to have of a snapshot.
func (c *checker) received(m *member, to raft.NodeID, msg *raft.InstallSnapshotReply) {
	m.tidy.received = true
	m.receives = msg.Offset < c.sizes[c.sized(msg.Term, place{msg.LastIncludedIndex, c.ghost(msg.LastIncludedIndex).term})]
	for key, sent := range c.streams {
		if key.term != msg.Term || key.to != m.id || key.at.index != msg.LastIncludedIndex {
			continue
		}
		if msg.Offset > sent {
			c.w.report.StreamsResumed++
			c.w.reach(streamResumed)
			c.streams[key] = msg.Offset
		}
		if s := c.snapshotOf(m); msg.Offset >= c.sizes[c.sized(key.term, key.at)] && s.Index < key.at.index {
			c.w.fail("Durable First", "n%d says to have the whole snapshot at %d, and its newest durable one is at %d", m.id, key.at.index, s.Index)
		}
		return
	}
}

// dieBetween sometimes ends the process where its disk has a snapshot that its log does not know of. By chance alone that is rare.
func (m *member) dieBetween() bool {
	if !m.w.chaos || !m.w.knobs.faults.has(FaultKill|FaultPower) || m.w.checker.snapshotOf(m).Index <= m.disk.durable.last() || !m.w.chance(200) {
		return false
	}
	m.die(death{power: m.w.knobs.faults.has(FaultPower), keep: m.w.rand.Float64()})
	return true
}

// ofSnapshots reports whether a file or folder is one of the snapshots.
func ofSnapshots(name string) bool { return strings.HasPrefix(name, snapshotsDir) }
