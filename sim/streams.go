package sim

import "math/rand/v2"

// Sources of randomness. Each thing that decides has its own: each fault, each call of each client, each incarnation of a member, each link. So a run in which one
// of them is left out is otherwise as like the run with it as can be, and a failure can be made smaller (see shrink.go). What is to happen later draws
// from where what scheduled it drew.

const (
	ofNemesis = 1 + iota
	ofClient
	ofMember
	ofLink
	ofAmbush
	ofAdded
	ofDisks
	ofFrames
	ofNames
	ofJournals
	ofLasting
	ofWallClock
	ofSieges
	ofReplaced
	ofStarts
	ofRotRead
	ofGuestDisks
	ofGuestRoom
	ofGuestCall
	ofGuestRot
	ofLongReads
	ofRefused
)

// stream is the source of one purpose and two numbers: the same in every run of the seed.
func (w *world) stream(purpose, a, b uint64) *rand.Rand {
	return rand.New(rand.NewPCG(w.options.Seed, mix(mix(mix(0, purpose), a), b))) // mixed first, or small numbers would take each other's places
}

// with lets f draw from r. A process may die in f.
func (w *world) with(r *rand.Rand, f func()) {
	was := w.rand
	w.rand = r
	defer func() { w.rand = was }()
	f()
}

// apart lets f draw from a source that it has for itself: whatever it draws, what follows draws the same.
func (w *world) apart(f func()) {
	w.with(rand.New(rand.NewPCG(w.rand.Uint64(), w.rand.Uint64())), f)
}
