package kv

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa"
)

// The commands and operations of the tables below, in short.
func b(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

func del(key string, end ...string) Command {
	return Command{DeleteRange: deleteOp(key, end...).DeleteRange}
}

func compact(revision int64) Command { return Command{Compact: &CompactRequest{Revision: revision}} }

func txn(t TxnRequest) Command { return Command{Txn: &t} }

func putOp(key, value string) Op { return Op{Put: &PutRequest{Key: b(key), Value: b(value)}} }

func deleteOp(key string, end ...string) Op {
	d := &DeleteRangeRequest{Key: b(key)}
	if len(end) > 0 {
		d.RangeEnd = b(end[0])
	}
	return Op{DeleteRange: d}
}

func getOp(key string, revision int64) Op {
	return Op{Range: &RangeRequest{Key: b(key), Revision: revision}}
}

func txnOp(t TxnRequest) Op { return Op{Txn: &t} }

func storeOf(commands ...Command) *Store {
	s := New()
	for _, c := range commands {
		mustApply(s, c)
	}
	return s
}

// dump is what is in the store at a revision: "key=value@create.mod.version" for each key.
func dump(t *testing.T, s *Store, revision int64) string {
	t.Helper()
	r, err := s.Range(RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Revision: revision})
	if err != nil {
		return err.Error()
	}
	return kvsString(r.KVs)
}

func kvsString(kvs []KeyValue) string {
	var words []string
	for _, kv := range kvs {
		words = append(words, fmt.Sprintf("%s=%s@%d.%d.%d", kv.Key, kv.Value, kv.CreateRevision, kv.ModRevision, kv.Version))
	}
	return strings.Join(words, " ")
}

func TestRevisions(t *testing.T) {
	for _, test := range []struct {
		name    string
		log     []Command
		current int64
		want    string
	}{
		{"an empty store has revision 1", nil, 1, ""},
		{"a put bumps", []Command{put("a", "1")}, 2, "a=1@2.2.1"},
		{"an equal put bumps", []Command{put("a", "1"), put("a", "1")}, 3, "a=1@2.3.2"},
		{"version restarts after a delete", []Command{put("a", "1"), put("a", "2"), del("a"), put("a", "3")}, 5, "a=3@5.5.1"},
		{"deleting nothing does not bump", []Command{put("a", "1"), del("b"), del("b", "\x00")}, 2, "a=1@2.2.1"},
		{"a delete of many bumps once", []Command{put("a", ""), put("b", ""), del("a", "z")}, 4, ""},
		{"a txn bumps once", []Command{txn(TxnRequest{Success: []Op{putOp("a", "1"), putOp("b", "2")}})}, 2,
			"a=1@2.2.1 b=2@2.2.1"},
		{"a txn that reads does not bump", []Command{put("a", "1"), txn(TxnRequest{Success: []Op{
			getOp("a", 0), deleteOp("x"), txnOp(TxnRequest{})}})}, 2, "a=1@2.2.1"},
		{"a compaction does not bump", []Command{put("a", "1"), compact(2)}, 2, "a=1@2.2.1"},
		{"a publication does not bump", []Command{{Publish: &MemberAttributes{ID: 1}}}, 1, ""},
	} {
		s := storeOf(test.log...)
		if current, _ := s.Revision(); current != test.current || dump(t, s, 0) != test.want {
			t.Errorf("%s: revision %d, %s; want %d, %s", test.name, current, dump(t, s, 0), test.current, test.want)
		}
	}
	if _, compacted := New().Revision(); compacted != -1 {
		t.Errorf("an empty store is compacted at %d, want -1", compacted)
	}
}

func TestSubRevisions(t *testing.T) {
	s := storeOf(put("x", ""), put("y", ""), txn(TxnRequest{Success: []Op{
		putOp("b", ""), txnOp(TxnRequest{Success: []Op{putOp("a", "")}}), deleteOp("x", "z"), putOp("c", ""),
	}}))
	for key, sub := range map[string]int32{"b": 0, "a": 1, "x": 2, "y": 3, "c": 4} {
		if v := s.keys.find(b(key)).latest; v.mod != 4 || v.sub != sub {
			t.Errorf("%s has revision %d.%d, want 4.%d", key, v.mod, v.sub, sub)
		}
	}
}

