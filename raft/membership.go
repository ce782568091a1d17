package raft

import (
	"fmt"
	"slices"
	"strings"
)

// Membership changes: ch. 4, by joint consensus (§4.3).

// Change is what the configuration shall be.
type Change struct {
	// ID is drawn at random by who wants the change, and never zero. Given again, it is the same change.
	ID uint64
	// Members is the whole of the desired state, in any order. Of each the core reads ID, Address, Suffrage and Priority; an empty
	// Address leaves that of a member as it is.
	Members []Member
	// Base is Configuration.Change of the configuration that the change was decided on. If another change has come between, it is refused.
	Base uint64
	// Force lets the change be made although a majority of the new voters is not heard.
	Force bool
	// Apart lets each member become what it is to be as soon as it can. Without it all of the change is made at once, when those that are to
	// become voters have caught up: one that never starts holds up all. With it, who is to go does not wait for who is to come, so that
	// there may be fewer voters for a while.
	Apart bool
	// Ready refuses the change unless those that it makes voters are learners already that have caught up: it would else wait for them.
	Ready bool
}

// ChangeReason says why a change was not begun.
type ChangeReason uint8

const (
	// ChangeInvalid: the desired state is none that there can be.
	ChangeInvalid ChangeReason = iota + 1
	// ChangeStale: it was decided on a configuration that is not the latest.
	ChangeStale
	// ChangeBusy: another change, or a transfer, is under way, or the leader has just been elected. Try again.
	ChangeBusy
	// ChangeUnreachable: the new voters that are heard would be no majority.
	ChangeUnreachable
	// ChangeNotLeader: the server that was asked does not lead. Try again.
	ChangeNotLeader
	// ChangeNotReady: who is to become a voter has not caught up. Only with Change.Ready.
	ChangeNotReady
)

// ChangeError says why a change was not begun. Nothing has changed.
type ChangeError struct {
	ID          uint64 // Change.ID
	Reason      ChangeReason
	Detail      string
	Unreachable []NodeID // with ChangeUnreachable
}

func (e *ChangeError) Error() string { return "raft: the members are not changed: " + e.Detail }

// ChangeMembers makes the configuration what c wants, or asks the leader to. Servers that are to be voters first catch up as learners; that is not waited
// for here. Without an error it has been begun or passed on: Effects.Changes has the leader's answer, and the configuration whose Change is c.ID
// and that is AtRest and committed is the end of it. It can be passed on again, also to another leader, until an answer comes.
// It fails with *ChangeError, or ErrNoLeader.
func (r *Raft) ChangeMembers(c Change) error {
	switch {
	case r.role == Leader:
		if e := r.beginChange(c); e != nil {
			return e
		}
		r.effects.Changes = append(r.effects.Changes, ChangeAnswer{ID: c.ID})
		return nil
	case r.leader == 0:
		return ErrNoLeader
	}
	r.send(r.leader, ForwardChange{Term: r.currentTerm, Change: c})
	return nil
}

func (r *Raft) onForwardChange(from NodeID, m ForwardChange) {
	r.updateTerm(m.Term)
	e := &ChangeError{ID: m.Change.ID, Reason: ChangeNotLeader, Detail: "the server that was asked does not lead"}
	if r.role == Leader && m.Term == r.currentTerm {
		e = r.beginForwarded(m.Change)
	}
	reply := ForwardChangeReply{Term: r.currentTerm, ID: m.Change.ID}
	if e != nil {
		reply.Reason, reply.Detail, reply.Unreachable = e.Reason, e.Detail, e.Unreachable
	}
	r.sendWhenTermDurable(from, reply)
}

// refusalsMax bounds the refused changes that a leader remembers.
const refusalsMax = 64

