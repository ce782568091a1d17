package raft_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
)

// TestLab is the scenarios by which students of distributed systems have long been taught what their Raft lacks: what the Raft lab of
// MIT's 6.5840 describes, here against servers that lose what they were saving when they crash, and in milliseconds that are counted, not waited for. It
// drives raft as a host does, so it is also the shortest example of one.
func TestLab(t *testing.T) {
	const seeds = 3
	for _, test := range []struct {
		name    string
		servers int
		rough   int // further seeds, with entries that are sent one by one, and slow disks
		run     func(l *lab)
	}{
		{"initial election", 3, 0, initialElection},
		{"election after a failure", 3, 0, reElection},
		{"many elections", 7, 0, manyElections},

		{"basic agreement", 3, 0, basicAgreement},
		{"each command is sent once to each peer", 3, 0, bytesSent},
		{"followers fail one after the other", 3, 0, followerFailure},
		{"leaders fail one after the other", 3, 0, leaderFailure},
		{"a follower rejoins", 3, 0, failAgree},
		{"no agreement without a majority", 5, 0, failNoAgree},
		{"concurrent commands", 3, 0, concurrentStarts},
		{"a leader that was cut off rejoins", 3, 0, rejoin},
		{"a leader backs up quickly over wrong logs", 5, 0, backup},
		{"requests are few", 3, 0, countRequests},

		{"all restart", 3, 10, persist1},
		{"restarts and partitions", 5, 3, persist2},
		{"a leader and a follower crash, the leader restarts", 3, 3, persist3},
		{"figure 8", 5, 10, func(l *lab) { figure8(l, false) }},
		{"agreement over an unreliable network", 5, 3, unreliableAgree},
		{"figure 8 over an unreliable network", 5, 10, func(l *lab) { figure8(l, true) }},
		{"churn", 5, 3, func(l *lab) { churn(l, false) }},
		{"churn over an unreliable network", 5, 3, func(l *lab) { churn(l, true) }},

		{"snapshots", 3, 3, func(l *lab) { snapshots(l, false, false, false) }},
		{"snapshots for those who were cut off", 3, 3, func(l *lab) { snapshots(l, true, false, false) }},
		{"snapshots for those who were cut off, unreliable", 3, 3, func(l *lab) { snapshots(l, true, true, false) }},
		{"snapshots for those who crashed", 3, 3, func(l *lab) { snapshots(l, false, false, true) }},
		{"snapshots for those who crashed, unreliable", 3, 3, func(l *lab) { snapshots(l, false, true, true) }},
		{"all crash behind snapshots", 3, 3, snapshotAllCrash},
		{"all crash right behind snapshots", 3, 3, snapshotInit},
		{"figure 8 with snapshots, unreliable", 5, 10, func(l *lab) { l.snapshots = true; figure8(l, true) }},
		{"churn with snapshots, unreliable", 5, 3, func(l *lab) { l.snapshots = true; churn(l, true) }},
	} {
		t.Run(strings.ReplaceAll(test.name, ",", ""), func(t *testing.T) {
			for seed := range seeds + test.rough {
				test.run(newLab(t, uint64(seed), test.servers, seed >= seeds))
			}
		})
	}
}

func initialElection(l *lab) {
	leader := l.leader()
	l.wait(50)
	term := l.term()
	if term < 1 {
		l.fatalf("the term is %d after an election", term)
	}
	l.wait(10 * labElection)
	if l.leader() != leader || l.term() != term {
		l.fatalf("without a failure the lead changes: %s", l.describe())
	}
}

func reElection(l *lab) {
	first := l.leader()
	l.disconnect(first)
	second := l.leader()
	l.connect(first)
	l.wait(2 * labElection)
	if l.leader() != second {
		l.fatalf("the old leader disturbs the new one: %s", l.describe())
	}
	l.disconnect(second, l.at(second, 1))
	l.wait(2 * labElection)
	l.nobodyLeads()
	l.connect(l.at(second, 1))
	l.leader()
	l.connect(second)
	l.leader()
}

