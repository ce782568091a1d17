package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
)

// past is a run that is told by hand, a millisecond for each thing that happens.
type past struct {
	w  *world
	id uint64
}

func newPast() *past {
	return &past{w: &world{network: &network{w: &world{}}, lines: &traceWriter{past: &diary{sends: make(map[uint64]int)}}}}
}

func (p *past) next() { p.w.now += time.Millisecond }

func (p *past) event(id raft.NodeID, kind raft.EventKind, term raft.Term, peer raft.NodeID, i raft.Index) {
	p.next()
	p.w.recordAll(happening{event: raft.Event{Kind: kind, Term: term, Node: peer, Index: i}, TraceLine: TraceLine{Kind: TraceEvent, Node: id, Term: term, Peer: peer, Index: i}})
}

// saves has entries of one term, from one to another.
func (p *past) saves(id raft.NodeID, h raft.HardState, term raft.Term, from, to raft.Index) {
	p.next()
	batch := []wal.Save{{HardState: h, First: 1, Entries: entriesOf(term, from, to)}}
	p.w.recordAll(happening{TraceLine: TraceLine{Kind: TraceSaved, Node: id, Text: describeSaves(batch)}, saves: savedOf(batch)})
}

func entriesOf(term raft.Term, from, to raft.Index) (es []raft.Entry) {
	for i := from; i <= to && i > 0; i++ {
		es = append(es, raft.Entry{Index: i, Term: term})
	}
	return es
}

// carries sends a message that arrives, or is lost.
func (p *past) carries(from, to raft.NodeID, m raft.Message, how string) {
	p.next()
	p.id++
	p.w.recordMessage(TraceSend, from, to, p.id, m)
	p.next()
	p.w.recordMessage(how, from, to, p.id, m)
}

func (p *past) fails(property, format string, args ...any) string {
	p.next()
	p.w.fail(property, format, args...)
	var b strings.Builder
	for _, s := range p.w.trail(properties[property].trail) {
		fmt.Fprintf(&b, "%s\n", s.text)
	}
	return b.String()
}

// TestTrailOfEntry: an entry's trail has who wrote it and the one before it, who was sent it, and what was odd about that.
func TestTrailOfEntry(t *testing.T) {
	p := newPast()
	p.event(1, raft.EventLeader, 1, 0, 0)
	p.saves(1, raft.HardState{CurrentTerm: 1, VotedFor: 1}, 1, 1, 3)
	p.event(1, raft.EventQuorumLost, 1, 0, 0)
	p.event(3, raft.EventLeader, 2, 0, 0)
	p.saves(3, raft.HardState{CurrentTerm: 2, VotedFor: 3}, 2, 1, 3)
	p.saves(2, raft.HardState{CurrentTerm: 2}, 2, 1, 1)
	p.event(1, raft.EventLeader, 3, 0, 0)
	p.saves(1, raft.HardState{CurrentTerm: 3, VotedFor: 1}, 3, 4, 4)
	m := raft.AppendEntries{Term: 3, LeaderID: 1, PrevLogIndex: 3, PrevLogTerm: 1, Entries: entriesOf(3, 4, 4)}
	p.carries(1, 2, m, TraceLost)
	p.carries(1, 3, raft.AppendEntries{Term: 3, PrevLogIndex: 1, PrevLogTerm: 1}, TraceArrive)
	p.carries(1, 3, m, TraceArrive)
	p.saves(3, raft.HardState{CurrentTerm: 3}, 3, 4, 4)
	got := p.fails("Log Matching", "n%d took entry %d of term %d behind ...", raft.NodeID(3), raft.Index(4), raft.Term(3))
	want := `n1 leader of term 1
n1 has made durable t1 vote n1, log from 1 [1:t1..3:t1]
n1 steps down in term 1: no quorum
n3 leader of term 2
n3 has made durable t2 vote n3, log from 1 [1:t2..3:t2]
n1 leader of term 3
n1 has made durable t3 vote n1, log from 1 [4:t3]  (4:t3 is behind 3:t1 here)
n1 -> n2 is lost: AppendEntries t3 after 3:t1 [4:t3] commit 0
n3 <- n1 AppendEntries t3 after 3:t1 [4:t3] commit 0  (n3's disk has 3:t2 there)
n3 has made durable t3, log from 1 [4:t3]  (4:t3 is behind 3:t2 here)
Log Matching does not hold
`
	if got != want {
		t.Errorf("the trail is\n%s", got)
	}
	if strings.Contains(got, "[1:t2]") || strings.Contains(got, "after 1:t1") {
		t.Errorf("the trail has what does not bear on entry 4:\n%s", got)
	}
}

// TestTrailOfRefusal: a message that is to be refused is in the trail, however much else there is.
func TestTrailOfRefusal(t *testing.T) {
	p := newPast()
	p.saves(3, raft.HardState{CurrentTerm: 1}, 1, 1, 2)
	p.carries(1, 3, raft.AppendEntries{Term: 20, PrevLogIndex: 2, PrevLogTerm: 1}, TraceArrive)
	p.carries(1, 3, raft.AppendEntries{Term: 20, PrevLogIndex: 2, PrevLogTerm: 2}, TraceArrive)
	for term := raft.Term(1); term < trailLeast+2; term++ {
		p.event(1, raft.EventLeader, term, 0, 0)
	}
	got := p.fails("Log Matching", "n%d ... entry %d of term %d", raft.NodeID(3), raft.Index(2), raft.Term(2))
	if !strings.Contains(got, "(n3's disk has 2:t1 there)") || strings.Contains(got, "after 2:t1") {
		t.Errorf("the trail is\n%s", got)
	}
}

