package transport

import (
	"fmt"
	"sync"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// TestTrack: each packet that is put is told of when it is put, and when the connection begins to write it, which is before it arrives; those that
// are dropped with a connection are not written.
func TestTrack(t *testing.T) {
	var mu sync.Mutex
	var told []string
	tell := func(what string, to raft.NodeID, p wire.Packet) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprintf("%s %d to n%d", what, p.Message.(raft.ReadIndex).Seq, to))
	}
	seen := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return told
	}
	ms := startAll(t, 2, func(c *Config) {
		if c.ID == 1 {
			c.Track = func(to raft.NodeID, p wire.Packet) func() {
				tell("put", to, p)
				if p.Message.(raft.ReadIndex).Seq == 2 {
					return nil
				}
				return func() { tell("sending", to, p) }
			}
		}
	})
	for i := range 3 {
		ms[0].Send(2, numbered(i+1))
		ms[1].next(t)
	}
	want := "[put 1 to n2 sending 1 to n2 put 2 to n2 put 3 to n2 sending 3 to n2]"
	if got := fmt.Sprint(seen()); got != want {
		t.Errorf("told %s, want %s", got, want)
	}

	var o outbox
	o.init(1<<20, 1<<20)
	o.track = func(wire.Packet) func() { return func() {} }
	o.put(numbered(1))
	o.breakOff(errHungUp)
	o.reset()
	o.put(numbered(2))
	if _, ok := o.take(nil); !ok || len(o.writing) != 1 {
		t.Errorf("%d packets are about to be written, one was put since the connection broke", len(o.writing))
	}
}
