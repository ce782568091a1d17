package kv

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func publish(id uint64, name string, urls ...string) Command {
	return Command{Publish: &MemberAttributes{ID: id, Name: name, ClientURLs: urls}}
}

func peerURLs(id uint64, urls ...string) Command {
	return Command{PeerURLs: &MemberPeerURLs{ID: id, URLs: urls}}
}

// snapshotOf returns the bytes of a snapshot of the store.
func snapshotOf(t testing.TB, s *Store) []byte {
	t.Helper()
	write, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// restored returns a new store with what the bytes hold.
func restored(t testing.TB, snapshot []byte) *Store {
	t.Helper()
	s := New()
	if err := s.Restore(bytes.NewReader(snapshot)); err != nil {
		t.Fatalf("%v\n%x", err, snapshot)
	}
	return s
}

// snapshotGoldens are stores with the blocks of their snapshots. The bytes are in files on disk: a new format may
// come, this one must never change.
var snapshotGoldens = []struct {
	name   string
	log    []Command
	blocks []string // without checksums
}{
	{"empty", nil, []string{
		"01 02000000" + "01 01",
		"02 01000000" + "00",
		"ff 02000000" + "00 00",
	}},
	{"all", []Command{
		publish(7, "n", "u", "v"), publish(300, ""),
		put("gone", "x"), put("aa", "1"), // 2, 3
		txn(TxnRequest{Success: []Op{putOp("ab", "1"), putOp("c", ""), putOp("d", "1")}}), // 4
		put("aa", "2"), put("aa", "3"), del("gone"), put("gone", "y"), del("gone"), // 5 to 9
		txn(TxnRequest{Success: []Op{deleteOp("d"), putOp("e", ""), putOp("e", "2")}}), // 10
		put("aa", "4"), del("ab"), put("ab", "new"), put("c", "5"), put("ab", "newer"), del("e"), // 11 to 16
		compact(10),
	}, []string{
		"01 02000000" + "10 14",
		"02 0d000000" + "02" + "07 016e 02 0175 0176" + "ac02 00 00",
		"05 4a000000" +
			"00 026161" + "04 06 00 03 03 0133" + "01 05 00 0134" + // aa: created at 3, version 3 at 6; 11
			"01 0162" + "00 04 00 0131" + "02 08 00" + "00 01 00 036e6577" + "01 02 00 056e65776572" + // ab: 4, 12, 13, 15
			"00 0163" + "00 04 01 00" + "01 0a 00 0135" + // c: 4, 14
			"00 0164" + "03 0a 00" + // d: deleted at 10
			"00 0165" + "04 0a 02 00 02 0132" + "03 06 00", // e: version 2 at 10, where it was created; deleted at 16
		"ff 02000000" + "05 0b",
	}},
	{"peer URLs", []Command{
		peerURLs(9, "forgotten"), peerURLs(7, "p", "q"), peerURLs(300, "r"), publish(7, "n", "u"), peerURLs(8, "s"), peerURLs(8),
		{Forget: &ForgetMember{ID: 9}},
	}, []string{
		"01 02000000" + "01 01",
		"02 0e000000" + "03" + "07 016e 01 0175" + "08 00 00" + "ac02 00 00",
		"06 0c000000" + "02" + "07 02 0170 0171" + "ac02 01 0172",
		"ff 02000000" + "00 00",
	}},
}

// goldenBytes returns the blocks with their checksums.
func goldenBytes(t testing.TB, blocks []string) []byte {
	t.Helper()
	b := []byte("BLSk\x01")
	summed := slices.Clone(b)
	for _, text := range blocks {
		block, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		b, summed = append(b, block...), append(summed, block...)
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(summed, castagnoli))
	}
	return b
}

func TestSnapshotGolden(t *testing.T) {
	for _, g := range snapshotGoldens {
		s := storeOf(g.log...)
		want := goldenBytes(t, g.blocks)
		if got := snapshotOf(t, s); !bytes.Equal(got, want) {
			t.Errorf("%s: written as\n%x, want\n%x", g.name, got, want)
			continue
		}
		if again := restored(t, want); again.Hash() != s.Hash() || !bytes.Equal(snapshotOf(t, again), want) ||
			!reflect.DeepEqual(again.Members(), s.Members()) {
			t.Errorf("%s: the store that was restored differs", g.name)
		}
	}
}

