package sim

import (
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// A follower that doubts its leader, and comes back to it in the same term: what it was answered before is of no use to what it asks now.

// answers are the first that a leader has given, in its term, to the read requests of a member.
type answers struct {
	term    raft.Term
	packets []packet
}

// following is whom a member follows.
type following struct {
	term   raft.Term
	leader raft.NodeID
}

// answersMax is how many are remembered.
const answersMax = 16

func (n *network) rememberAnswer(to raft.NodeID, p packet, m raft.Message) {
	answer, ok := m.(raft.ReadIndexReply)
	if !ok || !n.w.chaos {
		return
	}
	of := &n.answers[to-1]
	if of.term != answer.Term {
		*of = answers{term: answer.Term}
	}
	if len(of.packets) < answersMax {
		of.packets = append(of.packets, p)
	}
}

// followsAgain takes in whom a member follows. If it has followed the same leader before it has doubted it since.
func (n *network) followsAgain(m *member, e raft.Event) {
	w, now := n.w, following{e.Term, e.Node}
	again := m.followed == now
	m.followed = now
	if again && w.chaos && n.answers[m.id-1].term == e.Term && w.knobs.drawn.has(FaultDuplicate|FaultDelay) {
		w.apart(func() { n.answersAgain(m, e.Node) })
	}
}

// answersAgain has a member hear again what it was answered, when it asks to read.
func (n *network) answersAgain(m *member, leader raft.NodeID) {
	w := n.w
	if !w.chance(500) || !w.knobs.faults.has(FaultDuplicate|FaultDelay) {
		return
	}
	w.reach(followsAgain)
	m.tell("is to hear again what n%d has answered before", leader)
	long := w.knobs.electionTimeout() / 4
	m.hearsAgain = w.now + long
	incarnation := m.incarnation
	w.clients.extra(func() {
		for range 3 {
			w.after(between(w.rand, 0, long), func() {
				if m.up && m.incarnation == incarnation && !w.clients.stopped {
					w.clients.begin(w.clients.read(-1, m, w.rand.IntN(w.knobs.keys), ask{}))
				}
			})
		}
	})
}

// asksAgain takes in that a member asks on behalf of reads.
func (n *network) asksAgain(m *member, msg raft.Message) {
	w := n.w
	if _, ok := msg.(raft.ReadIndex); !ok || !w.chaos || w.now >= m.hearsAgain {
		return
	}
	for _, p := range n.answers[m.id-1].packets {
		w.report.Duplicated++
		w.after(between(w.rand, 0, 2*time.Millisecond), func() { n.arrive(p, m.id) })
	}
}
