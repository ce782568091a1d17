package sim

import (
	"fmt"
	"strings"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// Coverage says which situations runs have been in. Hours of running say nothing: a situation that never came up was not tested.
type Coverage struct {
	// States counts situations that a seed reaches now and then.
	States [states]int
	// Pairs counts by fault what was going on when it struck: at its victim, or anywhere if it concerns all. A message that is lost, doubled, late or
	// overtakes another counts at its sender.
	Pairs [faultKinds][activities]int
}

// state is a situation with a name.
type state uint8

const (
	truncates state = iota
	truncatesTerms
	truncatesSegments
	truncatesBoth
	diesTruncating
	diesResetting
	diesStarting
	tornTail
	tornHole
	startsBetween
	configurationBack
	jointByAnother
	jointBack
	jointOrphaned
	promotes
	leaderLeaves
	installStale
	installOld
	installOverTail
	installOverSaves
	installOverLoad
	installTermOver
	installFirstWord
	installBeforeTail
	changeInSnapshot
	readInAnother
	readForgotten
	moveForgotten
	streamResumed
	figureC
	figureD
	figureE
	splitVote
	twoLeaders
	deposedWakes
	neverCommitted
	staleMessage
	allDown
	leaderStalls
	transferToLaggard
	retryElsewhere
	retryFromSnapshot
	retryExpired
	leaseOfDeposed
	staleLease
	votesAgain
	oldRefused
	givenUpInside
	leaderVouchedFor
	leaderLetIn
	keptBeyond
	keptBehind
	keptTorn
	fullStops
	fullRefused
	fullCreate
	fullRename
	fullSyncDir
	fullMkdir
	keptRotten
	keptRottenBehind
	readRefused
	readStops
	readOfSnapshot
	lateCopy
	lateRefusal
	wakesFresh
	rotHarmless
	rotInLog
	rotInSnapshot
	rotInFile
	rotRead
	rotInPart
	lostFile
	rotRefused
	rotStops
	ruined
	leadsBridge
	leadsRing
	leadsStar
	leadsAnyShape
	resigns
	leadsLongest
	leadsOverOutdated
	goesOnChanging
	strangerIsTold
	lateVoterVotes
	goesOnAsBefore
	sieged
	leaseOutlived
	oversleeps
	standsLate
	promisesLess
	jumpsWithin
	siegedJoint
	hearsOfTheFirst
	followsAgain
	leadsSlowDisks
	learnerLed
	ledInTurn
	oldWhileLeaving
	toldLate
	oldConnected
	oldMajorityGoesOn
	readsAlone
	refusedStays
	states
)

var stateNames = [states]string{
	truncates:         "a truncation",
	truncatesTerms:    "a truncation across two terms",
	truncatesSegments: "a truncation across a segment boundary",
	truncatesBoth:     "a truncation across two terms and a segment boundary",
	diesTruncating:    "a death in the middle of a save that truncates",
	diesResetting:     "a death in the middle of a save that begins the log anew behind a snapshot",
	diesStarting:      "a death in the middle of a start",
	tornTail:          "a torn tail: a write of which a part is lost",
	tornHole:          "a torn tail with a hole: a later part survives an earlier one",
	startsBetween:     "a start with a snapshot that the log does not know of",
	configurationBack: "a configuration rolled back",
	jointByAnother:    "a joint configuration left by another leader",
	jointBack:         "a joint configuration taken back",
	jointOrphaned:     "a leader that dies in a joint configuration",
	promotes:          "a learner made a voter",
	leaderLeaves:      "a leader that its own change removes",
	installStale:      "a snapshot of an earlier term's leader refused",
	installOld:        "a snapshot of what is there already",
	installOverTail:   "a snapshot in place of a log that goes on behind it",
	installOverSaves:  "a snapshot in place of entries that the disk has not yet said to have",
	installOverLoad:   "a snapshot in place of entries that have just been read to be executed",
	installTermOver:   "a snapshot that is whole when its leader's term is just over",
	installFirstWord:  "a snapshot that is whole, and is the first that its member hears of the leader",
	installBeforeTail: "a snapshot of what is there, before entries that its leader does not have",
	changeInSnapshot:  "a change of the members whose end is in a snapshot that who asked for it needs",
	readForgotten:     "entries that are forgotten while they are read for another member",
	moveForgotten:     "entries that are forgotten while they are read to be moved",
	readInAnother:     "entries that were read in one leadership, and come to the core in another",
	streamResumed:     "a snapshot stream taken up again",
	figureC:           "figure 3.7 c: an entry of an earlier term on a majority, which does not make it committed",
	figureD:           "figure 3.7 d: an entry of an earlier term superseded that a majority had",
	figureE:           "figure 3.7 e: entries of earlier terms committed by one of the leader's own",
	splitVote:         "two candidates of one term",
	twoLeaders:        "a leader elected while another one believes to lead",
	deposedWakes:      "a machine that wakes up as leader, and others lead",
	neverCommitted:    "a leader that loses its office before it has committed anything",
	staleMessage:      "a message that arrives at a later incarnation",
	allDown:           "nobody is up",
	leaderStalls:      "a leader whose disk is stuck",
	transferToLaggard: "a transfer to one that lacks entries",
	retryElsewhere:    "a retry answered by another member than the first",
	retryFromSnapshot: "a retry answered from a restored session",
	retryExpired:      "a retry refused because its session was forgotten",
	leaseOfDeposed:    "a lease read at one that leads no longer",
	staleLease:        "a lease read that misses what came after a clock had jumped too far",
	votesAgain:        "a vote of a member that was removed and has come back with an empty folder",
	oldRefused:        "the folder of a member that was removed, refused because it has come back with another one",
	givenUpInside:     "a caller that gives up while its command of an earlier term is being executed",
	leaderVouchedFor:  "a candidate told with which folder the leader is known",
	leaderLetIn:       "a leader that came back with another folder, let in on a voter's word",
	keptBeyond:        "a machine that has kept more than the newest snapshot has",
	keptBehind:        "a machine that has kept less than the newest snapshot has",
	keptTorn:          "a machine's own journal with a torn end",
	fullStops:         "a member that stops for lack of room on its disk",
	fullRefused:       "a start refused for lack of room",
	fullCreate:        "a file that cannot be created for lack of room",
	fullRename:        "a file that cannot be renamed for lack of room",
	fullSyncDir:       "a folder that cannot be synced for lack of room",
	fullMkdir:         "a folder that cannot be made for lack of room",
	keptRotten:        "a machine's own journal that has lost to rot what was synced",
	keptRottenBehind:  "a machine's own journal that rot has put behind the newest snapshot",
	readRefused:       "a start at which a read fails",
	readStops:         "a read of the log, or of a snapshot to go on from, that fails",
	readOfSnapshot:    "a read of a snapshot on its way that fails",
	lateRefusal:       "a refusal of an earlier term while what it refuses is being given again",
	lateCopy:          "a late copy of a session's command whose answer is not wanted any more",
	wakesFresh:        "a machine that wakes up and is asked for what it knew before it slept",
	rotHarmless:       "rot where nothing is that is needed",
	rotInLog:          "rot in a log",
	rotInSnapshot:     "rot in a snapshot",
	rotInFile:         "rot in one of the files with which a member starts",
	rotRead:           "rot in an entry that is just being read back",
	rotInPart:         "rot in a snapshot that is being received",
	lostFile:          "a segment or a snapshot that is gone, and needed",
	rotRefused:        "a start refused because of rot",
	rotStops:          "a member that stops because it reads rot",
	ruined:            "rot in more members than a cluster can lose",
	leadsBridge:       "a leader in a network that stays two halves with one between them",
	leadsRing:         "a leader in a network that stays a ring",
	leadsStar:         "a leader in a network that stays a star",
	leadsAnyShape:     "a leader in a network in which directions of links stay cut",
	resigns:           "a leader that resigns because it has no majority",
	leadsLongest:      "a leader elected who alone has the log for it, and is heard late",
	leadsOverOutdated: "a leader elected while messages of earlier terms arrive again and again",
	goesOnChanging:    "a change of the members that goes on with the fewest servers that can",
	leadsSlowDisks:    "a leader elected while each write takes almost an election timeout",
	strangerIsTold:    "a server with a long log that is told that it was removed while it was away",
	lateVoterVotes:    "a leader elected by one that was made a voter and does not know it",
	learnerLed:        "a learner that was away, led by one whose disk was replaced meanwhile",
	ledInTurn:         "a member that was away, led in turn by two whose disks were replaced meanwhile",
	oldWhileLeaving:   "an old folder that is started while a member leaves and does not know that this is committed",
	toldLate:          "a member that hears of its removal when it has been added again",
	oldConnected:      "a member that has an old folder connected, and hears of the new one by a leader that knows little",
	oldMajorityGoesOn: "a leader that resigns because it hears the new voters of a joint configuration alone",
	readsAlone:        "a leader that its change leaves alone, and that is read from meanwhile",
	refusedStays:      "a late copy of a change that was refused, and could begin now",
	goesOnAsBefore:    "a member that comes back as it was, and another folder was in its place meanwhile",
	sieged:            "a leader besieged for its lease",
	leaseOutlived:     "a leader that is asked under a lease just when others have committed without it",
	oversleeps:        "a leader whose machine wakes up just when others have committed without it",
	standsLate:        "a request to stand for election that comes when its sender has given up",
	promisesLess:      "a leader besieged, and voters that have promised less than it counts on",
	jumpsWithin:       "a clock that jumps as far as leases bear",
	siegedJoint:       "a leader besieged that has begun to replace voters, and hears a majority of the new ones alone",
	hearsOfTheFirst:   "a member that hears of an election when the next one is over, and waits to read",
	followsAgain:      "a follower that doubts its leader, and comes back to it in the same term",
}

// activity is what can be going on at a member.
type activity uint8

const (
	doesElection activity = iota
	doesTakeover
	doesRepair
	doesStream
	doesRestore
	doesCompaction
	doesCatchUp
	doesJoint
	doesTransfer
	doesRetry
	doesRead
	doesLeaseRead
	doesWrite
	doesForward
	doesSave
	doesStart
	activities
)

var activityNames = [activities]string{
	"election", "takeover", "repair", "stream", "restore", "compaction", "catch-up", "joint",
	"transfer", "retry", "read", "lease read", "write", "forward", "save", "start",
}

var activityMeanings = [activities]string{
	"it stands for election", "it leads and has committed nothing of its term", "it has truncated, or leads and looks for where a log agrees", "it sends or receives a snapshot",
	"a snapshot is to take its state's place", "it writes a snapshot or shortens its log", "its configuration has members that catch up", "its configuration is joint",
	"it hands over", "a session's command is tried again there", "a read waits there", "a lease read waits there",
	"a write waits there", "a write waits there and another one leads", "a save is under way", "it began less than an election timeout ago",
}

// faultKinds is how many there are, but for FaultNone.
const faultKinds = len(faultNames) - 1

// doing is the set of what is going on at a member that runs, a bit each.
func (m *member) doing() (set uint32) {
	if !m.up || m.group == nil {
		return 0
	}
	add := func(a activity, yes bool) {
		if yes {
			set |= 1 << a
		}
	}
	s := m.group.Status().Status
	leads := s.Role == raft.Leader
	add(doesElection, s.Role == raft.Candidate || s.Role == raft.PreCandidate)
	add(doesTakeover, leads && m.ledFrom > s.CommitIndex)
	add(doesRepair, m.repairs > s.CommitIndex || leads && probes(s))
	add(doesStream, m.host.Sending() || m.receives)
	add(doesRestore, m.restores > 0 || m.disk.kept.newest.Index > s.AppliedIndex)
	add(doesCompaction, !m.host.Idle(host.PartSnapshotter) || m.part == host.PartSnapshotter)
	add(doesCatchUp, s.Configuration.Pending() && !s.Configuration.Joint())
	add(doesJoint, s.Configuration.Joint())
	add(doesTransfer, leads && (m.handsOver || len(m.handovers) > 0))
	add(doesSave, len(m.disk.saving) > 0)
	add(doesStart, m.incarnation > 1 && m.w.now-m.started < m.w.knobs.electionTimeout()/2)
	for _, op := range m.waits {
		add(doesRetry, op.command != nil && op.command.tries > 1)
		add(doesRead, !op.Write && op.ask.level != lease)
		add(doesLeaseRead, !op.Write && op.ask.level == lease)
		add(doesWrite, op.Write)
		add(doesForward, op.Write && !leads && s.Leader != 0)
	}
	return set
}

func probes(s raft.Status) bool {
	for _, p := range s.Peers {
		if p.Probing && p.Active {
			return true
		}
	}
	return false
}

// strikes takes in that a fault strikes a member, or all if it is nil.
func (w *world) strikes(f Faults, victim *member) {
	if !w.chaos {
		return
	}
	var set uint32
	if victim != nil {
		set = victim.doing()
	} else {
		for _, m := range w.members {
			set |= m.doing()
		}
	}
	row := &w.report.Coverage.Pairs[f.number()]
	for a := range row {
		row[a] += int(set >> a & 1)
	}
}

// number is the place of a single fault in the table.
func (f Faults) number() (n int) {
	for ; f > 1; f >>= 1 {
		n++
	}
	return n
}

// reach takes in that a situation has come up.
func (w *world) reach(s state) { w.report.Coverage.States[s]++ }

// reachIf is reach if yes.
func (w *world) reachIf(s state, yes bool) {
	if yes {
		w.reach(s)
	}
}

// Add adds what other runs have seen.
func (c *Coverage) Add(o *Coverage) {
	for s, n := range o.States {
		c.States[s] += n
	}
	for f := range o.Pairs {
		for a, n := range o.Pairs[f] {
			c.Pairs[f][a] += n
		}
	}
}

// Reached says how many of how many states and pairs have come up. Pairs that cannot be are left out.
func (c *Coverage) Reached() (reached, of int) {
	c.each(func(_ string, n int, _ int) {
		of++
		reached += bit(n > 0)
	})
	return reached, of
}

// Empty names the states and pairs that have not come up, of those that so many runs must reach. What is rare is demanded of many runs only.
func (c *Coverage) Empty(runs int) (names []string) {
	c.each(func(name string, n, needs int) {
		if n == 0 && runs >= needs {
			names = append(names, name)
		}
	})
	return names
}

// runsUsual is how many runs reach everything that is not rare; it is what is tried before each merge.
const runsUsual = 800

// each goes through the states and pairs that can be, and how many runs must reach them.
func (c *Coverage) each(f func(name string, n, needs int)) {
	for s, n := range c.States {
		needs := runsUsual
		if more, ok := rareStates[state(s)]; ok {
			needs = more
		}
		f(stateNames[s], n, needs)
	}
	for fault := range c.Pairs {
		for a, n := range c.Pairs[fault] {
			needs, ok := rarePairs[pair{1 << fault, activity(a)}]
			switch {
			case !ok:
				needs = runsUsual
			case needs == cannotBe:
				continue
			}
			f(faultNames[fault]+" x "+activityNames[a], n, needs)
		}
	}
}

type pair struct {
	fault    Faults
	activity activity
}

const cannotBe = -1

// runsMany is how many runs reach what is rare: what comes up less than ten times in runsUsual.
const runsMany = 10 * runsUsual

// rareStates and rarePairs say how many runs must reach what is rare. A folder is wiped only while the configuration is at rest.
var (
	rareStates = map[state]int{
		tornHole: runsMany, jointByAnother: runsMany, figureD: 5 * runsMany, rotStops: runsMany,
		fullSyncDir: runsMany, fullMkdir: runsMany, staleLease: runsMany, deposedWakes: runsMany, oldRefused: runsMany, votesAgain: runsMany, siegedJoint: runsMany, hearsOfTheFirst: runsMany,
	}
	rarePairs = map[pair]int{
		{FaultWipe, doesCatchUp}: cannotBe, {FaultWipe, doesJoint}: cannotBe,
		{FaultBlackout, doesTransfer}: runsMany, {FaultCut, doesTransfer}: runsMany, {FaultDiskError, doesTransfer}: runsMany,
		{FaultDiskError, doesRestore}: runsMany, {FaultTransfer, doesRestore}: runsMany, {FaultUsurp, doesRestore}: runsMany,
		{FaultStall, doesRestore}: runsMany, {FaultWipe, doesElection}: runsMany, {FaultWipe, doesTakeover}: runsMany,
		{FaultWipe, doesRestore}: runsMany, {FaultWipe, doesCompaction}: runsMany, {FaultWipe, doesTransfer}: runsMany,
		{FaultWipe, doesLeaseRead}: runsMany, {FaultWipe, doesSave}: runsMany, {FaultWipe, doesStart}: runsMany,
		{FaultCut, doesRestore}: runsMany, {FaultCut, doesCompaction}: runsMany, {FaultTransfer, doesCompaction}: runsMany,
		{FaultPartition, doesTransfer}: runsMany, {FaultPause, doesRestore}: runsMany, {FaultPause, doesCompaction}: runsMany, {FaultPause, doesTransfer}: runsMany,
		{FaultFlap, doesRestore}: runsMany, {FaultFlap, doesSave}: runsMany, {FaultClock, doesCompaction}: runsMany,
		{FaultRecycle, doesTakeover}: runsMany, {FaultRecycle, doesCompaction}: runsMany, {FaultRecycle, doesTransfer}: runsMany, {FaultRecycle, doesSave}: runsMany,
		{FaultJump, doesCompaction}: runsMany, {FaultJump, doesJoint}: runsMany, {FaultJump, doesTransfer}: runsMany,
		{FaultDiskError, doesJoint}: runsMany, {FaultStall, doesTransfer}: runsMany, {FaultFull, doesCompaction}: runsMany,
		{FaultSlowMachine, doesCompaction}: runsMany, {FaultSlowMachine, doesTransfer}: runsMany,
		{FaultSlowDisk, doesRestore}: runsMany, {FaultSlowDisk, doesJoint}: runsMany, {FaultSlowDisk, doesTransfer}: runsMany,
		{FaultTear, doesTransfer}: runsMany, {FaultTear, doesRestore}: runsMany,
		{FaultReadError, doesTransfer}: runsMany, {FaultReadError, doesRestore}: runsMany, {FaultReadError, doesJoint}: runsMany,
		{FaultReadError, doesSave}: runsMany, {FaultReadError, doesCompaction}: runsMany,
		{FaultFull, doesTransfer}: runsMany, {FaultFull, doesRestore}: runsMany, {FaultFull, doesJoint}: runsMany,
		{FaultRot, doesElection}: runsMany, {FaultRot, doesTakeover}: runsMany, {FaultRot, doesRestore}: runsMany, {FaultRot, doesCompaction}: runsMany,
		{FaultRot, doesCatchUp}: runsMany, {FaultRot, doesJoint}: 5 * runsMany, {FaultRot, doesTransfer}: runsMany, {FaultRot, doesSave}: runsMany,
		{FaultRot, doesStart}: runsMany,
	}
)

// String is the table.
func (c *Coverage) String() string {
	var b strings.Builder
	for s, n := range c.States {
		fmt.Fprintf(&b, "%9d  %s\n", n, stateNames[s])
	}
	b.WriteString("\n             ")
	for _, name := range activityNames {
		fmt.Fprintf(&b, " %10s", name)
	}
	b.WriteString("\n")
	for f := range c.Pairs {
		fmt.Fprintf(&b, "%-13s", faultNames[f])
		for a, n := range c.Pairs[f] {
			cell := fmt.Sprint(n)
			if rarePairs[pair{1 << f, activity(a)}] == cannotBe {
				cell = "-"
			}
			fmt.Fprintf(&b, " %10s", cell)
		}
		b.WriteString("\n")
	}
	return b.String()
}
