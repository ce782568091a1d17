package kv

import "github.com/tidwall/btree"

// txnDepthMax bounds how deep transactions nest, the outermost counted. etcd has no such bound but that each level, except
// for an empty one, takes at least one from its limit of operations, 128 by default.
const txnDepthMax = 129

// Limits are what a server is configured to accept. They are checked before a command is proposed and never when it
// is applied: members may be configured differently, and must not differ in what they apply.
type Limits struct {
	// TxnOpsMax bounds the compares, and the operations of each branch, of a Txn; a nested Txn gets what its
	// parent has left. Zero is etcd's default, 128.
	TxnOpsMax int
}

// Check returns the error that etcd answers the command with before it looks at the data, or nil.
func (c Command) Check(limits Limits) error {
	if err := c.checkKind(); err != nil {
		return err
	}
	switch {
	case c.Put != nil:
		return c.Put.Check()
	case c.DeleteRange != nil:
		return c.DeleteRange.Check()
	case c.Txn != nil:
		return c.Txn.Check(limits)
	}
	return nil
}

// checkKind checks that exactly one field is set.
func (c Command) checkKind() error {
	return exactlyOne(c.Put != nil, c.DeleteRange != nil, c.Txn != nil, c.Compact != nil, c.Publish != nil,
		c.PeerURLs != nil, c.Forget != nil)
}

func exactlyOne(set ...bool) error {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	if n != 1 {
		return ErrInvalidCommand
	}
	return nil
}

// Check returns the error that etcd answers the request with before it looks at the data, or nil.
func (r *RangeRequest) Check() error {
	if len(r.Key) == 0 {
		return ErrEmptyKey
	}
	if r.SortOrder < SortNone || r.SortOrder > SortDescend || r.SortTarget < SortByKey || r.SortTarget > SortByValue {
		return ErrInvalidSortOption
	}
	return nil
}

// Check returns the error that etcd answers the request with before it looks at the data, or nil.
func (r *PutRequest) Check() error {
	switch {
	case len(r.Key) == 0:
		return ErrEmptyKey
	case r.IgnoreValue && len(r.Value) != 0:
		return ErrValueProvided
	case r.IgnoreLease && r.Lease != 0:
		return ErrLeaseProvided
	}
	return nil
}

// Check returns the error that etcd answers the request with before it looks at the data, or nil.
func (r *DeleteRangeRequest) Check() error {
	if len(r.Key) == 0 {
		return ErrEmptyKey
	}
	return nil
}

// Check returns the error that etcd answers the request with before it looks at the data, or nil.
func (r *TxnRequest) Check(limits Limits) error {
	opsMax := limits.TxnOpsMax
	if opsMax == 0 {
		opsMax = 128
	}
	if err := r.check(opsMax, txnDepthMax); err != nil {
		return err
	}
	// After the limits, which bound what the search for duplicates costs.
	for _, branch := range [][]Op{r.Success, r.Failure} {
		if _, _, err := checkDuplicates(branch); err != nil {
			return err
		}
	}
	return nil
}

// ReadOnly says whether the transaction writes nothing whichever way its compares go. As in etcd, one that contains
// another does not count as read-only.
func (r *TxnRequest) ReadOnly() bool {
	for _, branch := range [][]Op{r.Success, r.Failure} {
		for i := range branch {
			if branch[i].Range == nil {
				return false
			}
		}
	}
	return true
}

