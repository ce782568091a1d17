package sim

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
)

// TestTrace: a trace changes nothing, is the same for the same seed, and makes sense.
func TestTrace(t *testing.T) {
	kinds := make(map[string]int)
	wanted := []string{TraceStart, TraceDeath, TraceEvent, TraceState, TraceSend, TraceLost, TraceArrive, TraceSaved, TraceFault, TraceLinks, TraceBegin, TraceEnd, TraceRest, TraceMended}
	missing := func() string {
		for _, kind := range wanted {
			if kinds[kind] == 0 {
				return kind
			}
		}
		return ""
	}
	for seed := uint64(1); missing() != "" && !t.Failed(); seed++ {
		if checkTrace(t, seed, kinds); seed == 8 && missing() != "" {
			t.Errorf("no line is of kind %q", missing())
		}
	}
}

func checkTrace(t *testing.T, seed uint64, kinds map[string]int) {
	var first, again bytes.Buffer
	o := Options{Seed: seed, Members: 3, Faults: AllFaults}
	plain := runSeed(t, o)
	o.Trace = &first
	if r := runSeed(t, o); r.Trace != plain.Trace {
		t.Errorf("the run is another one when it is traced")
	}
	o.Trace = &again
	runSeed(t, o)
	if !bytes.Equal(first.Bytes(), again.Bytes()) {
		t.Errorf("the same seed has two traces")
	}
	sent, calls, up := make(map[uint64]bool), make(map[uint64]bool), make(map[raft.NodeID]bool)
	var at TraceLine
	h, err := ReadTrace(&first, func(l TraceLine) error {
		kinds[l.Kind]++
		if l.At < at.At {
			t.Errorf("%+v comes after %+v", l, at)
		}
		at = l
		switch l.Kind {
		case TraceStart:
			up[l.Node] = true
		case TraceDeath:
			if !up[l.Node] {
				t.Errorf("n%d dies, and is not up", l.Node)
			}
			up[l.Node] = false
		case TraceSend:
			sent[l.ID] = true
		case TraceArrive, TraceLost:
			if !sent[l.ID] || l.Kind == TraceArrive && !up[l.Node] {
				t.Errorf("message %d to n%d was not sent, or arrives nowhere", l.ID, l.Node)
			}
		case TraceBegin:
			calls[l.ID] = true
		case TraceEnd:
			if !calls[l.ID] || l.Call.Outcome == "" {
				t.Errorf("call %d ends: %+v", l.ID, l.Call)
			}
			delete(calls, l.ID)
		case TraceState:
			if l.Status.Role == "" || l.Status.Commit > l.Status.Last && l.Status.Commit > l.Status.First {
				t.Errorf("n%d is %+v", l.Node, l.Status)
			}
		case TraceEvent:
			if l.What == "" {
				t.Errorf("an event has no name: %+v", l)
			}
		}
		return nil
	})
	if err != nil || h.Seed != seed || len(h.Members) != 3 {
		t.Errorf("the header is %+v, %v", h, err)
	}
	if len(calls) > 0 || at.Kind != TraceDone {
		t.Errorf("%d calls do not end; the last line is %+v", len(calls), at)
	}
}

func TestReadTraceErrors(t *testing.T) {
	const header = `{"format":"balsa-trace","version":1,"seed":1}` + "\n"
	stop := errors.New("enough")
	for _, test := range []struct {
		in, want string
		f        error
	}{
		{"", "no header", nil},
		{"{}\n", "no trace of Balsa", nil},
		{"hello\n", "no trace of Balsa", nil},
		{`{"format":"balsa-trace","version":2}`, "version 2", nil},
		{header + "x\n", "line 2", nil},
		{header + `{"t":1,"kind":"start","later":[1]}` + "\n" + `{"t":"x"}`, "line 3", nil},
		{header + strings.Repeat("x", traceLineMax+1), "line 2", nil},
		{header + `{"t":1}`, "enough", stop},
		{header, "", nil},
	} {
		_, err := ReadTrace(strings.NewReader(test.in), func(TraceLine) error { return test.f })
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60q is read with %v; want %q", test.in, err, test.want)
		}
	}
}

func FuzzReadTrace(f *testing.F) {
	f.Add([]byte(`{"format":"balsa-trace","version":1,"seed":1}` + "\n" + `{"t":1,"kind":"status","status":{"voters":[1]},"links":[{"from":1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		ReadTrace(bytes.NewReader(b), func(TraceLine) error { return nil })
	})
}
