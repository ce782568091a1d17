package sim

import (
	"slices"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// A read of the log that takes so long that its leader loses its office, has what it reads superseded, and leads again before the read ends. Elsewhere what is
// read comes to the core with the next step of the shard.

// demandSlowRead has a leader read, for members that lag, entries that were never committed, and makes it do so slowly.
func (w *world) demandSlowRead() {
	voters, old := w.voters(), w.leader()
	if len(voters)%2 == 0 || len(voters) != len(w.cluster()) {
		return // one half of the others is to lag, and the other half is a majority with the leader
	}
	r := &slowRead{w: w, leader: old, from: old.group.Status().LastIndex + 1}
	for _, i := range w.rand.Perm(len(voters)) {
		switch m := voters[i]; {
		case m == old:
		case len(r.late) < len(voters)/2:
			r.late = append(r.late, m)
		default:
			r.others = append(r.others, m)
		}
	}
	was := w.knobs.raft.CacheBytesMax
	w.knobs.raft.CacheBytesMax = 1 // who starts now reads all that is committed back from the log
	for _, m := range voters {
		if m != old {
			m.die(death{})
		}
	}
	for range 3 {
		w.clients.begin(w.clients.write(-1, old, w.rand.IntN(w.knobs.keys)))
	}
	w.run(w.now+w.knobs.electionTimeout()/4, func() bool { return old.disk.durable.last() >= r.from })
	old.die(death{})
	old.restart()
	w.network.withheld = r.loses
	for _, m := range r.late { // alone with them it is the only one that can be elected
		m.restart()
	}
	old.slowRead, old.slowReadBy = r.during, host.PartSender
	w.run(w.now+20*w.knobs.electionTimeout(), func() bool { return old.slowRead == nil })
	w.network.withheld, old.slowRead, w.knobs.raft.CacheBytesMax = nil, nil, was
	w.network.mend()
	for _, m := range voters {
		m.restart()
	}
}

// slowRead is such a read.
type slowRead struct {
	w            *world
	leader       *member
	late, others []*member
	from         raft.Index // what is read, and those who are late do not get
}

// loses reports whether a message does not arrive: who is late gets no entries, and nobody hears that it stands for election.
func (r *slowRead) loses(from, to raft.NodeID, m raft.Message) bool {
	switch m := m.(type) {
	case raft.AppendEntries: // those behind what it lacks it refuses
		return slices.Contains(r.late, r.w.member(to)) && m.PrevLogIndex < r.from && len(m.Entries) > 0 && m.Entries[len(m.Entries)-1].Index >= r.from
	case raft.RequestVote:
		return slices.Contains(r.late, r.w.member(from))
	}
	return false
}

// during is what happens while the read is under way.
func (r *slowRead) during() {
	w, m := r.w, r.leader
	part, nested, incarnation, limit := m.part, m.nested, m.incarnation, 20*w.knobs.electionTimeout()
	m.hold(host.PartSender, true)
	m.nested = true
	w.network.leaveAlone(m)
	for _, o := range r.others {
		o.restart()
	}
	w.run(w.now+limit, func() bool { l := w.leader(); return l != nil && l != m })
	next := w.leader()
	w.network.mend()
	if slices.Contains(r.others, next) {
		w.run(w.now+limit, func() bool {
			return !next.up || m.disk.durable.at(r.from) == next.disk.durable.at(r.from) && m.commit >= r.from
		})
		if next.up {
			next.transfer(m.id)
		}
		w.run(w.now+limit, r.comes)
		w.reachIf(readInAnother, r.comes())
	}
	if m.part, m.nested = part, nested; !m.up || m.incarnation != incarnation {
		panic(died{})
	}
	m.hold(host.PartSender, false)
}

// comes reports whether the leader leads again, and has been asked for entries in the same place.
func (r *slowRead) comes() bool {
	if !r.leader.up {
		return true
	}
	s := r.leader.group.Status()
	return s.Role == raft.Leader && !r.leader.host.Idle(host.PartSender) && slices.ContainsFunc(s.Peers, func(p raft.PeerStatus) bool {
		return p.NextIndex == r.from && !p.Probing && slices.Contains(r.late, r.w.member(p.ID))
	})
}

// reads takes in a read of the disk that may be slow.
func (m *member) reads(op memfs.Op, name string) {
	if during := m.slowRead; during != nil && op == memfs.OpReadAt && m.part == m.slowReadBy && !ofSnapshots(name) {
		m.slowRead = nil
		m.tell("reads from its log, and that takes long")
		during()
	}
}
