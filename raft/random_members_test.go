package raft

import "slices"

// Membership in the random test: servers join, leave, come back, with their disk or without it, while everything else goes wrong.

// addServers draws who is there beside the founders.
func (w *world) addServers() {
	w.addJoiners(w.rand.IntN(4))
	for _, s := range w.servers {
		s.folder = folderOf(s.id, 1)
		s.manualIntroduce = w.rand.IntN(3) == 0
	}
}

// changeSome wants other members, and then perhaps, before all have heard of it, again others, or takes the leader away.
func (w *world) changeSome() {
	for range 1 + w.rand.IntN(3) {
		w.wantMembers()
		for range w.rand.IntN(100) {
			w.deliverOne()
			if w.rand.IntN(8) == 0 {
				w.tickAll()
			}
			if w.rand.IntN(3) == 0 {
				w.hostOne()
			}
		}
	}
	if w.rand.IntN(3) == 0 {
		w.strikeLeader()
	}
}

// wantMembers asks for a change: a few steps away from what there is, or to something quite different.
func (w *world) wantMembers() {
	s := w.leader()
	if s == nil || w.rand.IntN(4) == 0 {
		s = w.any()
	}
	if s == nil {
		return
	}
	at := s.raft.Configuration()
	change := Change{ID: w.lastChange + 1, Base: at.Change, Force: w.rand.IntN(4) == 0, Apart: w.rand.IntN(2) == 0, Ready: w.rand.IntN(8) == 0}
	switch w.rand.IntN(12) {
	case 0:
		change.ID = max(1, w.lastChange) // asked for again, perhaps with other words
	case 1:
		change.Base = uint64(w.rand.IntN(int(w.lastChange) + 1))
	}
	w.lastChange = max(w.lastChange, change.ID)
	suffrages, priorities := make([]Suffrage, len(w.servers)), make([]uint8, len(w.servers))
	for i := range suffrages {
		m, _ := at.Member(NodeID(i + 1))
		suffrages[i], priorities[i] = m.Target, m.Priority
	}
	if w.rand.IntN(8) == 0 {
		priorities[w.rand.IntN(len(priorities))] = uint8(w.rand.IntN(3))
	}
	for range 1 + w.rand.IntN(3) {
		suffrages[w.rand.IntN(len(suffrages))] = Suffrage(w.rand.IntN(3))
	}
	if w.rand.IntN(8) == 0 {
		for i := range suffrages {
			suffrages[i] = Suffrage(w.rand.IntN(3))
		}
	}
	for i, s := range w.servers {
		if s.folder%100 > 1 && suffrages[i] == NonMember && w.rand.IntN(2) == 0 {
			suffrages[i] = Voter // it comes back without its disk
		}
	}
	for i, suffrage := range suffrages {
		if suffrage != NonMember {
			change.Members = append(change.Members, Member{ID: NodeID(i + 1), Suffrage: suffrage, Priority: priorities[i]})
		}
	}
	w.rand.Shuffle(len(change.Members), func(i, j int) {
		change.Members[i], change.Members[j] = change.Members[j], change.Members[i]
	})
	err := w.change(s, change)
	w.say("n%d is told change %d on %d, %s: %v", s.id, change.ID, change.Base, describeDesired(change), err)
	if err != nil {
		w.seen["changes refused"]++
	}
	w.settle(s)
}

// wipeOne takes the disk away from a server that is no member any more, when all members have heard of that: one that has not would not listen to it
// when it comes back, not even if it leads.
func (w *world) wipeOne() {
	s := w.servers[w.rand.IntN(len(w.servers))]
	at := w.members()
	if _, ok := at.Member(s.id); ok || !at.AtRest() {
		return
	}
	for _, other := range w.stay() {
		if knows := w.configurationOf(other.log); knows.Index < at.Index {
			return
		}
	}
	for _, other := range w.servers {
		for _, later := range configurationsOf(other.log) {
			if _, ok := later.Member(s.id); ok && later.Index > at.Index {
				return // it is to come back
			}
		}
	}
	if s.raft != nil {
		w.crash(s, 0, 0)
	}
	w.wipe(s)
	w.say("n%d has lost its disk", s.id)
	w.seen["disks lost"]++
}

// members is the latest configuration that is committed.
func (w *world) members() ConfigurationAt {
	es := make([]Entry, len(w.checks.committed))
	for i, c := range w.checks.committed {
		es[i] = c.entry
	}
	return w.configurationOf(es)
}

// stay is the part of the servers that are to come to rest with the same log.
func (w *world) stay() []*server {
	at := w.members()
	return slices.DeleteFunc(slices.Clone(w.servers), func(s *server) bool {
		_, ok := at.Member(s.id)
		return !ok
	})
}

// keepsPeace checks that nobody disturbs a cluster that is well, those who have left it least of all.
func (w *world) keepsPeace() {
	l := w.leader()
	term := l.raft.Term()
	for range 6 * w.config.ElectionTicks {
		w.deliverAll()
		w.tickAll()
	}
	w.deliverAll()
	for _, s := range w.servers {
		if s.raft.Term() > term || l.raft.role != Leader {
			violate("peace", "n%d led term %d; now n%d is in term %d", l.id, term, s.id, s.raft.Term())
		}
	}
}
