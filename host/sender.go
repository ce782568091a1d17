package host

import (
	"errors"
	"slices"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/snapshot"
	"github.com/balsa-raft/balsa/wire"
)

// Sender gives members what they lack: it streams snapshots, in chunks, and reads old entries back from the log. Both at a bounded rate, or those who
// are served meanwhile would notice. A stream that breaks goes on where it broke.
type Sender struct {
	host    *Host
	inbox   *inbox[sendWork]
	batch   []sendWork // scratch
	streams []*stream
	loads   []loadWork // to be read: at most one a member and group

	chunks  allowance
	entries allowance
	growth  growth // of the log
}

// sendWork is a member that needs a snapshot, or an answer to a chunk, or entries that a member needs.
type sendWork struct {
	group *Group
	peer  raft.NodeID
	reply *raft.InstallSnapshotReply
	load  *raft.Load
}

// stream is a snapshot on its way to a member.
type stream struct {
	group   *Group
	peer    raft.NodeID
	term    raft.Term // of our leadership: it ends with it
	file    *snapshot.Stream
	sent    uint64
	there   uint64 // what the member says that it has
	repeats int    // answers in a row that brought nothing new
	moved   time.Duration
	retried time.Duration // when chunks were last sent again
	looked  bool          // whether it is damaged here
}

const (
	// streamWindow is how many chunks are under way to one member.
	streamWindow = 4
	// streamRetry is how long an answer is waited for before chunks are sent again, and streamTimeout how long before the stream is given up. Neither
	// bounds how long a stream takes that moves.
	streamRetry   = time.Second
	streamTimeout = 30 * time.Second
	// repairPause is how long a leader waits before it tries again to put another snapshot in the place of one that is damaged: on a full disk each attempt
	// writes until there is no room.
	repairPause = 5 * time.Second
)

// Step sends what may be sent by now. It reports whether there is more to do at once.
func (s *Sender) Step(now time.Duration) (more bool) {
	s.batch = s.inbox.take(s.batch)
	for i := range s.batch {
		work := &s.batch[i]
		switch {
		case work.load != nil:
			s.loads = append(s.loads, loadWork{group: work.group, load: *work.load})
		case work.reply == nil:
			s.begin(work.group, work.peer, now)
		default:
			if st := s.find(work.group, work.peer); st != nil {
				s.answered(st, work.reply, now)
			}
		}
	}
	s.loadEntries(now)
	options := &s.host.config.Compaction
	s.chunks.raise(options.BytesPerSecond, streamWindow*int64(options.ChunkBytes), now)
	if n := len(s.streams); n > 1 { // each is the first to have credit now and then
		s.streams = append(s.streams[1:n:n], s.streams[0])
	}
	s.streams = slices.DeleteFunc(s.streams, func(st *stream) bool { return !s.move(st, now) })
	return !s.inbox.empty()
}

// loadEntries reads entries, as many as may be sent by now.
func (s *Sender) loadEntries(now time.Duration) {
	rate := max(s.host.config.Compaction.EntryBytesPerSecond, growthLead*s.growth.rate(s.host.writer.appended.Load(), now))
	s.entries.raise(rate, 0, now)
	n := 0
	for n < len(s.loads) && s.entries.bytes > 0 {
		s.entries.bytes -= s.host.load(s.loads[n]) // not MaxBytes: who has nearly caught up is after a few, again and again
		n++
	}
	s.loads = slices.Delete(s.loads, 0, n)
}

// Busy reports whether there is something to send: then Step has to be called now and then, because time passes.
func (s *Sender) Busy() bool { return len(s.streams) > 0 || len(s.loads) > 0 }

func (s *Sender) find(g *Group, peer raft.NodeID) *stream {
	for _, st := range s.streams {
		if st.group == g && st.peer == peer {
			return st
		}
	}
	return nil
}

// begin starts a stream of the newest snapshot.
func (s *Sender) begin(g *Group, peer raft.NodeID, now time.Duration) {
	if s.find(g, peer) != nil {
		return
	}
	file, err := s.newest(g)
	if err != nil {
		if now >= g.repairAgain { // the member asks with each heartbeat
			g.repairAgain = now + repairPause
			s.host.logger.Error("a snapshot that a member needs cannot be read", "group", uint64(g.id), "member", uint64(peer), "error", err)
			if errors.Is(err, snapshot.ErrCorrupt) { // it was known before, and could not be replaced then
				s.host.applier.inbox.put(applyWork{group: g, damaged: g.Executed()}, 0, 0)
			}
		}
		s.host.shard.inbox.put(input{kind: inputSnapshotSent, group: g, from: peer}, 0, 0)
		return
	}
	s.streams = append(s.streams, &stream{group: g, peer: peer, term: raft.Term(g.term.Load()), file: file, moved: now})
	s.host.logger.Info("a snapshot is being sent", "group", uint64(g.id), "to", uint64(peer),
		"index", uint64(file.Meta().Index), "bytes", file.Size())
}

