package tidy

import (
	"bytes"
	"go/format"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestFormat(t *testing.T)  { expectNone(t, checkFormat(loadModule(t).files)) }
func TestSubject(t *testing.T) { expectNone(t, checkSubject(t, loadModule(t).files)) }

func TestFormatPlanted(t *testing.T) {
	found := checkFormat([]*file{
		{path: "good.go", text: []byte("package a\n\nvar x = 1\n")},
		{path: "bad.go", text: []byte("package a\n\nvar   x = 1\n")},
		{path: "end.go", text: []byte("package a\n\nvar x = 1\n\n")},
	})
	if len(found) != 2 || found[0].path != "bad.go" || found[0].line != 3 || found[1].path != "end.go" {
		t.Errorf("found %v", found)
	}
}

func TestSubjectPlanted(t *testing.T) {
	src := loadPlanted(t, "subject")
	expectPlanted(t, src, checkSubject(t, src.files))
}

func checkFormat(files []*file) (found []finding) {
	for _, f := range files {
		formatted, err := format.Source(f.text)
		switch {
		case err != nil:
			found = append(found, finding{f.path, 1, err.Error()})
		case !bytes.Equal(formatted, f.text):
			found = append(found, finding{f.path, firstDifference(f.text, formatted), "gofmt would change this"})
		}
	}
	return found
}

// firstDifference is the first line, from 1, in which a and b differ.
func firstDifference(a, b []byte) int {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	return 1 + bytes.Count(a[:i], []byte("\n"))
}

// checkSubject finds text that speaks of how the code came to be. Code speaks of what it does and why it must.
func checkSubject(t *testing.T, files []*file) (found []finding) {
	t.Helper()
	offTopic := readSubjects(t)
	for _, f := range files {
		n := 0
		for line := range bytes.Lines(f.text) {
			n++
			if said := offTopic.Find(line); said != nil {
				found = append(found, finding{f.path, n, "speaks of how the code was made, not of what it does: " + string(said)})
			}
		}
	}
	return found
}

// readSubjects makes one expression of testdata/subjects.txt, which is no Go file so that it does not find itself.
func readSubjects(t *testing.T) *regexp.Regexp {
	t.Helper()
	text, err := os.ReadFile("testdata/subjects.txt")
	if err != nil {
		t.Fatal(err)
	}
	var alternatives []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			alternatives = append(alternatives, line)
		}
	}
	if len(alternatives) == 0 {
		t.Fatal("testdata/subjects.txt names nothing")
	}
	return regexp.MustCompile(`(?i)\b(` + strings.Join(alternatives, "|") + `)\b`)
}
