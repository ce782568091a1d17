package raft

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

var (
	seedFlag = flag.Uint64("seed", 0, "run TestRandom with this seed alone, and tell its story")
	runsFlag = flag.Int("runs", 200, "how many seeds TestRandom runs")
	fromFlag = flag.Uint64("from", 1, "the first seed of TestRandom")
)

// TestRandom lets everything go wrong that may: messages are lost, duplicated and reordered, links are cut in one direction, disks
// are slow, servers crash and lose what they were saving. Safety is checked after every step; in the end the faults cease, and
// the cluster must come to life.
func TestRandom(t *testing.T) {
	if *seedFlag != 0 {
		w, err := runSeed(*seedFlag, true)
		t.Log("the story:\n" + w.story.String())
		if err != nil {
			t.Error(err)
		}
		return
	}
	seen := map[string]int{}
	for seed := *fromFlag; seed < *fromFlag+uint64(*runsFlag); seed++ {
		w, err := runSeed(seed, false)
		if err != nil {
			w, _ = runSeed(seed, true)
			t.Logf("the story:\n%s", lastLines(w.story.String(), 150))
			t.Fatalf("%v\nreplay: go test ./raft -run 'TestRandom$' -seed=%d", err, seed)
		}
		for what, n := range w.seen {
			seen[what] += n
		}
	}
	t.Logf("seen: %v", seen)
	// A random test that meets nothing shows nothing.
	for _, what := range []string{"leaders", "committed", "crashes", "torn saves", "truncations", "refused proposals",
		"aborted reads", "confirmed reads", "quorums lost", "loads for peers", "loads to apply", "compactions", "snapshots asked for",
		"snapshots installed", "forwards sent again", "restarts behind a snapshot", "transfers", "transfers that ended", "votes for a transfer",
		"stuck disks", "transfers because of a stuck disk", "transfers to the preferred", "reads under a lease", "followers' reads under a lease",
		"changes refused", "joint configurations", "changes made", "configurations undone", "leaders removed", "joint configurations cancelled", "disks lost", "voters that had lost their disk"} {
		if seen[what] < *runsFlag/30 {
			t.Errorf("in %d runs there were %d %s: they show little", *runsFlag, seen[what], what)
		}
	}
}

// TestRandomRepeats: the core and its effects depend on the inputs alone, so a seed tells one story.
func TestRandomRepeats(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		first, _ := runSeed(seed, true)
		again, _ := runSeed(seed, true)
		if first.story.String() != again.story.String() {
			t.Errorf("seed %d tells two stories", seed)
		}
	}
}

func lastLines(s string, n int) string {
	lines := strings.SplitAfter(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}

// world is a cluster under random faults.
type world struct {
	*cluster
	rand *rand.Rand

	// How often what happens.
	weights []weight
	total   int
	fifo    int // of 100 deliveries, how many take the oldest message
	speed   int // of 10 messages under way, how many arrive before the next tick

	lastChange uint64

	late     []*packet // copies of messages that were delivered long ago
	commands int
	nextRead ReadID
	clocks   *clocks // nil: no leases, and time is what ticks say
}

type weight struct {
	of  int
	act func(*world)
}

// runSeed makes one run.
func runSeed(seed uint64, tell bool) (w *world, err error) {
	w = newWorld(rand.New(rand.NewPCG(seed, 0)))
	w.story = nil
	if tell {
		w.story = &strings.Builder{}
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("seed %d: %v", seed, v)
			if _, broken := v.(violation); !broken {
				err = fmt.Errorf("%w\n%s", err, debug.Stack())
			}
		}
	}()
	for _, s := range w.servers {
		w.start(s)
	}
	for range 1000 {
		w.act()
	}
	w.calm()
	w.calmDown()
	w.keepsPeace()
	w.count()
	return w, nil
}

