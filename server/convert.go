package server

import (
	"github.com/balsa-raft/balsa/kv"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// The byte slices of messages, commands and the store's answers are shared, not copied: nobody changes them. What is
// converted may be nonsense; kv's Check says so before it is used.

func rangeRequest(r *pb.RangeRequest) kv.RangeRequest {
	return kv.RangeRequest{
		Key: r.Key, RangeEnd: r.RangeEnd, Limit: r.Limit, Revision: r.Revision,
		SortOrder: kv.SortOrder(r.SortOrder), SortTarget: kv.SortTarget(r.SortTarget),
		KeysOnly: r.KeysOnly, CountOnly: r.CountOnly,
		MinModRevision: r.MinModRevision, MaxModRevision: r.MaxModRevision,
		MinCreateRevision: r.MinCreateRevision, MaxCreateRevision: r.MaxCreateRevision,
	}
}

func putRequest(r *pb.PutRequest) *kv.PutRequest {
	return &kv.PutRequest{Key: r.Key, Value: r.Value, Lease: r.Lease, PrevKV: r.PrevKv, IgnoreValue: r.IgnoreValue, IgnoreLease: r.IgnoreLease}
}

func deleteRangeRequest(r *pb.DeleteRangeRequest) *kv.DeleteRangeRequest {
	return &kv.DeleteRangeRequest{Key: r.Key, RangeEnd: r.RangeEnd, PrevKV: r.PrevKv}
}

func txnRequest(r *pb.TxnRequest) *kv.TxnRequest {
	t := &kv.TxnRequest{Compare: make([]kv.Compare, len(r.Compare)), Success: ops(r.Success), Failure: ops(r.Failure)}
	for i, c := range r.Compare {
		t.Compare[i] = compare(c)
	}
	return t
}

// compare takes the operand that the target asks for; a union of another kind, or none, counts as zero, as in etcd.
func compare(c *pb.Compare) kv.Compare {
	out := kv.Compare{Result: kv.CompareResult(c.Result), Target: kv.CompareTarget(c.Target), Key: c.Key, RangeEnd: c.RangeEnd}
	switch c.Target {
	case pb.Compare_VERSION:
		out.Number = c.GetVersion()
	case pb.Compare_CREATE:
		out.Number = c.GetCreateRevision()
	case pb.Compare_MOD:
		out.Number = c.GetModRevision()
	case pb.Compare_LEASE:
		out.Number = c.GetLease()
	case pb.Compare_VALUE:
		out.Value = c.GetValue()
	}
	return out
}

func ops(in []*pb.RequestOp) []kv.Op {
	if len(in) == 0 {
		return nil
	}
	out := make([]kv.Op, len(in))
	for i, op := range in {
		switch op := op.Request.(type) {
		case *pb.RequestOp_RequestRange:
			r := rangeRequest(op.RequestRange)
			out[i].Range = &r
		case *pb.RequestOp_RequestPut:
			out[i].Put = putRequest(op.RequestPut)
		case *pb.RequestOp_RequestDeleteRange:
			out[i].DeleteRange = deleteRangeRequest(op.RequestDeleteRange)
		case *pb.RequestOp_RequestTxn:
			out[i].Txn = txnRequest(op.RequestTxn)
		}
	}
	return out
}

func fillRange(out *pb.RangeResponse, r *kv.RangeResponse) {
	out.More, out.Count = r.More, r.Count
	out.Kvs = keyValues(r.KVs)
}

func keyValues(in []kv.KeyValue) []*mvccpb.KeyValue {
	if len(in) == 0 {
		return nil
	}
	block := make([]mvccpb.KeyValue, len(in)) // one allocation for all
	out := make([]*mvccpb.KeyValue, len(in))
	for i := range in {
		out[i] = &block[i]
		fillKeyValue(out[i], &in[i])
	}
	return out
}

func fillKeyValue(out *mvccpb.KeyValue, in *kv.KeyValue) {
	out.Key, out.Value = in.Key, in.Value
	out.CreateRevision, out.ModRevision, out.Version, out.Lease = in.CreateRevision, in.ModRevision, in.Version, in.Lease
}

func keyValue(in *kv.KeyValue) *mvccpb.KeyValue {
	if in == nil {
		return nil
	}
	out := &mvccpb.KeyValue{}
	fillKeyValue(out, in)
	return out
}

// fillTxn writes a transaction's answers. As in etcd, those inside it carry a header with the revision alone, and a
// nested transaction an empty one.
func fillTxn(out *pb.TxnResponse, r *kv.TxnResponse) {
	out.Succeeded = r.Succeeded
	if len(r.Responses) > 0 {
		out.Responses = make([]*pb.ResponseOp, len(r.Responses))
	}
	for i := range r.Responses {
		out.Responses[i] = responseOp(&r.Responses[i])
	}
}

func responseOp(r *kv.OpResponse) *pb.ResponseOp {
	switch {
	case r.Range != nil:
		out := &pb.RangeResponse{Header: &pb.ResponseHeader{Revision: r.Range.Revision}}
		fillRange(out, r.Range)
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: out}}
	case r.Put != nil:
		out := &pb.PutResponse{Header: &pb.ResponseHeader{Revision: r.Put.Revision}, PrevKv: keyValue(r.Put.PrevKV)}
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: out}}
	case r.DeleteRange != nil:
		out := &pb.DeleteRangeResponse{
			Header:  &pb.ResponseHeader{Revision: r.DeleteRange.Revision},
			Deleted: r.DeleteRange.Deleted, PrevKvs: keyValues(r.DeleteRange.PrevKVs),
		}
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: out}}
	case r.Txn != nil:
		out := &pb.TxnResponse{Header: &pb.ResponseHeader{}}
		fillTxn(out, r.Txn)
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: out}}
	}
	return &pb.ResponseOp{}
}