func TestRange(t *testing.T) {
	s := storeOf(put("a", "3"), put("b", "2"), put("c", "1"), put("b", "0"), put("d", "9"), del("d"))
	for _, test := range []struct {
		name  string
		r     RangeRequest
		count int64
		more  bool
		want  string
		err   error
	}{
		{name: "one key", r: RangeRequest{Key: b("b")}, count: 1, want: "b=0@3.5.2"},
		{name: "a key that is not there", r: RangeRequest{Key: b("x")}},
		{name: "a key that was deleted", r: RangeRequest{Key: b("d")}},
		{name: "no key", r: RangeRequest{}, err: ErrEmptyKey},
		{name: "unknown order", r: RangeRequest{Key: b("a"), SortOrder: 3}, err: ErrInvalidSortOption},
		{name: "unknown target", r: RangeRequest{Key: b("a"), SortTarget: -1}, err: ErrInvalidSortOption},
		{name: "the end is excluded", r: RangeRequest{Key: b("a"), RangeEnd: b("c")}, count: 2, want: "a=3@2.2.1 b=0@3.5.2"},
		{name: "from a key on", r: RangeRequest{Key: b("b"), RangeEnd: []byte{0}}, count: 2, want: "b=0@3.5.2 c=1@4.4.1"},
		{name: "key after end", r: RangeRequest{Key: b("c"), RangeEnd: b("a")}},
		{name: "key is end", r: RangeRequest{Key: b("c"), RangeEnd: b("c")}},
		{name: "the past", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), Revision: 3}, count: 2, want: "a=3@2.2.1 b=2@3.3.1"},
		{name: "before a delete", r: RangeRequest{Key: b("d"), Revision: 6}, count: 1, want: "d=9@6.6.1"},
		{name: "before everything", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), Revision: 1}},
		{name: "negative is the latest", r: RangeRequest{Key: b("c"), Revision: -5}, count: 1, want: "c=1@4.4.1"},
		{name: "now", r: RangeRequest{Key: b("c"), Revision: 7}, count: 1, want: "c=1@4.4.1"},
		{name: "the future", r: RangeRequest{Key: b("c"), Revision: 8}, err: ErrFutureRevision},
		{name: "limit cuts, count does not", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), Limit: 2},
			count: 3, more: true, want: "a=3@2.2.1 b=0@3.5.2"},
		{name: "limit that is just enough", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), Limit: 3},
			count: 3, want: "a=3@2.2.1 b=0@3.5.2 c=1@4.4.1"},
		{name: "negative limit", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), Limit: -1},
			count: 3, want: "a=3@2.2.1 b=0@3.5.2 c=1@4.4.1"},
		{name: "the largest limit", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), Limit: math.MaxInt64},
			count: 3, want: "a=3@2.2.1 b=0@3.5.2 c=1@4.4.1"},
		{name: "filters do not count", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), MinModRevision: 4},
			count: 3, want: "b=0@3.5.2 c=1@4.4.1"},
		{name: "limit after filters", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), MinModRevision: 4, Limit: 1},
			count: 3, more: true, want: "b=0@3.5.2"},
		{name: "max mod", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), MaxModRevision: 4}, count: 3, want: "a=3@2.2.1 c=1@4.4.1"},
		{name: "min create", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), MinCreateRevision: 3}, count: 3, want: "b=0@3.5.2 c=1@4.4.1"},
		{name: "max create", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), MaxCreateRevision: 3}, count: 3, want: "a=3@2.2.1 b=0@3.5.2"},
		{name: "descending, limit after the sort", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), SortOrder: SortDescend, Limit: 1},
			count: 3, more: true, want: "c=1@4.4.1"},
		{name: "by value", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), SortOrder: SortAscend, SortTarget: SortByValue},
			count: 3, want: "b=0@3.5.2 c=1@4.4.1 a=3@2.2.1"},
		{name: "by mod", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), SortOrder: SortDescend, SortTarget: SortByMod},
			count: 3, want: "b=0@3.5.2 c=1@4.4.1 a=3@2.2.1"},
		{name: "by create", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), SortOrder: SortDescend, SortTarget: SortByCreate},
			count: 3, want: "c=1@4.4.1 b=0@3.5.2 a=3@2.2.1"},
		{name: "by version, equals by key", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), SortOrder: SortDescend, SortTarget: SortByVersion},
			count: 3, want: "b=0@3.5.2 a=3@2.2.1 c=1@4.4.1"},
		{name: "a target without order sorts after the cut", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), SortTarget: SortByValue, Limit: 1},
			count: 3, more: true, want: "b=0@3.5.2"},
		{name: "keys only", r: RangeRequest{Key: b("b"), KeysOnly: true}, count: 1, want: "b=@3.5.2"},
		{name: "keys only, sorted by value", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), KeysOnly: true, SortTarget: SortByValue},
			count: 3, want: "b=@3.5.2 c=@4.4.1 a=@2.2.1"},
		{name: "count only", r: RangeRequest{Key: b("a"), RangeEnd: b("z"), CountOnly: true, Limit: 1}, count: 3},
	} {
		got, err := s.Range(test.r)
		if err != test.err || got.Count != test.count || got.More != test.more || kvsString(got.KVs) != test.want {
			t.Errorf("%s: %s, count %d, more %v, %v; want %s, %d, %v, %v", test.name,
				kvsString(got.KVs), got.Count, got.More, err, test.want, test.count, test.more, test.err)
		}
		if err == nil && got.Revision != 7 {
			t.Errorf("%s: the response has revision %d, want the store's, 7", test.name, got.Revision)
		}
	}
}

