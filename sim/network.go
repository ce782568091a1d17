package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// network carries packets between members, as bytes: nothing that one member holds is ever seen by another.
type network struct {
	w             *world
	links         [][]link    // from, to
	sent          [][]packet  // to, the last ones of all senders
	acks          [][]packet  // to, the last acknowledgements in its leadership
	refusals      [][]refusal // to, those that wait for their moment
	outdated      []outdated  // to
	answers       []answers   // to
	losesForwards bool        // some of them, for as long as this is set
	parted        [][2]*member
	withheld      func(from, to raft.NodeID, m raft.Message) bool // says what does not arrive; nil: all does
	chunk         *lostChunk                                      // one that is to be lost; nil: none

	changesFrom time.Duration // who was asked until then to change the members does not hear of it any more
	severedAt   time.Duration // what was sent until then is lost where a link is cut
	cuts        int           // how often links were cut: what is to be mended later may have been cut again

	keepsBackUntil   time.Duration // a request to stand for election that is sent before is kept back
	keepsBackExactly bool          // until its sender gives up
	promptUntil      time.Duration // one that is sent before is not kept back, and nothing else happens because of it
	quickUntil       time.Duration // nothing is lost or late by chance
	late             *lateWord     // nil: none
	unheard          []*member     // what they say of their logs is lost
	keptBack         func(*member) // delivers what is kept back until its sender gives up to hand over; may be nil
}

// packet is one that was sent.
type packet struct {
	from        raft.NodeID
	id          uint64        // of the message, in the trace
	incarnation uint64        // of its data folder
	at          time.Duration // when it was sent
	bytes       []byte
}

// packetOf is a packet with the last message that was sent.
func (n *network) packetOf(from *member, b []byte) packet {
	return packet{from: from.id, id: uint64(n.w.report.Messages), incarnation: from.identity.Incarnation, at: n.w.now, bytes: b}
}

// link is one direction between two members.
type link struct {
	cut        bool
	connection connection
	rand       *rand.Rand
	sent       [messageKinds]int // messages of a kind
	last       time.Duration     // when the last message arrives that was not late
	free       time.Duration     // when the last message that keeps its order arrives

	slowBy, slowUntil time.Duration // what is sent until then arrives so much later
}

func newNetwork(w *world) *network {
	n := &network{w: w, links: make([][]link, len(w.members)), sent: make([][]packet, len(w.members)), acks: make([][]packet, len(w.members)), refusals: make([][]refusal, len(w.members)), outdated: make([]outdated, len(w.members)), answers: make([]answers, len(w.members))}
	for i := range n.links {
		n.links[i] = make([]link, len(w.members))
		for to := range n.links[i] {
			n.links[i][to].rand = w.stream(ofLink, uint64(i+1)<<16|uint64(to+1), 0)
		}
	}
	return n
}

func (n *network) link(from, to raft.NodeID) *link { return &n.links[from-1][to-1] }

