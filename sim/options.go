package sim

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Options of a run. What is zero is drawn by the seed.
type Options struct {
	Seed uint64
	// Members is how many there are, up to 9: 1, 3 or 5 by the seed.
	Members int
	// Duration is how long faults and clients go on, in virtual time: some seconds by the seed. Mending comes on top.
	Duration time.Duration
	// Faults is what may go wrong: some of it by the seed.
	Faults Faults
	// Workload is what clients do: one of Workloads; what the seed decides if it is empty.
	Workload string
	// Without is what is left out of what the seed decides, and Only, if there is something in it, what alone is left of the decisions that have
	// numbers. The rest stays as it is.
	Without Decisions
	Only    Decisions
	// Add is what goes wrong beside what the seed decides, and beside Faults, Without and Only.
	Add []Added
	// Story takes the run for people, when it has ended: a failure's summary, and a line for everything that happens, but for what is folded or left out
	// because it says nothing new. All leaves nothing out. None by default.
	Story io.Writer
	All   bool
	// Trace takes the run as data: see TraceHeader. None by default.
	Trace io.Writer

	decided  func(Decision) // takes those that are not left out; may be nil
	guests   guests         // of Test; nil: there are registers alone
	hurry    bool           // the run ends when the faults do, and nothing is mended
	patience time.Duration  // in place of recoveryMax; zero: that
	planted  bool           // a disk that errs counts as a failure, for tests
	until    time.Duration  // the run ends then, undecided; zero: it does not
}

// Check says what of the options cannot be.
func (o Options) Check() error {
	if o.Members < 0 || o.Members > membersMax {
		return fmt.Errorf("sim: Options.Members is %d: it must be 1 to %d, or zero for the seed to choose", o.Members, membersMax)
	}
	if o.Duration < 0 {
		return fmt.Errorf("sim: Options.Duration is %v: it cannot be negative", o.Duration)
	}
	if o.Workload != "" && !slices.Contains(Workloads, o.Workload) {
		return fmt.Errorf("sim: Options.Workload is %q: there are %s", o.Workload, strings.Join(Workloads, ", "))
	}
	if o.Only.faults != 0 || o.Only.calls || o.Only.simple != 0 || len(o.Only.mishaps) > 0 {
		return fmt.Errorf("sim: Options.Only is %v: it can have decisions with numbers alone", o.Only)
	}
	return checkAdded(o.Add)
}

// Flags is what repeats the run: flags of go test ./sim -run Seeds with one dash, and of balsa sim replay with two, but for the seed.
func (o Options) Flags(dashes string) string {
	var b strings.Builder
	add := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s%s=%s", dashes, name, value)
		}
	}
	if o.Members != 0 {
		add("members", fmt.Sprint(o.Members))
	}
	if o.Duration != 0 {
		add("duration", o.Duration.String())
	}
	switch o.Faults {
	case 0:
	case AllFaults:
		add("faults", "all")
	default:
		add("faults", strings.ReplaceAll(o.Faults.String(), "+", ","))
	}
	add("workload", o.Workload)
	add("without", o.Without.String())
	add("only", o.Only.String())
	var added []string
	for _, a := range o.Add {
		added = append(added, a.String())
	}
	add("add", strings.Join(added, ","))
	return b.String()
}

const membersMax = 9

// Workloads are the names of what clients can do: mostly writes, mostly reads, commands of sessions, or next to nothing.
var Workloads = []string{"writes", "reads", "sessions", "idle"}

// Faults is a set of things that go wrong.
type Faults uint64

