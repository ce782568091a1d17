package balsa_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"flag"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
)

var catchUpFlag = flag.Int("catchup", 0, "measure so many rounds of TestCatchUp, some two minutes each")

const (
	recordBytes = 128
	pageRecords = 512
	catchUpKeys = 800_000 // a state of 100 MB
)

// records are a machine of pages, which are copied when they are written while a snapshot has them.
type records struct {
	mu         sync.Mutex
	generation int
	pages      [(catchUpKeys + pageRecords - 1) / pageRecords]*page
}

type page struct {
	generation int
	records    [pageRecords][recordBytes]byte
}

func (r *records) Apply(batch iter.Seq[balsa.Entry[[]byte, struct{}]]) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := range batch {
		key := binary.LittleEndian.Uint64(e.Command) % catchUpKeys
		at := &r.pages[key/pageRecords]
		switch {
		case *at == nil:
			*at = &page{generation: r.generation}
		case (*at).generation != r.generation:
			p := **at
			p.generation = r.generation
			*at = &p
		}
		copy((*at).records[key%pageRecords][:], e.Command)
	}
	return nil
}

func (r *records) Snapshot() (func(io.Writer) error, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pinned := slices.Clone(r.pages[:])
	r.generation++
	return func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 64<<10)
		for i, p := range pinned {
			if p == nil {
				p = &page{}
			}
			pinned[i] = nil
			for k := range p.records {
				if _, err := b.Write(p.records[k][:]); err != nil {
					return err
				}
			}
		}
		return b.Flush()
	}, nil
}

func (r *records) Restore(from io.Reader) error {
	b := bufio.NewReaderSize(from, 64<<10)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.pages {
		p := &page{generation: r.generation}
		for k := range p.records {
			if _, err := io.ReadFull(b, p.records[k][:]); err != nil {
				return err
			}
		}
		r.pages[i] = p
	}
	return nil
}

// catchUp is three members that are written to without a pause, and perhaps a fourth.
type catchUp struct {
	t      *testing.T
	like   *cluster // folders and addresses
	nodes  []*balsa.Node[[]byte, struct{}]
	leader int
	writes atomic.Int64
}

func (c *catchUp) open(i int, adjust func(*balsa.Config)) {
	c.t.Helper()
	config := c.like.config(i)
	config.HeartbeatInterval, config.ElectionTimeout = 0, 0 // as embedders have them
	if adjust != nil {
		adjust(&config)
	}
	n, err := balsa.Open(c.t.Context(), config, &records{})
	if err != nil {
		c.t.Fatal(err)
	}
	if i == len(c.nodes) {
		c.nodes = append(c.nodes, nil)
	}
	c.nodes[i] = n
}

func (c *catchUp) write(stop context.Context, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	for stop.Err() == nil {
		command := make([]byte, recordBytes)
		binary.LittleEndian.PutUint64(command, r.Uint64())
		if _, err := c.nodes[c.leader].Propose(stop, command); err == nil {
			c.writes.Add(1)
		} else if stop.Err() == nil {
			c.t.Errorf("a write fails: %v", err)
			return
		}
	}
}

// measure returns writes a second until done, and logs them.
func (c *catchUp) measure(what string, done func(since time.Duration, writes int64) bool) float64 {
	c.t.Helper()
	begun, before := time.Now(), c.writes.Load()
	worst, last, lastWrites := -1.0, begun, before
	for !c.t.Failed() && !done(time.Since(begun), c.writes.Load()-before) {
		time.Sleep(10 * time.Millisecond)
		if took := time.Since(last); took > time.Second {
			now := c.writes.Load()
			if rate := float64(now-lastWrites) / took.Seconds(); worst < 0 || rate < worst {
				worst = rate
			}
			last, lastWrites = time.Now(), now
		}
	}
	took := time.Since(begun)
	rate := float64(c.writes.Load()-before) / took.Seconds()
	c.t.Logf("%-28s %6.1f s %8.0f/s, in the worst second %.0f/s", what, took.Seconds(), rate, worst)
	return rate
}

// isThere reports whether member i has applied nearly all that is committed, several times in a row.
func (c *catchUp) isThere(i int) func(time.Duration, int64) bool {
	times := 0
	return func(time.Duration, int64) bool {
		times++
		if c.nodes[i].Status().AppliedIndex+20_000 < c.nodes[c.leader].Status().CommitIndex {
			times = 0
		}
		return times >= 5
	}
}

// TestCatchUp measures what a member costs those who are served when it comes back after a million writes, and a new one, each by a snapshot and
// the log behind it. All members share the processors and the disk of this machine.
func TestCatchUp(t *testing.T) {
	if *catchUpFlag == 0 {
		t.Skip("a measurement, with -catchup")
	}
	c := &catchUp{t: t, like: newCluster(t, 3)}
	for i := range 3 { // all of them first: those that go on would refuse the others' new folders
		c.like.stop(i)
	}
	for i := range 3 {
		if err := os.RemoveAll(c.like.config(i).Dir); err != nil {
			t.Fatal(err)
		}
		c.open(i, nil)
	}
	defer func() {
		for _, n := range c.nodes {
			n.Close()
		}
	}()
	b := &blobs{t: t, nodes: c.nodes}
	c.leader = b.leader()
	away := (c.leader + 1) % 3
	stop, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer cancel()
	for i := range 64 {
		writers.Go(func() { c.write(stop, uint64(i)) })
	}
	five := func(since time.Duration, _ int64) bool { return since >= 5*time.Second }
	million := func(_ time.Duration, writes int64) bool { return writes >= 1_000_000 }
	c.measure("fill", million)
	var back, joined []float64
	for range *catchUpFlag {
		before := c.measure("three members", five)
		if err := c.nodes[away].Close(); err != nil {
			t.Fatal(err)
		}
		c.nodes[away] = nil
		runtime.GC()
		c.measure("one is down", million)
		var during float64
		c.open(away, nil)
		during = c.measure("it comes back", c.isThere(away))
		after := c.measure("three members", five)
		back = append(back, 2*during/(before+after))

		four := c.like.newMember()
		four.ID = balsa.NodeID(4 + len(joined))
		c.open(3, func(config *balsa.Config) {
			config.Dir, config.ID, config.Members, config.Listen = t.TempDir(), four.ID, nil, four.Address
			config.Join = c.nodes[c.leader].Status().Cluster
		})
		change := make(chan error, 1)
		go func() {
			change <- c.nodes[c.leader].ChangeMembers(t.Context(), balsa.Change{Members: append(slices.Clone(c.like.members), four)})
		}()
		during = c.measure("a new one joins", func(time.Duration, int64) bool {
			select {
			case err := <-change:
				if err != nil {
					t.Error(err)
				}
				return true
			default:
				return false
			}
		})
		joined = append(joined, 2*during/(before+after))
		if err := c.nodes[c.leader].ChangeMembers(t.Context(), balsa.Change{Members: c.like.members}); err != nil {
			t.Fatal(err)
		}
		if err := c.nodes[3].Close(); err != nil {
			t.Fatal(err)
		}
		c.nodes = c.nodes[:3]
	}
	slices.Sort(back)
	slices.Sort(joined)
	t.Logf("of the speed of three members: while one comes back %.2f, while a new one joins %.2f", back, joined)
}
