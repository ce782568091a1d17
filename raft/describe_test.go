package raft

import (
	"fmt"
	"strings"
)

// nameOf is how transcripts call a message's kind. Pre-votes have names of their own.
func nameOf(m Message) string {
	switch m := m.(type) {
	case RequestVote:
		if m.PreVote {
			return "PreVote"
		}
	case RequestVoteReply:
		if m.PreVote {
			return "PreVoteReply"
		}
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", m), "raft.")
}

// describe is a message in one line.
func describe(m Message) string {
	return nameOf(m) + " " + describeFields(m)
}

func describeFields(m Message) string {
	switch m := m.(type) {
	case RequestVote:
		s := fmt.Sprintf("t%d, log ends in %s", m.Term, at(m.LastLogIndex, m.LastLogTerm))
		if m.Transfer {
			s += ", as its leader asked"
		}
		return s
	case RequestVoteReply:
		if m.VoteGranted {
			return fmt.Sprintf("t%d granted", m.Term)
		}
		s := fmt.Sprintf("t%d refused", m.Term)
		if m.Founded {
			s += ", the cluster has begun"
		}
		if m.Stranger != 0 {
			s += ", to a stranger"
		}
		if m.Leader.ID != 0 {
			s += fmt.Sprintf(", n%d leads with folder %d since configuration %d", m.Leader.ID, m.Leader.Incarnation, m.Leader.Index)
		}
		return s
	case AppendEntries:
		s := fmt.Sprintf("t%d after %s commit %d", m.Term, at(m.PrevLogIndex, m.PrevLogTerm), m.LeaderCommit)
		if m.ReadSeq > 0 {
			s += fmt.Sprintf(" read round %d", m.ReadSeq)
		}
		if len(m.Entries) > 0 {
			s += ": " + describeEntries(m.Entries)
		}
		return s
	case AppendEntriesReply:
		s := ""
		switch {
		case m.Success:
			s = fmt.Sprintf("t%d match %d", m.Term, m.MatchIndex)
		case m.ConflictTerm > 0:
			s = fmt.Sprintf("t%d refused after %d, has t%d from %d on", m.Term, m.PrevLogIndex, m.ConflictTerm, m.ConflictIndex)
		case m.ConflictIndex > 0:
			s = fmt.Sprintf("t%d refused after %d, log ends before %d", m.Term, m.PrevLogIndex, m.ConflictIndex)
		default:
			s = fmt.Sprintf("t%d refused", m.Term)
		}
		if m.ReadSeq > 0 {
			s += fmt.Sprintf(", read round %d", m.ReadSeq)
		}
		if m.Promise > 0 {
			s += fmt.Sprintf(", promises %d", m.Promise)
		}
		return s
	case TimeoutNow:
		return fmt.Sprintf("t%d, log ends in %d", m.Term, m.LastLogIndex)
	case InstallSnapshot:
		return fmt.Sprintf("t%d up to %s", m.Term, at(m.LastIncludedIndex, m.LastIncludedTerm))
	case InstallSnapshotReply:
		return fmt.Sprintf("t%d has it up to %d", m.Term, m.LastIncludedIndex)
	case ForwardProposals:
		var commands []string
		for _, c := range m.Commands {
			commands = append(commands, fmt.Sprintf("%q", c))
		}
		return fmt.Sprintf("t%d #%d.%d: %s", m.Term, m.Stream, m.Seq, strings.Join(commands, ", "))
	case ForwardReply:
		s := fmt.Sprintf("t%d #%d taken up to %d", m.Term, m.Stream, m.Seq)
		if m.Reason != 0 {
			s += fmt.Sprintf(" and no further: %v", m.Reason)
		}
		return s
	case ForwardChange:
		return fmt.Sprintf("t%d change %d: %s", m.Term, m.Change.ID, describeDesired(m.Change))
	case ForwardChangeReply:
		if m.Reason != 0 {
			return fmt.Sprintf("t%d change %d is refused: %s", m.Term, m.ID, m.Detail)
		}
		return fmt.Sprintf("t%d change %d has begun", m.Term, m.ID)
	case ReadIndex:
		s := fmt.Sprintf("t%d #%d", m.Term, m.Seq)
		if m.Lease {
			s += " under a lease"
		}
		return s
	case ReadIndexReply:
		return fmt.Sprintf("t%d #%d at %d", m.Term, m.Seq, m.Index)
	}
	return ""
}

func at(i Index, t Term) string { return fmt.Sprintf("%d:t%d", i, t) }

func describeEntries(es []Entry) string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = e.String()
	}
	return strings.Join(parts, ", ")
}

func describeHardState(h HardState) string {
	if h.VotedFor == 0 {
		return fmt.Sprintf("t%d without a vote", h.CurrentTerm)
	}
	return fmt.Sprintf("t%d with its vote for n%d", h.CurrentTerm, h.VotedFor)
}

func describeLoad(l Load) string {
	if l.For == 0 {
		return fmt.Sprintf("%d..%d to apply", l.From, l.To)
	}
	return fmt.Sprintf("%d..%d for n%d", l.From, l.To, l.For)
}

// describeLog is a log from an entry on as its runs of terms: 1..3:t1 4:t2.
func describeLog(es []Entry, first Index) string {
	var parts []string
	if first > 1 {
		parts = append(parts, "behind "+at(first-1, es[first-2].Term))
		es = es[first-1:]
	}
	if len(es) == 0 {
		parts = append(parts, "empty")
	}
	for i := 0; i < len(es); {
		j := i
		for j+1 < len(es) && es[j+1].Term == es[i].Term {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprintf("%d:t%d", es[i].Index, es[i].Term))
		} else {
			parts = append(parts, fmt.Sprintf("%d..%d:t%d", es[i].Index, es[j].Index, es[i].Term))
		}
		i = j + 1
	}
	return strings.Join(parts, " ")
}
