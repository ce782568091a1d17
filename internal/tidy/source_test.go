package tidy

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const modulePath = "github.com/balsa-raft/balsa"

// source is a parsed tree of Go files.
type source struct {
	root  string // the folder on disk
	fset  *token.FileSet
	files []*file
}

// file is one Go file. Paths are slash-separated and below the source's root.
type file struct {
	path string
	dir  string // "." for the root
	text []byte
	ast  *ast.File
	test bool // named _test.go
}

// finding is a broken rule at a place.
type finding struct {
	path string
	line int
	text string
}

func (f finding) String() string { return fmt.Sprintf("%s:%d: %s", f.path, f.line, f.text) }

// module is this module's source, parsed once for all tests.
var module = sync.OnceValues(func() (*source, error) { return load("../..") })

func loadModule(t *testing.T) *source {
	t.Helper()
	src, err := module()
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// load parses the Go files below root. Nested modules, testdata and folders that the go command ignores are left out.
func load(root string) (*source, error) {
	src := &source{root: root, fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != root && isOutside(name) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f, err := src.parse(filepath.ToSlash(rel))
		if err != nil {
			return err
		}
		src.files = append(src.files, f)
		return nil
	})
	return src, err
}

func isOutside(dir string) bool {
	base := filepath.Base(dir)
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func (s *source) parse(name string) (*file, error) {
	text, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		return nil, err
	}
	tree, err := parser.ParseFile(s.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &file{path: name, dir: path.Dir(name), text: text, ast: tree, test: strings.HasSuffix(name, "_test.go")}, nil
}

// at makes a finding at a node.
func (s *source) at(pos token.Pos, format string, args ...any) finding {
	p := s.fset.Position(pos)
	return finding{p.Filename, p.Line, fmt.Sprintf(format, args...)}
}

// importPath is the path that an import names.
func importPath(spec *ast.ImportSpec) string {
	p, _ := strconv.Unquote(spec.Path.Value) // the parser accepts nothing that is not quoted
	return p
}

// isOrIsBelow reports whether the import path p is tree or lies below it.
func isOrIsBelow(p, tree string) bool { return p == tree || strings.HasPrefix(p, tree+"/") }

// expectNone fails the test for every finding.
func expectNone(t *testing.T, found []finding) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}

var wantComment = regexp.MustCompile(`// want "(.*)"$`)

// expectPlanted compares the findings with the comments of the form
//
//	// want "part of the finding"
//
// in the files: each must be found in its line, and nothing else may be.
func expectPlanted(t *testing.T, src *source, found []finding) {
	t.Helper()
	var wants []finding
	for _, f := range src.files {
		lines := bufio.NewScanner(bytes.NewReader(f.text))
		for n := 1; lines.Scan(); n++ {
			if m := wantComment.FindStringSubmatch(lines.Text()); m != nil {
				wants = append(wants, finding{f.path, n, m[1]})
			}
		}
	}
	if len(wants) == 0 {
		t.Errorf("%s: no violation is planted", src.root)
	}
	for _, w := range wants {
		i := slices.IndexFunc(found, func(f finding) bool {
			return f.path == w.path && f.line == w.line && strings.Contains(f.text, w.text)
		})
		if i < 0 {
			t.Errorf("not found: %v", w)
			continue
		}
		found = slices.Delete(found, i, i+1)
	}
	for _, f := range found {
		t.Errorf("found where nothing is planted: %v", f)
	}
}

func loadPlanted(t *testing.T, name string) *source {
	t.Helper()
	src, err := load(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// packages returns the folders that have files for which keep holds, sorted, with those files.
func (s *source) packages(keep func(*file) bool) []pkg {
	var ps []pkg
	for _, f := range s.files {
		if !keep(f) {
			continue
		}
		i := slices.IndexFunc(ps, func(p pkg) bool { return p.dir == f.dir })
		if i < 0 {
			i = len(ps)
			ps = append(ps, pkg{dir: f.dir})
		}
		ps[i].files = append(ps[i].files, f)
	}
	slices.SortFunc(ps, func(a, b pkg) int { return cmp.Compare(a.dir, b.dir) })
	return ps
}

// pkg is the files of one folder.
type pkg struct {
	dir   string
	files []*file
}

func notTest(f *file) bool { return !f.test }