func manyElections(l *lab) {
	l.leader()
	for range 10 {
		var away []*labServer
		for _, i := range l.rand.Perm(7)[:3] {
			away = append(away, l.servers[i])
		}
		l.disconnect(away...)
		l.leader() // the one there was, or another
		l.connect(away...)
	}
	l.leader()
}

func basicAgreement(l *lab) {
	leader := l.leader()
	l.wait(100)
	for i := range 3 {
		next := raft.Index(len(l.log) + 1)
		if n := l.reached(next, ""); n > 0 {
			l.fatalf("%d servers have applied %d before there was a command", n, next)
		}
		if got := l.agree(fmt.Sprint("command ", i), 3); got != next {
			l.fatalf("command %d is at %d, want %d", i, got, next)
		}
	}
	if l.leader() != leader {
		l.fatalf("the leader changed")
	}
}

// bytesSent: a leader does not send what is under way again.
func bytesSent(l *lab) {
	l.agree("first", 3)
	before, sent := l.bytes, 0
	for i := range 10 {
		command := fmt.Sprint(i, strings.Repeat("x", 5000))
		l.agree(command, 3)
		sent += len(command)
	}
	if got, most := l.bytes-before, 2*sent+50_000; got > most {
		l.fatalf("%d bytes were sent, %d would do", got, most)
	}
}

func followerFailure(l *lab) {
	l.agree("101", 3)
	leader := l.leader()
	l.disconnect(l.at(leader, 1))
	l.agree("102", 2)
	l.wait(labElection)
	l.agree("103", 2)

	leader = l.leader()
	l.disconnect(l.at(leader, 1), l.at(leader, 2))
	i := leader.propose("104")
	if i == 0 {
		l.fatalf("the leader does not take a command")
	}
	l.wait(2 * labElection)
	if n := l.reached(i, ""); n > 0 {
		l.fatalf("%d servers have applied what no majority has", n)
	}
}

func leaderFailure(l *lab) {
	l.agree("101", 3)
	first := l.leader()
	l.disconnect(first)
	l.agree("102", 2)
	l.wait(labElection)
	l.agree("103", 2)

	second := l.leader()
	l.disconnect(second)
	var at raft.Index
	for i, s := range l.servers {
		if got := s.propose(fmt.Sprint(104 + i)); s == second {
			at = got
		}
	}
	l.wait(2 * labElection)
	if n := l.reached(at, ""); at == 0 || n > 0 {
		l.fatalf("%d servers have applied %d, which no majority has", n, at)
	}
}

func failAgree(l *lab) {
	l.agree("101", 3)
	away := l.at(l.leader(), 1)
	l.disconnect(away)
	for i := range 4 {
		l.agree(fmt.Sprint(102+i), 2)
		l.wait(i * labElection / 2)
	}
	l.connect(away)
	l.agree("106", 3)
	l.wait(labElection)
	l.agree("107", 3)
}

func failNoAgree(l *lab) {
	l.agree("10", 5)
	leader := l.leader()
	l.disconnect(l.at(leader, 1), l.at(leader, 2), l.at(leader, 3))
	i := leader.propose("20")
	if i == 0 {
		l.fatalf("the leader does not take a command")
	}
	l.wait(2 * labElection)
	if n := l.reached(i, ""); n > 0 {
		l.fatalf("%d servers have applied what no majority has", n)
	}
	l.connect(l.servers...)
	if again := l.leader().propose("30"); again < i || again > i+2 {
		l.fatalf("the next command is at %d, the one before it was at %d", again, i)
	}
	l.agree("1000", 5)
}

func concurrentStarts(l *lab) {
	for range 5 {
		leader := l.leader()
		l.wait(100)
		var at []raft.Index
		var commands []string
		for i := range 5 {
			commands = append(commands, fmt.Sprint(100+i))
			at = append(at, leader.propose(commands[i]))
		}
		for i := range at {
			if at[i] == 0 || i > 0 && at[i] != at[i-1]+1 {
				l.fatalf("concurrent commands were given the places %v", at)
			}
			if !l.waitFor(2000, func() bool { return l.reached(at[i], commands[i]) == 3 }) {
				l.fatalf("%q at %d is not applied everywhere: %s", commands[i], at[i], l.describe())
			}
		}
	}
}

