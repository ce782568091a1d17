package raft

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// diskKind is how the disks of a model are.
type diskKind uint8

const (
	diskSlow  diskKind = iota // a save becomes durable at some later time, and a crash before that loses it
	diskQuick                 // a save is durable at once
	diskLies                  // a save is said to be durable at once, and becomes so at some later time
)

// model is what is explored: the members, and how often what may happen.
type model struct {
	name          string
	configuration Configuration
	servers       int
	alike         []NodeID // they can trade places: nothing names one of them, or asks who comes first
	folders       bool     // they show their data folders
	changes       []Change
	disk          diskKind
	terms         Term // nobody stands for election in a later one
	duplicates    int  // how many messages may arrive twice
	max           [inputKinds]int
	reads         int
	depth         int         // how many steps; 0: until there is nothing new
	prelude       []happening // what has happened before, and after each of them all that was under way

	namings []naming
	chains  map[chainKey]*chain
	root    *chain
}

// prepare is m with empty tables.
func (m model) prepare() *model {
	m.reads = m.max[inputRead]
	m.namings = namings(m.servers, m.alike)
	m.chains = map[chainKey]*chain{}
	m.root = &chain{config: m.configuration, keys: make([]uint64, len(m.namings))}
	return &m
}

// chain is a log as a path.
func (m *model) chain(log []Entry) *chain {
	c := m.root
	for _, e := range log {
		key := chainKey{c, e.Term, e.Type, string(e.Data)}
		next := m.chains[key]
		if next == nil {
			next = &chain{before: c, entry: e, config: c.config, n: e.Index}
			if e.Type == EntryConfiguration {
				next.config = decoded(e).Configuration
			}
			for _, names := range m.namings {
				k := encoder{names: names}
				k.number(c.keys[len(next.keys)])
				k.entry(e)
				next.keys = append(next.keys, k.hash())
			}
			m.chains[key] = next
		}
		c = next
	}
	return c
}

func (m *model) chainHash(c *chain, names int) uint64 {
	if c == nil {
		return 0
	}
	return c.keys[names]
}

// state is a moment of the cluster. What it consists of is in the explorer's tables, each thing once.
type state struct {
	replicas [modelServersMax]uint32
	ghost    uint32
	number   uint32 // in the order of discovery
	spent    [inputKinds + 1]uint8
	mail     []uint32 // ascending; that one is never delivered is all that there is to say of a message that is lost
}

// move is what an input does to a replica: always the same.
type move struct {
	outcome
	next  uint32
	sends []uint32
	idle  bool // nothing comes of it
}

// happening is a step of a schedule.
type happening struct {
	server NodeID
	input  input
	keep   bool // the message that is delivered stays under way: it is doubled
}

// explorer goes through all states of a model, those that take the fewest steps first.
type explorer struct {
	*model
	states   map[uint64]struct{}
	parents  []uint32
	via      []happening
	folded   map[uint64]struct{} // not nil: the states as they are with all namings, and states is as they are with one
	replicas table[string, *replica]
	mails    table[string, *mail]
	ghosts   table[ghost, *ghost]
	moves    []move
	moveOf   map[moveKey]uint32
	follows  map[[2]uint32]uint32 // ghost and move to ghost

	steps    int // that were tried
	scratch  []uint32
	frontier []state
	next     []state
	level    int
	stopped  bool        // by time, before the bound
	played   []happening // of the prelude
	broken   string
	at       happening // where it broke
	from     uint32
}

type moveKey struct {
	replica uint32
	input   input
}

// table keeps each thing once, under a number, with its keys by naming.
type table[K comparable, V any] struct {
	numbers map[K]uint32
	values  []V
	keys    [][]uint64
}

func (t *table[K, V]) number(k K, v V, keys func() []uint64) uint32 {
	n, ok := t.numbers[k]
	if !ok {
		if t.numbers == nil {
			t.numbers = map[K]uint32{}
		}
		n = uint32(len(t.values))
		t.numbers[k], t.values, t.keys = n, append(t.values, v), append(t.keys, keys())
	}
	return n
}

// explore goes through the states of a model.
func explore(of model, until time.Time) *explorer {
	x := &explorer{model: of.prepare()}
	x.run(until)
	return x
}

