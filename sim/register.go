package sim

import (
	"encoding/binary"
	"fmt"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// register is the state machine: registers by number. It hands everything that it executes to the checker.
type register struct {
	m       *member
	values  map[int]uint64
	applied raft.Index // the last command
	state   uint64     // hash of all commands so far, with their indexes
}

func newRegister(m *member) *register { return &register{m: m, values: make(map[int]uint64)} }

// Apply implements host.Machine.
func (r *register) Apply(batch []host.Entry) error {
	for i := range batch {
		e := &batch[i]
		if len(e.Command) < commandBytes {
			return fmt.Errorf("entry %d has a command of %d bytes", e.Index, len(e.Command))
		}
		value, key := binary.LittleEndian.Uint64(e.Command), int(e.Command[8])
		previous := r.applied
		r.values[key] = value
		r.applied = e.Index
		r.state = mixBytes(mix(r.state, uint64(e.Index)), e.Command)
		r.m.w.checker.applied(r, previous, e, value)
	}
	return nil
}
