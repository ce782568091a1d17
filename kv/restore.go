package kv

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// numberMax bounds the revisions and versions that are read: from there no store ever counts beyond an int64.
const numberMax = 1 << 62

// Restore replaces the state by that of a snapshot, which it reads to its end, all or nothing: after an error the
// store is as it was. What Restore reads it checks, so that nothing enters that commands could not have made; it
// also refuses a snapshot that is older than the store, for revisions never go back. Errors of the reader are
// wrapped; one that ends too early is io.ErrUnexpectedEOF.
//
// Restore is called as Apply is, and never at the same time. Reads go on: they see the old state until all of the new
// one is there, and those that have begun before, and snapshots being written, see the old one to their end. So
// memory must hold both, but for a store that is empty, as a member's is when it starts.
func (s *Store) Restore(r io.Reader) error {
	restored, err := readSnapshot(r)
	if err != nil {
		return fmt.Errorf("kv: restore snapshot: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if restored.current < s.current || restored.compacted < s.compacted {
		return fmt.Errorf("kv: restore snapshot: it is of revision %d, compacted at %d, and the store has been at revision %d, "+
			"compacted at %d: restore it into an empty store, if going back is what you want",
			restored.current, restored.compacted, s.current, s.compacted)
	}
	s.state = restored
	return nil
}

// readSnapshot reads a snapshot and the end after it.
func readSnapshot(r io.Reader) (state, error) {
	b := blockReader{r: bufio.NewReaderSize(r, keysBlockBytes)}
	l := loader{state: newState()}
	if err := b.start(); err != nil {
		return state{}, err
	}
	if err := b.only(blockRevisions, l.revisions); err != nil {
		return state{}, err
	}
	if err := b.only(blockMembers, l.published); err != nil {
		return state{}, err
	}
	if err := b.next(); err != nil {
		return state{}, err
	}
	for b.kind == blockKeys {
		if err := b.decode(l.versions); err != nil {
			return state{}, err
		}
		if err := b.next(); err != nil {
			return state{}, err
		}
	}
	if b.kind == blockPeerURLs {
		if err := errors.Join(b.decode(l.peerURLs), b.next()); err != nil {
			return state{}, err
		}
	}
	if err := b.decodeAs(blockEnd, l.end); err != nil {
		return state{}, err
	}
	l.keys.loaded()
	if err := l.makeChangeLog(); err != nil {
		return state{}, err
	}
	return l.state, b.end()
}

// blockReader reads blocks and checks their sums.
type blockReader struct {
	r       *bufio.Reader
	sum     uint32 // as the writer's
	n       int    // blocks so far
	kind    byte   // of the last
	payload []byte // of the last; valid until the next
}

func (b *blockReader) start() error {
	head := make([]byte, len(snapshotMagic)+1)
	if err := b.readFull(head); err != nil {
		return err
	}
	if string(head[:len(snapshotMagic)]) != snapshotMagic {
		return fmt.Errorf("it begins with %q and not with %q: it is no snapshot of a key-value store",
			head[:len(snapshotMagic)], snapshotMagic)
	}
	if format := head[len(snapshotMagic)]; format != snapshotFormat {
		return fmt.Errorf("it has format %d, this version of Balsa reads format %d: use a version that reads both",
			format, snapshotFormat)
	}
	b.sum = crc32.Update(0, castagnoli, head)
	return nil
}

// readFull fills p. There is always more to come, so an end is an error.
func (b *blockReader) readFull(p []byte) error {
	_, err := io.ReadFull(b.r, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends early, after %d blocks: %w", b.n, io.ErrUnexpectedEOF)
	}
	return err
}

// next reads a block.
func (b *blockReader) next() error {
	var head [blockHeadBytes]byte
	if err := b.readFull(head[:]); err != nil {
		return err
	}
	if err := b.readPayload(int64(binary.LittleEndian.Uint32(head[1:]))); err != nil {
		return err
	}
	b.sum = crc32.Update(b.sum, castagnoli, head[:])
	b.sum = crc32.Update(b.sum, castagnoli, b.payload)
	var sum [blockSumBytes]byte
	if err := b.readFull(sum[:]); err != nil {
		return err
	}
	if got := binary.LittleEndian.Uint32(sum[:]); got != b.sum {
		return fmt.Errorf("its block %d has checksum %08x and the bytes have %08x: it is damaged; use another copy",
			b.n, got, b.sum)
	}
	b.n++
	b.kind = head[0]
	return nil
}

// readPayload makes room step by step, as the bytes come: a length is not to be believed.
func (b *blockReader) readPayload(n int64) error {
	b.payload = b.payload[:0]
	for n > 0 {
		have := len(b.payload)
		step := int(min(n, max(keysBlockBytes, int64(have))))
		b.payload = append(b.payload, make([]byte, step)...)
		if err := b.readFull(b.payload[have:]); err != nil {
			return err
		}
		n -= int64(step)
	}
	return nil
}

// only reads a block that must be of the kind, and decodes it.
func (b *blockReader) only(kind byte, decode func(*decoder)) error {
	if err := b.next(); err != nil {
		return err
	}
	return b.decodeAs(kind, decode)
}

func (b *blockReader) decodeAs(kind byte, decode func(*decoder)) error {
	switch b.kind {
	case kind:
		return b.decode(decode)
	case blockRevisions, blockMembers, blockKeys, blockPeerURLs, blockEnd:
		return fmt.Errorf("its block %d is of kind %d where one of kind %d belongs", b.n-1, b.kind, kind)
	}
	return fmt.Errorf("its block %d is of kind %d, which is unknown: a newer version of Balsa wrote it; use that one",
		b.n-1, b.kind)
}

// decode decodes all of the block.
func (b *blockReader) decode(decode func(*decoder)) error {
	d := decoder{rest: b.payload}
	decode(&d)
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes follow its end", len(d.rest))
	}
	if d.err != nil {
		return fmt.Errorf("its block %d, of kind %d: %w", b.n-1, b.kind, d.err)
	}
	return nil
}

