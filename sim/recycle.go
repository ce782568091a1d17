package sim

import (
	"slices"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// Servers that come back. A member that was removed may become one again, under its id, with an empty data folder: that is what host.ErrRemoved tells its operator to
// do. Its old folder may still be there, and be started by mistake where the new one should be. What is to hold: the old folder's votes and acknowledgements count
// no more, it is refused, and leads nobody; the new one counts as one that knows nothing.
//
// What is not here: two processes with copies of one folder. They are one and the same member to everybody, and vote and acknowledge each for itself, so what a majority
// has said may be said by fewer. No algorithm that rests on what its members remember can bear that; balsa.Config.Dir says so.

// oldFolder is one that a server has had, or has and does not use now.
type oldFolder struct {
	disk     disk
	identity host.Identity
	joins    bool
	has      folder
}

func (m *member) putAway() *oldFolder {
	m.makeRoom() // nobody would give it any, where it is put
	return &oldFolder{disk: m.disk, identity: m.identity, joins: m.joins, has: folder{snapshot: m.w.checker.snapshotOf(m), log: m.disk.durable.clone()}}
}

func (m *member) takeOut(f *oldFolder) { m.disk, m.identity, m.joins = f.disk, f.identity, f.joins }

// harmRecycle removes a member and adds it again with an empty folder; or, if that was done before, starts its old folder.
func (w *world) harmRecycle(m *member) {
	for _, i := range w.rand.Perm(len(w.members)) {
		if o := w.members[i]; o.canStartOld() && w.chance(700) {
			o.startOld()
			return
		}
	}
	leader := w.leader()
	if leader == nil || w.changing() {
		return
	}
	want := leader.wants()
	i := slices.IndexFunc(want, func(of raft.Member) bool { return of.ID == m.id })
	if i < 0 || m == leader && w.chance(800) {
		i = w.rand.IntN(len(want))
	}
	back := want[i]
	want = slices.Delete(want, i, i+1)
	if len(w.lost()) > 0 || !slices.ContainsFunc(want, func(m raft.Member) bool { return m.Suffrage == raft.Voter }) {
		return
	}
	w.strikes(FaultRecycle, w.member(back.ID))
	leader.wish(want, false)
	w.recycleLater(back, recyclePatience)
}

// recyclePatience is how often an operator looks whether a member is removed.
const recyclePatience = 30

// wants is the members as m knows that they are to be.
func (m *member) wants() (want []raft.Member) {
	for _, known := range m.group.Status().Configuration.Members {
		if known.Target != raft.NonMember {
			want = append(want, raft.Member{ID: known.ID, Suffrage: known.Target, Priority: known.Priority})
		}
	}
	return want
}

func (w *world) recycleLater(back raft.Member, patience int) {
	w.after(between(w.rand, 0, w.knobs.electionTimeout()/2), func() {
		m, leader := w.member(back.ID), w.leader()
		switch {
		case !w.chaos || patience == 0:
		case leader == nil || leader == m || !m.replaced() || w.changing():
			w.recycleLater(back, patience-1)
		default:
			m.recycle()
			leader.wish(append(leader.wants(), back), false)
			w.after(between(w.rand, 0, w.knobs.electionTimeout()), m.install)
			w.after(between(w.rand, 2*w.knobs.electionTimeout(), 6*w.knobs.electionTimeout()), func() {
				if w.chaos && m.canStartOld() {
					m.startOld()
				}
			})
		}
	})
}

// recycle makes a server that was removed one that has never been one, but for its id.
func (m *member) recycle() {
	m.standing = isSpare
	if m.up {
		m.die(death{})
	}
	m.empty()
}

// canStartOld reports whether there is an old folder, and the cluster knows the server with another one.
func (m *member) canStartOld() bool {
	if m.old == nil || m.shelf != nil || m.old.disk.rotten || m.standing != isMember || m.wiped || m.identity.Incarnation == 0 || m.old.identity.Incarnation == 0 {
		return false
	}
	if m.w.knobs.drawn.has(FaultMembers) || m.w.changing() {
		return false // it could be removed once more and added with the old folder, which would then be the right one
	}
	at, cfg := m.w.checker.committedConfiguration(m.w.checker.committedTo())
	known, ok := cfg.Member(m.id)
	return ok && cfg.AtRest() && m.w.checker.configurationsSettled(at) && known.Incarnation == m.identity.Incarnation
}

// changing reports whether somebody is asked for other members, or an old folder is in use.
func (w *world) changing() bool {
	return slices.ContainsFunc(w.members, func(m *member) bool { return len(m.wishes) > 0 || m.shelf != nil })
}

// startOld starts a process in the old folder where the one of the new folder is, for a while.
func (m *member) startOld() {
	m.w.strikes(FaultRecycle, m)
	m.useOld()
	m.w.after(between(m.w.rand, 0, 3*m.w.knobs.electionTimeout()), m.endOld)
}

func (m *member) useOld() {
	if m.up {
		m.die(death{})
	}
	m.shelf = m.putAway()
	m.takeOut(m.old)
	m.tell("is started in the folder that it had before it was removed")
	m.restart()
}

// endOld ends that.
func (m *member) endOld() {
	if m.shelf == nil {
		return
	}
	if m.up {
		m.die(death{})
	}
	m.old = m.putAway()
	m.takeOut(m.shelf)
	m.shelf, m.standing = nil, isMember
	m.tell("is started in its own folder again")
	m.restart()
}

// checkOld: what is in the folder of a member that was removed leads nobody.
func (m *member) checkOld(s raft.Status) {
	if m.shelf != nil && s.Role == raft.Leader {
		m.w.fail("Identity", "n%d was removed and has come back with another folder, and leads with the old one: %v", m.id, s)
	}
}

// returns takes in that one that came back, or an old folder, is told that the cluster knows it with another folder. Who has not heard of a new folder yet may
// say so; its operator tries again. It reports whether that was it.
func (m *member) returns() bool {
	if m.shelf == nil && !m.recycled {
		return false
	}
	m.w.reachIf(oldRefused, m.shelf != nil)
	m.die(death{})
	if m.shelf == nil && !m.w.chaos {
		m.w.after(m.w.knobs.electionTimeout(), m.restart)
	}
	return true
}

// mistaken reports whether the cluster takes another folder for the server's own: it knows the one that showed itself first after the server was added, and that can be the
// one from before. Its operator has to remove it once more.
func (m *member) mistaken(known raft.Member) bool {
	return m.recycled && m.up && !m.mayBe(known)
}
