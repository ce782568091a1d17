package sim

import (
	"fmt"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// Run runs one cluster and checks it. It fails with a *Violation when a property does not hold, and then the report is of the run so far.
func Run(o Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.guests != nil {
		return o.guests.around(func() (*Report, error) { return run(o) })
	}
	return run(o)
}

func run(o Options) (*Report, error) {
	w := newWorld(o)
	defer w.tellStory()
	w.lives()
	w.endGuests()
	r := &w.report
	r.Seed, r.Members, r.Steps, r.Time, r.Trace = o.Seed, len(w.members), w.steps, w.now, w.trace
	r.mended, r.faults = !w.chaos, w.knobs.faults
	r.Committed, r.History = int(w.checker.committedTo()), w.clients.history
	if w.failure != nil {
		return r, w.failure
	}
	w.record(TraceLine{Kind: TraceDone})
	return r, nil
}

// lives is live, but for what comes of going on when something does not hold: a member whose start did not come to its end has nobody to ask.
func (w *world) lives() {
	defer func() {
		if r := recover(); r != nil && w.failure == nil {
			panic(r)
		}
	}()
	w.live()
}

// live is a whole run: a time in which anything may go wrong, and then one in which nothing does.
func (w *world) live() {
	w.tell("seed %d: %v", w.options.Seed, &w.knobs)
	for _, m := range w.members {
		m.restart()
	}
	w.clients.start()
	if w.knobs.faults != FaultNone {
		w.nemesis()
		w.sieges()
	}
	w.beginRot()
	w.beginGuests()
	w.addFaults(w.options.Add)
	w.drawPlot()
	w.run(w.knobs.duration, nil)
	if w.plot != nil {
		w.plot.end()
	}
	if w.options.hurry {
		return
	}
	if w.failure == nil && w.isRuined() {
		w.endRuined()
		w.checkHistory()
		return
	}
	if w.failure == nil {
		switch {
		case w.chance(400):
			w.demandService()
		case w.chance(500):
			w.demandLeader()
		}
	}
	if w.failure == nil {
		w.mend()
	}
	if w.failure == nil {
		w.settleMembers()
		w.demandGone()
	}
	if w.failure == nil {
		w.demandProgress()
	}
	w.perhaps(500, w.voters, 2, w.demandTransfer)
	w.perhaps(500, w.cluster, 2, w.demandForwarding)
	if w.failure == nil && w.chance(500) {
		w.demandReads()
	}
	w.perhaps(300, w.voters, 3, w.demandHandover)
	w.perhaps(200, w.voters, 3, w.demandQuiet)
	if w.knobs.compaction.LogBytes > 0 {
		w.perhaps(150, w.voters, 1, w.demandCompaction)
		w.perhaps(150, w.voters, 3, w.demandStream)
		w.perhaps(300, w.voters, 3, w.demandOvertaken)
	}
	w.perhaps(100, w.voters, 3, w.demandSlowRead)
	w.perhaps(200, w.voters, 3, w.demandComeback)
	w.perhaps(400, w.voters, 2, w.demandStays)
	w.perhaps(200, w.voters, 2, w.demandResigns)
	w.demandLasting()
	w.demandReplacements()
	w.demandRefused()
	w.demandShrinking()
	w.demandLongReads()
	if w.failure == nil {
		w.demandPeace()
	}
	if w.failure == nil {
		w.checkFolders()
	}
	w.lookAtGuests()
	w.checkHistory()
}

func (w *world) checkHistory() {
	w.clients.leave()
	if err := checkLinearizable(w.clients.history); err != nil {
		w.fail("Linearizable", "%v", err)
	}
}

// perhaps makes a demand on a mended cluster of at least so many, with a chance in thousandths, and then that all goes on.
func (w *world) perhaps(chance int, among func() []*member, atLeast int, demand func()) {
	if w.failure != nil || len(among()) < atLeast || !w.chance(chance) {
		return
	}
	demand()
	if w.failure == nil {
		w.demandProgress()
	}
}

// Report says what a run has seen.
type Report struct {
	Seed     uint64
	Members  int
	Steps    uint64        // things that happened, one after the other
	Time     time.Duration // virtual
	Trace    uint64        // hash of everything that happened: the same for the same seed and the same code
	Recovery time.Duration // that the mended cluster took until all was well

	mended bool          // faults had ended
	faults Faults        // that could happen
	busy   uint64        // steps until they had
	lasted time.Duration // and how long that was

	Counts
	// LackedRoom is how often machines of an embedder have said that their disk is full, and NoticedRot that it is damaged.
	LackedRoom, NoticedRot int

	Coverage Coverage
	Events   map[raft.EventKind]int
	// ReadsBy counts reads by level and by the state of the member that was asked.
	ReadsBy readCounts

	// History is what the clients did, in the order in which it ended. Reads without an answer are left out, and
	// those that may be old.
	History []Operation
}

// Counts says how often something happened.
type Counts struct {
	Faults, Turns              int // decisions to make something go wrong, and turns of clients
	Starts, PowerCuts, Kills   int
	DeathsInside               int // of them, those in the middle of a step
	Partitions, Pauses         int
	Usurpations                int // leaders that are kept from learning of the next one
	Suspensions                int // of them, those in which the clock stands still
	DiskErrors, Audits         int
	Stalls, DeathsStuck        int // of disks, and of members whose disk was
	Handovers                  int // because of them, that were demanded
	Messages, Lost, Duplicated int
	Saves, Loads               int
	Committed, Applied         int
	Forwards, ForwardRefusals  int
	Writes, Refused, Unknown   int
	Sessions, SessionsExpired  int // begun; and tries of commands whose session was forgotten
	Tries                      int // of commands of sessions
	AnsweredAgain              int // of them, those of what had been executed before
	AnsweredFromSnapshots      int // of them, those by a member that has the answer from a snapshot
	AnswersLost                int // for lack of room
	Reads, ReadsUnanswered     int
	Snapshots, Compactions     int // taken; and logs that were made to begin later
	Streams, StreamsResumed    int // of snapshots to members; those that found a part of it there
	Chunks, Restores           int
	StartsBehind               int // starts with a log that begins behind a snapshot
	ResetsAtStart              int // and with a snapshot that was newer than the log
	SnapshotErrors             int // of the disk, that do not stop a member
	ReadErrors                 int // of the disk
	Full                       int // disks with little room
	Rots                       int // damages to what was synced
	ChunksLost                 int // in a mended cluster, on purpose
	Transfers                  int // asked for
	TransfersDone              int
	TransfersFailed            int
	Changes, ChangesDone       int // of the members
	Recycled                   int // members that come back with empty folders
	Removals, Wipes, Refusals  int // members that stopped because they were removed; folders lost; members that were told so
	ReadsUnderLease            int // answered by a lease
	ReadsNotOld                int // and because an earlier one was not too old
	ReadsOfDeposed             int // those that began at a member that believed to lead, when a later leader had committed
}

// Violation says which property did not hold, and how to see it again.
type Violation struct {
	Seed     uint64
	Property string
	Detail   string
	At       time.Duration // virtual
	Step     uint64
	Stack    string // of a broken invariant

	About Subject
	// Summary is what a newcomer needs of the run, on one screen: see Options.Story. It is empty if there was no story.
	Summary string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("sim: seed %d: %s does not hold: %s (at %v, step %d)", v.Seed, v.Property, v.Detail, v.At, v.Step)
}
