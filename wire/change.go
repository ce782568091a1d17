package wire

import (
	"encoding/binary"

	"github.com/balsa-raft/balsa/raft"
)

// The messages of membership changes. Bytes of a member that a change wants:
//
//	uvarint id | suffrage u8 | priority u8 | uvarint length | address

// detailBytesMax bounds the text of a ForwardChangeReply. What is longer is cut.
const detailBytesMax = 4 << 10

func appendChange(b []byte, m raft.ForwardChange) []byte {
	c := m.Change
	b = append(b, bit(c.Force, flagForce)|bit(c.Ready, flagReady)|bit(c.Apart, flagApart))
	b = uvarints(b, uint64(m.Term), c.ID, c.Base, uint64(len(c.Members)))
	for _, member := range c.Members {
		b = binary.AppendUvarint(b, uint64(member.ID))
		b = append(b, byte(member.Suffrage), member.Priority)
		b = binary.AppendUvarint(b, uint64(len(member.Address)))
		b = append(b, member.Address...)
	}
	return b
}

func changeBytes(c raft.Change) int {
	const fixed = 2*binary.MaxVarintLen64 + 2
	n := 0
	for i := range c.Members {
		n += fixed + len(c.Members[i].Address)
	}
	return n
}

func (r *reader) change() raft.Message {
	flags := r.flags(flagForce | flagReady | flagApart)
	m := raft.ForwardChange{Term: r.term("term")}
	m.Change = raft.Change{
		ID: r.uint("change"), Base: r.uint("base"), Force: flags&flagForce != 0, Ready: flags&flagReady != 0, Apart: flags&flagApart != 0,
	}
	const memberBytesMin = 4
	n := r.count("members", memberBytesMin)
	if n > raft.MembersMax {
		r.fail("%d members, at most %d", n, raft.MembersMax)
	}
	for range n {
		member := raft.Member{ID: raft.NodeID(r.uint("member id"))}
		member.Suffrage, member.Priority = raft.Suffrage(r.byte("suffrage")), r.byte("priority")
		member.Address = r.text("address", raft.AddressBytesMax)
		if r.err != nil {
			return m
		}
		m.Change.Members = append(m.Change.Members, member)
	}
	return m
}

func appendChangeReply(b []byte, m raft.ForwardChangeReply) []byte {
	b = uvarints(b, uint64(m.Term), m.ID)
	detail := m.Detail[:min(len(m.Detail), detailBytesMax)]
	b = append(b, byte(m.Reason))
	b = binary.AppendUvarint(b, uint64(len(detail)))
	b = append(b, detail...)
	b = binary.AppendUvarint(b, uint64(len(m.Unreachable)))
	for _, id := range m.Unreachable {
		b = binary.AppendUvarint(b, uint64(id))
	}
	return b
}

func (r *reader) changeReply() raft.Message {
	m := raft.ForwardChangeReply{Term: r.term("term"), ID: r.uint("change"), Reason: raft.ChangeReason(r.byte("reason"))}
	m.Detail = r.text("detail", detailBytesMax)
	for range r.count("unreachable members", 1) {
		m.Unreachable = append(m.Unreachable, raft.NodeID(r.uint("member id")))
	}
	return m
}

// text reads a string of at most so many bytes.
func (r *reader) text(what string, bytesMax int) string {
	if r.err != nil {
		return ""
	}
	var b []byte
	if b, r.b, r.err = bytesField(r.b, what); len(b) > bytesMax {
		r.fail("%s of %d bytes, at most %d", what, len(b), bytesMax)
		return ""
	}
	return string(b)
}
