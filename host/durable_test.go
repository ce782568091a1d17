package host

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/wal"
)

// keeping prepares members whose machines keep their state, with a snapshot about every ten commands.
func keeping(t *testing.T, n int) *cluster {
	c := newCluster(t, n)
	c.durable = true
	c.compaction = CompactionOptions{LogBytes: 600, TailBytes: 200, ChunkBytes: 64}
	return c
}

// expectRestores checks how often a member's machine was restored since it was started.
func (m *member) expectRestores(want int) {
	m.c.t.Helper()
	expect(m.c.t, fmt.Sprintf("n%d: restores", m.id), m.keeper.restores, want)
}

// TestDurableGoesOn: a start restores nothing, and gives the machine only what it does not have.
func TestDurableGoesOn(t *testing.T) {
	c := keeping(t, 3).startAll()
	c.fill(c.elect(1), 0, 64)
	for round := range 6 {
		for _, m := range c.members {
			if round%2 == 0 {
				m.kill()
			} else {
				m.cut()
			}
			had := m.startAgain()
			if m.keeper.Index != had || had < 60 {
				t.Errorf("n%d begins at %d, was at %d", m.id, m.keeper.Index, had)
			}
			m.expectRestores(0)
		}
		c.fill(c.elect(raft.NodeID(round%3+1)), 64+10*round, 10)
		for _, m := range c.members {
			m.expectRestores(0)
		}
	}
	c.pass(20)
	c.sameState()
	c.expectNumbered(124)
}

// startAgain starts the member, and returns how far its machine's disk says that it is.
func (m *member) startAgain() raft.Index {
	k, err := openKeeper(m.fs)
	if err != nil {
		m.c.t.Fatal(err)
	}
	m.start()
	return k.Index
}

// expectNumbered checks that every member has executed the first n commands of fill, each once.
func (c *cluster) expectNumbered(n int) {
	c.t.Helper()
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("command %d", i))
	}
	c.expectExecuted(want...)
}