// beginForwarded is beginChange for what may come again: asked for once more, or a copy that was late on the network. What was refused for good stays so in this term, and
// copies do not outlive it. Whoever asked was told that nothing has changed, and a learner that has caught up since, or a voter that is heard again, would let a copy begin it.
func (r *Raft) beginForwarded(c Change) *ChangeError {
	for i := range r.refusals {
		if r.refusals[i].ID == c.ID {
			return &r.refusals[i]
		}
	}
	e := r.beginChange(c)
	if e != nil && e.Reason != ChangeBusy { // who is told to try again does so under the same id
		r.refusals = append(r.refusals[max(0, len(r.refusals)+1-refusalsMax):], *e)
	}
	return e
}

func (r *Raft) onForwardChangeReply(m ForwardChangeReply) {
	r.updateTerm(m.Term)
	a := ChangeAnswer{ID: m.ID}
	if m.Reason != 0 {
		a.Err = &ChangeError{ID: m.ID, Reason: m.Reason, Detail: m.Detail, Unreachable: m.Unreachable}
	}
	r.effects.Changes = append(r.effects.Changes, a)
}

// beginChange appends the first configuration of the change, or says why not.
func (r *Raft) beginChange(c Change) *ChangeError {
	now := r.members.inForce()
	refuse := func(reason ChangeReason, format string, args ...any) *ChangeError {
		return &ChangeError{ID: c.ID, Reason: reason, Detail: fmt.Sprintf(format, args...)}
	}
	switch {
	case c.ID == 0:
		return refuse(ChangeInvalid, "it has no id")
	case now.Change == c.ID:
		return nil // it came before
	case c.Base != now.Change:
		return refuse(ChangeStale, "another change was made since it was decided; look at the members again")
	case r.commitIndex < r.proposals.termFirst:
		// Before that, a change could stand beside one of an earlier term, whose leader may yet commit it: neither knows of the other.
		return refuse(ChangeBusy, "the leader has just been elected")
	case r.transfer.to != 0:
		return refuse(ChangeBusy, "the lead is being handed over")
	}
	if now.Joint() {
		if now.Index <= r.commitIndex {
			return refuse(ChangeBusy, "a change is under way, %v", now)
		}
		// It is of this term, since the term has a commit before it, so no other leader has gone on from it. It can be taken back: see
		// "Membership" in the package documentation.
		now.Configuration = now.abandoned()
	}
	next, err := now.towards(c)
	if err != nil {
		return refuse(ChangeInvalid, "%v", err)
	}
	if silent := r.silentVoters(next); len(silent) > 0 && !c.Force {
		if r.ticks-r.ledSince < uint64(r.config.ElectionTicks) {
			return refuse(ChangeBusy, "the leader has just been elected, and has not yet heard from %s", names(silent))
		}
		e := refuse(ChangeUnreachable, "without %s, which the leader does not hear, the new voters are no majority", names(silent))
		e.Unreachable = silent
		return e
	}
	for _, m := range next.Members {
		was, _ := now.Member(m.ID) // who was to become a voter before may go on catching up
		if lacks := r.lacks(m); lacks != "" && c.Ready && !was.isPromoting() {
			return refuse(ChangeNotReady, "n%d %s", m.ID, lacks)
		}
	}
	r.appendConfiguration(next)
	return nil
}

// towards is c with what the change wants as its target. New servers begin as learners.
func (c Configuration) towards(change Change) (Configuration, error) {
	next := Configuration{Change: change.ID, Forced: change.Force, Apart: change.Apart}
	for _, m := range c.Members {
		m.Target = NonMember
		next.Members = append(next.Members, m)
	}
	seen := map[NodeID]bool{}
	for _, want := range change.Members {
		if seen[want.ID] {
			return next, fmt.Errorf("n%d is named twice", want.ID)
		}
		seen[want.ID] = true
		if want.Suffrage == NonMember {
			continue
		}
		i, ok := slices.BinarySearchFunc(next.Members, Member{ID: want.ID}, byID)
		if !ok {
			next.Members = slices.Insert(next.Members, i, Member{ID: want.ID, Suffrage: Learner})
		}
		m := &next.Members[i]
		m.Target, m.Priority = want.Suffrage, want.Priority
		if want.Address != "" {
			m.Address = want.Address
		}
	}
	if !slices.ContainsFunc(next.Members, func(m Member) bool { return m.Target == Voter }) {
		return next, fmt.Errorf("nobody would be left to vote")
	}
	return next, next.validate()
}

