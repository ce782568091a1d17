package host

import (
	"fmt"
	"io"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// compacting starts members that take a snapshot about every ten commands and keep a tail of about three.
func compacting(t *testing.T, n int) *cluster {
	c := newCluster(t, n)
	c.compaction = CompactionOptions{LogBytes: 600, TailBytes: 200, ChunkBytes: 64}
	return c.startAll()
}

// fill proposes so many commands at a member and sees them applied.
func (c *cluster) fill(m *member, from, n int) {
	c.t.Helper()
	for i := range n {
		p := m.propose(fmt.Sprintf("command %d", from+i))
		c.settle()
		if _, err := m.group.Outcome(p); err != nil {
			c.t.Fatalf("command %d: %v", from+i, err)
		}
	}
}

func (m *member) first() raft.Index { return m.group.Status().FirstIndex }

// sameState checks that every member has executed the same commands.
func (c *cluster) sameState() {
	c.t.Helper()
	want := strings.Join(c.members[0].machine.commands, ",")
	for _, m := range c.members {
		if got := strings.Join(m.machine.commands, ","); got != want {
			c.t.Errorf("n%d has executed %s, n1 %s", m.id, got, want)
		}
	}
}

func TestSnapshotTakesTheLogsPlace(t *testing.T) {
	c := compacting(t, 3)
	leader := c.elect(1)
	c.fill(leader, 0, 100)
	c.pass(20)
	for _, m := range c.members {
		if m.first() < 50 {
			t.Errorf("n%d still keeps its log from %d on", m.id, m.first())
		}
	}
	c.sameState()
}

func TestSnapshotBringsAMemberBack(t *testing.T) {
	c := compacting(t, 3)
	leader := c.elect(1)
	c.fill(leader, 0, 5)
	c.member(3).kill()
	c.fill(leader, 5, 100)
	c.member(3).start()
	c.pass(40)
	if c.member(3).first() == 1 {
		t.Errorf("n3 was not brought back by a snapshot: %v", c.member(3).group.Status())
	}
	c.fill(leader, 105, 3)
	c.pass(20)
	c.sameState()
}

// TestN5_RestartsContinueFromTheSnapshot: a restart, after power failures at any moment of the life before, continues from the
// newest snapshot and the log behind it.
// TestSnapshotsThatAreSentAreNotKept: a member that lags again and again, and executes too little in between for a snapshot of its own, keeps the last one that it
// was sent.
func TestSnapshotsThatAreSentAreNotKept(t *testing.T) {
	c := compacting(t, 3)
	leader, m := c.elect(1), c.member(3)
	m.kill()
	c.compaction.LogBytes = 1 << 30
	m.start()
	for k := range 3 {
		first := m.first()
		c.without(m, func() { c.fill(leader, 100*k, 100) })
		c.pass(40)
		if m.first() <= first {
			t.Fatalf("n3 was not sent a snapshot: %v", m.group.Status())
		}
		expect(t, "snapshots", countSnapshots(t, m), 1)
	}
	c.sameState()
}

func countSnapshots(t *testing.T, m *member) (n int) {
	t.Helper()
	names, err := m.fs.List("data/snapshots")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.Contains(name, ".") {
			n++
		}
	}
	return n
}

func TestN5_RestartsContinueFromTheSnapshot(t *testing.T) {
	c := compacting(t, 3)
	c.fill(c.elect(1), 0, 60)
	for round := range 5 {
		for _, m := range c.members {
			m.cut()
			m.start()
		}
		if at := c.member(1).group.Status().AppliedIndex; at < 30 {
			t.Errorf("n1 begins at %d, not behind a snapshot", at)
		}
		c.fill(c.elect(raft.NodeID(round%3+1)), 60+10*round, 10)
	}
	c.pass(20)
	c.sameState()
}

