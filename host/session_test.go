package host

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
)

// register begins a session at a member, and waits for it.
func (m *member) register(l SessionLimits) raft.Index {
	m.c.t.Helper()
	p := &Proposal{}
	p.RegisterSession(l)
	if err := m.group.Propose(p); err != nil {
		m.c.t.Fatal(err)
	}
	m.c.settle()
	id, err := m.group.Outcome(p)
	if err != nil || id == 0 {
		m.c.t.Fatalf("n%d: no session: %v", m.id, err)
	}
	return id
}

// try proposes a command of a session.
func (m *member) try(c SessionCommand, command string) *Proposal {
	m.c.t.Helper()
	p := &Proposal{Data: append(make([]byte, SessionHeaderBytes), command...)}
	p.InSession(c)
	if err := m.group.Propose(p); err != nil {
		m.c.t.Fatal(err)
	}
	return p
}

// reply says how a command of a session has ended so far.
func (m *member) reply(p *Proposal) string {
	outcome := m.outcome(p)
	if !isClosed(p.Done()) {
		return outcome
	}
	if i, err := m.group.Outcome(p); errors.Is(err, ErrAnswerLost) {
		return fmt.Sprintf("executed at %d, answer lost", i)
	}
	switch b, kept, answered := p.Answer(); {
	case kept:
		return fmt.Sprintf("%s: %s", outcome, b)
	case answered:
		return outcome + " without an answer"
	}
	return outcome
}

// say tries a command of a session and returns how it ended.
func (m *member) say(c SessionCommand, command string) string {
	m.c.t.Helper()
	p := m.try(c, command)
	m.c.settle()
	return m.reply(p)
}

func of(session raft.Index, serial, wanted uint64) SessionCommand {
	return SessionCommand{Session: session, Serial: serial, Wanted: wanted}
}

