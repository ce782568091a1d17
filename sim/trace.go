package sim

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// A run as data: lines of JSON, the first of them a TraceHeader and each of the others a TraceLine. docs/formats.md describes them.

// TraceVersion is that of the lines. It rises when a field changes its meaning; new fields and kinds of lines come without.
const TraceVersion = 1

// TraceHeader is the first line of a trace.
type TraceHeader struct {
	Format  string        `json:"format"` // "balsa-trace"
	Version int           `json:"version"`
	Seed    uint64        `json:"seed"`
	Flags   string        `json:"flags,omitempty"` // of balsa sim replay, beside the seed
	Servers []raft.NodeID `json:"servers"`         // all that there can be
	Members []raft.NodeID `json:"members"`         // with which the cluster begins
	Knobs   string        `json:"knobs"`           // what the seed has decided, for people
}

const traceFormat = "balsa-trace"

// TraceLine is one thing that happened. Which fields it has depends on its kind; a number that is left out is zero.
type TraceLine struct {
	At   time.Duration `json:"t"` // virtual, in nanoseconds
	Kind string        `json:"kind"`
	Node raft.NodeID   `json:"node,omitempty"`
	To   raft.NodeID   `json:"to,omitempty"`

	ID          uint64      `json:"id,omitempty"`          // of a message or a call: lines of the same belong together
	What        string      `json:"what,omitempty"`        // of a message its type, of an event its name, of a fault its kind, of a death how
	Text        string      `json:"text,omitempty"`        // for people
	Incarnation int         `json:"incarnation,omitempty"` // of a start
	Term        raft.Term   `json:"term,omitempty"`
	Index       raft.Index  `json:"index,omitempty"`
	Peer        raft.NodeID `json:"peer,omitempty"` // whom an event is about

	Status *TraceStatus `json:"status,omitempty"`
	Links  []TraceLink  `json:"links,omitempty"` // those that are cut
	Call   *TraceCall   `json:"call,omitempty"`
}

// TraceStatus is what a member says of itself.
type TraceStatus struct {
	Role     string        `json:"role"`
	Term     raft.Term     `json:"term"`
	Vote     raft.NodeID   `json:"vote,omitempty"`
	Leader   raft.NodeID   `json:"leader,omitempty"`
	First    raft.Index    `json:"first"`
	Last     raft.Index    `json:"last"`
	LastTerm raft.Term     `json:"lastTerm"`
	Commit   raft.Index    `json:"commit"`
	Durable  raft.Index    `json:"durable"`
	Applied  raft.Index    `json:"applied"`
	Voters   []raft.NodeID `json:"voters"`
	Old      []raft.NodeID `json:"old,omitempty"` // voters of the old half of a joint configuration
	Learners []raft.NodeID `json:"learners,omitempty"`
}

// TraceLink is one direction of a link.
type TraceLink struct {
	From raft.NodeID `json:"from"`
	To   raft.NodeID `json:"to"`
}

// TraceCall is a client's.
type TraceCall struct {
	Client  int    `json:"client"`
	Write   bool   `json:"write,omitempty"`
	Key     int    `json:"key"`
	Value   uint64 `json:"value,omitempty"`
	Outcome string `json:"outcome,omitempty"` // of one that has ended
}

// The kinds of lines.
const (
	TraceStart  = "start"  // a process begins
	TraceDeath  = "death"  // a process ends
	TraceEvent  = "event"  // something that a core says of itself; What is the name of a raft.EventKind
	TraceState  = "status" // what a member says of itself has changed
	TraceSend   = "send"
	TraceLost   = "lost"    // and will not arrive
	TraceArrive = "arrive"  // perhaps more than once
	TraceSaved  = "saved"   // something is durable
	TraceFault  = "fault"   // one of the run's decisions; Text has its name
	TraceLinks  = "links"   // which links are cut has changed
	TraceBegin  = "call"    // a client's call begins
	TraceEnd    = "answer"  // a client's call ends
	TraceRest   = "restore" // a machine continues from a snapshot
	TraceMended = "mended"  // nothing goes wrong from now on
	TraceFailed = "failed"  // a property does not hold; What names it. The last line of such a run
	TraceDone   = "done"    // the last line of a run in which all held
)

// traceWriter writes a run's trace. It never draws or changes anything.
type traceWriter struct {
	to   io.Writer
	last map[raft.NodeID]string
	cut  []TraceLink // as the last line says that has them
	ids  map[*operation]uint64
	id   uint64
	past *diary // nil: nobody wants a story
}

func newTraceWriter(w *world) *traceWriter {
	if w.options.Trace == nil && w.options.Story == nil {
		return nil
	}
	t := &traceWriter{to: w.options.Trace, last: make(map[raft.NodeID]string), ids: make(map[*operation]uint64)}
	h := TraceHeader{Format: traceFormat, Version: TraceVersion, Seed: w.options.Seed, Flags: strings.TrimSpace(w.options.Flags("--")), Knobs: w.knobs.String()}
	for _, m := range w.members {
		h.Servers = append(h.Servers, m.id)
	}
	h.Members = w.knobs.raft.Configuration.Voters()
	if w.options.Story != nil {
		t.past = &diary{sends: make(map[uint64]int)}
	}
	t.write(h)
	return t
}

func (t *traceWriter) write(v any) {
	if t.to == nil {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("a line of the trace cannot be encoded: %v", err))
	}
	t.to.Write(append(b, '\n')) // a story that cannot be written is no reason to stop
}

