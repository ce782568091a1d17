package raft

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// figure is Figure 3.1 of the thesis (Figure 2 of the paper), rule by rule: in its words, with the function that implements it and
// the transcript that shows it; and the receiver's steps of Figure 5.3. Figure 3.2, the properties, is checked after every step of every transcript, in checks_test.go.
var figure = []struct{ part, rule, function, transcript string }{
	{"state", "persistent: currentTerm and votedFor, updated on stable storage before responding to RPCs",
		"Raft.sendWhenTermDurable", "E1_vote_not_durable_before_the_reply"},
	{"state", "persistent: log[], updated on stable storage before responding to RPCs",
		"Raft.acknowledge", "R18_ack_before_the_sync_by_an_empty_request"},
	{"state", "commitIndex is initialized to 0, increases monotonically",
		"New", "R22_commit_in_heartbeats"},
	{"state", "lastApplied is initialized to 0, increases monotonically",
		"Raft.Applied", "C4_pages_of_applied_entries"},
	{"state", "nextIndex[] is initialized to leader last log index + 1, matchIndex[] to 0",
		"Raft.becomeLeader", "fig3.6_follower_logs_repaired"},

	{"all servers", "If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] to state machine",
		"Raft.apply", "C4_pages_of_applied_entries"},
	{"all servers", "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to follower",
		"Raft.updateTerm", "s3.3_older_terms"},

	{"followers", "Respond to RPCs from candidates and leaders",
		"Raft.Receive", "s3.4_election_won"},
	{"followers", "If election timeout elapses without receiving AppendEntries RPC from current leader or granting vote to candidate: convert to candidate",
		"Raft.Tick", "s3.4_election_won"},

	{"candidates", "On conversion to candidate, start election: increment currentTerm, vote for self, reset election timer, send RequestVote RPCs to all other servers",
		"Raft.startElection", "s3.4_election_won"},
	{"candidates", "If votes received from majority of servers: become leader",
		"Raft.electionWon", "E5_votes_counted_instead_of_voters"},
	{"candidates", "If AppendEntries RPC received from new leader: convert to follower",
		"Raft.onAppendEntries", "s3.4_candidate_follows_the_winner"},
	{"candidates", "If election timeout elapses: start new election",
		"Raft.Tick", "s3.4_split_vote"},

	{"leaders", "Upon election: send initial empty AppendEntries RPC (heartbeat) to each server; repeat during idle periods to prevent election timeouts",
		"Raft.tickLeader", "s3.4_election_won"},
	{"leaders", "If command received from client: append entry to local log, respond after entry applied to state machine",
		"Raft.Propose", "s3.4_election_won"},
	{"leaders", "If last log index >= nextIndex for a follower: send AppendEntries RPC with log entries starting at nextIndex",
		"Raft.replicate", "s10.2.2_pipelining"},
	{"leaders", "If successful: update nextIndex and matchIndex for follower",
		"Raft.onMatch", "s10.2.2_pipelining"},
	{"leaders", "If AppendEntries fails because of log inconsistency: decrement nextIndex and retry",
		"Raft.onConflict", "s3.5_finding_where_logs_agree"},
	{"leaders", "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and log[N].term == currentTerm: set commitIndex = N",
		"Raft.advanceCommitIndex", "fig3.7_old_term_not_committed_by_counting"},

	{"RequestVote", "1. Reply false if term < currentTerm",
		"Raft.onRequestVote", "s3.3_older_terms"},
	{"RequestVote", "2. If votedFor is null or candidateId, and candidate's log is at least as up-to-date as receiver's log, grant vote",
		"Raft.onRequestVote", "E7_up_to_date_is_term_then_length"},

	{"AppendEntries", "1. Reply false if term < currentTerm",
		"Raft.onAppendEntries", "s3.3_older_terms"},
	{"AppendEntries", "2. Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm",
		"Raft.onAppendEntries", "R5_reordered_requests"},
	{"AppendEntries", "3. If an existing entry conflicts with a new one (same index but different terms), delete the existing entry and all that follow it",
		"Raft.appendMissing", "R4_tail_kept_at_a_conflict"},
	{"AppendEntries", "4. Append any new entries not already in the log",
		"Raft.appendMissing", "R3_truncation_without_a_conflict"},
	{"AppendEntries", "5. If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)",
		"Raft.onAppendEntries", "R1_commit_past_the_last_match"},

	// Figure 5.3; steps 2 to 5, about chunks, are the hosts'.
	{"InstallSnapshot", "1. Reply immediately if term < currentTerm",
		"Raft.onInstallSnapshot", "fig5.3_snapshot_of_an_older_term"},
	{"InstallSnapshot", "6. If existing log entry has same index and term as lastIndex and lastTerm, discard log up through lastIndex (but retain any following entries) and reply",
		"Raft.onInstallSnapshot", "fig5.3_entries_behind_the_snapshot_stay"},
	{"InstallSnapshot", "7. Discard the entire log",
		"Raft.install", "N2_conflicting_suffix_goes"},
	{"InstallSnapshot", "8. Reset state machine using snapshot contents (and load lastConfig as cluster configuration)",
		"Raft.install", "fig5.3_install_on_an_empty_log"},
}

// TestPaper: every rule of the figure has its function and its transcript.
func TestPaper(t *testing.T) {
	functions := functionsOf(t)
	for _, row := range figure {
		if !functions[row.function] {
			t.Errorf("%s: %s\nthere is no function %s", row.part, row.rule, row.function)
		}
		if _, err := os.Stat(filepath.Join("testdata", row.transcript+".txt")); err != nil {
			t.Errorf("%s: %s\n%v", row.part, row.rule, err)
		}
	}
}

// functionsOf is the functions of this package outside its tests: New, Raft.Propose.
func functionsOf(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				names[receiver(f)+f.Name.Name] = true
			}
		}
	}
	return names
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	expr := f.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	return expr.(*ast.Ident).Name + "."
}
