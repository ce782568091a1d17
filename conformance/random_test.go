package conformance

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var (
	firstSeed = flag.Uint64("seed", 1, "seed of the first random sequence")
	sequences = flag.Int("sequences", 30, "how many random sequences to compare")
)

// sequenceCalls is how long a random sequence is, without the reads of all revisions at its end.
const sequenceCalls = 200

// TestRandom sends random sequences of requests, all options among them, to etcd and Balsa.
func TestRandom(t *testing.T) {
	p := newPair(t)
	began, answers := time.Now(), tally{}
	for seed := *firstSeed; seed < *firstSeed+uint64(*sequences); seed++ {
		calls := randomCalls(seed, len(p.balsa))
		if d := p.run(t, calls, answers.count); d != nil {
			t.Errorf("seed %d (to see it again: go test -run Random -seed %d -sequences 1): call %d of %d:\n%s", seed, seed, len(d.calls), len(calls), d.lastAnswers())
			p.check(t)
			t.Fatalf("shrunk:\n%s", p.shrink(t, d))
		}
	}
	say("random: %d sequences from seed %d on, in %v; etcd's answers, and Balsa's:\n%s", *sequences, *firstSeed, time.Since(began).Round(time.Millisecond), answers)
}

// tally counts answers by the kind of request and how it ended. It shows whether the random requests are any good: those
// that are refused do not reach the store.
type tally map[string]int

func (a tally) count(c call, o outcome) {
	how := "ok"
	if o.response == nil {
		how = o.message
	}
	a[fmt.Sprintf("%-8s %s", verb(c.request), how)]++
}

func (a tally) String() string {
	var b strings.Builder
	for _, how := range slices.Sorted(maps.Keys(a)) {
		fmt.Fprintf(&b, "%7d %s\n", a[how], how)
	}
	return b.String()
}

// lastAnswers is the difference without the way to it.
func (d *difference) lastAnswers() string {
	last := *d
	last.calls = d.calls[len(d.calls)-1:]
	return last.String()
}

// randomCalls returns a sequence, and reads of everything at each revision that it may have made.
func randomCalls(seed uint64, members int) []call {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	var calls []call
	add := func(request proto.Message) {
		calls = append(calls, call{request: request, member: g.IntN(members)})
	}
	for range sequenceCalls {
		add(g.request())
		g.calls++
	}
	for revision := range g.calls / 3 { // about so many are made
		add(&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Revision: int64(revision)})
	}
	return calls
}

// generator makes random requests. The keys are few, so that requests meet.
type generator struct {
	*rand.Rand
	calls int // so many requests were made, so no revision is greater
}

// one returns true once in n times.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *generator, all ...T) T { return all[g.IntN(len(all))] }

func (g *generator) request() proto.Message {
	switch n := g.IntN(100); {
	case n < 30:
		return g.rangeRequest()
	case n < 55:
		return g.put()
	case n < 65:
		return g.deleteRange()
	case n < 98:
		r := g.txn(0)
		spareEtcd(r)
		return r
	}
	return &pb.CompactionRequest{Revision: g.compactRevision(), Physical: g.one(2)}
}

// compactRevision is mostly far back, so that there is history to read.
func (g *generator) compactRevision() int64 {
	if g.one(4) {
		return g.revision()
	}
	return int64(g.IntN(g.calls/5 + 1))
}

// key returns one of a dozen keys, so that sorts of equal values do not depend on the sort: etcd's is not stable, but
// sorts a dozen as if it were.
func (g *generator) key() []byte {
	if g.one(200) {
		return nil
	}
	return []byte(pick(g, "a", "b", "c", "c/", "c/1", "c/2", "c0", "d", "e", "\x00", "a\x00", "\xff"))
}

func (g *generator) rangeEnd(key []byte) []byte {
	switch g.IntN(8) {
	case 0, 1, 2:
		return nil
	case 3:
		return []byte{0}
	case 4:
		return append(append([]byte{}, key...), 0)
	}
	return g.key()
}

// revision returns one that the sequence has made, or not yet, seldom one that makes no sense.
func (g *generator) revision() int64 {
	if g.one(20) {
		return pick[int64](g, -1, -1<<63, 1<<63-1)
	}
	return int64(g.IntN(g.calls/3 + 2))
}

func (g *generator) maybeRevision(n int) int64 {
	if g.one(n) {
		return g.revision()
	}
	return 0
}