// TestSessions: how the commands of sessions end for their callers, and how often they are executed. Each case begins with three members, of whom n1
// leads, and a session that was registered at entry 2.
func TestSessions(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(t *testing.T, c *cluster)
		want string // the commands that everybody has executed in the end, and nothing else
	}{
		{"K1 tried again elsewhere", func(t *testing.T, c *cluster) {
			expect(t, "at first", c.member(1).say(of(2, 1, 1), "a"), "applied at 3")
			expect(t, "at n2", c.member(2).say(of(2, 1, 1), "a"), "applied at 3: a was number 1")
			expect(t, "at n1", c.member(1).say(of(2, 1, 1), "a"), "applied at 3: a was number 1")
			expect(t, "the next one", c.member(3).say(of(2, 2, 1), "b"), "applied at 6")
		}, "a b"},

		// Without sessions the figure's client, who hears nothing, would have it executed twice.
		{"K1, figure 6.2: its leader dies before it answers", func(t *testing.T, c *cluster) {
			m := c.member(1)
			m.try(of(2, 1, 1), "a")
			c.settle()
			m.kill()
			c.pass(30)
			expect(t, "at another leader", c.member(2).say(of(2, 1, 1), "a"), "applied at 3: a was number 1")
			m.start()
		}, "a"},

		{"without an answer", func(t *testing.T, c *cluster) {
			c.member(1).say(of(2, 1, 1), "-")
			expect(t, "again", c.member(2).say(of(2, 1, 1), "-"), "applied at 3 without an answer")
		}, "-"},

		{"tried twice at once", func(t *testing.T, c *cluster) {
			p, q := c.member(1).try(of(2, 1, 1), "a"), c.member(1).try(of(2, 1, 1), "a")
			c.settle() // both are in one batch
			expect(t, "the first", c.member(1).reply(p), "applied at 3")
			expect(t, "the second", c.member(1).reply(q), "applied at 3: a was number 1")
		}, "a"},

		{"K6 abandoned, and tried again at another member", func(t *testing.T, c *cluster) {
			p := c.member(2).try(of(2, 1, 1), "a")
			c.member(2).work()
			late := take[raft.ForwardProposals](c, 1)
			i, err := c.member(2).group.Abandon(p)
			expect(t, "abandoned", describe(i, err), "unknown")
			expect(t, "at n3", c.member(3).say(of(2, 1, 1), "a"), "applied at 3")
			c.network = append(c.network, late...)
			c.settle()
		}, "a"},

		{"several under way, in any order", func(t *testing.T, c *cluster) {
			for _, serial := range []uint64{3, 1, 2, 3, 1} {
				c.member(raft.NodeID(serial)).try(of(2, serial, 1), fmt.Sprint(serial))
				c.settle()
			}
			expect(t, "2 again", c.member(1).say(of(2, 2, 1), "2"), "applied at 5: 2 was number 3")
		}, "3 1 2"},

		{"an answer that was given up", func(t *testing.T, c *cluster) {
			c.member(1).say(of(2, 1, 1), "a")
			c.member(1).say(of(2, 2, 2), "b")
			expect(t, "1 again", c.member(1).say(of(2, 1, 1), "a"), "unknown")
			expect(t, "2 again", c.member(2).say(of(2, 2, 2), "b"), "applied at 4: b was number 2")
			expect(t, "a number that was left out", c.member(2).say(of(2, 5, 5), "c"), "applied at 7")
			expect(t, "one that comes late", c.member(2).say(of(2, 4, 1), "d"), "unknown")
		}, "a b c"},

		{"too many answers that are wanted", func(t *testing.T, c *cluster) {
			id := c.member(1).register(SessionLimits{OpenMax: 2})
			c.member(1).say(of(id, 1, 1), "a")
			c.member(1).say(of(id, 2, 1), "b")
			expect(t, "one more", c.member(1).say(of(id, 3, 1), "c"), "not committed, overloaded")
			expect(t, "those that are there", c.member(2).say(of(id, 2, 1), "b"), "applied at 5: b was number 2")
			expect(t, "when one is given up", c.member(2).say(of(id, 3, 2), "c"), "applied at 8")
			expect(t, "a later one", c.member(2).say(of(id, 5, 3), "x"), "not committed, overloaded")
			expect(t, "never kept out by later ones", c.member(2).say(of(id, 4, 3), "d"), "applied at 10")
		}, "a b c d"},

		{"K5 more sessions than there can be", func(t *testing.T, c *cluster) {
			limits := SessionLimits{SessionsMax: 2}
			a := c.member(1).register(limits)
			c.member(1).say(of(a, 1, 1), "a")
			b := c.member(2).register(limits) // in place of the one at 2
			expect(t, "the first", c.member(1).say(of(2, 1, 1), "x"), "not committed, session expired")
			c.member(2).say(of(b, 1, 1), "b")
			expect(t, "of a, in use", c.member(3).say(of(a, 1, 1), "a"), "applied at 4: a was number 1")
			c.member(3).register(limits) // in place of b, which was used before a
			expect(t, "of b, again", c.member(1).say(of(b, 1, 1), "b"), "not committed, session expired")
			expect(t, "of a, the next", c.member(1).say(of(a, 2, 2), "c"), "applied at 11")
		}, "a b c"},

		{"more answers than there can be", func(t *testing.T, c *cluster) {
			limits := SessionLimits{OpenMax: 2, AnswersMax: 3}
			a, b := c.member(1).register(limits), c.member(1).register(limits)
			for serial := uint64(1); serial <= 2; serial++ {
				c.member(1).say(of(a, serial, 1), fmt.Sprint("a", serial))
				c.member(1).say(of(b, serial, 1), fmt.Sprint("b", serial))
			}
			expect(t, "of a", c.member(1).say(of(a, 3, 3), "x"), "not committed, session expired")
			expect(t, "of b", c.member(1).say(of(b, 2, 1), "b2"), "applied at 8: b2 was number 4")
		}, "a1 b1 a2 b2"},

		{"more bytes of answers than there can be", func(t *testing.T, c *cluster) {
			id := c.member(1).register(SessionLimits{AnswerBytesMax: 160}) // one has at most 20
			for serial := uint64(1); serial <= 20; serial++ {
				c.member(1).say(of(id, serial, 1), "a")
			}
			c.member(1).say(of(id, 21, 1), "a-long-one")
			expect(t, "an old one", c.member(2).say(of(id, 9, 1), "a"), "executed at 12, answer lost")
			expect(t, "the newest", c.member(2).say(of(id, 20, 1), "a"), "applied at 23: a was number 20")
			expect(t, "a long one", c.member(2).say(of(id, 21, 1), "a-long-one"), "executed at 24, answer lost")
			for _, m := range c.members {
				if n := m.group.sessions.bytes; n > 160 {
					t.Errorf("n%d keeps %d bytes", m.id, n)
				}
			}
		}, strings.Repeat("a ", 20) + "a-long-one"},

		{"of a session that was ended", func(t *testing.T, c *cluster) {
			c.member(1).say(of(2, 1, 1), "a")
			for range 2 {
				p := &Proposal{}
				p.EndSession(2)
				c.member(2).group.Propose(p)
				c.settle()
				if _, err := c.member(2).group.Outcome(p); err != nil {
					t.Error(err)
				}
			}
			expect(t, "again", c.member(1).say(of(2, 1, 1), "a"), "not committed, session expired")
		}, "a"},

		{"of a session that there never was", func(t *testing.T, c *cluster) {
			expect(t, "at once", c.member(1).say(of(77, 1, 1), "a"), "not committed, session expired")
		}, ""},

		{"too large", func(t *testing.T, c *cluster) {
			p := &Proposal{Data: make([]byte, SessionHeaderBytes+8<<20+1)}
			p.InSession(of(2, 1, 1))
			expect(t, "at once", describe(0, c.member(1).group.Propose(p)), "not committed, too large")
		}, ""},

		{"over a change of the leader", func(t *testing.T, c *cluster) {
			m := c.member(1)
			p := m.try(of(2, 1, 1), "a")
			m.work()
			c.network = nil
			c.depose(1, 2)
			expect(t, "at n3 meanwhile", c.member(3).say(of(2, 1, 1), "a"), "applied at 4")
			c.pass(3) // n1 learns that its own was lost, and gives it again
			expect(t, "in the end", m.reply(p), "applied at 4: a was number 1")
		}, "a"},

		{"after a restart of everybody", func(t *testing.T, c *cluster) {
			c.member(1).say(of(2, 1, 1), "a")
			for _, m := range c.members {
				m.kill()
				m.start()
			}
			c.elect(2)
			expect(t, "again", c.member(1).say(of(2, 1, 1), "a"), "applied at 3: a was number 1")
		}, "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t, 3).startAll()
			c.elect(1)
			expect(t, "the session", c.member(1).register(SessionLimits{}), 2)
			test.do(t, c)
			c.settle()
			c.pass(50)
			c.expectExecuted(strings.Fields(test.want)...)
			c.sameTables()
		})
	}
}