func (x *explorer) run(until time.Time) {
	x.states, x.moveOf, x.follows = map[uint64]struct{}{}, map[moveKey]uint32{}, map[[2]uint32]uint32{}
	first := state{}
	for id := NodeID(1); int(id) <= x.servers; id++ {
		r := &replica{id: id, disk: disk{first: 1}, memory: x.root, durable: x.root}
		r.raft = x.start(id, &r.disk, 0)
		first.replicas[id-1] = x.replica(r)
	}
	first.ghost = x.ghost(ghost{committed: x.root})
	first = x.play(first)
	x.discover(first, 0, happening{})
	for len(x.next) > 0 && x.broken == "" && (x.depth == 0 || x.level < x.depth) {
		x.level++
		x.frontier, x.next = x.next, nil
		for i := range x.frontier {
			if i%1024 == 0 && !until.IsZero() && time.Now().After(until) {
				x.stopped = true
				return
			}
			x.expand(&x.frontier[i])
			if x.broken != "" {
				return
			}
		}
	}
}

func (x *explorer) replica(r *replica) uint32 {
	keys := make([]uint64, len(x.namings))
	var exact string
	for k, names := range x.namings {
		e := encoder{names: names}
		e.id(r.id)
		e.core(r.raft, r.log)
		e.disk(&r.disk)
		keys[k] = e.hash()
		if k == 0 {
			exact = string(e.b)
		}
	}
	return x.replicas.number(exact, r, func() []uint64 { return keys })
}

func (x *explorer) post(m *mail) uint32 {
	write := func(names naming) *encoder {
		e := &encoder{names: names}
		e.id(m.from)
		e.envelope(m.Envelope)
		e.entries(m.snapshot)
		return e
	}
	return x.mails.number(string(write(x.namings[0]).b), m, func() (keys []uint64) {
		for _, names := range x.namings {
			keys = append(keys, write(names).hash())
		}
		return keys
	})
}

func (x *explorer) ghost(g ghost) uint32 {
	return x.ghosts.number(g, &g, func() (keys []uint64) {
		for k, names := range x.namings {
			e := encoder{names: names}
			g.write(&e, x.model, k)
			keys = append(keys, e.hash())
		}
		return keys
	})
}

// key is the smallest of a state's hashes over namings.
func (x *explorer) key(s *state, namings int) uint64 {
	var spent uint64
	for _, n := range s.spent {
		spent = spent*41 + uint64(n)
	}
	smallest := ^uint64(0)
	for k := range namings {
		h := spent*0x9e3779b97f4a7c15 + x.ghosts.keys[s.ghost][k]
		for _, r := range s.replicas[:x.servers] {
			h += x.replicas.keys[r][k]
		}
		for _, m := range s.mail {
			h += x.mails.keys[m][k]
		}
		smallest = min(smallest, h)
	}
	return smallest
}

func (x *explorer) discover(s state, parent uint32, via happening) {
	key := x.key(&s, len(x.namings))
	if x.folded != nil {
		x.folded[key] = struct{}{}
		key = x.key(&s, 1)
	}
	if _, known := x.states[key]; known {
		return
	}
	x.states[key] = struct{}{}
	s.number = uint32(len(x.parents))
	s.mail = slices.Clone(s.mail)
	x.parents, x.via = append(x.parents, parent), append(x.via, via)
	x.next = append(x.next, s)
}

// expand makes everything happen that can happen in a state.
func (x *explorer) expand(s *state) {
	for i, m := range s.mail {
		if i > 0 && s.mail[i-1] == m {
			continue // a copy
		}
		h := happening{server: x.mails.values[m].To, input: input{inputDeliver, m}}
		x.happen(s, h)
		if int(s.spent[inputKinds]) < x.duplicates {
			h.keep = true
			x.happen(s, h)
		}
	}
	for id := NodeID(1); int(id) <= x.servers; id++ {
		x.expandServer(s, id)
	}
}

func (x *explorer) expandServer(s *state, id NodeID) {
	can := func(kind inputKind, args ...uint32) {
		if int(s.spent[kind]) < x.max[kind] {
			for _, arg := range args {
				x.happen(s, happening{server: id, input: input{kind, arg}})
			}
		}
	}
	r := x.replicas.values[s.replicas[id-1]]
	leads := r.raft.role == Leader
	if len(r.disk.saves) > 0 {
		x.happen(s, happening{server: id, input: input{inputSync, 0}})
	}
	if r.raft.lastApplied >= r.raft.log.first {
		can(inputCompact, 0)
	}
	can(inputCrash, 0)
	if len(r.disk.saves) > 0 {
		for left := range max(1, len(r.disk.saves[0].Entries)) {
			can(inputCrash, uint32(left+1))
		}
	}
	if !leads && r.raft.currentTerm < x.terms {
		can(inputCampaign, 0)
		can(inputTimeout, 0)
	}
	if !leads {
		can(inputPatience, 0)
	}
	if r.raft.role == Follower && r.raft.leader != 0 {
		can(inputRead, uint32(s.spent[inputRead])+1)
	}
	if !leads {
		return
	}
	can(inputRead, uint32(s.spent[inputRead])+1)
	can(inputPropose, 0)
	can(inputHeartbeat, 0)
	can(inputQuorumLost, 0)
	can(inputTransferEnd, 0)
	for to := 1; to <= x.servers; to++ {
		can(inputTransfer, uint32(to))
	}
	for change := range x.changes {
		can(inputChange, uint32(change+1))
	}
}

