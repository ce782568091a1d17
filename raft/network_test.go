package raft

import (
	"slices"
	"strings"

	"github.com/balsa-raft/balsa/internal/script"
)

// network executes the commands about messages.
func (i *interpreter) network(cmd script.Command) {
	c := i.c
	switch cmd.Name {
	case "stabilize":
		i.stabilize(cmd, i.named(cmd, 0))
		return
	case "settle":
		i.silently(func() { i.stabilize(cmd, i.named(cmd, 0)) })
		return
	case "inject":
		i.inject(cmd)
		return
	}
	for _, p := range i.matching(cmd) {
		switch cmd.Name {
		case "deliver":
			c.deliver(p)
		case "drop":
			c.remove(p)
			c.say("n%d -x n%d %s", p.from, p.To, describe(p.Message))
		case "duplicate":
			again := *p
			at := slices.Index(c.network, p)
			c.network = slices.Insert(c.network, at+1, &again)
		case "delay":
			if cmd.Bool("copy", false) {
				again := *p
				p = &again
				c.network = append(c.network, p)
			}
			p.held = cmd.Get("as")
		}
	}
}

// matching is the messages under way that a command is about. There must be one at least: a command about nothing is a mistake.
func (i *interpreter) matching(cmd script.Command) []*packet {
	var found []*packet
	if name := cmd.Arg(0); !strings.Contains(name, "->") {
		for _, p := range i.c.network {
			if p.held == name {
				found = append(found, p)
			}
		}
	} else {
		from, to, _ := i.ends(cmd, name)
		for _, p := range i.c.network {
			if p.held == "" && slices.Contains(from, p.from) && slices.Contains(to, p.To) &&
				(len(cmd.Args) < 2 || nameOf(p.Message) == cmd.Arg(1)) {
				found = append(found, p)
			}
		}
	}
	if len(found) == 0 && cmd.Name != "drop" {
		cmd.Fatalf("no such message is under way")
	}
	return found[:min(len(found), cmd.Int("n", len(found)))]
}

// stabilizeMax is how many messages may pass before the servers are said never to become quiet.
const stabilizeMax = 2000

// stabilize lets the servers go on until nothing happens any more.
func (i *interpreter) stabilize(cmd script.Command, among []*server) {
	c := i.c
	keep := cmd.Bool("keep", false)
	c.showSends = false
	defer func() { c.showSends = true }()
	for range stabilizeMax {
		if !keep {
			for _, s := range among {
				i.finish(s)
			}
		}
		at := slices.IndexFunc(c.network, func(p *packet) bool {
			return p.held == "" && slices.Contains(among, c.server(p.from)) && slices.Contains(among, c.server(p.To))
		})
		if at < 0 {
			return
		}
		c.deliver(c.network[at])
	}
	cmd.Fatalf("not quiet after %d messages", stabilizeMax)
}

// finish does what a host was told to wait with.
func (i *interpreter) finish(s *server) {
	c := i.c
	for s.raft != nil && (len(s.disk.saves)+len(s.loads)+len(s.handed) > 0 || c.sendNext(s)) {
		switch {
		case len(s.disk.saves) > 0:
			c.persist(s, len(s.disk.saves))
		case len(s.loads) > 0:
			c.load(s, ^uint64(0))
		case len(s.handed) > 0:
			c.apply(s, len(s.handed))
		}
		c.settle(s)
	}
}

// inject delivers a message that nobody sent.
func (i *interpreter) inject(cmd script.Command) {
	from, to, _ := i.ends(cmd, cmd.Arg(0))
	c := i.c
	p := &packet{from: from[0], Envelope: Envelope{To: to[0], Message: i.message(cmd, from[0])}}
	if cmd.Has("from") {
		p.from = NodeID(cmd.Uint("from", 0))
	}
	c.receive(p)
}

