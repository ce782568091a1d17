package raft

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/internal/script"
)

// TestTranscripts runs the stories of testdata. Commands, each with what it does:
//
//	cluster n=3 election=10 heartbeat=1 [joiners=2 folders=true append-bytes= inflight-bytes= uncommitted-bytes= apply-bytes= cache-bytes= promise= lease= priorities=0,0,9 down=true]
//	                                             joiners come behind the n founders and wait to be told; they have data folders, the founders
//	                                             only with folders
//	disk 1 [terms=1x3,4,5x2] [term=5] [vote=2]   what a server that is down has on its disk; without an argument it is shown
//	       [snapshot=3] [first=4]                its snapshot ends with entry 3, which is committed, and its log begins with entry 4
//	manual persist|apply|load|send|introduce [1 2]   the host waits for the commands below; auto ends it
//	persist 1 [n=] [again=seq] | applied 1 [n=] | load 1 [bytes=] [fail=true | ahead=true]
//	compact 1 [to=3]                             1 takes a snapshot of what it has applied and forgets its log up to an entry, or all of that
//	send 1 | sent 1 2                            1 sends the next snapshot that was asked for; it gives up the one that 2 waits for
//	change 1 voters=1,2,4 [learners=5] [base=] [force=true] [apart=true] [ready=true] [id=] [addresses=4@a:1]
//	                                             what 1 is told that the members shall be; id is the next number
//	members [1 2] [all=true]                     the configuration in force, and what a change waits for
//	introduce 1 4 [folder=402]                   4 shows 1 which data folder it has; hosts do that by themselves
//	wipe 4 [joins=false]                         4, which is down, loses its disk, and gets another data folder
//	transfer 1 [2]                               1 hands the lead over, to 2 or to whom it chooses
//	rand 1 3                                     the election timeout of server 1 is the shortest and 3 ticks; 5 otherwise
//	tick [1 2] [n=]; campaign 1; unreachable 1 2 (at 1, of 2)
//	clock 1 n=35; slept 1                        1's clock goes on without a tick, which is 10; it may have stood still
//	propose 1 x y [read=7]; read 1 7 8 [lease=true]; crash 1 [keep=] [torn=]; restart 1
//	deliver|drop|duplicate 1->2 [Type] [n=]      of the messages under way; * is any server
//	delay 1->2 [Type] [n=] as=name [copy=true]   keeps messages, or copies, back until deliver name
//	cut 1->2; cut 1--2; isolate 1; heal
//	stabilize [1 2] [keep=true]                  delivers, saves and applies everything (between these) until all is quiet; with
//	                                             keep, hosts that were told to wait go on waiting
//	settle [1 2]                                 the same without a word
//	elect 1                                      time passes for all but leaders, 1 stands for election, and all settles
//	pass n=40                                    so many ticks pass everywhere, and messages arrive at once; elections, transfers and stuck
//	                                             disks are told
//	inject 1->2 Type fields...                   a message that nobody sent
//	status; log; messages
//
// Crossed-out arrows (-x) are messages that a cut or a server that is down has swallowed.
func TestTranscripts(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(t *testing.T) func(script.Command) string {
		i := &interpreter{t: t}
		return i.run
	})
}

type interpreter struct {
	t     *testing.T
	c     *cluster
	story *strings.Builder // of the command that runs

	changes uint64 // the id of the last change of the members
}

// run executes a command and returns the story that it makes.
func (i *interpreter) run(cmd script.Command) string {
	var story strings.Builder
	if cmd.Name == "cluster" {
		i.newCluster(cmd)
	}
	if i.c == nil {
		cmd.Fatalf("there is no cluster yet")
	}
	i.story, i.c.story = &story, &story
	defer func() {
		if v := recover(); v != nil {
			i.t.Log("the story so far:\n" + story.String())
			if broken, ok := v.(violation); ok {
				cmd.Fatalf("%s", string(broken))
			}
			panic(v)
		}
	}()
	i.execute(cmd)
	return story.String()
}

func (i *interpreter) execute(cmd script.Command) {
	switch cmd.Name {
	case "cluster":
		i.startAll(cmd)
	case "disk", "log", "status", "messages":
		i.show(cmd)
	case "manual", "auto", "persist", "applied", "load":
		i.host(cmd)
	case "compact", "send", "sent":
		i.snapshots(cmd)
	case "deliver", "drop", "duplicate", "delay", "stabilize", "settle", "inject":
		i.network(cmd)
	case "cut", "isolate", "heal":
		i.links(cmd)
	case "members", "change", "introduce", "wipe":
		i.members(cmd)
	default:
		i.server(cmd)
	}
}

