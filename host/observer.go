package host

import (
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
)

// Observer is told what happens inside a host at the moment that it happens, by the part that does it. It must not block or call the
// host, and it keeps nothing that it is given beyond the call, except entries, which never change.
type Observer interface {
	// Event is what happened inside a core. Called by the shard.
	Event(g raft.GroupID, e raft.Event)
	// Saving says that a batch is about to be written: from now on a crash may leave it on disk. Called by the writer.
	Saving(batch []wal.Save)
	// Saved says that the batch is durable; the cores do not know it yet. Called by the writer.
	Saved(batch []wal.Save)
}
