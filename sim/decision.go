package sim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Decision is one of a run's: a fault, or a client's turn, in which it makes one call or some. A change of the members is a fault, too.
type Decision struct {
	Source int // the number of a client; those with sessions are numbered from 1000 on. What makes faults has negative ones
	Number int // from 1 on
}

const (
	sourceNemesis = -1
	sourceAmbush  = -2
)

// String is what Decisions calls it: f7 is the seventh fault, a7 the seventh chance of one that waits for something rare, c2.5 client 2's fifth turn.
func (d Decision) String() string {
	switch d.Source {
	case sourceNemesis:
		return fmt.Sprintf("f%d", d.Number)
	case sourceAmbush:
		return fmt.Sprintf("a%d", d.Number)
	}
	if d.ofMessage() {
		return d.messageText()
	}
	return fmt.Sprintf("c%d.%d", d.Source, d.Number)
}

// Decisions is a set of them, or of whole kinds of them.
type Decisions struct {
	faults    Faults
	nothing   bool // makes the set not empty
	calls     bool // those that no client makes by itself: around elections, deaths and cuts
	simple    simple
	mishaps   mishapsLeftOut
	clients   map[int]bool
	decisions map[Decision]bool
	messages  bool // among them are some of messages
}

// ParseDecisions reads what String has written: names of faults, f7, f7-9, a7, a7-9, c2.5, c2.5-8, c2 (all turns of a client), m1/2.append.7 or
// m1/2.append.7-9 (what happens to these messages of n1 to n2), calls (those that no client makes by
// itself, around elections, deaths and cuts), loss.append.vote and its like (of messages of some kinds), loss.but.append (of all others), and what can be simpler
// than the seed has it (bursts, values, snapshots and others; simple is all of that), separated by commas.
func ParseDecisions(text string) (Decisions, error) {
	var o Decisions
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		if !o.add(word) {
			return Decisions{}, fmt.Errorf("sim: %q is no decision of a run: name a fault (%s), loss.append or loss.but.append (or duplicate, delay; or other messages: %s), what can be simpler (%s), f7 or f7-9, a7 or a7-9, c2, c2.5 or c2.5-8, m1/2.append.7 or m1/2.append.7-9, or calls",
				word, strings.Join(faultNames[:len(faultNames)-1], ", "), strings.Join(messageNames[:], ", "), strings.Join(append(simplest.each(), simpleAll), ", "))
		}
	}
	return o, nil
}

// rangeMax bounds what one word of a set can name.
const rangeMax = 1 << 20

func (o *Decisions) add(word string) bool {
	if f, ok := faultOf(word); ok {
		o.faults |= f
		return true
	}
	if s, ok := simpleOf(word); ok {
		o.simple |= s
		return true
	}
	if ms, ok := mishapsNamed(word); ok {
		for _, m := range ms {
			o.addMishap(m)
		}
		return true
	}
	switch word {
	case "calls":
		o.calls = true
		return true
	case "nothing":
		o.nothing = true
		return true
	}
	source, numbers := sourceNemesis, ""
	switch word[0] {
	case 'f':
		numbers = word[1:]
	case 'a':
		source, numbers = sourceAmbush, word[1:]
	case 'c':
		client, rest, some := strings.Cut(word[1:], ".")
		n, err := strconv.ParseUint(client, 10, 16)
		if err != nil {
			return false
		}
		if source, numbers = int(n), rest; !some {
			o.addClient(source)
			return true
		}
	case 'm':
		var ok bool
		if source, numbers, ok = cutMessage(word); !ok {
			return false
		}
	default:
		return false
	}
	from, to, several := strings.Cut(numbers, "-")
	if !several {
		to = from
	}
	first, err1 := strconv.ParseUint(from, 10, 31)
	last, err2 := strconv.ParseUint(to, 10, 31)
	if err1 != nil || err2 != nil || first == 0 || last < first || last-first >= rangeMax {
		return false
	}
	for n := first; n <= last; n++ {
		o.addDecision(Decision{Source: source, Number: int(n)})
	}
	return true
}

func (o *Decisions) addClient(client int) {
	if o.clients == nil {
		o.clients = make(map[int]bool)
	}
	o.clients[client] = true
}

func (o *Decisions) addMishap(m mishapOf) {
	if o.mishaps == nil {
		o.mishaps = make(mishapsLeftOut)
	}
	o.mishaps[m] = true
}

func (o *Decisions) addDecision(d Decision) {
	if o.decisions == nil {
		o.decisions = make(map[Decision]bool)
	}
	o.decisions[d] = true
	o.messages = o.messages || d.ofMessage()
}

// ParseFaults reads names of faults, separated by commas; "all" and "none" are names, too.
func ParseFaults(text string) (f Faults, err error) {
	for _, name := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '+' }) {
		one, ok := faultOf(name)
		switch {
		case name == "all":
			one = AllFaults
		case name == "none":
			one = FaultNone
		case !ok:
			return 0, fmt.Errorf("sim: there is no fault %q: there are %s, all and none", name, strings.Join(faultNames[:len(faultNames)-1], ", "))
		}
		f |= one
	}
	if f.has(FaultNone) && f != FaultNone {
		return 0, fmt.Errorf("sim: the faults %q: none goes with nothing else", text)
	}
	return f, nil
}

func faultOf(name string) (Faults, bool) {
	i := slices.Index(faultNames[:len(faultNames)-1], name)
	return 1 << max(i, 0), i >= 0
}

// has reports whether a decision is left out.
func (o *Decisions) has(d Decision) bool {
	return o.decisions[d] || o.clients[d.Source]
}

func (o *Decisions) isEmpty() bool {
	return o.faults == 0 && !o.calls && !o.nothing && o.simple == 0 && len(o.mishaps) == 0 && len(o.clients) == 0 && len(o.decisions) == 0
}

// String is the set as ParseDecisions reads it.
func (o Decisions) String() string {
	var words []string
	for i, name := range faultNames[:len(faultNames)-1] {
		if o.faults.has(1 << i) {
			words = append(words, name)
		}
	}
	words = append(words, o.mishaps.words()...)
	words = append(words, o.simple.names()...)
	if o.calls {
		words = append(words, "calls")
	}
	if o.nothing {
		words = append(words, "nothing")
	}
	for _, client := range slices.Sorted(maps.Keys(o.clients)) {
		words = append(words, fmt.Sprintf("c%d", client))
	}
	var ds []Decision
	for d := range o.decisions {
		if !o.clients[d.Source] {
			ds = append(ds, d)
		}
	}
	slices.SortFunc(ds, compareDecisions)
	for i := 0; i < len(ds); {
		k := i + 1
		for k < len(ds) && ds[k].Source == ds[i].Source && ds[k].Number == ds[k-1].Number+1 {
			k++
		}
		word := ds[i].String()
		if k > i+1 {
			word += fmt.Sprintf("-%d", ds[k-1].Number)
		}
		words = append(words, word)
		i = k
	}
	return strings.Join(words, ",")
}

func compareDecisions(a, b Decision) int {
	if a.Source != b.Source {
		return a.Source - b.Source
	}
	return a.Number - b.Number
}

// leavesOut reports whether a decision is to be left out; if not, it is one of the run's.
func (w *world) leavesOut(d Decision) bool {
	if w.options.Without.has(d) || !w.options.Only.isEmpty() && !w.options.Only.has(d) {
		return true
	}
	if d.Source < 0 {
		w.report.Faults++
	} else {
		w.report.Turns++
	}
	if w.options.decided != nil {
		w.options.decided(d)
	}
	return false
}