// record adds a line to the trace, if there is one.
func (w *world) record(l TraceLine) { w.recordAll(happening{TraceLine: l}) }

// recordAll is record with what a trail needs beside.
func (w *world) recordAll(h happening) {
	if w.lines == nil {
		return
	}
	if cut := w.network.cutLinks(); !slices.Equal(cut, w.lines.cut) {
		w.lines.cut = cut
		w.lines.add(w.now, happening{TraceLine: TraceLine{Kind: TraceLinks, Links: cut}})
	}
	w.lines.add(w.now, h)
}

func (t *traceWriter) add(at time.Duration, h happening) {
	h.At = at
	t.write(h.TraceLine)
	if t.past != nil {
		t.past.add(h)
	}
}

// recordStatus adds what a member says of itself, if it is news.
func (w *world) recordStatus(m *member, s raft.Status) {
	if w.lines == nil {
		return
	}
	is := &TraceStatus{
		Role: strings.ToLower(s.Role.String()), Term: s.Term, Vote: s.VotedFor, Leader: s.Leader, First: s.FirstIndex, Last: s.LastIndex, LastTerm: s.LastTerm,
		Commit: s.CommitIndex, Durable: s.DurableIndex, Applied: s.AppliedIndex,
	}
	for _, known := range s.Configuration.Members {
		switch known.Suffrage {
		case raft.Voter:
			is.Voters = append(is.Voters, known.ID)
		case raft.Learner:
			is.Learners = append(is.Learners, known.ID)
		}
		if known.Old == raft.Voter {
			is.Old = append(is.Old, known.ID)
		}
	}
	if text := fmt.Sprintf("%d %v", m.incarnation, *is); text != w.lines.last[m.id] {
		w.lines.last[m.id] = text
		w.record(TraceLine{Kind: TraceState, Node: m.id, Status: is})
	}
}

// cutLinks are the links that are cut.
func (n *network) cutLinks() (cut []TraceLink) {
	for _, m := range n.w.members {
		for _, o := range n.w.members {
			if n.link(m.id, o.id).cut {
				cut = append(cut, TraceLink{m.id, o.id})
			}
		}
	}
	return cut
}

// recordCall adds a client's call that begins, or has ended.
func (w *world) recordCall(op *operation, ended bool) {
	if w.lines == nil {
		return
	}
	c := &TraceCall{Client: op.Client, Write: op.Write, Key: op.Key, Value: op.Value}
	l := TraceLine{Kind: TraceBegin, Node: op.Member, Call: c}
	if ended {
		l.Kind, l.Index, c.Outcome = TraceEnd, op.Index, op.Outcome.String()
	}
	if l.ID = w.lines.ids[op]; l.ID == 0 {
		w.lines.id++
		l.ID = w.lines.id
		w.lines.ids[op] = l.ID
	}
	if ended {
		delete(w.lines.ids, op)
	}
	w.recordAll(happening{TraceLine: l, op: op})
}

// recordMessage adds what becomes of a message.
func (w *world) recordMessage(kind string, from, to raft.NodeID, id uint64, msg raft.Message) {
	if w.lines == nil {
		return
	}
	l := TraceLine{Kind: kind, Node: from, To: to, ID: id}
	if kind == TraceArrive {
		l.Node, l.To = to, 0
		l.Peer = from
	}
	if kind == TraceSend {
		l.What, l.Text = messageName(msg), describeMessage(msg)
	}
	w.recordAll(happening{TraceLine: l, msg: msg})
}

func messageName(m raft.Message) string { return strings.TrimPrefix(fmt.Sprintf("%T", m), "raft.") }

// eventNames are the names of raft.EventKind in traces.
var eventNames = map[raft.EventKind]string{
	raft.EventFollower: "follower", raft.EventPreCandidate: "pre-candidate", raft.EventCandidate: "candidate", raft.EventLeader: "leader",
	raft.EventVoted: "voted", raft.EventVoteRefused: "vote-refused", raft.EventQuorumLost: "quorum-lost", raft.EventTruncated: "truncated",
	raft.EventProbing: "probing", raft.EventTransfer: "transfer", raft.EventTransferEnded: "transfer-ended", raft.EventSnapshotNeeded: "snapshot-needed",
	raft.EventInstalled: "installed", raft.EventConfiguration: "configuration", raft.EventStalled: "stalled", raft.EventStallEnded: "stall-ended",
	raft.EventReplicating: "replicating",
}

// ReadTrace reads a trace and calls f with each line; it ends with the first error. The header is checked first. A line has at most a megabyte.
func ReadTrace(from io.Reader, f func(TraceLine) error) (TraceHeader, error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, traceLineMax)
	var h TraceHeader
	if !lines.Scan() {
		return h, fmt.Errorf("sim: the trace has no header: %w", cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
	}
	if err := json.Unmarshal(lines.Bytes(), &h); err != nil || h.Format != traceFormat {
		return h, fmt.Errorf("sim: this is no trace of Balsa: it begins with %.60q", lines.Bytes())
	}
	if h.Version != TraceVersion {
		return h, fmt.Errorf("sim: the trace has version %d, and this program reads version %d", h.Version, TraceVersion)
	}
	n := 2
	for ; lines.Scan(); n++ {
		var l TraceLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return h, fmt.Errorf("sim: line %d of the trace: %w", n, err)
		}
		if err := f(l); err != nil {
			return h, err
		}
	}
	if err := lines.Err(); err != nil {
		return h, fmt.Errorf("sim: line %d of the trace: %w", n, err)
	}
	return h, nil
}

const traceLineMax = 1 << 20
