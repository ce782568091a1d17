package sim

import (
	"errors"
	"fmt"
	"strings"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
)

// describeMessage is a message on one short line.
func describeMessage(m raft.Message) string {
	if a, ok := m.(raft.AppendEntries); ok {
		return describeSent(m, placesOf(a.Entries))
	}
	return describeSent(m, nil)
}

// describeSent is a message whose entries are at some places.
func describeSent(m raft.Message, entries []place) string {
	switch m := m.(type) {
	case nil:
		return "a message"
	case raft.RequestVote:
		return fmt.Sprintf("RequestVote t%d last %d:t%d%s%s", m.Term, m.LastLogIndex, m.LastLogTerm, when(m.PreVote, "pre-vote"), when(m.Transfer, "transfer"))
	case raft.RequestVoteReply:
		return fmt.Sprintf("RequestVoteReply t%d%s%s%s%s", m.Term, either(m.VoteGranted, "granted", "refused"), when(m.PreVote, "pre-vote"), when(m.Stranger != 0, "stranger"), when(m.Leader.ID != 0, "vouches for its leader"))
	case raft.AppendEntries:
		read := ""
		if m.ReadSeq != 0 {
			read = fmt.Sprintf(" read %d", m.ReadSeq)
		}
		return fmt.Sprintf("AppendEntries t%d after %d:t%d%s commit %d%s", m.Term, m.PrevLogIndex, m.PrevLogTerm, describePlaces(entries), m.LeaderCommit, read)
	case raft.AppendEntriesReply:
		if m.Success {
			return fmt.Sprintf("AppendEntriesReply t%d has up to %d", m.Term, m.MatchIndex)
		}
		return fmt.Sprintf("AppendEntriesReply t%d no match at %d: has %d:t%d", m.Term, m.PrevLogIndex, m.ConflictIndex, m.ConflictTerm)
	case raft.InstallSnapshot:
		return fmt.Sprintf("InstallSnapshot t%d at %d:t%d bytes %d+%d of %d",
			m.Term, m.LastIncludedIndex, m.LastIncludedTerm, m.Offset, len(m.Data), m.Size)
	case raft.ForwardProposals:
		return fmt.Sprintf("ForwardProposals t%d #%d.%d of %d", m.Term, m.Stream, m.Seq, len(m.Commands))
	}
	return strings.TrimPrefix(fmt.Sprintf("%T%+v", m, m), "raft.")
}

func when(yes bool, word string) string { return either(yes, word, "") }

func either(yes bool, a, b string) string {
	if !yes {
		a = b
	}
	if a != "" {
		a = " " + a
	}
	return a
}

// describePlaces is a run of entries: from, to, and their terms.
func describePlaces(ps []place) string {
	if len(ps) == 0 {
		return ""
	}
	first, last := ps[0], ps[len(ps)-1]
	if first == last {
		return fmt.Sprintf(" [%d:t%d]", first.index, first.term)
	}
	return fmt.Sprintf(" [%d:t%d..%d:t%d]", first.index, first.term, last.index, last.term)
}

func describeSaves(batch []wal.Save) string {
	if len(batch) == 0 {
		return "nothing"
	}
	var parts []string
	for i := range batch {
		h := batch[i].HardState
		part := fmt.Sprintf("t%d%s, log from %d%s", h.CurrentTerm, describeVote(h.VotedFor), batch[i].First, describePlaces(placesOf(batch[i].Entries)))
		if batch[i].Reset {
			part += " (reset)"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// describeConfiguration is who takes part, and with which data folder.
func describeConfiguration(cfg raft.Configuration) string {
	text := cfg.String()
	for _, m := range cfg.Members {
		text += fmt.Sprintf(" n%d:%.4x", m.ID, m.Incarnation>>48)
	}
	return text
}

func describeVote(candidate raft.NodeID) string {
	if candidate == 0 {
		return ""
	}
	return fmt.Sprintf(" vote n%d", candidate)
}

func describeLinks(links []TraceLink) string {
	if len(links) == 0 {
		return "none"
	}
	var words []string
	for _, l := range links {
		words = append(words, fmt.Sprintf("n%d->n%d", l.From, l.To))
	}
	return strings.Join(words, " ")
}

// clientName is a client's; those that no turn has, which make calls at odd moments, have none.
func clientName(n int) string {
	if n < 0 {
		return "a client"
	}
	return fmt.Sprintf("client %d", n)
}

// demand is what a client asks for.
func demand(op *operation) string {
	switch {
	case op.leaving:
		return "to end its session"
	case op.control:
		return "for a session"
	case op.command != nil:
		return fmt.Sprintf("to put %d=%d (command %d of session %d)", op.Key, op.Value, op.command.serial, op.command.session)
	case op.Write:
		return fmt.Sprintf("to put %d=%d", op.Key, op.Value)
	}
	return fmt.Sprintf("to read %d (%v, at least as of %d)", op.Key, op.ask.level, op.floor)
}

// short is a call's name.
func (op *operation) short() string {
	switch {
	case op.control:
		return "session"
	case op.Write:
		return fmt.Sprintf("put %d=%d", op.Key, op.Value)
	}
	return fmt.Sprintf("read of %d", op.Key)
}

// end is how a call has ended.
func (op *operation) end() string {
	switch {
	case op.Outcome == OutcomeApplied && op.Write:
		return fmt.Sprintf("applied at %d", op.Index)
	case op.Outcome == OutcomeApplied:
		return fmt.Sprintf("%d, as of %d", op.Value, op.Index)
	case !op.Write:
		return "no answer"
	}
	return op.Outcome.String() + ": " + reason(op.err)
}

// reason is the part of an error that is not said by the outcome.
func reason(err error) string {
	if err == nil {
		return "its member has died"
	}
	text := err.Error()
	for _, said := range []error{host.ErrNotCommitted, host.ErrUnknownOutcome} {
		if errors.Is(err, said) {
			text = strings.TrimPrefix(strings.TrimPrefix(text, said.Error()), ": ")
		}
	}
	if text == "" {
		return "it was not waited for any longer"
	}
	return strings.ReplaceAll(text, "balsa: ", "")
}