func rejoin(l *lab) {
	l.agree("101", 3)
	first := l.leader()
	l.disconnect(first)
	for i := range 3 {
		first.propose(fmt.Sprint("lost ", i))
	}
	l.agree("103", 2)
	second := l.leader()
	l.disconnect(second)
	l.connect(first)
	l.agree("104", 2)
	l.connect(second)
	l.agree("105", 3)
	if got := strings.Join(l.log, " "); strings.Contains(got, "lost") {
		l.fatalf("what no majority had was applied: %s", got)
	}
}

func backup(l *lab) {
	l.agree("first", 5)
	many := func(s *labServer, what string) {
		for i := range 50 {
			s.propose(fmt.Sprintf("%s %d", what, i))
		}
	}
	commit := func(what string) {
		for i := range 50 {
			l.agree(fmt.Sprintf("%s %d", what, i), 3)
		}
	}

	// A leader and one follower, with much that will not be committed.
	first := l.leader()
	l.disconnect(l.at(first, 2), l.at(first, 3), l.at(first, 4))
	many(first, "lost 1")
	l.wait(labElection / 2)

	// The other three, with much that is.
	l.disconnect(first, l.at(first, 1))
	l.connect(l.at(first, 2), l.at(first, 3), l.at(first, 4))
	commit("kept 1")

	// Again a leader and one follower.
	second := l.leader()
	other := l.at(first, 2)
	if other == second {
		other = l.at(first, 3)
	}
	l.disconnect(other)
	many(second, "lost 2")
	l.wait(labElection / 2)

	// The first two come back, with the one that was left out.
	l.disconnect(l.servers...)
	l.connect(first, l.at(first, 1), other)
	leader := l.leader()
	before := l.requests
	l.waitFor(1000, func() bool { return l.logsAgree(leader, first) && l.logsAgree(leader, l.at(first, 1)) })
	if n := l.requests - before; n > 20 {
		l.fatalf("to find where the logs agree took %d requests", n)
	}
	commit("kept 2")

	l.connect(l.servers...)
	l.agree("last", 5)
	if got := strings.Join(l.log, " "); strings.Contains(got, "lost") {
		l.fatalf("what no majority had was applied: %s", got)
	}
}

// countRequests: neither an election nor agreement nor idling takes many requests.
func countRequests(l *lab) {
	leader := l.leader()
	if l.requests < 1 || l.requests > 30 {
		l.fatalf("an election takes %d requests", l.requests)
	}
	l.wait(200)
	before := l.requests
	const commands = 10
	var last raft.Index
	for i := range commands {
		last = leader.propose(fmt.Sprint(i))
	}
	l.waitFor(1000, func() bool { return l.reached(last, "") == 3 })
	if n := l.requests - before; n > (commands+1+3)*3 {
		l.fatalf("%d commands take %d requests", commands, n)
	}
	before = l.requests
	l.wait(1000)
	if n := l.requests - before; n > 3*20 {
		l.fatalf("a second without work takes %d requests", n)
	}
}

func persist1(l *lab) {
	l.agree("11", 3)
	for _, s := range l.servers {
		s.crash()
	}
	for _, s := range l.servers {
		s.start()
	}
	l.agree("12", 3)

	leader := l.leader()
	leader.crash()
	leader.start()
	l.agree("13", 3)

	leader = l.leader()
	leader.crash()
	l.agree("14", 2)
	leader.start()
	if !l.waitFor(2000, func() bool { return len(leader.applied) == len(l.log) }) {
		l.fatalf("n%d does not catch up: %s", leader.id, l.describe())
	}

	follower := l.at(l.leader(), 1)
	follower.crash()
	l.agree("15", 2)
	follower.start()
	l.agree("16", 3)

	for i := range 10 { // what one server has applied is durable on a majority, here two
		l.disconnect(l.at(l.leader(), 1+i%2))
		l.agree(fmt.Sprint(17+i), 1)
		for _, s := range l.servers {
			s.crash()
		}
		for _, s := range l.servers {
			s.start()
		}
	}
	l.agree("last", 3)
}

