package wire

import "github.com/balsa-raft/balsa/raft"

// Packet is a message with the group that it belongs to: what travels between two hosts.
type Packet struct {
	Group   raft.GroupID
	Message raft.Message
}
