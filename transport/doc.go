// Package transport carries packets between the members of one cluster over TCP.
//
// It promises little, because Raft asks for little: packets to a peer arrive in the order in which they were sent,
// unless the connection breaks between them; each arrives whole or not at all, at most once; and a sender is told when
// a peer cannot be reached. Everything else may be lost, and everything that is lost is counted.
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
// # Goroutines
//
// A peer has three: one that dials and then writes, one that waits for signs of life, and one that reads what the peer
// sends and calls Handler.Receive. One more accepts connections. Close waits for all of them.
//
// # What it does not do
//
// It does not authenticate: whoever can reach the port and knows the cluster's id can speak as any member. Keep the
// port on a private network. It does not retry: the core repeats what still matters. It carries no snapshots' bytes.
package transport
