package host

import (
	"errors"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
)

// Reader reads old entries back from the log.
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
		es, err := r.host.log.Entries(w.group.id, w.load.From, w.load.To, w.load.MaxBytes)
		if err != nil && !errors.Is(err, wal.ErrNotFound) { // not found: superseded since the core asked, which it will see
			// Entries that were durable and cannot be read: this member's log is damaged, and it must not go on as if it had them.
			r.host.fail(err)
			return false
		}
		r.host.shard.inbox.put(input{kind: inputLoaded, group: w.group, load: w.load, entries: es}, 0, 0)
	}
	return !r.inbox.empty()
}
