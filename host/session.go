package host

import (
	"slices"

	"github.com/balsa-raft/balsa/internal/must"
	"github.com/balsa-raft/balsa/raft"
)

// Sessions make commands exactly once, whoever proposes them again, and on whichever member (thesis §6.3). A session is registered by an entry
// of the log, whose index is its id. Its client numbers its commands, and says with each the lowest number whose answer it still wants. The
// table of sessions is a state machine of the host's own beside each group's machine: it decides, for every entry, whether the machine executes
// it, and keeps the answers that are still wanted. It is in every snapshot, in front of the machine's state.
//
// What the table decides must be the same on all members, so it depends on the headers of the entries so far, and on nothing else: on no clock, on no
// limit of a member's own (they come with each registration), and on no answer, which a member may have lost that did not execute the
// command itself: see Durable.

// SessionLimits bound the table. They are in the log, so that all members have the same: those of the last registration are in force.
type SessionLimits struct {
	// SessionsMax is how many sessions there are. For another one, the session that was used the longest ago is forgotten; 65,536 by default.
	SessionsMax uint32
	// OpenMax is how far the number of a session's command can be beyond the lowest whose answer is wanted; 1,024 by default. Others are refused:
	// a count of answers would, once it is reached by later commands, keep that lowest one out for ever.
	OpenMax uint32
	// AnswersMax is how many executed commands of all sessions are remembered. For another one, the session that was used the longest ago is forgotten; 262,144
	// by default, and at least OpenMax.
	AnswersMax uint32
	// AnswerBytesMax is how much of the answers is kept; 64 MiB by default. Beyond that, and from an answer that is larger than an eighth of that, it
	// is remembered only that the command was executed, first for the oldest.
	AnswerBytesMax uint64
}

// SessionOpenMax is the default of SessionLimits.OpenMax.
const SessionOpenMax = 1 << 10

func (l SessionLimits) withDefaults() SessionLimits {
	if l.SessionsMax == 0 {
		l.SessionsMax = 1 << 16
	}
	if l.OpenMax == 0 {
		l.OpenMax = SessionOpenMax
	}
	if l.AnswersMax == 0 {
		l.AnswersMax = 1 << 18
	}
	l.AnswersMax = max(l.AnswersMax, l.OpenMax)
	if l.AnswerBytesMax == 0 {
		l.AnswerBytesMax = 64 << 20
	}
	return l
}

// SessionCommand names a command of a session.
type SessionCommand struct {
	Session raft.Index // the index of its registration
	Serial  uint64     // of the command, from 1
	Wanted  uint64     // commands with lower numbers will not be proposed again, and their answers are not wanted any more; at most Serial
}

// sessions is the table. Owned by the applier.
//
// Invariant: the list from oldest to newest has every session of byID once, by the last entry that named it.
type sessions struct {
	limits         SessionLimits
	byID           map[raft.Index]*session
	oldest, newest *session
	answers        int       // of all sessions
	bytes          uint64    // of them
	order          []*Answer // those with bytes, as they were executed, and some that are not wanted any more
}

type session struct {
	id      raft.Index
	wanted  uint64
	answers []*Answer // by ascending serial, from wanted on

	older, newer *session
}

// Answer is what is known of a command that was executed. The machine that executes it sets it.
type Answer struct {
	serial uint64
	index  raft.Index // of the entry that was executed
	state  answerState
	bytes  []byte
	gone   bool // from the table
}

type answerState uint8

const (
	answerNone answerState = iota // the machine gave none
	answerKept
	answerLost // it was too large, or is not known on this member
)

// Keep sets the answer. The bytes are the table's from then on.
func (a *Answer) Keep(b []byte) { a.state, a.bytes = answerKept, b }

// Lose says that there is an answer which cannot be kept.
func (a *Answer) Lose() { a.state, a.bytes = answerLost, nil }

func newSessions() sessions { return sessions{byID: map[raft.Index]*session{}} }

// register begins a session with the entry at i.
func (t *sessions) register(i raft.Index, l SessionLimits) {
	t.limits = l
	for len(t.byID) > 0 && (uint64(len(t.byID)) >= uint64(l.SessionsMax) || uint64(t.answers) > uint64(l.AnswersMax)) {
		t.forget(t.oldest)
	}
	t.add(&session{id: i})
}

