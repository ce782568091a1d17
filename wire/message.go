package wire

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/balsa-raft/balsa/internal/must"
	"github.com/balsa-raft/balsa/raft"
)

// Packet kinds. A number is never used again for something else.
const (
	kindRequestVote byte = iota + 1
	kindRequestVoteReply
	kindAppendEntries
	kindAppendEntriesReply
	kindForwardProposals
	kindForwardReply
	kindReadIndex
	kindReadIndexReply
	kindTimeoutNow
	kindInstallSnapshot
	kindInstallSnapshotReply
	kindForwardChange
	kindForwardChangeReply
)

// Flags of the kinds that have a flag byte. Unknown flags are refused: a receiver that ignored one would take the
// message for another than was sent.
const (
	flagPreVote     byte = 1 << 0 // RequestVote, RequestVoteReply
	flagVoteGranted byte = 1 << 1 // RequestVoteReply
	flagTransfer    byte = 1 << 2 // RequestVote
	flagFounded     byte = 1 << 2 // RequestVoteReply
	flagStranger    byte = 1 << 3 // RequestVoteReply: since when follows the other fields
	flagVouch       byte = 1 << 4 // RequestVoteReply: what is known of the leader follows the other fields
	flagSuccess     byte = 1 << 0 // AppendEntriesReply
	flagPromise     byte = 1 << 1 // AppendEntriesReply: a promise follows the other fields
	flagLease       byte = 1 << 0 // ReadIndex
	flagForce       byte = 1 << 0 // ForwardChange
	flagReady       byte = 1 << 1 // ForwardChange
	flagApart       byte = 1 << 2 // ForwardChange
)

// AppendPacket appends the bytes of p to b:
//
//	kind u8 | uvarint group | fields of the kind
//
// The fields are uvarints in the order of the raft package's structs, except that bools are bits of one flag byte,
// which comes first, and that what repeats comes last: entries, commands, ids.
// It panics if p holds a message that no server sends: of no known type, or entries that do not follow PrevLogIndex.
func AppendPacket(b []byte, p Packet) []byte {
	switch m := p.Message.(type) {
	case raft.RequestVote:
		b = head(b, kindRequestVote, p.Group)
		b = append(b, bit(m.PreVote, flagPreVote)|bit(m.Transfer, flagTransfer))
		return uvarints(b, uint64(m.Term), uint64(m.CandidateID), uint64(m.LastLogIndex), uint64(m.LastLogTerm))
	case raft.RequestVoteReply:
		b = head(b, kindRequestVoteReply, p.Group)
		b = append(b, bit(m.VoteGranted, flagVoteGranted)|bit(m.PreVote, flagPreVote)|bit(m.Founded, flagFounded)|bit(m.Stranger != 0, flagStranger)|bit(m.Leader.ID != 0, flagVouch))
		b = uvarints(b, uint64(m.Term))
		if m.Stranger != 0 {
			b = uvarints(b, uint64(m.Stranger))
		}
		if m.Leader.ID != 0 {
			b = uvarints(b, uint64(m.Leader.ID), m.Leader.Incarnation, uint64(m.Leader.Index))
		}
		return b
	case raft.AppendEntries:
		mustFollow(m)
		b = head(b, kindAppendEntries, p.Group)
		b = uvarints(b, uint64(m.Term), uint64(m.LeaderID), uint64(m.PrevLogIndex), uint64(m.PrevLogTerm),
			uint64(m.LeaderCommit), m.ReadSeq)
		return AppendEntries(b, m.Entries)
	case raft.AppendEntriesReply:
		b = head(b, kindAppendEntriesReply, p.Group)
		b = append(b, bit(m.Success, flagSuccess)|bit(m.Promise > 0, flagPromise))
		b = uvarints(b, uint64(m.Term), uint64(m.MatchIndex), uint64(m.PrevLogIndex), uint64(m.ConflictTerm),
			uint64(m.ConflictIndex), m.ReadSeq)
		if m.Promise > 0 {
			b = uvarints(b, uint64(m.Promise))
		}
		return b
	case raft.ForwardProposals:
		b = head(b, kindForwardProposals, p.Group)
		b = uvarints(b, uint64(m.Term), m.Stream, m.Seq)
		return appendCommands(b, m.Commands)
	case raft.ForwardReply:
		b = head(b, kindForwardReply, p.Group)
		b = uvarints(b, uint64(m.Term), m.Stream, m.Seq)
		return append(b, byte(m.Reason))
	case raft.ReadIndex:
		b = head(b, kindReadIndex, p.Group)
		b = append(b, bit(m.Lease, flagLease))
		return uvarints(b, uint64(m.Term), m.Seq)
	case raft.ReadIndexReply:
		b = head(b, kindReadIndexReply, p.Group)
		return uvarints(b, uint64(m.Term), m.Seq, uint64(m.Index))
	case raft.TimeoutNow:
		b = head(b, kindTimeoutNow, p.Group)
		return uvarints(b, uint64(m.Term), uint64(m.LastLogIndex))
	case raft.InstallSnapshot:
		b = head(b, kindInstallSnapshot, p.Group)
		b = uvarints(b, uint64(m.Term), uint64(m.LeaderID), uint64(m.LastIncludedIndex), uint64(m.LastIncludedTerm),
			m.Size, m.Offset, uint64(len(m.Configuration)))
		b = append(b, m.Configuration...)
		b = uvarints(b, uint64(len(m.Data)))
		return append(b, m.Data...)
	case raft.InstallSnapshotReply:
		b = head(b, kindInstallSnapshotReply, p.Group)
		return uvarints(b, uint64(m.Term), uint64(m.LastIncludedIndex), m.Offset)
	case raft.ForwardChange:
		return appendChange(head(b, kindForwardChange, p.Group), m)
	case raft.ForwardChangeReply:
		return appendChangeReply(head(b, kindForwardChangeReply, p.Group), m)
	}
	must.Be(false, "every message has an encoding; %T has none", p.Message)
	return nil
}

