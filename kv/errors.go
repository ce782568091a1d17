package kv

import "errors"

// The errors that etcd's clients know, word for word: they tell them apart by their text. A command or request that
// is answered with one of them has changed nothing.
var (
	// ErrEmptyKey: a request without a key.
	ErrEmptyKey = errors.New("etcdserver: key is not provided")
	// ErrKeyNotFound: a put that keeps the value or the lease of a key that is not there; a Txn with an empty Op.
	ErrKeyNotFound = errors.New("etcdserver: key not found")
	// ErrValueProvided: a put that is to keep the value, and brings one.
	ErrValueProvided = errors.New("etcdserver: value is provided")
	// ErrLeaseProvided: a put that is to keep the lease, and brings one.
	ErrLeaseProvided = errors.New("etcdserver: lease is provided")
	// ErrTooManyOps: a Txn with more compares or operations than Limits allow, or one that is nested too deep.
	ErrTooManyOps = errors.New("etcdserver: too many operations in txn request")
	// ErrDuplicateKey: a Txn that puts a key twice, or puts one that it deletes.
	ErrDuplicateKey = errors.New("etcdserver: duplicate key given in txn request")
	// ErrInvalidSortOption: a sort order or target that does not exist.
	ErrInvalidSortOption = errors.New("etcdserver: invalid sort option")
	// ErrCompacted: the revision is older than the last compaction; for a compaction, no newer than it.
	ErrCompacted = errors.New("etcdserver: mvcc: required revision has been compacted")
	// ErrFutureRevision: the revision has not happened yet.
	ErrFutureRevision = errors.New("etcdserver: mvcc: required revision is a future revision")
	// ErrLeaseNotFound: a put under a lease that does not exist.
	ErrLeaseNotFound = errors.New("etcdserver: requested lease not found")
)

// The errors of commands that no client of etcd's sends.
var (
	// ErrInvalidCompare: a Compare with a result or target that does not exist.
	ErrInvalidCompare = errors.New("kv: compare with an unknown result or target")
	// ErrInvalidCommand: a Command that does not set exactly one field, or an Op that sets several.
	ErrInvalidCommand = errors.New("kv: command does not say exactly one thing to do")
	// ErrNotReadOnly: ReadTxn of a Txn that may write. Propose it instead.
	ErrNotReadOnly = errors.New("kv: txn is not read-only")
)
