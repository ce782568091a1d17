package host

import "time"

// Part names one of the parts of a host, for those who step them themselves.
type Part uint8

// The parts.
const (
	PartShard Part = iota
	PartWriter
	PartApplier
	PartReader
	PartPreparer
	// PartRest is what the preparer does now and then, whether or not something has come in.
	PartRest
	PartSnapshotter
	PartSender
	PartReceiver
	PartCount
)

func (p Part) String() string {
	return [...]string{"shard", "writer", "applier", "reader", "preparer", "rest", "snapshotter", "sender", "receiver"}[p]
}

// Step lets one part do what has come in for it, instead of the goroutines of Start. now is the time since some fixed moment; it
// never falls. It reports whether there is more to do. One call runs at a time.
func (h *Host) Step(p Part, now time.Duration) (more bool) {
	switch p {
	case PartShard:
		return h.shard.Step(func() time.Duration { return now })
	case PartWriter:
		return h.writer.Step()
	case PartApplier:
		return h.applier.Step()
	case PartReader:
		return h.reader.Step()
	case PartPreparer:
		h.preparer.Step()
	case PartRest:
		h.preparer.Rest()
	case PartSnapshotter:
		return h.snapshotter.Step()
	case PartSender:
		return h.sender.Step(now)
	case PartReceiver:
		return h.receiver.Step()
	}
	return false
}

// Slept tells, before a step of the shard, that the clock may have stood still since the last one, as it does while a machine is suspended.
func (h *Host) Slept() { h.shard.slept = true }

// Idle reports whether nothing has come in for the part. The shard and the rest have to be stepped all the same, because time passes, and so
// has the sender while it is Sending.
func (h *Host) Idle(p Part) bool {
	switch p {
	case PartShard:
		return h.shard.inbox.empty()
	case PartWriter:
		return h.writer.inbox.empty() && !h.writer.saved
	case PartApplier:
		return h.applier.inbox.empty()
	case PartReader:
		return h.reader.inbox.empty()
	case PartSnapshotter:
		return h.snapshotter.inbox.empty()
	case PartSender:
		return h.sender.inbox.empty()
	case PartReceiver:
		return h.receiver.inbox.empty()
	}
	return p == PartRest || len(h.preparer.inbox.wake) == 0
}

// Sending reports whether snapshots are on their way to members: then PartSender has to be stepped now and then.
func (h *Host) Sending() bool { return h.sender.Busy() }
