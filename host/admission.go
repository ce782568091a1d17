package host

import (
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// Refused takes in that a peer refused this member's connection, and why. The transport repeats it with every attempt, and
// warns of it once a minute, so nothing louder is said here.
func (h *Host) Refused(peer raft.NodeID, verdict wire.Verdict, reason string) {
	h.logger.Debug("a peer refused this member", "peer", uint64(peer), "verdict", verdict.String(), "reason", reason)
}