// writerFunc is a writer that does something else.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestSnapshotAgainstModel takes a snapshot at a random moment of a random log, writes it while the log goes on, in
// pieces as small as can be, restores it, and applies the rest of the log to what comes out. That must be the state
// of that moment, down to what is in memory, and then give the same answers.
func TestSnapshotAgainstModel(t *testing.T) {
	for seed := range int64(40) {
		snapshotAgainstModel(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func (g *generator) commandOrPublish() Command {
	id := uint64(g.Intn(3))
	switch g.Intn(15) {
	case 0:
		return publish(id, fmt.Sprint(g.Intn(9)), "http://a")
	case 1:
		return peerURLs(id, []string{"http://a", "http://b"}[:g.Intn(3)]...)
	case 2:
		return Command{Forget: &ForgetMember{ID: id}}
	}
	return g.command()
}

func snapshotAgainstModel(t *testing.T, seed int64) {
	g := &generator{Rand: rand.New(rand.NewSource(seed))}
	s, m := New(), newModel()
	step := func() (c Command, r Response) {
		g.current, _ = s.Revision()
		for c = g.commandOrPublish(); c.Check(Limits{}) != nil; {
			c = g.commandOrPublish()
		}
		return c, applyOne(s, c)
	}
	for range g.Intn(150) {
		c, _ := step()
		m.apply(c)
	}
	p, hash, members := s.snapshot(), s.Hash(), s.Members()
	p.size, p.versions = 1+g.Intn(100), make([]located, 0, 1+g.Intn(3))
	var log []Command
	var want []Response
	further := func(n int) {
		for range n {
			c, r := step()
			log, want = append(log, c), append(want, r)
		}
	}
	further(g.Intn(20))
	var out bytes.Buffer
	if err := p.write(writerFunc(func(b []byte) (int, error) { further(g.Intn(5)); return out.Write(b) })); err != nil {
		t.Fatal(err)
	}
	further(20)
	again := restored(t, out.Bytes())
	if again.Hash() != hash || !reflect.DeepEqual(again.Members(), members) {
		t.Errorf("after the restore the hash is %d, want %d", again.Hash(), hash)
	}
	compareMemory(t, again, m)
	for i, c := range log {
		got := applyOne(again, throughBytes(t, c))
		m.apply(c)
		if !reflect.DeepEqual(got, want[i]) {
			t.Errorf("command %d after the restore: %s\n got %s\nwant %s", i, show(c), show(got), show(want[i]))
			return
		}
		compareReads(t, g, again, m)
		compareMemory(t, again, m)
	}
	if again.Hash() != s.Hash() || !bytes.Equal(snapshotOf(t, again), snapshotOf(t, s)) {
		t.Error("in the end the stores differ")
	}
	if len(s.pins.set) > 0 {
		t.Errorf("pins are left: %v", s.pins.set)
	}
}

// TestSnapshotBytesAreTheStates: members with equal state write equal bytes, whatever they have freed, were restored
// from or published twice.
func TestSnapshotBytesAreTheStates(t *testing.T) {
	for seed := range int64(15) {
		g := &generator{Rand: rand.New(rand.NewSource(seed))}
		freed, unfreed, moved := New(), New(), New()
		pinned := unfreed.snapshot() // holds back all trimming
		unfreed.Apply(slices.Values(entries(nil)))
		for range 300 {
			g.current, _ = freed.Revision()
			c := g.commandOrPublish()
			for _, s := range []*Store{freed, unfreed, moved} {
				applyOne(s, c)
			}
			if g.chance(40) {
				moved = restored(t, snapshotOf(t, moved))
			}
		}
		want := snapshotOf(t, freed)
		if !bytes.Equal(snapshotOf(t, unfreed), want) || !bytes.Equal(snapshotOf(t, moved), want) {
			t.Fatalf("seed %d: the bytes differ", seed)
		}
		if unfreed.Size() <= freed.Size() {
			t.Fatalf("seed %d: the test is of no use, all is freed", seed)
		}
		if err := pinned.write(&bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	}
}

// largeStore has more keys, and a key with more versions, than one slice or block takes.
func largeStore() *Store {
	s := New()
	for i := range 5000 {
		s.apply(put("hot", strings.Repeat("v", i%50)))
		if i%2 == 0 {
			s.apply(put(fmt.Sprintf("k%06d", i), fmt.Sprint(i)))
		}
		if i%16 == 0 {
			s.apply(del(fmt.Sprintf("k%06d", i)))
		}
		if i%400 == 0 {
			s.apply(del("hot"))
		}
	}
	return s
}

func TestSnapshotOfManyVersions(t *testing.T) {
	s := largeStore()
	for _, floor := range []int64{0, 1, 17, 4000, s.current} {
		if floor > 0 {
			mustApply(s, compact(floor))
		}
		hash, before := s.Hash(), snapshotOf(t, s)
		if again := restored(t, before); again.Hash() != hash {
			t.Errorf("compacted at %d: the hash is %d, want %d", floor, again.Hash(), hash)
		}
		// Every write finds the world changed: all gone, compacted, freed.
		write, _ := s.Snapshot()
		var out bytes.Buffer
		err := write(writerFunc(func(b []byte) (int, error) {
			mustApply(s, del("\x00", "\x00"))
			mustApply(s, put("hot", "new"))
			mustApply(s, put(fmt.Sprintf("k%06d", s.current%5000), "new"))
			for range 30 {
				mustApply(s, put("x", ""))
				mustApply(s, compact(s.current)) // each trims a little
			}
			return out.Write(b)
		}))
		if err != nil || !bytes.Equal(out.Bytes(), before) {
			t.Errorf("compacted at %d: what is written depends on what happens meanwhile: %v", floor, err)
		}
		s = restored(t, before)
	}
}

// TestSnapshotReleases: whatever happens to the writer, its errors come out and nothing is held back afterwards.
func TestSnapshotReleases(t *testing.T) {
	s := largeStore()
	whole := snapshotOf(t, s)
	full := errors.New("disk full")
	for _, room := range []int{0, 5, 20, 1000, len(whole) / 2, len(whole) - 1, len(whole)} {
		write, err := s.Snapshot()
		if err != nil || len(s.pins.set) != 1 {
			t.Fatalf("%d pins, %v", len(s.pins.set), err)
		}
		left := room
		err = write(writerFunc(func(b []byte) (int, error) {
			if left -= len(b); left < 0 {
				return 0, full
			}
			return len(b), nil
		}))
		if (room == len(whole)) != (err == nil) || err != nil && !errors.Is(err, full) {
			t.Errorf("with room for %d bytes: %v", room, err)
		}
		if len(s.pins.set) > 0 {
			t.Errorf("pins are left: %v", s.pins.set)
		}
		if err := write(&bytes.Buffer{}); err == nil || len(s.pins.set) > 0 {
			t.Errorf("a second write: %v, pins %v", err, s.pins.set)
		}
	}
}

// TestSnapshotLetsGoOfTheLock: no writer, however slow, and no part of the store, however large, keeps others out.
func TestSnapshotLetsGoOfTheLock(t *testing.T) {
	s := largeStore()
	p := s.snapshot()
	slices, at, more := 0, place{}, true
	for more {
		at, more = p.copyVersions(at)
		slices++
		if len(p.versions) > versionsPerSlice {
			t.Fatalf("%d versions are copied at once", len(p.versions))
		}
	}
	if slices < 20 {
		t.Errorf("%d slices: the test is of no use", slices)
	}
	if err := p.write(writerFunc(func(b []byte) (int, error) {
		if !s.mu.TryLock() {
			return 0, errors.New("the lock is held while the writer writes")
		}
		s.mu.Unlock()
		return len(b), nil
	})); err != nil {
		t.Error(err)
	}
	// Keys that are there but not in the snapshot count too.
	old := New()
	p = old.snapshot()
	for i := range 3 * scanChunk {
		old.apply(put(fmt.Sprintf("k%06d", i), ""))
	}
	if at, more = p.copyVersions(place{}); !more || at.key != fmt.Sprintf("k%06d", scanChunk) {
		t.Errorf("after %d keys that are not written it goes on at %q, %v", scanChunk, at.key, more)
	}
}

// TestSnapshotDuringApply: see -race. Snapshots are written and restored while transactions write or delete many keys
// at once: each has all of one and nothing of the next.
func TestSnapshotDuringApply(t *testing.T) {
	const keys, rounds = scanChunk + 100, 20
	s, mirror := New(), New()
	var done atomic.Bool
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			for !done.Load() && !t.Failed() {
				readAll(t, s, keys)
				readAll(t, mirror, keys)
				runtime.Gosched()
			}
		})
	}
	type pinned struct {
		write    func(w *bytes.Buffer) error
		hash     uint32
		revision int64
	}
	pending := make(chan pinned, 1)
	running.Go(func() {
		for p := range pending {
			var out bytes.Buffer
			if err := p.write(&out); err != nil {
				t.Error(err)
			}
			if err := mirror.Restore(&out); err != nil {
				t.Error(err)
			}
			if revision, _ := mirror.Revision(); mirror.Hash() != p.hash || revision != p.revision {
				t.Errorf("at %d the hash is %d, want %d at %d", revision, mirror.Hash(), p.hash, p.revision)
			}
		}
	})
	for round := range rounds {
		current, _ := s.Revision()
		var all TxnRequest
		for i := range keys {
			all.Success = append(all.Success, putOp(fmt.Sprintf("k%06d", i), fmt.Sprint(round)))
		}
		batch := []Command{txn(all), compact(current + 1)}
		if round%2 == 1 {
			batch = append(batch, del("k", "l"), compact(current+2))
		}
		s.Apply(slices.Values(entries(batch)))
		if len(pending) == 0 {
			write, err := s.Snapshot()
			if err != nil {
				t.Error(err)
			}
			current, _ := s.Revision()
			pending <- pinned{func(w *bytes.Buffer) error { return write(w) }, s.Hash(), current}
		}
	}
	close(pending)
	done.Store(true)
	running.Wait()
	if len(s.pins.set) > 0 || len(mirror.pins.set) > 0 {
		t.Errorf("pins are left: %v, %v", s.pins.set, mirror.pins.set)
	}
}
