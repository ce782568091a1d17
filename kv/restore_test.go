package kv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// refuses restores from the reader into a store that has something, expects an error and nothing else, and returns it.
func refuses(t *testing.T, r io.Reader) error {
	t.Helper()
	s := storeOf(put("old", "1"), publish(1, "me"))
	hash, size := s.Hash(), s.Size()
	err := s.Restore(r)
	if err == nil {
		t.Error("it is accepted")
		return errors.New("none")
	}
	if s.Hash() != hash || s.Size() != size || dump(t, s, 0) != "old=1@2.2.1" || len(s.Members()) != 1 {
		t.Errorf("after %q the store is not as it was", err)
	}
	if r := mustApply(s, put("old", "2")); r.Put.Revision != 3 {
		t.Errorf("after %q the store goes on at revision %d", err, r.Put.Revision)
	}
	return err
}

func TestRestoreIsAllOrNothing(t *testing.T) {
	small := goldenBytes(t, snapshotGoldens[1].blocks)
	large := snapshotOf(t, largeStore())
	ends := []int{len(large) - 1, len(large) - 4, len(large) / 2, 1000}
	for n := range small {
		if err := refuses(t, bytes.NewReader(small[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the first %d bytes of %d: %v", n, len(small), err)
		}
	}
	for _, n := range ends {
		if err := refuses(t, bytes.NewReader(large[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the first %d bytes of %d: %v", n, len(large), err)
		}
	}
	for i := range small {
		for bit := range 8 {
			damaged := bytes.Clone(small)
			damaged[i] ^= 1 << bit
			refuses(t, bytes.NewReader(damaged))
		}
	}
	refuses(t, bytes.NewReader(append(bytes.Clone(small), 0)))
	refuses(t, io.MultiReader(bytes.NewReader(small), bytes.NewReader(small)))
	broken := errors.New("checksum of the file is wrong")
	for _, n := range append(ends, 0, len(large)) { // the last: after the last byte, instead of io.EOF
		r := io.MultiReader(bytes.NewReader(large[:n]), iotest.ErrReader(broken))
		if err := refuses(t, r); !errors.Is(err, broken) {
			t.Errorf("an error of the reader after %d bytes of %d comes out as %v", n, len(large), err)
		}
	}
}

func TestRestoreFromAnyReader(t *testing.T) {
	s := largeStore()
	b := snapshotOf(t, s)
	for name, r := range map[string]io.Reader{
		"one byte": iotest.OneByteReader(bytes.NewReader(b)),
		"half":     iotest.HalfReader(bytes.NewReader(b)),
		"data err": iotest.DataErrReader(bytes.NewReader(b)),
	} {
		again := New()
		if err := again.Restore(r); err != nil || again.Hash() != s.Hash() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRestoreRefuses has snapshots whose checksums are right and that say what no store does.
func TestRestoreRefuses(t *testing.T) {
	// The revisions block of a store at revision 5 that is compacted at 3; one of no members; the end.
	at := func(current, compacted int64) string {
		b := binary.AppendVarint(binary.AppendUvarint(nil, uint64(current)), compacted)
		return block(blockRevisions, fmt.Sprintf("%x", b))
	}
	none := block(blockMembers, "00")
	keys := func(payload string) string { return block(blockKeys, payload) }
	end := func(keys, versions int) string { return block(blockEnd, fmt.Sprintf("%02x%02x", keys, versions)) }
	of := func(current, compacted int64, payload string, count ...int) []string {
		if count == nil {
			count = []int{1, 1}
		}
		return []string{at(current, compacted), none, keys(payload), end(count[0], count[1])}
	}
	for _, test := range []struct {
		name, want string // "": it is accepted
		blocks     []string
	}{
		{"put at 2", "", of(2, -1, "000161"+"01020000")},
		{"nothing", "ends early", nil},
		{"no end", "ends early", []string{at(1, -1), none}},
		{"no revisions", "kind 2 where one of kind 1 belongs", []string{none, end(0, 0)}},
		{"no members", "kind 255 where one of kind 2 belongs", []string{at(1, -1), end(0, 0)}},
		{"members twice", "kind 2 where one of kind 255 belongs", []string{at(1, -1), none, none, end(0, 0)}},
		{"leases", "kind 3, which is unknown", []string{at(1, -1), none, block(3, "00"), end(0, 0)}},
		{"alarms after keys", "kind 4, which is unknown", []string{at(1, -1), none, keys(""), block(4, ""), end(0, 0)}},
		{"empty revisions", "cut off", []string{block(blockRevisions, ""), none, end(0, 0)}},
		{"long revisions", "1 bytes follow", []string{block(blockRevisions, "010100"), none, end(0, 0)}},
		{"revision 0", "revision 0 is out of range", []string{at(0, -1), none, end(0, 0)}},
		{"revision of 2^62+1", "out of range", []string{at(numberMax+1, numberMax+1), none, end(0, 0)}},
		{"revision of 2^62, compacted", "", []string{at(numberMax, numberMax), none, end(0, 0)}},
		{"compacted at -2", "compacted at -2", []string{at(1, -2), none, end(0, 0)}},
		{"compacted in the future", "compacted at 3", []string{at(2, 3), none, end(0, 0)}},
		{"2^40 members", "announced", []string{at(1, -1), block(blockMembers, "808080808020"), end(0, 0)}},
		{"members out of order", "member 1 comes after member 2",
			[]string{at(1, -1), block(blockMembers, "02"+"020000"+"010000"), end(0, 0)}},
		{"a member twice", "member 0 comes after", []string{at(1, -1), block(blockMembers, "02"+"000000"+"000000"), end(0, 0)}},
		{"peer URLs of nobody", "nobody is in it", []string{at(1, -1), none, block(blockPeerURLs, "00"), end(0, 0)}},
		{"peer URLs of a stranger", "member 1 is unknown", []string{at(1, -1), none, block(blockPeerURLs, "01"+"01"+"010161"), end(0, 0)}},
		{"peer URLs that are none", "has no URLs", []string{at(1, -1), block(blockMembers, "01"+"010000"), block(blockPeerURLs, "01"+"0100"+"00"), end(0, 0)}},
		{"peer URLs twice", "comes after member 1", []string{at(1, -1), block(blockMembers, "01"+"010000"),
			block(blockPeerURLs, "02"+"01010161"+"01010161"), end(0, 0)}},
		{"peer URLs before keys", "kind 5 where one of kind 255 belongs", []string{at(2, -1), block(blockMembers, "01"+"010000"),
			block(blockPeerURLs, "01"+"01010161"), keys("000161" + "01020000"), end(1, 1)}},
		{"keys miscounted", "1 versions of 2 keys are announced", of(2, -1, "000161"+"01020000", 2, 1)},
		{"versions miscounted", "2 versions of 1 keys are announced", of(2, -1, "000161"+"01020000", 1, 2)},
		{"a key that does not end", `versions of "a" do not end`, of(2, -1, "000161"+"00020000")},
		{"an empty key", "comes after", of(2, -1, "0000"+"01020000")},
		{"more shared than there is", "1 bytes of one of 0", of(2, -1, "010161"+"01020000")},
		{"keys out of order", "comes after", of(3, -1, "000162"+"01020000"+"000161"+"01030000", 2, 2)},
		{"a key twice", "comes after", of(3, -1, "000161"+"01020000"+"0100"+"01030000", 2, 2)},
		{"less shared than could be", "", of(3, -1, "000161"+"01020000"+"00026162"+"01030000", 2, 2)},
		{"versions out of order", "has versions at {2 1} and then {2 0}", of(2, -1, "000161"+"00020100"+"01000000", 1, 2)},
		{"a version twice", "has versions at {2 0} and then {2 0}", of(2, -1, "000161"+"00020000"+"01000000", 1, 2)},
		{"a version after the last revision", "out of range", of(2, -1, "000161"+"01030000")},
		{"a version far after it", "out of range", of(2, -1, "000161"+"00020000"+"01ffffffffffffffffff010000", 1, 2)},
		{"a change number of 2^31", "out of range", of(2, -1, "000161"+"0102808080800800")},
		{"a version at revision 1", "which has no changes", of(2, -1, "000161"+"01010000")},
		{"a revision without a change", "no change for revision 3", of(4, -1, "000161"+"00020000"+"00000100"+"01020000", 1, 3)},
		{"too few changes", "1 changes for the 2 revisions", of(3, -1, "000161"+"01020000")},
		{"far too few changes", "changes for the", of(numberMax, -1, "000161"+"01020000")},
		{"changes that do not start from 0", "is change 1 of revision 2", of(2, -1, "000161"+"01020100")},
		{"a change twice", "is change 0 of revision 2", of(2, -1, "000161"+"01020000"+"000162"+"01020000", 2, 2)},
		{"a value that is cut off", "announced", of(2, -1, "000161"+"01020005")},
		{"an unknown flag", "flags 0x10 are unknown", of(2, -1, "000161"+"11020000")},
		{"lease 0", "lease that can not be", of(2, -1, "000161"+"0902000000")},
		{"a delete with a lease", "lease that can not be", of(3, -1, "000161"+"00020000"+"0b010002", 1, 2)},
		{"a delete of nothing", "was not there", of(2, -1, "000161"+"030200")},
		{"a delete of nothing, compacted", "was not there", of(3, 3, "000161"+"030200")},
		{"a delete at the compaction", "", of(3, 3, "000161"+"030300")},
		{"two deletes at the compaction", "", of(3, 3, "000161"+"030305"+"000162"+"030302", 2, 2)},
		{"a delete after a delete", "was not there", of(4, -1, "000161"+"00020000"+"020100"+"030100", 1, 3)},
		{"created before, not compacted", "told to be created before", of(3, -1, "000161"+"050300010200")},
		{"created before, not first", "told to be created before", of(4, 3, "000161"+"00020000"+"050200010200", 1, 2)},
		{"a delete created before", "told to be created before", of(3, 3, "000161"+"0703000102")},
		{"created before, version 1", "out of range", of(3, 3, "000161"+"050300010100")},
		{"created at revision 1", "out of range", of(3, 3, "000161"+"050300020200")},
		{"created before all time", "out of range", of(3, 3, "000161"+"050300ffffffffffffffffff010200")},
		{"version 2^63-1", "out of range", of(3, 3, "000161"+"05030001ffffffffffffffff7f00")},
		{"created before", "", of(3, 3, "000161"+"050300010200")},
		{"what a compaction removes", "would have left one", of(5, 4, "000161"+"00020000"+"00010000"+"01020000", 1, 3)},
	} {
		b := goldenBytes(t, test.blocks)
		if test.want == "" {
			restored(t, b)
			continue
		}
		if err := refuses(t, bytes.NewReader(b)); !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want one with %q", test.name, err, test.want)
		}
	}
	for _, test := range []struct{ start, want string }{
		{"BLSh\x01", "is no snapshot"}, {"BLSk\x02", "has format 2"}, {"BLSk\x00", "has format 0"},
	} {
		if err := refuses(t, strings.NewReader(test.start)); !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want one with %q", test.start, err, test.want)
		}
	}
}

// block returns a block in hex, without its checksum.
func block(kind byte, payload string) string {
	return fmt.Sprintf("%02x%x%s", kind, binary.LittleEndian.AppendUint32(nil, uint32(len(payload)/2)), payload)
}

// TestRestoreBelievesNoLength: what a length makes room for is bounded by what comes.
func TestRestoreBelievesNoLength(t *testing.T) {
	for _, kind := range []byte{blockRevisions, blockKeys, 77} {
		b := append([]byte("BLSk\x01"), kind, 0xff, 0xff, 0xff, 0xff)
		b = append(b, make([]byte, 1<<20)...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		refuses(t, bytes.NewReader(b))
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
			t.Errorf("a block of kind %d that ends after %d bytes takes %d bytes of memory", kind, len(b), took)
		}
	}
}

// TestRestoreKeepsTheRevision: the latest revision is what it was, even where no key tells it.
func TestRestoreKeepsTheRevision(t *testing.T) {
	s := storeOf(put("a", "1"), put("b", "1"), del("b"), del("a"), compact(5))
	for s.keys.sorted.Len() > 1 { // b is gone, the delete of a still to be reported
		applyOne(s, Command{})
	}
	again := restored(t, snapshotOf(t, s))
	if current, compacted := again.Revision(); current != 5 || compacted != 5 {
		t.Errorf("at revision %d, compacted at %d", current, compacted)
	}
	again.state.keys, again.changes = newState().keys, changeLog{} // as if that were gone too
	again = restored(t, snapshotOf(t, again))
	if r := mustApply(again, put("a", "2")); r.Put.Revision != 6 {
		t.Errorf("a put after the restore has revision %d", r.Put.Revision)
	}
	if _, err := again.Range(RangeRequest{Key: b("a"), Revision: 4}); err != ErrCompacted {
		t.Errorf("a read before the compaction: %v", err)
	}
}

// TestRestoreDoesNotGoBack: a snapshot from before what the store has seen would take back what clients were told.
func TestRestoreDoesNotGoBack(t *testing.T) {
	s := storeOf(put("a", "1"), put("a", "2"))
	first := snapshotOf(t, s)
	mustApply(s, publish(1, "me"))
	same := snapshotOf(t, s)
	if err := s.Restore(bytes.NewReader(first)); err != nil { // no revision has passed since
		t.Error(err)
	}
	if err := s.Restore(bytes.NewReader(same)); err != nil || len(s.Members()) != 1 {
		t.Error(err, s.Members())
	}
	mustApply(s, compact(2))
	if err := s.Restore(bytes.NewReader(same)); err == nil {
		t.Error("it takes back a compaction")
	}
	compacted := snapshotOf(t, s)
	mustApply(s, put("a", "3"))
	hash := s.Hash()
	for _, old := range [][]byte{first, same, compacted} {
		if err := s.Restore(bytes.NewReader(old)); err == nil || s.Hash() != hash {
			t.Errorf("an older snapshot: %v", err)
		}
	}
}

// TestRestoreUnderReads: a read that has begun, and a snapshot that is pinned, see the old state to their end, though
// the new one is compacted and applied to.
func TestRestoreUnderReads(t *testing.T) {
	s := largeStore()
	want, old := dump(t, s, 0), snapshotOf(t, s)
	write, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	other := largeStore()
	mustApply(other, del("\x00", "\x00"))
	mustApply(other, put("new", ""))
	mustApply(other, compact(other.current))
	next := snapshotOf(t, other)

	v := s.begin()
	visited := 0
	var kvs []KeyValue
	v.scan([]byte{0}, []byte{0}, v.current, func(c *chain, ver *version) bool {
		if visited++; visited == 10 {
			v.pin()
			s.mu.RUnlock()
			if err := s.Restore(bytes.NewReader(next)); err != nil {
				t.Error(err)
			}
			mustApply(s, put("hot", "newer"))
			mustApply(s, compact(s.current))
			s.mu.RLock()
		}
		kvs = append(kvs, ver.keyValue([]byte(c.key)))
		return true
	})
	v.end()
	if kvsString(kvs) != want {
		t.Error("a read that had begun does not see the old state")
	}
	if got := dump(t, s, 0); !strings.HasPrefix(got, "hot=newer@") || !strings.Contains(got, " new=@") {
		t.Errorf("a read that begins now sees %s", got)
	}
	var out bytes.Buffer
	if err := write(&out); err != nil || !bytes.Equal(out.Bytes(), old) {
		t.Errorf("the snapshot from before does not have the old state: %v", err)
	}
	if len(s.pins.set) > 0 {
		t.Errorf("pins are left: %v", s.pins.set)
	}
}

// sum gives every block of b the checksum that it should have, as far as there are blocks.
func sum(b []byte) {
	const start = len(snapshotMagic) + 1
	if len(b) < start {
		return
	}
	crc := crc32.Checksum(b[:start], castagnoli)
	for b = b[start:]; len(b) >= blockHeadBytes+blockSumBytes; {
		n := uint64(binary.LittleEndian.Uint32(b[1:])) + blockHeadBytes
		if n > uint64(len(b)-blockSumBytes) {
			return
		}
		crc = crc32.Update(crc, castagnoli, b[:n])
		binary.LittleEndian.PutUint32(b[n:], crc)
		b = b[n+blockSumBytes:]
	}
}

// FuzzRestore: nothing makes Restore panic, and what it accepts is a store like any other.
func FuzzRestore(f *testing.F) {
	for _, g := range snapshotGoldens {
		f.Add(goldenBytes(f, g.blocks))
	}
	g := storeOf(put("a", "1"), put("ab", "1"), put("a", "2"), del("ab"), put("ab", "3"), txn(TxnRequest{Success: []Op{
		putOp("b", "1"), putOp("a", "3")}}), publish(3, "x", "y"), compact(4))
	f.Add(snapshotOf(f, g))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		sum(b)
		s := New()
		if err := s.Restore(bytes.NewReader(b)); err != nil {
			if empty := New(); s.Hash() != empty.Hash() || s.Size() != 0 {
				t.Fatalf("%v, and the store is not empty", err)
			}
			return
		}
		wellFormed(t, s)
		first := snapshotOf(t, s)
		again := restored(t, first)
		if again.Hash() != s.Hash() || !bytes.Equal(snapshotOf(t, again), first) {
			t.Fatal("a snapshot of it has another state")
		}
		current := s.current
		for _, c := range []Command{put("a", "new"), del("a"), del("\x00", "\x00"), compact(current), put("b", "1"),
			compact(current + 2), compact(current + 1)} {
			if got, want := applyOne(s, c), applyOne(again, c); got.Err != want.Err || s.Hash() != again.Hash() {
				t.Fatalf("after %s they differ", show(c))
			}
			wellFormed(t, s)
		}
		for range 3 {
			mustApply(s, del("\x00", "\x00"))
			mustApply(s, put("z", ""))
			mustApply(s, compact(s.current))
			for s.changes.len > 2 && s.changes.at(0).revision < s.compacted {
				s.trim(1000)
			}
		}
		if s.keys.sorted.Len() > 2 || s.Size() > 1000 {
			t.Fatalf("all is deleted and compacted, and %d keys of %d bytes stay", s.keys.sorted.Len(), s.Size())
		}
	})
}

// wellFormed checks what must hold for every store.
func wellFormed(t *testing.T, s *Store) {
	t.Helper()
	var size int64
	keys := 0
	s.keys.ascend("", func(c *chain) bool {
		keys++
		size += chainBytes + int64(len(c.key))
		last := moment{}
		for v := range c.from(moment{}) {
			size += v.bytes()
			if !last.before(v.moment()) || v.mod > s.current || v.number < 0 || v.create > v.mod ||
				v.tombstone() != (v.create == 0) || s.current > math.MaxInt64/2+100 {
				t.Fatalf("%q has %+v after %+v", c.key, v, last)
			}
			last = v.moment()
		}
		if s.keys.find([]byte(c.key)) != c {
			t.Fatalf("%q is not found", c.key)
		}
		return true
	})
	if keys != len(s.keys.byKey) || size != s.Size() {
		t.Fatalf("%d keys of %d bytes, %d are in the map, the size is %d", keys, size, len(s.keys.byKey), s.Size())
	}
	last := int64(0)
	for i := range s.changes.len {
		if c := s.changes.at(i); c.revision < last || c.chain == nil {
			t.Fatalf("the change log has %+v after %d", c, last)
		}
		last = s.changes.at(i).revision
	}
}
