package sim

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/balsa-raft/balsa/raft"
)

// Subject is what a failure is about, for people and for the trail that leads there. What comes first matters most.
type Subject struct {
	Members []raft.NodeID
	Entries []EntryAt
	Terms   []raft.Term
	Keys    []int    // of registers
	Values  []uint64 // of registers: each value is written once in a run

	call *operation
}

// EntryAt is a place in logs. A term of zero is any.
type EntryAt struct {
	Index raft.Index
	Term  raft.Term
}

// subjectOf reads what a failure is about off the types of what its text names. A term that follows an index is that entry's.
func subjectOf(args []any) (s Subject) {
	for n := 0; n < len(args); n++ {
		switch a := args[n].(type) {
		case raft.Index:
			at := EntryAt{Index: a}
			if n+1 < len(args) {
				if t, ok := args[n+1].(raft.Term); ok {
					at.Term = t
					n++
				}
			}
			s.addEntry(at)
		default:
			s.add(a)
		}
	}
	return s
}

func (s *Subject) add(of any) {
	switch a := of.(type) {
	case raft.NodeID:
		if a != 0 {
			s.Members = addNew(s.Members, a)
		}
	case raft.Term:
		if a != 0 {
			s.Terms = addNew(s.Terms, a)
		}
	case *member:
		if a != nil {
			s.add(a.id)
		}
	case place:
		s.addEntry(EntryAt{a.index, a.term})
	case *operation:
		s.call = a
		s.add(a.Member)
		s.Keys = addNew(s.Keys, a.Key)
		if a.Write {
			s.Values = addNew(s.Values, a.Value)
		}
		s.addEntry(EntryAt{Index: a.Index})
	case *historyError:
		for _, z := range a.zones {
			s.Keys, s.Values = addNew(s.Keys, z.key), addNew(s.Values, z.value)
		}
	case error:
		s.read(a.Error())
	case mention:
		s.read(string(a))
	case writeOf:
		s.Values = addNew(s.Values, uint64(a))
	}
}

// read takes what the text of an error names: what a member says of itself has no other form.
func (s *Subject) read(text string) {
	number := func(digits string) uint64 {
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			return 0 // which is nothing
		}
		return n
	}
	for _, found := range subjectText.FindAllStringSubmatch(text, -1) {
		s.add(raft.NodeID(number(found[1])))
		s.addEntry(EntryAt{raft.Index(number(found[2])), raft.Term(number(found[3]))})
		s.add(raft.Term(number(found[4])))
	}
}

var subjectText = regexp.MustCompile(`\bn(\d+)\b|\bentry (\d+)(?: of term (\d+))?|\bterm (\d+)`)

func (s *Subject) addEntry(at EntryAt) {
	if at.Index != 0 {
		s.Entries = addNew(s.Entries, at)
	}
}

func addNew[T comparable](list []T, one T) []T {
	if slices.Contains(list, one) {
		return list
	}
	return append(list, one)
}

// mention is text that is read for what it names, too.
type mention string

// writeOf is the value of a write, in the text of a failure.
type writeOf uint64