func (t *sessions) add(s *session) {
	t.byID[s.id] = s
	t.link(s)
}

func (t *sessions) link(s *session) {
	s.older = t.newest
	if s.older == nil {
		t.oldest = s
	} else {
		s.older.newer = s
	}
	t.newest = s
}

func (t *sessions) unlink(s *session) {
	if s.older == nil {
		t.oldest = s.newer
	} else {
		s.older.newer = s.newer
	}
	if s.newer == nil {
		t.newest = s.older
	} else {
		s.newer.older = s.older
	}
	s.older, s.newer = nil, nil
}

// end forgets a session, if it is there.
func (t *sessions) end(id raft.Index) {
	if s := t.byID[id]; s != nil {
		t.forget(s)
	}
}

// forget removes a session. From now on its commands are refused: which of them were executed is not known any more (§6.3).
func (t *sessions) forget(s *session) {
	t.drop(s, len(s.answers))
	t.unlink(s)
	delete(t.byID, s.id)
}

// drop removes the first n answers of a session.
func (t *sessions) drop(s *session, n int) {
	for _, a := range s.answers[:n] {
		t.bytes -= uint64(len(a.bytes))
		a.gone = true
	}
	t.answers -= n
	s.answers = slices.Delete(s.answers, 0, n)
}

// verdict is what is to be done with a command.
type verdict uint8

const (
	verdictExecute   verdict = iota // for the first time
	verdictAnswered                 // it was executed
	verdictExpired                  // nothing is known of its session
	verdictForgotten                // it may have been executed: its client has said that it does not want to know
	verdictFull                     // its number is too far ahead
)

// take decides on the command at i. It comes with its answer, which has yet to be given if it is executed.
func (t *sessions) take(i raft.Index, c SessionCommand) (verdict, *Answer) {
	s := t.byID[c.Session]
	if s == nil {
		return verdictExpired, nil
	}
	t.unlink(s)
	t.link(s)
	if c.Wanted > s.wanted {
		s.wanted = c.Wanted
		n, _ := s.find(c.Wanted)
		t.drop(s, n)
	}
	if c.Serial < s.wanted {
		return verdictForgotten, nil
	}
	n, found := s.find(c.Serial)
	if found {
		return verdictAnswered, s.answers[n]
	}
	if c.Serial-s.wanted >= uint64(t.limits.OpenMax) {
		return verdictFull, nil
	}
	a := &Answer{serial: c.Serial, index: i}
	s.answers = slices.Insert(s.answers, n, a)
	for t.answers++; uint64(t.answers) > uint64(t.limits.AnswersMax) && t.oldest != s; {
		t.forget(t.oldest)
	}
	return verdictExecute, a
}

func (s *session) find(serial uint64) (int, bool) {
	return slices.BinarySearchFunc(s.answers, serial, func(a *Answer, serial uint64) int {
		switch {
		case a.serial < serial:
			return -1
		case a.serial > serial:
			return 1
		}
		return 0
	})
}

// look says what is known of a command, of which no entry has come.
func (t *sessions) look(c SessionCommand) (verdict, *Answer) {
	s := t.byID[c.Session]
	switch {
	case s == nil:
		return verdictExpired, nil
	case c.Serial < s.wanted:
		return verdictForgotten, nil
	}
	if n, found := s.find(c.Serial); found {
		return verdictAnswered, s.answers[n]
	}
	return verdictExecute, nil
}

// answered takes in what the machine has answered.
func (t *sessions) answered(a *Answer) {
	if a.gone || a.state != answerKept {
		return // somebody may still wait for it, but for nothing else
	}
	if uint64(len(a.bytes)) > t.limits.AnswerBytesMax/8 {
		a.Lose()
		return
	}
	t.bytes += uint64(len(a.bytes))
	t.order = append(t.order, a)
	for t.bytes > t.limits.AnswerBytesMax {
		must.Be1(len(t.order) > 0, "answers of %d bytes are in order", t.bytes)
		if oldest := t.order[0]; !oldest.gone {
			t.bytes -= uint64(len(oldest.bytes))
			oldest.Lose()
		}
		t.order[0] = nil
		t.order = t.order[1:]
	}
	if len(t.order) > 2*t.answers+64 {
		t.order = slices.DeleteFunc(t.order, func(a *Answer) bool { return a.gone })
	}
}