// sameTables checks that all members have the same sessions (K8).
func (c *cluster) sameTables() {
	c.t.Helper()
	want := c.members[0].group.sessions.pin().encode()
	for _, m := range c.members[1:] {
		if got := m.group.sessions.pin().encode(); !bytes.Equal(got, want) {
			c.t.Errorf("n%d has the sessions %x, n1 has %x", m.id, got, want)
		}
	}
}

// TestK4_SessionsInSnapshots: whoever has the machine's state from a snapshot has the sessions from it.
func TestK4_SessionsInSnapshots(t *testing.T) {
	c := compacting(t, 3)
	leader := c.elect(1)
	id := leader.register(SessionLimits{})
	expect(t, "at first", leader.say(of(id, 1, 1), "a"), "applied at 3")
	c.member(3).kill()
	c.fill(leader, 0, 100)
	c.member(3).start() // what it lacks is only in a snapshot
	c.pass(40)
	if c.member(3).first() <= 3 {
		t.Fatalf("n3 was not brought back by a snapshot: %v", c.member(3).group.Status())
	}
	c.depose(1, 3)
	c.pass(3)
	expect(t, "again, at the new leader", c.member(3).say(of(id, 1, 1), "a"), "applied at 3: a was number 1")
	for _, m := range c.members {
		m.cut()
		m.start()
	}
	c.elect(2)
	expect(t, "again, after a restart of everybody", c.member(1).say(of(id, 1, 1), "a"), "applied at 3: a was number 1")
	c.pass(20)
	c.sameState()
	c.sameTables()
}

