package kv

import (
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"github.com/balsa-raft/balsa"
)

// applyOne applies a command through Apply and returns its response, which Entry.Reply hands to nobody here.
func applyOne(s *Store, c Command) (r Response) {
	s.mu.Lock()
	r = s.apply(c)
	s.mu.Unlock()
	if err := s.Apply(func(func(balsa.Entry[Command, Response]) bool) {}); err != nil { // trims
		panic(err)
	}
	return r
}

// generator makes random commands over few keys, so that they meet.
type generator struct {
	*rand.Rand
	current int64 // the store's revision, about
}

func (g *generator) key() []byte {
	keys := []string{"a", "ab", "b", "c", "ca", "d\x00", "d", "e"}
	return []byte(keys[g.Intn(len(keys))])
}

// keyRange returns a key and a range end of any kind: none, everything, a proper one, an empty range.
func (g *generator) keyRange() (key, end []byte) {
	switch g.Intn(6) {
	case 0, 1, 2:
		return g.key(), nil
	case 3:
		return g.key(), []byte{0}
	case 4:
		return []byte{0}, []byte{0}
	}
	return g.key(), g.key()
}

func (g *generator) chance(n int) bool { return g.Intn(n) == 0 }

// revision returns one of any kind: latest, past, compacted, future, negative.
func (g *generator) revision() int64 {
	if g.chance(2) {
		return 0
	}
	return max(-2, g.current-int64(g.Intn(30))+2)
}

func (g *generator) rangeRequest() *RangeRequest {
	r := &RangeRequest{Revision: g.revision(), KeysOnly: g.chance(5), CountOnly: g.chance(8)}
	r.Key, r.RangeEnd = g.keyRange()
	if g.chance(2) {
		r.Limit = int64(g.Intn(5)) - 1
	}
	if g.chance(2) {
		r.SortOrder, r.SortTarget = SortOrder(g.Intn(3)), SortTarget(g.Intn(5))
	}
	for _, bound := range []*int64{&r.MinModRevision, &r.MaxModRevision, &r.MinCreateRevision, &r.MaxCreateRevision} {
		if g.chance(6) {
			*bound = max(0, g.current-int64(g.Intn(20)))
		}
	}
	return r
}

func (g *generator) putRequest() *PutRequest {
	p := &PutRequest{Key: g.key(), PrevKV: g.chance(2), IgnoreValue: g.chance(8), IgnoreLease: g.chance(8)}
	if !p.IgnoreValue && !g.chance(8) {
		p.Value = fmt.Appendf(nil, "%d", g.Intn(4))
	}
	if !p.IgnoreLease && g.chance(30) {
		p.Lease = 7
	}
	return p
}

func (g *generator) deleteRequest() *DeleteRangeRequest {
	d := &DeleteRangeRequest{PrevKV: g.chance(2)}
	d.Key, d.RangeEnd = g.keyRange()
	return d
}

func (g *generator) txnRequest(depth int) *TxnRequest {
	t := &TxnRequest{}
	for range g.Intn(3) {
		c := Compare{Result: CompareResult(g.Intn(4)), Target: CompareTarget(g.Intn(5))}
		c.Key, c.RangeEnd = g.keyRange()
		switch c.Target {
		case CompareValue:
			c.Value = fmt.Appendf(nil, "%d", g.Intn(4))
		case CompareVersion, CompareLease:
			c.Number = int64(g.Intn(3))
		default:
			c.Number = max(0, g.current-int64(g.Intn(10)))
		}
		t.Compare = append(t.Compare, c)
	}
	for _, branch := range []*[]Op{&t.Success, &t.Failure} {
		for range g.Intn(4) {
			var o Op
			switch kind := g.Intn(9); {
			case kind < 3:
				o.Range = g.rangeRequest()
			case kind < 6:
				o.Put = g.putRequest()
			case kind < 7 || depth == 0:
				o.DeleteRange = g.deleteRequest()
			default:
				o.Txn = g.txnRequest(depth - 1)
			}
			*branch = append(*branch, o)
		}
	}
	return t
}

func (g *generator) command() Command {
	switch n := g.Intn(20); {
	case n < 8:
		return Command{Put: g.putRequest()}
	case n < 11:
		return Command{DeleteRange: g.deleteRequest()}
	case n < 19:
		return Command{Txn: g.txnRequest(2)}
	}
	return Command{Compact: &CompactRequest{Revision: max(-1, g.current-int64(g.Intn(20))+2)}}
}

