package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// member is one member over all its incarnations.
type member struct {
	w    *world
	id   raft.NodeID
	rand *rand.Rand // of this incarnation
	disk disk

	standing standing
	joins    bool     // it starts without knowing who the members are
	wiped    bool     // its folder was lost
	had      folder   // and what was in it
	emptied  []uint64 // incarnations of folders that were thrown away for it to join again
	recycled bool     // it was removed, and comes back with another folder

	old   *oldFolder // that it had before it was emptied; may be nil
	shelf *oldFolder // that it should have, while it runs in the old one

	incarnation int           // rises with each start
	identity    host.Identity // of the data folder, once it has been opened

	// Of the process that runs, if there is one.
	up       bool
	host     *host.Host
	group    *host.Group
	machine  *register
	started  time.Duration
	rate     int64          // how fast its clock goes, of 1000
	clocks   []clockSegment // what it has shown in this incarnation
	rateHeld time.Duration  // it does not change before
	asleep   bool           // its clock has stood still, and the process was not told yet
	due      [host.PartCount]bool
	part     host.Part            // that is being stepped
	nested   bool                 // the shard is stepped while another part waits for the disk
	held     [host.PartCount]bool // does not come to its work: see overtaken.go
	waits    []*operation

	pausedUntil time.Duration
	stall       stall
	slowMachine time.Duration // its state machine is slow until then
	strike      *strike
	fails       bool       // the operation that begins does
	readStrike  int        // reads of the disk until one fails; zero: none does
	slowRead    func()     // what happens during the next read of the log by a part; may be nil
	slowReadBy  host.Part  // the sender's are for other members, the preparer's for what it moves
	sendsLate   raft.Index // a sender that was slow has had the end of the log at it, and goes on with what it was to send then
	diskFailed  bool       // an operation of this incarnation was made to fail
	stopped     bool       // it has stopped by itself and will be restarted
	local       raft.Index // what the last local read of this incarnation has reflected
	stepsShard  uint64     // of this incarnation
	frames      uint64     // written to the log, ever
	commit      raft.Index
	ticks       uint64 // of this incarnation
	handovers   []*handover
	progress
	besieged
	quota  quota
	tidy   tidy
	wishes []*wish
}

func newMember(w *world, id raft.NodeID) *member {
	return &member{w: w, id: id, rand: w.stream(ofMember, uint64(id), 0), disk: newDisk()}
}

func (m *member) String() string {
	if !m.up {
		return fmt.Sprintf("n%d is down", m.id)
	}
	if m.group == nil {
		return fmt.Sprintf("n%d is starting", m.id)
	}
	s := m.group.Status().String()
	if m.paused() {
		s += " (paused)"
	}
	if err := m.host.Err(); err != nil {
		s += " (" + err.Error() + ")"
	}
	return s
}

func (m *member) tell(format string, args ...any) {
	if m.w.story != nil {
		m.w.tell("n%d %s", m.id, fmt.Sprintf(format, args...))
	}
}

// died is what unwinds the stack of a process that has ended in the middle of something.
type died struct{}

// guard runs the member's code. Its death in the middle ends the call; anything else that panics is a broken invariant.
func (m *member) guard(f func()) {
	was := m.w.rand
	defer func() {
		m.w.rand = was
		switch r := recover(); r.(type) {
		case nil, died:
		default:
			m.w.fail("Assertion", "n%d: %v", m.id, r)
			m.w.failure.Stack = string(debug.Stack())
		}
	}()
	f()
}

// start begins a new incarnation.
func (m *member) start() {
	m.incarnation++
	m.rand = m.w.stream(ofMember, uint64(m.id), uint64(m.incarnation))
	m.w.with(m.rand, m.begin)
}

func (m *member) begin() {
	m.up, m.diskFailed, m.stopped, m.commit, m.pausedUntil = true, false, false, 0, 0
	m.started = m.w.now
	m.disk.bound = m.disk.told
	m.startClock()
	m.ticks, m.handovers, m.wishes, m.stall = 0, nil, nil, stall{}
	m.local, m.stepsShard, m.progress = 0, 0, progress{}
	m.besieged, m.tidy = besieged{}, tidy{}
	m.due, m.held, m.nested = [host.PartCount]bool{}, [host.PartCount]bool{}, false
	m.disk.fs.SetHook(m.hook)
	m.w.report.Starts++
	m.w.plot.starts(m)
	m.tell("starts, incarnation %d", m.incarnation)
	m.w.record(TraceLine{Kind: TraceStart, Node: m.id, Incarnation: m.incarnation})
	m.ambushStart()
	if m.guard(m.open); m.group == nil && m.w.failure != nil {
		m.up = false // who goes on with the run until its end sees no half of a member
	}
	if m.w.chaos && m.w.chance(500) && m.w.knobs.faults.has(FaultDuplicate) {
		m.w.apart(func() { m.w.network.echo(m.id) })
	}
}

