package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/balsa-raft/balsa/raft"
)

// Meta says which snapshot it is. Group, Index and Term name it within a cluster.
type Meta struct {
	Group raft.GroupID
	Index raft.Index // of the last entry that the snapshot stands in for
	Term  raft.Term  // that entry's
	// Configuration is the group's at Index, in bytes that only the caller reads; at most ConfigurationBytesMax. It is
	// not changed by anybody once it is here.
	Configuration []byte
}

// ConfigurationBytesMax bounds Meta.Configuration.
const ConfigurationBytesMax = 32 << 10

func (m Meta) String() string {
	return fmt.Sprintf("group %d index %d term %d", m.Group, m.Index, m.Term)
}

func (m Meta) validate() error {
	switch {
	case m.Index == 0 || m.Term == 0:
		return errors.New("index and term of a snapshot begin at 1")
	case len(m.Configuration) > ConfigurationBytesMax:
		return fmt.Errorf("configuration of %d bytes, at most %d", len(m.Configuration), ConfigurationBytesMax)
	}
	return nil
}

// place is what a file's name says. It orders the snapshots of a group.
type place struct {
	group raft.GroupID
	index raft.Index
	term  raft.Term
}

func (m Meta) place() place { return place{m.Group, m.Index, m.Term} }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.group, q.group), cmp.Compare(p.index, q.index), cmp.Compare(p.term, q.term))
}

const (
	namePrefix = "snap-"
	tempSuffix = ".tmp"  // a Writer's
	partSuffix = ".part" // a Receiver's
)

func (p place) name() string {
	return fmt.Sprintf("%s%016x-%016x-%016x", namePrefix, p.group, p.index, p.term)
}

// parseName is the inverse of name for what stands before the suffix. ok is false for all names that are not this package's.
func parseName(name string) (p place, suffix string, ok bool) {
	for _, s := range []string{tempSuffix, partSuffix} {
		if rest, found := strings.CutSuffix(name, s); found {
			name, suffix = rest, s
			break
		}
	}
	fields := strings.Split(strings.TrimPrefix(name, namePrefix), "-")
	if len(fields) != 3 {
		return place{}, "", false
	}
	var n [3]uint64
	for i, field := range fields {
		n[i], _ = strconv.ParseUint(field, 16, 64) // what is wrong differs from name below
	}
	p = place{raft.GroupID(n[0]), raft.Index(n[1]), raft.Term(n[2])}
	return p, suffix, p.name() == name
}
