package balsa_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/internal/loopback"
)

// newMember is a server that is not in the cluster yet.
func (c *cluster) newMember() balsa.Member {
	c.t.Helper()
	return balsa.Member{ID: balsa.NodeID(len(c.nodes) + 1), Address: loopback.Address(c.t)}
}

// join starts a new member, and stops it in the end.
func (c *cluster) join(m balsa.Member) int {
	c.t.Helper()
	i := len(c.nodes)
	c.nodes, c.machines = append(c.nodes, nil), append(c.machines, &adder{})
	config := c.config(i)
	config.Members, config.Join, config.Listen = nil, c.nodes[0].Status().Cluster, m.Address
	n, err := balsa.Open(c.t.Context(), config, c.machines[i])
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i] = n
	c.t.Cleanup(func() { c.stop(i) })
	return i
}

func (c *cluster) change(i int, change balsa.Change) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	return c.nodes[i].ChangeMembers(ctx, change)
}

// mustChange makes a change that a leader may refuse for a while: it hears nobody for as long as the machine stands still.
func (c *cluster) mustChange(i int, members ...balsa.Member) {
	c.t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := c.change(i, balsa.Change{Members: members})
		if err == nil {
			return
		}
		if refused := (*balsa.ChangeError)(nil); !errors.As(err, &refused) || refused.Reason != balsa.ChangeUnreachable || time.Now().After(until) {
			c.t.Fatalf("change at member %d: %v", i, err)
		}
	}
}

func ids(members []balsa.Member) (ids []balsa.NodeID) {
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	return ids
}

// TestMembersComeAndGo: from three to five, and to three others, at whatever member is asked.
func TestMembersComeAndGo(t *testing.T) {
	c := newCluster(t, 3)
	c.add(0, 1)
	four, five := c.newMember(), balsa.Member{}
	c.join(four)
	five = c.newMember()
	c.join(five)
	c.mustChange(1, append(slices.Clone(c.members), four, five)...)
	if got := c.add(4, 2); got != 3 {
		t.Errorf("the fifth member says %d", got)
	}
	if got := c.read(3); got != 3 {
		t.Errorf("the fourth member reads %d", got)
	}
	leader := c.leader()
	var rest []balsa.Member
	for _, m := range append(slices.Clone(c.members), four, five) {
		if m.ID != balsa.NodeID(leader+1) && len(rest) < 3 {
			rest = append(rest, m)
		}
	}
	other := int(rest[0].ID) - 1
	c.mustChange(other, rest...)
	if got := c.add(other, 4); got != 7 {
		t.Errorf("without the old leader: %d", got)
	}
	if got := ids(c.nodes[other].Status().Members); !slices.Equal(got, ids(rest)) {
		t.Errorf("members are %v, want %v", got, ids(rest))
	}
	select {
	case <-c.nodes[leader].Done():
		if err := c.nodes[leader].Err(); !errors.Is(err, balsa.ErrRemoved) {
			t.Errorf("the removed leader stopped: %v", err)
		}
	case <-time.After(patience):
		t.Errorf("the removed leader goes on: %+v", c.nodes[leader].Status())
	}
}

// TestRemovedWhileDown: a member that was removed while it did not run finds out when it is started again.
func TestRemovedWhileDown(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 3 {
		c.add(i, 1)
		c.read(i)
	}
	gone := (c.leader() + 1) % 3
	c.stop(gone)
	c.mustChange((gone+1)%3, slices.Delete(slices.Clone(c.members), gone, gone+1)...)
	c.start(gone)
	select {
	case <-c.nodes[gone].Done():
	case <-time.After(patience):
		t.Fatalf("the removed member runs: %+v", c.nodes[gone].Status())
	}
	if err := c.nodes[gone].Err(); !errors.Is(err, balsa.ErrRemoved) {
		t.Errorf("the removed member says %v", err)
	}
}

// TestM10_WipedMember: a member with a new, empty folder under its old id is refused, and says what to do.
func TestM10_WipedMember(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 3 {
		c.add(i, 1)
		c.read(i)
	}
	wiped := (c.leader() + 1) % 3
	other := (wiped + 1) % 3
	c.stop(wiped)
	if err := os.RemoveAll(c.config(wiped).Dir); err != nil {
		t.Fatal(err)
	}
	ends := func(want error, advice string) {
		t.Helper()
		c.start(wiped)
		select {
		case <-c.nodes[wiped].Done():
		case <-time.After(patience):
			t.Fatalf("the wiped member runs: %+v", c.nodes[wiped].Status())
		}
		if err := c.nodes[wiped].Err(); !errors.Is(err, want) || !strings.Contains(err.Error(), advice) {
			t.Errorf("the wiped member says %v", err)
		}
	}
	ends(balsa.ErrReplaced, "balsa members replace")
	fresh := c.newMember()
	i := c.join(fresh)
	members := slices.Clone(c.members)
	members[wiped] = fresh
	c.mustChange(other, members...)
	if got := c.read(i); got != 3 {
		t.Errorf("the new member reads %d", got)
	}
	c.stop(wiped)
	ends(balsa.ErrRemoved, "balsa server --join") // nobody knows by now which folder it had
}

