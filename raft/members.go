package raft

import (
	"cmp"
	"slices"

	"github.com/balsa-raft/balsa/internal/must"
)

// The configuration in force is the latest in the log, committed or not (§4.1). A server that took up a configuration only once it is
// committed, or applied, could elect a leader with an old majority while the new one has moved on. So it is also undone when
// its entry is truncated, even if the one before it has been compacted away.

// members is the configurations that may yet be in force here.
//
// Invariant: history is ascending by Index and not empty; its first is committed, and the others are behind what the log begins with.
type members struct {
	history []ConfigurationAt // the last is in force
	quorum  quorum            // of that one
	// known is which data folder the other members have, as their connections told; leaders write it down (see pin). Of those who are no
	// members nothing is kept: who comes back may come with another one.
	known map[NodeID]uint64
}

func newMembers(history []ConfigurationAt) members {
	m := members{history: history, known: map[NodeID]uint64{}}
	m.quorum = m.inForce().quorum()
	return m
}

// mayBeInForce are the configurations that may be in force in the cluster: the last that is known to be committed, and those behind it.
func (m *members) mayBeInForce(commit Index) []ConfigurationAt {
	i := len(m.history) - 1
	for i > 0 && m.history[i].Index > commit {
		i--
	}
	return m.history[i:]
}

func (m *members) inForce() ConfigurationAt { return m.history[len(m.history)-1] }

// Configuration returns the configuration in force. It must not be changed.
func (r *Raft) Configuration() ConfigurationAt { return r.members.inForce() }

// append appends entries to the log, and puts a configuration among them in force.
func (r *Raft) append(es ...Entry) {
	r.log.append(es...)
	for i := range es {
		if es[i].Type == EntryConfiguration {
			c, err := DecodeConfiguration(es[i].Data)
			must.Be1(err == nil, "entry %d is a configuration: it was made here, or checked when it came", es[i].Index)
			r.members.history = append(r.members.history, ConfigurationAt{Index: es[i].Index, Configuration: c})
			r.configurationChanged()
		}
	}
}

// undoConfigurations takes back those of the entries from i on, which are being truncated.
func (r *Raft) undoConfigurations(i Index) {
	h := r.members.history
	n := len(h)
	for n > 1 && h[n-1].Index >= i {
		n--
	}
	if n < len(h) {
		r.members.history = h[:n:n]
		r.configurationChanged()
	}
}

// compactConfigurations forgets those that can no longer come back into force: all before the last one up to i, which are committed.
func (r *Raft) compactConfigurations(i Index) {
	h := r.members.history
	for len(h) > 1 && h[1].Index <= i {
		h = h[1:]
	}
	r.members.history = h
}

// resetConfigurations begins anew with that of a snapshot.
func (r *Raft) resetConfigurations(c ConfigurationAt) {
	r.members.history = []ConfigurationAt{c.or(r.config.Configuration)}
	// What is known is older: a member may have left since, and come back with an empty disk. A leader that wrote the old data folder down would
	// lock the member out.
	r.members.known = nil
	r.configurationChanged()
}

// configurationChanged makes everything follow the configuration that is now in force.
func (r *Raft) configurationChanged() {
	c := r.members.inForce()
	r.members.quorum = c.quorum()
	known := map[NodeID]uint64{}
	for _, m := range c.Members {
		known[m.ID] = r.members.known[m.ID]
	}
	r.members.known = known
	r.effects.Configuration = &c
	r.inflow.followMembers(c.Configuration)
	r.event(EventConfiguration, 0, c.Index)
	if r.role == Leader {
		r.followMembers()
		r.advanceCommitIndex() // the new majority may have had entries for long that the old one has not
		r.confirmReads()       // and it may be of one server, to which nobody answers
	}
}

