package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// The trail of a failure: of all that has happened, the few things that bear on it. Each happening is weighed by what the failure is about; what
// weighs most is shown, in the order of time.

// step is one of a trail.
type step struct {
	at     time.Duration
	text   string
	weight int
}

// Weights.
const (
	aside   = 1 + iota // shown if there is little else
	bearing            // shown if there is room
	central            // shown
)

const (
	trailMax   = 22 // steps
	trailLeast = 10 // if there are so many
)

// trails picks them.
type trails struct {
	topic   topic
	members bool // it is about configurations, too
	about   Subject
	diary   *diary
	now     time.Duration
	at      EntryAt                                  // the entry that matters most; zero: none
	keys    map[int]bool                             // registers
	logs    map[raft.NodeID]map[raft.Index]raft.Term // what is durable, as it goes on
	last    map[raft.NodeID]raft.Index
	votes   map[raft.NodeID]saved // the last save
	commit  map[raft.NodeID]raft.Index
	seen    map[string]bool         // what has been shown once, and is less important again
	until   map[string]int          // of a member and a kind of happening, where in the diary the last one is
	cuts    map[int]bool            // where in the diary a message truncates the entry that matters
	before  map[raft.Term]raft.Term // of the entry that matters, by its term: the term of the one before it, where it was saved first
}

// trail picks the steps that lead to the failure.
func (w *world) trail(about topic) []step {
	t := &trails{
		topic: about, about: w.failure.About, members: strings.Contains(w.failure.Detail, "configuration"), diary: w.lines.past, now: w.failure.At,
		keys: make(map[int]bool), logs: make(map[raft.NodeID]map[raft.Index]raft.Term), last: make(map[raft.NodeID]raft.Index), votes: make(map[raft.NodeID]saved),
		commit: make(map[raft.NodeID]raft.Index), seen: make(map[string]bool), until: make(map[string]int), cuts: make(map[int]bool), before: make(map[raft.Term]raft.Term),
	}
	for n, at := range t.about.Entries {
		// What a read misses is newer than what it has.
		if n == 0 || about&aboutHistory != 0 && at.Index > t.at.Index {
			t.at = at
		}
	}
	if about == aboutEntryOrElection {
		if t.topic = aboutElection; t.at.Index != 0 {
			t.topic = aboutEntry
		}
	}
	for _, key := range t.about.Keys {
		t.keys[key] = true
	}
	appended := make(map[raft.NodeID]int) // the last message that may have truncated
	for i := range t.diary.all {
		h := &t.diary.all[i]
		t.until[fmt.Sprint(h.Node, h.Kind)] = i
		if h.Kind == TraceArrive && len(h.entries) > 0 {
			appended[h.Node] = i
		}
		if h.Kind == TraceEvent && h.event.Kind == raft.EventTruncated && h.Index <= t.at.Index {
			t.cuts[appended[h.Node]] = true
		}
	}
	var steps []step
	for i := range t.diary.all {
		h := &t.diary.all[i]
		if h.Kind == TraceFailed {
			break // what follows is the end of the run
		}
		weight, note := t.weigh(i, h)
		if weight > 0 {
			text := cutAt(t.text(h), lineMax-len(note))
			if note != "" {
				text += "  (" + note + ")"
			}
			steps = append(steps, step{at: h.At, text: text, weight: weight})
		}
		t.follow(h)
	}
	return append(choose(steps), step{at: w.failure.At, text: w.failure.Property + " does not hold", weight: central})
}

// choose takes the heaviest steps, of equal ones the first few and the last.
func choose(steps []step) []step {
	var taken []int
	left := 0
	for weight := central; weight >= aside; weight-- {
		limit := trailMax
		if weight < central {
			limit = trailLeast
		}
		var of []int
		for i := range steps {
			if steps[i].weight == weight {
				of = append(of, i)
			}
		}
		room := max(0, limit-len(taken))
		if len(of) > room {
			if weight == central {
				left = len(of) - room
			}
			early := 0
			if weight == central {
				early = room / 3
			}
			of = append(slices.Clone(of[:early]), of[len(of)-(room-early):]...)
		}
		taken = append(taken, of...)
	}
	slices.Sort(taken)
	var chosen []step
	for n, i := range taken {
		if left > 0 && n > 0 && i > taken[n-1]+1 && hidesCentral(steps[taken[n-1]+1:i]) {
			chosen = append(chosen, step{at: steps[taken[n-1]].at, text: fmt.Sprintf("... %d more like these", left)})
			left = 0
		}
		chosen = append(chosen, steps[i])
	}
	return chosen
}

