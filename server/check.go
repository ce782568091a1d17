package server

import (
	"bytes"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errInvalidCompare answers a comparison that names no comparison this version knows. etcd takes it for one that
// holds, which hides the mistake.
var errInvalidCompare = status.Error(codes.InvalidArgument, "etcdserver: invalid comparison")

func checkRange(r *pb.RangeRequest) error {
	if len(r.Key) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	if _, ok := pb.RangeRequest_SortOrder_name[int32(r.SortOrder)]; !ok {
		return rpctypes.ErrGRPCInvalidSortOption
	}
	if _, ok := pb.RangeRequest_SortTarget_name[int32(r.SortTarget)]; !ok {
		return rpctypes.ErrGRPCInvalidSortOption
	}
	return nil
}

func checkPut(r *pb.PutRequest) error {
	switch {
	case len(r.Key) == 0:
		return rpctypes.ErrGRPCEmptyKey
	case r.IgnoreValue && len(r.Value) != 0:
		return rpctypes.ErrGRPCValueProvided
	case r.IgnoreLease && r.Lease != 0:
		return rpctypes.ErrGRPCLeaseProvided
	}
	return nil
}

func checkDeleteRange(r *pb.DeleteRangeRequest) error {
	if len(r.Key) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	return nil
}

// checkTxn checks the form of a transaction and of those nested in it, and then that no key is written twice.
func checkTxn(r *pb.TxnRequest, maxOps int) error {
	if err := checkTxnForm(r, maxOps); err != nil {
		return err
	}
	for _, branch := range [][]*pb.RequestOp{r.Success, r.Failure} {
		if _, err := checkWrites(branch); err != nil {
			return err
		}
	}
	return nil
}

// checkTxnForm gives a nested transaction the budget of operations that its parent leaves, so the depth of nesting is
// bounded as well.
func checkTxnForm(r *pb.TxnRequest, maxOps int) error {
	ops := max(len(r.Compare), len(r.Success), len(r.Failure))
	if ops > maxOps {
		return rpctypes.ErrGRPCTooManyOps
	}
	for _, c := range r.Compare {
		if err := checkCompare(c); err != nil {
			return err
		}
	}
	for _, branch := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range branch {
			if err := checkOp(op, maxOps-ops); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkCompare(c *pb.Compare) error {
	if len(c.Key) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	_, result := pb.Compare_CompareResult_name[int32(c.Result)]
	_, target := pb.Compare_CompareTarget_name[int32(c.Target)]
	if !result || !target {
		return errInvalidCompare
	}
	return nil
}

func checkOp(op *pb.RequestOp, maxOps int) error {
	switch op := op.Request.(type) {
	case *pb.RequestOp_RequestRange:
		return checkRange(op.RequestRange)
	case *pb.RequestOp_RequestPut:
		return checkPut(op.RequestPut)
	case *pb.RequestOp_RequestDeleteRange:
		return checkDeleteRange(op.RequestDeleteRange)
	case *pb.RequestOp_RequestTxn:
		return checkTxnForm(op.RequestTxn, maxOps)
	}
	return rpctypes.ErrGRPCKeyNotFound
}

// writes is what a list of operations may write: the keys it puts and the ranges it deletes, nested ones included.
type writes struct {
	puts    map[string]bool
	deletes ranges
}

// checkWrites refuses a list of operations that puts a key twice, or puts a key that it also deletes, because
// the outcome would depend on an order that the revision does not show. The two branches of one nested transaction
// exclude each other, so they may put the same key.
func checkWrites(ops []*pb.RequestOp) (writes, error) {
	w := writes{puts: map[string]bool{}}
	for _, op := range ops {
		if d := op.GetRequestDeleteRange(); d != nil {
			w.deletes = append(w.deletes, rangeOf(d.Key, d.RangeEnd))
		}
	}
	w.deletes = w.deletes.merged()
	for _, op := range ops {
		if t := op.GetRequestTxn(); t != nil {
			if err := w.addTxn(t); err != nil {
				return w, err
			}
		}
	}
	for _, op := range ops {
		if p := op.GetRequestPut(); p != nil {
			if w.puts[string(p.Key)] || w.deletes.contain(p.Key) {
				return w, rpctypes.ErrGRPCDuplicateKey
			}
			w.puts[string(p.Key)] = true
		}
	}
	return w, nil
}

func (w *writes) addTxn(t *pb.TxnRequest) error {
	success, err := checkWrites(t.Success)
	if err != nil {
		return err
	}
	failure, err := checkWrites(t.Failure)
	if err != nil {
		return err
	}
	for key := range success.puts {
		if w.puts[key] || w.deletes.contain([]byte(key)) {
			return rpctypes.ErrGRPCDuplicateKey
		}
	}
	for key := range failure.puts {
		if w.puts[key] || w.deletes.contain([]byte(key)) {
			return rpctypes.ErrGRPCDuplicateKey
		}
	}
	for key := range success.puts {
		w.puts[key] = true
	}
	for key := range failure.puts {
		w.puts[key] = true
	}
	// A sibling's deletes count from here on only: etcd lets an earlier sibling put what a later one deletes.
	w.deletes = slices.Concat(w.deletes, success.deletes, failure.deletes).merged()
	return nil
}

// keyRange is [from, to); a nil to means without end.
type keyRange struct{ from, to []byte }

func rangeOf(key, end []byte) keyRange {
	switch {
	case len(end) == 0:
		return keyRange{key, append(bytes.Clone(key), 0)}
	case len(end) == 1 && end[0] == 0:
		return keyRange{key, nil}
	}
	return keyRange{key, end}
}

// ranges is a set of keys. Once merged, the ranges ascend and do not touch.
type ranges []keyRange

func (rs ranges) merged() ranges {
	slices.SortFunc(rs, func(a, b keyRange) int { return bytes.Compare(a.from, b.from) })
	out := rs[:0]
	for _, r := range rs {
		if r.to != nil && bytes.Compare(r.from, r.to) >= 0 {
			continue // empty
		}
		last := len(out) - 1
		if last >= 0 && (out[last].to == nil || bytes.Compare(r.from, out[last].to) <= 0) {
			if out[last].to != nil && (r.to == nil || bytes.Compare(r.to, out[last].to) > 0) {
				out[last].to = r.to
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

func (rs ranges) contain(key []byte) bool {
	i, found := slices.BinarySearchFunc(rs, key, func(r keyRange, k []byte) int { return bytes.Compare(r.from, k) })
	if found {
		return true
	}
	return i > 0 && (rs[i-1].to == nil || bytes.Compare(key, rs[i-1].to) < 0)
}
