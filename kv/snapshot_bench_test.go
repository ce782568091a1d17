package kv

import (
	"bytes"
	"io"
	"math/rand"
	"slices"
	"testing"
	"time"
)

// benchSnapshotStore has a million keys with values of 128 bytes.
func benchSnapshotStore() *Store {
	s := New()
	random := rand.New(rand.NewSource(1))
	value := make([]byte, 128)
	for _, i := range random.Perm(1_000_000) {
		random.Read(value)
		s.apply(Command{Put: &PutRequest{Key: benchKey(i), Value: value}})
	}
	return s
}

type countingWriter int64

func (w *countingWriter) Write(b []byte) (int, error) {
	*w += countingWriter(len(b))
	return len(b), nil
}

func BenchmarkSnapshotWrite1M(b *testing.B) {
	s := benchSnapshotStore()
	b.ReportAllocs()
	for b.Loop() {
		var size countingWriter
		write, _ := s.Snapshot()
		if err := write(&size); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(size))
	}
}

func BenchmarkSnapshotRestore1M(b *testing.B) {
	snapshot := snapshotOf(b, benchSnapshotStore())
	b.SetBytes(int64(len(snapshot)))
	b.ReportAllocs()
	for b.Loop() {
		if err := New().Restore(bytes.NewReader(snapshot)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSnapshotPin1M is what Apply waits for when a snapshot is taken.
func BenchmarkSnapshotPin1M(b *testing.B) {
	s := benchSnapshotStore()
	b.ReportAllocs()
	for b.Loop() {
		s.snapshot().view.unpin()
	}
}

// BenchmarkSnapshotSlice1M is how long the lock is held at a time.
func BenchmarkSnapshotSlice1M(b *testing.B) {
	p := benchSnapshotStore().snapshot()
	at := place{}
	b.ReportAllocs()
	for b.Loop() {
		at, _ = p.copyVersions(at)
	}
}

// BenchmarkApplyDuringSnapshot applies batches of 64 puts, alone and while snapshots are written, and reports how long
// the slowest took.
func BenchmarkApplyDuringSnapshot(b *testing.B) {
	s := benchSnapshotStore()
	for _, writing := range []bool{false, true} {
		b.Run(map[bool]string{false: "alone", true: "writing"}[writing], func(b *testing.B) {
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for writing {
					select {
					case <-stop:
						return
					default:
					}
					write, _ := s.Snapshot()
					if err := write(io.Discard); err != nil {
						b.Error(err)
					}
				}
			}()
			random := rand.New(rand.NewSource(1))
			batch := entries(make([]Command, 64))
			value := make([]byte, 128)
			var times []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					batch[i].Command = Command{Put: &PutRequest{Key: benchKey(random.Intn(1_000_000)), Value: value}}
				}
				began := time.Now()
				s.Apply(slices.Values(batch))
				times = append(times, time.Since(began))
				if len(times)%100 == 0 {
					s.Apply(slices.Values(entries([]Command{compact(s.current)}))) // or else memory fills
				}
			}
			close(stop)
			<-stopped
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds()), "median-us")
			b.ReportMetric(float64(times[len(times)*999/1000].Microseconds()), "p99.9-us")
			b.ReportMetric(float64(times[len(times)-1].Microseconds()), "longest-us")
		})
	}
}
