package sim

import (
	"slices"

	"github.com/balsa-raft/balsa/raft"
)

// What holds of configurations one by one, before anything has come of it: a step that must not be taken is a fault although nobody was elected by it.

// unlawful says why cfg must not follow before in a leader's log; nothing if it may. known says that the leader knew that before was committed.
func unlawful(before raft.Configuration, known bool, cfg raft.Configuration, leader raft.NodeID) string {
	if len(before.Members) == 0 {
		return ""
	}
	old := cfg.Voters()
	if cfg.Joint() {
		old = oldVoters(cfg)
	}
	switch {
	case before.Joint() && cfg.Joint():
		return "a joint configuration ends before there is another one"
	case before.Joint() && slices.Equal(cfg.Voters(), oldVoters(before)):
	case before.Joint() && (!known || !slices.Equal(cfg.Voters(), before.Voters())):
		return "a joint configuration is left for its new half, and when it is committed"
	case !before.Joint() && !slices.Equal(old, before.Voters()):
		return "other voters come by a joint configuration alone"
	}
	for _, m := range cfg.Members {
		if m.Suffrage == raft.Voter && !before.IsVoter(m.ID) && m.Incarnation == 0 && m.ID != leader {
			return "nobody becomes a voter whose data folder is not known"
		}
	}
	return ""
}

func oldVoters(cfg raft.Configuration) (ids []raft.NodeID) {
	for _, m := range cfg.Members {
		if m.Old == raft.Voter {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// inForce is which configuration a member goes by, and which is the last that it knows to be committed.
type inForce struct {
	incarnation   int
	is, committed raft.Index
}

// checkInForce: a member goes by the last configuration in its log, so at least by the last that it knows to be committed.
func (c *checker) checkInForce(m *member, s raft.Status) {
	is := s.Configuration
	if is.Index > s.CommitIndex || len(is.Members) == 0 || s.CommitIndex > c.committedTo() {
		return
	}
	at, want := c.committedConfiguration(s.CommitIndex)
	now := inForce{m.incarnation, is.Index, at}
	if c.inForce[m.id] == now {
		return // that was looked at
	}
	if c.inForce[m.id] = now; want.String() != is.String() {
		c.w.fail("Members", "n%d knows that entries up to %d are committed, and goes by %v of entry %d; the last of them is %v of entry %d", m.id, s.CommitIndex, is.Configuration, is.Index, want, at)
	}
}
