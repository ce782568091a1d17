package balsa_test

import (
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
)

// TestOddConfigurations: what looks odd either works or is refused with the name of the field.
func TestOddConfigurations(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*balsa.Config)
		want   string // in the error; empty: it works
	}{
		"the smallest intervals": {func(c *balsa.Config) { c.HeartbeatInterval, c.ElectionTimeout = time.Millisecond, 3*time.Millisecond }, ""},
		"uneven intervals": {func(c *balsa.Config) {
			c.HeartbeatInterval, c.ElectionTimeout = 1999*time.Microsecond, 7777*time.Microsecond
		}, ""},
		"intervals of minutes": {func(c *balsa.Config) { c.HeartbeatInterval = 6 * time.Minute; c.ElectionTimeout = time.Hour }, "slow"},
		"a negative interval":  {func(c *balsa.Config) { c.HeartbeatInterval = -1 }, "HeartbeatInterval"},
		"a negative timeout":   {func(c *balsa.Config) { c.ElectionTimeout = -time.Second }, "ElectionTimeout"},
		"an interval that overflows": {func(c *balsa.Config) {
			c.HeartbeatInterval, c.ElectionTimeout = 1<<62, 0
		}, "ElectionTimeout"},
		"the largest interval":     {func(c *balsa.Config) { c.HeartbeatInterval, c.ElectionTimeout = math.MaxInt64, 0 }, "ElectionTimeout"},
		"a timeout of a century":   {func(c *balsa.Config) { c.ElectionTimeout = 100 * 365 * 24 * time.Hour }, "ElectionTimeout"},
		"commands of one byte":     {func(c *balsa.Config) { c.CommandBytesMax = 1 }, ""},
		"one command at a time":    {func(c *balsa.Config) { c.PendingBytesMax = 1 }, ""},
		"the most that may wait":   {func(c *balsa.Config) { c.PendingBytesMax = 512 << 20 }, ""},
		"more than may wait":       {func(c *balsa.Config) { c.PendingBytesMax = 512<<20 + 1 }, "PendingBytesMax"},
		"less than nothing waits":  {func(c *balsa.Config) { c.PendingBytesMax = -1 }, "PendingBytesMax"},
		"clocks that are perfect":  {func(c *balsa.Config) { c.ClockDrift = 1e-9 }, "ClockDrift"},
		"clocks that are useless":  {func(c *balsa.Config) { c.ClockDrift = 1.001 }, "ClockDrift"},
		"clocks of no number":      {func(c *balsa.Config) { c.ClockDrift = math.NaN() }, "ClockDrift"},
		"clocks that run backward": {func(c *balsa.Config) { c.ClockDrift = -0.1 }, "ClockDrift"},
		"clocks that are good":     {func(c *balsa.Config) { c.ClockDrift = 0.001 }, ""},
		"clocks that are bad":      {func(c *balsa.Config) { c.ClockDrift = 1 }, ""},
		"no members":               {func(c *balsa.Config) { c.Members = nil }, "Members"},
		"a member without address": {func(c *balsa.Config) { c.Members = append(c.Members, balsa.Member{ID: 9}) }, "Members"},
		"a member without id":      {func(c *balsa.Config) { c.Members = append(c.Members, balsa.Member{Address: "x:1"}) }, "Members"},
		"an address twice": {func(c *balsa.Config) {
			c.Members = append(c.Members, balsa.Member{ID: 9, Address: c.Members[0].Address})
		}, "Members"},
		"the largest id": {func(c *balsa.Config) {
			c.ID = math.MaxUint64
			c.Members = []balsa.Member{{ID: c.ID, Address: "127.0.0.1:0"}}
		}, ""},
		"another address to listen on": {func(c *balsa.Config) {
			c.Members[0].Address = "192.0.2.1:1" // nobody's
			c.Listen = "127.0.0.1:0"
		}, ""},
	} {
		config := balsa.Config{
			Dir: t.TempDir(), ID: 1, Members: []balsa.Member{{ID: 1, Address: "127.0.0.1:0"}}, Logger: slog.New(slog.DiscardHandler),
		}
		test.change(&config)
		n, err := balsa.Open(t.Context(), config, &adder{})
		switch {
		case err == nil && test.want == "":
			if r, err := n.Propose(t.Context(), 7); err != nil || r.Value != 7 {
				t.Errorf("%s: propose: %v, %v", name, r, err)
			}
		case err == nil && test.want != "slow":
			t.Errorf("%s: opened", name)
		case err != nil && (test.want == "" || !strings.Contains(err.Error(), "Config."+test.want)):
			t.Errorf("%s: %v", name, err)
		}
		if n != nil {
			n.Close()
		}
	}
}

