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
	PartCount
)

func (p Part) String() string {
	return [...]string{"shard", "writer", "applier", "reader", "preparer", "rest"}[p]
}

// Step lets one part do what has come in for it, instead of the goroutines of Start. now is the time since some fixed moment; it
// never falls. It reports whether there is more to do. One call runs at a time.
func (h *Host) Step(p Part, now time.Duration) (more bool) {
	switch p {
	case PartShard:
		return h.shard.Step(now)
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
	}
	return false
}

// Idle reports whether there is nothing to do for the part. Only the shard and the rest have to be stepped all the same, because time passes.
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
	}
	return p == PartRest || len(h.preparer.inbox.wake) == 0
}
