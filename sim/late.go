package sim

import (
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// Messages that arrive when what they are about is over, at the moment at which that could do most harm. By chance alone a message is rarely late by so much and no more.

// comesLate sometimes keeps back a request to stand for election until its sender has given up to hand over, and goes on: the target follows it again. When the target stands after
// all, the sender hears nothing of it, and is asked to read. It reports whether it does.
func (n *network) comesLate(from *member, to raft.NodeID, b []byte) bool {
	w := n.w
	if !w.chaos || !w.knobs.faults.has(FaultUsurp) || !w.chance(400) && w.now >= n.keepsBackUntil {
		return false
	}
	n.keepsBackUntil = 0
	if n.keepsBackExactly {
		n.keepsBackExactly = false
		n.keepBack(from, to, b)
		return true
	}
	patience := time.Duration(w.knobs.raft.ElectionTicks) * tick * 1000 / time.Duration(from.rate)
	delay := patience + between(w.rand, 0, patience/2)
	if w.chance(500) { // nothing is written meanwhile that would show the target's log to be too short
		w.clients.quietUntil = max(w.clients.quietUntil, w.now+delay)
	}
	p := n.packetOf(from, b)
	w.tell("n%d is asked to stand for election, and hears of it %v later", to, delay)
	w.after(delay, func() {
		if !w.chaos {
			return
		}
		n.arrive(p, to)
		if m := w.member(p.from); m.up && m.group.Status().Role == raft.Leader {
			n.deafen(m)
			long := w.knobs.electionTimeout()
			w.mendAfter(between(w.rand, 0, long))
			w.askBoth(m, long/4)
		}
	})
	return true
}

// handLate has a leader asked to hand over to another one, and lets that one hear of it late.
func (w *world) handLate(m *member) {
	w.network.mend()
	w.handTo(m, false)
}

// handTo is handLate; exactly says that the other one hears of it just when m has given up.
func (w *world) handTo(m *member, exactly bool) {
	cfg := m.group.Status().Configuration
	for _, i := range w.rand.Perm(len(w.members)) {
		if o := w.members[i]; o != m && o.up && !o.paused() && cfg.IsVoter(o.id) {
			w.network.keepsBackUntil = w.now + w.knobs.electionTimeout()
			w.network.keepsBackExactly = exactly
			m.transfer(o.id)
			return
		}
	}
}

// keepBack keeps a request to stand for election back until its sender has given up.
func (n *network) keepBack(from *member, to raft.NodeID, b []byte) {
	w, p, incarnation := n.w, n.packetOf(from, b), from.incarnation
	w.tell("n%d is asked to stand for election, and hears of it when n%d has given up", to, from.id)
	n.keptBack = func(m *member) {
		if m != from || !m.up || m.incarnation != incarnation {
			return
		}
		w.reach(standsLate)
		w.clients.quietUntil = max(w.clients.quietUntil, w.now+2*latencySiege)
		w.after(between(w.rand, 0, latencySiege), func() {
			if w.chaos {
				n.arrive(p, to)
				n.deafen(m)
				n.quickUntil = w.now + w.siegeLasts()
				w.mendAfter(w.siegeLasts())
			}
		})
	}
}

// gaveUp takes in that a leader has given up to hand over.
func (n *network) gaveUp(m *member) {
	if deliver := n.keptBack; deliver != nil && n.w.chaos {
		n.keptBack = nil
		n.w.apart(func() { deliver(m) })
	}
}

// deafen cuts the links to a member.
func (n *network) deafen(m *member) {
	for _, o := range n.w.members {
		n.link(o.id, m.id).cut = o != m
	}
}

// acksMax is how many acknowledgements to a leader are remembered.
const acksMax = 16

// rememberAck keeps an acknowledgement, for echoAcks.
func (n *network) rememberAck(to raft.NodeID, p packet, m wire.Packet) {
	if _, ok := m.Message.(raft.AppendEntriesReply); !ok || !n.w.chaos {
		return
	}
	acks := &n.acks[to-1]
	if len(*acks) == 2*acksMax {
		*acks = append((*acks)[:0], (*acks)[acksMax:]...)
	}
	*acks = append(*acks, p)
}

// echoAcks lets a leader hear once more, or only now, what it was told when it led before. Sometimes it hears nothing new after that, and is asked to read.
func (n *network) echoAcks(m *member) {
	w := n.w
	old := n.acks[m.id-1]
	n.acks[m.id-1] = nil
	if len(old) == 0 || !w.chaos || !w.knobs.faults.has(FaultDuplicate|FaultDelay) || !w.chance(400) {
		return
	}
	long := w.knobs.electionTimeout()
	w.tell("n%d hears again what it was told when it led before", m.id)
	within := between(w.rand, 0, long/2)
	for _, p := range old {
		w.report.Duplicated++
		w.after(between(w.rand, 0, within), func() { n.arrive(p, m.id) })
	}
	if incarnation := m.incarnation; w.knobs.faults.has(FaultUsurp|FaultPartition) && w.chance(500) {
		w.after(between(w.rand, 0, within), func() {
			if w.chaos && m.up && m.incarnation == incarnation {
				n.deafen(m)
				for _, p := range old {
					w.after(between(w.rand, 0, long/8), func() { n.arrive(p, m.id) })
				}
				w.mendAfter(long)
				w.askBoth(m, long)
			}
		})
	}
}
