package raft

import (
	"fmt"
	"strings"
)

// Status is a server's state at one moment. It is a copy; keep it as long as you like.
type Status struct {
	ID           NodeID
	Role         Role
	Term         Term
	VotedFor     NodeID
	Leader       NodeID // zero while unknown
	FirstIndex   Index
	LastIndex    Index
	LastTerm     Term
	CommitIndex  Index
	DurableIndex Index
	AppliedIndex Index
	// Configuration is the one in force, and ChangeWaits what the change under way waits for.
	Configuration ConfigurationAt
	ChangeWaits   string
	Peers         []PeerStatus // on a leader, in the order of the configuration
}

// PeerStatus is what a leader knows of another server.
type PeerStatus struct {
	ID         NodeID
	MatchIndex Index
	NextIndex  Index
	Probing    bool
	Active     bool // heard within an election timeout
}

// Leader is the leader of Term, zero while none is known.
func (r *Raft) Leader() NodeID { return r.leader }

// HearsLeader reports whether this server leads, or has heard a leader within the minimum election timeout.
func (r *Raft) HearsLeader() bool { return r.hearsLeader() }

// TakesPart reports whether this server may vote, and if it leads or stands for election others count for it: it is a member by the configuration in force, or by an
// earlier one that may still be.
func (r *Raft) TakesPart() bool { return r.mayVote() }

// ElectionTicks is the election timeout, Config.ElectionTicks.
func (r *Raft) ElectionTicks() int { return r.config.ElectionTicks }

// HeartbeatTicks is Config.HeartbeatTicks.
func (r *Raft) HeartbeatTicks() int { return r.config.HeartbeatTicks }

// Term is currentTerm.
func (r *Raft) Term() Term { return r.currentTerm }

// Status returns the server's state.
func (r *Raft) Status() Status {
	s := Status{
		ID: r.config.ID, Role: r.role, Term: r.currentTerm, VotedFor: r.votedFor, Leader: r.leader,
		FirstIndex: r.log.first, LastIndex: r.log.last, LastTerm: r.log.lastTerm(),
		CommitIndex: r.commitIndex, DurableIndex: r.disk.index, AppliedIndex: r.lastApplied,
		Configuration: r.members.inForce(), ChangeWaits: r.ChangeWaits(),
	}
	for _, p := range r.peers {
		s.Peers = append(s.Peers, PeerStatus{
			ID: p.id, MatchIndex: p.matchIndex, NextIndex: p.nextIndex, Probing: p.probing,
			Active: p.heardWithin(r.ticks, r.config.ElectionTicks),
		})
	}
	return s
}

// String is the one-line form that transcripts and the simulator print:
//
//	n2 L t5 log 1..17(t5) commit 16 durable 17 applied 15 | n1 m16 n18 n3 m9 n10 probe
func (s Status) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "n%d %c t%d log %d..%d(t%d) commit %d durable %d applied %d",
		s.ID, "FPCL"[s.Role], s.Term, s.FirstIndex, s.LastIndex, s.LastTerm, s.CommitIndex, s.DurableIndex, s.AppliedIndex)
	for i, p := range s.Peers {
		if i == 0 {
			b.WriteString(" |")
		}
		fmt.Fprintf(&b, " n%d m%d n%d", p.ID, p.MatchIndex, p.NextIndex)
		if p.Probing {
			b.WriteString(" probe")
		}
		if !p.Active {
			b.WriteString(" silent")
		}
	}
	return b.String()
}
