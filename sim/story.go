package sim

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// story is a run's, for people. It is written when the run has ended: only then it is known what is worth telling first, and which calls come to nothing.
type story struct {
	all   bool // every line
	lines []told
	last  map[string][]string // of each member and link, the last few things that may repeat
}

// told is a line.
type told struct {
	at     time.Duration
	text   string
	op     *operation // that begins, or ends
	ends   bool
	repeat bool // a message that says the same as the one before it
}

// tell adds a line to the story.
func (w *world) tell(format string, args ...any) {
	if w.story != nil {
		w.story.lines = append(w.story.lines, told{at: w.now, text: fmt.Sprintf(format, args...)})
	}
}

// tellCall adds that a call begins or ends.
func (w *world) tellCall(op *operation, ends bool) {
	if w.story == nil {
		return
	}
	text := fmt.Sprintf("%s asks n%d %s", clientName(op.Client), op.Member, demand(op))
	if ends {
		text = fmt.Sprintf("n%d ends %s's %s: %s", op.Member, clientName(op.Client), op.short(), op.end())
	}
	w.story.lines = append(w.story.lines, told{at: w.now, text: text, op: op, ends: ends})
}

// tellMessage adds a message that arrives, or is lost.
func (w *world) tellMessage(how string, from, to raft.NodeID, m raft.Message) {
	if w.story == nil {
		return
	}
	text := describeMessage(m)
	repeat := false
	switch m := m.(type) {
	case raft.AppendEntries, raft.AppendEntriesReply:
		repeat = w.story.repeats(fmt.Sprint(how, from, to), text)
	case raft.RequestVote:
		repeat = m.PreVote && w.story.repeats(fmt.Sprint(how, from, to), text)
	case raft.RequestVoteReply:
		repeat = m.PreVote && w.story.repeats(fmt.Sprint(how, from, to), text)
	}
	line := fmt.Sprintf("n%d <- n%d %s", to, from, text)
	if how != "" {
		line = fmt.Sprintf("n%d -> n%d %s: %s", from, to, how, text)
	}
	w.story.lines = append(w.story.lines, told{at: w.now, text: line, repeat: repeat})
}

// tellEvent adds what a core says of itself.
func (w *world) tellEvent(m *member, e raft.Event) {
	if w.story == nil {
		return
	}
	text, repeat := e.String(), false
	switch e.Kind {
	case raft.EventProbing, raft.EventReplicating, raft.EventPreCandidate:
		repeat = w.story.repeats(fmt.Sprint(m.id), text)
	}
	w.story.lines = append(w.story.lines, told{at: w.now, text: fmt.Sprintf("n%d %s", m.id, text), repeat: repeat})
}

// repeatsMax is how many different things that go on and on are told once. A cluster that gets nowhere says some of them in turn.
const repeatsMax = 4

// repeats reports whether a text is one of the last of a stream.
func (s *story) repeats(stream, text string) bool {
	if slices.Contains(s.last[stream], text) {
		return true
	}
	last := append(s.last[stream], text)
	s.last[stream] = last[max(0, len(last)-repeatsMax):]
	return false
}

// notation explains a story's words, once.
const notation = `n1 is member 1, t3 is term 3, 36:t3 is entry 36 of term 3, [36:t3..40:t3] are entries.
n2 <- n1 is a message that arrives. AppendEntries t3 after 35:t1 [36:t3] commit 29 has PrevLogIndex 35 and PrevLogTerm 1.
"n2 L t3 log 4..36(t3) commit 29 ..." is a member: Leader, Follower, Candidate or Pre-candidate; its term; its log's first and last
entries, the term of the last; its commitIndex; then of each peer: m its matchIndex, n its nextIndex, probe: not known to match.
2=17 puts value 17 in register 2; each value is written once. Times are simulated seconds.
`

const notationShort = "Left out: what repeats, as heartbeats. Calls that are refused are one line. --all tells all; --trace writes all as data.\n"

// storyMax is how many lines are told: a cluster that gets nowhere for minutes says little in many. Those in the middle are left out.
const storyMax = 6000

// tellStory writes the story, with the summary at its front.
func (w *world) tellStory() {
	if w.story == nil {
		return
	}
	var b strings.Builder
	if v := w.failure; v != nil && v.Property != undecided {
		v.Summary = w.summary()
		fmt.Fprintf(&b, "%s\n", v.Summary)
	}
	what, dashes := "balsa sim replay ", "--"
	if w.options.guests != nil {
		what, dashes = "-sim.seed=", "-sim."
	}
	fmt.Fprintf(&b, "the whole story of %s%d%s\n\n%s", what, w.options.Seed, w.options.Flags(dashes), notation)
	lines := w.story.lines
	if !w.story.all {
		b.WriteString(notationShort)
		if lines = fold(lines); len(lines) > storyMax {
			gap := told{at: lines[storyMax/3].at, text: fmt.Sprintf("... %d lines are left out here: --all", len(lines)-storyMax)}
			lines = slices.Concat(lines[:storyMax/3], []told{gap}, lines[len(lines)-storyMax*2/3:])
		}
	}
	b.WriteString("\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "%11.6f  %s\n", l.at.Seconds(), l.text)
	}
	io.WriteString(w.options.Story, b.String())
}

