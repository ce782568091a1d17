package main

import (
	"go/format"
	"os"
	"path/filepath"
	"testing"
)

// TestEveryMutantApplies: a table of faults that cannot be planted any more would show nothing.
func TestEveryMutantApplies(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range append(mutants, blinders...) {
		if seen[m.name] {
			t.Errorf("%s is there twice", m.name)
		}
		seen[m.name] = true
		b, err := os.ReadFile(filepath.Join("../..", m.file))
		if err != nil {
			t.Error(err)
			continue
		}
		broken, err := m.apply(string(b))
		if err != nil {
			t.Error(err)
			continue
		}
		formatted, err := format.Source([]byte(broken))
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
		} else if string(formatted) != broken {
			t.Errorf("%s is not as gofmt would have it", m.name)
		}
	}
}

func TestFailedTest(t *testing.T) {
	for _, test := range []struct{ out, want string }{
		{"--- FAIL: TestA (0.01s)\n    a_test.go:3: no\nFAIL\n", "TestA"},
		{"--- FAIL: TestA (0.01s)\n    --- FAIL: TestA/some_case (0.00s)\n", "TestA/some_case"},
		{"--- FAIL: TestA (0.01s)\n--- FAIL: TestB (0.00s)\n", "TestA"},
		{"panic: test timed out after 1m0s\n", "a test without an end"},
	} {
		if got := failedTest(test.out); got != test.want {
			t.Errorf("%q: %s, want %s", test.out, got, test.want)
		}
	}
}

func TestFirstRed(t *testing.T) {
	for _, test := range []struct{ out, want string }{
		{"sim: seed 17: Log Matching does not hold: n1 and n2 (at 3s, step 9)", "17 | Log Matching"},
		{"sim: seed 3: Assertion does not hold: n1: balsa: broken invariant: entry 4 follows 9 (at 3s, step 9)", "3 | Assertion: entry N follows N"},
		{"panic: balsa: broken invariant: a|b", "from 1 on | Assertion: a/b"},
		{"panic: test timed out after 1m0s", "from 1 on | a run without an end"},
	} {
		if got := firstRed(test.out, 1); got != test.want {
			t.Errorf("%q: %s, want %s", test.out, got, test.want)
		}
	}
}

// TestPage: results are kept from one run to the next.
func TestPage(t *testing.T) {
	name := filepath.Join(t.TempDir(), "mutants.md")
	p, err := readPage(name)
	if err != nil {
		t.Fatal(err)
	}
	want := row{tests: "`raft.TestA/b`", seeds: "17 | Log Matching", blind: survives + " of 90"}
	*p.row(mutants[0].name) = want
	if err := p.write(name); err != nil {
		t.Fatal(err)
	}
	if p, err = readPage(name); err != nil || *p.row(mutants[0].name) != want {
		t.Errorf("read back: %+v, %v; want %+v", *p.row(mutants[0].name), err, want)
	}
	if got := *p.row(mutants[1].name); got != (row{}) {
		t.Errorf("a row of nothing: %+v", got)
	}
}