// PacketSizeMax returns an upper bound of the bytes that AppendPacket writes for p, without writing them.
func PacketSizeMax(p Packet) int {
	const fixed = 2 + 12*binary.MaxVarintLen64 // kind, flags, group and up to eleven fields and counts
	n := fixed
	switch m := p.Message.(type) {
	case raft.AppendEntries:
		for i := range m.Entries {
			n += 2*binary.MaxVarintLen64 + 1 + len(m.Entries[i].Data)
		}
	case raft.ForwardProposals:
		for i := range m.Commands {
			n += binary.MaxVarintLen64 + len(m.Commands[i])
		}
	case raft.InstallSnapshot:
		n += len(m.Configuration) + len(m.Data)
	case raft.ForwardChange:
		n += changeBytes(m.Change)
	case raft.ForwardChangeReply:
		n += min(len(m.Detail), detailBytesMax) + binary.MaxVarintLen64*len(m.Unreachable)
	}
	return n
}

// DecodePacket decodes b, which is exactly what AppendPacket wrote. The Data of entries and proposals alias b.
// Besides the form it checks what needs no state: the entries of an AppendEntries follow its PrevLogIndex, and
// terms neither fall along them nor exceed the message's. Every error wraps ErrMalformed.
func DecodePacket(b []byte) (Packet, error) {
	if len(b) == 0 {
		return Packet{}, fmt.Errorf("%w: empty packet", ErrMalformed)
	}
	r := reader{b: b[1:]}
	p := Packet{Group: raft.GroupID(r.uint("group"))}
	switch b[0] {
	case kindRequestVote:
		p.Message = r.requestVote()
	case kindRequestVoteReply:
		p.Message = r.requestVoteReply()
	case kindAppendEntries:
		p.Message = r.appendEntries()
	case kindAppendEntriesReply:
		p.Message = r.appendEntriesReply()
	case kindForwardProposals:
		p.Message = r.forwardProposals()
	case kindForwardReply:
		p.Message = r.forwardReply()
	case kindReadIndex:
		f := r.flags(flagLease)
		p.Message = raft.ReadIndex{Lease: f&flagLease != 0, Term: r.term("term"), Seq: r.uint("seq")}
	case kindReadIndexReply:
		p.Message = raft.ReadIndexReply{Term: r.term("term"), Seq: r.uint("seq"), Index: r.index("index")}
	case kindTimeoutNow:
		p.Message = raft.TimeoutNow{Term: r.term("term"), LastLogIndex: r.index("last log index")}
	case kindInstallSnapshot:
		p.Message = r.installSnapshot()
	case kindInstallSnapshotReply:
		p.Message = raft.InstallSnapshotReply{Term: r.term("term"), LastIncludedIndex: r.index("last included index"), Offset: r.uint("offset")}
	case kindForwardChange:
		p.Message = r.change()
	case kindForwardChangeReply:
		p.Message = r.changeReply()
	default:
		return Packet{}, fmt.Errorf("%w: packet kind %d, which this version does not know", ErrMalformed, b[0])
	}
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes after the packet's end", len(r.b))
	}
	if r.err != nil {
		return Packet{}, fmt.Errorf("packet of kind %d: %w", b[0], r.err)
	}
	return p, nil
}

