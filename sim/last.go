package sim

import (
	"bytes"
	"fmt"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// tail is how many commands tell at the end of a run whether machines are in the same state.
const tail = 40

// last implements guests: what a run has left in the machines shows in what they answer to more commands. One of them has its snapshot written late, and is restored
// from it, as is a new one.
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
		v.name = fmt.Sprintf("n%d, to which nothing happens any more,", m.id)
		switch {
		case i == 0:
			t.goBack(v, es)
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
		v.apply(batch)
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
		var lost []host.Entry
		for _, i := range v.order {
			if x := v.executed[i]; i > again.at && i <= v.at {
				lost = append(lost, host.Entry{Index: i, Term: x.term, Command: x.data})
			}
		}
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

// goBack executes half of the entries, goes back to where it was, and executes them all. A new machine begins there.
func (t *trial[C, R]) goBack(v *visitor[C, R], es []host.Entry) {
	at := v.at
	var b bytes.Buffer
	write, err := v.snapshot()
	if err != nil {
		return
	}
	v.applyAll(es[:tail/2])
	if t.w.failure != nil || write(&b) != nil {
		return
	}
	v.begin(b.Bytes(), at, es)
	fresh := &visitor[C, R]{trial: t, m: v.m, name: "a new machine"}
	if t.Disk != nil {
		fresh.disk = &guestDisk[C, R]{Disk: t.Disk()}
	}
	if t.w.failure == nil {
		fresh.open()
	}
	fresh.begin(b.Bytes(), at, es)
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