func (s *Sender) newest(g *Group) (*snapshot.Stream, error) {
	meta, ok, err := s.host.snapshots.Latest(g.id)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, errors.New("there is none")
	}
	return s.host.snapshots.Stream(meta)
}

func (st *stream) size() uint64 { return uint64(st.file.Size()) }

// answered takes in what the member has.
func (s *Sender) answered(st *stream, r *raft.InstallSnapshotReply, now time.Duration) {
	switch {
	case r.LastIncludedIndex != st.file.Meta().Index || r.Term != st.term:
	case r.Offset > st.there:
		st.there, st.sent, st.repeats, st.moved = r.Offset, max(st.sent, r.Offset), 0, now
	case r.Offset == 0 && st.there > 0:
		st.there, st.sent, st.repeats = 0, 0, 0
		s.look(st, now)
	default:
		// It got a chunk that it had no use for, so one before it was lost; or it has less than it had, since it was restarted.
		if st.repeats++; st.repeats >= 2 {
			st.there, st.sent, st.repeats = r.Offset, r.Offset, 0
			if r.Offset == 0 {
				s.look(st, now)
			}
		}
	}
}

// look takes in that a member refuses a snapshot from its beginning on. It was damaged on the way, or here: then it would be so again. Latest will say so from
// now on, and another one takes its place.
func (s *Sender) look(st *stream, now time.Duration) {
	if st.looked {
		st.moved = now - streamTimeout - 1 // the file may be damaged all the same: another one can have been written under its name since
		return
	}
	st.looked = true
	meta := st.file.Meta()
	if err := s.host.snapshots.Verify(meta); err != nil {
		s.host.logger.Error("a snapshot that is being sent is damaged; another one will be written", "group", uint64(st.group.id), "error", err)
		st.moved = now - streamTimeout - 1
		s.host.applier.inbox.put(applyWork{group: st.group, damaged: meta.Index}, 0, 0)
	}
}

// move sends chunks within the window and the rate. It reports false when the stream has ended.
func (s *Sender) move(st *stream, now time.Duration) bool {
	g := st.group
	// The host may have failed and the shard not know of it yet.
	leads := s.host.Err() == nil && g.Err() == nil && raft.Term(g.term.Load()) == st.term && raft.NodeID(g.leader.Load()) == s.host.config.ID
	if !leads || st.there >= st.size() || now-st.moved > streamTimeout {
		return s.end(st)
	}
	// Once in a while, not whenever there is credit: a member that does not answer would leave nothing to the others.
	if now-max(st.moved, st.retried) > streamRetry && st.sent > st.there {
		st.sent, st.retried = st.there, now
	}
	window := uint64(streamWindow * s.host.config.Compaction.ChunkBytes)
	for st.sent < st.size() && st.sent-st.there < window && s.chunks.bytes > 0 {
		if !s.sendChunk(st) {
			return s.end(st)
		}
	}
	return true
}

func (s *Sender) sendChunk(st *stream) bool {
	meta := st.file.Meta()
	data := make([]byte, min(uint64(s.host.config.Compaction.ChunkBytes), st.size()-st.sent))
	if _, err := st.file.ReadAt(data, int64(st.sent)); err != nil {
		s.host.logger.Error("a snapshot that is being sent could not be read", "group", uint64(st.group.id), "index", uint64(meta.Index), "error", err)
		return false
	}
	s.host.transport.Send(st.peer, wire.Packet{Group: st.group.id, Message: raft.InstallSnapshot{
		Term: st.term, LeaderID: s.host.config.ID,
		LastIncludedIndex: meta.Index, LastIncludedTerm: meta.Term, Configuration: meta.Configuration,
		Size: st.size(), Offset: st.sent, Data: data,
	}})
	st.sent += uint64(len(data))
	s.chunks.bytes -= int64(len(data))
	return true
}

// end ends a stream, and tells the core, which will see what the member answers.
func (s *Sender) end(st *stream) bool {
	st.file.Close()
	s.host.shard.inbox.put(input{kind: inputSnapshotSent, group: st.group, from: st.peer}, 0, 0)
	return false
}

// close lets go of the files that are being sent.
func (s *Sender) close() {
	for _, st := range s.streams {
		st.file.Close()
	}
	s.streams = nil
}
