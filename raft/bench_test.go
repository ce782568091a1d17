package raft

import (
	"fmt"
	"testing"
)

// benchTrio is three cores whose disks, state machines and network do at once what they are told.
type benchTrio struct {
	b       *testing.B
	servers []*Raft // by id, from 1
	network []benchLetter
	reads   int // answered
}

type benchLetter struct {
	from NodeID
	Envelope
}

// newBenchTrio returns a trio that n1 leads.
func newBenchTrio(b *testing.B) *benchTrio {
	c := &benchTrio{b: b, servers: []*Raft{nil}}
	for id := NodeID(1); id <= 3; id++ {
		config := Config{ID: id, Configuration: NewConfiguration(1, 2, 3), Epoch: 1, Rand: &fixedRand{5}}
		r, err := New(config, LogState{First: 1})
		if err != nil {
			b.Fatal(err)
		}
		c.servers = append(c.servers, r)
	}
	leader := c.servers[1]
	for range 3 * leader.ElectionTicks() {
		if leader.Leader() == 1 {
			break
		}
		leader.Tick()
		c.settle()
	}
	if c.servers[3].Leader() != 1 {
		b.Fatal("n1 does not lead")
	}
	return c
}

// settle carries out all effects, and what comes of them.
func (c *benchTrio) settle() {
	for again := true; again; {
		again = false
		for _, r := range c.servers[1:] {
			again = c.carryOut(r) || again
		}
		for _, l := range c.network {
			if err := c.servers[l.To].Receive(l.from, l.Message); err != nil {
				c.b.Fatal(err)
			}
			again = true
		}
		c.network = c.network[:0]
	}
}

// carryOut reports whether there was something to do.
func (c *benchTrio) carryOut(r *Raft) bool {
	e := r.Effects()
	for _, m := range e.Messages {
		c.network = append(c.network, benchLetter{r.config.ID, m})
	}
	if e.Save != nil {
		r.Persisted(e.Save.Seq)
	}
	if n := len(e.Apply); n > 0 {
		r.Applied(e.Apply[n-1].Index)
	}
	for _, ready := range e.Reads {
		c.reads += len(ready.IDs)
	}
	if len(e.Load) > 0 || len(e.Aborted) > 0 || len(e.Refused) > 0 {
		c.b.Fatalf("%+v", e)
	}
	return e.Save != nil || len(e.Messages) > 0 || len(e.Apply) > 0 || len(e.Reads) > 0
}

// BenchmarkPropose is what the algorithm costs: a batch of commands of 128 bytes from Propose until all three members have applied it.
func BenchmarkPropose(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newBenchTrio(b)
			batch := make([]Proposal, n)
			data, id := make([]byte, 128), uint64(0)
			before := c.servers[3].Status().AppliedIndex
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					id++
					batch[i] = Proposal{ID: id, Data: data}
				}
				if _, err := c.servers[1].Propose(batch...); err != nil {
					b.Fatal(err)
				}
				c.settle()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/entry")
			if applied := c.servers[3].Status().AppliedIndex - before; applied != Index(b.N*n) {
				b.Fatalf("%d of %d were applied", applied, b.N*n)
			}
		})
	}
}

// BenchmarkReadIndex is a round of reads that come together.
func BenchmarkReadIndex(b *testing.B) {
	for _, n := range []int{1, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newBenchTrio(b)
			id := ReadID(0)
			b.ReportAllocs()
			for b.Loop() {
				for range n {
					id++
					if err := c.servers[1].ReadIndex(id); err != nil {
						b.Fatal(err)
					}
				}
				c.settle()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/read")
			if c.reads != b.N*n {
				b.Fatalf("%d of %d were answered", c.reads, b.N*n)
			}
		})
	}
}
