package host

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/wire"
)

// benchTrio is three members over disks in memory, stepped by one goroutine. Packets are handed over as they are: what they cost as bytes is
// in the benchmarks of wire and transport.
type benchTrio struct {
	b       *testing.B
	hosts   []*Host // by id, from 1
	groups  []*Group
	network []benchLetter
	now     time.Duration
}

type benchLetter struct {
	from, to raft.NodeID
	packet   wire.Packet
}

// benchPost is a member's transport.
type benchPost struct {
	c  *benchTrio
	id raft.NodeID
}

func (benchPost) SetPeer(raft.NodeID, string) {}
func (benchPost) Recheck()                    {}
func (p benchPost) Send(to raft.NodeID, packet wire.Packet) {
	p.c.network = append(p.c.network, benchLetter{p.id, to, packet})
}

// idler is a state machine that does nothing.
type idler struct{}

func (idler) Apply([]Entry) error { return nil }
func (idler) Snapshot() (func(io.Writer) error, error) {
	return func(io.Writer) error { return nil }, nil
}
func (idler) Restore(io.Reader) error { return nil }

// newBenchTrio returns a trio that n1 leads.
func newBenchTrio(b *testing.B) *benchTrio {
	c := &benchTrio{b: b, hosts: []*Host{nil}, groups: []*Group{nil}}
	for id := raft.NodeID(1); id <= 3; id++ {
		h, err := Open(Config{
			FS: memfs.New(), Dir: "data", ID: id, ClusterID: 7, Epoch: 1, Rand: rand.New(rand.NewPCG(uint64(id), 1)), Tick: testTick,
			// The disks in memory stay small.
			Compaction: CompactionOptions{LogBytes: 8 << 20, TailBytes: 1 << 20}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { h.Close() })
		g, err := h.Join(testGroup, raft.Config{Configuration: raft.NewConfiguration(1, 2, 3)}, idler{})
		if err != nil {
			b.Fatal(err)
		}
		h.Connect(benchPost{c, id})
		c.hosts, c.groups = append(c.hosts, h), append(c.groups, g)
	}
	for range 1000 {
		if c.groups[3].Status().Leader == 1 {
			break
		}
		c.now += testTick
		c.hosts[1].Step(PartShard, c.now)
		c.settle()
	}
	if c.groups[3].Status().Leader != 1 {
		b.Fatal("n1 does not lead")
	}
	return c
}

// settle lets all work until nothing happens any more.
func (c *benchTrio) settle() {
	for again := true; again; {
		again = false
		for _, h := range c.hosts[1:] {
			for p := PartShard; p < PartCount; p++ {
				for !h.Idle(p) {
					h.Step(p, c.now)
					again = true
				}
			}
		}
		for _, l := range c.network {
			c.hosts[l.to].Receive(l.from, []wire.Packet{l.packet})
			again = true
		}
		c.network = c.network[:0]
	}
}

// BenchmarkPipeline is what a member costs beside disk and sockets: so many commands of 128 bytes that come together, from Group.Propose until
// all three members have applied them and their callers have the outcome. Most of the bytes allocated are the disks' in memory.
func BenchmarkPipeline(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newBenchTrio(b)
			command := string(make([]byte, 128))
			proposals := make([]*Proposal, n)
			b.ReportAllocs()
			for b.Loop() {
				for i := range proposals {
					proposals[i] = newProposal(command)
					if err := c.groups[1].Propose(proposals[i]); err != nil {
						b.Fatal(err)
					}
				}
				c.settle()
				for _, p := range proposals {
					<-p.Done()
					if _, err := c.groups[1].Outcome(p); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/command")
		})
	}
}

// BenchmarkRead is so many linearizable reads that come together.
func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newBenchTrio(b)
			reads := make([]*Read, n)
			b.ReportAllocs()
			for b.Loop() {
				for i := range reads {
					r, err := c.groups[1].Read(Linearizable)
					if err != nil {
						b.Fatal(err)
					}
					reads[i] = r
				}
				c.settle()
				for _, r := range reads {
					<-r.Done()
					if _, err := r.Index(); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/read")
		})
	}
}
