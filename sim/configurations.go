package sim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/balsa-raft/balsa/raft"
)

// Configurations, for the checker: which one is in force is found in the logs, and not asked of the members.

// configurations is what the checker knows of them.
type configurations struct {
	first   raft.Configuration
	at      map[place]raft.Configuration
	indexes []raft.Index // where there is one, in some log; ascending
	done    map[uint64][]raft.Member
	led     map[raft.NodeID]place // where the last is that a member has put in force in a term that it led
	own     map[raft.NodeID]place // where the last is that came into force at a member, and the term that the member was in then
	begun   map[uint64]bool       // the changes of which a configuration is committed
	refused map[uint64]bool       // of which an operator was told that they have not begun
	bases   map[uint64]uint64     // of the changes that operators asked for: what the members were when they were decided on

	lastChange    uint64 // that is committed
	lastCommitted raft.Configuration
	lastBy        raft.NodeID // who committed it
}

func newConfigurations(first raft.Configuration) configurations {
	return configurations{first: first, lastCommitted: first, at: make(map[place]raft.Configuration), done: make(map[uint64][]raft.Member), begun: make(map[uint64]bool), refused: make(map[uint64]bool), bases: make(map[uint64]uint64), own: make(map[raft.NodeID]place), led: make(map[raft.NodeID]place)}
}

// seeConfiguration takes in an entry that may be a configuration.
func (c *checker) seeConfiguration(m *member, e *raft.Entry) {
	if e.Type != raft.EntryConfiguration {
		return
	}
	cfg, err := raft.DecodeConfiguration(e.Data)
	if err != nil {
		c.w.fail("Assertion", "n%d has entry %d, which is no configuration: %v", m.id, e.Index, err)
		return
	}
	c.noteConfiguration(m, place{e.Index, e.Term}, cfg)
}

func (c *checker) noteConfiguration(m *member, at place, cfg raft.Configuration) {
	if was, ok := c.configurations.at[at]; ok && was.String() != cfg.String() {
		c.w.fail("Log Matching", "n%d has the configuration %v at %d (t%d), others have %v", m.id, cfg, at.index, at.term, was)
	}
	c.configurations.at[at] = cfg
	if i, ok := slices.BinarySearch(c.configurations.indexes, at.index); !ok {
		c.configurations.indexes = slices.Insert(c.configurations.indexes, i, at.index)
	}
}

// notSent takes in a configuration that a leader has in force, and has neither sent nor saved yet: it counts already. What it says of it must be what
// it will send.
func (c *checker) notSent(m *member, term raft.Term) {
	if m.group == nil {
		return // of a stage, which has none
	}
	cfg, log := m.group.Configuration(), c.logs[term]
	if _, ok := log[cfg.Index]; !ok {
		log[cfg.Index] = term
	}
	at := place{cfg.Index, log[cfg.Index]}
	if _, ok := c.configurations.at[at]; !ok && cfg.Index > 0 { // its index and term may have been sent already, before a probe
		c.noteConfiguration(m, at, cfg.Configuration)
	}
}

// notSeen takes in that a leader has taken a joint configuration back, gone by that, and lost it to the next leader, all in one step: nobody has seen it, and it is the old half.
func (c *checker) notSeen(m *member, term raft.Term) {
	was := c.configurations.led[m.id]
	log := c.logs[term]
	if _, known := log[was.index]; known || was.term != term || was.index == 0 {
		return
	}
	_, before := c.configurationIn(func(i raft.Index) raft.Term { return log[i] }, was.index-1)
	if !before.Joint() {
		return
	}
	log[was.index] = term
	c.noteConfiguration(m, was, raft.NewConfiguration(oldVoters(before)...))
}

// configurationIn is the one in force at the end of a log that goes up to last, and its index.
func (c *checker) configurationIn(log func(raft.Index) raft.Term, last raft.Index) (raft.Index, raft.Configuration) {
	for k := len(c.configurations.indexes) - 1; k >= 0; k-- {
		i := c.configurations.indexes[k]
		if i > last {
			continue
		}
		if cfg, ok := c.configurations.at[place{i, log(i)}]; ok {
			return i, cfg
		}
	}
	return 0, c.configurations.first
}

// committedConfiguration is the last that is committed up to i.
func (c *checker) committedConfiguration(i raft.Index) (raft.Index, raft.Configuration) {
	return c.configurationIn(func(i raft.Index) raft.Term { return c.ghost(i).term }, min(i, c.committedTo()))
}