func hidesCentral(steps []step) bool {
	return slices.ContainsFunc(steps, func(s step) bool { return s.weight == central })
}

// weigh says how much a happening bears on the failure, and what is odd about it. Each topic has its say.
func (t *trails) weigh(i int, h *happening) (weight int, note string) {
	say := func(n int, why string) {
		if n > weight || n == weight && note == "" {
			weight, note = n, cmp.Or(why, note)
		}
	}
	if t.topic&aboutEntry != 0 && t.at.Index != 0 {
		say(t.entry(h))
		if t.cuts[i] {
			say(central, "")
		}
	}
	if t.topic&aboutElection != 0 {
		say(t.election(h))
	}
	if t.topic&aboutHistory != 0 {
		say(t.history(h))
	}
	if t.topic&aboutDisk != 0 {
		say(t.disk(h))
	}
	if t.topic&(aboutMembers|aboutWaiting) != 0 || weight == 0 && t.topic == aboutEntry && t.at.Index == 0 {
		say(t.lasts(i, h))
	}
	if weight == 0 {
		say(t.anyway(h))
	}
	return weight, note
}

// anyway is what bears on everything, a little.
func (t *trails) anyway(h *happening) (int, string) {
	switch {
	case h.Kind == TraceEvent && h.event.Kind == raft.EventLeader:
		return bearing, ""
	case h.Kind == TraceDeath || h.Kind == TraceMended || h.Kind == TraceStart && h.Incarnation > 1 || h.Kind == TraceFault && t.involves(h.Node):
		return aside, ""
	}
	return 0, ""
}

func (t *trails) involves(id raft.NodeID) bool { return slices.Contains(t.about.Members, id) }

// once takes weight from what was there before.
func (t *trails) once(weight int, key string) int {
	if t.seen[key] {
		return min(weight, aside)
	}
	t.seen[key] = true
	return weight
}

// entry is about the entry at an index, and the one before it: who has it, who sends it, who commits it.
func (t *trails) entry(h *happening) (int, string) {
	i := t.at.Index
	switch h.Kind {
	case TraceSaved:
		return t.entrySaved(h, i)
	case TraceArrive, TraceLost:
		return t.entrySent(h, i)
	case TraceEvent:
		switch h.event.Kind {
		case raft.EventLeader:
			return central, ""
		case raft.EventTruncated:
			if h.Index <= i {
				return central, ""
			}
		case raft.EventInstalled:
			if h.Index+1 >= i {
				return central, ""
			}
		case raft.EventConfiguration:
			switch {
			case t.members && t.involves(h.Node):
				return central, ""
			case h.Index == i:
				return bearing, ""
			}
		case raft.EventQuorumLost:
			return aside, ""
		}
	case TraceState:
		if h.Status.Commit >= i && t.commit[h.Node] < i {
			return central, ""
		}
	case TraceRest:
		if t.involves(h.Node) {
			return central, ""
		}
		if h.Index >= i {
			return bearing, ""
		}
	case TraceDeath, TraceStart:
		if h.Incarnation == 1 || t.last[h.Node]+1 < i && !t.involves(h.Node) {
			return 0, ""
		}
		return bearing + bit(t.involves(h.Node)), ""
	case TraceEnd:
		if h.Index == i && h.op.Outcome == OutcomeApplied {
			return bearing, ""
		}
	}
	return 0, ""
}

func (t *trails) entrySaved(h *happening, i raft.Index) (weight int, note string) {
	for _, s := range h.saves {
		if n := len(s.entries); n > 0 && s.entries[0].index <= i && s.entries[n-1].index < i && t.logs[h.Node][i] != 0 {
			weight, note = central, fmt.Sprintf("%d:t%d is gone from its disk", i, t.logs[h.Node][i])
		}
		for n, at := range s.entries {
			switch has := t.logs[h.Node][at.index]; at.index {
			case i:
				weight = central
				note = t.replaces(has, at)
				before := t.logs[h.Node][i-1]
				if n > 0 {
					before = s.entries[n-1].term
				}
				if odd := t.behind(at, before); odd != "" {
					note = strings.TrimPrefix(note+"; "+odd, "; ")
				}
			case i - 1:
				weight = max(weight, bearing)
				if odd := t.replaces(has, at); odd != "" {
					weight, note = central, odd
				}
			}
		}
		if s.reset || s.first > i && weight == 0 && t.once(bearing, fmt.Sprint("first", h.Node)) == bearing {
			weight = max(weight, bearing)
		}
	}
	return weight, note
}