func TestPut(t *testing.T) {
	seed := []Command{put("a", "1"), put("gone", "1"), del("gone")} // revision 4
	previous := &KeyValue{Key: b("a"), Value: b("1"), CreateRevision: 2, ModRevision: 2, Version: 1}
	for _, test := range []struct {
		name string
		put  PutRequest
		prev *KeyValue
		err  error
		want string
	}{
		{"new", PutRequest{Key: b("b"), Value: b("2"), PrevKV: true}, nil, nil, "a=1@2.2.1 b=2@5.5.1"},
		{"over", PutRequest{Key: b("a"), Value: b("2")}, nil, nil, "a=2@2.5.2"},
		{"over, previous", PutRequest{Key: b("a"), Value: b("2"), PrevKV: true}, previous, nil, "a=2@2.5.2"},
		{"over a deleted one", PutRequest{Key: b("gone"), Value: b("2"), PrevKV: true}, nil, nil, "a=1@2.2.1 gone=2@5.5.1"},
		{"empty value", PutRequest{Key: b("a")}, nil, nil, "a=@2.5.2"},
		{"no key", PutRequest{Value: b("2")}, nil, ErrEmptyKey, ""},
		{"keep the value", PutRequest{Key: b("a"), IgnoreValue: true, PrevKV: true}, previous, nil, "a=1@2.5.2"},
		{"keep the lease", PutRequest{Key: b("a"), Value: b("2"), IgnoreLease: true}, nil, nil, "a=2@2.5.2"},
		{"keep no value", PutRequest{Key: b("b"), IgnoreValue: true}, nil, ErrKeyNotFound, ""},
		{"keep a deleted value", PutRequest{Key: b("gone"), IgnoreValue: true}, nil, ErrKeyNotFound, ""},
		{"keep no lease", PutRequest{Key: b("b"), IgnoreLease: true}, nil, ErrKeyNotFound, ""},
		{"keep the value and give one", PutRequest{Key: b("a"), Value: b("2"), IgnoreValue: true}, nil, ErrValueProvided, ""},
		{"keep the lease and give one", PutRequest{Key: b("a"), Lease: 1, IgnoreLease: true}, nil, ErrLeaseProvided, ""},
		{"no such lease", PutRequest{Key: b("a"), Lease: 1}, nil, ErrLeaseNotFound, ""},
		{"the lease is looked for before the key", PutRequest{Key: b("b"), Lease: 1, IgnoreValue: true}, nil, ErrLeaseNotFound, ""},
	} {
		s := storeOf(seed...)
		before := s.Hash()
		r := applyOne(s, Command{Put: &test.put})
		if r.Err != test.err {
			t.Errorf("%s: %v, want %v", test.name, r.Err, test.err)
		}
		if r.Err != nil {
			if s.Hash() != before {
				t.Errorf("%s: a put that is refused changes the store", test.name)
			}
			continue
		}
		if r.Put.Revision != 5 || !reflect.DeepEqual(r.Put.PrevKV, test.prev) || dump(t, s, 0) != test.want {
			t.Errorf("%s: %+v, previous %+v, %s; want 5, %+v, %s",
				test.name, r.Put, r.Put.PrevKV, dump(t, s, 0), test.prev, test.want)
		}
	}
}

// TestPutDetachesLease is about a lease that an earlier put has attached, which only a test can do yet.
func TestPutDetachesLease(t *testing.T) {
	for _, test := range []struct {
		name string
		put  PutRequest
		want int64
	}{
		{"a put without a lease", PutRequest{Key: b("a"), Value: b("2")}, 0},
		{"a put that keeps the value", PutRequest{Key: b("a"), IgnoreValue: true}, 0},
		{"a put that keeps the lease", PutRequest{Key: b("a"), IgnoreLease: true}, 9},
	} {
		s := storeOf(put("a", "1"))
		s.keys.find(b("a")).latest.lease = 9
		mustApply(s, Command{Put: &test.put})
		if got, _ := s.Range(RangeRequest{Key: b("a")}); got.KVs[0].Lease != test.want {
			t.Errorf("%s: lease %d, want %d", test.name, got.KVs[0].Lease, test.want)
		}
	}
}