func (g *generator) rangeRequest() *pb.RangeRequest {
	key := g.key()
	r := &pb.RangeRequest{
		Key: key, RangeEnd: g.rangeEnd(key), Revision: g.maybeRevision(3), Serializable: g.one(4),
		KeysOnly: g.one(5), CountOnly: g.one(10),
		MinModRevision: g.maybeRevision(10), MaxModRevision: g.maybeRevision(10),
		MinCreateRevision: g.maybeRevision(10), MaxCreateRevision: g.maybeRevision(10),
	}
	if g.one(2) {
		r.RangeEnd = []byte{0}
	}
	if g.one(2) {
		r.Limit = pick[int64](g, 1, 1, 2, 3, 5, 100, -1)
	}
	if g.one(2) {
		r.SortOrder = pb.RangeRequest_SortOrder(g.IntN(3))
		r.SortTarget = pb.RangeRequest_SortTarget(g.IntN(5))
	}
	if g.one(150) {
		r.SortOrder = pick[pb.RangeRequest_SortOrder](g, 3, -1)
	}
	if g.one(150) {
		r.SortTarget = pick[pb.RangeRequest_SortTarget](g, 5, -1)
	}
	return r
}

func (g *generator) value() []byte {
	return []byte(pick(g, "", "1", "2", "3", "a longer value", "\x00\xff"))
}

func (g *generator) put() *pb.PutRequest {
	r := &pb.PutRequest{Key: g.key(), Value: g.value(), PrevKv: g.one(3)}
	switch g.IntN(20) {
	case 0, 1:
		r.IgnoreValue, r.Value = true, nil
	case 2, 3:
		r.IgnoreLease = true
	case 4:
		r.IgnoreValue, r.IgnoreLease = true, g.one(2)
	case 5:
		r.Lease = pick[int64](g, 7, -1)
		r.IgnoreLease = g.one(3)
	}
	return r
}

func (g *generator) deleteRange() *pb.DeleteRangeRequest {
	key := g.key()
	return &pb.DeleteRangeRequest{Key: key, RangeEnd: g.rangeEnd(key), PrevKv: g.one(2)}
}

// txn returns a transaction. Those inside are at depth 1 and more, and fewer the deeper.
func (g *generator) txn(depth int) *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for range g.IntN(3) {
		r.Compare = append(r.Compare, g.compare())
	}
	readOnly := depth == 0 && g.one(6)
	for _, branch := range []*[]*pb.RequestOp{&r.Success, &r.Failure} {
		for range g.IntN(4 - depth) {
			*branch = append(*branch, g.op(depth, readOnly))
		}
	}
	return r
}

// spareEtcd takes away what stops etcd 3.7.3 and all its members for good: a transaction that deletes with the range end
// "\x00", which its search for duplicate keys overlooks, and then puts one of the deleted keys with ignore_value or
// ignore_lease (index out of range in etcdserver/txn.put).
func spareEtcd(r *pb.TxnRequest) {
	deletes := false
	var puts []*pb.PutRequest
	visit(r.ProtoReflect(), func(m protoreflect.Message) {
		switch r := m.Interface().(type) {
		case *pb.DeleteRangeRequest:
			deletes = deletes || string(r.RangeEnd) == "\x00"
		case *pb.PutRequest:
			puts = append(puts, r)
		}
	})
	for _, p := range puts {
		if deletes {
			p.IgnoreValue, p.IgnoreLease = false, false
		}
	}
}

func (g *generator) op(depth int, readOnly bool) *pb.RequestOp {
	n := g.IntN(100)
	switch {
	case readOnly || n < 30:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: g.rangeRequest()}}
	case n < 60:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: g.put()}}
	case n < 75:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: g.deleteRange()}}
	case n < 76:
		return &pb.RequestOp{}
	case depth < 3:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: g.txn(depth + 1)}}
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: g.put()}}
}

func (g *generator) compare() *pb.Compare {
	key := g.key()
	c := &pb.Compare{Key: key, Result: pb.Compare_CompareResult(g.IntN(4)), Target: pb.Compare_CompareTarget(g.IntN(5))}
	if g.one(4) {
		c.RangeEnd = g.rangeEnd(key)
	}
	kind := c.Target
	if g.one(15) {
		kind = pb.Compare_CompareTarget(g.IntN(6)) // an operand of another kind, or none
	}
	switch kind {
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: pick[int64](g, 0, 0, 1, 2, -1)}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: g.maybeRevision(2)}
	case pb.Compare_MOD:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: g.maybeRevision(2)}
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: g.value()}
	case pb.Compare_LEASE:
		c.TargetUnion = &pb.Compare_Lease{Lease: pick[int64](g, 0, 1)}
	}
	return c
}