// HasData reports whether the packet that b starts with is of a kind whose decoded form aliases b: one that carries
// entries, proposals or a piece of a snapshot. A reader that reuses b must give such packets memory of their own.
func HasData(b []byte) bool {
	return len(b) > 0 && (b[0] == kindAppendEntries || b[0] == kindForwardProposals || b[0] == kindInstallSnapshot)
}

func head(b []byte, kind byte, g raft.GroupID) []byte {
	return binary.AppendUvarint(append(b, kind), uint64(g))
}

func uvarints(b []byte, vs ...uint64) []byte {
	for _, v := range vs {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func bit(set bool, f byte) byte {
	if set {
		return f
	}
	return 0
}

func appendCommands(b []byte, commands [][]byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(commands)))
	for _, c := range commands {
		b = binary.AppendUvarint(b, uint64(len(c)))
		b = append(b, c...)
	}
	return b
}

// mustFollow checks m before it is written. The bytes hold only the first entry's index, so entries with a gap
// would silently become others at the receiver.
func mustFollow(m raft.AppendEntries) {
	n := len(m.Entries)
	if n == 0 {
		return
	}
	first, last := m.Entries[0].Index, m.Entries[n-1].Index
	// The if keeps the arguments, which are boxed, off the path of every message.
	if first != m.PrevLogIndex+1 || last != first+raft.Index(n-1) {
		must.Be(false, "entries follow the log without a gap: %d are %d..%d after %d", n, first, last, m.PrevLogIndex)
	}
}

// reader takes fields off b. It keeps the first error, after which every field is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
	}
}

func (r *reader) uint(what string) uint64 {
	if r.err != nil {
		return 0
	}
	var v uint64
	v, r.b, r.err = uvarint(r.b, what)
	return v
}

func (r *reader) term(what string) raft.Term   { return raft.Term(r.uint(what)) }
func (r *reader) index(what string) raft.Index { return raft.Index(r.uint(what)) }

