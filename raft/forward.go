package raft

import "slices"

// Forwarding: proposals on their way from a follower to the leader (§6.2), so that none is lost while both are connected and none is
// appended twice, whatever the network does.
//
// What a follower forwards in a term is a stream: messages numbered 1, 2, 3, ... under a number of the stream's own. The leader takes only the next one,
// and answers with how far it has taken the stream. The follower keeps what has no answer and sends it again. A leader that cannot take the next one ends
// the stream: that one and all behind it are refused, for ever, so the refusal too can be repeated until it arrives. The follower then begins
// another stream. A stream belongs to one term: what the leader of another term makes of it is not known here before entries of
// that term are applied.

// forwards is a follower's end of its stream.
type forwards struct {
	lastStream uint64 // its number is never given again, not even by a later incarnation

	term    Term      // of the stream; it is of use only while that is currentTerm
	stream  uint64    // zero: none is open
	lastSeq uint64    // of its last message
	kept    []forward // without an answer, oldest first
	bytes   uint64    // of kept

	sent    int    // how many of kept are under way, as far as is known
	probing bool   // some were lost: the oldest goes alone until there is an answer, or a leader that is slow would be sent all of them again and again
	askedAt uint64 // Raft.ticks when the oldest was sent, or the last answer came
	wait    uint64 // ticks from askedAt until it is sent again
}

type forward struct {
	ForwardProposals
	ids   []uint64 // of its commands
	bytes uint64
}

// forward passes proposals on to the leader.
func (r *Raft) forward(ps []Proposal) error {
	f := &r.forwards
	if f.stream == 0 || f.term != r.currentTerm {
		*f = forwards{lastStream: f.lastStream + 1, term: r.currentTerm, stream: f.lastStream + 1}
	}
	if f.bytes >= r.config.InflightBytesMax {
		return ErrWindowFull
	}
	f.lastSeq++
	m := forward{
		ForwardProposals: ForwardProposals{Term: f.term, Stream: f.stream, Seq: f.lastSeq, Commands: make([][]byte, len(ps))},
		ids:              make([]uint64, len(ps)),
	}
	for i := range ps {
		m.Commands[i], m.ids[i] = ps[i].Data, ps[i].ID
		m.bytes += Entry{Data: ps[i].Data}.Size()
	}
	if len(f.kept) == 0 {
		f.restartTimer(r)
	}
	f.kept = append(f.kept, m)
	f.bytes += m.bytes
	r.sendForwards()
	return nil
}

// sendForwards sends what is not under way.
func (r *Raft) sendForwards() {
	f := &r.forwards
	if r.role != Follower || r.leader == 0 || f.term != r.currentTerm {
		return
	}
	for f.sent < len(f.kept) && (!f.probing || f.sent == 0) {
		r.send(r.leader, f.kept[f.sent].ForwardProposals)
		f.sent++
	}
}

// resendForwards begins again with the oldest that has no answer.
func (r *Raft) resendForwards() {
	f := &r.forwards
	if len(f.kept) > 0 {
		f.sent, f.probing, f.askedAt = 0, true, r.ticks
		r.sendForwards()
	}
}

func (f *forwards) restartTimer(r *Raft) {
	f.askedAt, f.wait = r.ticks, uint64(2*r.config.HeartbeatTicks)
}

// tickForwards sends again what got no answer, less and less often: a leader that cannot be reached has no use for it.
func (r *Raft) tickForwards() {
	f := &r.forwards
	if len(f.kept) > 0 && r.ticks-f.askedAt >= f.wait {
		f.wait = min(2*f.wait, uint64(r.config.ElectionTicks))
		r.resendForwards()
	}
}

func (r *Raft) onForwardReply(m ForwardReply) {
	f := &r.forwards
	if f.stream == 0 || m.Stream != f.stream || m.Term != f.term || m.Seq > f.lastSeq {
		return // it answers an earlier stream
	}
	n := 0
	for n < len(f.kept) && f.kept[n].Seq <= m.Seq {
		f.bytes -= f.kept[n].bytes
		n++
	}
	if n > 0 {
		f.kept = slices.Delete(f.kept, 0, n)
		f.sent = max(0, f.sent-n)
		f.probing = false
		f.restartTimer(r)
	}
	if m.Reason != 0 {
		r.refusedForwards(m.Reason)
	}
	r.sendForwards()
}

