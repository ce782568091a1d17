package sim

import (
	"path"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// Deaths where the log's files change: when a segment begins, and its header is written and not synced; when old segments lose their names or get others, and the folder is not
// synced; and in the middle of a start, which makes a file of its own. Each is a few operations among thousands.

// ambushHeader perhaps cuts the power between the write of a segment's header and the sync of it.
func (m *member) ambushHeader(name string) {
	if name == m.disk.tail {
		return
	}
	m.disk.tail = name
	m.ambushStrike(30, FaultPower, "ends when the header of a segment is not synced", func() {
		m.strike = &strike{in: 2, death: &death{power: true, keep: m.w.rand.Float64()}}
	})
}

// ambushNames perhaps cuts the power soon after the name of a segment has changed, in a start or while the log goes on.
func (m *member) ambushNames(op memfs.Op, name string) {
	if m.host != nil && m.part != host.PartPreparer || op != memfs.OpRemove && op != memfs.OpRename || path.Dir(name) != logDir {
		return
	}
	part := 20
	if m.host == nil {
		part = 40 // of the few starts
	}
	m.ambushStrike(part, FaultPower, "ends when names of its log's files are not durable", func() {
		m.strike = &strike{in: 2 + m.w.rand.IntN(5), death: &death{power: true, keep: m.w.rand.Float64()}}
	})
}

// ambushStart perhaps ends a process while it starts.
func (m *member) ambushStart() {
	const operations = 20 // of a start that change the disk, more or less
	w := m.w
	if !w.chaos || w.now == 0 || w.now < w.undisturbedUntil || !w.knobs.drawn.has(FaultPower|FaultKill) {
		return
	}
	w.with(w.stream(ofStarts, uint64(m.id), uint64(m.incarnation)), func() {
		if !w.chance(40) {
			return
		}
		w.ambushes++
		d := Decision{Source: sourceAmbush, Number: w.ambushes}
		in, power, keep := 1+w.rand.IntN(operations), w.chance(800), w.rand.Float64()
		if !w.knobs.faults.has(FaultPower|FaultKill) || w.leavesOut(d) {
			return
		}
		power = power && w.knobs.faults.has(FaultPower) || !w.knobs.faults.has(FaultKill)
		w.tell("fault %v: n%d ends while it starts", d, m.id)
		w.record(TraceLine{Kind: TraceFault, Node: m.id, What: death{power: power}.name(), Text: d.String()})
		m.strike = &strike{in: in, death: &death{power: power, keep: keep}}
		w.disarm(m)
	})
}
