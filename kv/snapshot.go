package kv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// A snapshot is a few blocks, each with its checksum (docs/formats.md has every field):
//
//	"BLSk" format | revisions | members | keys | keys | ... | peer URLs | end
//
//	block = kind, payload length, payload, crc32c
//
// The versions of all keys, in the order of keys and then of age, run through the keys blocks as if these were one.
// What it says depends on the state alone: not on how far trim has come, nor on the history of the process.
const (
	snapshotMagic  = "BLSk"
	snapshotFormat = 1
)

// The kinds of blocks, in the order in which they come. 3 is kept for leases and 4 for alarms.
const (
	blockRevisions byte = 1
	blockMembers   byte = 2
	blockKeys      byte = 5
	blockPeerURLs  byte = 6 // left out if there are none
	blockEnd       byte = 255
)

const (
	blockHeadBytes = 5
	blockSumBytes  = 4
	// keysBlockBytes is how long the payload of a keys block is when the next one is begun.
	keysBlockBytes = 64 << 10
)

const (
	versionLast uint64 = 1 << iota // of its key
	versionTombstone
	versionCreatedBefore // the versions since the key was created are not all there
	versionLease
	versionFlags = iota
)

// versionsPerSlice is how many versions are copied before others may have the lock: about 50 us.
const versionsPerSlice = 128

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot pins the state as it is now and returns a function that writes it: every version of every key back to the
// last compaction, tombstones included, the revisions, and what members published. It takes a moment however large
// the state is. Members with equal state write equal bytes.
//
// Snapshot is called between two calls of Apply; write by any goroutine, while Apply and reads go on. It holds the
// lock for short moments, never while the writer writes, and takes memory for a few blocks. As long as it has not
// returned, what a compaction makes superfluous is not freed: write must be called exactly once, with a writer that
// fails if the snapshot is not wanted any more. A second call fails. Its errors are those of the writer, wrapped.
func (s *Store) Snapshot() (write func(io.Writer) error, err error) {
	return s.snapshot().write, nil
}

// snapshot is a pinned state on its way out.
type snapshot struct {
	view     view
	members  []MemberAttributes
	versions []located // the slice being written
	size     int       // of keys blocks
}

// located is a version with its key.
type located struct {
	version
	key  string
	last bool // the key has no later version
}

func (s *Store) snapshot() *snapshot {
	p := &snapshot{versions: make([]located, 0, versionsPerSlice), size: keysBlockBytes}
	p.view = s.begin()
	defer s.mu.RUnlock()
	p.view.pin()
	p.members = s.membersLocked()
	return p
}

func (p *snapshot) write(w io.Writer) error {
	if !p.view.pinned {
		return errors.New("kv: write snapshot: it has been written before; take another")
	}
	defer p.view.unpin()
	b := blockWriter{w: w}
	b.start()
	b.payload = binary.AppendUvarint(b.payload, uint64(p.view.current))
	b.payload = binary.AppendVarint(b.payload, p.view.compacted)
	b.finish(blockRevisions)
	b.payload = binary.AppendUvarint(b.payload, uint64(len(p.members)))
	for i := range p.members {
		b.payload = appendPublish(b.payload, &p.members[i])
	}
	b.finish(blockMembers)
	end := p.writeKeys(&b)
	p.writePeerURLs(&b)
	b.payload = append(b.payload, end...)
	b.finish(blockEnd)
	if b.err != nil {
		return fmt.Errorf("kv: write snapshot: %w", b.err)
	}
	return nil
}

// writePeerURLs writes the block of the members that have any.
func (p *snapshot) writePeerURLs(b *blockWriter) {
	n := uint64(0)
	var all []byte
	for i := range p.members {
		if m := &p.members[i]; len(m.PeerURLs) > 0 {
			n++
			all = appendPeerURLs(all, &MemberPeerURLs{m.ID, m.PeerURLs})
		}
	}
	if n > 0 {
		b.payload = append(binary.AppendUvarint(b.payload, n), all...)
		b.finish(blockPeerURLs)
	}
}

