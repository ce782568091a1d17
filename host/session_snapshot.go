package host

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/balsa-raft/balsa/raft"
)

// The table of sessions in a snapshot, in front of what the machine writes:
//
//	magic "BLSs" | format u8 | payload length u64 | payload
//
//	payload  = number SessionsMax, OpenMax, AnswersMax, AnswerBytesMax, number of sessions, that many sessions
//	session  = number id, number wanted, number of answers, that many answers; the one that was used the longest ago comes first
//	answer   = number serial, less that of the answer before it, or less wanted; number index; state byte; with state 1 number of bytes, bytes
//
// A number is an unsigned varint in its shortest form. The snapshot's own checksums cover all of it.

const (
	sessionsMagic  = "BLSs"
	sessionsFormat = 1
	sessionsHead   = len(sessionsMagic) + 1 + 8
)

// pinnedSessions is the table as it was at one moment.
type pinnedSessions struct {
	limits   SessionLimits
	sessions []pinnedSession
}

type pinnedSession struct {
	id      raft.Index
	wanted  uint64
	answers []Answer
}

// pin copies the table, but for the answers' bytes, which do not change.
func (t *sessions) pin() pinnedSessions {
	p := pinnedSessions{limits: t.limits, sessions: make([]pinnedSession, 0, len(t.byID))}
	answers := make([]Answer, 0, t.answers)
	for s := t.oldest; s != nil; s = s.newer {
		first := len(answers)
		for _, a := range s.answers {
			answers = append(answers, *a)
		}
		p.sessions = append(p.sessions, pinnedSession{id: s.id, wanted: s.wanted, answers: answers[first:len(answers):len(answers)]})
	}
	return p
}

// encode returns the section of a snapshot.
func (p pinnedSessions) encode() []byte {
	b := append([]byte(sessionsMagic), sessionsFormat)
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = binary.AppendUvarint(b, uint64(p.limits.SessionsMax))
	b = binary.AppendUvarint(b, uint64(p.limits.OpenMax))
	b = binary.AppendUvarint(b, uint64(p.limits.AnswersMax))
	b = binary.AppendUvarint(b, p.limits.AnswerBytesMax)
	b = binary.AppendUvarint(b, uint64(len(p.sessions)))
	for _, s := range p.sessions {
		b = binary.AppendUvarint(b, uint64(s.id))
		b = binary.AppendUvarint(b, s.wanted)
		b = binary.AppendUvarint(b, uint64(len(s.answers)))
		before := s.wanted
		for i := range s.answers {
			a := &s.answers[i]
			b = binary.AppendUvarint(b, a.serial-before)
			b = binary.AppendUvarint(b, uint64(a.index))
			b = append(b, byte(a.state))
			if a.state == answerKept {
				b = binary.AppendUvarint(b, uint64(len(a.bytes)))
				b = append(b, a.bytes...)
			}
			before = a.serial
		}
	}
	binary.LittleEndian.PutUint64(b[sessionsHead-8:], uint64(len(b)-sessionsHead))
	return b
}

// before returns a function that writes the table and then what write does.
func (p pinnedSessions) before(write func(io.Writer) error) func(io.Writer) error {
	return func(w io.Writer) error {
		if _, err := w.Write(p.encode()); err != nil {
			return errors.Join(err, write(failingWriter{err})) // it is called once, whatever happens: to give up what it has pinned
		}
		return write(w)
	}
}

// ReadSessionTable takes the table of sessions off the front of a snapshot, and returns its bytes. Members that have executed the same entries
// have the same bytes, but for answers that were lost.
func ReadSessionTable(r io.Reader) ([]byte, error) {
	var head [sessionsHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("the table of sessions: %w", err)
	}
	if string(head[:len(sessionsMagic)]) != sessionsMagic {
		return nil, errors.New("the table of sessions is not there")
	}
	if f := head[len(sessionsMagic)]; f != sessionsFormat {
		return nil, fmt.Errorf("the table of sessions has format %d, which this version does not know", f)
	}
	length := binary.LittleEndian.Uint64(head[sessionsHead-8:])
	if length > 1<<62 {
		return nil, fmt.Errorf("a table of sessions of %d bytes", length)
	}
	var b bytes.Buffer // grows as the bytes come: the length is believed when they are there
	if _, err := io.CopyN(&b, r, int64(length)); err != nil {
		return nil, fmt.Errorf("the table of sessions, after %d of %d bytes: %w", b.Len(), length, err)
	}
	return b.Bytes(), nil
}