func (m *member) open() {
	h, err := host.Open(m.w.knobs.host(m))
	if err != nil {
		m.refused(err)
		return
	}
	m.checkIdentity(h.Identity())
	m.machine = newRegister(m)
	config := m.w.knobs.raft
	if m.joins {
		config.Configuration = raft.Configuration{}
	}
	g, err := h.Join(group, config, m.machine.forHost())
	if err != nil {
		m.refused(err)
		return
	}
	m.host, m.group = h, g
	h.Connect(sender{m})
	if m.disk.refuses {
		m.w.fail("Rot", "n%d starts, and what it has read is damaged", m.id)
	}
	m.w.checker.recovered(m)
	m.checkStarted()
	m.tell("recovered: %v", g.Status())
	m.w.recordStatus(m, g.Status().Status)
	m.scheduleTick()
	m.scheduleRest()
}

// refused takes in that the data folder could not be opened, which only a failing disk can bring about.
func (m *member) refused(err error) {
	if m.saysDamaged(err) {
		m.w.reach(rotRefused)
		m.tell("cannot start: %v", err)
		m.leaveDown()
		return
	}
	if m.lacksRoom(err) {
		m.w.reach(fullRefused)
	} else if !m.diskFailed && !m.guestSaysDamaged() {
		m.w.fail("Recovery", "n%d cannot start: %v", m.id, err)
		return
	}
	m.tell("cannot start: %v", err)
	m.die(death{})
}

func (m *member) checkIdentity(id host.Identity) {
	if m.identity == (host.Identity{}) {
		m.identity = id
	}
	if m.identity != id {
		m.w.fail("Recovery", "n%d has another identity after a restart: %v, it was %v", m.id, id, m.identity)
	}
}

// die ends the process now.
func (m *member) die(d death) {
	w := m.w
	m.tell("%v", d)
	m.coverDeath(d)
	w.record(TraceLine{Kind: TraceDeath, Node: m.id, What: d.name(), Text: d.String()})
	w.mix(uint64(m.id), uint64(d.keep*1000))
	if d.power {
		w.strikes(FaultPower, m)
		w.report.PowerCuts++
		before := m.disk.fs
		m.disk.fs = before.CrashClone(m.crash(d))
		if len(m.disk.saving) > 0 && d.keep > 0 && d.keep < 1 {
			m.coverTorn(before)
		}
	} else {
		w.strikes(FaultKill, m)
		w.report.Kills++
		m.disk.fs = m.disk.fs.KillClone()
	}
	if m.machine != nil && m.machine.guest != nil {
		m.machine.guest.die()
	}
	waits := m.waits
	m.up, m.host, m.group, m.machine, m.waits, m.strike = false, nil, nil, nil, nil, nil
	m.handovers, m.wishes = nil, nil
	for _, op := range waits {
		w.clients.lost(op)
	}
	if w.chaos {
		died := m.incarnation
		w.after(between(w.rand, 0, pick(w.rand, 50*time.Millisecond, 500*time.Millisecond, 30*time.Second)), func() {
			if m.incarnation == died { // or it would end another death, that in a mended cluster must last
				m.restart()
			}
		})
		w.network.broke(m)
	}
}

func (m *member) restart() {
	if !m.up && m.standing == isMember {
		m.start()
	}
}

// hook sees every operation on the disk.
func (m *member) hook(op memfs.Op, name string) error {
	if !changes(op) {
		return m.read(op, name)
	}
	m.w.mix(uint64(op))
	if op == memfs.OpWriteAt && m.part == host.PartWriter {
		m.disk.writes++
		m.ambushHeader(name)
		m.ambushFrame(m.disk.writes)
	}
	m.ambushNames(op, name)
	if op == memfs.OpRename && ofSnapshots(name) {
		m.checkSynced(name)
		m.tidy.named(name, m.part)
		m.ambushName()
	}
	if op == memfs.OpSync && strings.HasSuffix(name, ".part") {
		m.ambushPart()
		m.rotPart(name)
	}
	if ofSnapshots(name) {
		// At the end: what looks at the disk meanwhile sees it as it is before the operation.
		defer func() { m.disk.kept.stale = true }()
	}
	if err := m.name(op, name); err != nil {
		return err
	}
	if m.fails || m.struck() {
		m.fails = false
		if m.host != nil && ofSnapshots(name) {
			m.w.report.SnapshotErrors++
			m.tidy.erred = true
			m.tidy.unremoved += bit(op == memfs.OpRemove)
			m.w.strikes(FaultDiskError, m)
			m.tell("the disk fails to %v %s", op, name)
			return syscall.EIO
		}
		m.diskFailed = true
		m.w.report.DiskErrors++
		if m.w.options.planted {
			m.w.fail(plantedProperty, "n%d's disk errs", m.id)
		}
		m.w.strikes(FaultDiskError, m)
		m.tell("the disk fails to %v %s", op, name)
		return syscall.EIO
	}
	m.interleave()
	return nil
}

// interleave now and then lets the shard work while another part waits for the disk.
func (m *member) interleave() {
	if m.host == nil || m.nested || m.part == host.PartShard || !m.w.chance(100) {
		return
	}
	part := m.part
	m.nested = true
	m.step(host.PartShard)
	m.part, m.nested = part, false
	if !m.up {
		panic(died{})
	}
}

// struck counts an operation. It reports whether the operation fails, and does not return if the process dies here.
func (m *member) struck() bool {
	s := m.strike
	if s == nil {
		return false
	}
	if s.in--; s.in > 0 {
		return false
	}
	m.strike = nil
	if s.death != nil {
		m.w.report.DeathsInside++
		m.w.reachIf(diesStarting, m.host == nil)
		m.die(*s.death)
		panic(died{})
	}
	return true
}
