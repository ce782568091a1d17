package sim

import (
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// Messages of earlier terms that arrive again and again, as often as anybody likes: they must hold nobody back. A server that took one of them for a sign of life would never stand for
// election.

// outdated is what a member was sent, by kind: one message of each of the last terms.
type outdated [messageKindsFrequent][]outdatedPacket

type outdatedPacket struct {
	packet
	term raft.Term
}

// outdatedMax is of how many terms messages are kept.
const outdatedMax = 4

// rememberOutdated keeps what belongs to a term. A pre-vote belongs to none.
func (n *network) rememberOutdated(to raft.NodeID, p packet, what raft.Message) {
	var term raft.Term
	switch m := what.(type) {
	case raft.RequestVote:
		if !m.PreVote {
			term = m.Term
		}
	case raft.RequestVoteReply:
		if !m.PreVote {
			term = m.Term
		}
	case raft.AppendEntries:
		term = m.Term
	case raft.AppendEntriesReply:
		term = m.Term
	}
	if term == 0 {
		return
	}
	of := &n.outdated[to-1][kindOf(what)]
	if k := len(*of); k > 0 && (*of)[k-1].term == term {
		return
	}
	if len(*of) == outdatedMax {
		*of = append((*of)[:0], (*of)[1:]...)
	}
	*of = append(*of, outdatedPacket{p, term})
}

// repeat delivers a message of an earlier term than a member is in, if there is one.
func (n *network) repeat(to *member) {
	kind := n.w.rand.IntN(messageKindsFrequent + 2)
	if kind >= messageKindsFrequent {
		kind = kindOf(raft.RequestVote{}) // others are answered in fewer ways
	}
	of := n.outdated[to.id-1][kind]
	if len(of) == 0 || !to.up {
		return
	}
	if p := of[n.w.rand.IntN(len(of))]; p.term < to.group.Status().Term {
		n.w.report.Duplicated++
		n.arrive(p.packet, to.id)
	}
}

// demandOverOutdated checks that the others elect a leader when theirs is gone, although each of them gets outdated messages all the time.
func (w *world) demandOverOutdated() {
	old, over, served := w.outlastLate(), false, false
	if old == nil {
		return
	}
	var rest []*member
	for _, m := range w.voters() {
		if m != old {
			rest = append(rest, m)
		}
	}
	every := time.Duration(w.knobs.raft.ElectionTicks) * tick / 8
	for _, m := range rest {
		var next func()
		next = func() {
			if !over {
				w.network.repeat(m)
				w.after(every, next)
			}
		}
		next()
		w.probe(m, false, func() bool { return served || over }, func() { served = true })
	}
	w.tell("messages of earlier terms arrive again and again")
	old.die(death{})
	served = false
	w.run(w.now+outdatedTimeouts*w.knobs.electionTimeout(), func() bool { return served && w.leader() != nil })
	over = true
	if w.failure == nil && !served {
		w.fail("Liveness", "n%d is down, messages of earlier terms arrive again and again, and the others serve no clients: %v; %v", old.id, rest, w.network)
	}
	w.reachIf(leadsOverOutdated, w.failure == nil)
	old.restart()
	w.run(w.now+w.patience(), func() bool { return w.leader() != nil })
}

// outlastLate waits until nothing is late any more that was sent while anything could go wrong, and returns the leader. What is late may be of the leader's own term: nobody could tell
// that from a sign of life when it is gone.
func (w *world) outlastLate() *member {
	w.run(w.mendedAt+w.knobs.lateMax, nil)
	w.run(w.now+w.patience(), func() bool { return w.leader() != nil })
	if w.failure != nil {
		return nil
	}
	return w.leader()
}

// outdatedTimeouts is within how many election timeouts the others have elected a leader: promises last two, and votes may be split some times.
const outdatedTimeouts = 20
