package balsa

import "github.com/balsa-raft/balsa/host"

// Durable is what a StateMachine also implements that keeps its state on its own disk. Open finds it by its methods. A start then restores
// nothing: it goes on from the state on disk with the commands that came after it.
//
// The state on disk has a place in the log: Index and Term of the last entry that is part of it.
//
//   - State and place change together, in one transaction or batch of the disk's. What Apply has done need not be durable when it
//     returns: a crash may take back the newest entries, and they are applied again. But the state of one entry with the place of another
//     would execute commands twice, or leave some out.
//   - The place is part of the state, and so of snapshots: after a Restore it is the place at which the snapshot was taken.
//   - A Restore that is interrupted leaves the old state, or the new one, or anything at all with place zero: then it is restored again.
//   - The machine's files are the machine's alone, in a folder of its own. They are copied, put back from a copy or removed together with
//     Config.Dir or not at all. Open refuses a state that is ahead of the log, or of another history; one that is behind the newest
//     snapshot, or empty, is restored from it.
//
// Apply may rely on entries that rise from the place on, and should refuse others: a type that wraps a Durable machine and
// hides these methods would have it execute again what it has kept.
//
// Snapshots are taken of it as of any other: members far behind need them, and the log before one is all that is forgotten.
type Durable interface {
	// Applied returns the place of the state on disk; zeros for one that is as it began. Open calls it, before all else.
	Applied() (Index, Term, error)
	// Sync makes durable what Apply and Restore had done when it was called. It is called after a Restore and before the log is compacted, by a
	// goroutine of its own: Apply, Restore and Snapshot go on meanwhile. With an error this member stops: nothing is known of a disk after a
	// sync that failed. Node.Close does not call it: what was not synced is applied again.
	Sync() error
}

// durableMachine is the machine of a StateMachine that is Durable.
type durableMachine[C, R any] struct {
	*machine[C, R]
	durable Durable
}

var _ host.Durable = durableMachine[int, int]{}

// Applied implements host.Durable.
func (m durableMachine[C, R]) Applied() (Index, Term, error) {
	return m.durable.Applied()
}

// Sync implements host.Durable.
func (m durableMachine[C, R]) Sync() error { return m.durable.Sync() }

// forHost returns the machine as the host sees it.
func (m *machine[C, R]) forHost() host.Machine {
	if d, ok := m.user.(Durable); ok {
		return durableMachine[C, R]{machine: m, durable: d}
	}
	return m
}
