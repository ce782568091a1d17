package tidy

import (
	"bytes"
	"fmt"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// bugRanges is what docs/bugs.md lists: of each letter, the entries from 1 to this one.
var bugRanges = []struct {
	letter string
	last   int
}{{"E", 27}, {"R", 25}, {"C", 11}, {"M", 21}, {"N", 17}, {"Q", 13}, {"K", 8}}

// membershipPending lets the rows of M name transcripts that are yet to be written.
const membershipPending = false

// TestBugs: a list of tests of which some do not exist promises too much.
func TestBugs(t *testing.T) {
	text, err := os.ReadFile("../../docs/bugs.md")
	if err != nil {
		t.Fatal(err)
	}
	expectNone(t, checkBugs("docs/bugs.md", text, bugTests(t, loadModule(t))))
}

func TestBugsPlanted(t *testing.T) {
	tests := map[string]bool{"E1_x": true, "host.TestE2": true}
	var all strings.Builder
	for _, r := range bugRanges {
		for i := 1; i <= r.last; i++ {
			fmt.Fprintf(&all, "| %s%d | b | `x` | `E1_x` `host.TestE2` |\n", r.letter, i)
		}
	}
	expectNone(t, checkBugs("bugs.md", []byte(all.String()), tests))
	for _, test := range []struct{ old, new, want string }{
		{"| Q3 |", "| Q4 |", "Q4 has two rows"},
		{"| Q3 |", "| Q4 |", "Q3 has no row"},
		{"| K8 |", "| K9 |", "K9 is not in the list"},
		{"| E7 | b | `x` | `E1_x`", "| E7 | b | `x` | `E7_y`", "there is no test E7_y"},
		{"| E7 | b | `x` | `E1_x` `host.TestE2`", "| E7 | b | `x` | `wal.TestE2`", "there is no test wal.TestE2"},
		{"| E7 | b | `x` | `E1_x` `host.TestE2`", "| E7 | b | `x` | soon", "E7 names no test"},
		{"| E7 | b | `x` | `E1_x` `host.TestE2`", "| E7 | b | `x` | none", "E7 names no test"},
		{"| E7 | b |", "| E7 |", "4 cells"},
	} {
		text := strings.Replace(all.String(), test.old, test.new, 1)
		found := checkBugs("bugs.md", []byte(text), tests)
		if !strings.Contains(fmt.Sprint(found), test.want) {
			t.Errorf("%s: found %v", test.new, found)
		}
	}
	text := strings.Replace(all.String(), "| E7 | b | `x` | `E1_x` `host.TestE2`", "| E7 | b | `x` | none: it cannot be", 1)
	expectNone(t, checkBugs("bugs.md", []byte(text), tests))
}

var bugRow = regexp.MustCompile(`^\| ([A-Z]\d+) \|`)

// checkBugs finds rows that are missing, or there twice, and tests that are named and do not exist.
func checkBugs(name string, text []byte, tests map[string]bool) (found []finding) {
	rows := map[string]int{}
	for _, r := range bugRanges {
		for i := 1; i <= r.last; i++ {
			rows[fmt.Sprint(r.letter, i)] = 0
		}
	}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		m := bugRow.FindSubmatch(line)
		if m == nil {
			continue
		}
		id := string(m[1])
		add := func(format string, args ...any) {
			found = append(found, finding{name, n, fmt.Sprintf(format, args...)})
		}
		if _, listed := rows[id]; !listed {
			add("%s is not in the list of internal/tidy", id)
		}
		if rows[id]++; rows[id] > 1 {
			add("%s has two rows", id)
		}
		cells := strings.Split(strings.Trim(string(bytes.TrimSpace(line)), "|"), "|")
		if len(cells) != 4 {
			add("%s has %d cells, not 4 cells: id, bug, what Balsa does, tests", id, len(cells))
			continue
		}
		shown := strings.TrimSpace(cells[3])
		named := codeFont.FindAllStringSubmatch(shown, -1)
		if why, none := strings.CutPrefix(shown, "none: "); len(named) == 0 && (!none || why == "") {
			add("%s names no test, and does not say why there is none", id)
		}
		for _, test := range named {
			pending := membershipPending && strings.HasPrefix(test[1], id+"_") && id[0] == 'M'
			if !tests[test[1]] && !pending && !strings.HasPrefix(shown, "none: ") {
				add("there is no test %s", test[1])
			}
		}
	}
	for _, r := range bugRanges {
		for i := 1; i <= r.last; i++ {
			if id := fmt.Sprint(r.letter, i); rows[id] == 0 {
				found = append(found, finding{name, n, id + " has no row"})
			}
		}
	}
	return found
}

// bugTests is the transcripts of package raft by name, and all tests as package.TestName.
func bugTests(t *testing.T, src *source) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	files, err := filepath.Glob("../../raft/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("raft has no transcripts: %v", err)
	}
	for _, file := range files {
		tests[strings.TrimSuffix(filepath.Base(file), ".txt")] = true
	}
	for _, f := range src.files {
		if !f.test {
			continue
		}
		pkg := path.Base(f.dir)
		if f.dir == root {
			pkg = "balsa"
		}
		for _, d := range testsOf(f) {
			tests[pkg+"."+d] = true
		}
	}
	return tests
}

func testsOf(f *file) (names []string) {
	for _, decl := range f.ast.Decls {
		if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil && (strings.HasPrefix(d.Name.Name, "Test") || strings.HasPrefix(d.Name.Name, "Fuzz")) {
			names = append(names, d.Name.Name)
		}
	}
	return names
}