// fold makes one line of what is refused, and leaves out messages that repeat.
func fold(lines []told) (short []told) {
	for i := 0; i < len(lines); {
		l := &lines[i]
		switch {
		case l.repeat || l.ends && l.op.vain():
			i++
		case l.op != nil && !l.ends:
			var line told
			line, i = foldCalls(lines, i)
			short = append(short, line)
		case l.ends && l.op.Write:
			var line told
			line, i = foldEnds(lines, i)
			short = append(short, line)
		default:
			short = append(short, *l)
			i++
		}
	}
	return short
}

// vain reports whether a call came to nothing, and never will come to anything.
func (op *operation) vain() bool {
	return op.Outcome == OutcomeRefused || op.ended && !op.Write && op.Outcome != OutcomeApplied
}

// foldCalls makes one line of calls of the same kind on the same member that follow each other: those that are refused for one reason, of any clients; otherwise
// those that a client makes at once.
func foldCalls(lines []told, i int) (told, int) {
	first := lines[i]
	op := first.op
	clients, ops, last := []int{op.Client}, []*operation{op}, first.at
	for i++; i < len(lines); i++ {
		l := &lines[i]
		if l.repeat || l.ends && l.op.vain() {
			continue
		}
		same := l.op != nil && !l.ends && l.op.Member == op.Member && l.op.vain() == op.vain() && l.op.kind() == op.kind()
		if !same || op.vain() && l.op.why() != op.why() || !op.vain() && (l.at != first.at || l.op.Client != op.Client || !op.Write) {
			break
		}
		clients, ops, last = addNew(clients, l.op.Client), append(ops, l.op), l.at
	}
	slices.Sort(clients)
	who := clientName(clients[0])
	if len(clients) > 1 {
		who = "clients " + strings.Trim(strings.Join(strings.Fields(strings.Replace(fmt.Sprint(clients), "-1", "others", 1)), ", "), "[]")
	}
	text := fmt.Sprintf("%s ask%s n%d %s", who, map[bool]string{true: "s"}[len(clients) == 1], op.Member, demands(ops))
	if op.vain() {
		text += map[bool]string{true: ", all", false: ","}[len(ops) > 1] + map[bool]string{true: " refused: ", false: " no answer: "}[op.Write] + op.why()
		if last > first.at {
			text += fmt.Sprintf(" (until %.3f)", last.Seconds())
		}
	}
	return told{at: first.at, text: text}, i
}

// demands is what calls of the same kind ask for.
func demands(ops []*operation) string {
	if len(ops) == 1 {
		return demand(ops[0])
	}
	if op := ops[0]; op.kind() != "put" || op.vain() {
		return fmt.Sprintf("for %d %ss", len(ops), op.kind())
	}
	return fmt.Sprintf("for %d puts: %s", len(ops), puts(ops))
}

// putsShown is how many puts of a burst a line has.
const putsShown = 8

func puts(ops []*operation) string {
	var words []string
	for n, op := range ops {
		if n == putsShown-1 && len(ops) > putsShown {
			words = append(words, fmt.Sprintf("and %d more", len(ops)-n))
			break
		}
		words = append(words, fmt.Sprintf("%d=%d", op.Key, op.Value))
	}
	return strings.Join(words, " ")
}

// foldEnds makes one line of a client's puts that are applied at once, or of which it is not known on one member.
func foldEnds(lines []told, i int) (told, int) {
	first, last := lines[i], lines[i].at
	op := first.op
	ops := []*operation{op}
	for i++; i < len(lines); i++ {
		l := &lines[i]
		if l.repeat || l.ends && l.op.vain() {
			continue
		}
		if !l.ends || !l.op.Write || l.op.Member != op.Member || l.op.Client != op.Client || l.op.Outcome != op.Outcome || l.op.control != op.control {
			break
		}
		if op.Outcome == OutcomeApplied && l.at != first.at || op.Outcome == OutcomeUnknown && l.op.why() != op.why() {
			break
		}
		ops, last = append(ops, l.op), l.at
	}
	if len(ops) == 1 {
		return first, i
	}
	first.text = fmt.Sprintf("n%d ends %s's %s", op.Member, clientName(op.Client), puts(ops))
	if op.Outcome == OutcomeApplied {
		first.text += fmt.Sprintf(": applied at %d to %d", op.Index, ops[len(ops)-1].Index)
	} else {
		first.text += fmt.Sprintf(": unknown: %s (until %.3f)", op.why(), last.Seconds())
	}
	return first, i
}

// kind is a call's, in one word.
func (op *operation) kind() string {
	switch {
	case op.control:
		return "session"
	case op.Write:
		return "put"
	}
	return "read"
}

// why is why a call came to nothing, without numbers that differ from one to the next.
func (op *operation) why() string {
	if !op.Write {
		return "it was not waited for any longer"
	}
	text, _, _ := strings.Cut(reason(op.err), ":")
	return text
}