// end checks that nothing follows. A reader that checks what it reads may have its say only here.
func (b *blockReader) end() error {
	switch _, err := b.r.ReadByte(); {
	case err == nil:
		return errors.New("bytes follow its end")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// loader builds a state from the payloads of blocks. What it accepts, commands could have made.
type loader struct {
	state
	chain    *chain // the key whose versions are being read; nil: the next one begins
	key      []byte // the bytes of the last key
	count    uint64 // versions so far
	recorded int    // versions so far of which a compaction has yet to hear, see makeChangeLog
}

func (l *loader) revisions(d *decoder) {
	current := d.uvarint()
	l.compacted = d.varint()
	switch {
	case d.err != nil:
	case current < 1 || current > numberMax:
		d.fail("revision %d is out of range", current)
	case l.compacted < -1 || l.compacted > int64(current):
		d.fail("at revision %d it is compacted at %d", current, l.compacted)
	}
	l.current = int64(current)
}

func (l *loader) published(d *decoder) {
	last := uint64(0)
	for i := range d.count(3) {
		m := d.publish()
		if d.err != nil {
			return
		}
		if i > 0 && m.ID <= last {
			d.fail("member %d comes after member %d", m.ID, last)
			return
		}
		last = m.ID
		l.members[m.ID] = *m
	}
}

// peerURLs reads the block of the members that have any. All of them are among those that came before.
func (l *loader) peerURLs(d *decoder) {
	last := uint64(0)
	n := d.count(3)
	if n == 0 {
		d.fail("nobody is in it")
	}
	for i := range n {
		p := d.peerURLs()
		m, ok := l.members[p.ID]
		switch {
		case d.err != nil:
			return
		case !ok || len(p.URLs) == 0 || i > 0 && p.ID <= last:
			d.fail("member %d is unknown, has no URLs or comes after member %d", p.ID, last)
			return
		}
		last, m.PeerURLs = p.ID, p.URLs
		l.members[p.ID] = m
	}
}

// versions reads a keys block.
func (l *loader) versions(d *decoder) {
	for len(d.rest) > 0 {
		if l.chain == nil {
			l.beginKey(d)
		}
		v, last := l.version(d)
		if d.err != nil {
			return
		}
		l.chain.push(v)
		l.bytes += v.bytes()
		l.count++
		if l.isRecorded(&v) {
			l.recorded++
		}
		if last {
			l.chain = nil
		}
	}
}

func (l *loader) beginKey(d *decoder) {
	shared, rest := d.uvarint(), d.bytes()
	if d.err == nil && shared > uint64(len(l.key)) {
		d.fail("a key has %d bytes of one of %d", shared, len(l.key))
	}
	if d.err != nil {
		return
	}
	// Beyond what is shared the new key must be greater, or else it is not.
	if bytes.Compare(rest, l.key[shared:]) <= 0 {
		d.fail("key %q%q comes after key %q", l.key[:shared], rest, l.key)
		return
	}
	l.key = append(l.key[:shared], rest...)
	l.chain = &chain{key: string(l.key)}
	l.keys.load(l.chain)
	l.bytes += chainBytes + int64(len(l.key))
}

// version reads the next version of l.chain and says whether it is the key's last.
func (l *loader) version(d *decoder) (v version, last bool) {
	flags := d.flags(versionFlags)
	if d.err != nil {
		return version{}, false
	}
	tombstone := flags&versionTombstone != 0
	previous := &l.chain.latest // zero before the first
	step, sub := d.uvarint(), d.uvarint()
	if step > uint64(l.current-previous.mod) || sub > math.MaxInt32 {
		d.fail("a version of %q is %d revisions after %d, change %d: that is out of range",
			l.chain.key, step, previous.mod, sub)
		return version{}, false
	}
	v.mod, v.sub = previous.mod+int64(step), int32(sub)
	switch {
	case tombstone:
	case previous.tombstone():
		v.create, v.number = v.mod, 1
	default:
		v.create, v.number = previous.create, previous.number+1
	}
	if flags&versionCreatedBefore != 0 {
		l.createdBefore(d, &v)
	}
	if flags&versionLease != 0 {
		if v.lease = d.varint(); v.lease == 0 || tombstone {
			d.fail("a version of %q has a lease that can not be", l.chain.key)
		}
	}
	if !tombstone {
		v.value = bytes.Clone(d.bytes())
	}
	l.check(d, &v)
	return v, flags&versionLast != 0
}

// createdBefore reads what versions that are not there would tell.
func (l *loader) createdBefore(d *decoder, v *version) {
	before, number := d.uvarint(), d.uvarint()
	switch {
	case d.err != nil:
		return
	case v.tombstone() || l.chain.latest.mod != 0 || v.mod > l.compacted:
		d.fail("a version of %q is told to be created before, as only the first that a compaction left can be", l.chain.key)
	case before > uint64(v.mod)-2 || number < 2 || number > numberMax:
		d.fail("version %d of %q is created %d revisions before %d: that is out of range", number, l.chain.key, before, v.mod)
	}
	v.create, v.number = v.mod-int64(before), int64(number)
}

// check checks that the version can follow the latest of l.chain.
func (l *loader) check(d *decoder, v *version) {
	previous := &l.chain.latest
	switch first := previous.mod == 0; {
	case d.err != nil:
	case v.mod < 2:
		d.fail("%q has a version at revision %d, which has no changes", l.chain.key, v.mod)
	case !first && !previous.before(v.moment()):
		d.fail("%q has versions at %v and then %v", l.chain.key, previous.moment(), v.moment())
	case !first && v.mod <= l.compacted:
		d.fail("%q has more than one version at %v, of which the compaction at %d would have left one",
			l.chain.key, v.moment(), l.compacted)
	case v.tombstone() && first && v.mod != l.compacted, v.tombstone() && !first && previous.tombstone():
		d.fail("%q is deleted at %v and was not there", l.chain.key, v.moment())
	}
}

func (l *loader) end(d *decoder) {
	keys, versions := d.uvarint(), d.uvarint()
	switch {
	case d.err != nil:
	case l.chain != nil:
		d.fail("the versions of %q do not end", l.chain.key)
	case keys != uint64(l.keys.sorted.Len()) || versions != l.count:
		d.fail("%d versions of %d keys are announced, %d of %d were there", versions, keys, l.count, l.keys.sorted.Len())
	}
}

// isRecorded says whether the version is in the change log of a store that has freed all it can.
func (l *loader) isRecorded(v *version) bool {
	return v.mod > l.compacted || v.mod == l.compacted && v.tombstone()
}

// makeChangeLog finds the changes since the last compaction in the keys' versions and brings them into their order,
// which is known: each revision has changes, numbered from 0. It fails if that is not so.
func (l *loader) makeChangeLog() error {
	floor := max(l.compacted, 1) // revision 1 has no changes
	revisions := l.current - floor
	if revisions > int64(l.recorded) {
		return fmt.Errorf("it has %d changes for the %d revisions from %d to %d", l.recorded, revisions, floor, l.current)
	}
	// starts[i] is where the changes of revision floor+i start. Those of floor itself are tombstones, in any order.
	starts := make([]int, revisions+2)
	l.eachRecorded(func(_ *chain, v *version) bool {
		starts[v.mod-floor+1]++
		return true
	})
	for i := range revisions + 1 {
		if i > 0 && starts[i+1] == 0 {
			return fmt.Errorf("it has no change for revision %d", floor+i)
		}
		starts[i+1] += starts[i]
	}
	l.changes = newChangeLog(l.recorded)
	var err error
	tombstones := 0
	l.eachRecorded(func(c *chain, v *version) bool {
		i := v.mod - floor
		at := starts[i] + int(v.sub)
		if i == 0 {
			at = tombstones
			tombstones++
		}
		if at >= starts[i+1] || l.changes.at(at).chain != nil {
			err = fmt.Errorf("%q is change %d of revision %d, which has %d changes, each of another number",
				c.key, v.sub, v.mod, starts[i+1]-starts[i])
			return false
		}
		l.changes.set(at, change{revision: v.mod, chain: c})
		return true
	})
	return err
}

func (l *loader) eachRecorded(visit func(*chain, *version) bool) {
	l.keys.ascend("", func(c *chain) bool {
		for v := range c.from(moment{mod: l.compacted}) {
			if l.isRecorded(v) && !visit(c, v) {
				return false
			}
		}
		return true
	})
}