// writeKeys writes the keys blocks and returns what the end's says of them.
func (p *snapshot) writeKeys(b *blockWriter) (end []byte) {
	var encoder versionEncoder
	at, more := place{}, true
	for more && b.err == nil {
		at, more = p.copyVersions(at)
		for i := range p.versions {
			b.payload = encoder.append(b.payload, &p.versions[i])
			if len(b.payload) >= p.size {
				b.finish(blockKeys)
			}
		}
	}
	if len(b.payload) > 0 {
		b.finish(blockKeys)
	}
	return binary.AppendUvarint(binary.AppendUvarint(nil, encoder.keys), encoder.versions)
}

// place is where the next slice begins: with the first version of the key, or of one after it, that was made at the
// moment or later.
type place struct {
	key string
	moment
}

// copyVersions copies the versions from a place on, as many as fit p.versions, and returns the next place; false if
// there is none. Without the copies, whoever overwrites a key would change what is written.
func (p *snapshot) copyVersions(at place) (next place, more bool) {
	v := &p.view
	v.s.mu.RLock()
	defer v.s.mu.RUnlock()
	p.versions = p.versions[:0]
	visited := 0
	v.keys.ascend(at.key, func(c *chain) bool {
		if visited++; visited > scanChunk {
			next, more = place{key: c.key}, true
			return false
		}
		from := c.firstKept(v.compacted)
		if c.key == at.key && from.before(at.moment) {
			from = at.moment
		}
		for ver := range c.from(from) {
			if ver.mod > v.current {
				break
			}
			if len(p.versions) == cap(p.versions) {
				next, more = place{key: c.key, moment: ver.moment()}, true
				return false
			}
			p.versions = append(p.versions, located{version: *ver, key: c.key})
		}
		if n := len(p.versions); n > 0 && p.versions[n-1].key == c.key {
			p.versions[n-1].last = true
		}
		return true
	})
	return next, more
}

// versionEncoder appends versions as the keys blocks have them: each with what the one before does not tell.
type versionEncoder struct {
	key            string  // of the last key that was begun
	previous       version // of that key; none: zero
	keys, versions uint64
}

func (e *versionEncoder) append(b []byte, v *located) []byte {
	first := e.previous.mod == 0
	if first {
		shared := commonPrefix(e.key, v.key)
		b = binary.AppendUvarint(b, uint64(shared))
		b = appendString(b, v.key[shared:])
		e.key = v.key
		e.keys++
	}
	createdBefore := first && v.number > 1
	b = binary.AppendUvarint(b, flag(v.last, versionLast)|flag(v.tombstone(), versionTombstone)|
		flag(createdBefore, versionCreatedBefore)|flag(v.lease != 0, versionLease))
	b = binary.AppendUvarint(b, uint64(v.mod-e.previous.mod))
	b = binary.AppendUvarint(b, uint64(v.sub))
	if createdBefore {
		b = binary.AppendUvarint(b, uint64(v.mod-v.create))
		b = binary.AppendUvarint(b, uint64(v.number))
	}
	b = appendNonZero(b, v.lease)
	if !v.tombstone() {
		b = appendBytes(b, v.value)
	}
	e.previous = v.version
	if v.last {
		e.previous = version{}
	}
	e.versions++
	return b
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// blockWriter writes blocks until the first error, which stays.
type blockWriter struct {
	w       io.Writer
	payload []byte // of the next block
	out     []byte
	sum     uint32 // of everything so far but checksums, so that no block fits another place or snapshot
	err     error
}

func (b *blockWriter) start() {
	b.out = append(append(b.out, snapshotMagic...), snapshotFormat)
	b.sum = crc32.Update(0, castagnoli, b.out)
}

// finish writes a block of what has been gathered in payload, which it empties.
func (b *blockWriter) finish(kind byte) {
	if b.err == nil && uint64(len(b.payload)) > math.MaxUint32 {
		b.err = fmt.Errorf("a block of %d bytes is longer than its length can tell", len(b.payload))
	}
	if b.err != nil {
		b.payload = b.payload[:0]
		return
	}
	began := len(b.out) // zero, but for the first block
	b.out = append(b.out, kind)
	b.out = binary.LittleEndian.AppendUint32(b.out, uint32(len(b.payload)))
	b.out = append(b.out, b.payload...)
	b.sum = crc32.Update(b.sum, castagnoli, b.out[began:])
	b.out = binary.LittleEndian.AppendUint32(b.out, b.sum)
	_, b.err = b.w.Write(b.out)
	b.out, b.payload = b.out[:0], b.payload[:0]
}
