// Package balsatest tests the state machines of programs that embed Balsa: whether a machine keeps to the contract of balsa.StateMachine, which the
// compiler cannot check, and of balsa.Durable, if it keeps its state itself.
//
//	func TestStateMachine(t *testing.T) {
//		balsatest.StateMachine(t,
//			func() balsa.StateMachine[int, int] { return &counter{} },
//			func(r *rand.Rand) int { return r.IntN(100) },
//			balsatest.Options[int, int]{})
//	}
//
// What is tested goes wrong late otherwise, and on one member only: a map whose order gets into an answer, a field that the snapshot
// does not have, a snapshot that changes while it is written, a Restore that leaves something behind or takes half a snapshot for a whole one,
// a place in the log that a crash separates from its state.
//
// # How machines are compared
//
// Random commands make a history. Machines execute it in batches of every kind, are continued by others that were restored from their snapshots,
// crash and go on. Whatever happened to them, a command is always answered the same. So the tests see of the state what commands
// answer: commands that answer nothing test little. Options.State adds what the machine's readers see.
//
// A machine that has a method Close() error is closed when it is not needed any more. Histories depend on Options.Seed alone: what fails, fails again.
//
// # What it does not do
//
// It does not run a cluster: sim.Test does. It does not test that commands do the right thing, only that they do the
// same everywhere. It flips no bits in snapshots: Balsa's checksums find those before Restore sees them. Run the tests also with the race
// detector, which sees what a snapshot and Apply do to each other.
package balsatest