// TestMembersInAnyOrder: four members, of which each lists them in another order, and with its own slice.
func TestMembersInAnyOrder(t *testing.T) {
	c := newCluster(t, 4)
	for i := range c.nodes {
		c.stop(i)
	}
	sorted := c.members
	for i := range c.nodes {
		c.members = append(slices.Clone(sorted[i:]), sorted[:i]...)
		mine := c.members
		c.start(i)
		mine[0].Address, mine[1] = "changed", balsa.Member{} // the caller's to change
	}
	for i := range c.nodes {
		c.add(i, 1)
	}
	for i, n := range c.nodes {
		if got := c.read(i); got != 4 {
			t.Errorf("member %d reads %d", i, got)
		}
		members := n.Status().Members
		if len(members) != 4 || slices.Contains(members, balsa.Member{}) {
			t.Errorf("member %d has members %v", i, members)
		}
		members[0] = balsa.Member{}
		if slices.Contains(n.Status().Members, balsa.Member{}) {
			t.Errorf("a status is not the caller's own")
		}
	}
	c.members = sorted
}

// TestAFolderBelongsToItsMembers: a member of three that is started as the only one has all of a majority, and none of what the
// others acknowledge.
func TestAFolderBelongsToItsMembers(t *testing.T) {
	c := newCluster(t, 3)
	c.add(0, 1)
	c.stop(0)
	all := c.members
	for _, members := range [][]balsa.Member{all[:1], all[:2], append(slices.Clone(all), balsa.Member{ID: 4, Address: "127.0.0.1:1"})} {
		c.members = members
		n, err := balsa.Open(t.Context(), c.config(0), &adder{})
		if err == nil {
			n.Close()
			t.Errorf("the folder of three was opened with members %v", members)
		} else if !strings.Contains(err.Error(), "belongs to") || !strings.Contains(err.Error(), "members") {
			t.Error(err)
		}
	}
	c.members = slices.Clone(all)
	slices.Reverse(c.members)
	c.start(0)
	if got := c.add(0, 1); got != 2 {
		t.Errorf("sum %d, want 2", got)
	}
	c.members = all
}

// TestMembersThatDisagreeDoNotMeet: two that were told of three members, and three that were told of five, are both majorities. They must
// not write into each other's logs.
func TestMembersThatDisagreeDoNotMeet(t *testing.T) {
	c := newCluster(t, 5)
	for i := range c.nodes {
		c.stop(i)
	}
	c.dir = t.TempDir()
	all := c.members
	for i := range c.nodes {
		if c.members = all[:3]; i >= 2 {
			c.members = all
		}
		c.start(i)
	}
	c.members = all
	if got := c.add(4, 1); got != 1 { // three of five
		t.Errorf("sum %d, want 1", got)
	}
	if got := c.add(0, 10); got != 10 { // two of three: another cluster, which has none of their commands
		t.Errorf("sum %d, want 10", got)
	}
	for i, n := range c.nodes {
		if err := n.Err(); err != nil {
			t.Errorf("member %d has stopped: %v", i, err)
		}
	}
}
