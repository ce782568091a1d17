package raft

import "fmt"

// validate reports what no correct server sends. The handlers rely on it.
func (r *Raft) validate(from NodeID, m Message) error {
	reason := ""
	switch m := m.(type) {
	case RequestVote:
		reason = m.validate(from)
	case RequestVoteReply:
		reason = r.validateVoteReply(m)
	case AppendEntries:
		reason = m.validate(from)
	case TimeoutNow:
		reason = validTerm(m.Term)
	case InstallSnapshot:
		reason = m.validate(from)
	case AppendEntriesReply:
		reason = r.validateReply(m)
	case ForwardProposals:
		reason = validTerm(m.Term)
	case ForwardReply:
		reason = validTerm(m.Term)
	case ReadIndex:
		reason = validTerm(m.Term)
	case ForwardChange:
		reason = m.validate()
	case ForwardChangeReply:
		reason = validTerm(m.Term)
	case ReadIndexReply:
		reason = r.validateIndex(m)
	default:
		reason = fmt.Sprintf("unknown type %T", m)
	}
	if t := termOf(m); t > r.currentTerm && t-r.currentTerm > termLeapMax {
		reason = fmt.Sprintf("its term is %d, ours %d", t, r.currentTerm)
	}
	if from == 0 || from == r.config.ID {
		reason = fmt.Sprintf("n%d cannot be the sender", from)
	}
	if reason != "" {
		return &BadMessageError{From: from, Reason: reason}
	}
	return nil
}

// validateReply reports what cannot answer anything that this server has sent.
func (r *Raft) validateReply(m AppendEntriesReply) string {
	switch {
	case m.Term == 0:
		return "term zero"
	case r.role != Leader || m.Term != r.currentTerm:
		return ""
	case m.Success && m.MatchIndex > r.log.last:
		return fmt.Sprintf("it acknowledges entry %d where the leader's log ends in %d", m.MatchIndex, r.log.last)
	case m.PrevLogIndex > r.log.last:
		return fmt.Sprintf("it answers a request after entry %d where the leader's log ends in %d", m.PrevLogIndex, r.log.last)
	case m.ReadSeq > r.reads.round:
		return fmt.Sprintf("it returns round %d of reads where the last was %d", m.ReadSeq, r.reads.round)
	}
	return ""
}

// validateIndex reports a read index that no leader can have got to by now. A read that waits for it would wait for ever.
func (r *Raft) validateIndex(m ReadIndexReply) string {
	if m.Index > r.log.last && m.Index-r.log.last > indexLeapMax {
		return fmt.Sprintf("it waits for entry %d where the log ends in %d", m.Index, r.log.last)
	}
	return validTerm(m.Term)
}

// indexLeapMax is how far behind a leader a server can be, in entries. At a million entries a second it takes twelve days to get there.
const indexLeapMax = 1 << 40

// termLeapMax is how far ahead of ours a term can be. At an election a tick it takes a year to get there; a forged message that was believed
// could end the numbers, and with them the group, for good.
const termLeapMax = 1 << 32

func termOf(m Message) Term {
	switch m := m.(type) {
	case RequestVote:
		return m.Term
	case RequestVoteReply:
		return m.Term
	case AppendEntries:
		return m.Term
	case AppendEntriesReply:
		return m.Term
	case TimeoutNow:
		return m.Term
	case InstallSnapshot:
		return m.Term
	case ForwardProposals:
		return m.Term
	case ForwardReply:
		return m.Term
	case ReadIndex:
		return m.Term
	case ForwardChange:
		return m.Term
	case ForwardChangeReply:
		return m.Term
	case ReadIndexReply:
		return m.Term
	}
	return 0
}

func validTerm(t Term) string {
	if t == 0 {
		return "term zero"
	}
	return ""
}

func (m RequestVote) validate(from NodeID) string {
	switch {
	case m.Term == 0:
		return "term zero"
	case m.CandidateID != from:
		return fmt.Sprintf("candidate n%d is not its sender", m.CandidateID)
	case m.LastLogTerm >= m.Term:
		return fmt.Sprintf("its log ends in term %d, it campaigns in %d", m.LastLogTerm, m.Term)
	case (m.LastLogTerm == 0) != (m.LastLogIndex == 0):
		return fmt.Sprintf("no entry has index %d and term %d", m.LastLogIndex, m.LastLogTerm)
	}
	return ""
}