// behind says what an entry follows, if that is not the same everywhere, or may matter.
func (t *trails) behind(at place, before raft.Term) string {
	first, known := t.before[at.term]
	if !known {
		t.before[at.term], first = before, before
	}
	if before == 0 || before == first && at.term == before {
		return ""
	}
	return fmt.Sprintf("%d:t%d is behind %d:t%d here", at.index, at.term, at.index-1, before)
}

func (t *trails) replaces(has raft.Term, at place) string {
	if has == 0 || has == at.term {
		return ""
	}
	return fmt.Sprintf("%d:t%d replaces %d:t%d", at.index, at.term, at.index, has)
}

func (t *trails) entrySent(h *happening, i raft.Index) (int, string) {
	switch m := h.msg.(type) {
	case raft.AppendEntries:
		has := slices.ContainsFunc(h.entries, func(p place) bool { return p.index == i })
		near := m.PrevLogIndex == i || slices.ContainsFunc(h.entries, func(p place) bool { return p.index+1 == i })
		if h.Kind == TraceLost {
			if has {
				return t.once(bearing, fmt.Sprint("lost", h.Node, h.To, m.Term)), ""
			}
			return 0, ""
		}
		note := ""
		if own := t.logs[h.Node][m.PrevLogIndex]; own != 0 && own != m.PrevLogTerm {
			note = fmt.Sprintf("n%d's disk has %d:t%d there", h.Node, m.PrevLogIndex, own)
		}
		if has {
			return t.once(central, fmt.Sprint("sent", h.Peer, h.Node, m.Term, note)), note
		}
		if near {
			weight := bearing
			if note != "" {
				weight = central // it is to be refused
			}
			return t.once(weight, fmt.Sprint("near", h.Peer, h.Node, m.Term, note)), note
		}
	case raft.AppendEntriesReply:
		switch {
		case h.Kind == TraceLost:
		case m.Success && m.MatchIndex >= i:
			return t.once(central, fmt.Sprint("has", h.Peer, h.Node, m.Term)), ""
		case !m.Success && m.PrevLogIndex+1 >= i && m.ConflictIndex <= i:
			return t.once(bearing, fmt.Sprint("lacks", h.Peer, h.Node, m.Term)), ""
		}
	case raft.InstallSnapshot:
		if m.LastIncludedIndex+1 >= i && h.Kind == TraceArrive {
			return t.once(bearing, fmt.Sprint("snapshot", h.Peer, h.Node, m.LastIncludedIndex)), ""
		}
	case raft.TimeoutNow:
		return aside, ""
	}
	return 0, ""
}

// term is the term that the failure is about: the newest that it names.
func (t *trails) term() (last raft.Term) {
	if len(t.about.Terms) > 0 {
		return t.about.Terms[0]
	}
	for _, r := range t.diary.reigns() {
		last = r.term
	}
	return last
}

// election is about a term: who stood and voted, what the voters had, and what of it was on disk.
func (t *trails) election(h *happening) (int, string) {
	term := t.term()
	switch h.Kind {
	case TraceEvent:
		switch h.event.Kind {
		case raft.EventLeader:
			return central, ""
		case raft.EventCandidate, raft.EventVoted, raft.EventVoteRefused:
			if h.Term == term {
				return central, ""
			}
		case raft.EventTransfer, raft.EventTransferEnded, raft.EventQuorumLost:
			return bearing, ""
		}
	case TraceArrive:
		switch m := h.msg.(type) {
		case raft.RequestVote:
			if m.Term == term && !m.PreVote {
				return central, t.longer(h.Node, m)
			}
		case raft.RequestVoteReply:
			if m.Term == term && !m.PreVote {
				return bearing, ""
			}
		case raft.TimeoutNow:
			return bearing, ""
		}
	case TraceSaved:
		was := t.votes[h.Node]
		for _, s := range h.saves {
			if s.CurrentTerm == term && (was.CurrentTerm != term || was.VotedFor != s.VotedFor) {
				return central, ""
			}
		}
	case TraceDeath, TraceStart:
		if h.Incarnation != 1 {
			return bearing, ""
		}
	}
	return 0, ""
}

// longer says that a voter's log is more up-to-date than the candidate's (thesis §3.6.1).
func (t *trails) longer(voter raft.NodeID, m raft.RequestVote) string {
	last := t.last[voter]
	if own := t.logs[voter][last]; own > m.LastLogTerm || own == m.LastLogTerm && last > m.LastLogIndex {
		return fmt.Sprintf("n%d's own log ends later, with %d:t%d", voter, last, own)
	}
	return ""
}

