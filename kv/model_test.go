package kv

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"maps"
	"slices"
	"sort"
)

// model is the store as its documentation tells it, with nothing clever: the list of all changes ever made. What is
// in the store at a revision is found by doing them again.
type model struct {
	current, compacted int64
	changes            []modelChange
	disk               []modelChange // what etcd has on disk after its compactions, for HashKV
	pending            int           // changes of the command being applied
}

type modelChange struct {
	main, sub int64
	key       string
	deleted   bool
	kv        KeyValue
}

func newModel() *model { return &model{current: 1, compacted: -1} }

func (m *model) record(c modelChange) {
	c.main, c.sub = m.current+1, int64(m.pending)
	m.pending++
	m.changes = append(m.changes, c)
	m.disk = append(m.disk, c)
}

// latest is what the running command's operations see, and report.
func (m *model) latest() int64 {
	if m.pending > 0 {
		return m.current + 1
	}
	return m.current
}

func (m *model) state(revision int64) map[string]KeyValue {
	state := map[string]KeyValue{}
	for _, c := range m.changes {
		if c.main > revision {
			break
		}
		if c.deleted {
			delete(state, c.key)
		} else {
			state[c.key] = c.kv
		}
	}
	return state
}

func (m *model) find(key, end []byte, revision int64) []KeyValue {
	state := m.state(revision)
	var found []KeyValue
	for _, k := range slices.Sorted(maps.Keys(state)) {
		b := []byte(k)
		switch {
		case len(end) == 0 && !bytes.Equal(b, key):
		case bytes.Compare(b, key) < 0:
		case len(end) > 0 && !bytes.Equal(end, []byte{0}) && bytes.Compare(b, end) >= 0:
		default:
			found = append(found, state[k])
		}
	}
	return found
}

func (m *model) checkRevision(revision int64) error {
	switch {
	case revision == 0:
		return nil
	case revision > m.current:
		return ErrFutureRevision
	case revision < m.compacted:
		return ErrCompacted
	}
	return nil
}

func (m *model) rangeKeys(r RangeRequest) RangeResponse {
	at := m.latest()
	if r.Revision > 0 {
		at = r.Revision
	}
	kvs := m.find(r.Key, r.RangeEnd, at)
	response := RangeResponse{Revision: m.latest(), Count: int64(len(kvs))}
	if r.CountOnly {
		return response
	}
	unlimited := r.SortOrder != SortNone || r.MinModRevision != 0 || r.MaxModRevision != 0 ||
		r.MinCreateRevision != 0 || r.MaxCreateRevision != 0
	if !unlimited && r.Limit > 0 && int64(len(kvs)) > r.Limit+1 {
		kvs = kvs[:r.Limit+1]
	}
	kvs = slices.DeleteFunc(kvs, func(kv KeyValue) bool {
		return r.MinModRevision != 0 && kv.ModRevision < r.MinModRevision ||
			r.MaxModRevision != 0 && kv.ModRevision > r.MaxModRevision ||
			r.MinCreateRevision != 0 && kv.CreateRevision < r.MinCreateRevision ||
			r.MaxCreateRevision != 0 && kv.CreateRevision > r.MaxCreateRevision
	})
	sort.SliceStable(kvs, func(i, j int) bool {
		a, b := kvs[i], kvs[j]
		if r.SortOrder == SortDescend {
			a, b = b, a
		}
		switch r.SortTarget {
		case SortByVersion:
			return a.Version < b.Version
		case SortByCreate:
			return a.CreateRevision < b.CreateRevision
		case SortByMod:
			return a.ModRevision < b.ModRevision
		case SortByValue:
			return bytes.Compare(a.Value, b.Value) < 0
		}
		return bytes.Compare(a.Key, b.Key) < 0
	})
	if r.Limit > 0 && int64(len(kvs)) > r.Limit {
		kvs, response.More = kvs[:r.Limit], true
	}
	for _, kv := range kvs {
		if r.KeysOnly {
			kv.Value = nil
		}
		response.KVs = append(response.KVs, kv)
	}
	return response
}

func (m *model) checkPut(p *PutRequest) error {
	if p.Lease != 0 {
		return ErrLeaseNotFound
	}
	if (p.IgnoreValue || p.IgnoreLease) && len(m.find(p.Key, nil, m.current)) == 0 {
		return ErrKeyNotFound
	}
	return nil
}

func (m *model) put(p *PutRequest) *PutResponse {
	kv := KeyValue{Key: p.Key, Value: p.Value, CreateRevision: m.current + 1, ModRevision: m.current + 1, Version: 1}
	response := &PutResponse{Revision: m.current + 1}
	if previous := m.find(p.Key, nil, m.current+1); len(previous) > 0 {
		kv.CreateRevision, kv.Version = previous[0].CreateRevision, previous[0].Version+1
		if p.IgnoreValue {
			kv.Value = previous[0].Value
		}
		if p.PrevKV {
			response.PrevKV = &previous[0]
		}
	}
	m.record(modelChange{key: string(p.Key), kv: kv})
	return response
}

func (m *model) deleteRange(d *DeleteRangeRequest) *DeleteRangeResponse {
	victims := m.find(d.Key, d.RangeEnd, m.current+1)
	for _, kv := range victims {
		m.record(modelChange{key: string(kv.Key), deleted: true})
	}
	response := &DeleteRangeResponse{Revision: m.latest(), Deleted: int64(len(victims))}
	if d.PrevKV {
		response.PrevKVs = victims
	}
	return response
}

