package sim

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// register is the state machine: registers by number. It hands everything that it executes to the checker.
type register struct {
	m       *member
	values  map[int]uint64
	applied raft.Index // the last command
	state   uint64     // hash of all commands so far, with their indexes

	restoredTo raft.Index // the last command that came with a snapshot
	guest      guest      // an embedder's machine, which it gives its commands to; nil: there is none
	journal    *journal   // of its own state; nil: it keeps nothing
}

func newRegister(m *member) *register {
	r := &register{m: m, values: make(map[int]uint64)}
	r.receive()
	if m.w.knobs.keeps {
		r.journal = &journal{m: m, fs: m.disk.fs}
	}
	return r
}

// Apply implements host.Machine.
func (r *register) Apply(batch []host.Entry) error {
	var keys []int
	for i := range batch {
		e := &batch[i]
		if len(e.Command) < commandBytes {
			return fmt.Errorf("entry %d has a command of %d bytes", e.Index, len(e.Command))
		}
		value, key := binary.LittleEndian.Uint64(e.Command), int(e.Command[8])
		previous := r.applied
		if e.Answer != nil {
			r.answer(e, value, r.values[key])
		}
		r.values[key] = value
		r.applied = e.Index
		r.state = mixBytes(mix(r.state, uint64(e.Index)), e.Command)
		r.m.w.checker.applied(r, previous, e, value)
		keys = append(keys, key)
	}
	r.givesUp(batch)
	if r.keeps() {
		return r.journal.executed(r, batch[len(batch)-1].Term, keys)
	}
	return r.applyGuest(batch)
}

// answer answers a command of a session.
func (r *register) answer(e *host.Entry, value, previous uint64) {
	answer := answerOf(value, previous)
	if answer != nil {
		e.Answer.Keep(answer)
	}
	r.m.w.checker.replied(value, answer)
	if e.Proposal != nil {
		e.Proposal.Owner.(*operation).answer = answer
	}
}

// paddingKey marks what makes a snapshot larger.
const paddingKey = 255

// Snapshot implements host.Machine.
func (r *register) Snapshot() (func(io.Writer) error, error) {
	b := binary.LittleEndian.AppendUint64(nil, uint64(r.applied))
	b = binary.LittleEndian.AppendUint64(b, r.state)
	for _, key := range slices.Sorted(maps.Keys(r.values)) {
		b = append(binary.LittleEndian.AppendUint64(b, r.values[key]), byte(key))
	}
	for i := range uint64(r.m.w.knobs.padding) {
		b = append(binary.LittleEndian.AppendUint64(b, mix(r.state, i)), paddingKey)
	}
	r.m.w.report.Snapshots++
	return r.withGuest(b)
}

// Restore implements host.Machine.
func (r *register) Restore(from io.Reader) error {
	b, err := r.ownSnapshot(from)
	if err != nil {
		return err
	}
	if len(b) < 16 || (len(b)-16)%commandBytes != 0 {
		return fmt.Errorf("a snapshot of %d bytes", len(b))
	}
	before := r.applied
	r.applied, r.state = raft.Index(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint64(b[8:])
	if r.applied < before {
		r.m.w.fail("State Machine Safety", "n%d's machine was at command %d, and is given a snapshot of command %d", r.m.id, before, r.applied)
	}
	r.restoredTo = r.applied
	clear(r.values)
	for b = b[16:]; len(b) > 0; b = b[commandBytes:] {
		if b[8] != paddingKey {
			r.values[int(b[8])] = binary.LittleEndian.Uint64(b)
		}
	}
	r.m.w.checker.restored(r)
	if r.keeps() {
		return r.journal.begin(r, r.m.w.checker.ghost(r.applied).term)
	}
	return r.restoreGuest(from)
}