func newWorld(r *rand.Rand) *world {
	n := []int{1, 2, 3, 3, 3, 3, 4, 5}[r.IntN(8)]
	pick := func(of ...uint64) uint64 { return of[r.IntN(len(of))] }
	config := Config{
		ElectionTicks: 4 + r.IntN(5), HeartbeatTicks: 1 + r.IntN(2),
		AppendBytesMax: pick(1, 70, 200, 1<<20), InflightBytesMax: pick(1, 100, 400, 1<<20),
		UncommittedBytesMax: pick(200, 1000, 1<<20), ApplyBytesMax: pick(1, 100, 1<<20), CacheBytesMax: pick(1, 100, 1<<20),
	}
	var c *clocks
	if r.IntN(2) == 0 {
		c = newClocks(r, &config)
	}
	w := &world{cluster: newCluster(n, config), rand: r, nextRead: 1, clocks: c}
	if c != nil {
		w.clock = c.read
	}
	w.epochStep = 1 << 32
	w.addServers()
	if ms := w.config.Configuration.Members; r.IntN(2) == 0 {
		ms[r.IntN(n)].Priority, ms[r.IntN(n)].Priority = 1, 2
	}
	for _, s := range w.servers {
		s.rand = r
		s.manualPersist, s.manualApply, s.manualLoad, s.manualSend = r.IntN(2) == 0, r.IntN(3) == 0, r.IntN(3) == 0, r.IntN(3) == 0
	}
	w.fifo, w.speed = 50+10*r.IntN(6), 3+r.IntN(10)
	if batches := r.IntN(3); batches > 0 {
		w.busy = func() bool { return r.IntN(3) < batches }
	}
	faults := r.IntN(4) // a quiet network shows other things than a wild one
	w.weights = []weight{
		{800, (*world).deliverOne},
		{160, (*world).tickAll},
		{80, (*world).tickOne},
		{400, (*world).hostOne},
		{90, (*world).proposeSome},
		{50, (*world).readSome},
		{20 * faults, (*world).dropOne},
		{15 * faults, (*world).duplicateOne},
		{15 * faults, (*world).deliverLate},
		{4 * faults, (*world).crashOne},
		{40, (*world).restartOne},
		{2 * faults, (*world).cutSome},
		{12 * faults, (*world).strikeLeader},
		{20, (*world).healAll},
		{4 * faults, (*world).breakConnection},
		{5, (*world).changeHost},
		{10 * r.IntN(4), (*world).compactOne},
		{3 * r.IntN(4), (*world).transferOne},
		{8 * r.IntN(4), (*world).changeSome},
		{4 * r.IntN(3), (*world).wipeOne},
	}
	for i := range w.weights {
		w.weights[i].of = w.weights[i].of * (4 + r.IntN(16)) / 10 // no two runs have the same rhythm
		w.total += w.weights[i].of
	}
	return w
}

func (w *world) act() {
	n := w.rand.IntN(w.total)
	for _, wt := range w.weights {
		if n -= wt.of; n < 0 {
			wt.act(w)
			return
		}
	}
}

// any picks a server that is up, or nil.
func (w *world) any() *server {
	if s := w.servers[w.rand.IntN(len(w.servers))]; s.raft != nil {
		return s
	}
	return nil
}

func (w *world) pick() *packet {
	switch {
	case len(w.network) == 0:
		return nil
	case w.rand.IntN(100) < w.fifo:
		return w.network[0]
	}
	return w.network[w.rand.IntN(len(w.network))]
}

func (w *world) deliverOne() {
	p := w.pick()
	if p == nil {
		return
	}
	w.clocks.pass(w.rand.Uint64N(trueTick / 20))
	w.deliver(p)
	if w.rand.IntN(4) > 0 {
		return
	}
	const lateMax = 40
	if len(w.late) < lateMax {
		w.late = append(w.late, p)
	} else {
		w.late[w.rand.IntN(lateMax)] = p
	}
}

// deliverLate delivers what was delivered before, perhaps terms ago and to another incarnation.
func (w *world) deliverLate() {
	if len(w.late) > 0 {
		w.receive(w.late[w.rand.IntN(len(w.late))])
	}
}

