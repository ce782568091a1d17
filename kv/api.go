package kv

// KeyValue is one version of a key.
type KeyValue struct {
	Key            []byte
	Value          []byte
	CreateRevision int64 // the revision of the put that created the key
	ModRevision    int64 // the revision of this version
	Version        int64 // 1 at creation, one more with each put
	Lease          int64
}

// RangeRequest reads the keys in [Key, RangeEnd): one key if RangeEnd is empty, every key from Key on if it is "\x00".
type RangeRequest struct {
	Key, RangeEnd []byte
	Limit         int64 // at most so many; 0 for all
	Revision      int64 // as of this revision; 0 or less for the latest
	SortOrder     SortOrder
	SortTarget    SortTarget
	KeysOnly      bool
	CountOnly     bool

	MinModRevision, MaxModRevision       int64 // 0: no bound
	MinCreateRevision, MaxCreateRevision int64
}

// SortOrder is the direction of a sort; its values are etcd's.
type SortOrder int32

// The sort orders.
const (
	SortNone SortOrder = iota
	SortAscend
	SortDescend
)

// SortTarget is the field to sort by; its values are etcd's.
type SortTarget int32

// The sort targets.
const (
	SortByKey SortTarget = iota
	SortByVersion
	SortByCreate
	SortByMod
	SortByValue
)

// RangeResponse answers RangeRequest. Revision is the store's at the time, not the one asked for.
type RangeResponse struct {
	Revision int64
	KVs      []KeyValue
	More     bool
	Count    int64 // all keys in the range, whatever Limit and filters leave
}

// PutRequest writes a key.
type PutRequest struct {
	Key, Value  []byte
	Lease       int64
	PrevKV      bool // return the version that is replaced
	IgnoreValue bool // keep the value
	IgnoreLease bool // keep the lease
}

// PutResponse answers PutRequest.
type PutResponse struct {
	Revision int64
	PrevKV   *KeyValue
}

// DeleteRangeRequest deletes the keys in [Key, RangeEnd), read as in RangeRequest.
type DeleteRangeRequest struct {
	Key, RangeEnd []byte
	PrevKV        bool
}

// DeleteRangeResponse answers DeleteRangeRequest.
type DeleteRangeResponse struct {
	Revision int64
	Deleted  int64
	PrevKVs  []KeyValue
}

// CompareResult is how a compare relates the key's field to its own; its values are etcd's.
type CompareResult int32

// The compare results.
const (
	CompareEqual CompareResult = iota
	CompareGreater
	CompareLess
	CompareNotEqual
)

// CompareTarget is the field that is compared; its values are etcd's.
type CompareTarget int32

// The compare targets.
const (
	CompareVersion CompareTarget = iota
	CompareCreate
	CompareMod
	CompareValue
	CompareLease
)

// Compare is one condition of a Txn: every key in [Key, RangeEnd) must satisfy it.
type Compare struct {
	Result        CompareResult
	Target        CompareTarget
	Key, RangeEnd []byte
	Number        int64  // the operand, for every target but CompareValue
	Value         []byte // the operand of CompareValue
}

// Op is one operation of a Txn; exactly one field is set.
type Op struct {
	Range       *RangeRequest
	Put         *PutRequest
	DeleteRange *DeleteRangeRequest
	Txn         *TxnRequest
}

// TxnRequest does Success if every Compare holds, else Failure, as one change of one revision.
type TxnRequest struct {
	Compare          []Compare
	Success, Failure []Op
}

// OpResponse answers an Op; the same field is set.
type OpResponse struct {
	Range       *RangeResponse
	Put         *PutResponse
	DeleteRange *DeleteRangeResponse
	Txn         *TxnResponse
}

// TxnResponse answers TxnRequest.
type TxnResponse struct {
	Revision  int64
	Succeeded bool
	Responses []OpResponse
}

// CompactRequest forgets the versions that were superseded at or before Revision.
type CompactRequest struct {
	Revision int64
}

// CompactResponse answers CompactRequest.
type CompactResponse struct {
	Revision int64
}

// MemberAttributes is what a member publishes of itself for others to show, and where others were told to reach it.
type MemberAttributes struct {
	ID         uint64
	Name       string
	ClientURLs []string
	PeerURLs   []string // set by MemberPeerURLs; Publish leaves them as they are
}

// MemberPeerURLs records all URLs at which a member's peers reach it.
type MemberPeerURLs struct {
	ID   uint64
	URLs []string
}

// ForgetMember removes what is known of a member that was removed.
type ForgetMember struct {
	ID uint64
}

// Command is what is replicated; exactly one field is set.
type Command struct {
	Put         *PutRequest
	DeleteRange *DeleteRangeRequest
	Txn         *TxnRequest
	Compact     *CompactRequest
	Publish     *MemberAttributes
	PeerURLs    *MemberPeerURLs
	Forget      *ForgetMember
}

// Response answers a Command: Err is one of this package's errors, or the field of the command's kind is set.
type Response struct {
	Put         *PutResponse
	DeleteRange *DeleteRangeResponse
	Txn         *TxnResponse
	Compact     *CompactResponse
	Err         error
}