func TestDeleteRange(t *testing.T) {
	for _, test := range []struct {
		name     string
		del      DeleteRangeRequest
		revision int64
		deleted  int64
		prev     string
		want     string
		err      error
	}{
		{"one", DeleteRangeRequest{Key: b("b")}, 6, 1, "", "a=1@2.2.1 c=3@4.4.1", nil},
		{"none", DeleteRangeRequest{Key: b("x"), PrevKV: true}, 5, 0, "", "a=1@2.2.1 b=2@3.5.2 c=3@4.4.1", nil},
		{"some, in key order", DeleteRangeRequest{Key: b("a"), RangeEnd: b("c"), PrevKV: true},
			6, 2, "a=1@2.2.1 b=2@3.5.2", "c=3@4.4.1", nil},
		{"all", DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}, 6, 3, "", "", nil},
		{"an empty range", DeleteRangeRequest{Key: b("c"), RangeEnd: b("a")}, 5, 0, "", "a=1@2.2.1 b=2@3.5.2 c=3@4.4.1", nil},
		{"no key", DeleteRangeRequest{}, 0, 0, "", "", ErrEmptyKey},
	} {
		s := storeOf(put("a", "1"), put("b", "1"), put("c", "3"), put("b", "2"))
		r := applyOne(s, Command{DeleteRange: &test.del})
		if r.Err != test.err {
			t.Errorf("%s: %v, want %v", test.name, r.Err, test.err)
		}
		if r.Err != nil {
			continue
		}
		d := r.DeleteRange
		if d.Revision != test.revision || d.Deleted != test.deleted || kvsString(d.PrevKVs) != test.prev || dump(t, s, 0) != test.want {
			t.Errorf("%s: %+v, %s", test.name, d, dump(t, s, 0))
		}
	}
	// The tombstone of a delete has no create revision and no version.
	s := storeOf(put("a", "1"), del("a"))
	if v := s.keys.find(b("a")).latest; v.create != 0 || v.number != 0 || v.value != nil || v.mod != 3 {
		t.Errorf("the tombstone is %+v", v)
	}
}

func TestCompare(t *testing.T) {
	s := storeOf(put("a", "5"), put("b", "6"), put("b", "7")) // a@2.2.1 b@3.4.2
	const none = "x"
	for _, test := range []struct {
		compare Compare
		want    bool
	}{
		{Compare{Target: CompareVersion, Key: b("b"), Number: 2}, true},
		{Compare{Target: CompareCreate, Key: b("b"), Number: 3}, true},
		{Compare{Target: CompareMod, Key: b("b"), Number: 4}, true},
		{Compare{Target: CompareValue, Key: b("b"), Value: b("7")}, true},
		{Compare{Target: CompareLease, Key: b("b"), Number: 0}, true},
		{Compare{Target: CompareMod, Key: b("b"), Number: 3}, false},
		{Compare{Result: CompareGreater, Target: CompareMod, Key: b("b"), Number: 3}, true},
		{Compare{Result: CompareGreater, Target: CompareMod, Key: b("b"), Number: 4}, false},
		{Compare{Result: CompareLess, Target: CompareMod, Key: b("b"), Number: 5}, true},
		{Compare{Result: CompareLess, Target: CompareMod, Key: b("b"), Number: 4}, false},
		{Compare{Result: CompareNotEqual, Target: CompareMod, Key: b("b"), Number: 5}, true},
		{Compare{Result: CompareNotEqual, Target: CompareMod, Key: b("b"), Number: 4}, false},
		{Compare{Result: CompareGreater, Target: CompareValue, Key: b("b"), Value: b("6")}, true},
		// A key that is not there.
		{Compare{Target: CompareVersion, Key: b(none)}, true},
		{Compare{Target: CompareCreate, Key: b(none)}, true},
		{Compare{Target: CompareMod, Key: b(none)}, true},
		{Compare{Target: CompareLease, Key: b(none)}, true},
		{Compare{Result: CompareGreater, Target: CompareMod, Key: b(none)}, false},
		{Compare{Target: CompareValue, Key: b(none)}, false},
		{Compare{Result: CompareNotEqual, Target: CompareValue, Key: b(none), Value: b("1")}, false},
		{Compare{Result: CompareLess, Target: CompareValue, Key: b(none), Value: b("1")}, false},
		// Ranges.
		{Compare{Result: CompareGreater, Target: CompareMod, Key: b("a"), RangeEnd: b("c"), Number: 1}, true},
		{Compare{Result: CompareGreater, Target: CompareMod, Key: b("a"), RangeEnd: b("c"), Number: 2}, false},
		{Compare{Result: CompareLess, Target: CompareMod, Key: b("a"), RangeEnd: []byte{0}, Number: 4}, false},
		{Compare{Target: CompareMod, Key: b("c"), RangeEnd: b("z")}, true},
		{Compare{Target: CompareValue, Key: b("c"), RangeEnd: b("z")}, false},
	} {
		r := applyOne(s, txn(TxnRequest{Compare: []Compare{test.compare}}))
		if r.Err != nil || r.Txn.Succeeded != test.want {
			t.Errorf("%+v: %+v, want %v", test.compare, r, test.want)
		}
	}
	for _, bad := range []Compare{{Result: 4, Key: b("a")}, {Target: 5, Key: b("a")}, {Result: -1, Key: b("a")}} {
		if r := applyOne(s, txn(TxnRequest{Compare: []Compare{bad}})); r.Err != ErrInvalidCompare {
			t.Errorf("%+v: %v", bad, r.Err)
		}
	}
}

