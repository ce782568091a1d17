package raft

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Suffrage is what part a server has in a configuration.
type Suffrage uint8

const (
	// NonMember: it has none.
	NonMember Suffrage = iota
	// Learner receives the log, and counts for nothing (§4.2.1 calls it a non-voting member).
	Learner
	// Voter counts in elections and commitment.
	Voter
)

func (s Suffrage) String() string {
	if s > Voter {
		return fmt.Sprintf("Suffrage(%d)", uint8(s))
	}
	return [...]string{"non-member", "learner", "voter"}[s]
}

// Member is a server as the configuration knows it.
type Member struct {
	ID NodeID
	// Address is where it is reached, host:port. It can change; the core has no use for it.
	Address string
	// Incarnation is that of its data folder, as soon as a leader has heard of it; zero until then. A server of the same id with another
	// one has lost what it acknowledged, and must not take part.
	Incarnation uint64
	Suffrage    Suffrage // in the configuration; in its new half while it is joint
	Old         Suffrage // in the old half of a joint configuration, else NonMember
	Target      Suffrage // what the change under way is to make of it; as Suffrage if there is none
	// Priority: a leader hands over to a voter of a higher one.
	Priority uint8
}

// Configuration is the set of servers that take part (ch. 4). A change goes through up to three of them:
//
//	at rest   voters, learners
//	pending   new servers are learners, and catch up; Target says what is to come
//	joint     the old and the new set of voters, each of which has to agree by a majority of its own (§4.3)
//	at rest   the new set
//
// With Apart it enters and leaves a joint configuration with those that are ready, as often as it takes; the others stay pending meanwhile.
//
// It is never changed in place.
type Configuration struct {
	Members []Member // ascending by ID, without duplicates
	Change  uint64   // Change.ID of the change that led here; zero for the first configuration
	Forced  bool     // Change.Force of that change
	Apart   bool     // Change.Apart of that change
}

// MembersMax bounds the members of a configuration, and AddressBytesMax the address of one.
const (
	MembersMax      = 64
	AddressBytesMax = 255
)

// NewConfiguration returns the configuration of these voters.
func NewConfiguration(voters ...NodeID) Configuration {
	var c Configuration
	for _, id := range voters {
		c.Members = append(c.Members, Member{ID: id, Suffrage: Voter, Target: Voter})
	}
	slices.SortFunc(c.Members, byID)
	return c
}

func byID(a, b Member) int { return cmp.Compare(a.ID, b.ID) }

// isPromoting: it is to become a voter, and is not yet one.
func (m Member) isPromoting() bool { return m.Suffrage == Learner && m.Target == Voter }

// Member returns the member of that id, or false.
func (c Configuration) Member(id NodeID) (Member, bool) {
	i, ok := slices.BinarySearchFunc(c.Members, Member{ID: id}, byID)
	if !ok {
		return Member{}, false
	}
	return c.Members[i], true
}

// IsVoter reports whether id counts in elections and commitment, in one half of a joint configuration at least.
func (c Configuration) IsVoter(id NodeID) bool {
	m, _ := c.Member(id)
	return m.Suffrage == Voter || m.Old == Voter
}

// Joint reports whether two sets of voters have to agree.
func (c Configuration) Joint() bool {
	return slices.ContainsFunc(c.Members, func(m Member) bool { return m.Old == Voter })
}

// Pending reports whether members wait to become what the change wants of them.
func (c Configuration) Pending() bool {
	return slices.ContainsFunc(c.Members, func(m Member) bool { return m.Target != m.Suffrage })
}

// AtRest reports whether no change is under way.
func (c Configuration) AtRest() bool { return !c.Joint() && !c.Pending() }

// Voters are the ids of those that count, in the new half of a joint configuration.
func (c Configuration) Voters() []NodeID {
	return c.ids(func(m Member) bool { return m.Suffrage == Voter })
}