const (
	// FaultPower takes the power from a member, at any moment: unsynced sectors, sizes and names survive one by one or not.
	FaultPower Faults = 1 << iota
	// FaultKill ends a member's process at any moment. Its disk keeps everything that was written.
	FaultKill
	// FaultBlackout takes the power from all members at once.
	FaultBlackout
	// FaultPartition cuts the members into two sets that do not hear each other.
	FaultPartition
	// FaultCut cuts single directions of single links.
	FaultCut
	// FaultPause stops a member's process and lets it go on later, as if no time had passed; or suspends its machine, whose clock stands still meanwhile.
	FaultPause
	// FaultSlowDisk makes a member's writes and reads take long.
	FaultSlowDisk
	// FaultDiskError fails one operation on a member's disk. The member is restarted later.
	FaultDiskError
	// FaultSlowMachine makes a member's state machine take long.
	FaultSlowMachine
	// FaultRumour tells a member that another one cannot be reached, which is not so.
	FaultRumour
	// FaultLoss loses messages.
	FaultLoss
	// FaultDuplicate delivers messages twice, the second time perhaps much later.
	FaultDuplicate
	// FaultDelay delivers some messages seconds late: perhaps to another incarnation.
	FaultDelay
	// FaultReorder lets messages overtake each other. Without it a link keeps its order but for late messages.
	FaultReorder
	// FaultTransfer hands the lead over, or tries to.
	FaultTransfer
	// FaultMembers adds, removes, promotes and demotes members.
	FaultMembers
	// FaultWipe takes the data folder from a member, which must then be replaced.
	FaultWipe
	// FaultStall leaves a member's writes and syncs without an answer, for seconds.
	FaultStall
	// FaultClock lets members' clocks go faster or slower than before, within what the others are told of it.
	FaultClock
	// FaultUsurp makes it hard for a leader to learn that it leads no longer.
	FaultUsurp
	// FaultBridge cuts the members into two halves that do not hear each other, and leaves one that both hear.
	FaultBridge
	// FaultRing lets members hear those beside them in a ring alone: each hears other ones, which may be a majority. The ring may be open, or whole in one direction.
	FaultRing
	// FaultSwizzle cuts the links of some members one after the other, and mends them one after the other in another order.
	FaultSwizzle
	// FaultFlap cuts and mends links of a member many times within an election timeout.
	FaultFlap
	// FaultSlowLink makes links of a member take up to an election timeout for a while, perhaps in one direction only.
	FaultSlowLink
	// FaultJump makes a member's clock jump forward: as far as leases bear, or farther, and then lease reads alone may be old (see balsa.Config.ClockDrift).
	FaultJump
	// FaultRecycle removes a member and adds it again under its id with an empty folder, and starts its old folder in place of the new one.
	FaultRecycle
	// FaultTear lets a loss of power tear sectors: of a write that was not synced, part of a sector may be there, and beneath it what was there before.
	FaultTear
	// FaultReadError fails one read of a member's disk, of its log or a snapshot, or one of those with which it starts. A member that has stopped is restarted later.
	FaultReadError
	// FaultFull leaves a member's disk with little room or none, for a while or until everything is mended. A member that stops for lack of room is restarted later.
	// Also that of an embedder's machine, if it has a Disk.Room.
	FaultFull
	// FaultRot damages bytes on a member's disk that were synced. The member must notice, and is replaced. In a few runs it is more members than a cluster can lose.
	// Also on the disk of an embedder's machine that has FindsRot, which is given an empty one.
	FaultRot
	// FaultNone lets nothing go wrong.
	FaultNone

	faultsEnd
)

// AllFaults is everything that can go wrong.
const AllFaults = FaultNone - 1

var faultNames = [...]string{
	"power", "kill", "blackout", "partition", "cut", "pause", "slow-disk", "disk-error", "slow-machine", "rumour",
	"loss", "duplicate", "delay", "reorder", "transfer", "members", "wipe", "stall", "clock", "usurp",
	"bridge", "ring", "swizzle", "flap", "slow-link", "jump", "recycle", "tear", "read-error", "full", "rot", "none",
}

func (f Faults) has(one Faults) bool { return f&one != 0 }

func (f Faults) String() string {
	var names []string
	for i, name := range faultNames {
		if f.has(1 << i) {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}
