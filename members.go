package balsa

import (
	"context"
	"errors"
	"fmt"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/transport"
	"github.com/balsa-raft/balsa/vfs"
)

// Member is a server of the cluster.
type Member struct {
	ID NodeID
	// Address is where its peers reach it, host:port. It can change (ChangeMembers).
	Address string
	// Learner: it receives everything and counts for nothing. The others are voters, or are to be.
	Learner bool
	// Priority: a leader hands over to a voter of a higher one that is well. All members have 0 by default.
	Priority uint8

	// The rest is told by Status, and not read by ChangeMembers and Open.

	// Promoting: it is a learner yet, and becomes a voter as soon as it has caught up.
	Promoting bool
	// Leaving: it is to be removed, or to become a learner, by the change under way.
	Leaving bool
	// Incarnation is that of its data folder; zero until the leader has heard from it.
	Incarnation uint64
}

// Change is what the members shall be.
type Change struct {
	// Members is the whole of them: who is not among them is removed. Of each, ID, Address, Learner and Priority count; an empty Address
	// leaves that of a member as it is.
	Members []Member
	// Base is Status.MembersVersion of the status that the change was decided on; if the members were changed since, by somebody else, the
	// change is refused. Zero is that of the members as they are when the call begins.
	Base uint64
	// Force makes the change although a majority of the voters that it wants is not heard from. The cluster stands still until there is one.
	Force bool
	// Apart lets each member become what it is to be as soon as it can. Without it the change is made in one step, once all new voters have
	// caught up: so a member is removed only when the one that takes its place is ready, and a server that never starts holds up all.
	Apart bool
	// Ready refuses the change, with ChangeNotReady, unless those that it makes voters are learners that have caught up.
	Ready bool
	// Begin returns as soon as the change is sure to go on by itself: new servers are members, and who is to be a voter catches up as a
	// learner, for as long as it takes.
	Begin bool
}

// ChangeMembers makes the members what c wants: any number of them is added, removed, promoted, demoted or given another address in one step
// (thesis ch. 4, joint consensus). It may be called on any member. New voters first catch up as learners; a new server is started with Config.Join.
// A leader that is removed hands over; a removed member stops with ErrRemoved. It returns when all of it is done, or with an error: that
// wraps ErrUnknownOutcome if the change may yet be made, or may have been, and none of the errors of Propose if it is refused. A later change takes the place of one that
// waits for new members, whose call then ends with an error. When ctx ends first, a change that has begun goes on.
func (n *Node[C, R]) ChangeMembers(ctx context.Context, c Change) error {
	change, err := c.raft()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.Base == 0 { // what this member knows now may be from before a change that the caller has seen another one end
		if _, err := n.Read(ctx, Linearizable); err != nil {
			return fmt.Errorf("balsa: the members are not changed: this member cannot learn who they are: %w", err)
		}
	}
	wish := n.group.ChangeMembers(change)
	begun := wish.Begun()
	if !c.Begin {
		begun = nil
	}
	select {
	case <-begun:
		return nil
	case <-wish.Done():
		return wish.Err()
	case <-ctx.Done():
	}
	n.group.AbandonChange(wish)
	<-wish.Done()
	if wish.Err() == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", wish.Err(), ctx.Err())
}

func (c Change) raft() (raft.Change, error) {
	change := raft.Change{Base: c.Base, Force: c.Force, Ready: c.Ready, Apart: c.Apart}
	if len(c.Members) == 0 {
		return change, errors.New("balsa: Change.Members is empty: it is all members that there shall be")
	}
	if err := validateMembers("Change.Members", c.Members, true); err != nil {
		return change, err
	}
	for _, m := range c.Members {
		member := raft.Member{ID: m.ID, Address: m.Address, Priority: m.Priority, Suffrage: raft.Voter}
		if m.Learner {
			member.Suffrage = raft.Learner
		}
		change.Members = append(change.Members, member)
	}
	return change, nil
}

// validateMembers names the first member that cannot be. Addresses may be left out if keep is set.
func validateMembers(what string, members []Member, keep bool) error {
	ids, addresses := map[NodeID]bool{}, map[string]bool{}
	if len(members) > raft.MembersMax {
		return fmt.Errorf("balsa: %s has %d members, the limit is %d", what, len(members), raft.MembersMax)
	}
	for _, m := range members {
		switch {
		case m.ID == 0 || ids[m.ID]:
			return fmt.Errorf("balsa: %s: member %d at %q has no id or address, or shares one with another", what, m.ID, m.Address)
		case len(m.Address) > raft.AddressBytesMax:
			return fmt.Errorf("balsa: %s: the address of member %d has %d bytes, the limit is %d", what, m.ID, len(m.Address), raft.AddressBytesMax)
		case m.Address == "" && keep:
		case m.Address == "" || addresses[m.Address]:
			return fmt.Errorf("balsa: %s: member %d at %q has no id or address, or shares one with another", what, m.ID, m.Address)
		}
		ids[m.ID], addresses[m.Address] = true, true
	}
	return nil
}

// membersOf is the configuration as Status tells it.
func membersOf(c raft.Configuration) (members []Member) {
	for _, m := range c.Members {
		members = append(members, Member{
			ID: m.ID, Address: m.Address, Priority: m.Priority, Incarnation: m.Incarnation,
			Learner:   m.Suffrage != raft.Voter,
			Promoting: m.Suffrage == raft.Learner && m.Target == raft.Voter,
			Leaving:   m.Target < m.Suffrage || m.Suffrage < m.Old,
		})
	}
	return members
}

// FolderOwner returns the cluster and the member that the data folder dir belongs to, for Config.Join and Config.ID, with an error that wraps
// fs.ErrNotExist if there is no such folder.
func FolderOwner(dir string) (cluster uint64, member NodeID, err error) {
	id, err := host.ReadIdentity(vfs.OS(), dir)
	return id.ClusterID, id.Member, err
}

// Place is where an address belongs, as one member knows it.
type Place struct {
	Cluster uint64 // for Config.Join
	Member  NodeID // whose address it is; zero for nobody's
	// Incarnation is that of its data folder, zero if it has not shown one. If it has, it must not start with an empty one: see ErrReplaced.
	Incarnation uint64
	// Version is that of the members by which it is so. Of two members that disagree the one with the larger Version is right.
	Version Index
}

// FindPlace asks the member that its peers reach at peer, host:port, which cluster it is of, and which member of that is reached at address. So a server
// that was added under its address, and knows no more than those of others, finds its Config.Join and Config.ID. It waits for two seconds at most.
func FindPlace(ctx context.Context, peer, address string) (Place, error) {
	a, err := transport.Ask(ctx, peer, address)
	return Place{Cluster: a.ClusterID, Member: a.Member, Incarnation: a.Incarnation, Version: a.At}, err
}
