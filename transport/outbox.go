package transport

import (
	"encoding/binary"
	"sync"

	"github.com/balsa-raft/balsa/wire"
)

// outbox holds the packets on their way to one peer, encoded as frames, until the lane's writer takes them all at once.
type outbox struct {
	mu   sync.Mutex
	cond sync.Cond // signalled when the lane's goroutine has something to do

	// What it is for.
	bytesMax int
	lazy     bool // a connection is wanted only while there is something to send
	shut     bool // nothing can be put: the peer gave no address, or is removed
	last     bool // the connection ends when what waits is written; only when shut

	// What waits. Invariant: buf is whole frames but for their checksums, the last of which starts at frame and may
	// grow; its length is written when it is closed.
	buf     []byte
	frame   int
	packets int

	// What the writer has taken and is writing.
	writingBytes   int
	writingPackets int

	// Of Config.Track, if that is set.
	track   func(wire.Packet) func()
	waiting []func() // of what waits
	writing []func() // of what the writer has taken; the writer's own

	ping          bool  // an empty frame is due
	pings         int   // written since the last packet
	broken        error // why the connection that the writer serves has ended
	frameBytesMax int   // the smaller of this member's limit and the peer's

	count outboxCounts
}

// outboxCounts are guarded by the outbox's mutex.
type outboxCounts struct {
	sentPackets, sentBytes, writes           uint64
	droppedFull, droppedLarge, droppedBroken uint64
}

// smallPacketBytes is what votes, heartbeats and acknowledgements stay below. The last sixteenth of an outbox is for
// them: a backlog of entries must not silence a member.
const smallPacketBytes = 4 << 10

// keepBytes is how large a buffer may be that is kept for the next batch. A burst should not hold memory for ever.
const keepBytes = 4 << 20

func (o *outbox) init(bytesMax, frameBytesMax int) {
	o.bytesMax, o.frameBytesMax = bytesMax, frameBytesMax
	o.cond.L = &o.mu
}

// serve changes how much may wait, and whether a connection is wanted while nothing does.
func (o *outbox) serve(bytesMax int, lazy bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bytesMax, o.lazy = bytesMax, lazy
	o.cond.Signal()
}

// open says whether there is anywhere to send to. If there is not, what waits is dropped.
func (o *outbox) open(open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shut = !open
	if o.shut {
		o.count.droppedBroken += uint64(o.packets)
		o.buf, o.frame, o.packets, o.waiting = nil, 0, 0, nil
	}
	o.cond.Signal()
}

// finish lets what waits be written, and nothing be put any more; then it breaks the connection off for errFlushed.
func (o *outbox) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shut, o.last = true, true
	o.cond.Signal()
}

// verdict says what became of a packet.
type verdict uint8

const (
	queued verdict = iota
	full
	tooLarge
	nowhere
)

