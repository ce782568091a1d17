package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// pair is etcd beside Balsa.
type pair struct {
	etcd  *member
	balsa []*member
}

func newPair(t testing.TB) pair {
	return pair{etcd: etcd(t).members[0], balsa: balsa(t).members}
}

// check fails the test if one of the two does not run any more.
func (p pair) check(t testing.TB) {
	etcd(t)
	balsa(t)
}

var everything = &pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}

// level empties both stores and brings them to the same revision, which it returns.
func (p pair) level(t testing.TB) int64 {
	t.Helper()
	members := []*member{p.etcd, p.balsa[0]}
	for _, m := range members {
		m.mustSend(t, everything)
	}
	before := [2]int64{p.etcd.revision(t), p.balsa[0].revision(t)}
	if before[0] != before[1] {
		put := &pb.PutRequest{Key: []byte("level")}
		for i, m := range members {
			for range 1 + max(0, before[1-i]-before[i]) {
				m.mustSend(t, put)
			}
			m.mustSend(t, everything)
		}
	}
	base := p.etcd.revision(t)
	if other := p.balsa[0].revision(t); other != base {
		t.Fatalf("the stores cannot be brought to the same revision: etcd is at %d, Balsa at %d", base, other)
	}
	return base
}

func (m *member) mustSend(t testing.TB, request proto.Message) {
	t.Helper()
	if o := m.send(t, request); o.response == nil {
		t.Fatalf("%s: %s %s: %s", m.name, verb(request), text(request), o)
	}
}

func (m *member) revision(t testing.TB) int64 {
	t.Helper()
	r, err := m.kv.Range(context.Background(), &pb.RangeRequest{Key: []byte("a")})
	if err != nil {
		t.Fatalf("%s: %v", m.name, err)
	}
	return r.Header.Revision
}

// difference is the first answer of Balsa's in a sequence that is not etcd's.
type difference struct {
	calls       []call // up to the one that was answered differently
	base        int64
	etcd, balsa outcome
}

// String writes the difference as a case, ready to be put in testdata, and the two answers.
func (d *difference) String() string {
	var b strings.Builder
	for _, c := range d.calls {
		fmt.Fprintf(&b, "\t%s\n", c)
	}
	fmt.Fprintf(&b, "the last was answered, where revisions begin after %d,\n\tby etcd   %s\n\tby Balsa  %s", d.base, d.etcd, d.balsa)
	if m := d.calls[len(d.calls)-1].member; m != 0 {
		fmt.Fprintf(&b, "\n\t(Balsa's %s)", role(m))
	}
	return b.String()
}

// run sends the calls to both, in order, and returns the first difference, nil if there is none. seen, if not nil, gets
// etcd's outcomes.
func (p pair) run(t testing.TB, calls []call, seen func(call, outcome)) *difference {
	t.Helper()
	base := p.level(t)
	for i, c := range calls {
		request := rebase(c.request, base)
		want, got := p.etcd.send(t, request), p.balsa[c.member].send(t, request)
		if seen != nil {
			seen(c, want)
		}
		if !same(request, want, got) {
			return &difference{calls: calls[:i+1], base: base, etcd: want, balsa: got}
		}
	}
	return nil
}

// shrinkRunsMax bounds how often a sequence is run to make it shorter.
const shrinkRunsMax = 400

// shrink looks for a shorter sequence that ends in a difference too. First it leaves calls away, many at a time, then
// parts of requests.
func (p pair) shrink(t testing.TB, d *difference) *difference {
	runs := 0
	try := func(calls []call) bool {
		if runs++; runs > shrinkRunsMax || len(calls) == 0 {
			return false
		}
		found := p.run(t, calls, nil)
		if found != nil {
			d = found
		}
		return found != nil
	}
	for size := len(d.calls); size > 0; size /= 2 {
		for from := len(d.calls) - size; from >= 0; from -= size {
			if from+size <= len(d.calls) {
				try(slices.Delete(slices.Clone(d.calls), from, from+size))
			}
		}
	}
	for i := 0; i < len(d.calls); i++ {
		for again := true; again; {
			again = false
			if i >= len(d.calls) {
				break
			}
			for _, simpler := range simplifications(d.calls[i].request) {
				calls := slices.Clone(d.calls)
				calls[i].request = simpler
				if try(calls) {
					again = true
					break
				}
			}
		}
		if i < len(d.calls) && d.calls[i].member != 0 {
			calls := slices.Clone(d.calls)
			calls[i].member = 0
			try(calls)
		}
	}
	return d
}
