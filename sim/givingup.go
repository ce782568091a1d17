package sim

import (
	"slices"

	"github.com/balsa-raft/balsa/host"
)

// Callers that give up while their commands are being executed. A member's parts are stepped one after the other here, so elsewhere a caller leaves before its command
// is looked at, or when it is done.

// givesUp lets callers of a batch that is being executed leave, most where a later term has begun: an entry of that term may be in the same batch, and what it says
// of commands that were not executed is not about these.
func (r *register) givesUp(batch []host.Entry) {
	m := r.m
	if m.group == nil || !m.w.chaos {
		return // it is starting, or nobody is to be in a hurry
	}
	term := m.group.Status().Term
	for i := range batch {
		p := batch[i].Proposal
		if p == nil {
			continue
		}
		k := slices.IndexFunc(m.waits, func(op *operation) bool { return op.proposal == p })
		if k < 0 || m.waits[k].ended || m.waits[k].patient || m.waits[k].control || m.waits[k].command != nil {
			continue
		}
		op, chance := m.waits[k], uint64(10)
		if term > batch[i].Term {
			chance = 400
		}
		if mix(m.w.options.Seed, op.Value)%1000 >= chance { // not drawn: nothing else is drawn otherwise because of it
			continue
		}
		m.w.tell("%v is being executed, and its caller gives up", op)
		at, err := m.group.Abandon(p)
		m.w.clients.endWrite(op, at, err)
		m.w.reachIf(givenUpInside, term > batch[i].Term)
	}
}