// abandoned is the old half of a joint configuration.
func (c Configuration) abandoned() Configuration {
	back := c
	back.Members = slices.Clone(c.Members)
	for i := range back.Members {
		m := &back.Members[i]
		m.Suffrage, m.Target, m.Old = m.Old, m.Old, NonMember
	}
	return back
}

// entered is what follows a pending configuration: the joint one, or, if the voters stay the same, the end of it.
func (c Configuration) entered() Configuration {
	next := c
	next.Members = slices.Clone(c.Members)
	for i := range next.Members {
		m := &next.Members[i]
		m.Old, m.Suffrage = m.Suffrage, m.Target
	}
	if slices.Equal(c.Voters(), next.Voters()) {
		return next.left()
	}
	return next
}

// left is what follows a joint configuration.
func (c Configuration) left() Configuration {
	next := c
	next.Members = nil
	for _, m := range c.Members {
		if m.Suffrage != NonMember {
			m.Old = NonMember // who stays pending is still to become a voter
			next.Members = append(next.Members, m)
		}
	}
	return next
}

// silentVoters are those that are to be voters, and have not been heard, if the others are no majority. Those that are to be added are not
// counted as silent: they are waited for as learners.
func (r *Raft) silentVoters(c Configuration) []NodeID {
	var silent []NodeID
	voters := 0
	for _, m := range c.Members {
		if m.Target != Voter {
			continue
		}
		voters++
		if m.Suffrage == Voter && m.ID != r.config.ID && !r.hears(r.peer(m.ID)) {
			silent = append(silent, m.ID)
		}
	}
	if voters-len(silent) > voters/2 {
		return nil
	}
	return silent
}

// hears reports whether p has answered this leader lately. A new leader has heard nobody.
func (r *Raft) hears(p *peer) bool { return p.heard && p.heardWithin(r.ticks, r.config.ElectionTicks) }

// appendConfiguration appends the entry that puts c in force.
func (r *Raft) appendConfiguration(c Configuration) {
	e := Entry{Term: r.currentTerm, Index: r.log.last + 1, Type: EntryConfiguration, Data: AppendConfiguration(nil, c)}
	r.proposals.uncommitted += e.Size()
	r.append(e)
}

// tendMembers takes the next step of a change, whoever began it.
func (r *Raft) tendMembers() {
	r.departPeers()
	if r.transfer.to != 0 {
		return // nothing is appended now
	}
	r.pin()
	c := r.members.inForce()
	// The configuration in force is committed, and by this term: a joint one that an earlier leader left must not be left before, or it would
	// be committed by the new voters alone, of whom the old ones might know nothing.
	if c.Index > r.commitIndex || r.commitIndex < r.proposals.termFirst {
		return
	}
	switch {
	case c.Joint():
		r.appendConfiguration(c.left())
	case !c.IsVoter(r.config.ID):
		r.resign() // only now (§4.2.2): until here nobody else may have been able to commit it
	case c.Pending():
		if next, ok := r.enter(c.Configuration); ok {
			r.appendConfiguration(next)
		}
	}
}

// enter returns what follows a pending configuration, or false while the new voters could not decide at once.
func (r *Raft) enter(c Configuration) (Configuration, bool) {
	late := c.ids(func(m Member) bool { return r.lacks(m) != "" })
	if len(late) > 0 && !c.Apart {
		return c, false
	}
	now := c.retarget(late, Learner) // who is late stays a learner for now
	if !now.Pending() || !slices.ContainsFunc(now.Members, func(m Member) bool { return m.Target == Voter }) || !r.maySettle(now) {
		return c, false
	}
	return now.entered().retarget(late, Voter), true
}

