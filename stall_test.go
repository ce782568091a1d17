package balsa_test

import (
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a test waits for what takes milliseconds on a machine that has time for it.
const patience = 30 * time.Second

// stalls measures for how long this machine had no time for the process: other programs may have it, or nobody. What a test says of how long things
// take is said without that.
type stalls struct{ total atomic.Int64 }

func watchStalls(t *testing.T) *stalls {
	const nap = 2 * time.Millisecond
	s, stop := &stalls{}, make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		for last := time.Now(); ; {
			select {
			case <-stop:
				return
			case <-time.After(nap):
			}
			now := time.Now()
			s.total.Add(int64(max(0, now.Sub(last)-5*nap)))
			last = now
		}
	}()
	return s
}

// sum is the time lost since the watch began.
func (s *stalls) sum() time.Duration { return time.Duration(s.total.Load()) }
