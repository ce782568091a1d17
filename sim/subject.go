package sim

import (
	"slices"

	"github.com/balsa-raft/balsa/raft"
)

// Subject is what a failure is about, for people and for the trail that leads there. What comes first matters most.
type Subject struct {
	Members []raft.NodeID
	Entries []EntryAt
	Terms   []raft.Term
	Keys    []int    // of registers
	Values  []uint64 // of registers: each value is written once in a run
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
		s.add(a.Member)
		s.Keys = addNew(s.Keys, a.Key)
		if a.Write {
			s.Values = addNew(s.Values, a.Value)
		}
		s.addEntry(EntryAt{Index: a.Index})
	case writeOf:
		s.Values = addNew(s.Values, uint64(a))
	case *historyError:
		for _, z := range a.zones {
			s.Keys, s.Values = addNew(s.Keys, z.key), addNew(s.Values, z.value)
		}
	}
}

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

// writeOf is the value of a write, in the text of a failure.
type writeOf uint64
