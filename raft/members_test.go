package raft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/balsa-raft/balsa/internal/script"
)

// Membership in the cluster of the tests: servers that join and leave, and the host's part in it: which data folder a server has.

// addJoiners adds servers that are no members yet.
func (c *cluster) addJoiners(n int) {
	for range n {
		id := NodeID(len(c.servers) + 1)
		c.servers = append(c.servers, &server{id: id, rand: &fixedRand{5}, joins: true, folder: folderOf(id, 1)})
	}
}

// folderOf names the nth data folder of a server.
func folderOf(id NodeID, n uint64) uint64 { return uint64(id)*100 + n }

// first is the configuration that a server is started with.
func (c *cluster) first(s *server) Configuration {
	if s.joins {
		return Configuration{}
	}
	return c.config.Configuration
}

// baseAt is the configuration that a host puts into a snapshot of the first n entries of its log.
func (c *cluster) baseAt(s *server, n Index) ConfigurationAt {
	base := ConfigurationAt{Index: n, Configuration: c.first(s)}
	if len(s.disk.snapshot) > 0 {
		base.Configuration = s.disk.base.Configuration
	}
	for _, at := range s.named {
		if at.Index <= n {
			base.Configuration = at.Configuration
		}
	}
	return base
}

// baseOf is the configuration in a snapshot that has arrived.
func baseOf(m InstallSnapshot) ConfigurationAt {
	configuration, err := DecodeConfiguration(m.Configuration)
	if err != nil {
		panic(err)
	}
	return ConfigurationAt{Index: m.LastIncludedIndex, Configuration: configuration}
}

// configurationOf is the last configuration among entries, or the one that the cluster began with.
func (c *cluster) configurationOf(es []Entry) ConfigurationAt {
	for _, e := range slices.Backward(es) {
		if e.Type == EntryConfiguration {
			return decoded(e)
		}
	}
	return ConfigurationAt{Configuration: c.config.Configuration}
}

// configurationsOf are all configurations among entries.
func configurationsOf(es []Entry) (all []ConfigurationAt) {
	for _, e := range es {
		if e.Type == EntryConfiguration {
			all = append(all, decoded(e))
		}
	}
	return all
}

func decoded(e Entry) ConfigurationAt {
	configuration, err := DecodeConfiguration(e.Data)
	if err != nil {
		panic(err)
	}
	return ConfigurationAt{Index: e.Index, Configuration: configuration}
}

// connect lets a server that has just started, and all others, know of each other's data folder.
func (c *cluster) connect(s *server) {
	s.met = nil
	for _, other := range c.servers {
		if other != s && other.raft != nil && s.folder+other.folder > 0 {
			s.met = append(s.met, other.id)
			other.met = append(other.met, s.id)
		}
	}
}

// introduce tells a core which data folders the servers have that its host has met. They are all connected, for what that is worth:
// cuts and losses are the network's.
func (c *cluster) introduce(s *server) {
	for _, id := range s.met {
		s.raft.Introduce(id, c.server(id).folder)
	}
	s.met = nil
}

// refused reports whether the two ends of a message would have no connection that could carry it: one of them has another data folder than
// when it was sent, or than the other one knows from its configuration.
func (c *cluster) refused(p *packet) bool {
	if p.folders == [2]uint64{} {
		return false // nobody sent it, or nobody has told
	}
	from, to := c.server(p.from), c.server(p.To)
	if p.folders != [2]uint64{from.folder, to.folder} {
		return true
	}
	return to.knowsAnother(from) || from.raft != nil && from.knowsAnother(to)
}

// knowsAnother is what a host decides. Who is no member as it is has nothing to protect, and may have to learn from the other one that it has come back.
func (s *server) knowsAnother(other *server) bool {
	c := s.raft.Configuration()
	me, member := c.Member(s.id)
	m, _ := c.Member(other.id)
	return member && (me.Incarnation == 0 || me.Incarnation == s.folder) && m.Incarnation != 0 && m.Incarnation != other.folder
}

// wipe takes a server that is down its disk away. It joins anew.
func (c *cluster) wipe(s *server) {
	s.disk, s.joins = disk{}, true
	s.folder = folderOf(s.id, max(s.folder, folderOf(s.id, 0))%100+1)
	c.checks.wiped(s)
}

