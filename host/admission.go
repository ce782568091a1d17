package host

import (
	"fmt"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// Admit decides whether a peer may be the one with the data folder of that incarnation: not if the configuration knows it with another. The
// transport asks for every connection, in either direction. Who is no member may be one whose time has come, or gone, and
// this member does not know of it yet. As long as it is none itself with the folder that it has, because it is catching up, it takes anybody: it neither
// votes nor counts votes, and by the old configurations on its way it would refuse a leader that had left, and has come back with another folder. It may be in
// them itself, from before it came back: one that was not among the first members is none before its folder is written down (raft's isMe).
// And if a leader is vouched for with another folder than the one that is known here, that one is let in, to lead: see vouch.
func (h *Host) Admit(peer raft.NodeID, incarnation uint64) error {
	for _, g := range h.shard.groups {
		c := g.configuration.Load()
		m, ok := c.Member(peer)
		if !ok {
			continue
		}
		self, member := c.Member(h.config.ID)
		// One that leaves counts votes until it knows that this is committed: it may be the only one that knows of it.
		takesPart := member && (self.Incarnation == h.identity.Incarnation || self.Incarnation == 0 && g.began) || g.takesPart.Load()
		m.Incarnation = g.vouch.folder(m)
		if m.Incarnation != 0 && m.Incarnation != incarnation && takesPart {
			return fmt.Errorf("the cluster knows member %x with another data folder than this one. A member that has lost its folder has forgotten "+
				"what it acknowledged, and must not come back under its old id. Replace it by a new one: balsa members replace %x", uint64(peer), uint64(peer))
		}
		if m.Incarnation == 0 {
			h.shard.inbox.put(input{kind: inputIntroduced, group: g, from: peer, seq: incarnation}, 0, 0)
		}
	}
	return nil
}

// Refused takes in that a peer refused this member's connection, and why. The transport repeats it with every attempt, and
// warns of it once a minute, so nothing louder is said here.
func (h *Host) Refused(peer raft.NodeID, verdict wire.Verdict, reason string) {
	h.logger.Debug("a peer refused this member", "peer", uint64(peer), "verdict", verdict.String(), "reason", reason)
	if verdict != wire.WrongIncarnation {
		return
	}
	for _, g := range h.shard.groups {
		h.shard.inbox.put(input{kind: inputRefused, group: g, from: peer, err: fmt.Errorf("%w: member %x says: %s", ErrReplaced, uint64(peer), reason)}, 0, 0)
	}
}

// refused stops a group whose peers know it with another data folder, if there is nothing in its own: it would wait for them in vain. One with a log is
// left alone; it is for people to say which is the right one.
func (g *Group) refusedByPeer(err error) {
	if g.raft.Status().LastIndex == 0 {
		g.fail(err)
	}
}

// unknownTo takes in that a member says that this server is none. One whose log is empty was to begin the cluster, and stops at once: it comes too
// late. Another one may have been added again, and so may one whom a leader speaks to already; they stop if none does for two election timeouts, in
// which they ask once more: who knows better by then says so, and also with which folder the leader is known.
func (g *Group) unknownTo(member raft.NodeID) {
	if g.stranger == 0 {
		g.silence = 0
	}
	g.stranger = member
	if s := g.raft.Status(); s.LastIndex == 0 && s.Leader == 0 { // also if the connection to the leader has broken since
		g.fail(fmt.Errorf("%w: its log is empty, and member %x says that the cluster goes on without it; to make it a member again, empty its data folder and join: balsa server --join", ErrRemoved, uint64(member)))
	}
}

// introduced is told of a member's data folder.
func (g *Group) introduced(peer raft.NodeID, incarnation uint64) { g.raft.Introduce(peer, incarnation) }
