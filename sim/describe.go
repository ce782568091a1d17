package sim

import (
	"fmt"
	"strings"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wal"
)

// describeMessage is a message on one short line.
func describeMessage(m raft.Message) string {
	switch m := m.(type) {
	case raft.AppendEntries:
		return fmt.Sprintf("AppendEntries t%d after %d:t%d%s commit %d read %d",
			m.Term, m.PrevLogIndex, m.PrevLogTerm, describeEntries(m.Entries), m.LeaderCommit, m.ReadSeq)
	case raft.InstallSnapshot:
		return fmt.Sprintf("InstallSnapshot t%d at %d:t%d bytes %d+%d of %d",
			m.Term, m.LastIncludedIndex, m.LastIncludedTerm, m.Offset, len(m.Data), m.Size)
	case raft.ForwardProposals:
		return fmt.Sprintf("ForwardProposals t%d #%d.%d of %d", m.Term, m.Stream, m.Seq, len(m.Commands))
	}
	return strings.TrimPrefix(fmt.Sprintf("%T%+v", m, m), "raft.")
}

// describeEntries is a run of entries: from, to, and their terms.
func describeEntries(es []raft.Entry) string {
	if len(es) == 0 {
		return ""
	}
	first, last := es[0], es[len(es)-1]
	return fmt.Sprintf(" [%d:t%d..%d:t%d]", first.Index, first.Term, last.Index, last.Term)
}

func describeSaves(batch []wal.Save) string {
	if len(batch) == 0 {
		return "nothing"
	}
	var parts []string
	for i := range batch {
		h := batch[i].HardState
		part := fmt.Sprintf("t%d vote n%d from %d%s", h.CurrentTerm, h.VotedFor, batch[i].First, describeEntries(batch[i].Entries))
		if batch[i].Reset {
			part += " (reset)"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}