// refusedForwards ends the stream: what is left of it is in no log.
func (r *Raft) refusedForwards(reason RefuseReason) {
	f := &r.forwards
	refused := Refused{Term: f.term, Reason: reason}
	for i := range f.kept {
		refused.IDs = append(refused.IDs, f.kept[i].ids...)
	}
	if len(refused.IDs) > 0 {
		r.effects.Refused = append(r.effects.Refused, refused)
	}
	*f = forwards{lastStream: f.lastStream}
}

// inflow is what a server knows of the streams that others send it.
type inflow struct {
	// Of terms up to this one nothing is known any more: an earlier incarnation, or leadership, may have taken what comes.
	forgotten Term
	streams   []inStream // one a sender and data folder, the latest; of members, so there are never more than the folders of those that were members in this time
}

// inStream is the other end of a stream.
type inStream struct {
	from   NodeID
	folder uint64 // data folder of from; zero: not known yet
	term   Term
	stream uint64
	taken  uint64       // the messages up to this one are in the log
	closed RefuseReason // not zero: none behind taken ever will be
	due    bool         // an answer is
}

// beginTerm begins a leadership. No stream reaches from an earlier term into it.
func (f *inflow) beginTerm(t Term) { *f = inflow{forgotten: t - 1} }

// of is the stream of a sender with that data folder; if that is not known, its last one.
func (f *inflow) of(from NodeID, folder uint64) (last *inStream) {
	for i := range f.streams {
		s := &f.streams[i]
		if s.from == from && (s.folder == folder || s.folder == 0 || folder == 0) {
			last = s
		}
	}
	return last
}

func (r *Raft) onForwardProposals(from NodeID, m ForwardProposals) {
	r.updateTerm(m.Term)
	if m.Term <= r.inflow.forgotten {
		return // it may be in the log: appended again it would be executed twice, and a refusal could be a lie
	}
	is, member := r.members.inForce().Member(from)
	s := r.inflow.of(from, is.Incarnation)
	if s == nil {
		if !member {
			return // anybody could fill the memory
		}
		r.inflow.streams = append(r.inflow.streams, inStream{from: from, folder: is.Incarnation})
		s = &r.inflow.streams[len(r.inflow.streams)-1]
	}
	if s.folder != 0 && is.Incarnation == 0 && (member || m.Stream != s.stream) {
		// It was removed, or added again, and it is not known yet with which folder it is there. What is taken now could be taken once more when it is known, and what follows it never.
		return
	}
	switch {
	case m.Term < s.term || m.Term == s.term && m.Stream < s.stream:
		return // its stream has ended
	case m.Term > s.term || m.Stream > s.stream:
		*s = inStream{from: from, folder: s.folder, term: m.Term, stream: m.Stream}
	}
	if r.role != Leader || m.Term != r.currentTerm {
		s.closed = RefusedNotLeader // it does not lead that term, and never will again
	}
	switch {
	case s.closed != 0:
	case m.Seq <= s.taken: // a copy: the answer may have been lost
	case m.Seq > s.taken+1:
		return // one before it is missing, and will be sent again
	default:
		s.take(r, m.Commands)
	}
	s.due = true
}

// followMembers takes in which data folders the members have by the configuration that is in force now. One that comes back with an empty one has forgotten how it numbered its
// streams, and may begin with a smaller number: all that it sends would be taken for copies, until the term ends. So a stream belongs to a folder, the first that is
// written down of its sender if it came before, and what is known of it is kept: the configuration that brought another one may yet be undone.
func (f *inflow) followMembers(c Configuration) {
	for i := range f.streams {
		if s := &f.streams[i]; s.folder == 0 {
			is, _ := c.Member(s.from)
			s.folder = is.Incarnation
		}
	}
}

// take appends the next message's commands.
func (s *inStream) take(r *Raft, commands [][]byte) {
	es := make([]Entry, len(commands))
	for i := range es {
		es[i].Data = commands[i]
	}
	switch {
	case r.transfer.to != 0:
		s.closed = RefusedTransferring
	case r.appendProposed(es) != nil:
		s.closed = RefusedOverloaded
	default:
		s.taken++
	}
}

// answerForwards tells how far streams are taken, once for all messages that have come.
func (r *Raft) answerForwards() {
	for i := range r.inflow.streams {
		if s := &r.inflow.streams[i]; s.due {
			s.due = false
			r.sendWhenTermDurable(s.from, ForwardReply{Term: s.term, Stream: s.stream, Seq: s.taken, Reason: s.closed})
		}
	}
}
