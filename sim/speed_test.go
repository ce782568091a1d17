package sim

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkRun says how much time is simulated in a second of the processor's: five members, the usual clients, everything that can go wrong.
func BenchmarkRun(b *testing.B) {
	var simulated time.Duration
	began := processorTime(b)
	seed := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		seed++
		r, err := Run(Options{Seed: seed, Members: 5, Faults: AllFaults})
		if err != nil {
			b.Fatal(err)
		}
		simulated += r.Time
	}
	b.ReportMetric(simulated.Seconds()/(processorTime(b)-began).Seconds(), "simulated-s/cpu-s")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