func exists(key string) Compare {
	return Compare{Result: CompareGreater, Target: CompareVersion, Key: b(key)}
}

func TestTxn(t *testing.T) {
	seed := []Command{put("a", "1"), put("b", "1"), put("a", "2"), compact(3)} // revision 4
	const before = "a=2@2.4.2 b=1@3.3.1"
	for _, test := range []struct {
		name string
		txn  TxnRequest
		err  error
		want string // the response
		then string // the store
	}{
		{"success", TxnRequest{Compare: []Compare{exists("a")}, Success: []Op{putOp("c", "1")}, Failure: []Op{putOp("d", "1")}},
			nil, "{true 5 &{Revision:5 PrevKV:<nil>} prev <nil>}", before + " c=1@5.5.1"},
		{"failure", TxnRequest{Compare: []Compare{exists("a"), exists("x")}, Success: []Op{putOp("c", "1")}, Failure: []Op{putOp("d", "1")}},
			nil, "{false 5 &{Revision:5 PrevKV:<nil>} prev <nil>}", before + " d=1@5.5.1"},
		{"no compares succeed", TxnRequest{Success: []Op{getOp("b", 0)}}, nil, "{true 4 b=1@3.3.1#4}", before},
		{"reads see earlier writes, with the new revision", TxnRequest{Success: []Op{
			getOp("c", 0), putOp("c", "1"), getOp("c", 0), deleteOp("b"), getOp("b", 0), getOp("b", 4)}},
			nil, "{true 5 #4 &{Revision:5 PrevKV:<nil>} prev <nil> c=1@5.5.1#5 " +
				"&{Revision:5 Deleted:1 PrevKVs:[]} <nil> #5 b=1@3.3.1#5}", "a=2@2.4.2 c=1@5.5.1"},
		{"a delete of nothing before a write has the old revision, after one the new", TxnRequest{Success: []Op{
			deleteOp("x"), putOp("c", "1"), deleteOp("x")}},
			nil, "{true 5 &{Revision:4 Deleted:0 PrevKVs:[]} <nil> &{Revision:5 PrevKV:<nil>} prev <nil> " +
				"&{Revision:5 Deleted:0 PrevKVs:[]} <nil>}", before + " c=1@5.5.1"},
		{"nested compares look at the state before", TxnRequest{Success: []Op{
			putOp("c", "1"),
			txnOp(TxnRequest{Compare: []Compare{exists("c")}, Success: []Op{putOp("then", "")}, Failure: []Op{putOp("else", "")}}),
		}}, nil, "{true 5 &{Revision:5 PrevKV:<nil>} prev <nil> {false 0 &{Revision:5 PrevKV:<nil>} prev <nil>}}",
			before + " c=1@5.5.1 else=@5.5.1"},
		{"a nested response has no revision", TxnRequest{Success: []Op{txnOp(TxnRequest{Success: []Op{putOp("c", "1")}})}},
			nil, "{true 5 {true 0 &{Revision:5 PrevKV:<nil>} prev <nil>}}", before + " c=1@5.5.1"},
		{"compacted range after a put: all or nothing", TxnRequest{Success: []Op{putOp("c", "1"), getOp("b", 2)}},
			ErrCompacted, "", before},
		{"a range at the compaction", TxnRequest{Success: []Op{putOp("b", "2"), getOp("b", 3)}},
			nil, "{true 5 &{Revision:5 PrevKV:<nil>} prev <nil> b=1@3.3.1#5}", "a=2@2.4.2 b=2@3.5.2"},
		{"negative is a revision in a txn", TxnRequest{Success: []Op{getOp("b", -1)}}, ErrCompacted, "", before},
		{"the txn's own revision is the future", TxnRequest{Success: []Op{putOp("c", "1"), getOp("b", 5)}},
			ErrFutureRevision, "", before},
		{"a lease that is not there", TxnRequest{Success: []Op{putOp("c", "1"), {Put: &PutRequest{Key: b("d"), Lease: 3}}}},
			ErrLeaseNotFound, "", before},
		{"a value to keep that is not there", TxnRequest{Success: []Op{
			putOp("c", "1"), txnOp(TxnRequest{Success: []Op{{Put: &PutRequest{Key: b("d"), IgnoreValue: true}}}})}},
			ErrKeyNotFound, "", before},
		{"the other path is not checked", TxnRequest{Success: []Op{putOp("c", "1")}, Failure: []Op{getOp("b", 99)}},
			nil, "{true 5 &{Revision:5 PrevKV:<nil>} prev <nil>}", before + " c=1@5.5.1"},
		{"an empty operation on the other path", TxnRequest{Success: []Op{putOp("c", "1")}, Failure: []Op{{}}},
			ErrKeyNotFound, "", before},
		{"two things in one operation", TxnRequest{Success: []Op{{Put: putOp("c", "1").Put, Range: getOp("a", 0).Range}}},
			ErrInvalidCommand, "", before},
		{"a nested compare without a key", TxnRequest{Success: []Op{txnOp(TxnRequest{Compare: []Compare{{}}})}},
			ErrEmptyKey, "", before},
		{"deleted and put again at one revision", TxnRequest{Success: []Op{
			deleteOp("a", "\x00"), {Put: &PutRequest{Key: b("a"), Value: b("3"), PrevKV: true}}}},
			nil, "{true 5 &{Revision:5 Deleted:2 PrevKVs:[]} <nil> &{Revision:5 PrevKV:<nil>} prev <nil>}", "a=3@5.5.1"},
		{"a value to keep that the txn itself deletes", TxnRequest{Success: []Op{
			deleteOp("a", "\x00"), {Put: &PutRequest{Key: b("a"), IgnoreValue: true}}}},
			nil, "{true 5 &{Revision:5 Deleted:2 PrevKVs:[]} <nil> &{Revision:5 PrevKV:<nil>} prev <nil>}", "a=@5.5.1"},
	} {
		s := storeOf(seed...)
		hash := s.Hash()
		r := applyOne(s, txn(test.txn))
		if r.Err != test.err || r.Err == nil && txnString(*r.Txn) != test.want {
			t.Errorf("%s:\n got %v, %s\nwant %v, %s", test.name, r.Err, show(r), test.err, test.want)
		}
		if got := dump(t, s, 0); got != test.then {
			t.Errorf("%s: then %s, want %s", test.name, got, test.then)
		}
		if r.Err != nil && s.Hash() != hash {
			t.Errorf("%s: a txn that is refused changes the store", test.name)
		}
	}
}