// TestChangeDecidedOnTheFirstMembers: of two changes that were decided on the same members, here the first ones, the second is refused: it
// would undo the other one.
func TestChangeDecidedOnTheFirstMembers(t *testing.T) {
	c := newCluster(t, 3)
	c.add(0, 1)
	base := c.nodes[0].Status().MembersVersion
	four := c.newMember()
	four.Learner = true
	if err := c.change(0, balsa.Change{Members: append(slices.Clone(c.members), four), Base: base}); err != nil {
		t.Fatal(err)
	}
	err := c.change(1, balsa.Change{Members: c.members, Base: base})
	if refused := (*balsa.ChangeError)(nil); !errors.As(err, &refused) || refused.Reason != balsa.ChangeStale {
		t.Errorf("the second change: %v", err)
	}
}

// TestChangesAtOneMemberAfterAnother: who says nothing of what the change was decided on means the members as they are, and a call sees what calls before it did at
// other members.
func TestChangesAtOneMemberAfterAnother(t *testing.T) {
	c := newCluster(t, 3)
	c.add(0, 1)
	four := c.newMember()
	four.Learner = true
	with := append(slices.Clone(c.members), four)
	for i := range 60 {
		c.mustChange((2*i)%3, with...)
		c.mustChange((2*i+1)%3, c.members...)
	}
}

// TestChangeReady: who has not caught up is not waited for.
func TestChangeReady(t *testing.T) {
	c := newCluster(t, 3)
	c.add(0, 1)
	four := c.newMember()
	promote := balsa.Change{Members: append(slices.Clone(c.members), four), Ready: true}
	refused := (*balsa.ChangeError)(nil)
	if err := c.change(0, promote); !errors.As(err, &refused) || refused.Reason != balsa.ChangeNotReady {
		t.Errorf("who is no learner becomes a voter: %v", err)
	}
	learner := four
	learner.Learner = true
	c.mustChange(0, append(slices.Clone(c.members), learner)...)
	if err := c.change(1, promote); !errors.As(err, &refused) || refused.Reason != balsa.ChangeNotReady {
		t.Errorf("a learner that has not started becomes a voter: %v", err)
	}
	i := c.join(four)
	c.read(i)
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := c.change(2, promote)
		if err == nil {
			break
		}
		if !errors.As(err, &refused) || refused.Reason != balsa.ChangeNotReady || time.Now().After(until) {
			t.Fatalf("a learner that has caught up: %v", err)
		}
	}
	c.read(i) // the change was made at another member, of which this one hears
	if m := c.nodes[i].Status().Members[3]; m.Learner || m.Promoting {
		t.Errorf("after its promotion it is %+v", m)
	}
}

// awaitSilence waits until the leader has not heard a member for an election timeout. Before that it cannot know that the member is down: the
// connection breaks at some time after the process has ended, and an answer from before may be read even later.
func (c *cluster) awaitSilence(of balsa.NodeID) {
	c.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		for _, n := range c.nodes {
			if n == nil {
				continue
			}
			for _, p := range n.Status().Peers { // only a leader has them
				if p.ID == of && !p.Active {
					return
				}
			}
		}
	}
	c.t.Fatalf("member %d is still heard", of)
}

// TestUnreachableMajorityIsRefused: the change would leave two voters of which one is down.
func TestUnreachableMajorityIsRefused(t *testing.T) {
	c := newCluster(t, 3)
	leader := c.leader()
	down, up := (leader+1)%3, (leader+2)%3
	c.stop(down)
	c.awaitSilence(c.members[down].ID)
	err := c.change(up, balsa.Change{Members: []balsa.Member{c.members[leader], c.members[down]}})
	if err == nil || !strings.Contains(err.Error(), "does not hear") {
		t.Errorf("removing one of two: %v", err)
	}
	c.mustChange(leader, c.members[leader], c.members[up])
}

// TestFindPlace: who knows addresses alone finds out what Open wants to know.
func TestFindPlace(t *testing.T) {
	c := newCluster(t, 3)
	four := c.newMember()
	c.mustChange(0, append(slices.Clone(c.members), balsa.Member{ID: four.ID, Address: four.Address, Learner: true})...)
	place, err := balsa.FindPlace(t.Context(), c.members[c.leader()].Address, four.Address)
	if err != nil || place.Cluster != c.nodes[0].Status().Cluster || place.Member != four.ID || place.Incarnation != 0 || place.Version == 0 {
		t.Errorf("%+v, %v", place, err)
	}
	for about, want := range map[string]balsa.NodeID{c.members[0].Address: c.members[0].ID, "127.0.0.1:1": 0} {
		if got, err := balsa.FindPlace(t.Context(), c.members[2].Address, about); err != nil || got.Member != want || got.Member == 0 && got.Incarnation != 0 {
			t.Errorf("%s: %+v, %v", about, got, err)
		}
	}
	// Who takes the place of another at the same address is found there before that one has left.
	old := c.members[2]
	five := balsa.Member{ID: 9, Address: old.Address}
	if err := c.change(0, balsa.Change{Members: append(slices.Clone(c.members[:2]), five), Begin: true}); err != nil {
		t.Fatal(err)
	}
	if got, err := balsa.FindPlace(t.Context(), c.members[c.leader()].Address, old.Address); err != nil || got.Member != five.ID || got.Incarnation != 0 {
		t.Errorf("the new one: %+v, %v", got, err)
	}
	if cluster, member, err := balsa.FolderOwner(c.config(1).Dir); err != nil || cluster != place.Cluster || member != c.members[1].ID {
		t.Errorf("the folder is of %x, member %d, %v", cluster, member, err)
	}
	if _, _, err := balsa.FolderOwner(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}