func (i *interpreter) newCluster(cmd script.Command) {
	i.c = newCluster(cmd.Int("n", 3), Config{
		ElectionTicks: cmd.Int("election", 10), HeartbeatTicks: cmd.Int("heartbeat", 1),
		AppendBytesMax: cmd.Uint("append-bytes", 0), InflightBytesMax: cmd.Uint("inflight-bytes", 0),
		UncommittedBytesMax: cmd.Uint("uncommitted-bytes", 0), ApplyBytesMax: cmd.Uint("apply-bytes", 0),
		CacheBytesMax: cmd.Uint("cache-bytes", 0),
		Promise:       Nanos(cmd.Uint("promise", 0)), Lease: Nanos(cmd.Uint("lease", 0)), Promised: Nanos(cmd.Uint("promise", 0)),
	})
	i.c.addJoiners(cmd.Int("joiners", 0))
	for _, s := range i.c.servers {
		if cmd.Bool("folders", false) {
			s.folder = folderOf(s.id, 1)
		}
	}
	for k, priority := range cmd.List("priorities") {
		i.c.config.Configuration.Members[k].Priority = uint8(parse(cmd, priority, 0))
	}
}

func (i *interpreter) startAll(cmd script.Command) {
	if cmd.Bool("down", false) {
		return
	}
	for _, s := range i.c.servers {
		i.c.start(s)
	}
}

// server executes the commands that make one server do something.
func (i *interpreter) server(cmd script.Command) {
	c := i.c
	switch cmd.Name {
	case "tick":
		up := i.named(cmd, 0)
		for range cmd.Int("n", 1) {
			for _, s := range up {
				if s.raft != nil {
					c.tick(s)
					c.settle(s)
				}
			}
		}
	case "clock", "slept":
		s := i.up(cmd)
		s.clock += Nanos(cmd.Uint("n", 0))
		c.tellTime(s)
		if cmd.Name == "slept" {
			s.raft.Slept()
		}
	case "campaign":
		i.campaign(cmd)
	case "elect":
		i.elect(cmd)
	case "pass":
		i.pass(cmd)
	case "rand":
		i.one(cmd).rand = &fixedRand{int(cmd.ArgUint(1))}
		if s := i.one(cmd); s.raft != nil {
			s.raft.config.Rand = s.rand
			s.raft.resetElectionTimer()
		}
	case "propose":
		s := i.up(cmd)
		i.answer(s, c.propose(s, cmd.Args[1:]...))
		if cmd.Has("read") {
			i.answer(s, c.read(s, ReadID(cmd.Uint("read", 0)), false))
		}
		c.settle(s)
	case "read":
		s := i.up(cmd)
		for k := range cmd.Args[1:] {
			i.answer(s, c.read(s, ReadID(cmd.ArgUint(k+1)), cmd.Bool("lease", false)))
		}
		c.settle(s)
	case "transfer":
		s := i.up(cmd)
		to := NodeID(0)
		if len(cmd.Args) > 1 {
			to = NodeID(cmd.ArgUint(1))
		}
		i.answer(s, s.raft.TransferLeadership(to))
		c.settle(s)
	case "unreachable":
		s := i.up(cmd)
		s.raft.Unreachable(NodeID(cmd.ArgUint(1)))
		c.settle(s)
	case "crash":
		i.crash(cmd)
	case "restart":
		s := i.one(cmd)
		if s.raft != nil {
			cmd.Fatalf("n%d is not down", s.id)
		}
		c.start(s)
		c.say("%v", s.raft.Status())
	default:
		cmd.Fatalf("unknown command")
	}
}

func (i *interpreter) answer(s *server, err error) {
	if err != nil {
		i.c.say("n%d: %v", s.id, err)
	}
}

// campaign lets time pass at a server until it stands for election.
func (i *interpreter) campaign(cmd script.Command) {
	s := i.up(cmd)
	for range 2 * s.raft.config.ElectionTicks {
		i.c.tick(s)
		stands := s.raft.role != Follower && s.raft.electionElapsed == 0
		i.c.settle(s)
		if stands {
			return
		}
	}
	cmd.Fatalf("n%d does not stand for election", s.id)
}

// elect makes a server stand for election at a time when nobody hears a leader.
func (i *interpreter) elect(cmd script.Command) {
	s := i.up(cmd)
	i.silently(func() {
		for _, s := range i.c.servers {
			for s.raft != nil && s.raft.role != Leader && s.raft.hearsLeader() {
				i.c.tick(s)
				i.c.settle(s)
			}
		}
		i.campaign(cmd)
		i.stabilize(cmd, i.c.servers)
	})
	i.c.say("n%d is %v in term %d", s.id, s.raft.role, s.raft.currentTerm)
}

