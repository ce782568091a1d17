package kv

import (
	"fmt"
	"math/rand"
	"testing"
)

func repeat(o Op, n int) []Op {
	ops := make([]Op, n)
	for i := range ops {
		ops[i] = o
	}
	return ops
}

func TestCheck(t *testing.T) {
	get := getOp("a", 0)
	for _, test := range []struct {
		name    string
		command Command
		want    error
	}{
		{"put", put("a", "1"), nil},
		{"put no key", put("", "1"), ErrEmptyKey},
		{"delete no key", del(""), ErrEmptyKey},
		{"nothing", Command{}, ErrInvalidCommand},
		{"two things", Command{Put: put("a", "").Put, Compact: &CompactRequest{}}, ErrInvalidCommand},
		{"compact", compact(-7), nil},
		{"as many as allowed", txn(TxnRequest{Success: repeat(get, 10), Failure: repeat(get, 10)}), nil},
		{"too many in success", txn(TxnRequest{Success: repeat(get, 11)}), ErrTooManyOps},
		{"too many in failure", txn(TxnRequest{Failure: repeat(get, 11)}), ErrTooManyOps},
		{"too many compares", txn(TxnRequest{Compare: make([]Compare, 11)}), ErrTooManyOps},
		{"a nested one gets what is left", txn(TxnRequest{
			Success: append(repeat(get, 5), txnOp(TxnRequest{Success: repeat(get, 4)})),
		}), nil},
		{"and no more", txn(TxnRequest{
			Success: append(repeat(get, 5), txnOp(TxnRequest{Success: repeat(get, 5)})),
		}), ErrTooManyOps},
		{"the longest list counts", txn(TxnRequest{
			Compare: repeatCompare(9), Success: []Op{txnOp(TxnRequest{Failure: repeat(get, 2)})},
		}), ErrTooManyOps},
		{"compare no key", txn(TxnRequest{Compare: []Compare{{}}}), ErrEmptyKey},
		{"unknown compare result", txn(TxnRequest{Compare: []Compare{{Key: b("a"), Result: 4}}}), ErrInvalidCompare},
		{"empty operation", txn(TxnRequest{Success: []Op{{}}}), ErrKeyNotFound},
		{"nested no key", txn(TxnRequest{Failure: []Op{txnOp(TxnRequest{Success: []Op{putOp("", "")}})}}), ErrEmptyKey},
		{"range sort", txn(TxnRequest{Success: []Op{{Range: &RangeRequest{Key: b("a"), SortOrder: 9}}}}), ErrInvalidSortOption},

		{"put twice", txn(TxnRequest{Success: []Op{putOp("a", "1"), putOp("a", "2")}}), ErrDuplicateKey},
		{"put twice in failure", txn(TxnRequest{Failure: []Op{putOp("a", "1"), putOp("a", "2")}}), ErrDuplicateKey},
		{"put in then and else", txn(TxnRequest{Success: []Op{putOp("a", "1")}, Failure: []Op{putOp("a", "2")}}), nil},
		{"put and delete", txn(TxnRequest{Success: []Op{putOp("a", "1"), deleteOp("a")}}), ErrDuplicateKey},
		{"delete and put", txn(TxnRequest{Success: []Op{deleteOp("a"), putOp("a", "1")}}), ErrDuplicateKey},
		{"delete a range and put in it", txn(TxnRequest{Success: []Op{deleteOp("a", "c"), putOp("b", "1")}}), ErrDuplicateKey},
		{"delete a range and put its end", txn(TxnRequest{Success: []Op{deleteOp("a", "c"), putOp("c", "1")}}), nil},
		{"put what lies between deleted ranges", txn(TxnRequest{Success: []Op{
			deleteOp("a", "c"), deleteOp("d", "f"), putOp("c", "1")}}), nil},
		{"overlapping deletes", txn(TxnRequest{Success: []Op{deleteOp("a", "c"), deleteOp("b", "d"), deleteOp("b")}}), nil},
		{"overlapping deletes and a put", txn(TxnRequest{Success: []Op{
			deleteOp("c", "e"), deleteOp("a", "d"), putOp("dd", "")}}), ErrDuplicateKey},
		{"ranges anywhere", txn(TxnRequest{Success: []Op{getOp("a", 0), putOp("a", "1"), getOp("a", 0)}}), nil},
		{"delete an empty range and put", txn(TxnRequest{Success: []Op{deleteOp("c", "a"), putOp("b", "")}}), nil},
		{"delete from a key on and put: etcd lets it pass", txn(TxnRequest{Success: []Op{deleteOp("a", "\x00"), putOp("b", "")}}), nil},
		{"put above and in a nested one", txn(TxnRequest{Success: []Op{
			txnOp(TxnRequest{Success: []Op{putOp("a", "")}}), putOp("a", "")}}), ErrDuplicateKey},
		{"put in two nested ones", txn(TxnRequest{Success: []Op{
			txnOp(TxnRequest{Success: []Op{putOp("a", "")}}), txnOp(TxnRequest{Failure: []Op{putOp("a", "")}})}}), ErrDuplicateKey},
		{"put in both branches of a nested one", txn(TxnRequest{Success: []Op{
			txnOp(TxnRequest{Success: []Op{putOp("a", "")}, Failure: []Op{putOp("a", "")}})}}), nil},
		{"put in both branches of a nested one, and in another", txn(TxnRequest{Success: []Op{
			txnOp(TxnRequest{Success: []Op{putOp("a", "")}, Failure: []Op{putOp("a", "")}}),
			txnOp(TxnRequest{Failure: []Op{putOp("a", "")}})}}), ErrDuplicateKey},
		{"delete above, put in a nested one", txn(TxnRequest{Success: []Op{
			txnOp(TxnRequest{Success: []Op{putOp("b", "")}}), deleteOp("a", "c")}}), ErrDuplicateKey},
		{"put above, delete in a nested one", txn(TxnRequest{Success: []Op{
			putOp("b", ""), txnOp(TxnRequest{Failure: []Op{deleteOp("a", "c")}})}}), ErrDuplicateKey},
		{"delete in a nested one, put in the next", txn(TxnRequest{Success: []Op{
			txnOp(TxnRequest{Success: []Op{deleteOp("b")}}), txnOp(TxnRequest{Success: []Op{putOp("b", "")}})}}), ErrDuplicateKey},
		{"put in a nested one, delete in the next: etcd lets it pass", txn(TxnRequest{Success: []Op{
			txnOp(TxnRequest{Success: []Op{putOp("b", "")}}), txnOp(TxnRequest{Success: []Op{deleteOp("b")}})}}), nil},
		{"too many comes before duplicates", txn(TxnRequest{Success: repeat(putOp("a", ""), 11)}), ErrTooManyOps},
	} {
		if got := test.command.Check(Limits{TxnOpsMax: 10}); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	if got := txn(TxnRequest{Success: repeat(get, 128)}).Check(Limits{}); got != nil {
		t.Errorf("128 operations: %v", got)
	}
	if got := txn(TxnRequest{Success: repeat(get, 129)}).Check(Limits{}); got != ErrTooManyOps {
		t.Errorf("129 operations: %v", got)
	}
	deep := TxnRequest{}
	for range txnDepthMax {
		deep = TxnRequest{Success: []Op{txnOp(deep)}}
	}
	if got := txn(deep).Check(Limits{TxnOpsMax: 1000}); got != ErrTooManyOps {
		t.Errorf("nested %d deep: %v", txnDepthMax+1, got)
	}
}

func repeatCompare(n int) []Compare {
	compares := make([]Compare, n)
	for i := range compares {
		compares[i].Key = b("a")
	}
	return compares
}

// TestErrorTexts pins the texts, by which clients tell errors apart.
func TestErrorTexts(t *testing.T) {
	for err, want := range map[error]string{
		ErrEmptyKey:          "key is not provided",
		ErrKeyNotFound:       "key not found",
		ErrValueProvided:     "value is provided",
		ErrLeaseProvided:     "lease is provided",
		ErrTooManyOps:        "too many operations in txn request",
		ErrDuplicateKey:      "duplicate key given in txn request",
		ErrInvalidSortOption: "invalid sort option",
		ErrCompacted:         "mvcc: required revision has been compacted",
		ErrFutureRevision:    "mvcc: required revision is a future revision",
		ErrLeaseNotFound:     "requested lease not found",
	} {
		if err.Error() != "etcdserver: "+want {
			t.Errorf("%q, want %q", err, "etcdserver: "+want)
		}
	}
}

// TestIntervals compares the set with a list of all its members.
func TestIntervals(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for range 300 {
		var set, other intervals
		var all [100]bool
		key := func(i int) string { return fmt.Sprintf("%03d", i) }
		for range 12 {
			from, to := random.Intn(100), random.Intn(100)
			s := &set
			if random.Intn(3) == 0 {
				s = &other
			}
			s.add([]byte(key(from)), []byte(key(to)))
			for i := from; i < to; i++ {
				all[i] = true
			}
		}
		set.addAll(&other)
		for i, want := range all {
			if got := set.contain(key(i)); got != want {
				t.Fatalf("%d is in the set: %v, want %v; %v", i, got, want, set.ends.Keys())
			}
		}
	}
}
