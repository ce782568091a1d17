// Package raft is the Raft consensus algorithm as a function with a memory: inputs are methods, the output is one value, [Effects].
// It replicates one log among the servers of a group, so that every server's state machine executes the same commands in the
// same order, while fewer than half of the servers are down, cut off or slow.
//
// It is written to be read beside Diego Ongaro's thesis, "Consensus: Bridging Theory and Practice". § is one of its sections, Figure 3.1
// its one-page summary (Figure 2 of the shorter paper), and names are that figure's. docs/paper.md is the dictionary; the stories in
// testdata show each rule at work, and are the quickest way to learn what this package does.
//
// # Inputs and effects
//
//	New          a server in the state that it left on disk
//	Receive      a message from another server came
//	Tick         a unit of time has passed
//	Clock        what the host's clock shows; Slept: it may have stood still. For leases
//	Propose      commands for the log, here or by way of the leader
//	ReadIndex    a read that must reflect all that is committed by now; ReadLease: that a lease may answer
//	ChangeMembers, Introduce
//	             what the members shall be, and which data folder one has shown
//	TransferLeadership
//	             the lead shall be handed over
//	Compact, SnapshotSent
//	             the log before this entry can be forgotten; no more of a snapshot will be sent
//	Persisted    saves up to this one are durable
//	Applied      the state machine has executed the entries up to this one
//	Loaded       here are entries that a Load asked for
//	Unreachable  the connection to this server broke
//	Effects      what is to be done since the last call
//	Leader, Term, Status
//
// The owner of a [Raft] calls one method at a time, and Effects when it has no more input at hand:
//
//	for {
//		select {
//		case m := <-network:
//			err = r.Receive(m.From, m.Message) // a *SafetyError ends the group here
//		case <-ticker:
//			r.Tick()
//		case p := <-proposals:
//			term, err = r.Propose(p)
//		case seq := <-saved:
//			r.Persisted(seq)
//		case i := <-executed:
//			r.Applied(i)
//		}
//		e := r.Effects()
//		disk <- e.Save         // one writer, so that saves keep their order; then it says saved <- Save.Seq
//		send(e.Messages)       // at once, whatever becomes of Save
//		machine <- e.Apply     // one executor; then it says executed <- the last index
//		// and Restore, Load, Send, Reads, Aborted, Refused, Changes, Configuration, Events
//	}
//
// # The contract of effects
//
// Everything in an Effects may be started at once, in any order, and beside what earlier ones started. What must wait for the disk is not in
// it yet: the core withholds votes, acknowledgements, all that speaks in a term, and its own count towards a majority until the save
// that they depend on is [Raft.Persisted]. Four things are asked of the host:
//
//   - Saves of one group become durable in the order of their Seq. A crash may keep of those that are not Persisted any beginning: some whole
//     saves, and of the next its hard state, alone or with its first entries. It must not keep entries without the hard state of their
//     save: they could be of a term that the server does not know of any more. What New is given must be durable, too.
//   - Entries of a save supersede what the log holds at the first one's index and behind it.
//   - Apply is executed in order, each entry once in an incarnation. State machines and logs are given entries whose Data is shared:
//     nobody changes it.
//   - A write that failed is never reported as Persisted, nor any later one. There is no way back from it but a restart.
//
// Messages may be lost, duplicated, delayed and reordered. To keep their order, and not to delay them, is a matter of speed.
//
// # Where to find what
//
//	election.go     §3.4 elections, §3.6.1 their restriction, §4.2.3 disruptive servers, §6.2 leaders without a majority, §9.6 Pre-Vote
//	replication.go  §3.5 log replication, §10.2.2 pipelining; peer.go: what a leader knows of another server
//	commit.go       §3.6.2 committing entries of earlier terms; quorum.go: majorities, of two sets where there are two (§4.3)
//	membership.go   ch. 4 changes of the members, step by step; members.go: which configuration is in force, who takes part by it;
//	                configuration.go: what a configuration is, and its bytes
//	durable.go      §3.8 persisted state, §10.2.1 the leader's disk in parallel
//	read.go         §6.4 linearizable reads
//	lease.go        §6.4.1 promises and leases
//	transfer.go     §3.10 leadership transfer
//	snapshot.go     ch. 5 log compaction and snapshots
//	proposal.go     §6.2 commands on their way to the log
//	forward.go      §6.2 commands on their way to the leader
//	log.go          the log: terms of all entries, the newest entries themselves
//	raft.go         the state, Figure 3.1's rules for all servers, and the inputs
//	message.go      the RPCs of Figure 3.1, and those beyond it
//	invariant.go    Figure 3.2 as far as one server can see it, checked in production whenever effects are drained
//	validate.go     what no correct server sends, and no log on disk looks like
//
// # Finding where logs agree
//
// A new leader does not know where a follower's log leaves its own. It asks by AppendEntries, which the follower refuses unless it has
// the entry before it. The figure goes back by one entry a round trip. §3.5 sketches how to go back by a term, and this is how it is done: a
// refusal carries the term that the follower has at PrevLogIndex, and where that term begins in its log (or, if its log is shorter, where it
// ends). The leader looks for that term in its own log. The numbers below are terms; n1 leads term 5 and asks after entry 7.
//
// If it has entries of that term, the logs may agree up to its last one. A term's leader only appends, so the beginnings of one
// term's entries are the same in all logs, and only the ends differ:
//
//	index   1  2  3  4  5  6  7  8  9
//	n1      1  1  2  2  4  4  4  4  5     last of term 2: entry 4
//	n2      1  1  2  2  2  2  2           refuses after 7: term 2, from 3 on
//	                    ^                 n1 asks after 4, and sends from 5 on
//
// If it has none, no entry of that term can stay, and it asks after the one before the first of them:
//
//	index   1  2  3  4  5  6  7  8  9
//	n1      1  1  2  2  4  4  4  4  5     no entry of term 3
//	n2      1  1  2  3  3  3  3           refuses after 7: term 3, from 4 on
//	                 ^                    n1 asks after 3, and sends from 4 on
//
// Each round trip skips a term of one of the two logs at least. Whatever a refusal says, the leader goes back by an entry at least, and
// never behind what it knows to match: neither a strange hint nor a late copy of a refusal can keep it busy for ever.
//
// # Where it differs from the thesis, and why
//
// Pre-Vote (§9.6) is always on, together with two rules without which it brings livelocks of its own. A server that heard a leader within an election
// timeout answers no candidate (§4.2.3), or one that cannot hear the leader could depose it for ever by way of the others. A leader that
// hears no majority for an election timeout steps down (§6.2), or those that still hear it would keep the rest from electing another. A
// refused pre-vote carries the voter's term, and the asker takes it over: else a longer log in an old term and a shorter one in a
// new term could refuse each other for ever.
//
// A term begins with a blank entry (§6.4), [EntryNoop]. Its commitment commits what earlier terms left, lets reads begin, and tells all that
// proposals of earlier terms which have not come will never come.
//
// Saves run beside everything else. Two counts are stricter than the figure's words for it: a candidate's vote for itself, and the leader's own
// copy of an entry, count when they are on its disk. An entry can be committed by the others before (§10.2.1). It is applied only when it is
// durable here: after a restart a state machine must not be ahead of its own log.
//
// A heartbeat, or a round of reads, is answered while the disk works on entries: the answer says how far the log is durable. A
// stalled disk does not look like a dead server, and does not count as a copy.
//
// MatchIndex is in the reply, as in the formal specification, and a refusal repeats PrevLogIndex. Requests are pipelined (§10.2.2) and messages may
// be lost and reordered, so a reply must say what it is about. An acknowledgement says how far the log is known to equal the leader's and is
// durable, which is never just "my last entry".
//
// A commit is told with the next entries. If there are none it is told by an empty AppendEntries, for clients may wait at followers: when the leader has
// applied it, or at the next tick; who wrote it often has the next command ready by then. At once a new configuration is, for some may not hear of a later one, and what a
// follower reads under a lease. A follower that has acknowledged all of it does not answer that, but the next request, whatever it is: it must not seem dead.
//
// A command binds to a term. It enters the log in the term in which it was proposed, or never: the leader of another term refuses it when it is
// forwarded, and a server that has restarted since drops it. Forwards are a numbered stream that the leader answers: what is lost is sent
// again, and each is taken once. So a command is not executed twice, none hangs while its leader can be reached, and that one is
// not committed is a fact and not a guess.
//
// Reads of a leader share rounds: a number that rides on AppendEntries, confirmed by answers to requests that were sent after the reads came.
// Reads of a follower are asked for together, under a number that is never given to others. Leases have a section of their own.
//
// A broken connection to the leader is reason to ask for pre-votes soon: most likely its process has ended, and if not, the others defend
// it.
//
// What proves that safety is broken already (two leaders in a term, a leader without a committed entry) is reported as a [SafetyError], and
// nothing is done about it here. The host stops the server and keeps what it has.
//
// # Membership
//
// The members change by joint consensus (§4.3), from any set to any other, by entries of the log. A configuration is in force for a server as soon
// as it is in its log, committed or not (§4.1), and until it is truncated. A change ([Raft.ChangeMembers]) is the whole of what the members
// shall be. It goes through three configurations:
//
//	pending    (1 2 3) learners 4, to be (1 2 4)   new servers are learners, and catch up; the old voters decide
//	joint      (1 2 3)->(1 2 4)                    a majority of each decides: elections, commits, reads, and whether a leader is heard
//	at rest    (1 2 4)                             the new voters decide
//
// Each is appended by the leader when the one before it is committed, by it or by an earlier leader, and something of its own term is.
// So whoever leads goes on with what it finds, and does so once. If the voters stay the same there is no joint one.
//
// A change waits in the pending configuration until all that are to be voters have caught up: until the last round (§4.2.1), and the one under way,
// have taken less than an election timeout. It may wait for ever, and harms nobody meanwhile. Another change can take its place. With Change.Apart
// nobody waits for others: the joint configuration is entered with those that are ready, and again when more are.
// A change names the one that it was decided on (Change.Base), so that of two that know nothing of each other one is refused; and it has an
// id, so that it can be asked for again until there is an answer.
//
// Cancelling. A joint configuration that is not committed can be taken back, by a change that comes: the leader appends the old half again, and that
// is in force. It is for the case that the new voters fail at once, when nothing can be committed any more. This is safe because no other
// server can have gone on from the joint one to the new voters alone. The joint one, J, is of the leader's own term: it lies behind the first
// entry of the term, and that is committed. Entries of this term come from this leader alone, so that in it nothing but the old half, O, follows J. The
// next leader that is elected, in a later term, may have J in its log and not O, and go on to the new voters. But it was elected by a
// majority of the old ones, whether it had O, only J, or neither. They have left this term. So what this leader commits by the old voters after
// it has appended O, it commits before that, and the next leader has it; and if that is O or more, it has O. Who comes later has what the next leader
// had, as always.
//
// Leaving. A leader goes on for a while with a server that has left, until it has that in its log and was told that it is committed: so that it stops to stand for
// election, and its host can end it. Who never hears of it disturbs nobody: those who hear a leader do not vote (§4.2.3), and
// its log is too short for the others. When it asks for votes, those who know by a committed configuration that it has left say so
// (RequestVoteReply.Stranger), and its host ends it if no leader speaks to it. A leader that is not among the new voters leads until that is committed, and does not count
// itself (§4.2.2). Then it asks the best placed of them to stand for election (§3.10), so that there is no election timeout without a
// leader. Until a server knows that the configuration without it is committed it stands for election, though not for its own vote: it may be the
// only one that has it (figure 4.6).
//
// Disks that are lost. A server whose disk was lost has forgotten its votes, and entries that it has acknowledged; it must not pass for the one that it was.
// Hosts tell which data folder a member has shown ([Raft.Introduce]). The leader writes it into the configuration: it pins it. From
// then on hosts refuse that member with any other one. It has to be removed, and can come back under its id as a new server does. What a
// leader knew of it is forgotten when it comes back. While it catches up its log has configurations in which it was a voter, but with another
// data folder: so it neither votes nor stands before its log has the one that has it as it is now. A learner becomes a voter only when
// its log has that. This differs from §4.2.1, by which servers vote whatever their configuration says, so that a new one that does not know
// yet that it is a voter can be counted on. It can be here, too: learners vote, and it knows itself to be one.
//
// Who was away while another one was removed and added again knows it with the folder of before, and its host refuses that one, also when it leads. So who does not vote for a server
// that is behind says with which folder the leader is known (RequestVoteReply.Leader, vouch.go), and learners that hear no leader ask, too. The host lets that folder in to lead,
// and counts nothing else that it says, until its own configuration has it. One that is behind so far that none of the voters whom it knows is one still has nobody to ask: it
// has to be replaced.
//
// A server that was to begin the cluster, and has an empty log, knows of no data folders. Several of them, some of which have lost their disks at one
// time or another, must not begin the cluster a second time. Who knows that something was committed tells those with empty logs
// (RequestVoteReply.Founded, AppendEntries.LeaderCommit): they neither stand nor vote for each other from then on. What is left is that a
// majority of the first members has lost its disks, and runs, and none of them reaches anybody who knows since it was started.
//
// # Leases
//
// A leader can answer a read without a round (§6.4.1) while it is certain that no other server has been elected, because then nobody else has
// committed anything. This is the only thing here that rests on clocks, so it is off unless Config says how far to trust them.
//
// A server that receives a request of the leader promises: for Config.Promise from then on, by its own clock, it votes for nobody else in any
// term, nor for itself, and grants no pre-vote. Its answer says so, and names the round that it has received (ReadSeq). The leader notes when it began
// each round of heartbeats. From a majority that has promised since the round that began at t, it has a lease until t + Config.Lease by its
// own clock:
//
//	leader     t notes the time, sends ...................... t+Lease answers reads no longer
//	follower      receives, answers ................................. Promise may vote again
//
// Suppose another server is elected in a later term. Its majority and that of the promises share a server, which voted after it had received the
// round, or it would have been in that later term and not answered in the leader's. So it voted Promise later, by its clock, or more. It received the
// round after it was sent, and it was sent after t. As long as clocks differ in speed by less than Promise differs from Lease, the
// leader's shows more than t + Lease at the moment of the vote. That an answer was long under way, or that several are of different rounds,
// changes nothing: it is the sending that counts. The configuration can be joint: the lease takes both majorities, and so would the election.
//
// What could release a server from its word, and what is done about it:
//
//   - A transfer. Who is asked by the leader's target (RequestVote.Transfer) votes in spite of its promise. So there is no lease from the moment that a
//     transfer begins. If it fails, TimeoutNow, or the votes that it led to, may yet arrive: there is none until an entry is committed that
//     was not in the log when TimeoutNow was sent. A majority has that entry, and refuses a candidate without it.
//   - A restart. A server that begins with a log keeps Config.Promised first, the longest promise that any incarnation can have made.
//   - A broken connection to the leader, the end of a candidacy, a later term. A promise is bound to none of them, only to the clock.
//   - Another configuration. A leader counts only promises that are at least as long as its own, which the answers tell.
//
// Then commitIndex is fresh enough once an entry of the term is committed (§6.4): all that was acknowledged to anybody before the time that the clock
// showed is not beyond it. The read came before that time. So the process may pause between looking at the clock and answering: the answer
// is right for the moment in which it looked. For this [Raft.Clock] asks for an order: inputs are taken, then the clock is read, then effects are
// carried out. Were it read before the inputs are taken, a pause between the two would grant a read that came after the lease, and begin a
// promise before the request came. A pause between reading and carrying out makes a lease shorter, and refuses a vote that could be granted.
//
// Ticks do not do for this. They are told late and in a row, and of a long pause there is one: a follower that counts too few ticks waits longer,
// which is safe, but a leader would keep a lease over a pause. So leases and promises are times by the host's clock. What that clock cannot
// see, such as that the whole machine was suspended, the host may learn in another way, and say with [Raft.Slept]: for the leases that is the
// end, and promises, which then last too long, stay.
//
// It costs what it promises. A leader that dies is not replaced before the promises to it have ended, even if its connections break at
// once, and a server that restarts cannot vote for as long.
//
// # What is not here
//
// No clock: time is counted in ticks. No threads, locks or channels. No disk and no network: entries that are no longer in memory are asked for by a
// [Load]. No randomness of its own. No logging: what people want to see is in Effects.Events. No knowledge of what commands
// mean.
package raft