// followMembers makes r.peers the other members of the configuration in force. A leader goes on with one that has left until it has been told,
// or could not be for some time: else it would never know (§4.2.3).
func (r *Raft) followMembers() {
	c := r.members.inForce()
	r.peers = slices.DeleteFunc(r.peers, func(p *peer) bool {
		_, member := c.Member(p.id)
		if !member && p.leaving == 0 {
			p.leaving, p.leavingSince = c.Index, r.ticks
		}
		return member && p.leaving != 0 // it comes back, perhaps with an empty disk: what is known of it counts no more
	})
	for _, m := range c.Members {
		if m.ID != r.config.ID && r.peer(m.ID) == nil {
			r.peers = append(r.peers, newPeer(m.ID, r.log.last+1, r.ticks))
		}
	}
	slices.SortFunc(r.peers, func(p, q *peer) int { return cmp.Compare(p.id, q.id) })
}

// departPeers lets go of those that have left, once they know it or too long has passed.
func (r *Raft) departPeers() {
	r.peers = slices.DeleteFunc(r.peers, func(p *peer) bool {
		told := p.matchIndex >= p.leaving && p.commitSent >= p.leaving
		late := r.ticks-p.leavingSince > uint64(departTimeouts*r.config.ElectionTicks) || p.nextIndex < r.log.first
		return p.leaving != 0 && (told || late)
	})
}

// departTimeouts is for how many election timeouts a member that has left is still told so.
const departTimeouts = 5

// mayStand reports whether this server may stand for election: it is a voter, or was one until a configuration that is not yet known to be
// committed. That one may be in no other log, and then nobody else can be elected (§4.2.2, figure 4.6).
func (r *Raft) mayStand() bool {
	return r.takesPart(func(m Member) bool { return m.Suffrage == Voter || m.Old == Voter })
}

// mayVote reports whether this server may grant votes: it is a member, a learner at least, by the same rule. Differs: in §4.2.1 servers vote
// whatever their configuration says, since a new one may not know yet that it is a voter. Here it becomes one when its log has the
// configuration that makes it a learner with the data folder that it has. Before, it could be one that lost its disk and has been given
// a part of its log again: it would vote a second time in a term, or elect whom those parted from that have taken its place.
func (r *Raft) mayVote() bool {
	return r.takesPart(func(Member) bool { return true })
}

// takesPart reports whether this server is a member as wanted by a configuration that may be in force: from the last one that is known to be
// committed on.
func (r *Raft) takesPart(as func(Member) bool) bool {
	return slices.ContainsFunc(r.members.mayBeInForce(r.commitIndex), func(c ConfigurationAt) bool {
		m, ok := c.Member(r.config.ID)
		return ok && r.isMe(m) && as(m)
	})
}

// isMe reports whether m, a member with this server's id, is this server, and not one whose disk was lost. Until a leader has written down data
// folders, only who began with the cluster can be sure.
func (r *Raft) isMe(m Member) bool {
	_, began := r.config.Configuration.Member(r.config.ID)
	return m.Incarnation == r.config.Incarnation || r.config.Incarnation == 0 || m.Incarnation == 0 && began
}

// Introduce tells which data folder a member has, as its connection said. A leader writes it into the configuration, so that a server that
// comes back with another one is known to have lost what it acknowledged. It is told again of those who are connected when
// Effects.Configuration has come: what is said of others than members is not kept.
func (r *Raft) Introduce(id NodeID, incarnation uint64) {
	if _, ok := r.members.inForce().Member(id); ok {
		r.members.known[id] = incarnation
	}
}

// folder is the data folder that a member has shown, or zero.
func (r *Raft) folder(id NodeID) uint64 {
	if id == r.config.ID {
		return r.config.Incarnation
	}
	return r.members.known[id]
}

// configurations are those that may come into force again, where first is the one that the server was first started with.
func (s LogState) configurations(first Configuration) []ConfigurationAt {
	return append([]ConfigurationAt{s.Base.or(first)}, s.Configurations...)
}

// or is c, or first if c is empty: the one of a snapshot that was taken before there was any in the log, by a server that was started without
// one.
func (c ConfigurationAt) or(first Configuration) ConfigurationAt {
	if len(c.Members) == 0 {
		return ConfigurationAt{Configuration: first}
	}
	return c
}
