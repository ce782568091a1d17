package host

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// TestC6_C7_StateAndPlaceAreOne: the power fails before any operation on the disk, and the state that a member begins with is that of the place in
// the log where it begins: no command that was acknowledged is left out, and none is executed twice.
func TestC6_C7_StateAndPlaceAreOne(t *testing.T) {
	const commands = 32
	stride := 2
	if testing.Short() || raced {
		stride = 17
	}
	began := false // behind a snapshot, once at least
	for n, fired := 1, true; fired; n += stride {
		c := compacting(t, 1)
		m := c.member(1)
		c.elect(1)
		var disks []*memfs.FS
		acknowledged, count := 0, 0
		m.fs.SetHook(func(memfs.Op, string) error {
			if count++; count == n {
				disks = clones(m.fs, uint64(n))
			}
			return nil
		})
		for i := 0; i < commands && disks == nil; i++ {
			p := m.propose(fmt.Sprintf("command %d", i))
			c.settle()
			if disks == nil && isClosed(p.Done()) {
				acknowledged++
			}
		}
		m.fs.SetHook(nil)
		fired = disks != nil
		for k, disk := range disks {
			m.close()
			m.fs = disk
			m.start()
			c.elect(1)
			began = began || m.first() > 1
			m.propose("after")
			c.settle()
			got := m.machine.commands
			if executed := len(got) - 1; executed < acknowledged || executed > acknowledged+1 || !isNumbered(got[:executed]) || got[executed] != "after" {
				t.Fatalf("crash before operation %d, disk %d: executed %q, and %d were acknowledged", n, k, got, acknowledged)
			}
		}
	}
	if !began {
		t.Error("no start was behind a snapshot")
	}
}

// TestN8_ChunksOfADeposedLeader: chunks of a snapshot come late, from a leader that was deposed. They are dropped whole, without an answer, and
// what comes behind them is not.
func TestN8_ChunksOfADeposedLeader(t *testing.T) {
	c := compacting(t, 3)
	c.elect(1)
	c.depose(1, 2)
	c.pass(3)
	m := c.member(3)
	c.network = nil
	for i := range uint64(4) {
		c.deliver(letter{from: 1, to: 3, bytes: packetBytes(raft.InstallSnapshot{
			Term: 1, LeaderID: 1, LastIncludedIndex: 90, LastIncludedTerm: 1, Size: 4 << 18, Offset: i << 18, Data: make([]byte, 1<<18),
			Configuration: raft.AppendConfiguration(nil, c.raft.Configuration),
		})})
	}
	p := m.propose("behind them")
	m.work()
	if n := len(take[raft.InstallSnapshotReply](c, 1)); n != 0 || m.group.incoming.receiver != nil {
		t.Errorf("%d answers, and a part on disk: %v", n, m.group.incoming.receiver != nil)
	}
	c.pass(3)
	expect(t, "what came behind them", m.outcome(p), "applied at 3")
}

// brittle is a machine whose Restore takes a part of the snapshot and fails.
type brittle struct{ *recorder }

func (b brittle) Restore(from io.Reader) error {
	half, _ := io.ReadAll(io.LimitReader(from, 20))
	b.commands = strings.Split(string(half), "\n")
	return errors.New("out of luck")
}

// TestN11_AFailedRestoreStops: a machine that has taken a part of a snapshot is no member's state any more: nothing is executed on top of it, not even
// what waits behind the snapshot already, and nothing is read. After a restart it is restored whole.
func TestN11_AFailedRestoreStops(t *testing.T) {
	c := compacting(t, 3)
	leader, m := c.elect(1), c.member(3)
	c.fill(leader, 0, 5)
	m.kill()
	c.fill(leader, 5, 60)
	m.start()
	m.group.machine = brittle{m.machine}
	m.stalled[PartApplier] = true
	c.pass(40)
	p := m.propose("command 65")
	c.fill(leader, 66, 2) // behind the snapshot
	r := m.readAt(AtLeast(10))
	m.stalled[PartApplier] = false
	c.pass(10)
	if err := m.group.Err(); err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Fatalf("the group has stopped because of %v", err)
	}
	if _, err := m.group.Read(Local); !errors.Is(err, ErrFailed) {
		t.Errorf("a local read afterwards: %v", err)
	}
	c.fill(leader, 68, 10)
	c.pass(10)
	expect(t, "a read that waited", answer(r), "failed")
	expect(t, "a command that waited", m.outcome(p), "unknown, failed")
	expect(t, "calls of the machine after Restore", m.machine.calls, 0)
	m.close()
	m.start()
	c.pass(40)
	c.sameState()
}

// TestN10_N13_NoSnapshotThatFits: the snapshot that the log goes on from is damaged or gone, and perhaps there is an older one: a state that leaves
// something out must not be begun with. The member does not start, says so, and removes nothing.
func TestN10_N13_NoSnapshotThatFits(t *testing.T) {
	const folder = "data/snapshots"
	for _, test := range []struct {
		name   string
		change func(t *testing.T, now, before *memfs.FS, newest string)
		want   string
	}{
		{"damaged", func(t *testing.T, now, _ *memfs.FS, newest string) { now.Flip(path.Join(folder, newest), 70, 1) }, "snapshot corrupt"},
		{"gone", func(t *testing.T, now, _ *memfs.FS, newest string) { now.Remove(path.Join(folder, newest)) }, "there is no snapshot"},
		{"gone, with an older one", func(t *testing.T, now, before *memfs.FS, newest string) {
			now.Remove(path.Join(folder, newest))
			copyFiles(t, now, before, folder)
		}, "what is between them is lost"},
		{"damaged, with an older one", func(t *testing.T, now, before *memfs.FS, newest string) {
			now.Flip(path.Join(folder, newest), 70, 1)
			copyFiles(t, now, before, folder)
		}, "snapshot corrupt"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := compacting(t, 1)
			m := c.elect(1)
			c.fill(m, 0, 20)
			before := m.fs.KillClone()
			c.fill(m, 20, 40)
			m.kill()
			names, _ := m.fs.List(folder)
			newest := names[len(names)-1]
			test.change(t, m.fs, before, newest)
			files := describeFiles(t, m.fs)

			h, err := Open(m.config())
			if err == nil {
				_, err = h.Join(testGroup, c.raft, &recorder{})
				h.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it starts: %v, want %q", err, test.want)
			}
			if now := describeFiles(t, m.fs); now != files {
				t.Errorf("its folder had\n%s\nand has\n%s", files, now)
			}
		})
	}
}

// copyFiles copies the files of a folder that the other disk does not have.
func copyFiles(t *testing.T, to, from *memfs.FS, folder string) {
	t.Helper()
	names, err := from.List(folder)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s has %q: %v", folder, names, err)
	}
	for _, name := range names {
		name = path.Join(folder, name)
		b := contents(t, from, name)
		f, err := to.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteAt(b, 0)
		f.Close()
	}
}

func contents(t *testing.T, disk vfs.FS, name string) []byte {
	t.Helper()
	f, err := disk.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, _ := f.Size()
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && size > 0 && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return b
}

// describeFiles is the names and sizes of what a member has of snapshots and log.
func describeFiles(t *testing.T, disk *memfs.FS) (text string) {
	t.Helper()
	for _, folder := range []string{"data/snapshots", "data/wal"} {
		names, err := disk.List(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text += fmt.Sprintf("%s: %d bytes\n", path.Join(folder, name), len(contents(t, disk, path.Join(folder, name))))
		}
	}
	return text
}
