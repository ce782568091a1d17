package host

import (
	"errors"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/snapshot"
	"github.com/balsa-raft/balsa/wire"
)

// Receiver writes the chunks of snapshots that leaders send, and gives the core a snapshot once it is whole and durable.
type Receiver struct {
	host  *Host
	inbox *inbox[receiveWork]
	batch []receiveWork // scratch
}

type receiveWork struct {
	group *Group
	from  raft.NodeID
	chunk raft.InstallSnapshot
}

// receiveBytesMax bounds the chunks that wait here. Those over it are dropped; they are sent again.
const receiveBytesMax = 8 << 20

// incoming is a snapshot that a group is being sent. Owned by the receiver.
type incoming struct {
	meta     snapshot.Meta
	receiver *snapshot.Receiver // nil when it is whole
}

// Step writes what has come in. It reports whether there is more to do.
func (r *Receiver) Step() (more bool) {
	r.batch = r.inbox.take(r.batch)
	for i := range r.batch {
		r.take(&r.batch[i])
	}
	return !r.inbox.empty()
}

func (r *Receiver) take(work *receiveWork) {
	g, c := work.group, &work.chunk
	if g.Err() != nil || r.host.Err() != nil || c.Term < raft.Term(g.term.Load()) {
		return // this member has stopped, or the leader was deposed
	}
	meta := snapshot.Meta{Group: g.id, Index: c.LastIncludedIndex, Term: c.LastIncludedTerm, Configuration: c.Configuration}
	offset, err := r.write(g, meta, c)
	if err != nil {
		r.host.logger.Warn("a snapshot could not be received; its leader will try again", "group", uint64(g.id), "index", uint64(meta.Index), "error", err)
		g.incoming.drop()
		offset = 0
	}
	r.host.transport.Send(work.from, wire.Packet{Group: g.id, Message: raft.InstallSnapshotReply{
		Term: c.Term, LastIncludedIndex: meta.Index, Offset: offset,
	}})
	if err == nil && g.incoming.receiver == nil {
		final := *c
		final.Data = nil
		r.host.shard.inbox.put(input{kind: inputMessage, group: g, from: work.from, message: final}, 0, 0)
	}
}

// drop ends a transfer that will not be completed now. What there is of it stays on disk, to be resumed.
func (in *incoming) drop() {
	if in.receiver != nil {
		in.receiver.Close()
	}
	*in = incoming{}
}

// write adds a chunk, and returns how much there is.
func (r *Receiver) write(g *Group, meta snapshot.Meta, c *raft.InstallSnapshot) (offset uint64, err error) {
	in := &g.incoming
	if in.meta.Index == meta.Index && in.meta.Term == meta.Term && in.receiver == nil {
		return c.Size, nil // whole already: the answer was lost
	}
	if in.meta.Index != meta.Index || in.meta.Term != meta.Term {
		in.drop()
		in.meta = meta
		in.receiver, err = r.host.snapshots.Receive(meta, int64(c.Size))
		if errors.Is(err, snapshot.ErrExists) {
			return c.Size, nil // received by an earlier incarnation, or our own
		}
		if err != nil {
			return 0, err
		}
	}
	if int64(c.Offset) == in.receiver.Offset() && len(c.Data) > 0 {
		if err := in.receiver.Write(int64(c.Offset), c.Data); err != nil {
			return 0, err
		}
	}
	offset = uint64(in.receiver.Offset())
	if offset < c.Size {
		return offset, nil
	}
	if err := in.receiver.Commit(); err != nil {
		return 0, err
	}
	in.receiver = nil
	r.forgetOvertaken(g, meta)
	return offset, nil
}

// forgetOvertaken removes a snapshot that has just become whole when the member has a newer one of what it has executed itself: until it wrote its next one, it would keep both.
// What it has not executed may still be wanted, whatever else there is.
func (r *Receiver) forgetOvertaken(g *Group, meta snapshot.Meta) {
	newest, ok, err := r.host.snapshots.Latest(g.id)
	if err == nil && ok && newest.Index > meta.Index && newest.Index <= g.Executed() {
		r.host.pruneSnapshots(g, newest.Index)
	}
}
