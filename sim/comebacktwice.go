package sim

// demandComebackTwice is demandComeback for one that loses its disk once more, and all in the term of one leader. Clients wait at it whenever it comes, so that what it passes on for
// them is the first that the leader hears of it. A folder that was started before numbers that from higher on than an empty one does, which is to be served all the same.
func (w *world) demandComebackTwice() {
	old, m := w.leader(), w.anotherVoter()
	own, _ := old.group.Status().Configuration.Member(m.id)
	m.die(death{})
	m.standing = isSpare
	old.die(death{}) // so that its successor has heard nothing of the folder of before
	old.restart()
	w.run(w.now+w.patience(), func() bool { return w.leader() != nil })
	w.network.losesForwards = w.chance(500)
	for starts := 2; starts > 0 && w.failure == nil; starts-- {
		if w.removeLost(m); w.failure != nil {
			return
		}
		m.empty()
		m.install()
		for range starts - 1 {
			m.die(death{})
			m.restart()
		}
		served := false
		w.probe(m, true, func() bool { return false }, func() { served = true })
		w.addAgain(own)
		w.run(w.now+w.patience(), func() bool { return served })
		if w.failure == nil && !served {
			w.fail("Liveness", "n%d has come back with an empty disk, and its clients wait for %v: %v; %v", m.id, recoveryMax, m, w.leader())
		}
	}
	w.network.losesForwards = false
}
