package sim

import (
	"encoding/binary"
	"slices"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// Which commands machines are to execute depends on the entries of the log alone: all but those of sessions that were executed before, or of which nothing
// is known any more (thesis §6.3). This is the same table as host's, written down once more, as simply as can be. That members agree is not enough: all of them
// could leave out a command, or forget a session that is in use.

// reference is what the committed entries say so far.
type reference struct {
	entries  map[place]logEntry // that were seen, and are not yet committed
	limits   host.SessionLimits
	sessions []openSession // the one that was used the longest ago first
	answers  int
	due      []raft.Index // to be executed, and not yet, ascending
	not      map[raft.Index]verdict
}

// logEntry is what an entry says of commands.
type logEntry struct {
	kind   byte // zero: a command of no session
	limits host.SessionLimits
	tag    host.SessionCommand
}

// Kinds of entries that concern sessions, as in docs/formats.md.
const (
	entryRegister byte = iota + 1
	entryCommand
	entryEnd
)

type openSession struct {
	id     raft.Index
	wanted uint64
	serial []uint64 // executed, from wanted on
}

// verdict is why a command is not to be executed.
type verdict string

// saw takes in an entry that was not seen before.
func (f *reference) saw(e *raft.Entry) {
	le := binary.LittleEndian
	if e.Type != raft.EntryCommand || len(e.Data) < host.HeaderBytes {
		return
	}
	var is logEntry
	if le.Uint64(e.Data) == 0 {
		const head = 8 + host.HeaderBytes
		fields := e.Data[head+1:]
		switch is.kind = e.Data[head]; is.kind {
		case entryRegister:
			is.limits = host.SessionLimits{SessionsMax: le.Uint32(fields), OpenMax: le.Uint32(fields[4:]), AnswersMax: le.Uint32(fields[8:])}
		case entryCommand:
			is.tag = host.SessionCommand{Session: raft.Index(le.Uint64(fields)), Serial: le.Uint64(fields[8:]), Wanted: le.Uint64(fields[16:])}
		case entryEnd:
			is.tag.Session = raft.Index(le.Uint64(fields))
		}
	}
	f.entries[place{e.Index, e.Term}] = is
}

// commit takes in that an entry is committed.
func (f *reference) commit(at place) {
	is, ok := f.entries[at]
	if !ok {
		return // it is no command
	}
	delete(f.entries, at)
	switch is.kind {
	case entryRegister:
		f.register(at.index, is.limits)
	case entryEnd:
		f.sessions = slices.DeleteFunc(f.sessions, func(s openSession) bool {
			if s.id != is.tag.Session {
				return false
			}
			f.answers -= len(s.serial)
			return true
		})
	case entryCommand:
		if why := f.take(is.tag); why != "" {
			f.not[at.index] = why
			return
		}
		fallthrough
	default:
		f.due = append(f.due, at.index)
	}
}

func (f *reference) register(i raft.Index, l host.SessionLimits) {
	f.limits = l
	for len(f.sessions) > 0 && (len(f.sessions) >= int(l.SessionsMax) || f.answers > int(l.AnswersMax)) {
		f.forgetOldest()
	}
	f.sessions = append(f.sessions, openSession{id: i})
}

func (f *reference) forgetOldest() {
	f.answers -= len(f.sessions[0].serial)
	f.sessions = f.sessions[1:]
}

func (f *reference) take(c host.SessionCommand) verdict {
	k := slices.IndexFunc(f.sessions, func(s openSession) bool { return s.id == c.Session })
	if k < 0 {
		return "its session is not known any more"
	}
	s := f.sessions[k]
	f.sessions = append(slices.Delete(f.sessions, k, k+1), s)
	used := &f.sessions[len(f.sessions)-1]
	used.wanted = max(s.wanted, c.Wanted)
	used.serial = slices.DeleteFunc(slices.Clone(s.serial), func(n uint64) bool { return n < used.wanted })
	f.answers -= len(s.serial) - len(used.serial)
	switch {
	case c.Serial < used.wanted:
		return "its answer is not wanted any more"
	case slices.Contains(used.serial, c.Serial):
		return "it was executed before"
	case c.Serial-used.wanted >= uint64(f.limits.OpenMax):
		return "its number is too far ahead"
	}
	used.serial = append(used.serial, c.Serial)
	for f.answers++; f.answers > int(f.limits.AnswersMax) && len(f.sessions) > 1; {
		f.forgetOldest()
	}
	return ""
}

// executes takes in that a machine is the first to execute the command at i, and so all before it that is to be executed was.
func (c *checker) executes(m *member, i raft.Index) {
	f := &c.reference
	if why := f.not[i]; why != "" {
		c.w.fail("Session", "n%d executes entry %d, which is not to be executed: %s", m.id, i, string(why))
	}
	n := 0
	for n < len(f.due) && f.due[n] <= i {
		if at := f.due[n]; !c.committed[at-1].executed {
			c.w.fail("State Machine Safety", "n%d executes entry %d, and nobody has executed entry %d before it", m.id, i, at)
		}
		n++
	}
	f.due = f.due[n:]
}
