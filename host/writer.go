package host

import (
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
)

// Writer owns the log.
type Writer struct {
	host  *Host
	inbox *inbox[saveWork]

	batch []saveWork // scratch
	saves []wal.Save
}

type saveWork struct {
	group *Group
	seq   uint64
	save  wal.Save
}

func (w *Writer) put(g *Group, s *raft.Save) {
	w.inbox.put(saveWork{group: g, seq: s.Seq, save: wal.Save{Group: g.id, HardState: s.HardState, Entries: s.Entries}}, 0, 0)
}

// Step makes everything that waits durable, of all groups, with one write and one sync. It reports whether there is more to do.
func (w *Writer) Step() (more bool) {
	w.batch = w.inbox.take(w.batch)
	if len(w.batch) == 0 || w.host.Err() != nil {
		return false
	}
	w.saves = w.saves[:0]
	for i := range w.batch {
		w.saves = append(w.saves, w.batch[i].save)
	}
	err := w.host.log.Append(w.saves)
	clear(w.saves)
	if err != nil {
		w.host.fail(err) // nothing is known of what the disk has: nobody may be told that it is durable, now or later
		return false
	}
	for i := range w.batch {
		// A group's later save covers its earlier ones.
		if work := &w.batch[i]; i+1 == len(w.batch) || w.batch[i+1].group != work.group {
			w.host.shard.inbox.put(input{kind: inputPersisted, group: work.group, seq: work.seq}, 0, 0)
		}
	}
	w.host.preparer.poke()
	return !w.inbox.empty()
}
