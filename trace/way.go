package trace

import (
	"cmp"
	"slices"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// Leg is a part of a write's way, named after the step that it ends with.
type Leg int

// The legs, in their order. Those of the leader's disk and those of a follower begin at the same moment.
const (
	LegTaken Leg = iota
	LegStepped
	LegHandedOut

	LegBegun // the leader's disk
	LegWritten
	LegSynced
	LegMatched

	LegSent // a follower
	LegReceived
	LegFollowerHandedOut
	LegFollowerBegun
	LegFollowerWritten
	LegFollowerSynced
	LegAcknowledged
	LegHeard

	LegCommitted
	LegApplying
	LegApplied
	LegAnswered

	LegCount
)

// Way is how one write went: how long each leg of it was.
type Way struct {
	Call
	Legs [LegCount]time.Duration
	// Disk says that the write was committed when the leader's disk had it, and not when a follower had answered: the majority waited for it.
	Disk bool
}

// Waited reports whether the write's caller waited for the leg, and not for what went on at the same time.
func (w *Way) Waited(l Leg) bool {
	switch {
	case l >= LegBegun && l <= LegMatched:
		return w.Disk
	case l >= LegSent && l <= LegHeard:
		return !w.Disk
	}
	return true
}

// Ways finds the ways of calls that were made of the leader. The follower of a way is the one that answered last of those that the majority
// took. Calls whose hops are not all there are left out.
func Ways(leader raft.NodeID, voters int, hops []Hop, calls []Call) (ways []Way) {
	spans := spansOf(hops)
	for _, call := range calls {
		if w, ok := spans.way(leader, voters/2+1, call); ok {
			ways = append(ways, w)
		}
	}
	return ways
}

// place is where a hop was made.
type place struct {
	step       Step
	node, peer raft.NodeID
}

// span is entries that came to a place together.
type span struct {
	first, last raft.Index
	at          time.Duration
}

// spans are disjoint, and ascend. Of entries that came to a place twice, as those that are sent again do, the first time counts.
type spans map[place][]span

func spansOf(hops []Hop) spans {
	hops = slices.Clone(hops)
	slices.SortStableFunc(hops, func(a, b Hop) int { return cmp.Compare(a.At, b.At) })
	all := spans{}
	last := map[place]time.Duration{} // of the steps without places in the log
	for _, h := range hops {
		switch {
		case h.Last == 0:
			last[place{h.Step, h.Node, 0}] = h.At
			continue
		case h.Step == HandedOut:
			all.add(place{Taken, h.Node, 0}, h, last[place{Taken, h.Node, 0}])
			all.add(place{Stepped, h.Node, 0}, h, last[place{Stepped, h.Node, 0}])
		case h.Step == Synced:
			all.add(place{Written, h.Node, 0}, h, last[place{Written, h.Node, 0}])
		}
		all.add(place{h.Step, h.Node, h.Peer}, h, h.At)
	}
	return all
}

func (s spans) add(p place, h Hop, at time.Duration) {
	known := raft.Index(0)
	if n := len(s[p]); n > 0 {
		known = s[p][n-1].last
	}
	if h.Last > known {
		s[p] = append(s[p], span{max(h.First, known+1), h.Last, at})
	}
}

// at tells when the entry came to the place.
func (s spans) at(step Step, node, peer raft.NodeID, i raft.Index) (at time.Duration, ok bool) {
	all := s[place{step, node, peer}]
	n, _ := slices.BinarySearchFunc(all, i, func(s span, i raft.Index) int { return cmp.Compare(s.last, i) })
	if n == len(all) || all[n].first > i {
		return 0, false
	}
	return all[n].at, true
}

// branch is the leader's disk, with node zero, or a follower, and when it had the entry.
type branch struct {
	node raft.NodeID
	end  time.Duration
}

func (s spans) way(leader raft.NodeID, majority int, call Call) (w Way, ok bool) {
	branches := s.branches(leader, call.Index)
	if len(branches) < majority || majority < 2 {
		return w, false
	}
	took := branches[:majority]
	follower := took[majority-1]
	w = Way{Call: call, Disk: follower.node == 0}
	if w.Disk {
		follower = took[majority-2]
	}
	f, at := follower.node, walk{spans: s, index: call.Index, ok: true}

	at.now = call.Start
	w.Legs[LegTaken] = at.next(Taken, leader, 0)
	w.Legs[LegStepped] = at.next(Stepped, leader, 0)
	w.Legs[LegHandedOut] = at.next(HandedOut, leader, 0)
	fork := at.now

	w.Legs[LegBegun] = at.next(Begun, leader, 0)
	w.Legs[LegWritten] = at.next(Written, leader, 0)
	w.Legs[LegSynced] = at.next(Synced, leader, 0)
	w.Legs[LegMatched] = at.next(Matched, leader, 0)

	at.now = fork
	w.Legs[LegSent] = at.next(Sent, leader, f)
	w.Legs[LegReceived] = at.next(Received, f, leader)
	w.Legs[LegFollowerHandedOut] = at.next(HandedOut, f, 0)
	w.Legs[LegFollowerBegun] = at.next(Begun, f, 0)
	w.Legs[LegFollowerWritten] = at.next(Written, f, 0)
	w.Legs[LegFollowerSynced] = at.next(Synced, f, 0)
	w.Legs[LegAcknowledged] = at.next(Acknowledged, f, leader)
	w.Legs[LegHeard] = at.next(Heard, leader, f)

	at.now = took[majority-1].end
	w.Legs[LegCommitted] = at.next(Committed, leader, 0)
	w.Legs[LegApplying] = at.next(Applying, leader, 0)
	w.Legs[LegApplied] = at.next(Applied, leader, 0)
	w.Legs[LegAnswered] = call.End - at.now
	return w, at.ok
}

// branches are those that had the entry, in the order in which the leader's core could know.
func (s spans) branches(leader raft.NodeID, i raft.Index) (all []branch) {
	if end, ok := s.at(Matched, leader, 0, i); ok {
		all = append(all, branch{0, end})
	}
	for p := range s {
		if p.step == Heard && p.node == leader {
			if end, ok := s.at(Heard, leader, p.peer, i); ok {
				all = append(all, branch{p.peer, end})
			}
		}
	}
	slices.SortFunc(all, func(a, b branch) int { return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.node, b.node)) })
	return all
}

// walk follows one entry from place to place.
type walk struct {
	spans spans
	index raft.Index
	now   time.Duration
	ok    bool // all places were found
}

// next goes on to a place, and returns how long that took.
func (w *walk) next(step Step, node, peer raft.NodeID) (took time.Duration) {
	at, ok := w.spans.at(step, node, peer, w.index)
	w.ok = w.ok && ok
	took, w.now = at-w.now, at
	return took
}