func (w *world) dropOne() {
	if p := w.pick(); p != nil {
		w.remove(p)
		w.say("lost: n%d to n%d %s", p.from, p.To, describe(p.Message))
	}
}

func (w *world) duplicateOne() {
	if p := w.pick(); p != nil {
		again := *p
		w.network = append(w.network, &again)
		w.say("doubled: n%d to n%d %s", p.from, p.To, describe(p.Message))
	}
}

func (w *world) tickOne() {
	w.clocks.pass(w.rand.Uint64N(trueTick))
	w.tick(w.any())
}

// tickAll lets time pass. A tick is long beside the way of a message, or no election would ever succeed: of what is under way, most
// arrives before it.
func (w *world) tickAll() {
	for range len(w.network) * w.speed / 10 {
		w.deliverOne()
	}
	w.clocks.pass(trueTick)
	for _, s := range w.servers {
		w.tick(s)
	}
}

func (w *world) tick(s *server) {
	if s != nil && s.raft != nil {
		for _, st := range s.streams {
			if st.begun && w.rand.IntN(4*w.config.ElectionTicks) == 0 {
				w.say("n%d gives up the snapshot for n%d", s.id, st.to)
				w.endStream(s, st.to)
				break
			}
		}
		if w.clocks.due(s) {
			w.cluster.tick(s)
		}
		w.settle(s)
	}
}

// hostOne lets a slow host do something.
func (w *world) hostOne() {
	s := w.any()
	if s == nil {
		return
	}
	switch n := w.rand.IntN(3); {
	case n == 0 && len(s.loads) > 0 && w.rand.IntN(3) == 0:
		if l := &s.loads[w.rand.IntN(len(s.loads))]; l.entries == nil {
			s.fetch(l, uint64(w.rand.IntN(200))) // read now, handed in later
		}
		return
	case n == 0 && len(s.loads) > 0:
		if w.rand.IntN(10) == 0 {
			l := s.loads[0]
			s.loads = s.loads[1:]
			s.raft.Loaded(l.Load, nil)
		} else {
			w.load(s, uint64(w.rand.IntN(200)))
		}
	case n == 1 && len(s.handed) > 0:
		w.apply(s, 1+w.rand.IntN(len(s.handed)))
	case n == 2 && len(s.met) > 0:
		w.introduce(s)
	case n == 2 && w.sendNext(s):
	case len(s.disk.saves) > 0:
		w.persist(s, 1+w.rand.IntN(len(s.disk.saves)))
	default:
		return
	}
	w.settle(s)
}

func (w *world) proposeSome() {
	if s := w.any(); s != nil {
		w.proposeTo(s)
	}
}

func (w *world) proposeTo(s *server) {
	var commands []string
	for range 1 + w.rand.IntN(3) {
		w.commands++
		commands = append(commands, fmt.Sprintf("c%d%s", w.commands, strings.Repeat(".", w.rand.IntN(40))))
	}
	err := w.propose(s, commands...)
	if w.rand.IntN(4) == 0 {
		w.readAt(s)
	}
	w.settle(s)
	w.say("n%d is given %q: %v", s.id, commands, err)
}

func (w *world) readSome() {
	id := w.servers[w.rand.IntN(len(w.servers))].id
	for _, s := range w.servers {
		if s.raft != nil && (s.id == id || s.raft.role == Leader) { // there may be more than one who believes to lead
			w.readAt(s)
			w.settle(s)
		}
	}
}

func (w *world) readAt(s *server) {
	id := w.nextRead
	w.nextRead++
	lease := w.rand.IntN(2) == 0
	w.say("n%d is asked read %d, under a lease %v", s.id, id, lease)
	_ = w.read(s, id, lease)
}

func (w *world) crashOne() {
	if s := w.any(); s != nil {
		w.crashServer(s)
	}
}