// history is about registers: calls that read and write them, and who led meanwhile.
func (t *trails) history(h *happening) (int, string) {
	switch h.Kind {
	case TraceBegin, TraceEnd:
		op := h.op
		switch {
		case op == t.about.call:
			return central, ""
		case op.vain() || op.control || !t.keys[op.Key] && len(t.keys) > 0:
		case slices.Contains(t.about.Values, op.Value) && (op.Write || op.Outcome == OutcomeApplied):
			return central, ""
		case h.Kind == TraceEnd:
			return bearing, ""
		}
	case TraceEvent:
		switch h.event.Kind {
		case raft.EventLeader:
			return central, ""
		case raft.EventQuorumLost, raft.EventTransfer, raft.EventTransferEnded:
			return bearing, ""
		}
	case TraceFault:
		return aside, ""
	case TraceArrive:
		if h.At+time.Second < t.now || !t.involves(h.Node) && !t.involves(h.Peer) {
			return 0, ""
		}
		switch m := h.msg.(type) {
		case raft.AppendEntriesReply:
			if m.ReadSeq > 0 {
				return t.once(bearing, fmt.Sprint("confirms", h.Peer, h.Node, m.Term, m.ReadSeq)), ""
			}
		case raft.ReadIndex, raft.ReadIndexReply:
			return bearing, ""
		}
	}
	return 0, ""
}

// disk is about what members keep: those that the failure names.
func (t *trails) disk(h *happening) (int, string) {
	if !t.involves(h.Node) && len(t.about.Members) > 0 {
		return 0, ""
	}
	switch h.Kind {
	case TraceDeath, TraceStart, TraceRest:
		if h.Incarnation != 1 {
			return central, ""
		}
	case TraceFault:
		return central, ""
	case TraceSaved:
		for _, s := range h.saves {
			if s.reset || len(s.entries) > 0 && s.entries[0].index <= t.last[h.Node] {
				return central, ""
			}
		}
		return bearing, ""
	case TraceEvent:
		switch h.event.Kind {
		case raft.EventTruncated, raft.EventInstalled, raft.EventStalled:
			return central, ""
		}
	}
	return 0, ""
}

// lasts is about the last thing of each kind that each member did.
func (t *trails) lasts(i int, h *happening) (int, string) {
	if t.until[fmt.Sprint(h.Node, h.Kind)] == i {
		switch h.Kind {
		case TraceStart:
			return bearing - bit(h.Incarnation == 1), ""
		case TraceArrive, TraceEvent, TraceSaved, TraceDeath:
			return central, "the last " + map[string]string{TraceArrive: "that it hears", TraceEvent: "of itself", TraceSaved: "on its disk", TraceDeath: "death"}[h.Kind]
		case TraceLost, TraceRest:
			return bearing, ""
		}
	}
	switch h.Kind {
	case TraceMended:
		return central, ""
	case TraceLinks:
		return bearing, ""
	case TraceBegin:
		if !h.op.ended {
			return bearing, "it has no end"
		}
	case TraceEvent:
		switch h.event.Kind {
		case raft.EventLeader:
			return central, ""
		case raft.EventConfiguration, raft.EventCandidate, raft.EventQuorumLost:
			return bearing, ""
		}
		return aside, ""
	}
	return 0, ""
}

// follow keeps what is durable where.
func (t *trails) follow(h *happening) {
	for _, s := range h.saves {
		log := t.logs[h.Node]
		if log == nil || s.reset {
			log = make(map[raft.Index]raft.Term)
			t.logs[h.Node] = log
		}
		t.votes[h.Node] = s
		if len(s.entries) == 0 {
			continue
		}
		for i := s.entries[0].index; i <= t.last[h.Node]; i++ {
			delete(log, i)
		}
		for _, at := range s.entries {
			log[at.index] = at.term
		}
		t.last[h.Node] = s.entries[len(s.entries)-1].index
	}
	switch h.Kind {
	case TraceState:
		t.commit[h.Node] = max(t.commit[h.Node], h.Status.Commit)
	case TraceStart:
		t.commit[h.Node] = 0
	}
}

// text is a happening in the trail.
func (t *trails) text(h *happening) string {
	if h.Kind == TraceState {
		return fmt.Sprintf("n%d (%s, t%d) knows that entries up to %d are committed", h.Node, h.Status.Role, h.Status.Term, h.Status.Commit)
	}
	return h.String()
}
