package sim

// property is what checkers can find not to hold.
type property struct {
	says   string // in one sentence
	source string
	trail  topic // what the events that bear on it are about
}

// properties are all of them by their names, in the words of a failure. "Thesis" is Ongaro's, "Consensus: Bridging Theory and Practice", 2014.
var properties = map[string]property{
	// What figure 3.2 promises, and what it rests on.
	"Election Safety":     {"A term has at most one leader, and it leads by the votes of a majority.", "thesis figure 3.2, §3.4", aboutElection},
	"Leader Append-Only":  {"A leader never overwrites or deletes entries of its log; it only appends.", "thesis figure 3.2, §3.5", aboutEntry},
	"Log Matching":        {"If two logs have an entry of the same index and term, they are the same up to that entry.", "thesis figure 3.2, §3.5", aboutEntry},
	"Leader Completeness": {"What was committed in a term is in the logs of the leaders of all later terms.", "thesis figure 3.2, §3.6", aboutEntry | aboutElection},
	"State Machine Safety": {"No two machines execute different commands at one index, none executes what is not committed, and all are in the same state after it.",
		"thesis figure 3.2, §3.6.3", aboutEntry},
	"Vote Once": {"A member votes at most once in a term, also when it restarts meanwhile.", "thesis figure 3.1, §3.4 and §3.8", aboutElection},
	"Vote of a Member": {"Who votes, for another or for itself, is a member by a configuration in its own log that may be in force, with the data folder that it has.",
		"thesis §4.2.1, and raft/doc.go, Disks that are lost", aboutElection},
	"Durable First": {"What a member says must be on its disk before it says so: terms, votes, acknowledged entries, snapshots. A crash must not take it back.",
		"thesis §3.8, §10.2.1", aboutEntryOrElection},
	"Committed Is Durable": {"An entry is committed when a majority has it on disk, and by an entry of the leader's own term; a crash leaves it there.",
		"thesis §3.6.2 and figure 3.7, §10.2.1", aboutEntry},
	"Commit Monotone": {"A member's commitIndex never falls while it runs.", "thesis figure 3.1", aboutEntry},
	"Applied Once":    {"A machine executes the entries in the order of the log, each once.", "thesis §3.5", aboutEntry},

	// Crashes, disks and snapshots.
	"Recovery": {"A member that restarts has what was durable when it died, and perhaps what was being written.", "thesis §3.8", aboutDisk},
	"Fail Stop": {"A member whose disk has failed to write stops and says nothing more; one whose disk works does not stop.",
		"docs/adr/0005", aboutDisk | aboutEntry},
	"Compaction": {"A log begins behind an entry only where a durable snapshot reaches to it, and what was dropped was committed.", "thesis §5.1", aboutDisk | aboutEntry},
	"Snapshot Durable": {"A snapshot that counts is whole on the disk, survives crashes, and is never replaced by an older one.",
		"thesis §5.1.3", aboutDisk},
	"Snapshot State":  {"A snapshot is of a committed entry, and has the state, sessions and members that all have after it.", "thesis §5.1, figure 5.2", aboutDisk | aboutEntry},
	"Promise":         {"Who has promised a leader to vote for nobody else for a while does not, over a restart, too.", "thesis §6.4.1", aboutElection},
	"Rot":             {"Bytes that were synced and are others when they are read back are noticed: nobody goes on as if they were sound, and the error says what is damaged.", "PAR, FAST '18; packages wal and snapshot", aboutDisk},
	"Machine Durable": {"A machine that keeps its state itself has it on disk before a snapshot of it counts.", "durable.go", aboutDisk},
	"Identity":        {"A member is told to stop because its folder is another one, or because it was removed, only if that is so.", "host/identity.go", aboutMembers},
	"Vouch":           {"A voter says with which folder it knows its leader only by what is committed.", "raft/vouch.go", aboutMembers},

	"Room": {"A member's folders hold what it knows of, what it takes for alive is so, and of the rest there is no more than bounds say.", "packages wal and snapshot; docs/limits.md", aboutDisk},

	// Members.
	"Members":  {"Changes of the members follow one another: each is decided on what the last one made, and is done when it is committed.", "thesis §4.1, §4.3", aboutMembers},
	"Transfer": {"Who says to have handed the lead over does not lead any more.", "thesis §3.10", aboutElection},

	// Clients.
	"Linearizable": {"Each call takes effect at one moment between its beginning and its end, so a read sees the last write before it.",
		"Herlihy and Wing 1990; thesis §6.3", aboutHistory},
	"Read Freshness": {"A read reflects what its level promises: everything committed before it began, or what its age or index allow.",
		"thesis §6.4", aboutHistory | aboutEntry},
	"Outcome": {"A proposal that is said to be applied is where its outcome says; one that is refused never takes effect.",
		"docs/limits.md; host.ErrNotCommitted", aboutHistory | aboutEntry},
	"Exactly Once": {"No write takes effect twice.", "thesis §6.3", aboutHistory | aboutEntry},
	"Session": {"A command of a session takes effect once, however often it is tried, and every try is given the same answer.",
		"thesis §6.3", aboutHistory | aboutEntry},

	// Progress, and the program's own promises.
	"Liveness": {"Once nothing is wrong any more, or only what a majority can do without, a leader is elected and stays, every call ends, and members catch up.",
		"thesis §3.9, chapter 9", aboutWaiting},
	"Quota": {"A leader that cannot commit what it has takes no more than its quota.", "raft.Config.UncommittedBytesMax, docs/limits.md", aboutEntry},
	"Assertion": {"The program's own assertions hold, and correct members never send what others have to ignore or cannot read.",
		"raft/invariant.go, internal/must", aboutMembers},

	// Machines of an embedder: see Test.
	"Command":      {"A command can be encoded and decoded.", "sim.Machine", aboutMembers},
	"Model":        {"A machine answers as the model does.", "sim.Machine", aboutEntry},
	"No Panic":     {"A machine does not panic.", "sim.Machine", aboutEntry},
	"No Error":     {"A machine returns no error when nothing is wrong with its disk.", "sim.Machine", aboutEntry},
	"Same Answers": {"All machines answer the same command with the same answer: machines are deterministic.", "thesis §2.1", aboutEntry},
	"Same State":   {"All machines that have executed the same commands show the same state.", "thesis §2.1", aboutEntry},
	"Same Bytes":   {"Machines in the same state write the same snapshot, if they say that they do.", "sim.Machine.SameBytes", aboutEntry},
	"Durable":      {"A machine that keeps its state says of no command that it is kept before it was given to it and synced.", "balsa.Durable", aboutDisk},

	undecided:       {"The run was broken off before anything could be said.", "sim/shrink.go", aboutMembers},
	plantedProperty: {"A disk does not fail: for tests of the simulator itself.", "sim/shrink_test.go", aboutDisk},
}

// topic is what a trail follows; several can go together.
type topic uint8

const (
	aboutEntry    topic = 1 << iota // an index: who wrote it, sent it, has it, commits it
	aboutElection                   // a term: candidates, votes, what is durable of them
	aboutHistory                    // a key: its reads and writes, and who led
	aboutDisk                       // a member's saves, crashes, snapshots and starts
	aboutMembers                    // the last that members did, and configurations
	aboutWaiting                    // the last thing that everybody did

	aboutEntryOrElection // an entry if the failure names one
)