// strikeLeader takes a leader away, by a crash or by cuts, while commands are under way, and gives the others the time to elect another.
// That is when logs come to differ, when two servers believe to lead, and when late messages are dangerous.
func (w *world) strikeLeader() {
	s := w.leader()
	if s == nil {
		return
	}
	w.proposeTo(s)
	switch w.rand.IntN(8) {
	case 0, 1:
		w.crashServer(s)
	case 2:
		w.transferOne() // and what it sends may be late
		fallthrough
	default:
		w.say("n%d is isolated", s.id)
		for _, other := range w.servers {
			w.cut[link{s.id, other.id}] = w.rand.IntN(8) > 0
			w.cut[link{other.id, s.id}] = w.rand.IntN(8) > 0
		}
		w.proposeTo(s)
	}
	meanwhile := []func(*world){(*world).deliverOne, (*world).deliverOne, (*world).deliverOne, (*world).hostOne, (*world).proposeSome, (*world).readSome}
	for range w.rand.IntN(4 * w.config.ElectionTicks) {
		w.clocks.pass(trueTick)
		for _, other := range w.servers {
			if other != s || w.rand.IntN(4) == 0 { // its clock is slow: it believes for long that it leads
				w.tick(other)
			}
		}
		for range w.rand.IntN(40) {
			meanwhile[w.rand.IntN(len(meanwhile))](w)
		}
	}
	if w.rand.IntN(4) > 0 {
		w.healAll()
	}
}

func (w *world) crashServer(s *server) {
	keep, torn := 0, 0
	if n := len(s.disk.saves); n > 0 {
		keep = w.rand.IntN(n + 1)
		if keep < n {
			torn = min(len(s.disk.saves[keep].Entries), w.rand.IntN(4))
		}
	}
	w.say("n%d crashes; of %d saves it keeps %d, and %d entries of the next", s.id, len(s.disk.saves), keep, torn)
	w.crash(s, keep, torn)
	w.seen["crashes"]++
	if torn > 0 {
		w.seen["torn saves"]++
	}
}

func (w *world) restartOne() {
	if s := w.servers[w.rand.IntN(len(w.servers))]; s.raft == nil {
		w.start(s)
		w.say("restarted: %v", s.raft.Status())
		if len(s.disk.snapshot) > 0 {
			w.seen["restarts behind a snapshot"]++
		}
	}
}

func (w *world) cutSome() {
	s := w.servers[w.rand.IntN(len(w.servers))]
	both := w.rand.IntN(2) == 0
	for _, other := range w.servers {
		if w.rand.IntN(3) > 0 {
			w.cut[link{s.id, other.id}] = true
			if both {
				w.cut[link{other.id, s.id}] = true
			}
		}
	}
	w.say("n%d is cut from some, both ways %v", s.id, both)
}

func (w *world) healAll() { clear(w.cut) }

func (w *world) breakConnection() {
	if s := w.any(); s != nil {
		other := w.servers[w.rand.IntN(len(w.servers))]
		s.raft.Unreachable(other.id)
		w.settle(s)
	}
}

// compactOne lets a server take a snapshot, and forget its log but for a tail.
func (w *world) compactOne() {
	s := w.any()
	if s == nil || s.applied == 0 {
		return
	}
	w.compact(s, s.applied-min(s.applied, Index(w.rand.IntN(8))))
	w.seen["compactions"]++
	w.settle(s)
}

// transferOne tells a server to hand the lead over, whether it leads or not.
func (w *world) transferOne() {
	s, to := w.leader(), NodeID(w.rand.IntN(len(w.servers)+2))
	if s == nil {
		return
	}
	err := s.raft.TransferLeadership(to)
	w.say("n%d is told to hand over to n%d: %v", s.id, to, err)
	w.settle(s)
}

// changeHost makes a slow part of a host quick, or a quick one slow.
func (w *world) changeHost() {
	s := w.any()
	if s == nil {
		return
	}
	part := []*bool{&s.manualPersist, &s.manualApply, &s.manualLoad, &s.manualSend}[w.rand.IntN(4)]
	*part = !*part
	w.settle(s)
}