// SameSessions reports whether two tables, as ReadSessionTable returns them, are the same but for answers that one of them has lost: how long an answer
// is kept depends on how many entries a member executed at a time, and nothing depends on it.
func SameSessions(a, b []byte) bool {
	s, errS := decodeSessions(a)
	t, errT := decodeSessions(b)
	if errS != nil || errT != nil || len(s.byID) != len(t.byID) {
		return false
	}
	for of := s.oldest; of != nil; of = of.newer {
		in := t.byID[of.id]
		if in == nil || len(in.answers) != len(of.answers) {
			return false
		}
		for i, a := range of.answers {
			if o := in.answers[i]; a.state == answerLost || o.state == answerLost {
				a.Lose()
				o.Lose()
			}
		}
	}
	return bytes.Equal(s.pin().encode(), t.pin().encode())
}

// decodeSessions makes a table of its bytes, which it keeps.
func decodeSessions(b []byte) (sessions, error) {
	d := sessionsReader{b: b}
	t := newSessions()
	t.limits = SessionLimits{
		SessionsMax: uint32(d.number(1<<32 - 1)), OpenMax: uint32(d.number(1<<32 - 1)), AnswersMax: uint32(d.number(1<<32 - 1)),
		AnswerBytesMax: d.number(1<<64 - 1),
	}
	const sessionBytesMin = 3
	n := d.count(sessionBytesMin)
	if uint64(n) > max(1, uint64(t.limits.SessionsMax)) {
		d.fail("%d sessions, and there can be %d", n, t.limits.SessionsMax)
	}
	for range n {
		s := d.session()
		if d.err == nil && (s.id == 0 || t.byID[s.id] != nil) {
			d.fail("a session %d cannot be, or is there twice", s.id)
		}
		if d.err != nil {
			break
		}
		t.add(s)
		t.answers += len(s.answers)
		for _, a := range s.answers {
			if a.state == answerKept {
				t.bytes += uint64(len(a.bytes))
				t.order = append(t.order, a)
			}
		}
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes follow its end", len(d.b))
	}
	if d.err != nil {
		return sessions{}, fmt.Errorf("the table of sessions: %w", d.err)
	}
	slices.SortFunc(t.order, func(a, b *Answer) int { return cmp.Compare(a.index, b.index) })
	return t, nil
}

// sessionsReader takes fields off b. It keeps the first error, after which every field is zero.
type sessionsReader struct {
	b   []byte
	err error
}

func (d *sessionsReader) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

func (d *sessionsReader) number(most uint64) uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && d.b[n-1] == 0 || v > most {
		d.fail("no number up to %d, %d bytes before the end", most, len(d.b))
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count is a number of items that follow, of at least itemBytesMin bytes each.
func (d *sessionsReader) count(itemBytesMin int) int {
	n := d.number(1<<64 - 1)
	if n > uint64(len(d.b)/itemBytesMin) {
		d.fail("%d items in %d bytes", n, len(d.b))
		return 0
	}
	return int(n)
}

func (d *sessionsReader) session() *session {
	s := &session{id: raft.Index(d.number(1<<64 - 1)), wanted: d.number(1<<64 - 1)}
	const answerBytesMin = 3
	n := d.count(answerBytesMin)
	s.answers = make([]*Answer, 0, n)
	serial := s.wanted
	for i := range n {
		more := d.number(1<<64 - 1)
		a := &Answer{serial: serial + more, index: raft.Index(d.number(1<<64 - 1))}
		if a.serial < serial || more == 0 && i > 0 || a.index == 0 {
			d.fail("answer %d at entry %d follows %d", a.serial, a.index, serial)
		}
		serial = a.serial
		d.answer(a)
		if d.err != nil {
			return s
		}
		s.answers = append(s.answers, a)
	}
	return s
}

func (d *sessionsReader) answer(a *Answer) {
	if d.err != nil || len(d.b) == 0 {
		d.fail("answer %d ends before its state", a.serial)
		return
	}
	a.state, d.b = answerState(d.b[0]), d.b[1:]
	switch a.state {
	case answerNone, answerLost:
	case answerKept:
		n := d.count(1)
		a.bytes, d.b = d.b[:n:n], d.b[n:]
	default:
		d.fail("answer %d has state %d, which this version does not know", a.serial, a.state)
	}
}
