package balsa

import (
	"time"

	"github.com/balsa-raft/balsa/host"
)

// Level says how fresh a read must be. The zero Level is Linearizable. Levels can be compared.
type Level = host.Level

var (
	// Linearizable: the read sees every command that was applied anywhere before the read began. It costs a round trip between the leader
	// and a majority, shared by all reads that wait; no disk write (thesis §6.4). It does not depend on clocks.
	Linearizable = host.Linearizable
	// Lease: as Linearizable, but a leader that is certain that no other can have been elected answers at once, and a member that asks it
	// needs only its answer (thesis §6.4.1). The certainty is as good as Config.ClockDrift; without that, Lease is Linearizable.
	Lease = host.Lease
	// Local: the read sees what this member has applied. It costs nothing, and may be old without bound.
	Local = host.Local
)

// AtLeast: the read sees command i, a Result.Index, and all before it, whichever member it was proposed on: so clients read their own writes. It
// needs no leader, and waits, until ctx ends if need be, for this member to get there.
func AtLeast(i Index) Level { return host.AtLeast(i) }

// AtMostOld: the read sees every command that was applied anywhere until age before the read began, by this member's clock. It costs nothing if
// a Linearizable or AtMostOld read has been answered here that began not longer ago; else it is Linearizable itself, and waits when
// there is no leader that a majority hears. A leader that was deposed does not make it any fresher.
func AtMostOld(age time.Duration) Level { return host.AtMostOld(age) }
