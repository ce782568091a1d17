package transport

import (
	"bytes"
	"testing"

	"github.com/balsa-raft/balsa/wire"
)

// fill puts p until it finds no room, and checks the bound on the way.
func fill(t *testing.T, o *outbox, p wire.Packet) (put int) {
	t.Helper()
	for o.put(p) == queued {
		put++
		if _, held := o.counts(); held > o.bytesMax {
			t.Fatalf("%d bytes are held, the bound is %d", held, o.bytesMax)
		}
	}
	return put
}

// The bound holds for what waits and what is being written together, and entries leave room for votes.
func TestOutboxBound(t *testing.T) {
	var o outbox
	o.init(1<<20, 1<<20)
	large, small := entries(1, 64<<10), numbered(1)
	if n := fill(t, &o, large); n < 10 {
		t.Errorf("room for %d packets of 64 KiB in 1 MiB", n)
	}
	fill(t, &o, entries(1, smallPacketBytes)) // the smallest that is not small
	if n := fill(t, &o, small); n < 500 {
		t.Errorf("room for %d small packets beside others", n)
	}
	batch, ok := o.take(nil)
	if !ok {
		t.Fatal("not taken")
	}
	if o.put(large) != full || o.put(small) != full {
		t.Error("what is being written is not counted")
	}
	o.wantPing()
	o.take(batch)
	if o.put(large) != queued {
		t.Error("what was written is still counted")
	}
	if _, held := o.counts(); held < 64<<10 || held > 65<<10 {
		t.Errorf("%d bytes are held", held)
	}
	if o.reset(); o.put(entries(1, 1<<20-100)) != queued {
		t.Error("a packet nearly as large as the outbox found no room in an empty one")
	}
}

// A packet that is refused for its size leaves no trace in the bytes.
func TestOutboxTooLarge(t *testing.T) {
	for _, before := range [][]wire.Packet{nil, {numbered(1)}, {entries(1, 900)}} {
		var o, clean outbox
		o.init(1<<20, 1000)
		clean.init(1<<20, 1000)
		for i, p := range append(before, numbered(2)) {
			if i == len(before) && o.put(entries(1, 2000)) != tooLarge {
				t.Fatal("not refused")
			}
			o.put(p)
			clean.put(p)
		}
		got, _ := o.take(nil)
		want, _ := clean.take(nil)
		if string(got) != string(want) {
			t.Errorf("after %d packets:\n got %x\nwant %x", len(before), got, want)
		}
	}
}

// Whoever breaks the connection first gives the cause, and it does not outlive the connection.
func TestOutboxBroken(t *testing.T) {
	var o outbox
	o.init(1<<20, 1000)
	o.put(numbered(1))
	o.breakOff(errSilent)
	o.breakOff(errHungUp)
	if _, ok := o.take(nil); ok {
		t.Error("taken from a broken outbox")
	}
	if err := o.reset(); err != errSilent {
		t.Errorf("cause %v", err)
	}
	o.put(numbered(2))
	batch, ok := o.take(nil)
	if !ok || len(batch) != len(frameOf(numbered(2))) {
		t.Errorf("took %x, %v", batch, ok)
	}
	if c, _ := o.counts(); c.droppedBroken != 1 {
		t.Errorf("counts %+v", c)
	}
}

// A connection is idle only when nothing but enough pings has been written, and nothing that is put later is lost.
func TestOutboxIdle(t *testing.T) {
	var o outbox
	o.init(1<<20, 1000)
	ping := func() {
		t.Helper()
		o.wantPing()
		if b, ok := o.take(nil); !ok || len(b) != frameHeadBytes {
			t.Fatalf("took %x, %v", b, ok)
		}
	}
	ping()
	ping()
	if o.put(numbered(1)); o.endIdle(2) {
		t.Error("idle with a packet that waits")
	}
	if o.take(nil); o.endIdle(2) {
		t.Error("idle with a packet that is being written")
	}
	ping()
	if o.endIdle(2) {
		t.Error("idle after one ping")
	}
	ping()
	if o.endIdle(2) {
		t.Error("ended although the connection is to stay")
	}
	o.serve(1<<20, true)
	if !o.endIdle(2) {
		t.Fatal("not idle after two pings")
	}
	o.put(numbered(2))
	o.breakOff(errHungUp)
	if _, ok := o.take(nil); ok {
		t.Error("taken for a connection that is being closed")
	}
	if err := o.reset(); err != errIdle {
		t.Errorf("cause %v", err)
	}
	if _, held := o.counts(); held == 0 || !o.await() {
		t.Fatal("nothing to connect for")
	}
	b, ok := o.take(nil)
	if !ok || len(b) != len(frameOf(numbered(2))) || o.endIdle(1) {
		t.Errorf("took %x, %v", b, ok)
	}
	o.wantPing()
	o.take(b)
	if c, held := o.counts(); c.droppedBroken != 0 || c.sentPackets != 1 || held != frameHeadBytes {
		t.Errorf("counts %+v", c)
	}
	if o.breakOff(errMoved); o.await() {
		t.Error("something to connect for when the peer is gone")
	}
}

// What waits in an outbox that finishes is written, nothing is put any more, and then the connection ends.
func TestOutboxFinishes(t *testing.T) {
	var o outbox
	o.init(1<<20, 1000)
	o.put(numbered(1))
	o.finish()
	if v := o.put(numbered(2)); v != nowhere {
		t.Errorf("put: %v", v)
	}
	if !o.await() {
		t.Fatal("no connection is wanted for what waits")
	}
	b, ok := o.take(nil)
	if !ok || !bytes.Equal(b[frameHeadBytes:], frameOf(numbered(1))[frameHeadBytes:]) {
		t.Fatalf("took %x, %v", b, ok)
	}
	if o.flushed() {
		t.Error("flushed while it is being written")
	}
	if _, ok := o.take(b); ok || !o.flushed() {
		t.Error("not flushed when it was written")
	}
	if err := o.reset(); err != errFlushed || o.await() {
		t.Errorf("after the end: %v, or a connection is wanted", err)
	}
	if c, held := o.counts(); c.sentPackets != 1 || c.droppedBroken != 0 || held != 0 {
		t.Errorf("counts %+v", c)
	}
}

// While there is nowhere to send to nothing is held, and no connection is wanted.
func TestOutboxShut(t *testing.T) {
	var o outbox
	o.init(1<<20, 1000)
	o.serve(1<<20, true)
	o.put(numbered(1))
	o.open(false)
	if v := o.put(numbered(2)); v != nowhere {
		t.Errorf("put: %v", v)
	}
	if c, held := o.counts(); c.droppedBroken != 1 || held != 0 {
		t.Errorf("counts %+v, %d bytes held", c, held)
	}
	o.open(true)
	if v := o.put(numbered(3)); v != queued || !o.await() {
		t.Errorf("put: %v, or no connection is wanted", v)
	}
}