// txnString prints a response: reads as what they found and, after #, their revision.
func txnString(r TxnResponse) string {
	text := fmt.Sprintf("{%v %d", r.Succeeded, r.Revision)
	for _, o := range r.Responses {
		switch {
		case o.Range != nil:
			text += fmt.Sprintf(" %s#%d", kvsString(o.Range.KVs), o.Range.Revision)
		case o.Txn != nil:
			text += " " + txnString(*o.Txn)
		case o.Put != nil:
			text += fmt.Sprintf(" %+v prev %+v", o.Put, o.Put.PrevKV)
		default:
			text += fmt.Sprintf(" %+v <nil>", o.DeleteRange)
		}
	}
	return text + "}"
}

func TestReadTxn(t *testing.T) {
	s := storeOf(put("a", "1"), put("a", "2"), put("b", "1"), compact(3))
	got, err := s.ReadTxn(TxnRequest{
		Compare: []Compare{exists("a")}, Success: []Op{getOp("a", 0), getOp("a", 3)}, Failure: []Op{getOp("b", 0)},
	})
	if want := "{true 4 a=2@2.3.2#4 a=2@2.3.2#4}"; err != nil || txnString(got) != want {
		t.Errorf("%s, %v, want %s", txnString(got), err, want)
	}
	for _, test := range []struct {
		txn  TxnRequest
		want error
	}{
		{TxnRequest{Failure: []Op{putOp("a", "")}}, ErrNotReadOnly},
		{TxnRequest{Success: []Op{txnOp(TxnRequest{})}}, ErrNotReadOnly},
		{TxnRequest{Success: []Op{deleteOp("a")}}, ErrNotReadOnly},
		{TxnRequest{Success: []Op{getOp("a", 2)}}, ErrCompacted},
		{TxnRequest{Success: []Op{getOp("a", 5)}}, ErrFutureRevision},
		{TxnRequest{Success: []Op{getOp("", 0)}}, ErrEmptyKey},
		{TxnRequest{Compare: []Compare{{Key: b("a"), Target: 7}}}, ErrInvalidCompare},
	} {
		if _, err := s.ReadTxn(test.txn); err != test.want {
			t.Errorf("%+v: %v, want %v", test.txn, err, test.want)
		}
	}
}

