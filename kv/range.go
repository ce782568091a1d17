package kv

import (
	"bytes"
	"cmp"
	"slices"
)

// Range reads keys. It may be called by any goroutine at any time and sees the store between two commands. The
// values of the response belong to the store: they must not be changed. Errors are ErrEmptyKey, ErrInvalidSortOption,
// ErrCompacted and ErrFutureRevision.
func (s *Store) Range(r RangeRequest) (RangeResponse, error) {
	if err := r.Check(); err != nil {
		return RangeResponse{}, err
	}
	v := s.begin()
	defer v.end()
	// A negative revision means the latest here, while a transaction takes it for a revision: etcd's way.
	if r.Revision < 0 {
		r.Revision = 0
	}
	if err := v.checkRevision(&r); err != nil {
		return RangeResponse{}, err
	}
	return v.rangeKeys(&r), nil
}

// checkRevision checks that the view can answer for the revision that is asked for.
func (v *view) checkRevision(r *RangeRequest) error {
	switch {
	case r.Revision == 0:
		return nil
	case r.Revision > v.current:
		return ErrFutureRevision
	case r.Revision < v.compacted:
		return ErrCompacted
	}
	return nil
}

// rangeKeys answers a request that has passed Check and checkRevision.
func (v *view) rangeKeys(r *RangeRequest) RangeResponse {
	at := v.current
	if r.Revision > 0 {
		at = r.Revision
	}
	response := RangeResponse{Revision: v.current}
	keep := r.kvsToCollect()
	var arena keyArena
	v.scan(r.Key, r.RangeEnd, at, func(c *chain, ver *version) bool {
		response.Count++
		if int64(len(response.KVs)) < keep && r.accepts(ver) {
			response.KVs = append(response.KVs, ver.keyValue(arena.copy(c.key)))
		}
		return true
	})
	r.sort(response.KVs)
	if r.Limit > 0 && int64(len(response.KVs)) > r.Limit {
		clear(response.KVs[r.Limit:])
		response.KVs = response.KVs[:r.Limit]
		response.More = true
	}
	if r.KeysOnly {
		for i := range response.KVs {
			response.KVs[i].Value = nil
		}
	}
	return response
}

// kvsToCollect is how many of the first keys that pass the filters have to be looked at. Without order and filters it is
// one more than the limit, to see whether there are more; even if they are then sorted, as etcd does with a sort
// target but no order.
func (r *RangeRequest) kvsToCollect() int64 {
	const all = 1<<63 - 1
	switch {
	case r.CountOnly:
		return 0
	case r.Limit <= 0 || r.Limit == all || r.SortOrder != SortNone || r.filters():
		return all
	}
	return r.Limit + 1
}

func (r *RangeRequest) filters() bool {
	return r.MinModRevision != 0 || r.MaxModRevision != 0 || r.MinCreateRevision != 0 || r.MaxCreateRevision != 0
}

// accepts says whether the version passes the filters.
func (r *RangeRequest) accepts(v *version) bool {
	switch {
	case r.MaxModRevision != 0 && v.mod > r.MaxModRevision,
		r.MinModRevision != 0 && v.mod < r.MinModRevision,
		r.MaxCreateRevision != 0 && v.create > r.MaxCreateRevision,
		r.MinCreateRevision != 0 && v.create < r.MinCreateRevision:
		return false
	}
	return true
}

// sort sorts kvs, which are in the order of their keys. Equals stay in that order.
func (r *RangeRequest) sort(kvs []KeyValue) {
	if r.SortTarget == SortByKey && r.SortOrder != SortDescend {
		return
	}
	sign := 1
	if r.SortOrder == SortDescend {
		sign = -1
	}
	slices.SortStableFunc(kvs, func(a, b KeyValue) int { return sign * compareBy(r.SortTarget, &a, &b) })
}

func compareBy(target SortTarget, a, b *KeyValue) int {
	switch target {
	case SortByVersion:
		return cmp.Compare(a.Version, b.Version)
	case SortByCreate:
		return cmp.Compare(a.CreateRevision, b.CreateRevision)
	case SortByMod:
		return cmp.Compare(a.ModRevision, b.ModRevision)
	case SortByValue:
		return bytes.Compare(a.Value, b.Value)
	default:
		return bytes.Compare(a.Key, b.Key)
	}
}

// keyValue returns the version as the API has it. The value is shared: it never changes.
func (v *version) keyValue(key []byte) KeyValue {
	return KeyValue{
		Key:            key,
		Value:          v.value[:len(v.value):len(v.value)],
		CreateRevision: v.create,
		ModRevision:    v.mod,
		Version:        v.number,
		Lease:          v.lease,
	}
}

// keyArena copies keys into blocks, the first as large as one key, later ones larger: many keys cost few allocations.
type keyArena struct {
	block []byte
	size  int
}

func (a *keyArena) copy(key string) []byte {
	if cap(a.block)-len(a.block) < len(key) {
		a.block = make([]byte, 0, max(len(key), a.size))
		a.size = min(max(512, 2*a.size), 16<<10)
	}
	start := len(a.block)
	a.block = append(a.block, key...)
	return a.block[start:len(a.block):len(a.block)]
}
