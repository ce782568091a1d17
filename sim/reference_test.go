package sim

import (
	"encoding/binary"
	"testing"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// putEntry is a command of no session, by a member that drew origin 7.
func putEntry(i raft.Index) raft.Entry {
	return raft.Entry{Index: i, Term: 1, Data: append(binary.LittleEndian.AppendUint64(nil, 7), make([]byte, 8)...)}
}

// sessionEntry is what a host makes of a proposal that concerns sessions.
func sessionEntry(i raft.Index, p *host.Proposal) raft.Entry {
	return raft.Entry{Index: i, Term: 1, Data: p.Data}
}

func registerEntry(i raft.Index, l host.SessionLimits) raft.Entry {
	p := &host.Proposal{}
	p.RegisterSession(l)
	return sessionEntry(i, p)
}

func inSession(i, session raft.Index, serial, wanted uint64) raft.Entry {
	p := &host.Proposal{Data: make([]byte, host.SessionHeaderBytes)}
	p.InSession(host.SessionCommand{Session: session, Serial: serial, Wanted: wanted})
	return sessionEntry(i, p)
}

func endOf(i, session raft.Index) raft.Entry {
	p := &host.Proposal{}
	p.EndSession(session)
	return sessionEntry(i, p)
}

// TestReference plants one wrong decision on what is executed at a time.
func TestReference(t *testing.T) {
	all := host.SessionLimits{}
	for _, test := range []struct {
		name    string
		want    string
		log     []raft.Entry
		execute []raft.Index
	}{
		{"all is well", "", []raft.Entry{registerEntry(1, all), inSession(2, 1, 1, 1), inSession(3, 1, 1, 1), putEntry(4), inSession(5, 1, 2, 2)}, []raft.Index{2, 4, 5}},
		{"a command is skipped", "State Machine Safety", []raft.Entry{putEntry(1), putEntry(2)}, []raft.Index{2}},
		{"a session's command is skipped", "State Machine Safety", []raft.Entry{registerEntry(1, all), inSession(2, 1, 1, 1), putEntry(3)}, []raft.Index{3}},
		{"a command is executed twice", "Session", []raft.Entry{registerEntry(1, all), inSession(2, 1, 1, 1), inSession(3, 1, 1, 1)}, []raft.Index{2, 3}},
		{"executed though it is not wanted any more", "Session", []raft.Entry{registerEntry(1, all), inSession(2, 1, 2, 2), inSession(3, 1, 1, 1)}, []raft.Index{2, 3}},
		{"executed behind the end of its session", "Session", []raft.Entry{registerEntry(1, all), endOf(2, 1), inSession(3, 1, 1, 1)}, []raft.Index{3}},
		{"executed too far ahead", "Session", []raft.Entry{registerEntry(1, host.SessionLimits{OpenMax: 2}), inSession(2, 1, 3, 1)}, []raft.Index{2}},
		{"the session that was used the longest ago goes", "", []raft.Entry{
			registerEntry(1, host.SessionLimits{SessionsMax: 2}), registerEntry(2, host.SessionLimits{SessionsMax: 2}), inSession(3, 1, 1, 1),
			registerEntry(4, host.SessionLimits{SessionsMax: 2}), inSession(5, 1, 2, 1), inSession(6, 2, 1, 1), putEntry(7),
		}, []raft.Index{3, 5, 7}},
		{"another session goes than that", "State Machine Safety", []raft.Entry{
			registerEntry(1, host.SessionLimits{SessionsMax: 2}), registerEntry(2, host.SessionLimits{SessionsMax: 2}), inSession(3, 1, 1, 1),
			registerEntry(4, host.SessionLimits{SessionsMax: 2}), inSession(5, 1, 2, 1), putEntry(6),
		}, []raft.Index{3, 6}},
		{"answers of the oldest session go with it", "", []raft.Entry{
			registerEntry(1, host.SessionLimits{OpenMax: 1, AnswersMax: 1}), inSession(2, 1, 1, 1), registerEntry(3, host.SessionLimits{OpenMax: 1, AnswersMax: 1}),
			inSession(4, 3, 1, 1), inSession(5, 1, 2, 2), putEntry(6),
		}, []raft.Index{2, 4, 6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage()
			s.elects(1, 1, 2)
			s.saves(1, 1, 1, test.log...)
			s.appends(1, 2, 1, 0, test.log...)
			s.saves(2, 1, 1, test.log...)
			s.commits(1, 1, raft.Index(len(test.log)))
			previous := raft.Index(0)
			for _, i := range test.execute {
				s.executes(1, i, previous, 1, uint64(i), 100+uint64(i))
				previous = i
			}
			switch f := s.failure; {
			case f == nil && test.want != "":
				t.Errorf("not found: %s", test.want)
			case f != nil && f.Property != test.want:
				t.Errorf("%v, want %q", f, test.want)
			}
		})
	}
}