func (r *Raft) validateVoteReply(m RequestVoteReply) string {
	if m.VoteGranted && (m.Founded || m.Stranger != 0 || m.Leader.ID != 0) {
		return "its vote contradicts itself"
	}
	if far := r.log.last + indexLeapMax; m.Leader.Index > far || m.Stranger > far {
		return "it tells of an entry that no leader can have got to by now"
	}
	if v := m.Leader; v != (Vouch{}) && (v.ID == 0 || v.Incarnation == 0 || v.Index == 0) {
		return "it vouches for nobody"
	}
	if m.PreVote && !m.VoteGranted {
		return "" // from a server that has just got an empty disk, and is in no term yet
	}
	return validTerm(m.Term)
}

func (m InstallSnapshot) validate(from NodeID) string {
	switch {
	case m.LeaderID != from:
		return fmt.Sprintf("leader n%d is not its sender", m.LeaderID)
	case m.LastIncludedIndex == 0 || m.LastIncludedTerm == 0 || m.LastIncludedTerm > m.Term:
		return fmt.Sprintf("no snapshot of term %d ends in entry %d of term %d", m.Term, m.LastIncludedIndex, m.LastIncludedTerm)
	}
	if _, err := DecodeConfiguration(m.Configuration); err != nil {
		return err.Error()
	}
	return ""
}

func (m ForwardChange) validate() string {
	if m.Term == 0 || m.Change.ID == 0 {
		return "term or change zero"
	}
	for _, member := range m.Change.Members {
		if member.ID == 0 || member.Suffrage > Voter {
			return fmt.Sprintf("a change cannot want n%d to be %v", member.ID, member.Suffrage)
		}
	}
	return ""
}

func (m AppendEntries) validate(from NodeID) string {
	switch {
	case m.Term == 0:
		return "term zero"
	case m.LeaderID != from:
		return fmt.Sprintf("leader n%d is not its sender", m.LeaderID)
	case (m.PrevLogTerm == 0) != (m.PrevLogIndex == 0):
		return fmt.Sprintf("no entry has index %d and term %d", m.PrevLogIndex, m.PrevLogTerm)
	}
	index, term := m.PrevLogIndex, m.PrevLogTerm
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Index != index+1 || e.Term < term || e.Term == 0 || !e.Type.Valid() {
			return fmt.Sprintf("entry %d of term %d, type %d, follows entry %d of term %d", e.Index, e.Term, e.Type, index, term)
		}
		index, term = e.Index, e.Term
		if e.Type == EntryConfiguration {
			if c, err := DecodeConfiguration(e.Data); err != nil || len(c.Members) == 0 {
				return fmt.Sprintf("entry %d is no configuration: %v", e.Index, err)
			}
		}
	}
	if term > m.Term {
		return fmt.Sprintf("an entry of term %d from the leader of term %d", term, m.Term)
	}
	return ""
}

// validate reports what no log on disk looks like.
func (s LogState) validate() error {
	if s.First == 0 || s.Last+1 < s.First {
		return fmt.Errorf("raft: a log cannot span entries %d..%d", s.First, s.Last)
	}
	if (s.First > 1) != (s.BaseTerm > 0) {
		return fmt.Errorf("raft: a log that begins with entry %d has term %d before it", s.First, s.BaseTerm)
	}
	if s.Applied < s.First-1 || s.Applied > s.Last {
		return fmt.Errorf("raft: the state machine has applied %d, the log spans entries %d..%d: entries between them are missing", s.Applied, s.First, s.Last)
	}
	if s.Committed > s.Last {
		return fmt.Errorf("raft: entry %d is committed, the log spans entries %d..%d", s.Committed, s.First, s.Last)
	}
	if (s.Last >= s.First) != (len(s.Runs) > 0) {
		return fmt.Errorf("raft: a log of entries %d..%d has %d runs of terms", s.First, s.Last, len(s.Runs))
	}
	at := s.Base.Index
	for _, c := range s.Configurations {
		if c.Index <= at || c.Index > s.Last {
			return fmt.Errorf("raft: the log of entries %d..%d cannot have a configuration at %d behind that at %d", s.First, s.Last, c.Index, at)
		}
		at = c.Index
	}
	next, term := s.First, Term(0)
	if s.BaseTerm > 0 {
		term = s.BaseTerm - 1 // the first run may go on with the term before it
	}
	for i, run := range s.Runs {
		if i == 0 && run.First != s.First || i > 0 && run.First < next || run.First > s.Last || run.Term <= term {
			return fmt.Errorf("raft: the log's run of term %d cannot begin at entry %d", run.Term, run.First)
		}
		next, term = run.First+1, run.Term
	}
	if term = max(term, s.BaseTerm); term > s.HardState.CurrentTerm {
		return fmt.Errorf("raft: the log ends in term %d, the stored current term is %d: the term was lost", term, s.HardState.CurrentTerm)
	}
	return nil
}