func TestCompact(t *testing.T) {
	log := []Command{put("a", "1"), put("a", "2"), del("a"), put("b", "1"), put("b", "2"), del("b"), put("c", "1")} // 8
	for _, test := range []struct {
		at      int64
		err     error
		compact map[int64]string // what reads find at a revision afterwards
	}{
		{at: -1, err: ErrCompacted},
		{at: 9, err: ErrFutureRevision},
		{at: 0, compact: map[int64]string{1: "", 2: "a=1@2.2.1"}},
		{at: 3, compact: map[int64]string{2: ErrCompacted.Error(), 3: "a=2@2.3.2", 4: ""}},
		{at: 4, compact: map[int64]string{3: ErrCompacted.Error(), 4: "", 5: "b=1@5.5.1"}},
		{at: 8, compact: map[int64]string{7: ErrCompacted.Error(), 8: "c=1@8.8.1", 0: "c=1@8.8.1"}},
	} {
		s := storeOf(log...)
		r := applyOne(s, compact(test.at))
		if r.Err != test.err {
			t.Errorf("compact %d: %v, want %v", test.at, r.Err, test.err)
		}
		if r.Err == nil && r.Compact.Revision != 8 {
			t.Errorf("compact %d: revision %d, want 8", test.at, r.Compact.Revision)
		}
		for revision, want := range test.compact {
			if got := dump(t, s, revision); got != want {
				t.Errorf("compact %d: at %d there is %q, want %q", test.at, revision, got, want)
			}
		}
		if test.err == nil {
			if again := applyOne(s, compact(test.at)); again.Err != ErrCompacted {
				t.Errorf("compact %d again: %v, want %v", test.at, again.Err, ErrCompacted)
			}
		}
	}
}

// TestCompactKeepsTombstone: a tombstone exactly at the compaction stays until the next one, one before it goes. And
// the revision does not go back when the latest change is compacted away.
func TestCompactKeepsTombstone(t *testing.T) {
	s := storeOf(put("a", "1"), del("a"), compact(3))
	if c := s.keys.find(b("a")); c == nil || !c.latest.tombstone() || len(c.older.blocks) != 0 {
		t.Errorf("after a compaction at the tombstone the key has %+v, want the tombstone", c)
	}
	s = storeOf(put("a", "1"), del("a"), put("b", "1"), compact(4))
	if c := s.keys.find(b("a")); c != nil {
		t.Errorf("after a compaction behind the tombstone the key has %+v, want nothing", c)
	}
	s = storeOf(put("a", "1"), del("a"), compact(3), put("a", "1"), compact(4))
	if c := s.keys.find(b("a")); c == nil || len(c.older.blocks) != 0 || s.changes.len != 1 {
		t.Errorf("after the next compaction the key has %+v, want the put alone; %d changes", c, s.changes.len)
	}
	s = storeOf(put("a", "1"), del("a"), compact(3))
	if current, _ := s.Revision(); current != 3 {
		t.Errorf("the revision is %d after all was compacted, want 3", current)
	}
	if r := mustApply(s, put("a", "2")); r.Put.Revision != 4 {
		t.Errorf("the next put gets revision %d, want 4", r.Put.Revision)
	}
}