// TestTrailOfTruncation: what is gone from a disk is said, and which message took it away.
func TestTrailOfTruncation(t *testing.T) {
	p := newPast()
	p.event(1, raft.EventLeader, 1, 0, 0)
	p.saves(2, raft.HardState{CurrentTerm: 1}, 1, 1, 3)
	p.carries(1, 2, raft.AppendEntries{Term: 1, Entries: entriesOf(1, 1, 1)}, TraceArrive)
	p.event(2, raft.EventTruncated, 1, 0, 1)
	p.saves(2, raft.HardState{CurrentTerm: 1}, 1, 1, 1)
	got := p.fails("Committed Is Durable", "n%d says that entry %d of term %d ...", raft.NodeID(1), raft.Index(3), raft.Term(1))
	for _, want := range []string{"n2 <- n1 AppendEntries t1 after 0:t0 [1:t1]", "n2 entries from 1 on superseded", "(3:t1 is gone from its disk)"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the trail\n%s", want, got)
		}
	}
}

// TestTrailOfElection: an election's trail has who stood, who voted, and whose log was longer.
func TestTrailOfElection(t *testing.T) {
	p := newPast()
	p.event(1, raft.EventLeader, 1, 0, 0)
	p.saves(2, raft.HardState{CurrentTerm: 1, VotedFor: 1}, 1, 1, 5)
	p.event(3, raft.EventCandidate, 2, 0, 0)
	p.carries(3, 2, raft.RequestVote{Term: 2, CandidateID: 3, LastLogIndex: 2, LastLogTerm: 1, PreVote: true}, TraceArrive)
	p.carries(3, 2, raft.RequestVote{Term: 2, CandidateID: 3, LastLogIndex: 2, LastLogTerm: 1}, TraceArrive)
	p.event(2, raft.EventVoted, 2, 3, 0)
	p.saves(2, raft.HardState{CurrentTerm: 2, VotedFor: 3}, 0, 0, 0)
	p.event(3, raft.EventLeader, 2, 0, 0)
	got := p.fails("Leader Completeness", "n%d leads term %d without entry %d of term %d", raft.NodeID(3), raft.Term(2), raft.Index(5), raft.Term(1))
	want := `n1 leader of term 1
n2 has made durable t1 vote n1, log from 1 [1:t1..5:t1]
n3 candidate in term 2
n2 <- n3 RequestVote t2 last 2:t1  (n2's own log ends later, with 5:t1)
n2 votes for n3 in term 2
n2 has made durable t2 vote n3, log from 1
n3 leader of term 2
Leader Completeness does not hold
`
	if got != want {
		t.Errorf("the trail is\n%s", got)
	}
}

// TestTrailOfHistory: a register's trail has the calls that contradict each other, and not those of other registers.
func TestTrailOfHistory(t *testing.T) {
	p := newPast()
	p.w.lines.last, p.w.lines.ids = make(map[raft.NodeID]string), make(map[*operation]uint64)
	call := func(m raft.NodeID, key int, write bool, value uint64) {
		op := &operation{Operation: Operation{Client: 1, Member: m, Key: key, Write: write, Value: value}}
		p.next()
		p.w.recordCall(op, false)
		op.ended, op.Outcome, op.Index = true, OutcomeApplied, raft.Index(value)
		p.next()
		p.w.recordCall(op, true)
	}
	p.event(1, raft.EventLeader, 1, 0, 0)
	call(1, 1, true, 5)
	call(1, 2, true, 6)
	call(1, 1, true, 7)
	p.event(2, raft.EventLeader, 2, 0, 0)
	call(1, 1, false, 5)
	err := checkLinearizable([]Operation{
		{Key: 1, Write: true, Value: 5, Call: 1, Return: 2, Outcome: OutcomeApplied}, {Key: 1, Write: true, Value: 7, Call: 3, Return: 4, Outcome: OutcomeApplied},
		{Key: 1, Value: 5, Call: 5, Return: 6, Outcome: OutcomeApplied},
	})
	got := p.fails("Linearizable", "%v", err)
	for _, want := range []string{"n1 leader of term 1", "client 1 asks n1 to put 1=5", "client 1 asks n1 to put 1=7", "n1 ends client 1's put 1=7: applied at 7", "n2 leader of term 2", "n1 ends client 1's read of 1: 5, as of 5"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the trail\n%s", want, got)
		}
	}
	if strings.Contains(got, "2=6") {
		t.Errorf("another register is in the trail\n%s", got)
	}
}

// TestChoose: a trail has a bound, begins and ends with what matters, and is filled up only if it is short.
func TestChoose(t *testing.T) {
	var steps []step
	for i := range 100 {
		steps = append(steps, step{at: time.Duration(i), text: fmt.Sprint(i), weight: central})
	}
	got := choose(steps)
	if len(got) != trailMax+1 || got[0].text != "0" || got[len(got)-1].text != "99" || !strings.Contains(fmt.Sprint(got), "... 78 more like these") {
		t.Errorf("of 100 steps there are %v", got)
	}
	for i := range steps {
		steps[i].weight = aside
	}
	steps[3].weight = central
	if got := choose(steps); len(got) != trailLeast || got[0].text != "3" || got[1].text != "91" {
		t.Errorf("of little the trail is %v", got)
	}
	if got := choose(nil); len(got) != 0 {
		t.Errorf("of nothing it is %v", got)
	}
}
