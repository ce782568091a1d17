package main

// mutant is a fault: in file, old becomes new. Old is there exactly once.
type mutant struct {
	name     string
	file     string
	old, new string
	disaster string // what it could do to people
}

// mutants are in the order of their files: raft, host, wal, snapshot. A fault that nobody could ever observe is not here.
var mutants = []mutant{
	// raft: elections

	{"vote-for-a-shorter-log", "raft/election.go",
		`r.log.upToDate(m.LastLogTerm, m.LastLogIndex) &&
		!r.comesTooLate`, `!r.comesTooLate`,
		"the election restriction (§3.6.1) is gone: a leader lacks what is committed"},
	{"vote-twice-in-a-term", "raft/election.go",
		`m.Term == r.currentTerm &&
		(r.votedFor == 0 || r.votedFor == from) &&`, `m.Term == r.currentTerm &&`,
		"two leaders in one term"},
	{"vote-before-it-is-durable", "raft/election.go",
		`r.sendWhenTermDurable(from, RequestVoteReply{Term: r.currentTerm, VoteGranted: true})`,
		`r.send(from, RequestVoteReply{Term: r.currentTerm, VoteGranted: true})`,
		"a server that crashes votes again in the same term, for another"},
	{"candidacy-before-it-is-durable", "raft/election.go",
		`r.sendWhenTermDurable(id, m)`, `r.send(id, m)`,
		"a candidate that crashes stands again in the same term, with votes of before"},
	{"own-vote-before-it-is-durable", "raft/election.go",
		`if !r.termIsDurable() || r.votesGranted[r.config.ID] {`, `if r.votesGranted[r.config.ID] {`,
		"a server leads, crashes, and votes for another in that term"},
	{"votes-of-an-older-candidacy", "raft/election.go",
		`late := m.Term != asked && (m.VoteGranted || !m.PreVote)`, `late := m.Term != asked && m.VoteGranted && m.PreVote`,
		"votes that were given in one term elect a leader of another"},
	{"vote-against-a-promise", "raft/election.go",
		` || m.Term >= r.currentTerm && r.hasPromised()) {`, `) {`,
		"a lease holder answers reads while another leads"},
	{"vote-while-a-leader-is-heard", "raft/election.go",
		`(m.Term > r.currentTerm && r.hearsLeader() || `, `(`,
		"a server that cannot hear the leader deposes it again and again"},
	{"vote-of-who-takes-no-part", "raft/election.go",
		`!r.comesTooLate(m.LastLogIndex) &&
		r.mayVote()`, `!r.comesTooLate(m.LastLogIndex)`,
		"a server that lost its disk, or was removed, helps to elect a leader that lacks what is committed"},
	{"leader-without-a-majority-stays", "raft/election.go",
		`if !r.members.quorum.has(heard) {`, `if !r.members.quorum.has(heard) && r.transfer.to == r.config.ID {`,
		"a leader that is cut off keeps its clients waiting for ever"},
	{"refusal-resets-the-timer", "raft/election.go",
		`	if !grant {
`, `	if !grant {
		r.resetElectionTimer()
`,
		"one that cannot win keeps those from standing who could: there is no leader for long"},
	{"pre-vote-for-a-shorter-log", "raft/election.go",
		`m.Term > r.currentTerm && r.log.upToDate(m.LastLogTerm, m.LastLogIndex) && `, `m.Term > r.currentTerm && `,
		"one that cannot win deposes leaders again and again"},
	{"refused-pre-vote-leaves-the-term", "raft/election.go",
		`		asked++
	} else {`, `		asked++
	} else if !m.PreVote {`,
		"a long log in an old term and a short log in a new one refuse each other for ever"},
	{"candidate-without-a-timer", "raft/election.go",
		`	r.votesRefused = map[NodeID]bool{}
	r.resetElectionTimer()
`, `	r.votesRefused = map[NodeID]bool{}
`,
		"each tick is another candidacy, and none lasts until it is answered"},
	{"own-vote-in-the-time-of-others", "raft/election.go",
		`	r.resetElectionTimer() // only now the others are asked; where disks are slow they would else never have the time to answer
`, ``,
		"where disks are slow nobody is elected"},
	{"timers-all-alike", "raft/election.go",
		`r.config.ElectionTicks + r.config.Rand.IntN(r.config.ElectionTicks)
`, `r.config.ElectionTicks
`,
		"all stand at once, and nobody is elected"},
	{"old-voters-are-not-asked", "raft/election.go",
		`c.ids(func(m Member) bool { return m.Suffrage == Voter || m.Old == Voter })`, `c.ids(func(m Member) bool { return m.Suffrage == Voter })`,
		"a leader dies in a joint configuration, and there is none any more"},
	{"heartbeats-to-those-that-answer", "raft/election.go",
		`		for _, p := range r.peers {
			p.heartbeat()
`, `		for _, p := range r.peers {
			if !p.heard {
				continue
			}
			p.heartbeat()
`,
		"a follower that is down when a leader begins never hears of it"},
	{"step-down-forgets-the-vote", "raft/raft.go",
		`	r.role, r.leader = Follower, leader
`, `	r.role, r.leader, r.votedFor = Follower, leader, 0
`,
		"two votes in one term, and so two leaders"},
	{"unreachable-for-ever", "raft/replication.go",
		`	r.leaderUnreachable = false
`, ``,
		"after one broken connection anybody deposes the leader who cannot hear it"},
	{"founded-is-not-heard", "raft/replication.go",
		`	r.founded = r.founded || m.LeaderCommit > 0
`, ``,
		"servers that have lost their disks begin the cluster anew with one that has heard of it"},
	{"stranger-is-not-told", "raft/founded.go",
		`if member || !r.isBefore(of[0].Index, lastTerm, last) {`, `if member || !r.isBefore(of[0].Index, lastTerm, last) || r.role != Candidate {`,
		"a server that was removed runs for ever and does not know it"},
	{"learner-asks-nobody", "raft/election.go",
		`case r.comesTooLate(r.log.last), !r.mayStand() && r.mayVote():`, `case r.comesTooLate(r.log.last):`,
		"a learner that was away refuses a leader that came back with another folder, as long as it leads"},
	{"stranger-of-long-ago", "raft/founded.go",
		`if m.Stranger > r.commitIndex {`, `if m.Stranger > 0 {`,
		"a member that was removed and added again stops when it hears late of the removal"},
	{"stranger-with-a-long-log-is-not-told", "raft/founded.go",
		`if member || !r.isBefore(of[0].Index, lastTerm, last) {`, `if member || !r.isBefore(of[0].Index, lastTerm, last) || of[0].Index <= last && last > 0 {`,
		"a server that was removed runs for ever and does not know it, if its log is long"},
	{"vouch-is-not-sent", "raft/founded.go",
		`Leader: r.vouch(m.LastLogTerm, m.LastLogIndex),`, `Leader: Vouch{},`,
		"a member that was away refuses a leader that came back with another folder, as long as it leads"},
	{"vouch-for-what-may-be-undone", "raft/vouch.go",
		`c := r.members.mayBeInForce(r.commitIndex)[0]`, `c := r.members.inForce()`,
		"a folder is let in to lead that the cluster never took in"},
	{"empty-disks-begin-anew", "raft/founded.go",
		`return last == 0 && r.isFounded()`, `return last == 0 && r.isFounded() && r.role == Leader`,
		"servers that have lost their disks begin the cluster anew, beside the one that there is"},

	// raft: quorums

	{"joint-without-the-old-majority", "raft/quorum.go",
		`return hasMajority(q.voters, yes) && (len(q.old) == 0 || hasMajority(q.old, yes))`, `return hasMajority(q.voters, yes)`,
		"two leaders, one of the old voters and one of the new"},
	{"joint-commit-by-the-new-alone", "raft/quorum.go",
		`i = min(i, old)`, `i = max(i, min(i, old))`,
		"what the new voters committed is lost to a leader of the old ones"},
	{"half-is-a-majority", "raft/quorum.go",
		`return len(voters)/2 + 1`, `return (len(voters) + 1) / 2`,
		"of four voters two elect one leader, and two another"},
	{"learners-count", "raft/configuration.go",
		`return c.ids(func(m Member) bool { return m.Suffrage == Voter })
}

func (c Configuration) ids`, `return c.ids(func(m Member) bool { return m.Suffrage >= Learner })
}

func (c Configuration) ids`,
		"who has not caught up holds up commitment, or makes it with others who have nothing"},

	// raft: replication

	{"append-without-a-match", "raft/replication.go",
		`if m.PrevLogIndex >= r.log.first && !r.log.has(m.PrevLogTerm, m.PrevLogIndex) {`,
		`if m.PrevLogIndex > r.log.last {`,
		"logs differ, and state machines with them"},
	{"truncate-what-agrees", "raft/replication.go",
		`if e.Index < r.log.first || r.log.has(e.Term, e.Index) {`, `if e.Index < r.log.first {`,
		"a request that was delayed cuts off what was acknowledged since"},
	{"commit-beyond-the-match", "raft/replication.go",
		`min(m.LeaderCommit, match)`, `min(m.LeaderCommit, r.log.last)`,
		"a follower executes entries that the leader never had"},
	{"acknowledge-before-the-sync", "raft/replication.go",
		`MatchIndex: min(r.ack.match, r.disk.index),`, `MatchIndex: r.ack.match,`,
		"a write is acknowledged, the power fails, and it is gone"},
	{"acknowledge-what-was-not-matched", "raft/replication.go",
		`r.ack.match = max(r.ack.match, match)`, `r.ack.match = max(r.ack.match, r.log.last)`,
		"entries of an earlier leader count as this one's"},
	{"acknowledgement-in-an-earlier-leadership", "raft/replication.go",
		`if p == nil || m.Term < r.currentTerm {`, `if p == nil {`,
		"what was true in one term counts in another, where it may be false"},
	{"never-back-up", "raft/replication.go",
		`min(next, m.PrevLogIndex)))`, `max(next, m.PrevLogIndex+1)))`,
		"a follower whose log differs never gets the leader's"},
	{"hold-on-to-the-last-leader", "raft/raft.go",
		`	r.ack = acknowledgement{}
`, ``,
		"a new leader is told what the last one's log agreed with, and of the last one's reads"},
	{"probe-that-comes-again-is-not-answered", "raft/replication.go",
		`newRound || again:`, `newRound || again && len(m.Entries) == 0:`,
		"where disks are slow each new leader resigns before its first entry is saved"},
	{"load-that-came-to-nothing", "raft/replication.go",
		`	p.loading = false
	if len(es) == 0 ||`, `	p.loading = len(es) == 0
	if len(es) == 0 ||`,
		"one read finds the log compacted, and a follower never gets an entry again"},
	{"stale-entries-from-the-disk", "raft/replication.go",
		` || !r.log.matches(es) {`, ` {`,
		"entries that were read back in one leadership are sent in another"},
	{"lost-probe-is-not-repeated", "raft/peer.go",
		`	p.probeSent = false
}`, `}`,
		"one message is lost, and a follower never gets an entry again"},
	{"window-never-opens", "raft/peer.go",
		`		p.inflightBytes -= p.inflight[n].bytes
`, ``,
		"a follower that has acknowledged enough never gets an entry again"},

	// raft: commitment, and what is durable

	{"commit-an-older-term-by-counting", "raft/commit.go",
		`if n > r.commitIndex && r.log.has(r.currentTerm, n) {`, `if n > r.commitIndex {`,
		"figure 3.7: what is committed is overwritten"},
	{"own-place-before-the-disk", "raft/commit.go",
		`return r.disk.index`, `return r.log.last`,
		"the leader counts itself, the power fails, and the write was on a minority"},
	{"own-save-commits-nothing", "raft/durable.go",
		`	case Leader:
		r.advanceCommitIndex()`, `	case Leader:`,
		"when the leader's disk is the last to be done nothing is committed before the next command"},
	{"applied-is-not-counted-off", "raft/raft.go",
		`		r.applyingBytes = 0
	}
}`, `	}
}`,
		"a member applies nothing any more"},
	{"quota-leaks", "raft/proposal.go",
		`		s.uncommitted -= es[k].Size()
`, `		s.uncommitted -= es[k].Size() / 2
`,
		"a leader that has led for long takes no command any more"},
	{"apply-before-it-is-durable", "raft/raft.go",
		`limit := min(r.commitIndex, r.disk.index)`, `limit := r.commitIndex`,
		"after a restart a state machine is ahead of its log"},
	{"vote-not-awaited", "raft/durable.go",
		`return r.disk.term == r.hardState()`, `return r.disk.term.CurrentTerm == r.currentTerm`,
		"a vote is sent when its term is on disk, but not itself"},
	{"released-by-an-earlier-save", "raft/durable.go",
		`d.withheld[n].seq <= seq`, `d.withheld[n].seq <= seq+1`,
		"what waits for the disk goes out one save too early"},
	{"write-of-a-void-version-counts", "raft/durable.go",
		`for k := range d.saves {`, `for k := range d.saves[:0] {`,
		"entry 7 is acknowledged because another entry 7, which was truncated, became durable"},
	{"truncated-and-still-durable", "raft/durable.go",
		`d.index = min(d.index, i-1)
	for`, `for`,
		"a new entry counts as durable because the one that it replaced was"},
	{"restart-forgets-the-vote", "raft/raft.go",
		`votedFor:    s.HardState.VotedFor,`, `votedFor:    0,`,
		"two votes in one term, and so two leaders"},
	{"log-not-cut-at-its-terms", "raft/log.go",
		`l.runs[n-1].First >= i`, `l.runs[n-1].First > i`,
		"entries have the terms of those that they replaced"},
	{"cache-shared-over-a-truncation", "raft/cache.go",
		`es[:keep:keep]`, `es[:keep]`,
		"a save that is under way writes entries that were changed in its hands"},
	{"evicted-before-it-is-saved", "raft/cache.go",
		`for n < len(es) && c.bytes > bytesMax && c.first <= limit {`, `for n < len(es) && c.bytes > bytesMax {`,
		"an entry is dropped from memory and was never on disk"},
	{"longer-is-newer", "raft/log.go",
		`lastTerm == own && lastIndex >= l.last`, `lastIndex >= l.last`,
		"a long log of an old term wins over what is committed"},

	// raft: members

	{"configuration-not-undone", "raft/durable.go",
		`	r.undoConfigurations(i)
`, ``,
		"a server goes by a configuration that was truncated, and elects a leader with its majority"},
	{"configuration-never-in-force", "raft/members.go",
		`r.members.quorum = c.quorum()
	known`, `known`,
		"the old majority decides on, beside the new one"},
	{"forget-the-committed-configuration", "raft/members.go",
		`for len(h) > 1 && h[1].Index <= i {`, `for len(h) > 1 {`,
		"nothing is left to go back to when the last configuration is truncated"},
	{"anybody-may-vote", "raft/members.go",
		`return r.takesPart(func(Member) bool { return true })`, `return true`,
		"a server that lost its disk, or was removed, votes a second time"},
	{"only-who-is-in-the-last-may-stand", "raft/members.go",
		`return slices.ContainsFunc(r.members.mayBeInForce(r.commitIndex), func`, `return slices.ContainsFunc(r.members.mayBeInForce(r.log.last), func`,
		"figure 4.6: who has the log is not to be elected, and the others cannot be: there is no leader any more"},
	{"learners-do-not-vote", "raft/members.go",
		`r.takesPart(func(Member) bool { return true })`, `r.mayStand()`,
		"who became a voter and has not heard of it yet holds up the election that would tell it"},
	{"catch-up-in-one-round", "raft/membership.go",
		`	p.roundEnd, p.roundBegan = r.log.last, r.ticks
`, `	p.roundEnd = r.log.last
`,
		"who does not catch up at once is never made a voter"},
	{"an-empty-disk-is-who-it-was", "raft/members.go",
		`|| m.Incarnation == 0 && began`, `|| began`,
		"a server that lost its disk has forgotten what it acknowledged, and counts"},
	{"come-back-as-it-left", "raft/members.go",
		`return member && p.leaving != 0`, `return member && p.leaving != 0 && p.matchIndex == 0`,
		"a member that comes back with an empty disk counts for what it once had"},
	{"snapshot-without-its-configuration", "raft/members.go",
		`[]ConfigurationAt{c.or(r.config.Configuration)}`, `[]ConfigurationAt{{Index: c.Index, Configuration: r.members.inForce().Configuration}}`,
		"who catches up by a snapshot goes by members of long ago"},

	// raft: changes of the members

	{"joint-skipped", "raft/membership.go",
		`return now.entered().retarget(late, Voter), true`, `return now.entered().left().retarget(late, Voter), true`,
		"figure 4.2: old and new voters decide apart"},
	{"joint-left-before-its-commit", "raft/membership.go",
		`if c.Index > r.commitIndex || r.commitIndex < r.proposals.termFirst {`, `if r.commitIndex < r.proposals.termFirst {`,
		"the new voters commit alone what the old ones never heard of"},
	{"joint-of-an-earlier-leader-left", "raft/membership.go",
		`if c.Index > r.commitIndex || r.commitIndex < r.proposals.termFirst {`, `if c.Index > r.commitIndex {`,
		"a leader goes on from a configuration before it has committed anything itself"},
	{"joint-left-by-who-entered-it", "raft/membership.go",
		`	case c.Joint():
		r.appendConfiguration(c.left())`, `	case c.Joint() && c.Index < r.proposals.termFirst:
	case c.Joint():
		r.appendConfiguration(c.left())`,
		"a leader dies in a joint configuration, and no change is ever made again"},
	{"change-before-the-first-commit", "raft/membership.go",
		`	case r.commitIndex < r.proposals.termFirst:
		// Before`, `	case r.log.last < r.proposals.termFirst:
		// Before`,
		"a change stands beside one of an earlier leader that may yet be committed"},
	{"change-decided-on-what-was", "raft/membership.go",
		`case c.Base != now.Change:`, `case c.Base != now.Change && now.Joint():`,
		"two administrators undo each other's changes, and members that nobody wanted remain"},
	{"catch-up-skipped", "raft/membership.go",
		`case !r.isCaughtUp(p), p.matchIndex < r.members.inForce().Index:`, `case p.nextIndex == 0:`,
		"a new voter without the log: one more failure, and nothing is committed until it has it all"},
	{"removed-leader-stays", "raft/membership.go",
		`r.resign() // only now`, `r.departPeers() // only now`,
		"a server that is no member leads for ever"},

	// raft: reads and leases

	{"read-before-the-first-commit", "raft/read.go",
		`if r.commitIndex < r.proposals.termFirst {`, `if r.log.last < r.proposals.termFirst {`,
		"a new leader answers with what was before the last leader's commits"},
	{"read-without-a-majority", "raft/read.go",
		`if !r.members.quorum.has(returned) {`, `if !r.members.quorum.has(returned) && r.transfer.to == r.config.ID {`,
		"a leader that was deposed and does not know it answers reads"},
	{"read-by-an-older-round", "raft/read.go",
		`r.peer(id).readSeq >= s.number`, `r.peer(id).readSeq+1 >= s.number`,
		"an acknowledgement of before the read confirms it"},
	{"read-index-is-what-is-applied", "raft/read.go",
		`s.number, s.index = s.round, r.commitIndex`, `s.number, s.index = s.round, r.lastApplied`,
		"a read misses writes that were acknowledged elsewhere"},
	{"read-takes-a-late-answer", "raft/read.go",
		`if len(s.asked) == 0 || m.Seq != s.lastSeq {`, `if len(s.asked) == 0 {`,
		"a copy of an earlier answer serves a later read"},
	{"read-numbers-begin-anew", "raft/raft.go",
		`	r.reads.lastSeq = config.Epoch
`, ``,
		"an answer to a read of before the restart serves one of after it"},
	{"lease-from-the-receipt", "raft/lease.go",
		`begun.at+r.config.Lease)`, `r.lease.now+r.config.Lease)`,
		"a lease goes on after the promise that it rests on"},
	{"lease-before-the-first-commit", "raft/lease.go",
		`case r.commitIndex < r.proposals.termFirst:`, `case r.log.last < r.proposals.termFirst:`,
		"a new leader answers with what was before the last leader's commits"},
	{"lease-by-an-older-round", "raft/lease.go",
		`begun.seq <= m.ReadSeq {`, `begun.seq <= m.ReadSeq+1 {`,
		"a lease goes on after the promise that it rests on"},
	{"lease-as-long-as-the-promise", "raft/lease.go",
		`begun.at+r.config.Lease)`, `begun.at+r.config.Promise)`,
		"the leader's clock is slow, and it answers reads while another leads"},
	{"lease-of-the-new-voters-alone", "raft/lease.go",
		`return r.members.quorum.has(func(id NodeID) bool { return id == r.config.ID || l.now`,
		`return hasMajority(r.members.quorum.voters, func(id NodeID) bool { return id == r.config.ID || l.now`,
		"the old voters elect another one who has not heard of the change, and the leader answers reads"},
	{"lease-by-what-was-sent-before-a-sleep", "raft/lease.go",
		`	r.lease.rounds = nil
	for`, `	for`,
		"a machine wakes up, hears what it was answered before it slept, and answers reads"},
	{"strict-read-under-a-lease", "raft/read.go",
		`r.role == Leader && lease && r.holdsLease()`, `r.role == Leader && r.holdsLease()`,
		"a clock jumps, and reads that rest on no clock are stale"},
	{"strict-read-asked-as-if-it-were-not", "raft/read.go",
		`s.lease, s.strict = !s.strict, false`, `s.lease, s.strict = len(s.asked) > 0, false`,
		"a clock jumps, and a follower's reads that rest on no clock are stale"},
	{"lost-read-is-not-repeated", "raft/read.go",
		`if len(s.asked) > 0 && r.ticks`, `if len(s.asked) > readsQueuedMax && r.ticks`,
		"one message is lost, and no read of that member is answered any more"},
	{"lease-over-a-transfer", "raft/lease.go",
		`case r.commitIndex <= l.handed:`, `case r.commitIndex < l.handed:`,
		"who was asked to stand for election wins it, while the old leader answers reads"},
	{"lease-over-a-sleep", "raft/lease.go",
		`func (r *Raft) Slept() { r.voidLease() }`, `func (r *Raft) Slept() {}`,
		"a machine wakes up, and answers reads under a lease of before it slept"},
	{"lease-by-shorter-promises", "raft/lease.go",
		`if r.config.Lease == 0 || m.Promise < r.config.Promise {`, `if r.config.Lease == 0 {`,
		"a lease rests on promises that nobody gave"},
	{"lease-again-when-a-transfer-ends", "raft/transfer.go",
		`		r.transfer = transfer{}
		r.event`, `		r.transfer, r.lease.handed = transfer{}, 0
		r.event`,
		"who was asked to stand for election does so late, while the old leader answers reads"},
	{"promise-ends-with-the-connection", "raft/raft.go",
		`		r.leaderUnreachable = true
`, `		r.leaderUnreachable, r.lease.promised = true, 0
`,
		"a connection breaks, and a server votes while its leader counts on it"},
	{"promise-of-one-term", "raft/raft.go",
		`	r.votedFor = 0 // a vote belongs`, `	r.lease.promised = 0
	r.votedFor = 0 // a vote belongs`,
		"a server hears of a later term, and votes while its leader counts on it"},
	{"promise-binds-only-towards-others", "raft/raft.go",
		`r.electionElapsed >= r.electionTimeout && !r.awaitPromise() {`, `r.electionElapsed >= r.electionTimeout {`,
		"a server elects itself while its leader counts on it"},
	{"promise-cut-short", "raft/lease.go",
		`r.lease.now+r.config.Promise)`, `r.lease.now+r.config.Promise/4)`,
		"a server votes while its leader counts on it"},
	{"promise-forgotten-at-a-restart", "raft/lease.go",
		`l.told, l.promised = true, now+r.config.Promised`, `l.told = true`,
		"a server restarts and votes while its leader counts on it"},

	// raft: transfers, stuck disks, forwarding, snapshots

	{"late-timeout-now", "raft/transfer.go",
		`r.leader == from && r.log.last == m.LastLogIndex &&`, `r.leader == from &&`,
		"an election that no promise holds back, long after the transfer was given up"},
	{"transfer-without-an-end", "raft/transfer.go",
		`t.to != 0 && r.ticks-t.since >= uint64(r.config.ElectionTicks)`, `t.to != 0 && r.ticks-t.since >= 1<<40`,
		"the target dies, and no write is taken any more"},
	{"transfer-outlives-the-office", "raft/raft.go",
		`	r.transfer = transfer{}
`, ``,
		"a leader that is deposed while it hands over never takes a command again"},
	{"append-during-a-transfer", "raft/proposal.go",
		`case r.transfer.to != 0:`, `case r.transfer.to == r.config.ID:`,
		"the target never catches up, and the lead is never handed over"},
	{"leader-with-a-stuck-disk-stays", "raft/stall.go",
		`case age >= patience && r.commitIndex > r.disk.index:`, `case age >= patience<<40 && r.commitIndex > r.disk.index:`,
		"a leader commits and applies nothing: its clients wait for ever"},
	{"forwarded-twice", "raft/forward.go",
		`case m.Seq <= s.taken:`, `case m.Seq < s.taken:`,
		"a copy on the network is a command that is executed twice"},
	{"forwarded-over-a-gap", "raft/forward.go",
		`case m.Seq > s.taken+1:`, `case m.Seq > s.taken+2:`,
		"a command that was lost is said to be in the log"},
	{"who-was-removed-is-believed", "raft/forward.go",
		`(member || m.Stream != s.stream)`, `member`, "what a removed member passes on from its next folder is executed twice"},
	{"stream-forgotten-with-its-folder", "raft/forward.go",
		`			s.folder = is.Incarnation
		}
`, `			s.folder = is.Incarnation
		} else if is, _ := c.Member(s.from); is.Incarnation != 0 && is.Incarnation != s.folder {
			*s = inStream{from: s.from, folder: is.Incarnation}
		}
`,
		"a command that was executed is said never to have been taken, and is executed again"},
	{"folder-of-a-stream-never-told", "raft/members.go",
		"	r.inflow.followMembers(c.Configuration)\n", ``,
		"what a member forwards that came back with an empty folder is never answered"},
	{"forwarded-in-another-life", "raft/forward.go",
		`if m.Term <= r.inflow.forgotten {`, `if m.Term < r.inflow.forgotten {`,
		"a leader that restarts refuses what it took: it is executed twice"},
	{"forward-window-never-opens", "raft/forward.go",
		`		f.bytes -= f.kept[n].bytes
`, ``,
		"a follower that has passed on enough takes no command any more"},
	{"lost-forward-is-not-repeated", "raft/forward.go",
		`if len(f.kept) > 0 && r.ticks-f.askedAt >= f.wait {`, `if len(f.kept) > 1<<20 && r.ticks-f.askedAt >= f.wait {`,
		"one message is lost, and writes wait for ever"},
	{"stream-of-another-folder", "raft/forward.go",
		`if s.from == from && (s.folder == folder || s.folder == 0 || folder == 0) {`, `if s.from == from {`,
		"a member that comes back with an empty disk writes nothing until the term ends"},
	{"snapshot-drops-what-follows", "raft/snapshot.go",
		`case r.log.has(term, index):`, `case r.log.has(term, index) && index == r.log.last:`,
		"what was acknowledged behind the snapshot is gone"},
	{"snapshot-and-saves-under-way", "raft/snapshot.go",
		`for k := range d.saves {`, `for k := range d.saves[:0] {`,
		"entries behind the snapshot count as durable because the log before it was"},
	{"snapshot-and-what-was-to-be-applied", "raft/snapshot.go",
		`	r.effects.Apply = nil // not begun, and part of the snapshot
`, ``,
		"entries are executed a second time, on top of the snapshot that has them"},
	{"old-snapshot-installed", "raft/snapshot.go",
		`case index <= r.commitIndex:`, `case index < r.log.first:`,
		"a state machine goes back in time"},
	{"snapshot-asked-for-once", "raft/snapshot.go",
		`p != nil && p.snapshot {`, `p != nil && p.snapshot && p.matchIndex >= r.log.first {`,
		"a stream breaks, and the member that lags never comes back"},

	{"snapshot-of-an-earlier-leader", "raft/snapshot.go",
		`	if m.Term < r.currentTerm {
		r.sendWhenTermDurable(from`, `	if m.Term < r.currentTerm && r.role == Leader {
		r.sendWhenTermDurable(from`,
		"who was deposed is taken for the leader of the term, and acknowledged what another one never had"},
	{"acknowledges-behind-the-snapshot", "raft/snapshot.go",
		`r.ack.match = max(r.ack.match, index)`, `r.ack.match = r.log.last`,
		"what an earlier leader left behind the snapshot counts as the leader's own"},
	{"install-without-a-reset", "raft/snapshot.go",
		`d.index, d.lastHanded, d.reset = index, index, true`, `d.index, d.lastHanded, d.reset = index, index, d.handed.CurrentTerm == 0`,
		"the disk keeps the log that the snapshot has replaced"},

	// raft: as an expert in it would break it

	{"match-survives-the-office", "raft/raft.go",
		`	r.peers, r.votesGranted, r.votesRefused = nil, nil, nil
`, `	r.votesGranted, r.votesRefused = nil, nil
`, "what followers had in one leadership counts in the next"},
	{"higher-term-in-a-reply-ignored", "raft/replication.go",
		`	r.updateTerm(m.Term)
	p := r.peer(from)`, `	p := r.peer(from)`, "a deposed leader is told so, and goes on"},
	{"higher-term-in-a-snapshot-ignored", "raft/snapshot.go",
		`	r.updateTerm(m.Term)

	// 1. Reply immediately`, `	// 1. Reply immediately`, "a snapshot of a later leader is taken in an earlier term"},
	{"heartbeat-waits-for-the-disk", "raft/replication.go",
		`case !r.ack.pending || len(m.Entries) == 0 || newRound || again:`, `case !r.ack.pending || newRound || again && len(m.Entries) > 0:`, "a follower with a slow disk counts as dead"},
	{"heartbeat-taken-for-news", "raft/replication.go",
		`len(m.Entries) == 0 && r.commitIndex > before && known`, `len(m.Entries) == 0 && r.commitIndex >= before && known`, "a leader hears nobody while there are no commands, and resigns"},
	{"window-without-a-bound", "raft/replication.go",
		`p.inflightBytes < r.config.InflightBytesMax && !p.loading`, `!p.loading`, "a follower that is slow is sent all of the log, and queues fill up"},
	{"commands-without-a-bound", "raft/proposal.go",
		`if r.proposals.uncommitted > 0 && r.proposals.uncommitted+size > r.config.UncommittedBytesMax {`, `if size > r.config.UncommittedBytesMax<<8 {`, "a leader that is cut off takes on commands until its memory is full"},
	{"durable-is-the-latest-term", "raft/durable.go",
		`d.term = d.saves[n].hardState`, `d.term = r.hardState()`, "a vote is sent when an earlier save is done"},
	{"joint-taken-back-to-the-wrong-half", "raft/membership.go",
		`now.Configuration = now.abandoned()`, `now.Configuration = now.left()`, "new voters go on alone, and were never agreed on"},
	{"as-many-voters-are-the-same", "raft/membership.go",
		`slices.Equal(c.Voters(), next.Voters())`, `len(c.Voters()) == len(next.Voters())`, "one voter in another's place is no joint configuration"},
	{"promoted-without-a-folder", "raft/membership.go",
		`case m.Incarnation == 0:`, `case m.Incarnation == 0 && p.nextIndex == 0:`, "a voter loses its disk, and nobody can tell"},
	{"pinned-while-joint", "raft/membership.go",
		`if c.Joint() || !slices`, `if !slices`, "a joint configuration is moved, and taken back when it must not be"},
	{"read-joins-the-round-under-way", "raft/read.go",
		`	s.next = append(s.next, rd)
}`, `	if len(s.current) > 0 {
		s.current = append(s.current, rd)
		return
	}
	s.next = append(s.next, rd)
}`, "a read is confirmed by a round that began before it"},
	{"read-joins-the-request-under-way", "raft/read.go",
		`	default:
		s.waiting = append(s.waiting, id)
`, `	case len(s.asked) > 0 && !lease:
		s.asked = append(s.asked, id)
	default:
		s.waiting = append(s.waiting, id)
`, "a follower's read is answered by an index that is older than it"},
	{"read-numbers-begin-anew-with-a-role", "raft/read.go",
		`*s = reads{lastSeq: s.lastSeq}`, `*s = reads{lastSeq: r.config.Epoch}`, "an answer to a read of an earlier term serves another"},
	{"last-read-decides-on-the-lease", "raft/read.go",
		`s.strict = s.strict || !lease`, `s.strict = !lease`, "a read that must not rest on clocks does"},
	{"forwarded-during-a-transfer", "raft/forward.go",
		`case r.transfer.to != 0:`, `case r.transfer.to == s.from:`, "a leader that hands over goes on to append what is forwarded"},
	{"forwarded-in-an-ended-stream", "raft/forward.go",
		`case m.Term < s.term || m.Term == s.term && m.Stream < s.stream:
		return // its stream has ended
	case m.Term > s.term || m.Stream > s.stream:`, `case m.Term < s.term:
		return // its stream has ended
	case m.Term > s.term || m.Stream != s.stream:`, "a late copy of an ended stream is executed again"},
	{"left-alone-with-a-read", "raft/members.go",
		`		r.confirmReads()       // and`, `		// and`, "a cluster shrinks to one server, and no read is answered any more"},
	{"joint-leader-by-the-new-alone", "raft/election.go",
		`if !r.members.quorum.has(heard) {`, `if !hasMajority(r.members.quorum.voters, heard) {`, "a leader that the old voters do not hear keeps its clients waiting for ever"},
	{"refused-change-begun-by-a-copy", "raft/membership.go",
		`for i := range r.refusals {`, `for i := range r.refusals[:0] {`, "a change that was said to be refused is made later"},
	{"installed-without-its-members", "raft/snapshot.go",
		`	r.resetConfigurations(ConfigurationAt{Index: index, Configuration: c})
`, `	r.members.history[0].Index = min(index, ConfigurationAt{Index: index, Configuration: c}.Index)
`, "who was restored goes by the members of before"},

	// host

	{"session-answered-twice", "host/session.go",
		`n, found := s.find(c.Serial)
	if found {`, `n, found := s.find(c.Serial)
	if found && s.answers[n].state == answerKept {`,
		"a command whose answer was lost is executed again"},
	{"session-forgets-too-little", "host/session.go",
		`if c.Serial < s.wanted {
		return verdictForgotten, nil
	}`, `if c.Serial+1 < s.wanted {
		return verdictForgotten, nil
	}`,
		"a late copy of a command whose answer is not wanted any more is executed again"},
	{"session-answers-not-in-snapshots", "host/session_snapshot.go",
		`for _, a := range s.answers {
			answers = append(answers, *a)`, `for _, a := range s.answers[min(1, len(s.answers)):] {
			answers = append(answers, *a)`,
		"who was restored from a snapshot executes a command twice"},
	{"session-that-expired-says-no", "host/session_apply.go",
		`fmt.Errorf("%w: %w", ErrUnknownOutcome, ErrSessionExpired)) // it may`, `fmt.Errorf("%w: %w", ErrNotCommitted, ErrSessionExpired)) // it may`,
		"a client is told that its command was not executed, and it was"},
	{"executed-again-after-a-restart", "host/durable.go",
		`g.entries[n].Index <= g.kept {`, `g.entries[n].Index < g.kept {`,
		"a state machine that keeps its state executes a command twice"},
	{"snapshot-of-what-is-not-synced", "host/durable.go",
		`if g.durable == nil {`, `if g.durable == nil || g.kept == 0 {`,
		"the log is compacted, the power fails, and the state is gone"},
	{"read-before-it-is-applied", "host/read.go",
		`s.ready[0].index <= g.applied {`, `s.ready[0].index <= g.applied+1 {`,
		"a follower answers a read without the last write"},
	{"read-that-is-too-old", "host/read.go",
		`now-s.fresh.at <= r.level.age:`, `now-s.fresh.at <= 2*r.level.age:`,
		"a read is older than its caller bears"},
	{"fresh-when-it-was-answered", "host/read.go",
		`s.fresh.known, s.fresh.at = true, r.at`, `s.fresh.known, s.fresh.at = true, g.host.shard.now`,
		"how old a read is is measured from the answer and not from the question"},
	{"fresh-over-a-sleep", "host/read.go",
		`g.readers.fresh.known, g.readers.slept = false, now`, `g.readers.slept = 0`,
		"a machine wakes up and takes what it read yesterday for new"},
	{"fresh-by-a-lease", "host/read.go",
		`if !r.lease && r.at >= s.slept`, `if r.at >= s.slept`,
		"a clock jumps, and reads are older than their callers bear"},
	{"promise-of-before-forgotten", "host/promise.go",
		`	if promise <= longest {
		return longest, nil`, `	if promise <= longest {
		return promise, nil`,
		"a server restarts with a shorter promise, and votes while its leader counts on the longer one"},
	{"lost-folder-let-in", "host/admission.go",
		`m.Incarnation != incarnation && takesPart {`, `m.Incarnation != incarnation && takesPart && !member {`,
		"a member that has lost its disk comes back and counts"},
	{"who-leaves-lets-anybody-in", "host/admission.go",
		`self.Incarnation == 0 && g.began) || g.takesPart.Load()`, `self.Incarnation == 0 && g.began)`,
		"one that leaves is elected by a folder that a member has lost, beside the leader"},
	{"vouched-for-is-voted-for", "host/vouch.go",
		`return m.Incarnation != 0 && m.Incarnation != of.Incarnation`, `return m.Incarnation == 0 && m.Incarnation != of.Incarnation`,
		"a vote that was given to one folder counts for the other"},
	{"vouch-for-one-of-them", "host/vouch.go",
		`return of.ID == said.ID })
`, `return true })
`,
		"of two leaders that came back with other folders the first is refused again"},
	{"vouch-ends-unasked", "host/members.go",
		`	case ended:
		g.host.transport.Recheck()
`, `	case ended:
`,
		"a folder that was let in to lead, and was removed since, votes and acknowledges"},
	{"vouch-for-ever", "host/vouch.go",
		`return of.Index <= commit }`, `return of.Index == 0 }`,
		"a member that comes back once more is refused by who was told of its folder before"},
	{"removed-by-what-may-be-undone", "host/change.go",
		`known := inForce.Index == g.committed.Index`, `known := inForce.Index >= g.committed.Index`,
		"members stop because of a change that was never made"},
	{"change-told-before-its-end", "host/change.go",
		`case at.Change == c.change.ID && at.AtRest():`, `case at.Change == c.change.ID:`,
		"a server is switched off that is still needed"},
	{"log-never-compacted", "host/compaction.go",
		`return c.total-c.since >= max(`, `return c.total-c.since >= 1<<20*max(`,
		"the disk fills up"},
	{"chunk-that-was-lost", "host/sender.go",
		`if now-max(st.moved, st.retried) > streamRetry && st.sent > st.there {`, `if now-max(st.moved, st.retried) > 2*streamTimeout && st.sent > st.there {`,
		"one message is lost, and a snapshot takes half a minute more"},
	{"stream-that-ended-keeps-its-file", "host/sender.go",
		`func (s *Sender) end(st *stream) bool {
	st.file.Close()
`, `func (s *Sender) end(st *stream) bool {
`,
		"a snapshot that was sent once is never removed: the disk fills up"},
	{"log-never-prepared", "host/writer.go",
		`	w.host.preparer.poke()
`, ``,
		"no segment is ever given back: the disk fills up"},
	{"snapshot-received-and-not-kept", "host/receiver.go",
		`if err := in.receiver.Commit(); err != nil {`, `if err := in.receiver.Close(); err != nil {`,
		"the log is reset to a snapshot that is not there"},
	{"failed-transfer-is-kept", "host/receiver.go",
		`		g.incoming.drop()
		offset = 0`, `		offset = 0`,
		"a snapshot that could not be received counts as received"},
	{"compacted-although-the-snapshot-failed", "host/snapshotter.go",
		`		s.host.logger.Warn("a snapshot could not be written; the log is kept", "group", uint64(g.id), "index", uint64(m.Index), "error", err)
		return
	}`, `		s.host.logger.Warn("a snapshot could not be written; the log is kept", "group", uint64(g.id), "index", uint64(m.Index), "error", err)
	}`,
		"the disk is full, and there is neither log nor snapshot"},
	{"configuration-of-a-snapshot-not-told", "host/applier.go",
		`	g.tellConfiguration(s.Index)
	again := g.skipped`, `	again := g.skipped`,
		"who waits for a change of the members waits for ever, though it is made"},
	{"session-wants-not-in-snapshots", "host/session_snapshot.go",
		`pinnedSession{id: s.id, wanted: s.wanted,`, `pinnedSession{id: s.id, wanted: s.wanted / 2,`,
		"who was restored from a snapshot executes a late copy that the others refuse"},
	{"session-limits-not-in-snapshots", "host/session_snapshot.go",
		`p := pinnedSessions{limits: t.limits,`, `p := pinnedSessions{limits: newSessions().limits,`,
		"who was restored from a snapshot forgets other sessions than the others do"},
	{"start-keeps-what-a-snapshot-contradicts", "host/recover.go",
		`return m.Index <= s.Last && term == m.Term`, `return m.Index <= s.Last && term > 0`,
		"a start goes on from a snapshot with entries of another history"},
	{"start-behind-a-snapshot-forgets-the-vote", "host/recover.go",
		`if s.HardState.CurrentTerm < m.Term {`, `if s.HardState.CurrentTerm <= m.Term {`,
		"a server that dies with a new snapshot votes a second time in its term"},
	{"start-drops-what-follows-the-snapshot", "host/recover.go",
		`if !holds(state, newest) {`, `if !holds(state, newest) || state.Last == newest.Index+1 {`,
		"what was acknowledged behind the snapshot is gone after a restart"},
	{"start-without-the-configurations", "host/recover.go",
		`if e.Type != raft.EntryConfiguration {`, `if e.Type != raft.EntryConfiguration || e.Index > s.Applied {`,
		"a server restarts with members of long ago"},
	{"failed-write-goes-on", "host/writer.go",
		`if err := w.save(); err != nil {`, `if err := w.save(); err != nil && w.host.Err() != nil {`,
		"the disk fails, and writes are acknowledged all the same"},
	{"proposed-again-in-its-term", "host/proposal.go",
		`p.term != 0 && p.term < t {`, `p.term != 0 && p.term <= t {`,
		"a command is proposed again while it is on its way: it is executed twice"},
	{"unknown-is-said-to-be-no", "host/proposal.go",
		`case p.term != 0:
		return ErrUnknownOutcome`, `case p.term != 0:
		return ErrNotCommitted`,
		"a client is told that its command was not executed, and it is"},
	{"skipped-is-said-to-be-no", "host/proposal.go",
		`g.finish(p, 0, ErrSkipped)`, `g.finish(p, 0, ErrNotCommitted)`,
		"a client is told that its command was not executed, and it is part of the snapshot"},
	{"old-refusal", "host/proposal.go",
		`case p == nil || p.term != r.Term:`, `case p == nil:`,
		"what was refused once and given again is taken back: it is executed twice"},

	{"proposal-of-another-origin", "host/proposal.go",
		`	if binary.LittleEndian.Uint64(header) != g.origin {
		return nil
	}
`, ``, "a caller is given the result of another member's command"},
	{"session-in-use-is-forgotten", "host/session.go",
		`	t.unlink(s)
	t.link(s)
	if c.Wanted`, `	if c.Wanted`, "a session expires that is in use"},
	{"sessions-restored-in-another-order", "host/session_snapshot.go",
		`for s := t.oldest; s != nil; s = s.newer {
		first`, `for s := t.newest; s != nil; s = s.older {
		first`, "sessions expire on one member that live on another"},
	{"wanted-not-in-snapshots", "host/session_snapshot.go",
		`pinnedSession{id: s.id, wanted: s.wanted, answers`, `pinnedSession{id: s.id, answers`, "who was restored executes what others refuse"},
	{"restored-to-before-what-it-kept", "host/applier.go",
		`err == nil && m.Index > g.kept {
		err = g.machine`, `err == nil {
		err = g.machine`, "a machine that is ahead goes back, and what it had executed is not executed again"},
	{"kept-behind-the-log", "host/durable.go",
		`		return false, nil
	}
	same = true`, `		return true, nil
	}
	same = true`, "a machine lacks commands that the log has no more"},
	{"epoch-that-was-given-before", "host/epoch.go",
		`epoch = max(epoch, last+epochStep)`, `epoch = max(epoch, last)`, "after the clock was set back a member's numbers come again"},
	{"aborted-read-asked-under-a-lease", "host/read.go",
		`			s.held = append(s.held, a.reads...)
`, `			s.leased = append(s.leased, a.reads...)
`, "a read that must not rest on clocks does, once its leader is gone"},
	{"taken-back-although-executed", "host/proposal.go",
		`	if p != nil {
		delete(g.waiting, p.id)
	}
	return p`, `	return p`,
		"a client gives up while its command is executed, and is told that it never will be"},
	{"reads-are-not-counted-off", "host/read.go",
		`	}
	g.readsWaiting.Add(-int64(len(reads)))`, `	}
	g.readsWaiting.Add(-int64(len(reads) / 2))`,
		"after some time a member takes no read any more"},
	{"queue-that-is-never-empty", "host/inbox.go",
		`q.items, q.bytes, q.poked = spare[:0], 0, false`, `q.items, q.poked = spare[:0], false`,
		"after some time a member hears nobody any more"},
	{"snapshots-are-kept", "host/snapshotter.go",
		`if err := h.snapshots.Prune(g.id, before); err != nil {`, `if err := h.snapshots.Prune(g.id, before/2); err != nil {`,
		"the disk fills up with snapshots that nobody needs"},
	{"snapshots-that-were-sent-are-kept", "host/snapshotter.go",
		`		s.host.pruneSnapshots(g, m.Index)
		return`, `		return`,
		"the disk of a member that lags again and again fills up"},

	// wal

	{"no-sync", "wal/log.go",
		`if err := s.file.Sync(); err != nil {`, `if err := error(nil); err != nil {`,
		"the power fails, and what was acknowledged is gone"},
	{"vote-not-written", "wal/save.go",
		`if is == was {`, `if is.CurrentTerm == was.CurrentTerm {`,
		"a vote is forgotten within its term"},
	{"reset-keeps-the-end", "wal/group.go",
		`if rec.Reset || rec.First > g.last {`, `if rec.First > g.last {`,
		"after a restart entries that a snapshot has replaced are back"},
	{"term-before-a-compacted-log-not-kept", "wal/group.go",
		`	g.first, g.baseTerm = rec.First, rec.BaseTerm
}`, `	g.first = rec.First
}`,
		"a compacted log cannot be read after a crash"},
	{"superseded-and-still-there", "wal/group.go",
		`	l.truncate(g, es[0].Index)
	l.retain`, `	l.retain`,
		"after a restart the log has entries that another leader had overwritten"},
	{"superseded-and-read-back", "wal/read.go",
		`if got[i].Index > p.last {`, `if got[i].Index > to {`,
		"a leader sends entries that were overwritten"},
	{"name-not-durable", "wal/segment.go",
		`return d.fs.SyncDir(d.dir)`, `return nil`,
		"the power fails, and a whole segment is gone"},
	{"header-not-durable", "wal/segment.go",
		`return s.file.Sync()`, `return nil`,
		"the power fails, and a segment is refused as damaged"},
	{"segment-removed-while-needed", "wal/prepare.go",
		`len(l.segments) == 1 || s.live > 0 || s.readers`, `len(l.segments) == 1 || s.readers`,
		"entries that members lack, or that are not applied, are gone"},
	{"spare-may-keep-its-header", "wal/prepare.go",
		`err = s.file.Sync()`, `err = nil`,
		"the power fails, and a segment that is used again is the one that it was"},
	{"last-frame-dropped", "wal/resume.go",
		`if h := r.held; h != nil {
		b :=`, `if h := r.held; h != nil && h.restates {
		b :=`,
		"what was acknowledged last is gone after a restart"},
	{"torn-is-taken-for-whole", "wal/frame.go",
		`f.seq == seq && frameCRC(b[:end], seed) == f.crc`, `f.seq == seq`,
		"half of a write is taken for all of it"},

	{"rot-is-taken-for-torn", "wal/recovery.go",
		`	if p, later := r.nextFrame(f, at, r.lsn); p >= 0 {`, `	if p, later := r.nextFrame(f, at, r.lsn); p >= 0 && i < 0 {`, "a damaged frame ends the log, and what was acknowledged behind it is gone"},
	{"header-unchecked", "wal/segment.go",
		`le.Uint64(b) != headerMagic ||
		le.Uint32(b[headerCRCAfter:]) != crc32.Checksum(b[:headerCRCAfter], castagnoli) {`, `le.Uint64(b) != headerMagic {`, "a torn header makes a segment another one"},
	{"recycled-before-its-name-is-gone", "wal/prepare.go",
		`	err := l.fs.Rename(l.path(segmentName(s.seq)), l.path(temp))
	if err == nil {
		err = l.fs.SyncDir(l.dir)
	}
`, `	err := l.fs.Rename(l.path(segmentName(s.seq)), l.path(temp))
`, "the power fails, and the log's first segment has no header"},
	{"removal-not-durable", "wal/prepare.go",
		`	if err == nil {
		err = l.fs.SyncDir(l.dir)
	}
	if err != nil {
		return l.fail(err)
	}
	l.mu.Lock()
	l.stats.Removed++`, `	if err != nil {
		return l.fail(err)
	}
	l.mu.Lock()
	l.stats.Removed++`, "the power fails, and a segment is missing between two others"},
	{"spare-renamed-and-not-synced", "wal/resume.go",
		`		return l.fs.SyncDir(l.dir)
	}
	if s.file, err`, `		return nil
	}
	if s.file, err`, "the power fails during a start, and a file that is half made is a segment"},
	{"read-back-unchecked", "wal/read.go",
		`if crc32.Checksum(b, castagnoli) == p.crc {`, `if crc32.Checksum(b, castagnoli) == p.crc || len(b) > 0 {`, "rot is read back, sent to others and executed"},

	{"forgotten-and-still-counted", "wal/group.go",
		`		l.release(g, g.spans[:n])
		g.spans`, `		g.spans`,
		"no segment is ever given back: the disk fills up"},
	{"superseded-and-still-counted", "wal/group.go",
		`	l.release(g, g.spans[n:])
`, ``,
		"segments whose entries were superseded are never given back: the disk fills up"},
	{"read-and-never-let-go", "wal/read.go",
		`	defer unpin(pieces)
`, ``,
		"one old entry is read, and no segment is given back any more: the disk fills up"},
	{"given-back-while-it-is-read", "wal/prepare.go",
		`s.live > 0 || s.readers.Load() > 0 {`, `s.live > 0 {`,
		"a member that reads old entries finds others in their place, and stops"},
	{"half-made-files-stay", "wal/resume.go",
		`	for _, name := range r.temps {
		if err`, `	for _, name := range r.temps {
		if name != temp {
			continue
		}
		if err`,
		"each start leaves the segments that were to be used again: the disk fills up"},
	{"never-vouched-for", "wal/log.go",
		`	l.unvouched = true
	l.publish(at)`, `	l.publish(at)`,
		"the log is idle, its end is damaged, and is taken for torn: what was acknowledged is gone"},
	{"start-does-not-vouch", "wal/resume.go",
		`	cut.syncedLSN = l.lsn
`, ``,
		"what a start has gone on from is damaged, and is taken for torn by the next one"},
	{"lost-header-is-taken-for-unused", "wal/recovery.go",
		`if p, fr := r.nextFrame(f, blockBytes, 0); p >= 0 {`, `if p, fr := r.nextFrame(f, blockBytes, 0); p >= f.size {`,
		"the last segment's header is damaged, and all that was acknowledged in it is gone"},

	// snapshot

	{"snapshot-not-synced", "snapshot/writer.go",
		`if err := w.file.Sync(); err != nil {`, `if err := error(nil); err != nil {`,
		"the log is compacted, the power fails, and there is neither log nor snapshot"},
	{"snapshot-name-not-durable", "snapshot/store.go",
		`if err := s.fs.SyncDir(s.dir); err != nil {`, `if err := error(nil); err != nil {`,
		"the log is compacted, the power fails, and there is neither log nor snapshot"},
	{"found-name-not-durable", "snapshot/store.go",
		`if err := fsys.SyncDir(dir); err != nil {`, `if err := error(nil); err != nil {`,
		"a snapshot that was found at the start is gone after the next crash, and the log before it, too"},
	{"received-snapshot-not-synced", "snapshot/receiver.go",
		`if err := r.file.Sync(); err != nil {
		return r.fail(err)`, `if err := error(nil); err != nil {
		return r.fail(err)`,
		"a snapshot was received, the power fails, and there is neither log nor snapshot"},
	{"part-trusted-too-far", "snapshot/receiver.go",
		`trusted = r.boundary(has)`, `trusted = has`,
		"a transfer goes on from bytes that never reached the disk"},
	{"part-pruned-while-it-comes", "snapshot/store.go",
		`pt != nil && !pt.open && pt.place.index < keep`, `pt != nil && pt.place.index < keep`,
		"a snapshot is removed while it is received"},
	{"newest-snapshot-pruned", "snapshot/store.go",
		`if i >= newest || p.index >= keep || s.claimed[p] {`, `if i > newest || p.index > keep || s.claimed[p] {`,
		"the log is compacted, and the snapshot is removed that replaces it"},
	{"block-unchecked", "snapshot/scan.go",
		`if crc != binary.LittleEndian.Uint32(b[4:]) {`, `if crc == 0 && binary.LittleEndian.Uint32(b[4:]) == 0 {`, "a damaged snapshot is restored"},
	{"received-and-not-checked-again", "snapshot/receiver.go",
		`	if err := all.run(); err != nil {
		return r.fail(err)
	}
	r.err = ErrClosed`, `	if err := all.run(); err == errMore {
		return r.fail(err)
	}
	r.err = ErrClosed`, "a snapshot that was damaged while it came counts as there"},
	{"named-and-still-claimed", "snapshot/store.go",
		`	defer s.release(m.place())
	err := file`, `	err := file`,
		"no snapshot is ever removed: the disk fills up"},
	{"unfinished-snapshots-stay", "snapshot/store.go",
		`		return s.removeFile(name)
	case partSuffix:`, `		return nil
	case partSuffix:`,
		"each process that dies while it writes a snapshot leaves a file: the disk fills up"},
}
