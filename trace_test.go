package balsa_test

import (
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/trace"
)

// TestTracer: members tell of each step of a write, so that its way is known from the proposal to the answer.
func TestTracer(t *testing.T) {
	c := newCluster(t, 3)
	for i := range c.nodes {
		c.stop(i)
	}
	start := time.Now()
	recorders := make([]*trace.Recorder, len(c.nodes))
	for i := range c.nodes {
		config := c.config(i)
		recorders[i] = trace.NewRecorder(start, 1<<20)
		config.Tracer = recorders[i]
		n, err := balsa.Open(t.Context(), config, c.machines[i])
		if err != nil {
			t.Fatal(err)
		}
		c.nodes[i] = n
	}
	const writes = 20
	var calls []trace.Call
	leader := c.leader()
	for range writes {
		call := trace.Call{Start: time.Since(start)}
		r, err := c.nodes[leader].Propose(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		call.End, call.Index = time.Since(start), r.Index
		calls = append(calls, call)
	}
	if c.leader() != leader {
		t.Skip("the leader has changed")
	}
	for i := range c.nodes {
		c.stop(i) // whoever was not waited for has taken all its steps, too
	}
	var hops []trace.Hop
	for _, r := range recorders {
		kept, lost := r.Take()
		if lost > 0 {
			t.Errorf("%d hops were lost", lost)
		}
		hops = append(hops, kept...)
	}
	ways := trace.Ways(balsa.NodeID(leader+1), len(c.nodes), hops, calls)
	if len(ways) != writes {
		t.Fatalf("the ways of %d writes of %d are known", len(ways), writes)
	}
	for _, w := range ways {
		sum := time.Duration(0)
		for l, took := range w.Legs {
			if took < 0 {
				t.Errorf("entry %d: leg %d took %v", w.Index, l, took)
			}
			if w.Waited(trace.Leg(l)) {
				sum += took
			}
		}
		if sum != w.End-w.Start {
			t.Errorf("entry %d took %v, its legs %v", w.Index, w.End-w.Start, sum)
		}
	}
}