// happen makes one thing happen.
func (x *explorer) happen(s *state, h happening) {
	x.steps++
	if next, ok := x.after(s, h); ok {
		x.discover(next, s.number, h)
	}
}

// after is the state after something has happened, if that changes anything. Its mail is overwritten by the next call.
func (x *explorer) after(s *state, h happening) (next state, ok bool) {
	if x.broken != "" {
		return *s, false // that is where the story ends
	}
	n := x.move(s.replicas[h.server-1], h.input)
	m := &x.moves[n]
	if m.idle && m.broken == "" {
		return *s, false
	}
	next = *s
	next.replicas[h.server-1] = m.next
	if x.broken = m.broken; x.broken == "" {
		next.ghost = x.follow(s, n, h.input)
	}
	if x.broken != "" {
		x.at, x.from = h, s.number
		return *s, false
	}
	switch kind := h.input.kind; {
	case h.keep:
		next.spent[inputKinds]++
	case x.max[kind] > 0:
		next.spent[kind]++
	}
	next.mail = x.underWay(s, &next, h, m.sends)
	return next, true
}

// play makes the prelude happen, and after each of its steps whatever comes of it, until the servers are quiet.
func (x *explorer) play(s state) state {
	play := func(h happening) bool {
		next, ok := x.after(&s, h)
		if ok {
			next.mail = slices.Clone(next.mail)
			s = next
			x.played = append(x.played, h)
		}
		return ok
	}
	for _, h := range x.prelude {
		for busy := play(h); busy; {
			busy = false
			for id := NodeID(1); int(id) <= x.servers; id++ {
				for len(x.replicas.values[s.replicas[id-1]].disk.saves) > 0 && play(happening{server: id, input: input{inputSync, 0}}) {
					busy = true
				}
			}
			for i := 0; i < len(s.mail) && !busy; i++ {
				busy = play(happening{server: x.mails.values[s.mail[i]].To, input: input{inputDeliver, s.mail[i]}})
			}
		}
	}
	s.spent, s.mail = [inputKinds + 1]uint8{}, nil // what is left under way is idle
	return s
}

// underWay is the messages after a step, without those that are dead. The result is overwritten by the next one.
func (x *explorer) underWay(s, next *state, h happening, sends []uint32) []uint32 {
	mail := append(x.scratch[:0], s.mail...)
	if h.input.kind == inputDeliver && !h.keep {
		i, _ := slices.BinarySearch(mail, h.input.arg)
		mail = slices.Delete(mail, i, i+1)
	}
	for _, m := range sends {
		i, _ := slices.BinarySearch(mail, m)
		mail = slices.Insert(mail, i, m)
	}
	mail = slices.DeleteFunc(mail, func(n uint32) bool {
		m := x.mails.values[n]
		return isDead(x.replicas.values[next.replicas[m.To-1]], m)
	})
	x.scratch = mail
	return mail
}

// isDead reports whether a message can have no effect any more, whatever becomes of its addressee: a reply to a candidacy or a leadership of a
// term that is over, for good, since that is on disk. They are taken away, or what is left of them would make many states of one. That they
// have no effect is not believed but shown: see checkDead.
func isDead(r *replica, m *mail) bool {
	t, stored := termOf(m.Message), r.disk.hardState.CurrentTerm
	switch v := m.Message.(type) {
	case RequestVoteReply:
		if v.PreVote || v.Founded {
			return false
		}
	case AppendEntriesReply:
	case TimeoutNow, ReadIndex:
		return t < stored
	default:
		return false
	}
	return t < stored || t == stored && (r.raft.currentTerm > t || r.raft.role != Candidate && r.raft.role != Leader)
}