func (r *reader) byte(what string) byte {
	if r.err == nil && len(r.b) == 0 {
		r.fail("ends before its %s", what)
	}
	if r.err != nil {
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) flags(known byte) byte {
	f := r.byte("flags")
	if unknown := f &^ known; unknown != 0 {
		r.fail("flag bit %d, which this version does not know", bits.TrailingZeros8(unknown))
	}
	return f
}

// count reads how many items follow, each of at least itemBytesMin bytes: the check that keeps a short message from
// asking for a long slice.
func (r *reader) count(what string, itemBytesMin uint64) int {
	n := r.uint(what)
	if n > uint64(len(r.b))/itemBytesMin {
		r.fail("%s of %d in %d bytes", what, n, len(r.b))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *reader) requestVote() raft.Message {
	f := r.flags(flagPreVote | flagTransfer)
	return raft.RequestVote{
		PreVote:      f&flagPreVote != 0,
		Transfer:     f&flagTransfer != 0,
		Term:         r.term("term"),
		CandidateID:  raft.NodeID(r.uint("candidate id")),
		LastLogIndex: r.index("last log index"),
		LastLogTerm:  r.term("last log term"),
	}
}

func (r *reader) requestVoteReply() raft.Message {
	f := r.flags(flagPreVote | flagVoteGranted | flagFounded | flagStranger | flagVouch)
	m := raft.RequestVoteReply{
		PreVote:     f&flagPreVote != 0,
		VoteGranted: f&flagVoteGranted != 0,
		Founded:     f&flagFounded != 0,
		Term:        r.term("term"),
	}
	if f&flagStranger != 0 {
		if m.Stranger = r.index("index"); r.err == nil && m.Stranger == 0 {
			r.fail("says since when its receiver is a stranger, and that is never")
		}
	}
	if f&flagVouch != 0 {
		m.Leader = raft.Vouch{ID: raft.NodeID(r.uint("leader id")), Incarnation: r.uint("incarnation"), Index: r.index("index")}
		if r.err == nil && m.Leader.ID == 0 {
			r.fail("vouches for nobody")
		}
	}
	return m
}

func (r *reader) appendEntries() raft.Message {
	m := raft.AppendEntries{
		Term:         r.term("term"),
		LeaderID:     raft.NodeID(r.uint("leader id")),
		PrevLogIndex: r.index("previous log index"),
		PrevLogTerm:  r.term("previous log term"),
		LeaderCommit: r.index("leader commit"),
		ReadSeq:      r.uint("read seq"),
	}
	if r.err == nil {
		m.Entries, r.b, r.err = Entries(r.b)
	}
	r.checkEntries(&m)
	return m
}

// checkEntries refuses entries that no leader's log holds. A log whose terms fall breaks the search for the place
// where logs agree, in whoever stores it.
func (r *reader) checkEntries(m *raft.AppendEntries) {
	if r.err != nil {
		return
	}
	if m.PrevLogTerm > m.Term {
		r.fail("previous log term %d in a message of term %d", m.PrevLogTerm, m.Term)
		return
	}
	if len(m.Entries) == 0 {
		return
	}
	if first := m.Entries[0].Index; first != m.PrevLogIndex+1 {
		r.fail("entries from %d after previous log index %d", first, m.PrevLogIndex)
		return
	}
	term := max(m.PrevLogTerm, 1)
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Term < term || e.Term > m.Term {
			r.fail("entry %d of term %d where terms %d to %d can be", e.Index, e.Term, term, m.Term)
			return
		}
		term = e.Term
	}
}

func (r *reader) appendEntriesReply() raft.Message {
	f := r.flags(flagSuccess | flagPromise)
	m := raft.AppendEntriesReply{
		Success:       f&flagSuccess != 0,
		Term:          r.term("term"),
		MatchIndex:    r.index("match index"),
		PrevLogIndex:  r.index("previous log index"),
		ConflictTerm:  r.term("conflict term"),
		ConflictIndex: r.index("conflict index"),
		ReadSeq:       r.uint("read seq"),
	}
	if f&flagPromise != 0 {
		if m.Promise = raft.Nanos(r.uint("promise")); m.Promise == 0 {
			r.fail("a promise of no time")
		}
	}
	return m
}

func (r *reader) installSnapshot() raft.Message {
	m := raft.InstallSnapshot{
		Term:              r.term("term"),
		LeaderID:          raft.NodeID(r.uint("leader id")),
		LastIncludedIndex: r.index("last included index"),
		LastIncludedTerm:  r.term("last included term"),
		Size:              r.uint("size"),
		Offset:            r.uint("offset"),
	}
	if r.err != nil {
		return m
	}
	var data []byte
	if data, r.b, r.err = bytesField(r.b, "configuration"); len(data) > 0 {
		m.Configuration = data
	}
	if r.err != nil {
		return m
	}
	if data, r.b, r.err = bytesField(r.b, "snapshot data"); len(data) > 0 {
		m.Data = data
	}
	if n := uint64(len(data)); m.Offset+n < n || m.Offset+n > m.Size {
		r.fail("%d bytes at offset %d of a snapshot of %d", n, m.Offset, m.Size)
	}
	return m
}

func (r *reader) forwardProposals() raft.Message {
	m := raft.ForwardProposals{Term: r.term("term"), Stream: r.uint("stream"), Seq: r.uint("seq")}
	const commandBytesMin = 1
	n := r.count("commands", commandBytesMin)
	if n == 0 {
		return m
	}
	m.Commands = make([][]byte, n)
	for i := range m.Commands {
		if r.err != nil {
			return m
		}
		var command []byte
		if command, r.b, r.err = bytesField(r.b, "command"); len(command) > 0 {
			m.Commands[i] = command
		}
	}
	return m
}

func (r *reader) forwardReply() raft.Message {
	// A reason that this version has no name for is passed on: that the stream has ended is all that matters.
	return raft.ForwardReply{
		Term: r.term("term"), Stream: r.uint("stream"), Seq: r.uint("seq"), Reason: raft.RefuseReason(r.byte("reason")),
	}
}