// membersChanged does a host's part with what a core says about members.
func (c *cluster) membersChanged(s *server, e Effects) {
	for _, a := range e.Changes {
		if a.Err == nil {
			c.say("n%d learns that change %d has begun", s.id, a.ID)
		} else {
			c.say("n%d learns that change %d is refused: %v", s.id, a.ID, a.Err)
		}
	}
	if e.Configuration != nil {
		s.met = nil
		for _, other := range c.servers {
			if other != s && other.raft != nil && other.folder > 0 {
				s.met = append(s.met, other.id)
			}
		}
	}
}

// change gives a server a change. Its effects are not carried out yet.
func (c *cluster) change(s *server, change Change) error { return s.raft.ChangeMembers(change) }

// members executes the commands about membership.
func (i *interpreter) members(cmd script.Command) {
	c := i.c
	switch cmd.Name {
	case "members":
		i.tellMembers(i.named(cmd, 0), cmd.Bool("all", false))
	case "change":
		s := i.up(cmd)
		i.answer(s, c.change(s, i.desired(cmd, s)))
		c.settle(s)
	case "introduce":
		s := i.up(cmd)
		for k := range cmd.Args[1:] {
			other := NodeID(cmd.ArgUint(k + 1))
			s.raft.Introduce(other, cmd.Uint("folder", c.server(other).folder))
		}
		c.settle(s)
	case "wipe":
		s := i.one(cmd)
		if s.raft != nil {
			cmd.Fatalf("n%d is not down", s.id)
		}
		c.wipe(s)
		s.joins = cmd.Bool("joins", true)
		c.say("n%d has an empty disk, and data folder %d", s.id, s.folder)
	}
}

// desired reads the change that a command wants. Its id is the next number, and its base what the server has, unless they are given.
func (i *interpreter) desired(cmd script.Command, s *server) Change {
	i.changes++
	change := Change{
		ID: cmd.Uint("id", i.changes), Base: cmd.Uint("base", s.raft.Configuration().Change), Force: cmd.Bool("force", false),
		Apart: cmd.Bool("apart", false), Ready: cmd.Bool("ready", false),
	}
	add := func(key string, suffrage Suffrage) {
		for _, id := range cmd.List(key) {
			change.Members = append(change.Members, Member{ID: NodeID(parse(cmd, id, 0)), Suffrage: suffrage})
		}
	}
	add("voters", Voter)
	add("learners", Learner)
	for _, at := range cmd.List("addresses") {
		id, address, _ := strings.Cut(at, "@")
		for k := range change.Members {
			if change.Members[k].ID == NodeID(parse(cmd, id, 0)) {
				change.Members[k].Address = address
			}
		}
	}
	return change
}

// tellMembers says what servers know of the members, those who know the same together.
func (i *interpreter) tellMembers(servers []*server, all bool) {
	var told []string
	for _, s := range servers {
		if s.raft == nil {
			continue
		}
		what := describeMembers(s, all)
		if slices.Contains(told, what) {
			continue
		}
		told = append(told, what)
		var ids []NodeID
		for _, other := range servers {
			if other.raft != nil && describeMembers(other, all) == what {
				ids = append(ids, other.id)
			}
		}
		i.c.say("%s: %s", names(ids), what)
	}
}

// describeMembers is what a server knows of the members, and with all of their folders, addresses and priorities.
func describeMembers(s *server, all bool) string {
	at := s.raft.Configuration()
	var b strings.Builder
	fmt.Fprintf(&b, "%v", at)
	if at.Index > 0 {
		fmt.Fprintf(&b, " at %d, of change %d", at.Index, at.Change)
	}
	if waits := s.raft.Status().ChangeWaits; waits != "" && s.raft.role == Leader {
		fmt.Fprintf(&b, ", waits: %s", waits)
	}
	for _, m := range at.Members {
		if all {
			fmt.Fprintf(&b, "\n  n%d %v, folder %d, address %q, priority %d", m.ID, m.Suffrage, m.Incarnation, m.Address, m.Priority)
		}
	}
	return b.String()
}

// describeDesired is a change in short: voters, then learners.
func describeDesired(c Change) string {
	var voters, learners []NodeID
	for _, m := range c.Members {
		if m.Suffrage == Voter {
			voters = append(voters, m.ID)
		} else {
			learners = append(learners, m.ID)
		}
	}
	s := fmt.Sprintf("(%s)", joined(voters))
	for _, id := range learners {
		s += fmt.Sprintf(" learner %d", id)
	}
	if c.Force {
		s += ", forced"
	}
	if c.Apart {
		s += ", apart"
	}
	if c.Ready {
		s += ", if ready"
	}
	return s
}