// pass lets time pass everywhere, with messages that arrive at once, and tells who stood for election, won, and resigned.
func (i *interpreter) pass(cmd script.Command) {
	c := i.c
	for n := range cmd.Int("n", 1) {
		c.observe = func(s *server, e Event) {
			switch e.Kind {
			case EventCandidate, EventLeader, EventQuorumLost, EventStalled, EventStallEnded, EventTransfer, EventTransferEnded:
				fmt.Fprintf(i.story, "tick %d: n%d %v\n", n+1, s.id, e)
			}
		}
		i.silently(func() {
			for _, s := range c.servers {
				if s.raft != nil {
					c.tick(s)
					c.settle(s)
				}
			}
			i.stabilize(cmd, c.servers)
		})
	}
	c.observe = nil
}

// silently runs f without its part of the story.
func (i *interpreter) silently(f func()) {
	story := i.c.story
	i.c.story = nil
	defer func() { i.c.story = story }()
	f()
}

func (i *interpreter) crash(cmd script.Command) {
	s := i.up(cmd)
	keep, torn, under := cmd.Int("keep", 0), cmd.Int("torn", 0), len(s.disk.saves)
	i.c.crash(s, keep, torn)
	switch {
	case torn > 0:
		i.c.say("n%d crashes; of %d saves under way it keeps %d, and of the next %d entries", s.id, under, keep, torn)
	case under > 0:
		i.c.say("n%d crashes; of %d saves under way it keeps %d", s.id, under, keep)
	default:
		i.c.say("n%d crashes", s.id)
	}
}

// host executes the commands that do what a host otherwise does by itself.
func (i *interpreter) host(cmd script.Command) {
	c := i.c
	switch cmd.Name {
	case "manual", "auto":
		for _, s := range i.named(cmd, 1) {
			i.setManual(cmd, s, cmd.Name == "manual")
			if s.raft != nil {
				c.settle(s)
			}
		}
		return
	case "persist":
		s := i.up(cmd)
		if seq := cmd.Uint("again", 0); seq > 0 {
			c.say("n%d is told again that save %d is durable", s.id, seq)
			s.raft.Persisted(seq)
			break
		}
		if len(s.disk.saves) == 0 {
			cmd.Fatalf("n%d has no save under way", s.id)
		}
		c.persist(s, cmd.Int("n", len(s.disk.saves)))
	case "applied":
		s := i.up(cmd)
		if len(s.handed) == 0 {
			cmd.Fatalf("n%d has nothing to apply", s.id)
		}
		c.apply(s, cmd.Int("n", len(s.handed)))
	case "load":
		s := i.up(cmd)
		if len(s.loads) == 0 {
			cmd.Fatalf("n%d has nothing to load", s.id)
		}
		switch l := &s.loads[0]; {
		case cmd.Bool("ahead", false):
			s.fetch(l, ^uint64(0))
			c.say("n%d reads %s: %s", s.id, describeLoad(l.Load), describeEntries(l.entries))
		case cmd.Bool("fail", false):
			c.say("n%d fails to load %s", s.id, describeLoad(l.Load))
			s.loads = s.loads[1:]
			s.raft.Loaded(l.Load, nil)
		default:
			c.load(s, cmd.Uint("bytes", ^uint64(0)))
		}
	}
	c.settle(i.one(cmd))
}

// snapshots executes the commands about compaction and snapshots.
func (i *interpreter) snapshots(cmd script.Command) {
	c, s := i.c, i.up(cmd)
	switch cmd.Name {
	case "compact":
		c.compact(s, Index(cmd.Uint("to", uint64(s.applied))))
	case "send":
		if !c.sendNext(s) {
			cmd.Fatalf("n%d has no snapshot to send", s.id)
		}
	case "sent":
		c.endStream(s, NodeID(cmd.ArgUint(1)))
	}
	c.settle(s)
}

func (i *interpreter) setManual(cmd script.Command, s *server, manual bool) {
	switch what := cmd.Arg(0); what {
	case "persist":
		s.manualPersist = manual
	case "apply":
		s.manualApply = manual
	case "load":
		s.manualLoad = manual
	case "send":
		s.manualSend = manual
	case "introduce":
		s.manualIntroduce = manual
	default:
		cmd.Fatalf("a host cannot wait with %q", what)
	}
}

func (i *interpreter) links(cmd script.Command) {
	c := i.c
	switch cmd.Name {
	case "heal":
		clear(c.cut)
	case "isolate":
		s := i.one(cmd)
		for _, other := range c.servers {
			c.cut[link{s.id, other.id}], c.cut[link{other.id, s.id}] = true, true
		}
	case "cut":
		for k := range cmd.Args {
			a, b, both := i.ends(cmd, cmd.Arg(k))
			for _, from := range a {
				for _, to := range b {
					c.cut[link{from, to}] = true
					if both {
						c.cut[link{to, from}] = true
					}
				}
			}
		}
	}
}