// throughBytes returns what other members see of the command.
func throughBytes(t *testing.T, c Command) Command {
	t.Helper()
	b, err := c.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	var decoded Command
	if err := decoded.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// TestAgainstModel compares every response of the store, and its reads and hashes in between, with the model's.
func TestAgainstModel(t *testing.T) {
	for seed := range int64(40) {
		againstModel(t, seed, 300)
		if t.Failed() {
			return
		}
	}
}

func againstModel(t *testing.T, seed int64, steps int) {
	g := &generator{Rand: rand.New(rand.NewSource(seed))}
	s, m := New(), newModel()
	for step := range steps {
		g.current, _ = s.Revision()
		c := g.command()
		if c.Check(Limits{}) != nil {
			continue // the model does not know what the store does not accept
		}
		c = throughBytes(t, c)
		got, want := applyOne(s, c), m.apply(c)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d step %d: %s\n got %s\nwant %s", seed, step, show(c), show(got), show(want))
			return
		}
		compareReads(t, g, s, m)
		compareMemory(t, s, m)
		if t.Failed() {
			t.Errorf("seed %d step %d, after %s", seed, step, show(c))
			return
		}
	}
}

func compareReads(t *testing.T, g *generator, s *Store, m *model) {
	t.Helper()
	if current, compacted := s.Revision(); current != m.current || compacted != m.compacted {
		t.Errorf("at revision %d, compacted at %d, want %d, %d", current, compacted, m.current, m.compacted)
	}
	r := *g.rangeRequest()
	gotErr, wantErr := error(nil), m.checkRevision(max(0, r.Revision))
	var got, want RangeResponse
	if wantErr == nil {
		want = m.rangeKeys(r)
	}
	if got, gotErr = s.Range(r); gotErr != wantErr || !reflect.DeepEqual(got, want) {
		t.Errorf("range %s\n got %s, %v\nwant %s, %v", show(r), show(got), gotErr, show(want), wantErr)
	}
	if txn := g.txnRequest(0); txn.ReadOnly() {
		got, gotErr := s.ReadTxn(*txn)
		var want TxnResponse
		wantErr := m.checkTxn(txn)
		if wantErr == nil {
			want = *m.txn(txn)
			want.Revision = m.current
		}
		if gotErr != wantErr || !reflect.DeepEqual(got, want) {
			t.Errorf("read %s\n got %s, %v\nwant %s, %v", show(txn), show(got), gotErr, show(want), wantErr)
		}
	}
	revision := max(m.compacted, m.current-int64(g.Intn(10)), 1)
	if hash, err := s.HashKV(revision); err != nil || hash.Hash != m.hashKV(revision) {
		t.Errorf("hash at %d is %v, %v, want %d", revision, hash, err, m.hashKV(revision))
	}
}

// compareMemory checks that the store holds the versions that etcd would have on disk after its compactions, no more
// and no less, and that Size counts just them.
func compareMemory(t *testing.T, s *Store, m *model) {
	t.Helper()
	want := map[string][]modelChange{}
	for _, c := range m.disk {
		want[c.key] = append(want[c.key], c)
	}
	var size int64
	seen := 0
	s.keys.ascend("", func(c *chain) bool {
		seen++
		size += chainBytes + int64(len(c.key))
		var versions []version
		for v := range c.from(moment{}) {
			versions = append(versions, *v)
		}
		if len(versions) == 1 && c.older.blocks != nil {
			t.Errorf("key %q holds on to room for %d blocks", c.key, cap(c.older.blocks))
		}
		for i, v := range versions {
			size += v.bytes()
			w := want[c.key]
			if len(w) != len(versions) || w[i].main != v.mod || w[i].sub != int64(v.sub) || w[i].deleted != v.tombstone() {
				t.Errorf("key %q has versions %+v, want %+v", c.key, versions, w)
				return false
			}
		}
		return true
	})
	if seen != len(want) || seen != len(s.keys.byKey) || size != s.Size() {
		t.Errorf("%d keys in the tree, %d in the map, want %d; size %d, want %d",
			seen, len(s.keys.byKey), len(want), s.Size(), size)
	}
}