// isMemberAt reports whether that server is a member by the last configuration that is committed up to i.
func (c *checker) isMemberAt(i raft.Index, id raft.NodeID) bool {
	_, cfg := c.committedConfiguration(i)
	return c.isMember(cfg, id)
}

// lastWithout is the last committed configuration of which that server is no member, or the first.
func (c *checker) lastWithout(id raft.NodeID) (raft.Index, raft.Configuration) {
	for i := c.committedTo(); i > 0; {
		at, cfg := c.committedConfiguration(i)
		if !c.isMember(cfg, id) {
			return at, cfg
		}
		i = max(at, 1) - 1
	}
	return 0, c.configurations.first
}

// configurationOnDisk is what would be in force on a member after a crash now.
func (c *checker) configurationOnDisk(m *member) (raft.Index, raft.Configuration) {
	return c.configurationIn(func(i raft.Index) raft.Term { return c.held(m, i).term }, max(m.disk.durable.last(), c.snapshotOf(m).Index))
}

// configurationsSettled reports whether nobody has a configuration behind that one, committed or not.
func (c *checker) configurationsSettled(at raft.Index) bool {
	for _, m := range c.w.members {
		if i, _ := c.configurationOnDisk(m); i > at {
			return false
		}
		if !m.up {
			continue
		}
		if s := m.group.Status(); s.Configuration.Index > max(at, s.CommitIndex) { // one from a snapshot has the snapshot's index
			return false
		}
	}
	return true
}

// mayBeInForce are the configurations by which a leader may go on from here: the last that is committed, and what a log has behind it that also has the last committed
// entry; and of each what it is to become. What others have is outdated: nobody can be elected with it.
func (c *checker) mayBeInForce() (of []raft.Configuration) {
	to := c.committedTo()
	at, cfg := c.committedConfiguration(to)
	of = appendWithTarget(of, cfg)
	for _, m := range c.w.members {
		if c.held(m, to).term != c.ghost(to).term {
			continue
		}
		if i, cfg := c.configurationOnDisk(m); i > at {
			of = appendWithTarget(of, cfg)
		}
		if m.up {
			if cfg := m.group.Status().Configuration; cfg.Index > at {
				of = appendWithTarget(of, cfg.Configuration)
			}
		}
	}
	return of
}

// appendWithTarget appends a configuration and, if it is pending, one of those that are to be the voters.
func appendWithTarget(of []raft.Configuration, cfg raft.Configuration) []raft.Configuration {
	of = append(of, cfg)
	if cfg.AtRest() {
		return of
	}
	wanted := slices.Clone(cfg.Members)
	for i := range wanted {
		wanted[i].Suffrage = wanted[i].Target
	}
	voters := votersOf(wanted)
	if len(voters) == 0 {
		return of
	}
	return append(of, raft.NewConfiguration(voters...))
}

// votersOf are those that are to be voters, of members that somebody wants.
func votersOf(want []raft.Member) (voters []raft.NodeID) {
	for _, m := range want {
		if m.Suffrage == raft.Voter {
			voters = append(voters, m.ID)
		}
	}
	return voters
}

func (c *checker) isMember(cfg raft.Configuration, id raft.NodeID) bool {
	_, ok := cfg.Member(id)
	return ok
}