// put encodes p behind what waits, unless it finds no room.
func (o *outbox) put(p wire.Packet) verdict {
	size := packetHeadBytes + wire.PacketSizeMax(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.shut {
		return nowhere
	}
	limit := o.bytesMax
	if size > smallPacketBytes {
		limit -= limit / 16
	}
	held := len(o.buf) + o.writingBytes
	// A packet larger than the whole outbox must still be able to go when nothing else does.
	if held > 0 && held+size > limit {
		o.count.droppedFull++
		return full
	}
	before, frame := len(o.buf), o.frame
	if before == 0 || before-frame+size > min(frameBytesTarget, o.frameBytesMax) {
		o.closeFrame()
		o.frame = before
		o.buf = append(o.buf, make([]byte, frameHeadBytes)...)
	}
	head := len(o.buf)
	o.buf = append(o.buf, 0, 0, 0, 0)
	o.buf = wire.AppendPacket(o.buf, p)
	n := len(o.buf) - head
	if n > o.frameBytesMax {
		o.buf, o.frame = o.buf[:before], frame
		o.count.droppedLarge++
		return tooLarge
	}
	binary.LittleEndian.PutUint32(o.buf[head:], uint32(n-packetHeadBytes))
	o.packets++
	if o.track != nil {
		if sending := o.track(p); sending != nil {
			o.waiting = append(o.waiting, sending)
		}
	}
	if before == 0 {
		o.cond.Signal()
	}
	return queued
}

func (o *outbox) closeFrame() {
	if len(o.buf) > 0 {
		binary.LittleEndian.PutUint32(o.buf[o.frame:], uint32(len(o.buf)-o.frame-frameHeadBytes))
	}
}

// take waits for something to write and returns all of it, as frames without checksums. The caller gives back the
// batch that it took before, which thereby counts as written. It reports false when the connection is broken.
func (o *outbox) take(written []byte) (batch []byte, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(written) > 0 {
		o.count.writes++
		o.count.sentBytes += uint64(len(written))
		o.count.sentPackets += uint64(o.writingPackets)
	}
	o.writingBytes, o.writingPackets = 0, 0
	for len(o.buf) == 0 && !o.ping && !o.last && o.broken == nil {
		o.cond.Wait()
	}
	if o.last && len(o.buf) == 0 && o.broken == nil {
		o.broken = errFlushed
	}
	if o.broken != nil {
		return nil, false
	}
	if cap(written) > keepBytes {
		written = nil
	}
	o.closeFrame()
	batch = o.buf
	if o.packets > 0 {
		o.pings = 0
	} else {
		o.pings++
		batch = append(batch, make([]byte, frameHeadBytes)...)
	}
	o.writingBytes, o.writingPackets = len(batch), o.packets
	o.buf, o.frame, o.packets, o.ping = written[:0], 0, 0, false
	o.waiting, o.writing = o.writing[:0], o.waiting
	return batch, true
}

// wantPing makes the writer write something even if nothing waits.
func (o *outbox) wantPing() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ping = true
	o.cond.Signal()
}

// await waits, when there is no connection, until one is wanted. It reports false if none will be any more.
func (o *outbox) await() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.broken == nil && !o.last && o.lazy && len(o.buf) == 0 {
		o.cond.Wait()
	}
	return o.broken == nil && !(o.last && len(o.buf) == 0)
}

// endIdle breaks the connection off for errIdle if it is wanted only while there is something to send, and nothing but
// pings, at least so many, was written lately. What is put from then on stays for the next connection.
func (o *outbox) endIdle(pings int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.lazy || o.pings < pings || len(o.buf) > 0 || o.broken != nil {
		return false
	}
	o.broken = errIdle
	o.buf = nil // nothing should hold memory until there is something again
	o.cond.Signal()
	return true
}

// breakOff makes take fail with err, and with the first such err if there are more.
func (o *outbox) breakOff(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken == nil {
		o.broken = err
	}
	o.cond.Signal()
}

// flushed reports whether the connection has ended because the last of what waited was written.
func (o *outbox) flushed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.broken == errFlushed
}

// reset drops what waits and what was being written when the connection broke, and returns why it broke. A connection
// that ended for errIdle did not break, and nothing is dropped.
func (o *outbox) reset() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.broken
	o.ping, o.pings, o.broken = false, 0, nil
	if err == errIdle {
		return err
	}
	o.count.droppedBroken += uint64(o.packets + o.writingPackets)
	if cap(o.buf) > keepBytes {
		o.buf = nil
	}
	o.buf, o.frame, o.packets, o.waiting = o.buf[:0], 0, 0, nil
	o.writingBytes, o.writingPackets = 0, 0
	return err
}

// limitFrames keeps packets from the outbox that the peer would not take.
func (o *outbox) limitFrames(bytesMax int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.frameBytesMax = bytesMax
}

// counts returns the counters and the bytes that are held.
func (o *outbox) counts() (c outboxCounts, held int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count, len(o.buf) + o.writingBytes
}