func persist2(l *lab) {
	for i := range 5 {
		l.agree(fmt.Sprint(i, " a"), 5)
		leader := l.leader()
		l.at(leader, 1).crash()
		l.at(leader, 2).crash()
		l.agree(fmt.Sprint(i, " b"), 3)

		leader.crash()
		l.at(leader, 3).crash()
		l.at(leader, 4).crash()
		l.at(leader, 1).start()
		l.at(leader, 2).start()
		l.wait(labElection)
		l.nobodyLeads()
		l.at(leader, 3).start()
		l.agree(fmt.Sprint(i, " c"), 3)

		l.at(leader, 4).start()
		leader.start()
	}
	l.agree("last", 5)
}

func persist3(l *lab) {
	l.agree("101", 3)
	leader := l.leader()
	l.disconnect(l.at(leader, 2))
	l.agree("102", 2)
	leader.crash()
	l.at(leader, 1).crash()
	l.connect(l.at(leader, 2))
	leader.start()
	l.agree("103", 2)
	l.at(leader, 1).start()
	l.agree("104", 3)
}

// figure8 makes leaders crash, or lose their connections, when an entry is on some servers and on others not.
func figure8(l *lab, unreliable bool) {
	l.unreliable = unreliable
	l.agree("first", 1)
	away := func() (n int) {
		for _, s := range l.servers {
			if !s.connected {
				n++
			}
		}
		return n
	}
	for i := range 1000 {
		l.reordering = unreliable && i >= 100
		var leader *labServer
		for k, s := range l.servers {
			if s.propose(fmt.Sprint(i, " ", k)) != 0 && s.connected {
				leader = s
			}
		}
		if l.rand.IntN(10) == 0 {
			l.wait(l.rand.IntN(labElection / 2))
		} else {
			l.wait(l.rand.IntN(13))
		}
		switch {
		case leader == nil:
		case unreliable && l.rand.IntN(2) == 0:
			l.disconnect(leader)
		case !unreliable || l.rand.IntN(10) == 0:
			leader.crash()
		}
		if away() >= 3 {
			l.bringBack(l.servers[l.rand.IntN(5)])
		}
	}
	for _, s := range l.servers {
		l.bringBack(s)
	}
	l.reordering = false
	l.agree("last", 5)
}

func (l *lab) bringBack(s *labServer) {
	if s.raft == nil {
		s.start()
	}
	l.connect(s)
}

func unreliableAgree(l *lab) {
	l.unreliable = true
	var all []string
	for i := range 50 {
		for k := range 4 {
			command := fmt.Sprint(i, " ", k)
			l.leader().propose(command)
			all = append(all, command)
		}
		l.agree(fmt.Sprint(i), 1)
	}
	l.unreliable = false
	l.agree("last", 5)
	n := 0
	for _, command := range all {
		if slices.Contains(l.log, command) {
			n++
		}
	}
	if n < len(all)/2 {
		l.fatalf("of %d commands %d were applied", len(all), n)
	}
}

// labClient has one command under way at a time, and remembers those that it saw applied.
type labClient struct {
	name  string
	n     int
	at    raft.Index
	until int
	done  []string
}

func (c *labClient) command() string { return fmt.Sprint(c.name, " ", c.n) }

func (c *labClient) act(l *lab) {
	switch {
	case c.at == 0:
		c.n++
		for _, i := range l.rand.Perm(len(l.servers)) {
			c.at = max(c.at, l.servers[i].propose(c.command()))
		}
		c.until = l.now + 1000
	case l.reached(c.at, "") > 0:
		if l.reached(c.at, c.command()) > 0 {
			c.done = append(c.done, c.command())
		}
		c.at = 0
	case l.now > c.until:
		c.at = 0
	}
}

