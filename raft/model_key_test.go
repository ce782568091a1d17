package raft

import (
	"encoding/binary"
	"hash/maphash"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The key of a state: two states with one key go on in the same way. Members that are alike can trade places, so a state has a key for each
// way to name them, and the smallest of those is its key: what is true of n1, n2, n3 is explored once, and not six times.

// naming is a way to name the members: naming[id] is the name of id.
type naming []NodeID

// namings are all ways to name n members of which some are alike, beginning with that by which each keeps its name.
func namings(n int, alike []NodeID) (all []naming) {
	names := make(naming, n+1)
	for i := range names {
		names[i] = NodeID(i)
	}
	var permute func(from int)
	permute = func(from int) {
		if from >= len(alike) {
			all = append(all, slices.Clone(names))
			return
		}
		for i := from; i < len(alike); i++ {
			a, b := alike[from], alike[i]
			names[a], names[b] = names[b], names[a]
			permute(from + 1)
			names[a], names[b] = names[b], names[a]
		}
	}
	permute(0)
	return all
}

// keySeed is one for the whole process: keys are compared and never shown.
var keySeed = maphash.MakeSeed()

// encoder writes down what a key is made of, with the members' names.
type encoder struct {
	b     []byte
	names naming
}

func (e *encoder) hash() uint64    { return maphash.Bytes(keySeed, e.b) }
func (e *encoder) number(v uint64) { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) index(i Index)   { e.number(uint64(i)) }
func (e *encoder) term(t Term)     { e.number(uint64(t)) }
func (e *encoder) id(id NodeID)    { e.number(uint64(e.names[id])) }

// disk writes down what is on disk, and on its way there.
func (e *encoder) disk(d *disk) {
	e.state(d.hardState)
	e.entries(d.log)
	e.index(d.first)
	e.entries(d.snapshot)
	e.number(uint64(len(d.saves)))
	for _, s := range d.saves {
		e.state(s.HardState)
		e.entries(s.Entries)
		e.index(s.First)
		e.flags(s.Reset)
	}
}

func (e *encoder) state(h HardState) { e.term(h.CurrentTerm); e.id(h.VotedFor) }

func (e *encoder) flags(flags ...bool) {
	var b byte
	for i, f := range flags {
		if f {
			b |= 1 << i
		}
	}
	e.b = append(e.b, b)
}

func (e *encoder) set(ids map[NodeID]bool) {
	var b byte
	for id := range e.names {
		if ids[NodeID(id)] {
			b |= 1 << e.names[id]
		}
	}
	e.b = append(e.b, b)
}

// inOrder calls f for all members, in the order of the names that they have here.
func (e *encoder) inOrder(f func(NodeID)) {
	for name := 1; name < len(e.names); name++ {
		f(NodeID(slices.Index(e.names, NodeID(name))))
	}
}

func (e *encoder) entries(es []Entry) {
	e.number(uint64(len(es)))
	for i := range es {
		e.entry(es[i])
	}
}

// entry writes down an entry. The data of a command is its proposer.
func (e *encoder) entry(entry Entry) {
	e.number(uint64(entry.Type))
	e.term(entry.Term)
	e.index(entry.Index)
	switch entry.Type {
	case EntryCommand:
		e.id(NodeID(entry.Data[0]))
	case EntryConfiguration:
		e.configuration(decoded(entry).Configuration)
	}
}

func (e *encoder) configuration(c Configuration) {
	e.number(c.Change)
	e.flags(c.Forced, c.Apart)
	e.inOrder(func(id NodeID) {
		m, _ := c.Member(id)
		e.b = append(e.b, byte(m.Suffrage)|byte(m.Old)<<2|byte(m.Target)<<4, m.Priority)
		e.id(NodeID(m.Incarnation)) // a data folder is named as its member: see config
	})
}

func (e *encoder) envelope(v Envelope) {
	e.id(v.To)
	e.message(v.Message)
}

func (e *encoder) message(m Message) {
	e.term(termOf(m))
	switch m := m.(type) {
	case RequestVote:
		e.b = append(e.b, 'v')
		e.index(m.LastLogIndex)
		e.term(m.LastLogTerm)
		e.flags(m.PreVote, m.Transfer) // CandidateID is the sender: see validate
	case RequestVoteReply:
		e.b = append(e.b, 'V')
		e.flags(m.VoteGranted, m.PreVote, m.Founded)
		e.index(m.Stranger)
	case AppendEntries:
		e.b = append(e.b, 'a')
		e.index(m.PrevLogIndex)
		e.term(m.PrevLogTerm)
		e.entries(m.Entries)
		e.index(m.LeaderCommit)
		e.number(m.ReadSeq)
	case AppendEntriesReply:
		e.b = append(e.b, 'A')
		e.flags(m.Success)
		e.index(m.MatchIndex)
		e.index(m.PrevLogIndex)
		e.term(m.ConflictTerm)
		e.index(m.ConflictIndex)
		e.number(m.ReadSeq)
		e.number(uint64(m.Promise))
	case InstallSnapshot:
		e.b = append(e.b, 's')
		e.index(m.LastIncludedIndex) // the rest is the snapshot's: see explorer.post
	case TimeoutNow:
		e.b = append(e.b, 't')
		e.index(m.LastLogIndex)
	case ReadIndex:
		e.b = append(e.b, 'r')
		e.number(m.Seq)
		e.flags(m.Lease)
	case ReadIndexReply:
		e.b = append(e.b, 'R')
		e.number(m.Seq)
		e.index(m.Index)
	default:
		violate("model", "no model sends %T", m)
	}
}

// core writes down all that a core's future depends on. log is its log, of which it keeps only a part in memory.
func (e *encoder) core(r *Raft, log []Entry) {
	e.term(r.currentTerm)
	e.id(r.votedFor)
	e.number(uint64(r.role))
	e.id(r.leader)
	e.index(r.commitIndex)
	e.index(r.lastApplied)
	e.index(r.commitDue)
	e.index(r.applying)
	e.number(r.applyingBytes)
	e.entries(log)
	e.index(r.log.first)
	e.term(r.log.baseTerm)
	e.index(r.log.cache.first)
	e.set(r.votesGranted)
	e.set(r.votesRefused)
	e.number(uint64(r.heartbeatElapsed))
	e.flags(r.founded)
	e.flags(r.votesGranted != nil, r.votesRefused != nil, r.leaderUnreachable, r.applyLoading, r.electionElapsed >= r.config.ElectionTicks)
	e.peers(r)
	e.durability(r)
	e.index(r.ack.match)
	e.index(r.ack.prev)
	e.number(r.ack.readSeq)
	e.flags(r.ack.pending, r.ack.silent)
	e.reads(&r.reads)
	e.index(r.proposals.termFirst)
	e.number(r.proposals.uncommitted)
	e.index(r.proposals.released)
	e.id(r.transfer.to)
	e.flags(r.transfer.asked, r.transfer.leaving)
	e.index(r.lease.handed)
	e.number(r.forwards.lastStream)
	e.term(r.inflow.forgotten)
	e.number(uint64(r.preference.n))
	e.number(uint64(r.stalls.n))
	e.number(uint64(len(r.members.history)))
	for _, c := range r.members.history {
		e.index(c.Index)
		e.configuration(c.Configuration)
	}
	e.inOrder(func(id NodeID) { e.id(NodeID(r.members.known[id])) })
}

// aged writes down whether an election timeout has passed since then. Nothing that a model does depends on more.
func (e *encoder) aged(r *Raft, since uint64) {
	e.flags(r.ticks-since >= uint64(r.config.ElectionTicks))
}

func (e *encoder) peers(r *Raft) {
	e.inOrder(func(id NodeID) {
		p := r.peer(id)
		e.flags(p != nil)
		if p == nil {
			return
		}
		e.index(p.nextIndex)
		e.index(p.matchIndex)
		e.flags(p.probing, p.probeSent, p.loading, p.snapshot, p.heartbeatDue, p.heard, p.caughtUp)
		e.number(uint64(len(p.inflight)))
		for _, f := range p.inflight {
			e.index(f.last)
			e.number(f.bytes)
		}
		e.number(p.inflightBytes)
		e.index(p.commitSent)
		e.number(p.readSeqSent)
		e.number(p.readSeq)
		e.aged(r, p.heardAt)
		e.index(p.roundEnd)
		e.aged(r, p.roundBegan)
		e.index(p.leaving)
	})
}

func (e *encoder) durability(r *Raft) {
	d := &r.disk
	e.state(d.handed)
	e.index(d.lastHanded)
	e.index(d.index)
	e.state(d.term)
	e.index(d.first)
	e.flags(d.reset, d.told)
	e.number(uint64(len(d.saves)))
	for _, s := range d.saves {
		e.number(d.seq - s.seq) // how many saves there were before is of no consequence
		e.state(s.hardState)
		e.index(s.last)
		e.aged(r, s.since)
	}
	e.number(uint64(len(d.withheld)))
	for _, w := range d.withheld {
		e.number(d.seq - w.seq)
		e.envelope(w.Envelope)
	}
}

func (e *encoder) reads(s *reads) {
	for _, queue := range [][]read{s.early, s.next, s.current} {
		e.number(uint64(len(queue)))
		for _, rd := range queue {
			e.id(rd.from)
			e.number(rd.seq)
			e.number(uint64(rd.id))
		}
	}
	e.number(s.number)
	e.index(s.index)
	e.number(s.round)
	for _, queue := range [][]ReadID{s.waiting, s.asked} {
		e.number(uint64(len(queue)))
		for _, id := range queue {
			e.number(uint64(id))
		}
	}
	e.flags(s.strict, s.lease)
	e.number(s.lastSeq)
}

// notInKey is what a core's future does not depend on in a model, and why, by where it is. A part stands for all below it.
var notInKey = map[string]string{
	".config":   "it is the same for all that are alike",
	".scratch":  "it is written before it is read",
	".effects":  "they are drained after every input",
	".previous": "it is the state itself after effects were drained: asserted by replica.check",
	".log.last": "of the log: asserted", ".log.runs": "of the log: asserted", ".log.cache.blocks": "of the log: asserted", ".log.cache.bytes": "of the log: asserted", ".log.cache.filled": "nobody sees where a block ends",
	".ticks": "times count from here", ".ledSince": "no model asks for how long", ".electionElapsed": "but for being over",
	".electionTimeout": "a model says when it is over", ".peers[].id": "peers are in the order of names", ".peers[].steadySince": "without priorities nobody asks",
	".peers[].promised": "no leases", ".lease.now": "no leases", ".lease.told": "no leases", ".lease.promised": "no leases", ".lease.rounds": "no leases",
	".disk.seq": "seqs count from here", ".disk.saves[].seq": "relative to disk.seq", ".disk.withheld[].seq": "relative to disk.seq",
	".peers[].heardAt": "but for being an election timeout ago", ".peers[].roundBegan": "but for being an election timeout ago",
	".disk.saves[].since": "but for being an election timeout ago", ".peers[].leavingSince": "it is compared with more timeouts than a model lets pass",
	".reads.askedAt": "no model repeats requests for reads", ".transfer.since": "a model says when it is over",
	".refusals": "nobody passes a change on", ".preference.at": "without priorities nobody asks", ".stalls.at": "no model waits so long",
	".forwards.term": "nobody forwards: asserted", ".forwards.stream": "asserted", ".forwards.lastSeq": "asserted", ".forwards.kept": "asserted", ".forwards.bytes": "asserted",
	".forwards.sent": "asserted", ".forwards.probing": "asserted", ".forwards.askedAt": "asserted", ".forwards.wait": "asserted", ".inflow.streams": "asserted",
	".members.quorum":                   "of members.history: asserted",
	".disk.withheld[].Envelope.Message": "written by message", ".members.history[].Configuration.Members[].Address": "no model has any",
}

// TestKeyHasEverything fails when a core has got a new field that the key of a state leaves out: states would pass for one that are two.
func TestKeyHasEverything(t *testing.T) {
	key := func(r *Raft) uint64 {
		e := encoder{names: namings(9, nil)[0]}
		e.core(r, nil)
		return e.hash()
	}
	r := filledRaft()
	used := map[string]bool{}
	eachLeaf("", reflect.ValueOf(r).Elem(), func(path string, v reflect.Value, done func()) {
		for part := path; part != ""; part = part[:strings.LastIndexByte(part, '.')] {
			for _, p := range []string{part, strings.TrimRight(part, "[]")} {
				if notInKey[p] != "" {
					used[p] = true
					return
				}
			}
		}
		was, before := reflect.New(v.Type()).Elem(), key(r)
		was.Set(v)
		change(v)
		done()
		if key(r) == before {
			t.Errorf("the key does not depend on %s: write it in core, or say in notInKey why not", path)
		}
		v.Set(was)
		done()
	})
	for path := range notInKey {
		if !used[path] {
			t.Errorf("notInKey has %s, which a core has not", path)
		}
	}
}

// notInMessageKey is what a message's key leaves out, and why.
var notInMessageKey = map[string]string{
	"RequestVote.CandidateID": "it is the sender: validate", "AppendEntries.LeaderID": "it is the sender: validate",
	"InstallSnapshot.LeaderID": "it is the sender: validate", "InstallSnapshot.LastIncludedTerm": "of the snapshot",
	"InstallSnapshot.Configuration": "of the snapshot", "InstallSnapshot.Size": "no model has a use for it",
	"RequestVoteReply.Leader.ID": "no model has data folders", "RequestVoteReply.Leader.Incarnation": "no model has data folders",
	"RequestVoteReply.Leader.Index": "no model has data folders",
	"InstallSnapshot.Offset":        "no model has a use for it", "InstallSnapshot.Data": "no model has a use for it",
}

// TestKeyHasAllOfMessages fails when a message has got a new field that its key leaves out.
func TestKeyHasAllOfMessages(t *testing.T) {
	for _, m := range []Message{
		RequestVote{}, RequestVoteReply{}, AppendEntries{}, AppendEntriesReply{}, TimeoutNow{}, InstallSnapshot{}, ReadIndex{}, ReadIndexReply{},
	} {
		v := reflect.New(reflect.TypeOf(m)).Elem()
		key := func() uint64 {
			e := encoder{names: namings(9, nil)[0]}
			e.message(v.Interface().(Message))
			return e.hash()
		}
		fill(v)
		eachLeaf(v.Type().Name(), v, func(path string, leaf reflect.Value, done func()) {
			before := key()
			if path = strings.TrimRight(path, "[]"); path == "AppendEntries.Entries[].Data" || path == "AppendEntries.Entries[].Type" {
				return // of a command the data is the proposer, and of the others it is no number
			}
			if change(leaf); (key() == before) != (notInMessageKey[path] != "") {
				t.Errorf("the key of a message and notInMessageKey do not agree on %s", path)
			}
		})
	}
}

func change(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(false)
	case reflect.Int:
		v.SetInt(3)
	default:
		v.SetUint(3)
	}
}

// eachLeaf calls f with every number and flag in v. When f has changed it, it calls done.
func eachLeaf(path string, v reflect.Value, f func(path string, v reflect.Value, done func())) {
	v = writable(v)
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			eachLeaf(path+"."+v.Type().Field(i).Name, v.Field(i), f)
		}
	case reflect.Slice:
		eachLeaf(path+"[]", v.Index(0), f)
	case reflect.Pointer:
		eachLeaf(path, v.Elem(), f)
	case reflect.Map:
		key, value := v.MapKeys()[0], reflect.New(v.Type().Elem()).Elem()
		value.Set(v.MapIndex(key))
		f(path, value, func() { v.SetMapIndex(key, value) })
	default:
		f(path, v, func() {})
	}
}
