package conformance

import (
	"bytes"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// TestLimits compares requests at the limits of size and number, which would be too long for a file.
func TestLimits(t *testing.T) {
	p := newPair(t)
	requests := 0
	for _, limit := range limits() {
		requests += len(limit.requests) * len(p.balsa)
		for member := range p.balsa {
			t.Run(limit.name+"/"+role(member), func(t *testing.T) {
				var calls []call
				for _, r := range limit.requests {
					calls = append(calls, call{request: r, member: member})
				}
				if d := p.run(t, calls, nil); d != nil {
					t.Errorf("request %d of %d: etcd answers %.300s\nBalsa %.300s", len(d.calls), len(calls), d.etcd, d.balsa)
				}
			})
		}
	}
	say("limits: %d requests to etcd and Balsa", requests)
}

type limitCase struct {
	name     string
	requests []proto.Message
}

func limits() []limitCase {
	const bytesMax = 3 << 19
	large := bytes.Repeat([]byte("k"), bytesMax+1)
	everything := &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}
	one := func(r proto.Message) []proto.Message { return []proto.Message{r} }
	return []limitCase{
		// etcd counts what it adds to a request, so that the limit itself is some bytes further down than Balsa's.
		{"request just small enough", []proto.Message{putOf(bytesMax - 100), everything}},
		{"request too large", []proto.Message{putOf(bytesMax), everything}},
		{"request much too large", one(putOf(bytesMax + 400<<10))},
		{"request too large for gRPC", one(putOf(bytesMax + 600<<10))},
		{"txn too large", one(&pb.TxnRequest{Success: []*pb.RequestOp{putOp(putOf(bytesMax))}})},
		{"delete of a key too large", one(&pb.DeleteRangeRequest{Key: large})},
		{"range of a key as large", one(&pb.RangeRequest{Key: large})},
		{"read-only txn as large", one(&pb.TxnRequest{Success: []*pb.RequestOp{rangeOp(large)}})},
		{"invalid and too large", one(&pb.PutRequest{Value: large})},

		{"128 operations", []proto.Message{&pb.TxnRequest{Success: puts(128)}, everything}},
		{"129 operations", one(&pb.TxnRequest{Success: puts(129)})},
		{"129 operations that do not run", one(&pb.TxnRequest{Failure: puts(129)})},
		{"129 operations and a bad one", one(&pb.TxnRequest{Success: append(puts(128), &pb.RequestOp{})})},
		{"128 compares and operations", one(&pb.TxnRequest{Compare: compares(128), Success: puts(128), Failure: puts(128)})},
		{"129 compares", one(&pb.TxnRequest{Compare: compares(129)})},
		{"1 operation and 127 inside", one(within(1, puts(127)))},
		{"1 operation and 128 inside", one(within(1, puts(128)))},
		{"64 operations and 64 inside", one(within(64, puts(64)))},
		{"64 operations and 65 inside", one(within(64, puts(65)))},
		{"128 operations and none inside", one(within(128, nil))},
		{"128 operations and 1 inside", one(within(128, puts(1)))},
		{"nested 128 deep", one(nested(128))},
		{"nested 129 deep", one(nested(129))},

		{"ten megabytes in one answer", tenMegabytes()},
		{"a thousand keys", thousandKeys()},
		{"a thousand keys deleted", append(thousandKeys(), &pb.DeleteRangeRequest{Key: []byte("key"), RangeEnd: []byte{0}, PrevKv: true}, everything)},
	}
}

func putOf(valueBytes int) *pb.PutRequest {
	return &pb.PutRequest{Key: []byte("a"), Value: make([]byte, valueBytes)}
}

func putOp(r *pb.PutRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}}
}

func rangeOp(key []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key}}}
}

func txnOp(r *pb.TxnRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: r}}
}

// puts returns n operations that put a key each.
func puts(n int) []*pb.RequestOp {
	var ops []*pb.RequestOp
	for i := range n {
		ops = append(ops, putOp(&pb.PutRequest{Key: fmt.Appendf(nil, "%03d", i)}))
	}
	return ops
}

// compares returns n that hold.
func compares(n int) []*pb.Compare {
	var all []*pb.Compare
	for i := range n {
		all = append(all, &pb.Compare{
			Key: fmt.Appendf(nil, "%03d", i), Target: pb.Compare_VERSION, Result: pb.Compare_GREATER,
			TargetUnion: &pb.Compare_Version{Version: -1},
		})
	}
	return all
}

// within returns a transaction of n operations, the last of which is a transaction of ops.
func within(n int, ops []*pb.RequestOp) *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for range n - 1 {
		r.Success = append(r.Success, rangeOp([]byte("000")))
	}
	r.Success = append(r.Success, txnOp(&pb.TxnRequest{Success: ops}))
	return r
}

// nested returns an empty transaction inside n others.
func nested(n int) *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for range n {
		r = &pb.TxnRequest{Success: []*pb.RequestOp{txnOp(r)}}
	}
	return r
}

// tenMegabytes puts them, and reads them at once: over what gRPC takes by default.
func tenMegabytes() []proto.Message {
	var requests []proto.Message
	for i := range 10 {
		requests = append(requests, &pb.PutRequest{Key: fmt.Appendf(nil, "%d", i), Value: bytes.Repeat([]byte{byte(i)}, 1<<20)})
	}
	return append(requests, &pb.RangeRequest{Key: []byte("0"), RangeEnd: []byte{0}}, everything)
}

// thousandKeys puts them with a few transactions, and reads them in pages. No two values are the same.
func thousandKeys() []proto.Message {
	var requests []proto.Message
	for i := range 10 {
		txn := &pb.TxnRequest{}
		for j := range 100 {
			n := i*100 + j
			txn.Success = append(txn.Success, putOp(&pb.PutRequest{Key: fmt.Appendf(nil, "key%03d", n), Value: fmt.Appendf(nil, "%03d", n*7%1000)}))
		}
		requests = append(requests, txn)
	}
	for page := range 4 {
		requests = append(requests, &pb.RangeRequest{Key: fmt.Appendf(nil, "key%03d", page*250), RangeEnd: []byte{0}, Limit: 250})
	}
	prefix := func(change func(*pb.RangeRequest)) proto.Message {
		r := &pb.RangeRequest{Key: []byte("key"), RangeEnd: []byte("kez")}
		change(r)
		return r
	}
	return append(requests,
		prefix(func(r *pb.RangeRequest) {}),
		prefix(func(r *pb.RangeRequest) { r.KeysOnly, r.Limit = true, 300 }),
		prefix(func(r *pb.RangeRequest) { r.CountOnly = true }),
		prefix(func(r *pb.RangeRequest) { r.Revision = 5 }),
		prefix(func(r *pb.RangeRequest) {
			r.SortTarget, r.SortOrder, r.Limit = pb.RangeRequest_VALUE, pb.RangeRequest_DESCEND, 100
		}),
		prefix(func(r *pb.RangeRequest) { r.SortTarget, r.Limit = pb.RangeRequest_VALUE, 100 }),
		prefix(func(r *pb.RangeRequest) { r.MinModRevision, r.MaxModRevision, r.Limit = 3, 4, 150 }),
	)
}
