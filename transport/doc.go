// Package transport carries packets between the members of one cluster over TCP.
//
// It promises little, because Raft asks for little: packets of one class to a peer arrive in the order in which they
// were sent, unless the connection breaks between them; each arrives whole or not at all, at most once; and a sender is
// told when a peer cannot be reached. Everything else may be lost, and everything that is lost is counted.
//
// # Connections
//
// A member dials every peer and only ever writes packets there; what a peer sends comes in on the connection that the
// peer dialled. So each direction has its own queue, its own failure and no tie-breaking when both sides dial at once.
//
//	dialler                               acceptor
//	hello{cluster, from, to, ...}  ---->
//	                               <----  answer: accepted, or refused and why
//	frame, frame, frame ...        ---->
//	                               <----  a byte now and then: a sign of life
//
// A dialler that has nothing to send sends an empty frame twice a second, and an acceptor that reads something answers
// with a byte at most ten times a second. Each side takes Config.IdleTimeout of silence for the connection's end. This
// is what notices a peer that lost its power, which no TCP stack reports while nothing, or only little, is written.
// The byte also says that packets are being taken: a peer whose handler is stuck for longer counts as unreachable.
//
// # Members that are not in the configuration
//
// The configuration of a member may be older than that of one that speaks to it, and a new member has none. Raft asks
// that both be answered, so who says hello in the name of the right cluster is heard, known or not. One that SetPeer did
// not name becomes a guest: Send reaches it at the address in its hello. Guests are few, are dialled only when there is
// something to send, and end when there was no connection from them for Config.IdleTimeout. SetPeer makes peers of them.
//
// Who must not be heard, such as a member whose data folder was wiped, is Config.Admit's to say, for peers and guests,
// when a connection is made and at each Recheck. Its reason reaches the refused member's handler.
//
// # Questions
//
// A server that is to join a cluster may know no more of it than addresses. It may ask any member which cluster that is of, and which member others
// reach at an address (Ask), before it is anybody itself.
//
// # Classes
//
// Chunks of snapshots, the packets with an InstallSnapshot, travel on a connection of their own, of the class Bulk, and
// everything else on the Main one. A heartbeat behind a snapshot on a slow link would come too late, and the snapshot
// would end the term of the leader that sends it. The two differ only in this:
//
//   - the bulk connection is dialled when there is a chunk to send, and closed when there was none for IdleTimeout, as
//     both connections to a guest are;
//   - its queue is small, and chunks that find no room are dropped: their sender repeats what is not answered;
//   - its failures are counted and logged but not told to the handler: the main one says who is alive.
//
// # Goroutines
//
// A peer has three for each class: one that dials and then writes, one that waits for signs of life while there is a
// connection, and one that reads what the peer sends and calls Handler.Receive while the peer has one. A guest, and a
// peer that was removed and to which something waits to be written, has one that waits for its end. One more accepts
// connections. Close waits for all of them.
//
// # What it does not do
//
// It does not authenticate: whoever can reach the port can ask for the cluster's id, speak as any member, and have
// this one dial an address. Keep the port on a private network. It does not retry: the core, and the sender of a snapshot, repeat what still matters.
package transport