// TestDamagedSnapshotIsReplaced: a leader finds out that the snapshot which a member refuses is damaged on its own disk, and writes another one.
func TestDamagedSnapshotIsReplaced(t *testing.T) {
	for _, at := range []int64{20, 150} { // in its first chunk, and in a later one
		c := compacting(t, 3)
		leader := c.elect(1)
		c.member(3).kill()
		c.fill(leader, 0, 104)
		newest, _, err := leader.host.snapshots.Latest(testGroup)
		if err != nil || newest.Index >= leader.group.Executed() {
			t.Fatalf("the newest snapshot is at %d: %v", newest.Index, err)
		}
		names, err := leader.fs.List("data/snapshots")
		if err != nil {
			t.Fatal(err)
		}
		if err := leader.fs.Flip(path.Join("data/snapshots", names[len(names)-1]), at, 1); err != nil {
			t.Fatal(err)
		}
		c.member(3).start()
		c.pass(200)
		if now, _, err := leader.host.snapshots.Latest(testGroup); err != nil || now.Index <= newest.Index {
			t.Errorf("damaged at %d: the newest snapshot is at %d, it was at %d: %v", at, now.Index, newest.Index, err)
		}
		c.sameState()
	}
}

// TestDamagedSnapshotIsReplacedByItsLike: the leader's newest snapshot is damaged, and nothing can be committed before the member that lacks it has it.
func TestDamagedSnapshotIsReplacedByItsLike(t *testing.T) {
	c := compacting(t, 3)
	leader := c.elect(1)
	c.member(3).kill()
	newest, _, err := leader.host.snapshots.Latest(testGroup)
	for n := 0; err == nil && (newest.Index == 0 || newest.Index != leader.group.Executed() || leader.first() == 1); n++ {
		if n == 1000 {
			t.Fatalf("the newest snapshot is at %d, the last entry is %d", newest.Index, leader.group.Executed())
		}
		c.fill(leader, n, 1)
		newest, _, err = leader.host.snapshots.Latest(testGroup)
	}
	if err != nil {
		t.Fatal(err)
	}
	names, err := leader.fs.List("data/snapshots")
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.fs.Flip(path.Join("data/snapshots", names[len(names)-1]), 150, 1); err != nil {
		t.Fatal(err)
	}
	c.member(2).kill()
	c.member(3).start()
	c.pass(1000)
	if now, _, err := leader.host.snapshots.Latest(testGroup); err != nil || c.member(3).group.Executed() < newest.Index {
		t.Errorf("the newest snapshot is at %d, it was at %d: %v; the member that needs it is at %d", now.Index, newest.Index, err, c.member(3).group.Executed())
	}
}

// TestDamagedSnapshotOnAFullDisk: a leader cannot write another snapshot in the place of a damaged one, and does not try so whenever the member asks that needs it. Once it
// can, it does.
func TestDamagedSnapshotOnAFullDisk(t *testing.T) {
	c := compacting(t, 3)
	leader := c.elect(1)
	c.member(3).kill()
	c.fill(leader, 0, 104)
	newest, _, err := leader.host.snapshots.Latest(testGroup)
	if err != nil || newest.Index == 0 {
		t.Fatalf("the newest snapshot is at %d: %v", newest.Index, err)
	}
	names, err := leader.fs.List("data/snapshots")
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.fs.Flip(path.Join("data/snapshots", names[len(names)-1]), 150, 1); err != nil {
		t.Fatal(err)
	}
	attempts := 0
	leader.fs.SetHook(func(op memfs.Op, name string) error {
		if op == memfs.OpCreate && path.Dir(name) == "data/snapshots" {
			attempts++
			return syscall.ENOSPC
		}
		return nil
	})
	c.member(3).start()
	minute := int(time.Minute / testTick)
	c.pass(minute)
	if bound := int(time.Minute/repairPause) + 2; attempts < 2 || attempts > bound {
		t.Errorf("%d attempts in a minute, and not 2 to %d", attempts, bound)
	}
	leader.fs.SetHook(nil)
	c.pass(minute)
	c.sameState()
}