// show prints what pointers point to.
func show(v any) string {
	switch v := v.(type) {
	case Command:
		switch {
		case v.Put != nil:
			return fmt.Sprintf("put %+v", *v.Put)
		case v.DeleteRange != nil:
			return fmt.Sprintf("delete %+v", *v.DeleteRange)
		case v.Txn != nil:
			return show(v.Txn)
		}
		return fmt.Sprintf("compact %+v", *v.Compact)
	case Response:
		switch {
		case v.Err != nil:
			return v.Err.Error()
		case v.Put != nil:
			return fmt.Sprintf("%+v prev %+v", *v.Put, v.Put.PrevKV)
		case v.Txn != nil:
			return show(*v.Txn)
		}
		return fmt.Sprintf("%+v %+v", v.DeleteRange, v.Compact)
	case *TxnRequest:
		text := fmt.Sprintf("txn{if %+v", v.Compare)
		for name, ops := range map[string][]Op{"then": v.Success, "else": v.Failure} {
			text += " " + name
			for _, o := range ops {
				switch {
				case o.Range != nil:
					text += fmt.Sprintf(" range%+v", *o.Range)
				case o.Txn != nil:
					text += " " + show(o.Txn)
				default:
					text += " " + show(Command{Put: o.Put, DeleteRange: o.DeleteRange})
				}
			}
		}
		return text + "}"
	case TxnResponse:
		text := fmt.Sprintf("{%v %d", v.Succeeded, v.Revision)
		for _, r := range v.Responses {
			switch {
			case r.Range != nil:
				text += fmt.Sprintf(" %+v", *r.Range)
			case r.Txn != nil:
				text += " " + show(*r.Txn)
			default:
				text += " " + show(Response{Put: r.Put, DeleteRange: r.DeleteRange})
			}
		}
		return text + "}"
	}
	return fmt.Sprintf("%+v", v)
}

// TestDeterminism applies one log to members that get it in different batches, and whose readers hold back what a
// compaction may free: they must not differ in anything but Size.
func TestDeterminism(t *testing.T) {
	for seed := range int64(20) {
		g := &generator{Rand: rand.New(rand.NewSource(seed))}
		var log []balsa.Entry[Command, Response]
		reference := New()
		for len(log) < 400 {
			g.current, _ = reference.Revision()
			c := g.command()
			if g.chance(10) {
				c = g.nonsense()
				before := reference.Hash()
				if r := applyOne(reference, c); r.Err == nil || r != (Response{Err: r.Err}) || reference.Hash() != before {
					t.Fatalf("seed %d: %+v is not refused: %+v", seed, c, r)
				}
			}
			applyOne(reference, c)
			log = append(log, balsa.Entry[Command, Response]{Command: c})
		}
		for _, size := range []int{1, 7, len(log)} {
			s := New()
			var slow []view
			for batch := range slices.Chunk(log, size) {
				if size > 1 && g.chance(5) {
					v := s.begin()
					v.pause()
					s.mu.RUnlock()
					slow = append(slow, v)
				}
				if err := s.Apply(slices.Values(batch)); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := s.Hash(), reference.Hash(); got != want {
				t.Fatalf("seed %d: in batches of %d the hash is %d, want %d", seed, size, got, want)
			}
			for _, v := range slow {
				s.mu.RLock()
				v.end()
			}
		}
	}
}

// nonsense returns a command that Check refuses, as one that was proposed by another version might be.
func (g *generator) nonsense() Command {
	txn := g.txnRequest(1)
	bad := []Op{
		{},
		{Range: &RangeRequest{}},
		{Range: &RangeRequest{Key: []byte("a"), SortOrder: 3}},
		{Put: &PutRequest{Key: []byte("a"), Value: []byte("v"), IgnoreValue: true}},
		{Put: &PutRequest{}, Txn: &TxnRequest{}},
	}
	txn.Success = append(txn.Success, bad[g.Intn(len(bad))])
	whole := putOp("a", "1").Put
	return []Command{
		{}, {Put: &PutRequest{}}, {DeleteRange: &DeleteRangeRequest{}}, {Txn: txn},
		{Put: whole, DeleteRange: &DeleteRangeRequest{Key: []byte("a")}}, {Compact: &CompactRequest{Revision: 1 << 40}},
		{Txn: &TxnRequest{Compare: []Compare{{Key: []byte("a"), Result: 9}}}},
	}[g.Intn(7)]
}
