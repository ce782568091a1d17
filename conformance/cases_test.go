package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// testCase is a paragraph of a file in testdata: a name, and requests one a line, a verb and the message as prototext.
// Positive revisions count from the case's beginning: 1 is what its first change makes. A line "= Code: message" says
// that etcd refuses the request before it so; it is there for the reader, and checks that the case is what it means.
type testCase struct {
	name     string
	requests []proto.Message
	refused  map[int]string // by request
}

// TestCases sends every case to etcd and each member of Balsa.
func TestCases(t *testing.T) {
	p := newPair(t)
	files, err := filepath.Glob("testdata/kv/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata: %d files, %v", len(files), err)
	}
	requests := 0
	for _, file := range files {
		for _, c := range readCases(t, file) {
			for m := range p.balsa {
				t.Run(fmt.Sprintf("%s/%s/%s", filepath.Base(file), c.name, role(m)), func(t *testing.T) { p.runCase(t, c, m) })
				requests += len(c.requests)
			}
		}
	}
	say("cases: %d requests to etcd and Balsa", requests)
}

func (p pair) runCase(t *testing.T, c testCase, member int) {
	var calls []call
	for _, r := range c.requests {
		calls = append(calls, call{request: r, member: member})
	}
	i := 0
	d := p.run(t, calls, func(_ call, o outcome) {
		got := ""
		if o.response == nil {
			got = o.String()
		}
		if got != c.refused[i] {
			t.Errorf("etcd itself answers other than the case says to\n\t%s\n\tetcd  %s\n\tcase  %s", calls[i], o, c.refused[i])
		}
		i++
	})
	if d != nil {
		t.Error(d)
	}
}

func readCases(t *testing.T, file string) []testCase {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" {
			continue
		}
		first, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		if first == "#" {
			cases = append(cases, testCase{name: rest, refused: map[int]string{}})
			continue
		}
		if len(cases) == 0 {
			t.Fatalf("%s:%d: a case begins with a line \"# NAME\"", file, i+1)
		}
		c := &cases[len(cases)-1]
		if first == "=" {
			c.refused[len(c.requests)-1] = rest
			continue
		}
		request := newRequest(first)
		if request == nil {
			t.Fatalf("%s:%d: no request is called %q", file, i+1, first)
		}
		if rest == "{}" {
			rest = ""
		}
		if err := prototext.Unmarshal([]byte(rest), request); err != nil {
			t.Fatalf("%s:%d: %v", file, i+1, err)
		}
		c.requests = append(c.requests, request)
	}
	return cases
}
