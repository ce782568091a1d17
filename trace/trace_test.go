package trace

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// story is the way of entries 5 to 6 through three members, in microseconds; n1 leads. n2 answers before n1's disk, n3 after it.
var story = []Hop{
	{At: 2, Step: Taken, Node: 1}, {At: 3, Step: Stepped, Node: 1}, {At: 5, Step: HandedOut, Node: 1, First: 5, Last: 6},
	{At: 9, Step: Begun, Node: 1, First: 5, Last: 6}, {At: 20, Step: Written, Node: 1}, {At: 100, Step: Synced, Node: 1, First: 5, Last: 6}, {At: 110, Step: Matched, Node: 1, Last: 6},
	{At: 8, Step: Sent, Node: 1, Peer: 2, First: 5, Last: 6}, {At: 12, Step: Received, Node: 2, Peer: 1, First: 5, Last: 6},
	{At: 14, Step: Taken, Node: 2}, {At: 15, Step: Stepped, Node: 2}, {At: 16, Step: HandedOut, Node: 2, First: 5, Last: 6},
	{At: 17, Step: Begun, Node: 2, First: 5, Last: 6}, {At: 18, Step: Written, Node: 2}, {At: 60, Step: Synced, Node: 2, First: 5, Last: 6}, {At: 65, Step: Matched, Node: 2, Last: 6},
	{At: 70, Step: Acknowledged, Node: 2, Peer: 1, Last: 6}, {At: 80, Step: Heard, Node: 1, Peer: 2, Last: 6},
	{At: 8, Step: Sent, Node: 1, Peer: 3, First: 5, Last: 6}, {At: 300, Step: Heard, Node: 1, Peer: 3, Last: 6},
	{At: 112, Step: Committed, Node: 1, First: 5, Last: 6}, {At: 120, Step: Applying, Node: 1, First: 5, Last: 6}, {At: 121, Step: Applied, Node: 1, First: 5, Last: 6},
	{At: 200, Step: Sent, Node: 1, Peer: 2, First: 6, Last: 7}, // again
}

func microseconds(hops []Hop) []Hop {
	hops = slices.Clone(hops)
	for i := range hops {
		hops[i].At *= time.Microsecond
	}
	return hops
}

func (w Way) legs() string {
	var b strings.Builder
	for l := range LegCount {
		mark := ""
		if !w.Waited(l) {
			mark = "-"
		}
		fmt.Fprintf(&b, "%s%d ", mark, w.Legs[l].Microseconds())
	}
	return b.String()
}

func TestWays(t *testing.T) {
	late := slices.Clone(story) // a disk that is slower than both followers, of which n3 is the one that is waited for
	for i := range late {
		h := &late[i]
		if h.Node == 1 && (h.Step == Matched || h.Step == Synced || h.Step >= Committed) {
			h.At += 400
		}
		if h.Peer == 3 && h.Step == Heard {
			h.At = 90
		}
		if h.Step == Committed {
			h.At = 95
		}
	}
	for _, node2 := range slices.Clone(late) {
		if node2.Node == 2 {
			node2.Node = 3
			late = append(late, node2)
		}
	}
	call := Call{Start: 0, End: 130 * time.Microsecond, Index: 6}
	for _, test := range []struct {
		name string
		hops []Hop
		call Call
		want string
	}{
		{"the disk is last", story, call, "2 1 2 4 11 80 10 -3 -4 -4 -1 -1 -42 -10 -10 2 8 1 9 "},
		{"a follower is last", late, Call{End: 530 * time.Microsecond, Index: 5}, "2 1 2 -4 -11 -480 -10 3 4 4 1 1 42 10 20 5 425 1 9 "},
		{"an entry that is not there", story, Call{Index: 7}, ""},
		{"a hop that is not there", slices.DeleteFunc(slices.Clone(story), func(h Hop) bool { return h.Step == Received }), call, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			for _, w := range Ways(1, 3, microseconds(test.hops), []Call{test.call}) {
				got += w.legs()
				sum := time.Duration(0)
				for l := range LegCount {
					if w.Waited(l) {
						sum += w.Legs[l]
					}
				}
				if sum != w.End-w.Start {
					t.Errorf("the legs that are waited for come to %v, the way is %v", sum, w.End-w.Start)
				}
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestSummarize(t *testing.T) {
	ways := Ways(1, 3, microseconds(story), []Call{{0, 130 * time.Microsecond, 5}, {0, 150 * time.Microsecond, 6}})
	s := Summarize(ways)
	sum := 0.0
	for _, l := range s.Legs {
		sum += l.Share
	}
	if s.Ways != 2 || s.P99 != 150*time.Microsecond || math.Abs(s.DiskShare-1) > 1e-9 || math.Abs(sum-1) > 1e-9 || s.Legs[LegHeard].Share != 0 || s.Legs[LegSynced].P50 != 80*time.Microsecond {
		t.Errorf("%+v, shares come to %v", s, sum)
	}
	if s := Summarize(nil); s != (Summary{}) {
		t.Errorf("%+v", s)
	}
}

func TestRecorder(t *testing.T) {
	r := NewRecorder(time.Now(), 2)
	for i := range 3 {
		r.Hop(Hop{Step: Synced, Node: 1, Last: raft.Index(i + 1)})
	}
	hops, lost := r.Take()
	if len(hops) != 2 || lost != 1 || hops[0].At <= 0 || hops[1].At < hops[0].At || hops[1].Last != 2 {
		t.Errorf("%v, %d lost", hops, lost)
	}
	if hops, lost = r.Take(); len(hops) != 0 || lost != 0 {
		t.Errorf("%v, %d lost", hops, lost)
	}
	for s := range stepCount + 2 {
		if s.String() == "" {
			t.Errorf("step %d has no name", s)
		}
	}
}