func (c Configuration) ids(which func(Member) bool) (ids []NodeID) {
	for _, m := range c.Members {
		if which(m) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// String is the form that transcripts show: the voters (1 2 3), and learners behind them. A pending configuration is (1 2 3) learners 4, to be
// (1 2 4); a joint one (1 2 3)->(1 2 4).
func (c Configuration) String() string {
	s := c.half(func(m Member) Suffrage { return m.Suffrage })
	if c.Joint() {
		s = fmt.Sprintf("(%s)->%s", joined(c.ids(func(m Member) bool { return m.Old == Voter })), s)
	}
	if c.Pending() {
		s += ", to be " + c.half(func(m Member) Suffrage { return m.Target })
	}
	return s
}

// half is who is what by one of the suffrages.
func (c Configuration) half(of func(Member) Suffrage) string {
	s := fmt.Sprintf("(%s)", joined(c.ids(func(m Member) bool { return of(m) == Voter })))
	if learners := c.ids(func(m Member) bool { return of(m) == Learner }); len(learners) > 0 {
		s += " learners " + joined(learners)
	}
	return s
}

func joined(ids []NodeID) string { return strings.Trim(fmt.Sprint(ids), "[]") }

// names is for messages: n1, n2.
func names(ids []NodeID) string { return "n" + strings.ReplaceAll(joined(ids), " ", ", n") }

// validate names what no configuration of a correct server looks like.
func (c Configuration) validate() error {
	if len(c.Members) > MembersMax {
		return fmt.Errorf("%d members, at most %d", len(c.Members), MembersMax)
	}
	if len(c.Members) == 0 {
		return nil // of a server that has not been told yet
	}
	joint, newVoters := c.Joint(), 0
	for i, m := range c.Members {
		switch {
		case m.ID == 0:
			return errors.New("a member has id zero")
		case i > 0 && m.ID <= c.Members[i-1].ID:
			return fmt.Errorf("member n%d does not follow n%d in ascending order", m.ID, c.Members[i-1].ID)
		case len(m.Address) > AddressBytesMax:
			return fmt.Errorf("the address of member n%d has %d bytes, at most %d", m.ID, len(m.Address), AddressBytesMax)
		case m.Suffrage > Voter || m.Old > Voter || m.Target > Voter:
			return fmt.Errorf("member n%d has suffrage %d, %d, %d", m.ID, m.Suffrage, m.Old, m.Target)
		case joint && (m.Old == NonMember || m.Target != m.Suffrage && !(c.Apart && m.isPromoting() && m.Old == Learner)), !joint && (m.Old != NonMember || m.Suffrage == NonMember):
			return fmt.Errorf("member n%d cannot be %v (was %v, will be %v)", m.ID, m.Suffrage, m.Old, m.Target)
		}
		if m.Suffrage == Voter {
			newVoters++
		}
	}
	if newVoters == 0 {
		return errors.New("no voters")
	}
	return nil
}

// The bytes of a configuration:
//
//	version u8 = 1 | flags u8 (1: forced, 2: apart) | change u64 | count u8, and for each member
//	id u64 | incarnation u64 | suffrage, old, target 2 bits each | priority u8 | address length u8 | address
//
// little-endian.
const (
	configurationVersion = 1

	flagForced, flagApart = 1, 2
)

// AppendConfiguration appends the bytes of c, the Data of its entry, to b.
func AppendConfiguration(b []byte, c Configuration) []byte {
	var flags byte
	if c.Forced {
		flags |= flagForced
	}
	if c.Apart {
		flags |= flagApart
	}
	b = append(b, configurationVersion, flags)
	b = binary.LittleEndian.AppendUint64(b, c.Change)
	b = append(b, byte(len(c.Members)))
	for _, m := range c.Members {
		b = binary.LittleEndian.AppendUint64(b, uint64(m.ID))
		b = binary.LittleEndian.AppendUint64(b, m.Incarnation)
		b = append(b, byte(m.Suffrage)|byte(m.Old)<<2|byte(m.Target)<<4, m.Priority, byte(len(m.Address)))
		b = append(b, m.Address...)
	}
	return b
}

// DecodeConfiguration is the inverse of AppendConfiguration. It fails for what is not a configuration, whole and alone.
func DecodeConfiguration(b []byte) (c Configuration, err error) {
	const head, member = 11, 19
	if len(b) < head {
		return c, fmt.Errorf("raft: a configuration of %d bytes is too short", len(b))
	}
	if b[0] != configurationVersion || b[1] > flagForced|flagApart {
		return c, fmt.Errorf("raft: a configuration of version %d, flags %d: this is version %d", b[0], b[1], configurationVersion)
	}
	c.Forced, c.Apart = b[1]&flagForced != 0, b[1]&flagApart != 0
	c.Change = binary.LittleEndian.Uint64(b[2:])
	count := int(b[10])
	for b = b[head:]; count > 0; count-- {
		if len(b) < member || len(b) < member+int(b[18]) {
			return c, errors.New("raft: a configuration is cut short")
		}
		m := Member{ID: NodeID(binary.LittleEndian.Uint64(b)), Incarnation: binary.LittleEndian.Uint64(b[8:])}
		m.Suffrage, m.Old, m.Target = Suffrage(b[16]&3), Suffrage(b[16]>>2&3), Suffrage(b[16]>>4)
		m.Priority, m.Address = b[17], string(b[member:member+int(b[18])])
		c.Members = append(c.Members, m)
		b = b[member+len(m.Address):]
	}
	if len(b) > 0 {
		return c, fmt.Errorf("raft: %d bytes follow a configuration", len(b))
	}
	if err := c.validate(); err != nil {
		return c, fmt.Errorf("raft: not a configuration: %w", err)
	}
	return c, nil
}

// equal reports whether two configurations are the same.
func (c Configuration) equal(o Configuration) bool {
	return c.Change == o.Change && c.Forced == o.Forced && c.Apart == o.Apart && slices.Equal(c.Members, o.Members)
}

// ConfigurationAt is a configuration and its place in the log. Index is zero for the one that a server was first started with.
type ConfigurationAt struct {
	Index Index
	Configuration
}