func (i *interpreter) message(cmd script.Command, from NodeID) Message {
	term := Term(cmd.Uint("term", 0))
	switch kind := cmd.Arg(1); kind {
	case "RequestVote", "PreVote":
		index, last := i.place(cmd, "last")
		return RequestVote{Term: term, CandidateID: NodeID(cmd.Uint("candidate", uint64(from))),
			LastLogIndex: index, LastLogTerm: last, PreVote: kind == "PreVote"}
	case "RequestVoteReply", "PreVoteReply":
		return RequestVoteReply{Term: term, VoteGranted: cmd.Bool("granted", false), PreVote: kind == "PreVoteReply"}
	case "AppendEntries":
		index, prev := i.place(cmd, "after")
		return AppendEntries{Term: term, LeaderID: NodeID(cmd.Uint("leader", uint64(from))), PrevLogIndex: index, PrevLogTerm: prev,
			Entries: i.entries(cmd), LeaderCommit: Index(cmd.Uint("commit", 0)), ReadSeq: cmd.Uint("round", 0)}
	case "AppendEntriesReply":
		return AppendEntriesReply{Term: term, Success: cmd.Bool("success", false), MatchIndex: Index(cmd.Uint("match", 0)),
			PrevLogIndex: Index(cmd.Uint("after", 0)), ConflictTerm: Term(cmd.Uint("conflict-term", 0)),
			ConflictIndex: Index(cmd.Uint("conflict", 0)), ReadSeq: cmd.Uint("round", 0), Promise: Nanos(cmd.Uint("promise", 0))}
	case "TimeoutNow":
		return TimeoutNow{Term: term, LastLogIndex: Index(cmd.Uint("last", 0))}
	case "InstallSnapshot":
		index, last := i.place(cmd, "at")
		return InstallSnapshot{Term: term, LeaderID: NodeID(cmd.Uint("leader", uint64(from))), LastIncludedIndex: index, LastIncludedTerm: last,
			Configuration: AppendConfiguration(nil, i.c.config.Configuration)}
	case "ForwardProposals":
		m := ForwardProposals{Term: term, Stream: cmd.Uint("stream", 0), Seq: cmd.Uint("seq", 1)}
		for _, command := range cmd.List("commands") {
			m.Commands = append(m.Commands, []byte(command))
		}
		return m
	case "ForwardReply":
		return ForwardReply{Term: term, Stream: cmd.Uint("stream", 0), Seq: cmd.Uint("seq", 0), Reason: RefuseReason(cmd.Uint("reason", 0))}
	case "ReadIndex":
		return ReadIndex{Term: term, Seq: cmd.Uint("seq", 0), Lease: cmd.Bool("lease", false)}
	case "ReadIndexReply":
		return ReadIndexReply{Term: term, Seq: cmd.Uint("seq", 0), Index: Index(cmd.Uint("index", 0))}
	case "nil":
		return nil
	default:
		cmd.Fatalf("unknown message %q", kind)
		return nil
	}
}

// place reads a key of the form 3:2, entry 3 of term 2.
func (i *interpreter) place(cmd script.Command, key string) (Index, Term) {
	index, term, _ := strings.Cut(cmd.Text(key, ""), ":")
	return Index(parse(cmd, index, 0)), Term(parse(cmd, term, 0))
}

// entries reads entries=4:2,5:2,6:3.
func (i *interpreter) entries(cmd script.Command) []Entry {
	var es []Entry
	for _, text := range cmd.List("entries") {
		index, term, _ := strings.Cut(text, ":")
		e := Entry{Index: Index(parse(cmd, index, 0)), Term: Term(parse(cmd, term, 0)), Type: EntryType(cmd.Uint("type", 0)), Data: []byte("injected")}
		es = append(es, i.known(e))
	}
	return es
}

// known is the entry that some server has at e's index in e's term, or e.
func (i *interpreter) known(e Entry) Entry {
	for _, s := range i.c.servers {
		for _, other := range slices.Concat(s.log, s.disk.log) {
			if other.Index == e.Index && other.Term == e.Term {
				return other
			}
		}
	}
	return e
}
