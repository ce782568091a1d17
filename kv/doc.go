// Package kv is a multi-version key-value store with etcd's semantics, as a state machine for Balsa.
//
// # Model
//
// The store counts revisions. An empty store is at revision 1; a command that changes something takes it to the next
// one, however many keys it changes, and one that changes nothing leaves it. Each change of a key, put or delete,
// adds a version to the key's chain. A delete's version is a tombstone. The changes of one revision are numbered from
// 0 in the order they were made, their sub-revisions.
//
// A read sees the store as of a revision, the latest or an older one: of each key the newest version that is not
// newer than the revision, if that is no tombstone. A compaction at revision C forgets what no read at C or later
// sees, and from then on reads before C are refused. A tombstone exactly at C is not forgotten before the next
// compaction, so that a watch that starts from C can still report the delete.
//
// A transaction is one command and one revision. All its compares, those of nested transactions too, are decided on
// the state before it; then everything that may be refused is checked; then its operations run in order, each seeing
// what those before it did.
//
// # Determinism
//
// Members stay equal because apply depends on nothing but the commands and their order. A command that makes no sense
// is answered with an error, one of the sentinels of this package, and changes nothing. Limits and Size, which may
// differ between members, are never looked at. How far a compaction has come in freeing memory differs too, and can
// not be seen: what is compacted is decided by the revision of the last CompactRequest, which is in the log.
// Bytes that are no known command stop the member (Command.UnmarshalBinary): others may understand them.
//
// # Concurrency
//
// Apply is called by Balsa, from one goroutine at a time; reads come from any. They share a lock that protects memory
// and nothing else: whoever scans many keys gives it up every few hundred, reads and long commands alike. Consistency
// comes from the versions. What a command writes has a revision that no reader looks at until the command is done,
// and a read that gives up the lock pins the revisions it needs, so that none is freed under it.
//
// A snapshot is such a read, of everything. A Restore builds the new state beside the old one and then replaces it at
// once; who reads the old one goes on doing so.
//
// # Ownership
//
// Apply copies what it keeps of a command. Keys in responses are copies. Values in responses are the store's own
// bytes, which never change and which nobody may change.
//
// # What it does not do
//
// The state lives in memory. The replicated log is what makes it durable: it is applied again when a member starts, from
// its beginning or on top of a snapshot. There are no leases yet: a put under a lease is refused as one under a lease
// that does not exist.
package kv
