package host

import (
	"errors"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
)

// Reader reads old entries back from the log, for the state machine here.
type Reader struct {
	host  *Host
	inbox *inbox[loadWork]
	batch []loadWork // scratch
}

type loadWork struct {
	group *Group
	load  raft.Load
}

// Step reads everything that is asked for. It reports whether there is more to do.
func (r *Reader) Step() (more bool) {
	r.batch = r.inbox.take(r.batch)
	for _, w := range r.batch {
		r.host.load(w)
	}
	return !r.inbox.empty()
}

// load reads entries back for the core, and returns how many bytes they have.
func (h *Host) load(w loadWork) (bytes int64) {
	if h.Err() != nil {
		return 0
	}
	es, err := h.log.Entries(w.group.id, w.load.From, w.load.To, w.load.MaxBytes)
	if err != nil && !errors.Is(err, wal.ErrNotFound) { // not found: superseded since the core asked, which it will see
		// Entries that were durable and cannot be read: this member's log is damaged, and it must not go on as if it had them.
		h.fail(err)
		return 0
	}
	for i := range es {
		bytes += int64(es[i].Size())
	}
	h.shard.inbox.put(input{kind: inputLoaded, group: w.group, load: w.load, entries: es}, 0, 0)
	return bytes
}
