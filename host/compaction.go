package host

import (
	"sync/atomic"

	"github.com/balsa-raft/balsa/raft"
)

// CompactionOptions say when the log is compacted. The zero value is good.
type CompactionOptions struct {
	// LogBytes is how much of the log has to come since the last snapshot, at least, before there is another; 64 MiB by default. As
	// long as the last snapshot was larger than that, it takes as much log as that snapshot's size: so a large state is not
	// written again and again for a few commands, and the log never grows much beyond the state (§5.1.2).
	LogBytes int64
	// TailBytes is how much of the log before a snapshot is kept, so that a member that was away briefly needs no snapshot; 16 MiB by default.
	TailBytes int64
	// ChunkBytes is how much of a snapshot one message carries; 256 KiB by default.
	ChunkBytes int
	// BytesPerSecond bounds what is sent of snapshots; 16 MiB by default.
	BytesPerSecond int64
	// EntryBytesPerSecond bounds what is read back from the log for members that lag, unless the log grows more than half as fast; 8 MiB by default.
	EntryBytesPerSecond int64
}

func (o CompactionOptions) withDefaults() CompactionOptions {
	if o.LogBytes == 0 {
		o.LogBytes = 64 << 20
	}
	if o.TailBytes == 0 {
		o.TailBytes = 16 << 20
	}
	if o.ChunkBytes == 0 {
		o.ChunkBytes = 256 << 10
	}
	if o.BytesPerSecond == 0 {
		o.BytesPerSecond = 16 << 20
	}
	if o.EntryBytesPerSecond == 0 {
		o.EntryBytesPerSecond = 8 << 20
	}
	return o
}

// compaction decides when a group's log is compacted, and up to where. Owned by the applier, but for what the snapshotter reports.
type compaction struct {
	options CompactionOptions
	total   int64  // bytes of entries applied since start
	since   int64  // total at the last snapshot
	marks   []mark // places in the log, TailBytes/8 apart, as far back as the tail goes

	busy         atomic.Bool  // a snapshot is being written
	snapshotSize atomic.Int64 // of the last one
}

type mark struct {
	index raft.Index
	total int64
}

// count takes in what was applied.
func (c *compaction) count(es []raft.Entry) {
	for i := range es {
		c.total += int64(es[i].Size())
	}
	if n := len(c.marks); n == 0 || c.total-c.marks[n-1].total >= c.options.TailBytes/8 {
		c.marks = append(c.marks, mark{index: es[len(es)-1].Index, total: c.total})
		for len(c.marks) > 1 && c.total-c.marks[1].total >= c.options.TailBytes {
			c.marks = c.marks[1:]
		}
	}
}

// due reports whether it is time for a snapshot.
func (c *compaction) due() bool {
	return c.total-c.since >= max(c.options.LogBytes, c.snapshotSize.Load()) && !c.busy.Load()
}

// begin starts a snapshot, and returns up to where the log can go when it is done: zero if it is all tail.
func (c *compaction) begin() raft.Index {
	c.busy.Store(true)
	c.since = c.total
	if len(c.marks) > 0 && c.total-c.marks[0].total >= c.options.TailBytes {
		return c.marks[0].index
	}
	return 0
}

// postpone waits for as much log again.
func (c *compaction) postpone() { c.since = c.total }

// restart forgets what was counted: a snapshot took the log's place.
func (c *compaction) restart() { c.since, c.marks = c.total, nil }

// done takes in that the snapshot is written, or given up with size zero. Called by the snapshotter.
func (c *compaction) done(size int64) {
	if size > 0 {
		c.snapshotSize.Store(size)
	}
	c.busy.Store(false)
}
