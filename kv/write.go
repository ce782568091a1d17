package kv

import "bytes"

// checkPut checks a put against what the view sees, before anything is written.
func (v *view) checkPut(r *PutRequest) error {
	// There are no leases yet, so none is found.
	if r.Lease != 0 {
		return ErrLeaseNotFound
	}
	if r.IgnoreValue || r.IgnoreLease {
		if c := v.keys.find(r.Key); c == nil || c.at(v.current) == nil {
			return ErrKeyNotFound
		}
	}
	return nil
}

// put does a put that has passed checkPut.
func (v *view) put(r *PutRequest) *PutResponse {
	s := v.s
	c := s.keys.find(r.Key)
	if c == nil {
		c = &chain{key: string(r.Key)}
		s.keys.add(c)
		s.bytes += chainBytes + int64(len(c.key))
	}
	next := version{create: s.current + 1, number: 1, lease: r.Lease}
	var previous version // a tombstone if the key is not there
	if c.latest.mod != 0 {
		previous = c.latest
	}
	if !previous.tombstone() {
		next.create, next.number = previous.create, previous.number+1
	}
	if r.IgnoreLease {
		next.lease = previous.lease
	}
	if r.IgnoreValue {
		// The key was there when the transaction began, but an earlier operation of it may have deleted it. Then
		// there is nothing to keep.
		next.value = previous.value
	} else if len(r.Value) > 0 {
		// A copy: the command's bytes are part of a larger buffer, which must not live as long as the value.
		next.value = bytes.Clone(r.Value)
	}
	response := &PutResponse{}
	if r.PrevKV && !previous.tombstone() {
		kv := previous.keyValue([]byte(c.key))
		response.PrevKV = &kv
	}
	v.record(c, next)
	response.Revision = v.current
	return response
}

// deleteRange deletes keys in their order.
func (v *view) deleteRange(r *DeleteRangeRequest) *DeleteRangeResponse {
	response := &DeleteRangeResponse{}
	var arena keyArena
	v.scan(r.Key, r.RangeEnd, v.s.current+1, func(c *chain, ver *version) bool {
		response.Deleted++
		if r.PrevKV {
			response.PrevKVs = append(response.PrevKVs, ver.keyValue(arena.copy(c.key)))
		}
		v.record(c, version{})
		return true
	})
	response.Revision = v.current
	return response
}

// record adds a version to a chain, as the next change of the revision that is being made.
func (v *view) record(c *chain, next version) {
	s := v.s
	next.mod, next.sub = s.current+1, s.sub
	s.sub++
	c.push(next)
	s.bytes += next.bytes()
	s.changes.push(change{revision: next.mod, chain: c})
	v.current = next.mod
}
