package kv

import (
	"cmp"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"slices"
)

// HashKVResponse is the answer of HashKV.
type HashKVResponse struct {
	Hash            uint32
	HashRevision    int64 // the revision that was hashed
	CompactRevision int64 // of the last compaction; -1: none
	Revision        int64 // the store's at the time
}

// hashed is a version on its way into a hash.
type hashed struct {
	key string
	version
	kept bool // a compaction at the hashed revision would keep it
}

// HashKV hashes the keys' history up to a revision, 0 for the latest, bit by bit as etcd's HashKV: two members, or a
// member of etcd's, with the same history up to there and the same last compaction have the same hash. It reads and
// sorts all versions, and takes memory for as many. Errors are ErrCompacted and ErrFutureRevision.
func (s *Store) HashKV(revision int64) (HashKVResponse, error) {
	v := s.begin()
	defer v.end()
	return v.hashKV(revision)
}

func (v *view) hashKV(revision int64) (HashKVResponse, error) {
	if revision <= 0 {
		revision = v.current
	}
	if err := v.checkRevision(&RangeRequest{Revision: revision}); err != nil {
		return HashKVResponse{}, err
	}
	versions, anyKept := v.history(revision)
	slices.SortFunc(versions, func(a, b hashed) int {
		return cmp.Or(cmp.Compare(a.mod, b.mod), cmp.Compare(a.sub, b.sub))
	})
	sum := crc32.New(castagnoli)
	sum.Write([]byte("key"))
	var b []byte
	for i := range versions {
		h := &versions[i]
		// Up to the last compaction etcd leaves out what a compaction at the hashed revision would remove; unless
		// that would remove everything.
		if h.mod <= v.compacted && anyKept && !h.kept {
			continue
		}
		b = h.appendEtcd(b[:0])
		sum.Write(b)
	}
	return HashKVResponse{
		Hash: sum.Sum32(), HashRevision: revision, CompactRevision: v.compacted, Revision: v.current,
	}, nil
}

// history collects the versions up to a revision without those that the last compaction made superfluous, whether
// they are freed or not. It says whether any of them is kept.
func (v *view) history(revision int64) (versions []hashed, anyKept bool) {
	v.chains("", func(c *chain) bool {
		now := c.at(revision)
		for ver := range c.from(c.firstKept(v.compacted)) {
			if ver.mod > revision {
				break
			}
			versions = append(versions, hashed{key: c.key, version: *ver, kept: ver == now})
			anyKept = anyKept || ver == now
		}
		return true
	})
	return versions, anyKept
}

// appendEtcd appends what etcd hashes of a version: its revision, and the protocol buffer of the key and value.
func (h *hashed) appendEtcd(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(h.mod))
	b = append(b, '_')
	b = binary.BigEndian.AppendUint64(b, uint64(h.sub))
	if h.tombstone() {
		b = append(b, 't')
		return appendProtoBytes(b, 1, h.key)
	}
	b = appendProtoBytes(b, 1, h.key)
	b = appendProtoNumber(b, 2, h.create)
	b = appendProtoNumber(b, 3, h.mod)
	b = appendProtoNumber(b, 4, h.number)
	b = appendProtoBytes(b, 5, h.value)
	return appendProtoNumber(b, 6, h.lease)
}

func appendProtoBytes[T string | []byte](b []byte, field uint64, v T) []byte {
	if len(v) == 0 {
		return b
	}
	b = binary.AppendUvarint(b, field<<3|2)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

func appendProtoNumber(b []byte, field uint64, v int64) []byte {
	if v == 0 {
		return b
	}
	b = binary.AppendUvarint(b, field<<3)
	return binary.AppendUvarint(b, uint64(v))
}

// Hash hashes all that members must agree on: the keys' history, the revisions and what members published. Members
// that have applied the same commands have the same hash.
func (s *Store) Hash() uint32 {
	v := s.begin()
	defer v.end()
	sum := crc32.New(castagnoli)
	members := s.membersLocked() // before anything lets go of the lock
	kv, err := v.hashKV(0)
	if err != nil {
		panic(err) // unreachable: the latest revision is never compacted
	}
	writeNumbers(sum, uint64(kv.Hash), uint64(kv.Revision), uint64(kv.CompactRevision))
	for _, m := range members {
		sum.Write(appendPublish(nil, &m))
		sum.Write(appendURLs(nil, m.PeerURLs))
	}
	return sum.Sum32()
}

func writeNumbers(sum hash.Hash32, numbers ...uint64) {
	for _, n := range numbers {
		sum.Write(binary.BigEndian.AppendUint64(nil, n))
	}
}