// churn: clients propose, servers come and go, and what a client has seen applied stays.
func churn(l *lab, unreliable bool) {
	l.unreliable = unreliable
	clients := []*labClient{{name: "a"}, {name: "b"}, {name: "c"}}
	for range 20 {
		if l.rand.IntN(5) == 0 {
			l.disconnect(l.servers[l.rand.IntN(5)])
		}
		if s := l.servers[l.rand.IntN(5)]; l.rand.IntN(2) == 0 {
			l.bringBack(s)
		}
		if l.rand.IntN(5) == 0 {
			l.servers[l.rand.IntN(5)].crash()
		}
		for range labElection * 7 / 10 {
			l.step()
			for _, c := range clients {
				c.act(l)
			}
		}
	}
	l.unreliable = false
	for _, s := range l.servers {
		l.bringBack(s)
	}
	l.agree("last", 5)
	n, log := 0, map[string]bool{}
	for _, command := range l.log {
		log[command] = true
	}
	for _, c := range clients {
		n += len(c.done)
		for _, command := range c.done {
			if !log[command] {
				l.fatalf("%q was applied, and is not in the log", command)
			}
		}
	}
	if n < 3 && !l.rough { // rough ones may have no majority for most of the time
		l.fatalf("the clients saw %d commands applied", n)
	}
}

// snapshots: servers compact their logs, and one after the other is away for longer than the others keep them.
func snapshots(l *lab, disconnect, unreliable, crash bool) {
	l.snapshots, l.unreliable = true, unreliable
	l.agree("first", 3)
	leader := l.leader()
	for i := range 30 {
		victim, sender := l.at(leader, 1), leader
		if i%3 == 1 {
			victim, sender = leader, l.at(leader, 1)
		}
		if disconnect {
			l.disconnect(victim)
			l.agree(fmt.Sprint(i, " without"), 2)
		}
		if crash {
			victim.crash()
			l.agree(fmt.Sprint(i, " without"), 2)
		}
		for k := range labSnapshotEvery/2 + l.rand.IntN(labSnapshotEvery) {
			sender.propose(fmt.Sprint(i, " ", k))
		}
		here := 3
		if disconnect || crash {
			here = 2
		}
		l.agree(fmt.Sprint(i, " with ", here), here)
		for _, s := range l.servers {
			if n := len(s.disk.entries); s.raft != nil && s.connected && n > 4*labSnapshotEvery {
				l.fatalf("n%d keeps %d entries on its disk", s.id, n)
			}
		}
		l.bringBack(victim)
		l.agree(fmt.Sprint(i, " again"), 3)
		leader = l.leader()
	}
}

func snapshotAllCrash(l *lab) {
	l.snapshots = true
	l.agree("first", 3)
	for i := range 5 {
		leader := l.leader()
		for k := range labSnapshotEvery/2 + l.rand.IntN(labSnapshotEvery) {
			leader.propose(fmt.Sprint(i, " ", k))
		}
		before := l.agree(fmt.Sprint(i, " before"), 3)
		for _, s := range l.servers {
			s.crash()
		}
		for _, s := range l.servers {
			s.start()
		}
		if after := l.agree(fmt.Sprint(i, " after"), 3); after <= before {
			l.fatalf("a command after the crash is at %d, one before it at %d", after, before)
		}
	}
}

// snapshotInit: what is behind a snapshot is few, and is not forgotten by one restart more.
func snapshotInit(l *lab) {
	l.snapshots = true
	l.agree("first", 3)
	for i := range labSnapshotEvery + 1 {
		l.leader().propose(fmt.Sprint(i))
	}
	l.agree("second", 3)
	for i := range 3 {
		for _, s := range l.servers {
			s.crash()
		}
		for _, s := range l.servers {
			s.start()
		}
		l.agree(fmt.Sprint("life ", i), 3)
	}
}

// TestLabRepeats: what happens follows from the seed.
func TestLabRepeats(t *testing.T) {
	var first string
	for range 2 {
		l := newLab(t, 1, 5, true)
		l.snapshots = true
		churn(l, true)
		story := fmt.Sprint(l.now, l.requests, l.bytes, l.log, l.describe())
		if first != "" && story != first {
			t.Error("a seed tells two stories")
		}
		first = story
	}
}