// TestK4_ProposalsThatWaitForASnapshot: a member that is brought forward by a snapshot, while proposals of sessions wait there, knows from it
// which of them were executed.
func TestK4_ProposalsThatWaitForASnapshot(t *testing.T) {
	c := compacting(t, 3)
	leader, m := c.elect(1), c.member(3)
	id := leader.register(SessionLimits{SessionsMax: 2})
	gone := leader.register(SessionLimits{SessionsMax: 2})
	executed := m.try(of(id, 1, 1), "a")
	expired := m.try(of(gone, 1, 1), "x")
	given := m.try(of(id, 4, 1), "d")
	plain := m.propose("plain")
	m.work()
	forwards := c.network
	c.network = nil
	lost := m.try(of(id, 2, 1), "b") // in a later term it is given again
	m.work()
	c.network = forwards
	c.without(m, func() { // it hears nothing of what becomes of them
		c.settle()
		leader.say(of(id, 3, 1), "c")
		leader.register(SessionLimits{SessionsMax: 2})
		leader.say(of(id, 3, 1), "c") // so that it is the other one that is forgotten
		c.fill(leader, 0, 100)
		leader.group.Transfer(2)
		c.settle()
		c.fill(c.member(2), 100, 30)
	})
	if m.outcome(executed) != "waits" {
		t.Fatal("nothing has an outcome yet")
	}
	c.pass(100)
	if m.first() <= 3 {
		t.Fatalf("n3 was not brought back by a snapshot: %v", m.group.Status())
	}
	expect(t, "executed", m.reply(executed), "applied at 4: a was number 1")
	expect(t, "executed, too", m.reply(given), "applied at 6: d was number 3")
	expect(t, "of a session that was forgotten", m.reply(expired), "unknown, session expired")
	expect(t, "lost, and given again", strings.HasPrefix(m.reply(lost), "applied at 1"), true)
	expect(t, "of no session", m.outcome(plain), "unknown")
	c.pass(20)
	c.sameState()
	c.sameTables()
	for _, command := range []string{"a", "b", "c", "d", "x", "plain"} {
		n := 0
		for _, executed := range m.machine.commands {
			if executed == command {
				n++
			}
		}
		expect(t, "executions of "+command, n, 1)
	}
}

// TestSessionsOfADurableMachine: a machine that has kept its state executes nothing again, and so the answers of what it had executed before it
// was restarted are not known there. That it was executed is.
func TestSessionsOfADurableMachine(t *testing.T) {
	c := keeping(t, 3).startAll()
	leader := c.elect(1)
	id := leader.register(SessionLimits{})
	leader.say(of(id, 1, 1), "a")
	c.fill(leader, 0, 60) // with snapshots
	leader.say(of(id, 2, 1), "b")
	leader.say(of(id, 1, 1), "a")
	m := c.member(2)
	m.kill()
	m.start()
	m.expectRestores(0)
	if newest, _, err := m.host.snapshots.Latest(testGroup); err != nil || newest.Index < 3 || newest.Index >= 64 {
		t.Fatalf("the newest snapshot is at %d, %v: this proves nothing", newest.Index, err)
	}
	c.pass(20)
	expect(t, "in the snapshot", m.say(of(id, 1, 1), "a"), "applied at 3: a was number 1")
	expect(t, "behind it", m.say(of(id, 2, 1), "b"), "executed at 64, answer lost")
	expect(t, "behind it, at n3", c.member(3).say(of(id, 2, 1), "b"), "applied at 64: b was number 62")
	expect(t, "the next", m.say(of(id, 3, 1), "c"), "applied at 69")
	c.pass(20)
	c.sameState()
}

// TestUnknownSessionEntries: what a newer version may have written stops the group, and is not skipped.
func TestUnknownSessionEntries(t *testing.T) {
	for _, data := range [][]byte{
		make([]byte, HeaderBytes),
		make([]byte, sessionHead-1),
		append(make([]byte, sessionHead-1), 99),
		append(make([]byte, sessionHead-1), byte(kindRegister), 1),
		append(make([]byte, sessionHead-1), byte(kindSessionCommand), 1, 2, 3),
		append(make([]byte, sessionHead-1), byte(kindEnd)),
	} {
		c := newCluster(t, 1).startAll()
		m := c.elect(1)
		p := &Proposal{Data: slices.Clone(data), session: &sessionProposal{}}
		if len(data) < sessionHead {
			p.Data = append(p.Data, make([]byte, sessionHead-len(data))...)
		}
		if err := m.group.Propose(p); err != nil {
			t.Fatal(err)
		}
		p.Data = p.Data[:len(data)] // as it will be in the log
		c.settle()
		if m.group.Err() == nil {
			t.Errorf("after an entry %x the group goes on", data)
		}
	}
}

