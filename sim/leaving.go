package sim

// A member is removed and does not know yet that this is committed, when the leader is gone. It stands for election, for it may be the only one that knows of it (§4.2.2, figure 4.6). Another
// member's disk was replaced some time ago, and just now its old one, which was not thrown away, is started in the place of the new one.

// demandLeaving checks that the old folder's vote counts for nobody: those that are left are one too few without it.
func (w *world) demandLeaving() {
	leaves, back := w.drawLeaving()
	if back == nil {
		return
	}
	back.die(death{})
	back.standing = isSpare // nobody starts it until it is a member again
	if w.replaceDisk(back); w.failure != nil {
		return
	}
	leader := w.leader()
	if leader == nil || leader == leaves || leader == back {
		return
	}
	w.run(w.now+w.knobs.electionTimeout(), func() bool { return len(leader.wishes) == 0 })
	leader.wishFor(without(leaves, leader.wants()), false, 0)
	goes := func() bool {
		s := leaves.group.Status()
		_, in := s.Configuration.Member(leaves.id)
		return !in && s.Configuration.Index > s.CommitIndex
	}
	w.run(w.now+10*w.knobs.electionTimeout(), func() bool { return !leaves.up || !leader.up || goes() })
	if w.failure == nil && leaves.up && leader.up && goes() {
		w.startOldAmid(leader, leaves, back)
		w.run(w.now+10*w.knobs.electionTimeout(), nil)
		w.reachIf(oldWhileLeaving, w.failure == nil && leaves.up && goes())
	}
	back.endOld()
	w.endChange()
}

// drawLeaving draws who is to leave, and whose disk is replaced before; nil if there are too few voters.
func (w *world) drawLeaving() (leaves, back *member) {
	if m := w.newcomer(); m != nil && len(w.voters()) < 4 {
		w.demandMembers((&absence{away: m}).withAway)
	}
	if w.failure != nil || w.leader() == nil || len(w.voters()) < 4 {
		return nil, nil
	}
	voters := w.voters()
	for _, i := range w.rand.Perm(len(voters)) {
		switch m := voters[i]; {
		case m == w.leader():
		case leaves == nil:
			leaves = m
		default:
			back = m
		}
	}
	return leaves, back
}

// startOldAmid ends the leader and starts the old folder. Of the others so many go on that they lack one vote.
func (w *world) startOldAmid(leader, leaves, back *member) {
	w.network.leaveAlone(leader)
	leader.die(death{})
	cfg := leaves.group.Status().Configuration
	left := len(cfg.Voters()) / 2
	for _, id := range cfg.Voters() {
		switch m := w.member(id); {
		case m == leader || m == back || m == leaves:
		case left > 0:
			left--
		case m.up:
			m.die(death{})
		}
	}
	back.useOld()
	w.tell("n%d leaves and does not know that this is committed, n%d runs in its old folder, and without it a majority of %v is one too few", leaves.id, back.id, cfg.Configuration)
}
