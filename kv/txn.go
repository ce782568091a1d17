package kv

import (
	"bytes"
	"cmp"
)

// ReadTxn does a transaction that is read-only (TxnRequest.ReadOnly; ErrNotReadOnly if it is not). It may be called by
// any goroutine at any time, and all of it sees the store between the same two commands. The values of the response
// belong to the store: they must not be changed. Other errors are those of Range and of Compare.
func (s *Store) ReadTxn(r TxnRequest) (TxnResponse, error) {
	if !r.ReadOnly() {
		return TxnResponse{}, ErrNotReadOnly
	}
	if err := r.check(opsMaxApplied, txnDepthMax); err != nil {
		return TxnResponse{}, err
	}
	v := s.begin()
	defer v.end()
	response, err := v.txn(&r)
	if err != nil {
		return TxnResponse{}, err
	}
	return *response, nil
}

// opsMaxApplied is the limit of operations for what is applied or read: none, see Limits.
const opsMaxApplied = 1<<31 - 1

// txn does a transaction that has passed check, or fails and changes nothing. All compares, also those of nested
// transactions, and all checks come before the first write.
func (v *view) txn(r *TxnRequest) (*TxnResponse, error) {
	var room [4]bool
	path := v.choose(r, room[:0])
	if _, err := v.checkOps(r, path); err != nil {
		return nil, err
	}
	response, _ := v.execute(r, path)
	response.Revision = v.current
	return response, nil
}

// branch returns the operations that run if the compares had the outcome.
func (r *TxnRequest) branch(succeeded bool) []Op {
	if succeeded {
		return r.Success
	}
	return r.Failure
}

// choose appends to path the outcome of the transaction's compares, and then those of the nested transactions that
// will run, in their order.
func (v *view) choose(r *TxnRequest, path []bool) []bool {
	succeeded := true
	for i := range r.Compare {
		if !v.holds(&r.Compare[i]) {
			succeeded = false
			break
		}
	}
	path = append(path, succeeded)
	ops := r.branch(succeeded)
	for i := range ops {
		if ops[i].Txn != nil {
			path = v.choose(ops[i].Txn, path)
		}
	}
	return path
}

// holds says whether every key in the range of the compare satisfies it. If there is none, a compare of the value
// fails and others compare with zero.
func (v *view) holds(c *Compare) bool {
	none, all := true, true
	v.scan(c.Key, c.RangeEnd, v.current, func(_ *chain, ver *version) bool {
		none = false
		all = c.satisfiedBy(ver)
		return all
	})
	if none {
		return c.Target != CompareValue && c.satisfiedBy(&version{})
	}
	return all
}

func (c *Compare) satisfiedBy(v *version) bool {
	var order int
	switch c.Target {
	case CompareVersion:
		order = cmp.Compare(v.number, c.Number)
	case CompareCreate:
		order = cmp.Compare(v.create, c.Number)
	case CompareMod:
		order = cmp.Compare(v.mod, c.Number)
	case CompareLease:
		order = cmp.Compare(v.lease, c.Number)
	default:
		order = bytes.Compare(v.value, c.Value)
	}
	switch c.Result {
	case CompareEqual:
		return order == 0
	case CompareNotEqual:
		return order != 0
	case CompareGreater:
		return order > 0
	default:
		return order < 0
	}
}

// checkOps checks the operations that the path runs against the state before the transaction. It returns what is left
// of the path.
func (v *view) checkOps(r *TxnRequest, path []bool) (rest []bool, err error) {
	ops, rest := r.branch(path[0]), path[1:]
	for i := range ops {
		switch {
		case ops[i].Range != nil:
			err = v.checkRevision(ops[i].Range)
		case ops[i].Put != nil:
			err = v.checkPut(ops[i].Put)
		case ops[i].Txn != nil:
			rest, err = v.checkOps(ops[i].Txn, rest)
		}
		if err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// execute runs the operations of the path in order; each sees what those before it did. It returns what is left of
// the path. The response of a transaction has no revision: only the outermost gets one.
func (v *view) execute(r *TxnRequest, path []bool) (response *TxnResponse, rest []bool) {
	ops, rest := r.branch(path[0]), path[1:]
	response = &TxnResponse{Succeeded: path[0]}
	if len(ops) > 0 {
		response.Responses = make([]OpResponse, len(ops))
	}
	for i := range ops {
		answer := &response.Responses[i]
		switch {
		case ops[i].Range != nil:
			found := v.rangeKeys(ops[i].Range)
			answer.Range = &found
		case ops[i].Put != nil:
			answer.Put = v.put(ops[i].Put)
		case ops[i].DeleteRange != nil:
			answer.DeleteRange = v.deleteRange(ops[i].DeleteRange)
		default:
			answer.Txn, rest = v.execute(ops[i].Txn, rest)
		}
	}
	return response, rest
}
