package sim

import (
	"fmt"

	"github.com/balsa-raft/balsa/balsatest"
	"github.com/balsa-raft/balsa/raft"
)

// guestDisk is a disk with what is known of it.
type guestDisk[C, R any] struct {
	balsatest.Disk[C, R]
	given  raft.Index // the last entry that may be there
	synced raft.Index // the last that must be
	rotten bool       // some of it is damaged
	said   bool       // and a machine has returned an error since
}

// diskOf is what is a member's; nil if its machine keeps nothing, or was never started.
func (t *trial[C, R]) diskOf(m *member) *guestDisk[C, R] {
	d, _ := m.disk.guest.(*guestDisk[C, R])
	return d
}

// diskFor is the disk on which a member's machine starts. One that is damaged its operator has emptied, if he was told.
func (t *trial[C, R]) diskFor(m *member) *guestDisk[C, R] {
	d := t.diskOf(m)
	if d != nil && d.said {
		m.tell("has its machine's disk emptied, which is damaged")
	}
	if d == nil || d.said {
		d = &guestDisk[C, R]{Disk: t.Disk()}
		m.disk.guest = d
	}
	return d
}

// excuses reports whether a machine may return this error: of lack of room when its disk is full, or was when it may have met that; or any, if its disk is damaged.
func (v *visitor[C, R]) excuses(err error) bool {
	switch {
	case v.disk == nil || v.m == nil:
		return false
	case v.disk.rotten:
		v.disk.said = true
		v.w.report.NoticedRot++
	case v.disk.Room != nil && v.m.lacksRoom(err):
		v.w.report.LackedRoom++
	default:
		return false
	}
	v.m.tell("its machine: %v", err)
	v.spoiled, v.doing = true, nil
	return true
}

// limit implements guestDisks.
func (t *trial[C, R]) limit(m *member, bytes int64) bool {
	d := t.diskOf(m)
	if d == nil || d.Room == nil {
		return false
	}
	d.Room(bytes)
	return true
}

// diskFaults implements guestDisks.
func (t *trial[C, R]) diskFaults() (f Faults) {
	if t.judge.disk != nil && t.judge.disk.Room != nil {
		f |= FaultFull
	}
	if t.FindsRot {
		f |= FaultRot
	}
	return f
}

// rot implements guestDisks.
func (t *trial[C, R]) rot(m *member) (what string) {
	d := t.diskOf(m)
	if d == nil || !t.FindsRot || d.said {
		return ""
	}
	if what = d.Rot(t.w.rand); what != "" {
		d.rotten = true
	}
	return what
}

// isDamaged implements guestDisks.
func (t *trial[C, R]) isDamaged(m *member) bool {
	d := t.diskOf(m)
	return d != nil && d.said
}

// replace implements guestDisks. Who has not noticed until now is started once more on what is left, apart from the cluster, and executes all that comes behind it: it may not lie.
func (t *trial[C, R]) replace(m *member) {
	d := t.diskOf(m)
	if d == nil || !d.rotten {
		return
	}
	if m.up {
		m.die(death{})
	}
	if !d.said {
		v := &visitor[C, R]{trial: t, m: m, name: mention(fmt.Sprintf("n%d's machine, on a damaged disk,", m.id)), disk: d}
		v.open()
		if _, _, err := v.applied(); err == nil && len(t.order) > 0 {
			v.applyAll(t.log(v.at, t.order[len(t.order)-1]))
		}
		v.die()
	}
	m.disk.guest = nil
}