// retarget is c with another target for some members.
func (c Configuration) retarget(ids []NodeID, target Suffrage) Configuration {
	if len(ids) == 0 {
		return c
	}
	c.Members = slices.Clone(c.Members)
	for i := range c.Members {
		if m := &c.Members[i]; slices.Contains(ids, m.ID) {
			m.Target = target
		}
	}
	return c
}

// maySettle reports whether a majority of those that are to be voters is heard, or need not be.
func (r *Raft) maySettle(c Configuration) bool { return c.Forced || len(r.silentVoters(c)) == 0 }

// lacks says what a learner lacks to become the voter that it is to be (§4.2.1); nothing if it is to be none, or lacks nothing.
func (r *Raft) lacks(m Member) string {
	if !m.isPromoting() || m.ID == r.config.ID {
		return ""
	}
	switch p := r.peer(m.ID); {
	case p == nil:
		return "is not a learner yet"
	case !r.hears(p):
		return "is not heard"
	case m.Incarnation == 0:
		return "has not shown its data folder" // and could lose it unnoticed
	case !r.isCaughtUp(p), p.matchIndex < r.members.inForce().Index: // or it would not vote: see mayVote
		return "is catching up"
	}
	return ""
}

// pin writes down the data folders that members have shown. That changes no majority; a joint configuration is left alone, for its place says
// whether it can be taken back.
func (r *Raft) pin() {
	c := r.members.inForce()
	if c.Joint() || !slices.ContainsFunc(c.Members, r.isUnpinned) {
		return
	}
	c.Members = slices.Clone(c.Members)
	for i := range c.Members {
		if m := &c.Members[i]; r.isUnpinned(*m) {
			m.Incarnation = r.folder(m.ID)
		}
	}
	r.appendConfiguration(c.Configuration)
}

func (r *Raft) isUnpinned(m Member) bool { return m.Incarnation == 0 && r.folder(m.ID) != 0 }

// isCaughtUp: its last round was short, and the one under way is not yet longer. Who is not heard begins no new round.
func (r *Raft) isCaughtUp(p *peer) bool {
	return p.caughtUp && r.ticks-p.roundBegan < uint64(r.config.ElectionTicks)
}

// countRound measures how long a server takes to catch up with what there was when it began, again and again (§4.2.1). A round that was
// faster than an election timeout means that the rest will be, too.
func (r *Raft) countRound(p *peer) {
	if p.matchIndex < p.roundEnd {
		return
	}
	p.caughtUp = r.ticks-p.roundBegan < uint64(r.config.ElectionTicks)
	p.roundEnd, p.roundBegan = r.log.last, r.ticks
}

// ChangeWaits says what the change under way waits for, as far as this server knows; empty at rest. Only a leader knows much.
func (r *Raft) ChangeWaits() string {
	c := r.members.inForce()
	switch {
	case c.AtRest():
		return ""
	case r.role != Leader:
		return "for the leader"
	case r.transfer.to != 0:
		return fmt.Sprintf("for n%d to take over the lead", r.transfer.to)
	}
	if settled := max(c.Index, r.proposals.termFirst); r.commitIndex < settled {
		behind := c.ids(func(m Member) bool { return c.IsVoter(m.ID) && r.reached(m.ID) < settled })
		if c.Joint() {
			return "for majorities of the old and of the new voters; it is not yet on " + names(behind)
		}
		return "for a majority of the voters; it is not yet on " + names(behind)
	}
	var waits []string
	for _, m := range c.Members {
		lacks := r.lacks(m)
		if lacks == "" {
			continue
		}
		waits = append(waits, fmt.Sprintf("n%d %s", m.ID, lacks))
		if p := r.peer(m.ID); p.heard {
			waits[len(waits)-1] += fmt.Sprintf(", at entry %d of %d", p.matchIndex, r.log.last)
		}
	}
	if silent := r.silentVoters(c.Configuration); len(silent) > 0 && !c.Forced {
		waits = append(waits, names(silent)+" are not heard")
	}
	return strings.Join(waits, "; ")
}
