package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// summary is a failure on one screen: what does not hold, what was found, who led, what had gone wrong, and the trail that leads there.
func (w *world) summary() string {
	v, past := w.failure, w.lines.past
	p := properties[v.Property]
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %s does not hold, at %.6f s, step %d\n  %s (%s)\n", v.Seed, v.Property, v.At.Seconds(), v.Step, p.says, p.source)
	fmt.Fprintf(&b, "found\n  %s\n", wrap(v.Detail, 150, "  "))
	b.WriteString(past.leaders())
	b.WriteString(past.faults())
	fmt.Fprintf(&b, "trail\n")
	for _, s := range w.trail(p.trail) {
		fmt.Fprintf(&b, "  %10.6f  %s\n", s.at.Seconds(), s.text)
	}
	fmt.Fprintf(&b, "at the end\n")
	for _, m := range w.members {
		if m.incarnation > 0 {
			fmt.Fprintf(&b, "  %s\n", cutAt(m.String(), lineMax))
		}
	}
	return b.String()
}

// lineMax is how long a line of the summary is, about.
const lineMax = 180

func cutAt(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + " ..."
	}
	return s
}

// wrap breaks a text into lines at spaces.
func wrap(s string, width int, indent string) string {
	var b strings.Builder
	n := 0
	for i, word := range strings.Fields(cutAt(s, 6*width)) {
		switch {
		case i == 0:
		case n+len(word) >= width:
			b.WriteString("\n" + indent)
			n = 0
		default:
			b.WriteString(" ")
			n++
		}
		b.WriteString(word)
		n += len(word)
	}
	return b.String()
}

// reign is a term that had a leader.
type reign struct {
	term     raft.Term
	leader   raft.NodeID
	from, to time.Duration
	end      string // empty: it leads still
}

// reigns are who led, in the order of their elections.
func (d *diary) reigns() (all []reign) {
	now := make(map[raft.NodeID]int) // who leads: where in all, and one
	over := func(h *happening, how string) {
		if n := now[h.Node]; n > 0 {
			all[n-1].to, all[n-1].end = h.At, how
			delete(now, h.Node)
		}
	}
	for i := range d.all {
		h := &d.all[i]
		switch {
		case h.Kind == TraceDeath:
			over(h, "died")
		case h.Kind == TraceEvent && h.event.Kind == raft.EventLeader:
			over(h, "led the next")
			all = append(all, reign{term: h.Term, leader: h.Node, from: h.At})
			now[h.Node] = len(all)
		case h.Kind == TraceEvent && h.event.Kind == raft.EventQuorumLost:
			over(h, "heard no majority")
		case h.Kind == TraceEvent && (h.event.Kind == raft.EventFollower || h.event.Kind == raft.EventCandidate || h.event.Kind == raft.EventPreCandidate):
			over(h, fmt.Sprintf("term %d came", h.Term))
		}
	}
	return all
}

const reignsShown = 8

func (d *diary) leaders() string {
	var b strings.Builder
	all := d.reigns()
	members := make(map[raft.NodeID]bool)
	for i := range d.all {
		if d.all[i].Kind == TraceStart {
			members[d.all[i].Node] = true
		}
	}
	fmt.Fprintf(&b, "who led (of%s)\n", nodes(slices.Sorted(maps.Keys(members))))
	if len(all) == 0 {
		b.WriteString("  nobody\n")
	}
	if len(all) > reignsShown {
		fmt.Fprintf(&b, "  %d earlier ones\n", len(all)-reignsShown)
		all = all[len(all)-reignsShown:]
	}
	for _, r := range all {
		if r.end == "" {
			fmt.Fprintf(&b, "  t%-3d n%d  from %10.6f, to the end\n", r.term, r.leader, r.from.Seconds())
		} else {
			fmt.Fprintf(&b, "  t%-3d n%d  from %10.6f to %10.6f: %s\n", r.term, r.leader, r.from.Seconds(), r.to.Seconds(), r.end)
		}
	}
	return b.String()
}

func nodes(ids []raft.NodeID) (s string) {
	for _, id := range ids {
		s += fmt.Sprintf(" n%d", id)
	}
	return s
}

const faultsShown = 5

// faults are what went wrong: the last ones by name, and how many messages of each kind were lost.
func (d *diary) faults() string {
	var b strings.Builder
	var struck []*happening
	lost, sent, deaths := make(map[string]int), 0, 0
	for i := range d.all {
		switch h := &d.all[i]; h.Kind {
		case TraceSend:
			sent++
		case TraceLost:
			if h.msg != nil {
				lost[messageName(h.msg)]++
			}
		case TraceDeath:
			deaths++
		case TraceFault:
			struck = append(struck, h)
		}
	}
	b.WriteString("what went wrong\n")
	if len(struck) > faultsShown {
		fmt.Fprintf(&b, "  %d earlier faults\n", len(struck)-faultsShown)
		struck = struck[len(struck)-faultsShown:]
	}
	for _, h := range struck {
		fmt.Fprintf(&b, "  %10.6f  %v\n", h.At.Seconds(), h)
	}
	var words []string
	total := 0
	for _, name := range slices.Sorted(maps.Keys(lost)) {
		words, total = append(words, fmt.Sprintf("%d %s", lost[name], name)), total+lost[name]
	}
	text := fmt.Sprintf("members died %d times; of %d messages %d were lost", deaths, sent, total)
	if total > 0 {
		text += ": " + strings.Join(words, ", ")
	}
	fmt.Fprintf(&b, "  %s\n", wrap(text, 150, "  "))
	return b.String()
}