// calm ends all faults, and expects that the cluster does its work: one leader, one log, everything applied, every read ended.
func (w *world) calm() {
	w.say("all faults cease")
	w.busy = nil
	clear(w.cut)
	for _, s := range w.servers {
		s.manualPersist, s.manualApply, s.manualLoad, s.manualSend, s.manualIntroduce = false, false, false, false, false
		if s.raft == nil {
			w.start(s)
		}
		w.settle(s)
	}
	last, given := "", Term(0)
	for range 60 * w.config.ElectionTicks {
		w.deliverAll()
		if l := w.leader(); l != nil && l.raft.Term() > given && !w.isCommitted(last) {
			w.commands++
			last = fmt.Sprintf("last%d", w.commands)
			if w.propose(l, last) == nil {
				given = l.raft.Term()
			}
			w.settle(l)
		}
		if w.isCommitted(last) && w.converged() {
			return
		}
		w.tickAll()
	}
	for _, s := range w.servers {
		w.say("%v", s.raft.Status())
	}
	for _, s := range w.servers {
		w.say("n%d: %s", s.id, describeMembers(s, true))
		for id, how := range s.outcomes {
			if how == "" {
				w.say("n%d waits for read %d", s.id, id)
			}
		}
	}
	violate("liveness", "without faults the cluster does not come to rest with %q applied everywhere", last)
}

// calmDown waits until a server of the highest priority leads, and goes on leading.
func (w *world) calmDown() {
	var highest uint8
	for _, m := range w.members().Members {
		if m.Suffrage == Voter {
			highest = max(highest, m.Priority)
		}
	}
	quiet, term := 0, Term(0)
	for range 2 << preferDoublings * preferTimeouts * w.config.ElectionTicks {
		w.deliverAll()
		l := w.leader()
		if l == nil || l.raft.Term() != term || l.raft.priority(l.id) < highest {
			quiet = 0
		}
		if l != nil && quiet == 0 {
			if l.raft.Term() > term && term > 0 {
				w.seen["transfers to the preferred"]++
			}
			term = l.raft.Term()
		}
		if quiet++; quiet > 2*preferTimeouts*w.config.ElectionTicks {
			return
		}
		w.tickAll()
	}
	violate("liveness", "without faults no server of the highest priority, %d, comes to lead", highest)
}

func (w *world) deliverAll() {
	for n := 0; len(w.network) > 0; n++ {
		if n == 200000 {
			violate("liveness", "the servers do not become quiet")
		}
		w.deliver(w.network[0])
	}
}

func (w *world) leader() *server {
	for _, s := range w.servers {
		if s.raft != nil && s.raft.role == Leader {
			return s
		}
	}
	return nil
}

func (w *world) isCommitted(command string) bool {
	p := w.checks.proposals[command]
	return p != nil && p.commits > 0
}

// converged reports whether all members have applied the same whole log, no change of them is under way, and no read waits.
func (w *world) converged() bool {
	end := len(w.checks.committed)
	if !w.members().AtRest() {
		return false
	}
	for _, s := range w.stay() {
		if int(s.applied) != end || len(s.log) != end || len(s.waiting) > 0 {
			return false
		}
	}
	for _, s := range w.servers {
		for _, how := range s.outcomes {
			if how == "" {
				return false
			}
		}
	}
	return !w.hangs()
}

// hangs reports whether a proposal of the term waits although its leader is connected with its proposer.
func (w *world) hangs() bool {
	for _, p := range w.checks.byID {
		alive := p.by != nil && p.by.raft != nil && p.by.incarnation == p.life
		if alive && slices.Contains(w.stay(), p.by) && !p.refused && p.commits == 0 && p.term == p.by.raft.Term() {
			return true
		}
	}
	return false
}

func (w *world) count() {
	w.seen["leaders"] += len(w.checks.leaders)
	w.seen["committed"] += len(w.checks.committed)
	for _, s := range w.servers {
		for _, how := range s.outcomes {
			w.seen[how+" reads"]++
		}
	}
	for _, p := range w.checks.byID {
		if p.refused {
			w.seen["refused proposals"]++
		}
	}
}