// show executes the commands that only look.
func (i *interpreter) show(cmd script.Command) {
	c := i.c
	if cmd.Name == "messages" {
		for _, p := range c.network {
			held := ""
			if p.held != "" {
				held = " (held as " + p.held + ")"
			}
			c.say("n%d .. n%d %s%s", p.from, p.To, describe(p.Message), held)
		}
		return
	}
	if cmd.Name == "disk" && (cmd.Has("terms") || cmd.Has("term")) {
		i.setDisk(cmd)
		return
	}
	for _, s := range i.named(cmd, 0) {
		switch {
		case cmd.Name == "disk":
			snapshot := ""
			if n := len(s.disk.snapshot); n > 0 {
				snapshot = fmt.Sprintf(", a snapshot at %s", at(Index(n), s.disk.snapshot[n-1].Term))
			}
			c.say("n%d has on its disk %s%s, log %s", s.id, describeHardState(s.disk.hardState), snapshot, describeLog(s.disk.log, s.disk.first))
		case s.raft == nil:
			c.say("n%d is down", s.id)
		case cmd.Name == "log":
			c.say("n%d log %s", s.id, describeLog(s.log, s.raft.log.first))
		default:
			c.say("%v", s.raft.Status())
		}
	}
}

// setDisk gives a server that is down a past. Entry i of term t is the same on all servers.
func (i *interpreter) setDisk(cmd script.Command) {
	s := i.one(cmd)
	if s.raft != nil {
		cmd.Fatalf("n%d is not down", s.id)
	}
	s.disk = disk{}
	for _, run := range cmd.List("terms") {
		term, n, _ := strings.Cut(run, "x")
		for range parse(cmd, n, 1) {
			e := Entry{Term: Term(parse(cmd, term, 0)), Index: Index(len(s.disk.log) + 1)}
			e.Data = fmt.Appendf(nil, "%d.%d", e.Term, e.Index)
			s.disk.log = append(s.disk.log, e)
			s.disk.hardState.CurrentTerm = e.Term
		}
	}
	if n := Index(cmd.Uint("snapshot", 0)); n > 0 {
		s.disk.base = i.c.baseAt(s, n)
		s.disk.snapshot, s.disk.first = slices.Clone(s.disk.log[:n]), Index(cmd.Uint("first", uint64(n+1)))
		i.c.checks.chainOf(s.disk.log)
		i.c.checks.commit(s.disk.log[n-1].Term, s.disk.log[:n])
	}
	s.disk.hardState.CurrentTerm = Term(cmd.Uint("term", uint64(s.disk.hardState.CurrentTerm)))
	s.disk.hardState.VotedFor = NodeID(cmd.Uint("vote", 0))
}

// parse returns text as a number, or otherwise if it is empty.
func parse(cmd script.Command, text string, otherwise uint64) uint64 {
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		cmd.Fatalf("%q is not a number", text)
	}
	return n
}

// one is the server that the first argument names.
func (i *interpreter) one(cmd script.Command) *server {
	id := cmd.ArgUint(0)
	if id == 0 || id > uint64(len(i.c.servers)) {
		cmd.Fatalf("there is no n%d", id)
	}
	return i.c.server(NodeID(id))
}

func (i *interpreter) up(cmd script.Command) *server {
	s := i.one(cmd)
	if s.raft == nil {
		cmd.Fatalf("n%d is down", s.id)
	}
	return s
}

// named is the servers that the arguments from the given one on name, or all.
func (i *interpreter) named(cmd script.Command, from int) []*server {
	if len(cmd.Args) <= from {
		return i.c.servers
	}
	var all []*server
	for k := from; k < len(cmd.Args); k++ {
		all = append(all, i.c.server(NodeID(cmd.ArgUint(k))))
	}
	return all
}

// ends reads 1->2 or 1--2, where * is any server.
func (i *interpreter) ends(cmd script.Command, arg string) (from, to []NodeID, both bool) {
	a, b, ok := strings.Cut(arg, "->")
	if !ok {
		if a, b, both = strings.Cut(arg, "--"); !both {
			cmd.Fatalf("%q is not of the form 1->2 or 1--2", arg)
		}
	}
	return i.ids(cmd, a), i.ids(cmd, b), both
}

func (i *interpreter) ids(cmd script.Command, text string) []NodeID {
	var ids []NodeID
	for _, s := range i.c.servers {
		if text == "*" || slices.Contains(strings.Split(text, ","), fmt.Sprint(s.id)) {
			ids = append(ids, s.id)
		}
	}
	if len(ids) == 0 {
		cmd.Fatalf("%q names no server", text)
	}
	return ids
}