// send takes a packet from a member.
func (n *network) send(from *member, to raft.NodeID, p wire.Packet) {
	w := n.w
	w.checker.sent(from, to, p.Message)
	if w.failure != nil {
		return
	}
	b := wire.AppendPacket(nil, p)
	if limit := wire.PacketSizeMax(p); len(b) > limit {
		w.fail("Assertion", "a packet of %d bytes is over its bound of %d", len(b), limit)
	}
	w.mix(uint64(from.id), uint64(to))
	w.trace = mixBytes(w.trace, b)
	w.report.Messages++
	n.remember(from, to, b, p)
	w.recordMessage(TraceSend, from.id, to, uint64(w.report.Messages), p.Message)
	was, l := w.rand, n.link(from.id, to)
	kind := kindOf(p.Message)
	l.sent[kind]++
	w.rand = w.stream(ofLink, uint64(from.id)<<16|uint64(to), uint64(l.sent[kind])<<8|uint64(kind+1))
	defer func() { w.rand = was }()
	mishap, faults := w.knobs.kinds[kind], w.knobs.faults
	if !w.chaos || w.now < n.quickUntil {
		faults = 0
	}
	// Drawn whether or not there is such a fault: what follows is the same without it.
	lost, late, twice, lateCopy := w.chance(mishap.lost), w.chance(mishap.late), w.chance(mishap.duplicated), w.chance(w.knobs.lateCopies)
	lost, late, twice = lost && faults.has(FaultLoss), late && faults.has(FaultDelay), twice && faults.has(FaultDuplicate)
	if (lost || late || twice) && !l.cut && w.spares(mishapOn(from.id, to, kind, l.sent[kind])) {
		lost, late, twice = false, false, false
	}
	if l.cut || lost || w.plot.loses(to, p.Message) || n.losesForward(p.Message) || n.chunk.loses(w, from.id, to, p.Message) || n.isUnheard(from, p.Message) {
		w.report.Lost++
		w.recordMessage(TraceLost, from.id, to, uint64(w.report.Messages), p.Message)
		if l.cut {
			l.connection = connection{}
		} else {
			w.strikes(FaultLoss, from)
			w.tellMessage("is lost", from.id, to, p.Message)
		}
		return
	}
	if late {
		w.strikes(FaultDelay, from)
	}
	if w.now < from.hearsAgain {
		w.apart(func() { n.asksAgain(from, p.Message) })
	}
	if _, ok := p.Message.(raft.TimeoutNow); ok && w.now >= n.promptUntil {
		keptBack := false
		w.apart(func() { keptBack = n.comesLate(from, to, b) })
		if keptBack {
			return
		}
		defer w.apart(func() { n.handsOver(from) })
	}
	if of := n.packetOf(from, b); !n.keepsBack(to, of, p.Message) && !n.late.keeps(of, to, p.Message) {
		n.carry(from.id, to, b, late)
	}
	if twice {
		w.strikes(FaultDuplicate, from)
		w.report.Duplicated++
		n.carry(from.id, to, b, lateCopy)
	}
}

// echoMax is how many packets to one member are remembered.
const echoMax = 40

func (n *network) remember(from *member, to raft.NodeID, b []byte, what wire.Packet) {
	sent := &n.sent[to-1]
	if len(*sent) == 2*echoMax {
		*sent = append((*sent)[:0], (*sent)[echoMax:]...)
	}
	p := n.packetOf(from, b)
	*sent = append(*sent, p)
	n.rememberAck(to, p, what)
	n.rememberOutdated(to, p, what.Message)
	n.rememberAnswer(to, p, what.Message)
}

// echo delivers some of the last packets to a member once more, perhaps to its next incarnation.
func (n *network) echo(to raft.NodeID) {
	sent := n.sent[to-1]
	sent = sent[max(0, len(sent)-pick(n.w.rand, 4, 10, echoMax)):]
	part := pick(n.w.rand, 100, 300, 900)
	longest := pick(n.w.rand, n.w.knobs.latency, n.w.knobs.electionTimeout()/4)
	for _, p := range sent {
		if n.w.chance(part) {
			n.w.report.Duplicated++
			n.w.after(between(n.w.rand, 0, longest), func() { n.arrive(p, to) })
		}
	}
}

const (
	messageKinds = 11
	// messageKindsFrequent is how many of them there are plenty of: those from which a cluster lives. The others are between followers
	// and leaders on behalf of clients.
	messageKindsFrequent = 4
)

// kindOf numbers the types of messages.
func kindOf(m raft.Message) int {
	switch m.(type) {
	case raft.RequestVote:
		return 0
	case raft.RequestVoteReply:
		return 1
	case raft.AppendEntries:
		return 2
	case raft.AppendEntriesReply:
		return 3
	case raft.ForwardProposals:
		return 4
	case raft.ForwardReply:
		return 5
	case raft.ReadIndex:
		return 6
	case raft.TimeoutNow:
		return 7
	case raft.InstallSnapshot:
		return 8
	case raft.InstallSnapshotReply:
		return 9
	}
	return messageKinds - 1
}

// latencyCalm is the network's latency once everything is mended: far below an election timeout.
const latencyCalm = 20 * time.Millisecond

