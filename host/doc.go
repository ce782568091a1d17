// Package host is the runtime around the pure core: it drives the groups of one member over one log and one connection to
// each peer.
//
// # Parts
//
// The work of a host is done by parts, each the only owner of its state, each with a bounded inbox and a method Step:
//
//	Shard    owns the raft.Raft of its groups: gives them what has come in, carries out their Effects
//	Writer   owns the log: makes everything that waits durable with one write and one sync
//	Applier  owns the state machines: gives them what is committed, and the callers their results
//	Reader   reads old entries back from the log, for the replay at start and a machine that lags
//	Sender   gives members that lag what they lack, old entries and snapshots, at a bounded rate
//
// In production each is run by a goroutine (run.go), which does nothing but call Step when something has come in. The
// simulator calls the same Step methods in an order, and at times, of its own choosing. So nothing in this package reads a
// clock, draws a random number that it was not given, or starts a goroutine elsewhere.
//
// A part that is idle acts at once; while it is busy, what comes in forms its next batch. Nothing waits for a batch to fill.
//
// # Outcomes
//
// Every proposal ends: applied, with its result; refused, which is certain (ErrNotCommitted); or unknown, if the caller
// stopped waiting or the host stopped while the proposal could still be in somebody's log (ErrUnknownOutcome). A proposal
// that is certain not to be in any log, because its term has passed or its leader refused it, is proposed again by the host
// itself for as long as its caller waits.
//
// # Failures
//
// A write or sync that fails is final: the host stops acknowledging, voting and serving, and says why. A state machine that returns
// an error stops its group. See docs/adr/0005.
package host
