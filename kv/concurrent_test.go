package kv

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
)

// TestReadersDuringApply: while one goroutine applies transactions that write, or delete, many keys at once, and
// compactions that leave no history, every read sees all of one transaction and nothing of the next. The keys are so
// many that reads and commands let go of the lock in their middle.
func TestReadersDuringApply(t *testing.T) {
	const keys, rounds = 3 * scanChunk, 60
	s := New()
	var done atomic.Bool
	var running sync.WaitGroup
	var reads atomic.Int64
	for range 3 {
		running.Go(func() {
			for !done.Load() && !t.Failed() {
				readAll(t, s, keys)
				reads.Add(1)
			}
		})
	}
	var all TxnRequest
	for i := range keys {
		all.Success = append(all.Success, putOp(fmt.Sprintf("k%06d", i), ""))
	}
	for round := range rounds {
		current, _ := s.Revision()
		fill := all
		fill.Success = slices.Clone(all.Success)
		for i := range fill.Success {
			p := *fill.Success[i].Put
			p.Value = fmt.Append(nil, round)
			fill.Success[i].Put = &p
		}
		batch := []Command{txn(fill), compact(current + 1), del("k", "l"), compact(current + 2)}
		if round%2 == 0 {
			batch = []Command{txn(fill), compact(current + 1)}
		}
		if err := s.Apply(slices.Values(entries(batch))); err != nil {
			t.Error(err)
		}
		for reads.Load() < int64(round) { // so that reads and writes do meet, whatever the scheduler thinks
			s.Apply(slices.Values([]balsa.Entry[Command, Response]{}))
		}
	}
	done.Store(true)
	running.Wait()
	s.pins.mu.Lock()
	defer s.pins.mu.Unlock()
	if len(s.pins.set) > 0 {
		t.Errorf("pins are left: %v", s.pins.set)
	}
}

func readAll(t *testing.T, s *Store, keys int64) {
	everything := RangeRequest{Key: b("k"), RangeEnd: b("l")}
	got, err := s.Range(everything)
	if err != nil {
		t.Error(err)
		return
	}
	if got.Count != 0 && got.Count != keys || int64(len(got.KVs)) != got.Count {
		t.Errorf("at %d a read sees %d keys, and counts %d, of %d", got.Revision, len(got.KVs), got.Count, keys)
		return
	}
	for _, kv := range got.KVs {
		if kv.ModRevision != got.KVs[0].ModRevision || string(kv.Value) != string(got.KVs[0].Value) {
			t.Errorf("at %d a read sees %+v and %+v", got.Revision, kv, got.KVs[0])
			return
		}
	}
	// What it saw is what the revision is, as long as it is not compacted.
	everything.Revision = got.Revision
	everything.CountOnly = true
	if again, err := s.Range(everything); !errors.Is(err, ErrCompacted) && (err != nil || again.Count != got.Count) {
		t.Errorf("at %d there were %d keys, then %d, %v", got.Revision, got.Count, again.Count, err)
	}
	// A transaction's reads are of one revision.
	read := Op{Range: &RangeRequest{Key: b("k"), RangeEnd: b("l"), CountOnly: true}}
	both, err := s.ReadTxn(TxnRequest{Success: []Op{read, read}})
	if err != nil || both.Responses[0].Range.Count != both.Responses[1].Range.Count {
		t.Errorf("two reads of one transaction differ: %+v, %v", both.Responses, err)
	}
	if _, err := s.HashKV(0); err != nil {
		t.Error(err)
	}
	s.Size()
	s.Members()
}

// TestApplyLetsReadersIn: a read does not wait for the end of a batch, however long that is.
func TestApplyLetsReadersIn(t *testing.T) {
	s := New()
	var begun, read atomic.Bool
	var running sync.WaitGroup
	running.Go(func() {
		for !begun.Load() {
			runtime.Gosched()
		}
		s.Revision()
		read.Store(true)
	})
	n := 0
	s.Apply(func(yield func(balsa.Entry[Command, Response]) bool) {
		until := time.Now().Add(30 * time.Second) // the machine may have something else to do than the reader
		for begun.Store(true); !read.Load() && time.Now().Before(until); n++ {
			runtime.Gosched()
			yield(balsa.Entry[Command, Response]{Command: del("nothing")})
		}
	})
	if !read.Load() {
		t.Errorf("a read waited while %d commands were applied", n)
	}
	running.Wait()
}