// carry makes the bytes arrive after a while.
func (n *network) carry(from, to raft.NodeID, b []byte, late bool) {
	w, l := n.w, n.link(from, to)
	latency := w.knobs.latency
	if !w.chaos {
		latency = min(latency, latencyCalm)
	}
	if w.now < n.quickUntil {
		latency = min(latency, latencySiege)
	}
	delay := between(w.rand, latency/10, latency)
	if w.now < l.slowUntil {
		delay += l.slowBy
	}
	switch {
	case late:
		delay += between(w.rand, 0, w.knobs.lateMax)
	case !w.chaos || !w.knobs.faults.has(FaultReorder):
		l.free = max(l.free, w.now+delay)
		delay = l.free - w.now
	default:
		if w.now+delay < l.last {
			w.strikes(FaultReorder, w.member(from))
		}
		l.last = max(l.last, w.now+delay)
	}
	p := n.packetOf(w.member(from), b)
	w.after(delay, func() { n.arrive(p, to) })
}

func (n *network) arrive(sent packet, to raft.NodeID) {
	w, m, from := n.w, n.w.member(to), sent.from
	if of := w.member(from); slices.Contains(of.emptied, sent.incarnation) && of.identity.Incarnation != sent.incarnation {
		return // its connection has ended long since
	}
	// What was under way when a link was cut may still arrive.
	if l := n.link(from, to); !m.up || n.areParted(w.member(from), m) || l.cut && (sent.at <= n.severedAt || l.rand.IntN(1000) < 700) || !n.admits(w.member(from), m, sent.incarnation) {
		w.report.Lost++
		w.recordMessage(TraceLost, from, to, sent.id, nil)
		return
	}
	p, err := wire.DecodePacket(slices.Clone(sent.bytes))
	if err != nil {
		w.fail("Assertion", "a packet from n%d to n%d cannot be decoded: %v", from, to, err)
		return
	}
	w.tellMessage("", from, to, p.Message)
	w.recordMessage(TraceArrive, from, to, sent.id, p.Message)
	w.checker.coverArrival(m, sent, p.Message)
	if _, change := p.Message.(raft.ForwardChange); change && sent.at <= n.changesFrom {
		return
	}
	if w.plot.loses(to, p.Message) || n.withheld != nil && n.withheld(from, to, p.Message) { // a copy of what was lost when it was sent
		return
	}
	w.plot.hears(m, p.Message)
	w.checker.asks(m, sent, p.Message)
	m.host.Receive(from, []wire.Packet{p})
	m.receivesLate(p.Message)
	m.wake()
}

// broke lets some of the others know that a member's connections have ended.
func (n *network) broke(of *member) {
	for _, m := range n.w.members {
		if m != of && m.up && n.w.chance(500) {
			n.w.after(between(n.w.rand, 0, 200*time.Millisecond), func() { n.rumour(m, of.id) })
		}
	}
}

func (n *network) rumour(m *member, of raft.NodeID) {
	if m.up {
		n.w.strikes(FaultRumour, m)
		m.tell("hears that n%d cannot be reached", of)
		m.host.Unreachable(of)
		m.wake()
	}
}

// mend makes all links whole.
func (n *network) mend() {
	for _, row := range n.links {
		for i := range row {
			row[i].cut, row[i].slowUntil = false, 0
		}
	}
}

// cutBeyond cuts about half of all directions of links, but for those between two members of core.
func (n *network) cutBeyond(core map[raft.NodeID]bool) {
	for _, m := range n.w.members {
		for _, o := range n.w.members {
			n.link(m.id, o.id).cut = m != o && !(core[m.id] && core[o.id]) && n.w.chance(500)
		}
	}
}

// cutBetween cuts both directions of the links that join one of the members of a to one outside of it.
func (n *network) cutBetween(a map[raft.NodeID]bool) {
	for _, m := range n.w.members {
		for _, o := range n.w.members {
			n.link(m.id, o.id).cut = a[m.id] != a[o.id]
		}
	}
}

// leaveAlone cuts all links between a member and the others, and mends those among the others.
func (n *network) leaveAlone(m *member) { n.cutBetween(map[raft.NodeID]bool{m.id: true}) }

func (n *network) String() string {
	var cuts []string
	for _, m := range n.w.members {
		for _, o := range n.w.members {
			if n.link(m.id, o.id).cut {
				cuts = append(cuts, fmt.Sprintf("n%d->n%d", m.id, o.id))
			}
		}
	}
	return fmt.Sprintf("links cut: %v", cuts)
}

// isUnheard reports whether a message is one that says of a member's log how long it is, and is lost.
func (n *network) isUnheard(from *member, m raft.Message) bool {
	_, yes := m.(raft.AppendEntriesReply)
	return yes && slices.Contains(n.unheard, from)
}