// TestSessionTable compares the table with a plain one, in random runs, and that it is read back from its bytes at any moment.
func TestSessionTable(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		limits := SessionLimits{
			SessionsMax: 1 + r.Uint32N(4), OpenMax: 1 + r.Uint32N(4), AnswersMax: 4 + r.Uint32N(8), AnswerBytesMax: uint64(r.IntN(500)),
		}
		table, plain := newSessions(), plainTable{limits: limits}
		for i := raft.Index(1); i <= 200; i++ {
			if r.IntN(10) == 0 || len(plain.sessions) == 0 {
				table.register(i, limits)
				plain.register(i)
				continue
			}
			c := of(raft.Index(1+r.IntN(int(i))), uint64(r.IntN(12)), uint64(r.IntN(3)))
			if r.IntN(10) > 0 {
				s := plain.sessions[r.IntN(len(plain.sessions))]
				c.Session, c.Wanted = s.id, s.wanted+uint64(r.IntN(10)/8)
				c.Serial = c.Wanted + uint64(r.IntN(5))
			}
			want := plain.take(i, c)
			got, a := table.take(i, c)
			if got != want || got == verdictAnswered && a.index != plain.at(c) {
				t.Fatalf("seed %d: entry %d, %+v: %v, want %v", seed, i, c, got, want)
			}
			if got == verdictExecute {
				if r.IntN(4) > 0 {
					a.Keep(bytes.Repeat([]byte{1}, r.IntN(60)))
				}
				table.answered(a)
			}
			table.check(t)
			if r.IntN(20) == 0 {
				b := table.pin().encode()
				section, err := ReadSessionTable(bytes.NewReader(b))
				if err != nil {
					t.Fatal(err)
				}
				if table, err = decodeSessions(section); err != nil {
					t.Fatal(err)
				}
				if again := table.pin().encode(); !bytes.Equal(again, b) {
					t.Fatalf("seed %d: %x is read back as %x", seed, b, again)
				}
			}
		}
	}
}

// check compares the table's sums with what is in it.
func (t *sessions) check(test *testing.T) {
	test.Helper()
	n, answers, size := 0, 0, uint64(0)
	for s := t.oldest; s != nil; s = s.newer {
		if t.byID[s.id] != s || s.newer == nil && t.newest != s {
			test.Fatalf("session %d is not where it should be", s.id)
		}
		n++
		answers += len(s.answers)
		for _, a := range s.answers {
			size += uint64(len(a.bytes))
		}
	}
	if n != len(t.byID) || answers != t.answers || size != t.bytes || size > t.limits.AnswerBytesMax {
		test.Fatalf("%d sessions, %d answers, %d bytes; counted are %d, %d and %d", n, answers, size, len(t.byID), t.answers, t.bytes)
	}
}

// plainTable does by searching what sessions does by keeping count.
type plainTable struct {
	limits   SessionLimits
	sessions []*plainSession // the one that was used the longest ago comes first
}

type plainSession struct {
	id       raft.Index
	wanted   uint64
	executed map[uint64]raft.Index
}

func (p *plainTable) find(id raft.Index) int {
	return slices.IndexFunc(p.sessions, func(s *plainSession) bool { return s.id == id })
}

func (p *plainTable) at(c SessionCommand) raft.Index {
	return p.sessions[p.find(c.Session)].executed[c.Serial]
}

func (p *plainTable) answers() (n int) {
	for _, s := range p.sessions {
		n += len(s.executed)
	}
	return n
}

func (p *plainTable) register(i raft.Index) {
	p.sessions = append(p.sessions, &plainSession{id: i, executed: map[uint64]raft.Index{}})
	for len(p.sessions) > int(p.limits.SessionsMax) {
		p.sessions = p.sessions[1:]
	}
}

func (p *plainTable) take(i raft.Index, c SessionCommand) verdict {
	n := p.find(c.Session)
	if n < 0 {
		return verdictExpired
	}
	s := p.sessions[n]
	p.sessions = append(slices.Delete(p.sessions, n, n+1), s)
	s.wanted = max(s.wanted, c.Wanted)
	for serial := range s.executed {
		if serial < s.wanted {
			delete(s.executed, serial)
		}
	}
	_, known := s.executed[c.Serial]
	switch {
	case c.Serial < s.wanted:
		return verdictForgotten
	case known:
		return verdictAnswered
	case c.Serial >= s.wanted+uint64(p.limits.OpenMax):
		return verdictFull
	}
	s.executed[c.Serial] = i
	for p.answers() > int(p.limits.AnswersMax) && p.sessions[0] != s {
		p.sessions = p.sessions[1:]
	}
	return verdictExecute
}