// enough reports whether those of which yes holds are a majority of the voters, and of the old ones if there are two sets.
func enough(cfg raft.Configuration, yes func(raft.NodeID) bool) bool {
	var voters, old, of, ofOld int
	for _, m := range cfg.Members {
		has := yes(m.ID)
		if m.Suffrage == raft.Voter {
			voters++
			of += bit(has)
		}
		if m.Old == raft.Voter {
			old++
			ofOld += bit(has)
		}
	}
	return of > voters/2 && (old == 0 || ofOld > old/2)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// mayCommit reports whether the leader of a term, whose log that is, may count entry i as committed: a majority has it on disk, of the configuration
// that was in force when it was appended or of a later one. A joint configuration is committed by itself: the next one may only be appended
// after that, but for one that takes it back.
func (c *checker) mayCommit(log map[raft.Index]raft.Term, i raft.Index) bool {
	has := func(id raft.NodeID) bool { return c.counts(c.w.member(id), i, log[i]) }
	at := func(i raft.Index) raft.Term { return log[i] }
	index, cfg := c.configurationIn(at, i)
	if enough(cfg, has) {
		return true
	}
	itself := index == i && cfg.Joint()
	for _, next := range c.configurations.indexes {
		later, ok := c.configurations.at[place{next, log[next]}]
		if ok && next > i && enough(later, has) && (!itself || abandons(later, cfg) && log[next] == log[i]) {
			c.w.reachIf(jointBack, itself)
			return true
		}
	}
	return false
}

// abandons reports whether later goes back to the old half of a joint configuration: its leader may do so as long as it alone knows that the joint
// one is not committed.
func abandons(later, joint raft.Configuration) bool {
	var old []raft.NodeID
	for _, m := range joint.Members {
		if m.Old == raft.Voter {
			old = append(old, m.ID)
		}
	}
	return !later.Joint() && slices.Equal(later.Voters(), old)
}

// committedChange takes in that a configuration is committed, each of them in its turn. A change that was decided on other members than there are
// could undo another one that nobody knew of.
func (c *checker) committedChange(cfg raft.Configuration) {
	if was := c.configurations.lastChange; cfg.Change != was {
		if base := c.configurations.bases[cfg.Change]; base != was {
			c.w.fail("Members", "change %x to %v was decided on what change %x had made, and follows change %x", cfg.Change, cfg, base, was)
		}
		c.configurations.lastChange = cfg.Change
	}
	c.configurations.begun[cfg.Change] = true
	c.checkRefused(cfg.Change)
	if cfg.AtRest() && cfg.Change != 0 {
		c.configurations.done[cfg.Change] = cfg.Members
	}
}

// refusedChange takes in that an operator was told that a change has not begun.
func (c *checker) refusedChange(ch *wish) {
	c.configurations.refused[ch.id] = true
	c.checkRefused(ch.id)
}

func (c *checker) checkRefused(change uint64) {
	if c.configurations.refused[change] && c.configurations.begun[change] {
		c.w.fail("Members", "change %x was said not to have begun, and it is committed", change)
	}
}

// changed takes in that an operator was told that the members are what was wanted: there was such a configuration.
func (c *checker) changed(m *member, ch *wish) {
	got, ok := c.configurations.done[ch.id]
	if !ok {
		c.w.fail("Members", "n%d says that the change to %s is done, and it is not committed", m.id, describeMembers(ch.want))
		return
	}
	same := len(got) == len(ch.want)
	for _, want := range ch.want {
		i := slices.IndexFunc(got, func(m raft.Member) bool { return m.ID == want.ID })
		same = same && i >= 0 && got[i].Suffrage == want.Suffrage && got[i].Priority == want.Priority
	}
	if !same {
		c.w.fail("Members", "n%d says that the change to %s is done, and the members are %s", m.id, describeMembers(ch.want), describeMembers(got))
	}
}

func describeMembers(ms []raft.Member) string {
	var b strings.Builder
	for _, m := range ms {
		fmt.Fprintf(&b, " n%d", m.ID)
		if m.Suffrage == raft.Learner {
			b.WriteString("(learner)")
		}
	}
	return strings.TrimSpace(b.String())
}

// checkSteps: a leader goes on with the members only when it has committed something of its own term; before, it may not know of what an earlier leader has begun. To write down
// data folders is no step.
func (c *checker) checkSteps(m *member, msg *raft.AppendEntries) {
	log := c.logs[msg.Term]
	for i := range msg.Entries {
		e := &msg.Entries[i]
		cfg, ok := c.configurations.at[place{e.Index, e.Term}]
		if !ok || e.Term != msg.Term {
			continue
		}
		at, before := c.configurationIn(func(i raft.Index) raft.Term { return log[i] }, e.Index-1)
		if why := unlawful(before, at <= msg.LeaderCommit, cfg, m.id); why != "" {
			c.w.fail("Members", "n%d leads term %d and goes on from %v to %v at %d: %s", m.id, msg.Term, before, cfg, e.Index, why)
		}
		if c.ghost(msg.LeaderCommit).term == msg.Term {
			continue
		}
		if before.Change != cfg.Change || before.String() != cfg.String() {
			c.w.fail("Members", "n%d leads term %d, has committed nothing of it, and goes on from %v to %v at %d", m.id, msg.Term, before, cfg, e.Index)
		}
	}
}
