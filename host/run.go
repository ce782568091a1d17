package host

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// shells are the goroutines that run the parts of a host. They hold no state and make no decision: everything is in the Steps.
type shells struct {
	stop    chan struct{}
	stopped sync.WaitGroup
}

// Start sets the host going.
func (h *Host) Start() {
	h.shells.stop = make(chan struct{})
	h.applier.yield = runtime.Gosched
	h.shells.stopped.Go(h.shard.run)
	h.shells.stopped.Go(func() { h.loop(h.writer.inbox.wake, h.writer.Step) })
	h.shells.stopped.Go(func() { h.loop(h.applier.inbox.wake, h.applier.Step) })
	h.shells.stopped.Go(func() { h.loop(h.reader.inbox.wake, h.reader.Step) })
	h.shells.stopped.Go(h.preparer.run)
	h.snapshotter.rest = (&rest{host: h, since: time.Now()}).take
	h.shells.stopped.Go(func() { h.loop(h.snapshotter.inbox.wake, h.snapshotter.Step) })
	h.shells.stopped.Go(h.sender.run)
	h.shells.stopped.Go(func() { h.loop(h.receiver.inbox.wake, (&rest{host: h}).behind(h.receiver.Step)) })
}

// loop steps a part whenever it is woken.
func (h *Host) loop(wake <-chan struct{}, step func() bool) {
	for {
		select {
		case <-h.shells.stop:
			return
		case <-wake:
		}
		for step() {
			if h.stopping() {
				return
			}
		}
	}
}

func (s *Shard) run() {
	start := time.Now()
	w := watch{}
	clock := func() time.Duration {
		t := time.Now()
		now, wall := t.Sub(start), t.Round(0).Sub(start) // without its monotonic part a time is the wall clock's
		s.slept = w.slept(now, wall) || s.slept
		return now
	}
	s.lendTo(clock)
	defer s.lendTo(nil)
	ticker := time.NewTicker(s.tick)
	defer ticker.Stop()
	for !s.host.stopping() {
		s.stepping.Lock()
		more := s.Step(clock)
		s.stepping.Unlock()
		if more {
			continue
		}
		select {
		case <-s.host.shells.stop:
		case <-s.inbox.wake:
		case <-ticker.C:
		}
	}
}

// lendTo says by which clock others may step the shard; nil: nobody may.
func (s *Shard) lendTo(clock func() time.Duration) {
	s.stepping.Lock()
	defer s.stepping.Unlock()
	s.clock = clock
}

// lend steps the shard in the goroutine of whoever has put something into its inbox, if nobody else does. Where little goes on, that is sooner than
// to wake the shard's own goroutine: a command of a single caller takes several such steps one after the other.
func (s *Shard) lend() {
	if !s.stepping.TryLock() {
		s.inbox.poke()
		return
	}
	defer s.crash() // before the lock is given back
	more := s.clock == nil || s.Step(s.clock)
	s.stepping.Unlock()
	if more {
		s.inbox.poke()
	}
}

// crash ends the program if a step has panicked, as it would have in the shard's own goroutine. The goroutine that has lent itself may belong to a
// program that recovers, and then this member would neither work nor stop.
func (s *Shard) crash() {
	if r := recover(); r != nil {
		stack := debug.Stack()
		go func() { panic(fmt.Sprintf("%v\n\n%s", r, stack)) }()
		select {}
	}
}

func (h *Host) stopping() bool {
	select {
	case <-h.shells.stop:
		return true
	default:
		return false
	}
}

// Close stops the host and ends every wait. The caller closes the transport first, or messages go nowhere. Another Close waits for
// the first and returns what it did.
func (h *Host) Close() error {
	h.closing.Do(func() {
		if h.shells.stop != nil {
			close(h.shells.stop)
			h.shells.stopped.Wait()
		}
		h.closeErr = h.shutdown()
	})
	return h.closeErr
}

// restInterval is how often the log is asked to settle while it is idle.
const restInterval = 2 * time.Second

func (p *Preparer) run() {
	ticker := time.NewTicker(restInterval)
	defer ticker.Stop()
	for {
		select {
		case <-p.host.shells.stop:
			return
		case <-p.inbox.wake:
			p.Step()
		case <-ticker.C:
			p.Rest()
		}
	}
}

// sendInterval is how often streams of snapshots are looked after although nothing has come in for them.
const sendInterval = 20 * time.Millisecond

func (s *Sender) run() {
	start := time.Now()
	ticker := time.NewTicker(sendInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.host.shells.stop:
			s.close()
			return
		case <-s.inbox.wake:
		case <-ticker.C:
			if !s.Busy() {
				continue
			}
		}
		s.Step(time.Since(start))
	}
}

// rest is taken by a part that has much to do and for whose work nobody waits, between two pieces of it. The disk and the processors are then
// free for those that are waited for; and where these are slow, or busy, the pieces take longer, and so do the rests.
type rest struct {
	host  *Host
	since time.Time // when the work began that it is a rest from
}

const (
	// restShare is how much longer a rest is than the piece before it.
	restShare = 4
	restMax   = 100 * time.Millisecond // or a piece in which the machine stood still would hold up the next
)

// take rests. It fails with ErrClosed once the host is closing: what is not finished by then never will be.
func (r *rest) take() error {
	timer := time.NewTimer(min(restShare*time.Since(r.since), restMax))
	defer timer.Stop()
	defer func() { r.since = time.Now() }()
	select {
	case <-timer.C:
		return nil
	case <-r.host.shells.stop:
		return ErrClosed
	}
}

// behind takes a rest behind each step.
func (r *rest) behind(step func() bool) func() bool {
	return func() bool {
		r.since = time.Now()
		more := step()
		return r.take() == nil && more
	}
}