// TestDamagedSnapshotIsReplacedForTwo: two members are being sent the damaged snapshot when it is replaced by one of the same entry, which has its name.
func TestDamagedSnapshotIsReplacedForTwo(t *testing.T) {
	c := compacting(t, 5)
	leader := c.elect(1)
	c.member(3).kill()
	c.member(4).kill()
	newest, _, err := leader.host.snapshots.Latest(testGroup)
	for n := 0; err == nil && (newest.Index == 0 || newest.Index != leader.group.Executed() || leader.first() == 1); n++ {
		if n == 1000 {
			t.Fatal("there is no snapshot of the last entry")
		}
		c.fill(leader, n, 1)
		newest, _, err = leader.host.snapshots.Latest(testGroup)
	}
	if err != nil {
		t.Fatal(err)
	}
	names, _ := leader.fs.List("data/snapshots")
	if err := leader.fs.Flip(path.Join("data/snapshots", names[len(names)-1]), 150, 1); err != nil {
		t.Fatal(err)
	}
	c.member(2).kill()
	c.member(5).kill()
	c.member(3).start()
	c.member(4).start()
	c.member(3).stalled[PartReceiver], c.member(4).stalled[PartReceiver] = true, true
	for i := 0; i < 1000 && len(leader.host.sender.streams) < 2; i++ {
		c.pass(1)
	}
	if len(leader.host.sender.streams) < 2 {
		t.Fatal("no two streams")
	}
	c.member(3).stalled[PartReceiver] = false
	c.pass(100)
	if _, _, err := leader.host.snapshots.Latest(testGroup); err != nil || c.member(3).group.Executed() < newest.Index {
		t.Fatalf("not replaced: %v, n3 at %d", err, c.member(3).group.Executed())
	}
	c.member(4).stalled[PartReceiver] = false
	begun := 0
	for range 200_000 { // letters, over 200 s
		for _, m := range c.members {
			if m.host != nil {
				m.work()
			}
		}
		if len(c.network) == 0 {
			for _, m := range c.members {
				if m.host != nil {
					m.tick()
				}
			}
			continue
		}
		l := c.network[0]
		c.network = c.network[1:]
		if m, ok := l.message(t).(raft.InstallSnapshot); ok && l.to == 4 && m.Offset == 0 {
			begun++
			for _, m := range c.members {
				if m.host != nil {
					m.tick()
				}
			}
		}
		c.deliver(l)
	}
	if got := c.member(4).group.Executed(); got < newest.Index || begun > 10 {
		t.Errorf("the snapshot was begun %d times, and n4 is at %d of %d; leader %v", begun, got, newest.Index, leader.group.Status().Role)
	}
}

// TestDamagedSnapshotOfWhatWasKept: a machine has kept its state to the very end, its member starts again, and the newest snapshot is damaged since. Nothing may ever be executed
// behind it.
func TestDamagedSnapshotOfWhatWasKept(t *testing.T) {
	c := keeping(t, 3).startAll()
	m := c.elect(1)
	c.fill(m, 0, 64)
	m.kill()
	m.startAgain()
	m.tick()
	before, _, err := m.host.snapshots.Latest(testGroup)
	if err != nil || before.Index == 0 || m.group.taken < m.group.kept || m.group.kept <= before.Index {
		t.Fatalf("the newest snapshot is at %d (%v), it has taken %d and kept %d", before.Index, err, m.group.taken, m.group.kept)
	}
	names, err := m.fs.List("data/snapshots")
	if err != nil {
		t.Fatal(err)
	}
	newest := path.Join("data/snapshots", names[len(names)-1])
	if err := m.fs.Flip(newest, 150, 1); err != nil {
		t.Fatal(err)
	}
	m.host.applier.inbox.put(applyWork{group: m.group, damaged: before.Index}, 0, 0)
	m.work()
	meta, _, err := m.host.snapshots.Latest(testGroup)
	if err != nil || meta.Index < m.group.kept {
		t.Fatalf("the newest snapshot is at %d: %v; the machine has kept %d", meta.Index, err, m.group.kept)
	}
	r, err := m.host.snapshots.Read(meta)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("the snapshot that was to replace it: %v", err)
	}
}

// TestSnapshotResumes: chunks are lost, a member restarts in the middle, and the transfer goes on.
func TestSnapshotResumes(t *testing.T) {
	c := compacting(t, 3)
	leader := c.elect(1)
	c.fill(leader, 0, 5)
	c.member(3).kill()
	c.fill(leader, 5, 100)
	c.member(3).start()
	for i := range 8000 {
		if c.member(3).first() > 1 {
			break
		}
		for _, m := range c.members {
			m.tick()
		}
		if chunks := take[raft.InstallSnapshot](c, 3); len(chunks) > 0 && i%2 == 0 {
			c.network = append(c.network, chunks[0]) // of several, one arrives
		}
		if i == 60 {
			c.member(3).kill()
			c.member(3).start()
		}
		c.settleOnce()
	}
	if c.member(3).first() == 1 {
		t.Errorf("n3 was not brought back: %v", c.member(3).group.Status())
	}
	c.pass(60)
	c.sameState()
}

