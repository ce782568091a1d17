package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// Added is a fault that strikes beside what the seed decides.
type Added struct {
	Fault  Faults        // one that strikes a member: see Addable
	Member raft.NodeID   // from 1 on; of fewer members each is several numbers
	At     time.Duration // virtual; nothing happens once all is mended
}

// String is the fault as ParseAdded reads it: power.n2@2.5s.
func (a Added) String() string { return fmt.Sprintf("%v.n%d@%v", a.Fault, a.Member, a.At) }

const (
	addedMax       = 1000
	addedMemberMax = 2 * membersMax // with spares
)

// Addable are the names of the faults that can be added: not those that concern messages alone, or go with others.
func Addable() (names []string) {
	for _, h := range new(world).harmsThatCanBe() {
		names = append(names, h.fault.String())
	}
	return names
}

// ParseAdded reads faults as String writes them, separated by commas.
func ParseAdded(text string) (all []Added, err error) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		a, ok := parseAdded(word)
		if !ok {
			return nil, fmt.Errorf("sim: %q is no fault that can be added: write power.n2@2.5s for one that strikes n2 after 2.5 s; there are %s", word, strings.Join(Addable(), ", "))
		}
		all = append(all, a)
	}
	return all, checkAdded(all)
}

func parseAdded(word string) (a Added, ok bool) {
	what, at, ok := strings.Cut(word, "@")
	name, member, ok2 := strings.Cut(what, ".n")
	id, err := strconv.ParseUint(member, 10, 8)
	if !ok || !ok2 || err != nil || !slices.Contains(Addable(), name) {
		return a, false
	}
	a.Fault, _ = faultOf(name)
	a.Member = raft.NodeID(id)
	a.At, err = time.ParseDuration(at)
	return a, err == nil
}

func checkAdded(all []Added) error {
	if len(all) > addedMax {
		return fmt.Errorf("sim: %d faults are to be added, more than %d", len(all), addedMax)
	}
	for _, a := range all {
		if a.Member < 1 || a.Member > addedMemberMax || a.At < 0 || !slices.Contains(Addable(), a.Fault.String()) {
			return fmt.Errorf("sim: the fault %v cannot be added: the member must be n1 to n%d, the time not negative, and the fault one of %s", a, addedMemberMax, strings.Join(Addable(), ", "))
		}
	}
	return nil
}

// addFaults makes things go wrong beside what the seed decides. What each draws depends on itself alone, so that others can be left out.
func (w *world) addFaults(all []Added) {
	for _, a := range all {
		w.with(w.stream(ofAdded, uint64(a.At), uint64(a.Fault)<<8|uint64(a.Member)), func() {
			w.after(a.At, func() {
				if w.chaos {
					w.addFault(a)
				}
			})
		})
	}
}

func (w *world) addFault(a Added) {
	m := w.members[(int(a.Member)-1)%len(w.members)]
	harms := w.harmsThatCanBe()
	n := slices.IndexFunc(harms, func(h harm) bool { return h.fault == a.Fault })
	w.report.Faults++
	w.tell("fault %v, added, on n%d", a, m.id)
	w.record(TraceLine{Kind: TraceFault, Node: m.id, What: a.Fault.String(), Text: a.String()})
	harms[n].do(m)
}