func (m *model) holds(c Compare) bool {
	kvs := m.find(c.Key, c.RangeEnd, m.current)
	if len(kvs) == 0 {
		if c.Target == CompareValue {
			return false
		}
		kvs = []KeyValue{{}}
	}
	for _, kv := range kvs {
		var order int
		switch c.Target {
		case CompareVersion:
			order = cmp.Compare(kv.Version, c.Number)
		case CompareCreate:
			order = cmp.Compare(kv.CreateRevision, c.Number)
		case CompareMod:
			order = cmp.Compare(kv.ModRevision, c.Number)
		case CompareLease:
			order = cmp.Compare(kv.Lease, c.Number)
		case CompareValue:
			order = bytes.Compare(kv.Value, c.Value)
		}
		ok := map[CompareResult]bool{
			CompareEqual: order == 0, CompareNotEqual: order != 0, CompareGreater: order > 0, CompareLess: order < 0,
		}
		if !ok[c.Result] {
			return false
		}
	}
	return true
}

// chosen returns the branch that runs. It looks at m.current, which is the state before the transaction all through it.
func (m *model) chosen(t *TxnRequest) (ops []Op, succeeded bool) {
	for _, c := range t.Compare {
		if !m.holds(c) {
			return t.Failure, false
		}
	}
	return t.Success, true
}

func (m *model) checkTxn(t *TxnRequest) error {
	ops, _ := m.chosen(t)
	for _, o := range ops {
		var err error
		switch {
		case o.Range != nil:
			err = m.checkRevision(o.Range.Revision)
		case o.Put != nil:
			err = m.checkPut(o.Put)
		case o.Txn != nil:
			err = m.checkTxn(o.Txn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *model) txn(t *TxnRequest) *TxnResponse {
	ops, succeeded := m.chosen(t)
	response := &TxnResponse{Succeeded: succeeded}
	for _, o := range ops {
		var answer OpResponse
		switch {
		case o.Range != nil:
			r := m.rangeKeys(*o.Range)
			answer.Range = &r
		case o.Put != nil:
			answer.Put = m.put(o.Put)
		case o.DeleteRange != nil:
			answer.DeleteRange = m.deleteRange(o.DeleteRange)
		case o.Txn != nil:
			answer.Txn = m.txn(o.Txn)
		}
		response.Responses = append(response.Responses, answer)
	}
	return response
}

// apply applies a command that has passed Check.
func (m *model) apply(c Command) (r Response) {
	switch {
	case c.Put != nil:
		if r.Err = m.checkPut(c.Put); r.Err == nil {
			r.Put = m.put(c.Put)
		}
	case c.DeleteRange != nil:
		r.DeleteRange = m.deleteRange(c.DeleteRange)
	case c.Txn != nil:
		if r.Err = m.checkTxn(c.Txn); r.Err == nil {
			r.Txn = m.txn(c.Txn)
			r.Txn.Revision = m.latest()
		}
	case c.Compact != nil:
		switch {
		case c.Compact.Revision <= m.compacted:
			r.Err = ErrCompacted
		case c.Compact.Revision > m.current:
			r.Err = ErrFutureRevision
		default:
			m.compact(c.Compact.Revision)
			r.Compact = &CompactResponse{Revision: m.current}
		}
	}
	m.current = m.latest()
	m.pending = 0
	return r
}

// compact removes from disk what etcd's compaction does: every version that is not the newest of its key at the
// revision, and that one too if it is a tombstone from before the revision.
func (m *model) compact(revision int64) {
	m.compacted = revision
	newest := map[string]modelChange{}
	for _, c := range m.disk {
		if c.main <= revision {
			newest[c.key] = c
		}
	}
	m.disk = slices.DeleteFunc(m.disk, func(c modelChange) bool {
		n := newest[c.key]
		return c.main <= revision && (c.main != n.main || c.sub != n.sub || c.deleted && c.main < revision)
	})
}

func (m *model) hashKV(revision int64) uint32 {
	keep := map[[2]int64]bool{}
	newest := map[string]modelChange{}
	for _, c := range m.disk {
		if c.main <= revision {
			newest[c.key] = c
		}
	}
	for _, c := range newest {
		if !c.deleted {
			keep[[2]int64{c.main, c.sub}] = true
		}
	}
	b := []byte("key")
	for _, c := range m.disk {
		if c.main > revision || c.main <= m.compacted && len(keep) > 0 && !keep[[2]int64{c.main, c.sub}] {
			continue
		}
		b = binary.BigEndian.AppendUint64(b, uint64(c.main))
		b = binary.BigEndian.AppendUint64(append(b, '_'), uint64(c.sub))
		kv := c.kv
		if c.deleted {
			b = append(b, 't')
			kv = KeyValue{Key: []byte(c.key)}
		}
		b = append(b, 1<<3|2, byte(len(kv.Key))) // keys and values of the model are shorter than 128 bytes
		b = append(b, kv.Key...)
		for i, n := range []int64{kv.CreateRevision, kv.ModRevision, kv.Version} {
			if n != 0 {
				b = binary.AppendUvarint(append(b, byte(i+2)<<3), uint64(n))
			}
		}
		if len(kv.Value) > 0 {
			b = append(append(b, 5<<3|2, byte(len(kv.Value))), kv.Value...)
		}
	}
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
}
