package host

import (
	"sync/atomic"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/trace"
	"github.com/balsa-raft/balsa/wal"
)

// Writer owns the log.
type Writer struct {
	host     *Host
	inbox    *inbox[saveWork]
	bytesMax int           // of a batch, up to one save more
	appended atomic.Uint64 // bytes that were ever put
	busy     atomic.Bool   // a batch is being made durable; over before that is reported

	batch []saveWork // being made durable, or durable and to be reported
	saves []wal.Save // scratch
	saved bool       // batch is durable
}

type saveWork struct {
	group *Group
	seq   uint64
	save  wal.Save
	bytes int
}

// writeBytesMax bounds what is made durable at once. While the disk is stuck more than that may pile up, and what does not fit into the log's next segment
// waits for a larger one to be made.
const writeBytesMax = 8 << 20

func (w *Writer) put(g *Group, s *raft.Save) {
	work := saveWork{group: g, seq: s.Seq, save: walSave(g.id, s)}
	for i := range s.Entries {
		work.bytes += int(s.Entries[i].Size())
	}
	w.appended.Add(uint64(work.bytes))
	w.inbox.put(work, work.bytes, 0)
}

func walSave(g raft.GroupID, s *raft.Save) wal.Save {
	return wal.Save{Group: g, HardState: s.HardState, Entries: s.Entries, First: s.First, BaseTerm: s.BaseTerm, Reset: s.Reset}
}

// Step makes what waits durable, of all groups, with one write and one sync; the next Step reports it. These are two
// steps because time passes between them, in which the shard may hand out what supersedes the batch. It reports whether there is
// more to do.
func (w *Writer) Step() (more bool) {
	if w.saved {
		w.report()
		return !w.inbox.empty()
	}
	w.batch = w.inbox.takeUpTo(w.bytesMax, func(work *saveWork) int { return work.bytes }, w.batch)
	if len(w.batch) == 0 || w.host.Err() != nil {
		return false
	}
	w.busy.Store(true)
	if err := w.save(); err != nil {
		w.busy.Store(false)
		w.host.fail(err) // nothing is known of what the disk has: nobody may be told that it is durable, now or later
		return false
	}
	w.saved = true
	return true
}

func (w *Writer) save() error {
	w.saves = w.saves[:0]
	for i := range w.batch {
		w.saves = append(w.saves, w.batch[i].save)
	}
	defer clear(w.saves)
	observer := w.host.config.Observer
	if observer != nil {
		observer.Saving(w.saves)
	}
	if w.host.config.Tracer != nil {
		w.host.hopSaves(trace.Begun, w.saves)
	}
	err := w.host.log.Append(w.saves)
	if err == nil && w.host.config.Tracer != nil {
		w.host.hopSaves(trace.Synced, w.saves)
	}
	if err == nil && observer != nil {
		observer.Saved(w.saves)
	}
	return err
}

// report tells the cores what is durable.
func (w *Writer) report() {
	w.saved = false
	w.busy.Store(false)
	idle := false
	for i := range w.batch {
		// A group's later save covers its earlier ones.
		if work := &w.batch[i]; i+1 == len(w.batch) || w.batch[i+1].group != work.group {
			first, _ := w.host.shard.inbox.add(input{kind: inputPersisted, group: work.group, seq: work.seq}, 0, 0)
			idle = idle || first
		}
	}
	switch {
	case !idle:
	case w.inbox.empty():
		w.host.shard.lend()
	default: // the disk would have nothing to do meanwhile
		w.host.shard.inbox.poke()
	}
	w.host.preparer.poke()
}
