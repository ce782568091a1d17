package transport

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

func TestPauseDoublesAndIsCutShort(t *testing.T) {
	w := newPause()
	early, stop := make(chan struct{}, 1), make(chan struct{})
	for _, want := range []time.Duration{20, 40, 80} {
		if w.next != want*time.Millisecond {
			t.Errorf("pause of %v, want %d ms", w.next, want)
		}
		w.wait(stop, early)
	}
	w.next = time.Hour
	early <- struct{}{}
	if !w.wait(stop, early) || w.next != backoffMin {
		t.Errorf("after a hint the next pause is %v", w.next)
	}
	w.next = time.Hour
	close(stop)
	if w.wait(stop, early) || w.next != backoffMax {
		t.Errorf("not stopped, or the pause grew beyond its bound to %v", w.next)
	}
}

// Two members that accept each other and then break must not do so in a tight loop.
func TestConnectionsThatBreakAtOnce(t *testing.T) {
	t.Parallel()
	l := newFakePeer(t)
	m := start1(t, 1, func(c *Config) { c.Peers = map[raft.NodeID]string{2: l.address()} })
	start := time.Now()
	for range 6 {
		f, _ := l.take()
		f.accept()
		m.waitConnected(t, 2)
		f.Close()
		m.waitUnreachable(t, 2)
		dialAs(t, m, wire.Hello{ClusterID: cluster, From: 2, To: 1}).mustAccept()
	}
	// 20, 40, 80, 160 ms and so on, one of which the first hello cuts short.
	if took := time.Since(start); took < 140*time.Millisecond {
		t.Errorf("six connections in %v", took)
	}
}

// A connection that was replaced while it waited must not hand anything on, nor keep the next from it.
func TestReplacedWhileWaiting(t *testing.T) {
	m := start1(t, 1, func(c *Config) { c.Peers = map[raft.NodeID]string{2: "127.0.0.1:1"} })
	l := &(*m.peers.Load())[2].lanes[wire.Main]
	for range 50 { // a select with two ready cases takes either
		in := newInbound(dialRaw(t, m), 0, time.Second)
		in.close()
		if l.accept(in) {
			t.Fatal("accepted after it was closed")
		}
		if len(l.receiving) != 0 {
			t.Fatal("nobody can receive any more")
		}
		if l.in != nil {
			t.Fatal("a connection that has ended counts as one")
		}
	}
}

func TestQuietLog(t *testing.T) {
	var out logs
	q := newQuietLog(slog.New(slog.NewTextHandler(&out, nil)))
	q.warn("refused", "from", "a")
	q.warn("refused", "from", "a")
	q.warn("refused", "from", "b")
	if out.count("from=a") != 1 || out.count("from=b") != 1 {
		t.Errorf("log:\n%s", &out)
	}
	now := time.Now()
	for _, c := range []struct {
		after time.Duration
		quiet int
		ok    bool
	}{{0, 0, true}, {time.Second, 0, false}, {2 * time.Second, 0, false}, {quietFor, 2, true}, {quietFor + time.Second, 0, false}} {
		if quiet, ok := q.allow("key", now.Add(c.after)); quiet != c.quiet || ok != c.ok {
			t.Errorf("after %v: %d, %v", c.after, quiet, ok)
		}
	}
	for i := range 10 * sightingsMax {
		q.allow(fmt.Sprint(i), now)
	}
	if len(q.seen) > sightingsMax {
		t.Errorf("%d lines are remembered", len(q.seen))
	}
}