// checkDead shows that dead messages have no effect on any state of a member that occurs, and remain dead in all that follow it.
func (x *explorer) checkDead() string {
	mails := map[NodeID][]uint32{}
	for n, m := range x.mails.values {
		mails[m.To] = append(mails[m.To], uint32(n))
	}
	for key, n := range x.moveOf {
		from, to := x.replicas.values[key.replica], x.replicas.values[x.moves[n].next]
		for _, k := range mails[from.id] {
			if m := x.mails.values[k]; isDead(from, m) && !isDead(to, m) {
				return fmt.Sprintf("n%d -> n%d %s was dead, and comes to life", m.from, m.To, describe(m.Message))
			}
		}
	}
	for n, r := range x.replicas.values {
		for _, k := range mails[r.id] {
			if m := x.mails.values[k]; isDead(r, m) {
				if out := x.act(r, input{inputDeliver, k}, m, nil); out.broken != "" || x.replica(out.next) != uint32(n) || len(out.sends)+len(out.ready)+len(out.aborted) > 0 {
					return fmt.Sprintf("n%d -> n%d %s is dead, and has an effect on %v %s", m.from, m.To, describe(m.Message), r.raft.Status(), out.broken)
				}
			}
		}
	}
	return ""
}

// move is what an input does to a replica.
func (x *explorer) move(from uint32, in input) uint32 {
	key := moveKey{from, in}
	if n, ok := x.moveOf[key]; ok {
		return n
	}
	var message *mail
	if in.kind == inputDeliver {
		message = x.mails.values[in.arg]
	}
	m := move{outcome: x.act(x.replicas.values[from], in, message, nil)}
	if m.broken == "" {
		m.next = x.replica(m.outcome.next)
		m.outcome.next = x.replicas.values[m.next]
		for i := range m.outcome.sends {
			m.sends = append(m.sends, x.post(&m.outcome.sends[i]))
		}
		m.idle = m.next == from && len(m.sends)+len(m.ready)+len(m.aborted) == 0 && !m.asked && !m.crashed
	}
	n := uint32(len(x.moves))
	x.moves = append(x.moves, m)
	x.moveOf[key] = n
	return n
}

// follow is the past after a move.
func (x *explorer) follow(s *state, n uint32, in input) (after uint32) {
	key := [2]uint32{s.ghost, n}
	if after, ok := x.follows[key]; ok {
		return after
	}
	defer func() {
		if v := recover(); v != nil {
			if _, broken := v.(violation); !broken {
				panic(v)
			}
			x.broken = fmt.Sprint(v)
		}
	}()
	g := *x.ghosts.values[s.ghost]
	m := &x.moves[n]
	if in.kind == inputRead && m.asked {
		g.reads[in.arg] = g.commitSeen + 1
	}
	g.follow(x.model, &m.outcome)
	after = x.ghost(g)
	x.follows[key] = after
	return after
}

// story tells the schedule that led to the violation.
func (x *explorer) story() string {
	steps := []happening{x.at}
	for n := x.from; n != 0; n = x.parents[n] {
		steps = append(steps, x.via[n])
	}
	slices.Reverse(steps)
	steps = append(slices.Clone(x.played), steps...)
	var b strings.Builder
	tell := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	replicas := map[NodeID]*replica{}
	for i, h := range steps {
		if n := i - len(x.played) + 1; n > 0 {
			fmt.Fprintf(&b, "%3d. ", n)
		} else {
			b.WriteString("  -  ") // of the prelude
		}
		from := replicas[h.server]
		if from == nil {
			from = x.replicas.values[h.server-1] // the first ones that were numbered
		}
		var message *mail
		if h.input.kind == inputDeliver {
			message = x.mails.values[h.input.arg]
		}
		out := x.act(from, h.input, message, tell)
		replicas[h.server] = out.next
		if out.next != nil && out.broken == "" {
			tell("         n%d is now %v", h.server, out.next.raft.Status())
		}
	}
	fmt.Fprintf(&b, "%v\n", x.broken)
	return b.String()
}

func (x *explorer) String() string {
	how := "all"
	if x.stopped {
		how = fmt.Sprintf("all of up to %d steps", x.level-1)
	} else if len(x.next) > 0 {
		how = fmt.Sprintf("all of up to %d steps", x.level)
	}
	return fmt.Sprintf("%s: %d states (%s), %d steps tried, the longest schedule %d; %d states of a member, %d messages, %d pasts",
		x.name, len(x.states), how, x.steps, x.level, len(x.replicas.values), len(x.mails.values), len(x.ghosts.values))
}
