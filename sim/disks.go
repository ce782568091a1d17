package sim

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// faultsOfDisks are those that are drawn here.
const faultsOfDisks = FaultTear | FaultReadError | FaultFull | FaultRot

func (f Faults) ofDisks() bool { return f&faultsOfDisks != 0 }

// drawDisks draws what is decided of disks from a source of its own.
func (k *knobs) drawDisks(o Options) {
	r := rand.New(rand.NewPCG(o.Seed, mix(0, ofDisks)))
	k.keeps = r.IntN(4) == 0 && o.guests == nil
	part := pick(r, 20, 50)
	for one := Faults(1); one < FaultNone; one <<= 1 {
		if one.ofDisks() && r.IntN(100) < part && o.Faults == 0 && k.faults != FaultNone {
			k.faults |= one
		}
	}
	k.ruin = r.IntN(8) == 0
	k.setBack = r.IntN(4) == 0
}

// harmRead fails one of the next reads of a member's disk; perhaps at a start.
func (w *world) harmRead(m *member) {
	m.readStrike = 1 + w.rand.IntN(pick(w.rand, 1, 4, 20))
	if m.up && w.chance(300) {
		w.kill(m, death{})
	}
}

// read sees every operation on the disk that changes nothing.
func (m *member) read(op memfs.Op, name string) error {
	m.reads(op, name)
	if op == memfs.OpReadAt && !ofSnapshots(name) {
		m.rotRead()
	}
	if m.readStrike == 0 || op == memfs.OpLock {
		return nil
	}
	if m.readStrike--; m.readStrike > 0 {
		return nil
	}
	w := m.w
	w.mix(uint64(op))
	w.report.ReadErrors++
	w.strikes(FaultReadError, m)
	m.tell("the disk fails to %v %s", op, name)
	switch {
	case m.host == nil:
		w.reach(readRefused)
	case ofSnapshots(name) && m.part != host.PartApplier:
		w.reach(readOfSnapshot) // the stream ends, and another one begins
		return syscall.EIO
	default:
		w.reach(readStops)
	}
	m.diskFailed = true
	return syscall.EIO
}

// ambushName perhaps ends a process when a snapshot has its name, and that is not durable: the next process finds it.
func (m *member) ambushName() {
	m.ambushStrike(60, FaultKill, "has named a snapshot and ends", func() { m.strike = &strike{in: 2, death: &death{}} })
}

// ambushPart perhaps fails a sync of what was received of a snapshot, and ends the process before it can remove it. What the next one reads there is in memory only, and
// no sync will write it any more.
func (m *member) ambushPart() {
	if m.w.knobs.drawn.has(FaultDiskError) {
		m.ambushStrike(60, FaultKill|FaultDiskError, "cannot sync what it has received, and ends", func() {
			m.fails, m.strike = true, &strike{in: 1, death: &death{}}
		})
	}
}

// ambushStrike perhaps has an operation on the disk end badly. part is of 1000. A number is taken only where it would, or there would be too many.
func (m *member) ambushStrike(part int, needs Faults, what string, strike func()) {
	w := m.w
	m.frames++
	if !w.chaos || m.strike != nil || w.knobs.drawn&needs != needs {
		return
	}
	w.with(w.stream(ofFrames, uint64(m.id), m.frames), func() {
		if !w.chance(part) {
			return
		}
		w.ambushes++
		d := Decision{Source: sourceAmbush, Number: w.ambushes}
		if w.knobs.faults&needs == needs && !w.leavesOut(d) {
			w.tell("fault %v: n%d %s", d, m.id, what)
			w.record(TraceLine{Kind: TraceFault, Node: m.id, What: FaultKill.String(), Text: d.String()})
			strike()
			w.disarm(m)
		}
	})
}

// harmFull leaves a disk with little room.
func (w *world) harmFull(m *member) {
	room := w.rand.Int64N(1 + pick[int64](w.rand, 0, 600, 10_000, 100_000))
	m.fills()
	m.disk.fs.SetCapacity(max(1, m.disk.fs.Used()+room))
	m.tell("has a disk with room for %d bytes", room)
	m.fillNames()
	m.fillGuest()
	m.roomLater()
}

// fills takes in that a disk has little room.
func (m *member) fills() {
	m.w.report.Full++
	m.w.strikes(FaultFull, m)
	m.disk.full++
	m.disk.isFull = true
}

// roomLater makes room on a full disk after a while, or leaves that to who mends everything.
func (m *member) roomLater() {
	w := m.w
	if w.chance(300) {
		return // for good
	}
	full := m.disk.full
	w.after(between(w.rand, 0, pick(w.rand, 5*time.Second, 60*time.Second)), func() {
		if m.disk.full == full {
			m.makeRoom()
		}
	})
}

func (m *member) makeRoom() {
	if m.disk.isFull {
		m.disk.isFull, m.disk.noNames, m.disk.wasFull = false, false, m.incarnation
		m.disk.fs.SetCapacity(0)
		m.giveGuestRoom()
		m.tell("has room on its disk")
	}
}

// lacksRoom reports whether an error says that the disk is full, and it is, or was when this process may have met it: its shard hears of that later.
func (m *member) lacksRoom(err error) bool {
	return (m.disk.isFull || m.disk.wasFull == m.incarnation) && errors.Is(err, syscall.ENOSPC)
}