// TestGoldenSessions pins the bytes of entries and of the table.
func TestGoldenSessions(t *testing.T) {
	limits := SessionLimits{SessionsMax: 300, OpenMax: 4, AnswersMax: 5, AnswerBytesMax: 600}
	var register, command, end Proposal
	register.RegisterSession(limits)
	command.Data = append(make([]byte, SessionHeaderBytes), "set"...)
	command.InSession(of(300, 7, 5))
	end.EndSession(300)
	for _, p := range []*Proposal{&register, &command, &end} {
		binary.LittleEndian.PutUint64(p.Data[sessionMark:], 0x1122334455667788)
		binary.LittleEndian.PutUint64(p.Data[sessionMark+8:], 9)
	}
	table := newSessions()
	table.register(2, limits)
	table.register(300, limits)
	for i, c := range []SessionCommand{of(300, 5, 5), of(300, 7, 5), of(300, 8, 5)} {
		_, a := table.take(raft.Index(301+i), c)
		if i == 1 {
			a.Keep([]byte("answer"))
		} else if i == 2 {
			a.Lose()
		}
		table.answered(a)
	}
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"registration", register.Data, "000000000000000088776655443322110900000000000000012c01000004000000050000005802000000000000"},
		{"command", command.Data, "000000000000000088776655443322110900000000000000022c0100000000000007000000000000000500000000000000736574"},
		{"end", end.Data, "000000000000000088776655443322110900000000000000032c01000000000000"},
		{"table", table.pin().encode(), "424c5373012100000000000000ac020405d80402020000ac02050300ad020002ae020106616e7377657201af0202"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// FuzzDecodeSessions: no bytes make it panic, or take more memory than they could fill, and what is read is what would be written.
func FuzzDecodeSessions(f *testing.F) {
	limits := SessionLimits{}.withDefaults()
	table := newSessions()
	f.Add(table.pin().encode()[sessionsHead:])
	table.register(2, limits)
	table.register(300, limits)
	for i := range raft.Index(3) {
		_, a := table.take(301+i, of(300, uint64(5+i), 5))
		a.Keep([]byte("answer"))
		table.answered(a)
	}
	f.Add(table.pin().encode()[sessionsHead:])
	f.Add([]byte("000\x800\x0200\x00\xac00\x030\xad0\x01\x0600000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := decodeSessions(b)
		if err != nil {
			return
		}
		if again := table.pin().encode()[sessionsHead:]; !bytes.Equal(again, b) {
			t.Errorf("%x is read as %x", b, again)
		}
	})
}

// TestSameSessions: tables are compared but for answers that were lost.
func TestSameSessions(t *testing.T) {
	table := func(wanted uint64, answers ...func(*Answer)) []byte {
		s := newSessions()
		s.register(1, SessionLimits{}.withDefaults())
		for i, answer := range answers {
			_, a := s.take(raft.Index(2+i), of(1, wanted+uint64(i), wanted))
			answer(a)
			s.answered(a)
		}
		return s.pin().encode()[sessionsHead:]
	}
	keep := func(b string) func(*Answer) { return func(a *Answer) { a.Keep([]byte(b)) } }
	none, lost := func(*Answer) {}, (*Answer).Lose
	for name, c := range map[string]struct {
		other []byte
		want  bool
	}{
		"itself":         {table(1, keep("a"), keep("b")), true},
		"one is lost":    {table(1, lost, keep("b")), true},
		"both are lost":  {table(1, lost, lost), true},
		"another answer": {table(1, keep("a"), keep("c")), false},
		"lost, another":  {table(1, lost, keep("c")), false},
		"no answer":      {table(1, none, keep("b")), false},
		"fewer":          {table(1, keep("a")), false},
		"other numbers":  {table(2, keep("a"), keep("b")), false},
		"no sessions":    {new(sessions).pin().encode()[sessionsHead:], false},
		"rot":            {[]byte{1}, false},
	} {
		if got := SameSessions(table(1, keep("a"), keep("b")), c.other); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
