package sim

import (
	"bytes"
	"fmt"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// tail is how many commands tell at the end of a run whether machines are in the same state.
const tail = 40

// last implements guests: what a run has left in the machines shows in what they answer to more commands. One of them has its snapshot written late, and others are
// restored from that.
func (t *trial[C, R]) last(members []*member) {
	if t.w.failure != nil || len(members) == 0 {
		return
	}
	var es []host.Entry
	from, term := members[0].machine.applied, t.w.latestTerm()
	for i := range raft.Index(tail) {
		es = append(es, host.Entry{Index: from + 1 + i, Term: term, Command: t.command(t.w.rand)})
	}
	for i, m := range members {
		v := m.machine.guest.(*visitor[C, R])
		v.name = mention(fmt.Sprintf("n%d, to which nothing happens any more,", m.id))
		switch {
		case i == 0:
			v.passOn(es)
		case v.disk != nil:
			v.comeBack(es)
		default:
			v.applyAll(es)
		}
	}
}

// applyAll executes in batches.
func (v *visitor[C, R]) applyAll(es []host.Entry) {
	for len(es) > 0 && v.w.failure == nil {
		n := 1 + v.w.rand.IntN(min(len(es), 8))
		batch := make([]host.Entry, n)
		for i := range batch {
			batch[i] = es[i]
			batch[i].Command = bytes.Clone(es[i].Command)
		}
		if v.apply(batch) != nil {
			return
		}
		es = es[n:]
	}
}

// comeBack executes, and dies in between.
func (v *visitor[C, R]) comeBack(es []host.Entry) {
	for len(es) > 0 && v.w.failure == nil {
		n := 1 + v.w.rand.IntN(len(es))
		v.applyAll(es[:n])
		es = es[n:]
		if v.w.failure != nil || v.w.chance(500) && v.sync() != nil {
			return
		}
		again := v.reopen()
		if v.w.failure != nil {
			return
		}
		lost := v.log(again.at, v.at)
		v = again
		v.applyAll(lost)
	}
}

// reopen has a machine die, and returns the one that its disk has then.
func (v *visitor[C, R]) reopen() *visitor[C, R] {
	v.die()
	again := &visitor[C, R]{trial: v.trial, m: v.m, name: v.name, disk: v.disk}
	if again.open(); v.w.failure == nil {
		again.applied()
	}
	return again
}

// passOn executes half of the entries before its snapshot is written, from which a new machine begins, and one that has executed some of what came before.
func (v *visitor[C, R]) passOn(es []host.Entry) {
	at := v.at
	var b bytes.Buffer
	write, err := v.snapshot()
	if err != nil {
		return
	}
	v.applyAll(es[:tail/2])
	if v.w.failure != nil || write(&b) != nil {
		return
	}
	v.applyAll(es[tail/2:])
	before := v.log(0, at)
	for _, n := range []int{0, v.w.rand.IntN(len(before) + 1)} {
		o := &visitor[C, R]{trial: v.trial, name: "a new machine"}
		if n > 0 {
			o.name = "a machine that was behind"
		}
		if v.Disk != nil {
			o.disk = &guestDisk[C, R]{Disk: v.Disk()}
		}
		if v.w.failure == nil {
			o.open()
			o.applyAll(before[:n])
			o.begin(b.Bytes(), at, es)
		}
	}
}

// log is what was executed behind entry from, up to entry to.
func (t *trial[C, R]) log(from, to raft.Index) (es []host.Entry) {
	for _, i := range t.order {
		if x := t.executed[i]; i > from && i <= to {
			es = append(es, host.Entry{Index: i, Term: x.term, Command: x.data})
		}
	}
	return es
}

// begin executes entries from a snapshot on. One that keeps its state dies before.
func (v *visitor[C, R]) begin(snapshot []byte, at raft.Index, es []host.Entry) {
	if v.w.failure != nil || v.restore(bytes.NewReader(snapshot), at) != nil {
		return
	}
	if v.disk != nil {
		if v.sync() != nil {
			return
		}
		v = v.reopen()
	}
	v.applyAll(es)
}