// check checks everything but duplicate keys.
func (r *TxnRequest) check(opsMax, depthMax int) error {
	ops := max(len(r.Compare), len(r.Success), len(r.Failure))
	if ops > opsMax || depthMax == 0 {
		return ErrTooManyOps
	}
	for i := range r.Compare {
		if err := r.Compare[i].check(); err != nil {
			return err
		}
	}
	for _, branch := range [][]Op{r.Success, r.Failure} {
		for i := range branch {
			if err := branch[i].check(opsMax-ops, depthMax-1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Compare) check() error {
	if len(c.Key) == 0 {
		return ErrEmptyKey
	}
	if c.Result < CompareEqual || c.Result > CompareNotEqual || c.Target < CompareVersion || c.Target > CompareLease {
		return ErrInvalidCompare
	}
	return nil
}

func (o *Op) check(opsMax, depthMax int) error {
	if *o == (Op{}) {
		return ErrKeyNotFound // sic: etcd's answer
	}
	if err := exactlyOne(o.Range != nil, o.Put != nil, o.DeleteRange != nil, o.Txn != nil); err != nil {
		return err
	}
	switch {
	case o.Range != nil:
		return o.Range.Check()
	case o.Put != nil:
		return o.Put.Check()
	case o.DeleteRange != nil:
		return o.DeleteRange.Check()
	default:
		return o.Txn.check(opsMax, depthMax)
	}
}

// checkDuplicates refuses ops that put a key twice, or put one that they delete, and returns what they put and
// delete. It accepts and refuses exactly what etcd does, which is not quite what one would expect:
//   - a key that both branches of one nested transaction put is fine, only one of them will run;
//   - a put in one nested transaction and a delete in a later one at the same level pass, the other way round fail;
//   - a delete with the range end "\x00" covers nothing here, so a put beside it passes.
//
// The store gives each change of a transaction its own sub-revision, so all of these have a defined meaning.
func checkDuplicates(ops []Op) (map[string]struct{}, *intervals, error) {
	puts, deletes := map[string]struct{}{}, &intervals{}
	for i := range ops {
		if d := ops[i].DeleteRange; d != nil {
			deletes.add(d.Key, d.RangeEnd)
		}
	}
	for i := range ops {
		if ops[i].Txn == nil {
			continue
		}
		if err := checkNested(ops[i].Txn, puts, deletes); err != nil {
			return nil, nil, err
		}
	}
	for i := range ops {
		p := ops[i].Put
		if p == nil {
			continue
		}
		key := string(p.Key)
		if _, ok := puts[key]; ok || deletes.contain(key) {
			return nil, nil, ErrDuplicateKey
		}
		puts[key] = struct{}{}
	}
	return puts, deletes, nil
}

// checkNested checks a nested transaction against what its parent puts and deletes, and adds to both.
func checkNested(txn *TxnRequest, puts map[string]struct{}, deletes *intervals) error {
	thenPuts, thenDeletes, err := checkDuplicates(txn.Success)
	if err != nil {
		return err
	}
	elsePuts, elseDeletes, err := checkDuplicates(txn.Failure)
	if err != nil {
		return err
	}
	for key := range thenPuts {
		if _, ok := puts[key]; ok || deletes.contain(key) {
			return ErrDuplicateKey
		}
	}
	for key := range elsePuts {
		if _, ok := puts[key]; ok || deletes.contain(key) {
			return ErrDuplicateKey
		}
	}
	for key := range thenPuts {
		puts[key] = struct{}{}
	}
	for key := range elsePuts {
		puts[key] = struct{}{}
	}
	deletes.addAll(thenDeletes)
	deletes.addAll(elseDeletes)
	return nil
}

// intervals is a set of keys, made of [begin, end)s that do not touch each other.
type intervals struct {
	ends btree.Map[string, string] // end by begin
}

// add adds the keys of a delete, as etcd's search for duplicates sees it.
func (s *intervals) add(key, rangeEnd []byte) {
	begin, end := string(key), string(rangeEnd)
	if end == "" {
		end = begin + "\x00"
	}
	if begin < end {
		s.addInterval(begin, end)
	}
}

func (s *intervals) addInterval(begin, end string) {
	// Swallow what overlaps or touches: at most one interval that begins before, and all that begin inside.
	var swallowed []string
	s.ends.Descend(begin, func(b, e string) bool {
		if e >= begin {
			swallowed = append(swallowed, b)
			begin, end = b, max(e, end)
		}
		return false
	})
	s.ends.Ascend(begin, func(b, e string) bool {
		if b > end {
			return false
		}
		swallowed = append(swallowed, b)
		end = max(e, end)
		return true
	})
	for _, b := range swallowed {
		s.ends.Delete(b)
	}
	s.ends.Set(begin, end)
}

func (s *intervals) addAll(other *intervals) {
	other.ends.Scan(func(begin, end string) bool {
		s.addInterval(begin, end)
		return true
	})
}

func (s *intervals) contain(key string) bool {
	found := false
	s.ends.Descend(key, func(_, end string) bool {
		found = key < end
		return false
	})
	return found
}