// TestCompactFreesMemory: what a compaction makes superfluous is freed by the batches that follow, also if they bring
// more than a batch frees at least, and none of it while a read needs it.
func TestCompactFreesMemory(t *testing.T) {
	const keys, rounds = 100, 300
	var log []balsa.Entry[Command, Response]
	for i := range keys * rounds {
		log = append(log, balsa.Entry[Command, Response]{Command: put(fmt.Sprint("key", i%keys), "0123456789")})
	}
	s := New()
	s.Apply(slices.Values(log))
	full := s.Size()
	slow := s.begin()
	slow.compacted = 1000 // a read that began when the last compaction was there
	slow.pause()
	s.mu.RUnlock()
	current, _ := s.Revision()
	mustApply(s, compact(current))
	s.Apply(slices.Values(log))
	if held := s.Size(); held < full {
		t.Errorf("a read is in progress and the size fell from %d to %d", full, held)
	}
	s.mu.RLock()
	slow.end()
	batches := 0
	current, _ = s.Revision()
	for ; s.changes.len > 1 && batches < 1000; batches++ { // the change at the compaction itself stays
		applyOne(s, compact(current))
	}
	if want := s.keys.byKey["key1"].latest.bytes() + chainBytes + 5; s.Size() > want*keys {
		t.Errorf("%d bytes are left of %d after %d batches, want at most %d", s.Size(), full, batches, want*keys)
	}
	if len(s.changes.blocks) > 2 {
		t.Errorf("%d blocks of changes are left", len(s.changes.blocks))
	}
}

// TestTrimKeepsUp: writes in large batches do not outrun what frees the versions they replace.
func TestTrimKeepsUp(t *testing.T) {
	s := New()
	const perBatch = 4000
	for range 20 {
		var batch []Command
		for i := range perBatch {
			batch = append(batch, put(fmt.Sprint(i%10), ""))
		}
		current, _ := s.Revision()
		s.Apply(slices.Values(entries(append(batch, compact(current+perBatch)))))
	}
	if s.changes.len > 2*perBatch {
		t.Errorf("%d changes wait to be trimmed", s.changes.len)
	}
}

func TestMembers(t *testing.T) {
	s := New()
	urls := []string{"http://b"}
	mustApply(s, Command{Publish: &MemberAttributes{ID: 2, Name: "two", ClientURLs: urls}})
	mustApply(s, Command{Publish: &MemberAttributes{ID: 1, Name: "one"}})
	urls[0] = "changed"
	s.Members()[1].ClientURLs[0] = "changed"
	want := []MemberAttributes{{ID: 1, Name: "one"}, {ID: 2, Name: "two", ClientURLs: []string{"http://b"}}}
	if got := s.Members(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	before := s.Hash()
	mustApply(s, Command{Publish: &MemberAttributes{ID: 1, Name: "renamed"}})
	if s.Hash() == before || s.Members()[0].Name != "renamed" {
		t.Errorf("a member publishes again: %+v", s.Members())
	}
	before = s.Hash()
	mustApply(s, peerURLs(1, "http://p", "http://q"))
	mustApply(s, Command{Publish: &MemberAttributes{ID: 1, Name: "again"}})
	if got := s.Members()[0]; s.Hash() == before || got.Name != "again" || len(got.PeerURLs) != 2 {
		t.Errorf("publishing leaves the peer URLs alone: %+v", got)
	}
	before = s.Hash()
	mustApply(s, Command{Forget: &ForgetMember{ID: 1}})
	mustApply(s, Command{Forget: &ForgetMember{ID: 3}})
	if got := s.Members(); s.Hash() == before || len(got) != 1 || got[0].ID != 2 {
		t.Errorf("a member is forgotten: %+v", got)
	}
}

// TestOwnership: what a caller does with the bytes of a command, or with the keys of a response, changes nothing.
func TestOwnership(t *testing.T) {
	s := New()
	key, value := []byte("key"), []byte("value")
	p := &PutRequest{Key: key, Value: value, PrevKV: true}
	mustApply(s, Command{Put: p})
	r := mustApply(s, Command{Put: p})
	copy(key, "xxx")
	copy(value, "xxxxx")
	copy(r.Put.PrevKV.Key, "xxx")
	got, _ := s.Range(RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	copy(got.KVs[0].Key, "yyy")
	_ = append(got.KVs[0].Value, "more"...)
	if now := dump(t, s, 0); now != "key=value@2.3.2" || r.Put.PrevKV.ModRevision != 2 {
		t.Errorf("the store has %s, the response %+v", now, r.Put.PrevKV)
	}
}

func TestHashKVRevisions(t *testing.T) {
	s := storeOf(put("a", "1"), put("a", "2"), put("a", "3"), compact(3))
	for revision, want := range map[int64]error{2: ErrCompacted, 3: nil, 4: nil, 5: ErrFutureRevision} {
		if _, err := s.HashKV(revision); !errors.Is(err, want) {
			t.Errorf("%d: %v, want %v", revision, err, want)
		}
	}
	zero, _ := s.HashKV(0)
	four, _ := s.HashKV(4)
	if zero != four || zero.Revision != 4 || zero.CompactRevision != 3 {
		t.Errorf("the latest is %+v, at 4 %+v", zero, four)
	}
}