// TestDurableCrashesAnywhere: the power fails before any operation on the disk, of the log, the snapshots or the machine, and any part of what was
// not synced is lost. Nothing that was acknowledged is, nothing is executed twice, and the machine is never behind the newest snapshot.
func TestDurableCrashesAnywhere(t *testing.T) {
	const commands = 32
	stride := 1
	if testing.Short() || raced {
		stride = 7
	}
	for n, fired := 1, true; fired; n += stride {
		c := keeping(t, 1)
		m := c.member(1)
		m.start()
		c.elect(1)
		var disks []*memfs.FS
		acknowledged, count := 0, 0
		var under *Proposal
		m.fs.SetHook(func(memfs.Op, string) error {
			if count++; count == n {
				if under != nil && isClosed(under.Done()) {
					acknowledged++
				}
				disks = clones(m.fs, uint64(n))
			}
			return nil
		})
		for i := 0; i < commands && disks == nil; i++ {
			under = m.propose(fmt.Sprintf("command %d", i))
			c.settle()
			if disks == nil {
				acknowledged++
			}
		}
		m.fs.SetHook(nil)
		fired = disks != nil
		for k, disk := range disks {
			m.close()
			m.fs = disk
			m.start()
			m.expectRestores(0)
			c.elect(1)
			m.propose("after")
			c.settle()
			got := m.machine.commands
			if executed := len(got) - 1; executed < acknowledged || executed > acknowledged+1 || !isNumbered(got[:executed]) || got[executed] != "after" {
				t.Errorf("crash before operation %d, disk %d: executed %q, and %d were acknowledged", n, k, got, acknowledged)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// clones are what a crash may leave of a disk: all that was written, all of it or nothing of what was not synced, and two that kept some.
func clones(disk *memfs.FS, seed uint64) []*memfs.FS {
	some := func(n uint64) memfs.CrashConfig {
		return memfs.CrashConfig{Probability: 0.5, Rand: rand.New(rand.NewPCG(seed, n))}
	}
	return []*memfs.FS{
		disk.KillClone(), disk.CrashClone(memfs.CrashConfig{}), disk.CrashClone(memfs.CrashConfig{Probability: 1}),
		disk.CrashClone(some(1)), disk.CrashClone(some(2)),
	}
}

func isNumbered(commands []string) bool {
	for i := range commands {
		if commands[i] != fmt.Sprintf("command %d", i) {
			return false
		}
	}
	return true
}

// TestDurableInstallCrashes: a member that was away is brought back by a snapshot, and its disk ends at any operation of that. It comes to
// the same state, at the latest when it is started again.
func TestDurableInstallCrashes(t *testing.T) {
	stride := 1
	if testing.Short() || raced {
		stride = 20
	}
	restored := false
	for n, fired := 1, true; fired; n += stride {
		c := keeping(t, 3).startAll()
		leader, away := c.elect(1), c.member(3)
		c.fill(leader, 0, 3)
		away.kill()
		c.fill(leader, 3, 40)
		away.start()
		count := 0
		away.fs.SetHook(func(memfs.Op, string) error {
			if count++; count == n {
				panic(died{})
			}
			return nil
		})
		c.pass(10)
		fired = away.host == nil
		away.host, away.group = nil, nil
		away.fs = away.fs.CrashClone(memfs.CrashConfig{Probability: 0.5, Rand: rand.New(rand.NewPCG(uint64(n), 3))})
		away.start()
		c.fill(leader, 43, 3)
		for i := 0; i < 300 && len(away.machine.commands) < 46; i++ {
			c.pass(1) // a stream that broke goes on after a second
		}
		c.expectNumbered(46)
		restored = restored || away.keeper.restores > 0
		if t.Failed() {
			t.Fatalf("the disk ended at operation %d: %v, %v\n%s", n, away.group.Status(), leader.group.Status(), away.log.String())
		}
	}
	if !restored {
		t.Error("no member was ever brought back by a snapshot")
	}
}

// TestDurableIsSyncedOnceRestored: a restart right after a snapshot was installed restores nothing again.
func TestDurableIsSyncedOnceRestored(t *testing.T) {
	c := keeping(t, 3).startAll()
	leader, away := c.elect(1), c.member(3)
	away.kill()
	c.fill(leader, 0, 40)
	away.start()
	c.pass(10)
	away.expectRestores(1)
	away.cut()
	away.start()
	away.expectRestores(0)
	c.pass(200)
	c.expectNumbered(40)

	away.kill()
	c.fill(leader, 40, 40)
	away.start()
	away.stalled[PartSnapshotter] = true
	c.pass(200)
	away.expectRestores(1)
	syncs := away.keeper.syncs
	away.close() // what waits to be synced is not snapshots that could be given up
	expect(t, "syncs", away.keeper.syncs, syncs)
}

// TestDurableNeedsNoLeader: what the machine has kept is committed, and the host goes over it by itself.
func TestDurableNeedsNoLeader(t *testing.T) {
	c := keeping(t, 3)
	c.compaction = CompactionOptions{}
	c.startAll()
	c.fill(c.elect(1), 0, 10)
	m := c.member(2)
	for _, m := range c.members {
		m.kill()
	}
	m.start()
	m.tick()
	if s := m.group.Status(); s.AppliedIndex != m.keeper.Index || s.CommitIndex != m.keeper.Index {
		t.Errorf("the machine is at %d, and the host at %v", m.keeper.Index, s)
	}
}

// TestDurableElsewhere: what a machine has kept is put beside a log that it does not come from, or is taken away.
func TestDurableElsewhere(t *testing.T) {
	for _, test := range []struct {
		name     string
		snapshot bool // the log is compacted behind snapshots
		change   func(k *keeperState, first, last raft.Index)
		want     string // in the error; empty: it starts
		restores int
	}{
		{"its own", true, func(*keeperState, raft.Index, raft.Index) {}, "", 0},
		{"empty, whole log", false, func(k *keeperState, _, _ raft.Index) { *k = keeperState{} }, "", 0},
		{"empty, compacted log", true, func(k *keeperState, _, _ raft.Index) { *k = keeperState{} }, "", 1},
		{"older than the log's beginning", true, func(k *keeperState, _, _ raft.Index) {
			*k = keeperState{Index: 2, Term: k.Term, Commands: k.Commands[:1]}
		}, "", 1},
		{"older than the snapshot, in the log", true, func(k *keeperState, first, _ raft.Index) {
			*k = keeperState{Index: first, Term: k.Term, Commands: k.Commands[:1]}
		}, "", 1},
		{"older, whole log", false, func(k *keeperState, _, _ raft.Index) {
			*k = keeperState{Index: 4, Term: k.Term, Commands: k.Commands[:3]}
		}, "", 0},
		{"ahead of the log", true, func(k *keeperState, _, last raft.Index) { k.Index = last + 1 }, "the log ends with entry", 0},
		{"of another history", true, func(k *keeperState, _, _ raft.Index) { k.Term++ }, "another term", 0},
		{"of another history, whole log", false, func(k *keeperState, _, _ raft.Index) { k.Term++ }, "another term", 0},
		{"of another history, before the snapshot", true, func(k *keeperState, first, _ raft.Index) {
			k.Index, k.Term = first, k.Term+1
		}, "another term", 0},
		{"of another history, before the log", true, func(k *keeperState, _, _ raft.Index) { k.Index, k.Term = 2, k.Term+1 }, "with an earlier term", 0},
		{"without a term", true, func(k *keeperState, _, _ raft.Index) { k.Term = 0 }, "begin at 1", 0},
		{"without an entry", true, func(k *keeperState, _, _ raft.Index) { k.Index = 0 }, "begin at 1", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := keeping(t, 1)
			if !test.snapshot {
				c.compaction = CompactionOptions{}
			}
			m := c.member(1)
			m.start()
			c.fill(c.elect(1), 0, 30)
			s := m.group.Status()
			if s.FirstIndex > 5 != test.snapshot {
				t.Fatalf("the log begins with %d", s.FirstIndex)
			}
			state := keeperState{Index: m.keeper.Index, Term: m.keeper.Term, Commands: slices.Clone(m.machine.commands)}
			test.change(&state, s.FirstIndex, s.LastIndex)
			m.kill()
			k := &keeper{disk: m.fs}
			if err := k.begin(state); err != nil {
				t.Fatal(err)
			}
			if test.want != "" {
				err := m.refused()
				if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "replace this member") {
					t.Errorf("it starts: %v, want %q", err, test.want)
				}
				return
			}
			m.start()
			c.fill(c.elect(1), 30, 3)
			c.expectNumbered(33)
			m.expectRestores(test.restores)
		})
	}
}

// refused tries to start the member, and returns why it does not.
func (m *member) refused() error {
	h, err := Open(m.config())
	if err != nil {
		m.c.t.Fatal(err)
	}
	defer h.Close()
	k, err := openKeeper(m.fs)
	if err != nil {
		m.c.t.Fatal(err)
	}
	_, err = h.Join(testGroup, m.c.raft, k)
	return err
}

// TestDurableAheadIsNotPinned: while the host goes over what the machine has kept, the machine's state is of a later entry than the host is at, and
// is no snapshot of that.
func TestDurableAheadIsNotPinned(t *testing.T) {
	c := keeping(t, 1)
	c.compaction = CompactionOptions{}
	c.raft.ApplyBytesMax = 100 // about two commands at once
	m := c.member(1)
	m.start()
	c.fill(c.elect(1), 0, 40)
	m.kill()
	c.compaction = CompactionOptions{LogBytes: 600, TailBytes: 200}
	m.start()
	at := m.keeper.Index
	m.tick()
	for range 200 {
		if m.group.Status().AppliedIndex == at {
			break
		}
		m.work()
	}
	newest, ok, err := m.host.snapshots.Latest(testGroup)
	if !ok || err != nil || newest.Index < at {
		t.Errorf("the newest snapshot is %v, %v, %v, and the machine was at %d", newest, ok, err, at)
	}
	m.expectRestores(0)
}

// TestSnapshotSizeIsRemembered: after a start, too, it takes as much log as the last snapshot was large until there is another.
func TestSnapshotSizeIsRemembered(t *testing.T) {
	for _, durable := range []bool{false, true} {
		c := keeping(t, 1)
		c.durable = durable
		m := c.member(1)
		m.start()
		c.elect(1)
		m.propose(strings.Repeat("x", 4000))
		c.fill(m, 0, 3)
		before, _, _ := m.host.snapshots.Latest(testGroup)
		for range 10 {
			m.cut()
			m.start()
			c.fill(c.elect(1), 3, 1)
		}
		if after, _, _ := m.host.snapshots.Latest(testGroup); before.Index == 0 || after.Index != before.Index {
			t.Errorf("durable %v: the snapshot at %d was replaced by one at %d", durable, before.Index, after.Index)
		}
		c.fill(m, 4, 60)
		if after, _, _ := m.host.snapshots.Latest(testGroup); after.Index == before.Index {
			t.Errorf("durable %v: the snapshot at %d was never replaced", durable, before.Index)
		}
	}
}

// TestDurableSyncFails: nothing is known of the machine's disk then. The member stops, and has not compacted its log.
func TestDurableSyncFails(t *testing.T) {
	c := keeping(t, 1)
	m := c.member(1)
	m.start()
	c.elect(1)
	broken := errors.New("the disk is broken")
	m.keeper.syncErr = broken
	for i := 0; i < 40 && m.group.Err() == nil; i++ {
		m.propose(fmt.Sprintf("command %d", i))
		c.settle()
	}
	if err := m.group.Err(); !errors.Is(err, broken) || !errors.Is(err, ErrFailed) || len(m.ended) != 1 {
		t.Errorf("the member says %v", err)
	}
	if _, ok, _ := m.host.snapshots.Latest(testGroup); ok || m.first() != 1 || m.keeper.pinned != 0 {
		t.Errorf("there is a snapshot: %v; the log begins with %d; %d are pinned", ok, m.first(), m.keeper.pinned)
	}
	executed := len(m.machine.commands)
	m.cut()
	m.start()
	c.fill(c.elect(1), executed, 3)
	c.expectNumbered(executed + 3)
}

// TestDurableCannotSay: a machine that does not know its place is not given anything.
func TestDurableCannotSay(t *testing.T) {
	c := keeping(t, 1)
	m := c.member(1)
	h, err := Open(m.config())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	broken := errors.New("no such table")
	if _, err := h.Join(testGroup, c.raft, &keeper{disk: m.fs, wantErr: broken}); !errors.Is(err, broken) {
		t.Errorf("it joins: %v", err)
	}
}

// TestPinnedIsReleased: a snapshot that was pinned and not written when the host closes, or its group fails, is given up by its machine.
func TestPinnedIsReleased(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *cluster, m *member)
	}{
		{"closed", func(_ *cluster, m *member) { m.close() }},
		{"failed", func(c *cluster, m *member) {
			m.machine.fail = errors.New("broken")
			m.propose("last")
			c.settle()
			m.stalled[PartSnapshotter] = false
			c.settle()
		}},
	} {
		c := keeping(t, 1)
		m := c.member(1)
		m.start()
		c.elect(1)
		m.stalled[PartSnapshotter] = true
		c.fill(m, 0, 15)
		k := m.keeper
		expect(t, test.name+": pinned before", k.pinned, 1)
		test.end(c, m)
		expect(t, test.name+": pinned after", k.pinned, 0)
		expect(t, test.name+": syncs", k.syncs, 0)
	}
}

// TestIsStateOf: the state of an entry is that of a later one if nothing between is a command, whatever the later one is.
func TestIsStateOf(t *testing.T) {
	c := newCluster(t, 1).startAll()
	g := &Group{id: testGroup + 1, host: c.member(1).host}
	var es []raft.Entry
	for i, kind := range []raft.EntryType{raft.EntryNoop, raft.EntryNoop, raft.EntryCommand, raft.EntryNoop, raft.EntryNoop} {
		es = append(es, raft.Entry{Index: raft.Index(i + 1), Term: 1, Type: kind})
	}
	if err := g.host.log.Append([]wal.Save{{Group: g.id, Entries: es, HardState: raft.HardState{CurrentTerm: 1}}}); err != nil {
		t.Fatal(err)
	}
	s := g.recoveredLog()
	for _, test := range []struct {
		i, later raft.Index
		want     bool
	}{{1, 2, true}, {2, 3, false}, {2, 4, false}, {1, 5, false}, {3, 3, true}, {3, 5, true}} {
		same, err := g.isStateOf(&s, test.i, test.later)
		if same != test.want || err != nil {
			t.Errorf("the state of entry %d is that of entry %d: %v, %v", test.i, test.later, same, err)
		}
	}
}
