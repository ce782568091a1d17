package host

import (
	"encoding/binary"
	"fmt"

	"github.com/balsa-raft/balsa/raft"
)

// Entries that concern sessions have origin zero, which no member draws, and their header goes on from there:
//
//	0 u64 | origin u64 | id u64 | kind u8 | fields of the kind | command
//
//	kind 1  registration   SessionsMax u32, OpenMax u32, AnswersMax u32, AnswerBytesMax u64
//	kind 2  command        session u64, serial u64, wanted u64; then the command
//	kind 3  end            session u64
//
// So the header of other commands has nothing to say about sessions.

const (
	sessionMark = 8                             // bytes before origin and id
	sessionHead = sessionMark + HeaderBytes + 1 // up to the fields
	limitsBytes = 3*4 + 8                       // kind 1
	tagBytes    = 3 * 8                         // kind 2
	endBytes    = 8                             // kind 3
)

// SessionHeaderBytes is how much room the Data of a session's command leaves at its front for the host.
const SessionHeaderBytes = sessionHead + tagBytes

// sessionKind says what an entry is about.
type sessionKind byte

const (
	kindRegister sessionKind = iota + 1
	kindSessionCommand
	kindEnd
)

// RegisterSession makes p the registration of a session, whose id is the index that it will be applied at.
func (p *Proposal) RegisterSession(l SessionLimits) {
	l = l.withDefaults()
	b := make([]byte, sessionHead, sessionHead+limitsBytes)
	b[sessionHead-1] = byte(kindRegister)
	b = binary.LittleEndian.AppendUint32(b, l.SessionsMax)
	b = binary.LittleEndian.AppendUint32(b, l.OpenMax)
	b = binary.LittleEndian.AppendUint32(b, l.AnswersMax)
	p.Data, p.session = binary.LittleEndian.AppendUint64(b, l.AnswerBytesMax), &sessionProposal{}
}

// EndSession makes p the end of a session.
func (p *Proposal) EndSession(id raft.Index) {
	b := make([]byte, sessionHead, sessionHead+endBytes)
	b[sessionHead-1] = byte(kindEnd)
	p.Data, p.session = binary.LittleEndian.AppendUint64(b, uint64(id)), &sessionProposal{}
}

// InSession makes p a command of a session. Data has SessionHeaderBytes of room and then the command.
func (p *Proposal) InSession(c SessionCommand) {
	p.Data[sessionHead-1] = byte(kindSessionCommand)
	f := p.Data[sessionHead:]
	binary.LittleEndian.PutUint64(f, uint64(c.Session))
	binary.LittleEndian.PutUint64(f[8:], c.Serial)
	binary.LittleEndian.PutUint64(f[16:], c.Wanted)
	p.session = &sessionProposal{command: c}
}

// sessionProposal is what a proposal that concerns sessions has beside what all have.
type sessionProposal struct {
	command SessionCommand // zero for a registration or an end

	// The answer, of a command that was executed before this proposal of it. Guarded by Group.mu.
	answer   []byte
	kept     bool // there is one
	answered bool // it was executed before
}

func (s *sessionProposal) isCommand() bool { return s != nil && s.command.Session != 0 }

// sessionEntry is what an entry with origin zero says.
type sessionEntry struct {
	kind    sessionKind
	limits  SessionLimits
	tag     SessionCommand // of kindEnd the Session alone
	command []byte
}

// isSessionEntry reports whether an entry concerns sessions.
func isSessionEntry(data []byte) bool { return binary.LittleEndian.Uint64(data) == 0 }

func decodeSessionEntry(e *raft.Entry) (s sessionEntry, err error) {
	if len(e.Data) < sessionHead {
		return s, fmt.Errorf("entry %d has a header of %d bytes", e.Index, len(e.Data))
	}
	s.kind = sessionKind(e.Data[sessionHead-1])
	f := e.Data[sessionHead:len(e.Data):len(e.Data)]
	switch {
	case s.kind == kindRegister && len(f) == limitsBytes:
		s.limits = SessionLimits{
			SessionsMax: binary.LittleEndian.Uint32(f), OpenMax: binary.LittleEndian.Uint32(f[4:]), AnswersMax: binary.LittleEndian.Uint32(f[8:]),
			AnswerBytesMax: binary.LittleEndian.Uint64(f[12:]),
		}
	case s.kind == kindSessionCommand && len(f) >= tagBytes:
		s.tag = SessionCommand{
			Session: raft.Index(binary.LittleEndian.Uint64(f)), Serial: binary.LittleEndian.Uint64(f[8:]), Wanted: binary.LittleEndian.Uint64(f[16:]),
		}
		s.command = f[tagBytes:]
	case s.kind == kindEnd && len(f) == endBytes:
		s.tag.Session = raft.Index(binary.LittleEndian.Uint64(f))
	default:
		// A newer version may know it. Skipping it would make this member differ from those that can read it.
		return s, fmt.Errorf("entry %d is of kind %d of a session's, with %d bytes, which this version does not know", e.Index, s.kind, len(f))
	}
	return s, nil
}
