// Package sim runs a whole cluster in one goroutine, decided by one seed.
//
// Its members are package host's own code: each is opened on a disk in memory, joined to a group and stepped part by part. The
// simulator takes the place of everything around them: the clock, the network, the disks, the clients, and the order in which
// anything happens. It crashes members at any moment, also in the middle of a write, keeps disks, links and processes slow or
// broken for a while, and checks after every step what must never happen; at the end it mends everything and checks
// that the cluster goes on. The same seed gives the same run, so a failure is one number, and every bug begins as one:
//
//	go test ./sim -seeds=1000             # many runs
//	go test ./sim -run Seeds -seed=42 -v  # one again, told step by step
//
// # Your own machine
//
// Test does all this with the state machine of a program that embeds Balsa, in its own tests. Its members are compared by what they answer to commands: so much is
// what Balsa needs of them, and what their clients see. Equal machines may write different snapshots (the order of a map, a compressor of another version), so
// bytes are compared only if Machine.SameBytes says that they can be; what is in a state and in no answer, Machine.State can show. At the end of
// a run all members are given some more commands, so that what a run has left in them shows.
//
// Package balsatest tests a machine by itself, with the same words. It finds what is simple with fewer commands, and stops machines at every operation
// of their disk, which Test does not. Test finds what takes a cluster: batches as they come, snapshots that come in the middle of everything, clocks that differ.
//
// # Inside
//
//	world     virtual time and the queue of what happens next
//	member    one member's process over its incarnations: started, stepped, paused, crashed
//	disk      what of a member outlives its process, and how a crash strikes in the middle of an operation
//	disks     what a seed decides of disks
//	rot       synced bytes that are others when they are read back
//	journal   what machines keep on their member's disk by themselves, in one run of four
//	network   delay, loss, duplication, reordering and cuts, of encoded bytes
//	client    proposals and reads on any member, and their history
//	nemesis   what goes wrong, and when
//	snapshots what the checker knows of compaction and snapshots
//	compaction  what is demanded of it, and of snapshots' streams, in a mended cluster
//	overtaken  snapshots that come while their member is in the middle of something with its log
//	slowread  reads of the log that take longer than their leader leads
//	transfer  an operator's calls to hand the lead over
//	stall     disks that are stuck, and what leaders do then
//	reads     of all levels, on members in any state
//	clock     members' clocks, which differ, and stand still
//	recycle   members that were removed and come back, and their old folders
//	replaced  those whose disks are replaced while others are away; leaving, lateword and oldconnected, too
//	connections  which folders have been let in
//	jump      clocks that jump, and what leases bear of that
//	shapes    networks that come apart in ways in which who hears whom is no equivalence
//	lasting   what is demanded while they stay so
//	shrinking  leaders that their own change leaves alone
//	waking    what machines that wake up are asked
//	refusals  those of a term that is over, at the worst moment
//	usurp     leaders that are kept from learning that they lead no longer
//	checker   what is known of the whole cluster, and the properties that no member can check alone
//	reference which commands machines are to execute, by the log alone
//	lawful    steps of the members that must not be taken, whatever comes of them
//	guest     an embedder's machines, each in the register of its member
//	trial     how they are to answer, and whether they do
//	guestdisk their disks, which fill up and rot; trialdisk, what is known of each
//	last      what shows only when nothing happens any more
//	recovery  the end of a run: everything is mended, and progress is demanded
//	properties  a sentence for everything that checkers can find not to hold
//	summary   a failure on one screen: who led, what went wrong, and the trail
//	trail     of all that happened, the few events that bear on the failure's subject
//	story     the run for people; trace, the run as data
//	shrink    smaller runs that fail in the same way; simple, what can be left out for that
//
// # What is checked
//
// Over all incarnations of all members: one leader a term; one vote a term and member, and nothing sent that depends on the disk before
// it is durable there; equal entries and equal predecessors wherever index and term are equal; every later leader holds what is committed; what is
// declared committed is durable on a majority, and was committed by an entry of the leader's own term; equal state at equal
// applied indexes, each index once; what a disk holds after a crash is what was acknowledged; a member stops for good when its disk
// failed. A log begins behind entry i only where a durable snapshot reaches to i; every snapshot, taken or received, and every machine that
// continues from one, is in the state that all are in at its index; what is at or before the newest durable snapshot counts as held.
// A machine that keeps its state goes on from there, executes nothing twice, and is synced before a snapshot of it counts.
// A transfer of the lead ends within bounded time, and succeeds where nothing is wrong. A leader is heard at its intervals whatever its disk does, and
// one whose disk is stuck hands over within two election timeouts, to one that serves clients then, without a storm of elections.
// A leader that cannot commit takes no more commands than its quota.
//
// For clients: an applied proposal is where its outcome says, a refused one never takes effect, none takes effect twice. A read reflects what its
// level promises: everything that was committed before it began, with a lease or without; the entry that it names; everything until its age before, by
// the clock of the member; or never less than a local read before it on that member.
//
// While the network stays apart, in any shape: a leader whom a majority hears, and who hears it, stays; who has no such majority resigns; one is elected who has, if the logs let
// anybody be elected, and clients are served there.
//
// At the end: a leader is elected and stays, every call ends, and all members reach the same state. Logs are compacted as the options say, and a chunk that is lost
// holds a snapshot up for no longer than it takes to send it again.
package sim
