package balsa_test

import (
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what takes milliseconds on a machine that has time for it.
const patience = 30 * time.Second

// nap is how long a watch sleeps, and awake is how long a nap may last before the machine is said to have stood still.
const nap, awake = 2 * time.Millisecond, 10 * time.Millisecond

// stalls measures for how long this machine had no time for the process: other programs may have it, or nobody. What a test says of how long things
// take is said without that.
type stalls struct {
	mu    sync.Mutex
	total time.Duration // until the last look
	last  time.Time
}

func watchStalls(t *testing.T) *stalls {
	s, stop := &stalls{last: time.Now()}, make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(nap):
			}
			s.mu.Lock()
			s.total += s.since()
			s.last = time.Now()
			s.mu.Unlock()
		}
	}()
	return s
}

// since is the time lost since the last look.
func (s *stalls) since() time.Duration { return max(0, time.Since(s.last)-awake) }

// sum is the time lost since the watch began. It counts what is lost since the last look too: whoever asks may go on before the watch does.
func (s *stalls) sum() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total + s.since()
}