func TestTransfer(t *testing.T) {
	c := newCluster(t, 3).startAll()
	leader := c.elect(1)
	handed := leader.group.Transfer(2)
	held := leader.propose("while it is handed over")
	c.settle()
	c.pass(2)
	<-handed.Done()
	if err := handed.Err(); err != nil {
		t.Errorf("the lead was not handed over: %v", err)
	}
	if c.member(2).role() != raft.Leader {
		t.Errorf("n2 does not lead: %v", c.member(2).group.Status())
	}
	c.pass(2)
	if _, err := leader.group.Outcome(held); err != nil || c.member(3).machine.commands[0] != "while it is handed over" {
		t.Errorf("a command that came meanwhile: %v; n3 has executed %v", err, c.member(3).machine.commands)
	}
}

func TestTransferRefuses(t *testing.T) {
	c := newCluster(t, 3).startAll()
	leader := c.elect(1)
	for to, want := range map[raft.NodeID]string{1: "it leads already", 9: "not a voter"} {
		refused := leader.group.Transfer(to)
		c.settle()
		<-refused.Done()
		if err := refused.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("transfer to n%d: %v, want %q", to, err, want)
		}
	}
	refused := c.member(2).group.Transfer(0)
	c.settle()
	if <-refused.Done(); refused.Err() == nil {
		t.Error("a follower handed over")
	}
}

// TestE26_TransferEnds: the target never answers; the leader goes on, and loses nothing that was proposed meanwhile.
func TestE26_TransferEnds(t *testing.T) {
	c := newCluster(t, 3).startAll()
	leader := c.elect(1)
	handed := leader.group.Transfer(2)
	leader.work()
	take[raft.TimeoutNow](c, 2)
	held := leader.propose("while it is handed over")
	c.settle()
	select {
	case <-held.Done():
		t.Error("a command was appended while the lead was being handed over")
	default:
	}
	c.pass(25)
	<-handed.Done()
	if err := handed.Err(); err == nil || !strings.Contains(err.Error(), "did not take over") {
		t.Errorf("the transfer ended with %v", err)
	}
	<-held.Done()
	if _, err := leader.group.Outcome(held); err != nil {
		t.Errorf("the command that waited: %v", err)
	}
}

// TestSnapshotsAreWrittenInPieces: between them the disk is the log's; and a member that closes does not wait for the rest of them.
func TestSnapshotsAreWrittenInPieces(t *testing.T) {
	c := newCluster(t, 1)
	c.compaction = CompactionOptions{LogBytes: 4*pieceBytes + 1}
	c.startAll()
	m := c.elect(1)
	var rests []int64
	m.host.snapshotter.rest = func() error {
		rests = append(rests, 0)
		return nil
	}
	for range 5 {
		c.fill(m, 0, 1)
		m.propose(strings.Repeat("x", pieceBytes))
		c.settle()
	}
	expect(t, "rests within a snapshot of four pieces and more", len(rests), 4)
	latest, _, err := m.host.snapshots.Latest(testGroup)
	if err != nil || latest.Index == 0 {
		t.Fatalf("the newest is %v: %v", latest, err)
	}

	m.host.snapshotter.rest = func() error { return ErrClosed }
	for range 5 {
		m.propose(strings.Repeat("x", pieceBytes))
		c.settle()
	}
	again, _, err := m.host.snapshots.Latest(testGroup)
	expect(t, "the newest after one that was given up", again.Index, latest.Index)
	if err != nil {
		t.Error(err)
	}
	expect(t, "being written", m.group.compaction.busy.Load(), false)
}

// TestTermOfTheSnapshotAtAStart: a member that has executed nothing since it was started knows of which term its machine's last entry is: a snapshot that it takes then says so.
func TestTermOfTheSnapshotAtAStart(t *testing.T) {
	c := compacting(t, 1)
	m := c.member(1)
	c.fill(c.elect(1), 0, 40)
	term := m.term()
	m.kill()
	m.start()
	if m.group.applied == 0 {
		t.Fatal("there was no snapshot")
	}
	expect(t, "term of what is executed", m.group.appliedTerm, term)
}
