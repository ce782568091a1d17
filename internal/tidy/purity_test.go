package tidy

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// pure is the packages whose behaviour must depend on their inputs alone, so that a seed replays a run.
var pure = []string{"raft", "host"}

// bannedImports are trees of the standard library that a pure package may not know. raft is a function with a memory; host
// reaches files through vfs and peers through its transport, or the simulator could not stand in for them.
var bannedImports = map[string][]string{
	"raft": {"context", "io", "os", "net", "log", "sync", "time"},
	"host": {"os", "net"},
}

// clockFuncs are the functions of package time that read or wait for the real clock.
var clockFuncs = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}

// seededFuncs are those of math/rand that do not draw from the global generator.
var seededFuncs = []string{"New", "NewSource", "NewZipf", "NewPCG", "NewChaCha8"}

// sorters take an iterator over a map and return something that no longer depends on the map's order.
var sorters = []string{"slices.Sorted", "slices.SortedFunc", "maps.Collect"}

func TestPurity(t *testing.T) {
	src := loadModule(t)
	for _, dir := range pure {
		expectNone(t, checkPurity(t, src, dir))
	}
}

func TestPurityPlanted(t *testing.T) {
	src := loadPlanted(t, "purity")
	for _, dir := range pure {
		expectPlanted(t, &source{root: dir, files: filesOf(src, dir)}, checkPurity(t, src, dir))
	}
}

func filesOf(src *source, dir string) (files []*file) {
	for _, f := range src.files {
		if f.dir == dir && !f.test {
			files = append(files, f)
		}
	}
	return files
}

func checkPurity(t *testing.T, src *source, dir string) (found []finding) {
	t.Helper()
	var trees []*ast.File
	for _, f := range filesOf(src, dir) {
		found = append(found, checkImports(src, f)...)
		// What the build leaves out here, this check does not see either.
		if ok, err := build.Default.MatchFile(filepath.Join(src.root, dir), path.Base(f.path)); err != nil || !ok {
			found = append(found, src.at(f.ast.Package, "%s may not depend on the platform or a build tag", dir))
			continue
		}
		trees = append(trees, f.ast)
	}
	if len(trees) == 0 {
		t.Errorf("%s has no Go files: is it still there?", dir)
		return found
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Types: map[ast.Expr]types.TypeAndValue{}}
	config := types.Config{Importer: exports(t, src.fset)}
	if _, err := config.Check(dir, src.fset, trees, info); err != nil {
		t.Fatalf("%s does not compile: %v", dir, err)
	}
	for _, tree := range trees {
		v := &purityVisitor{src: src, info: info, name: path.Base(src.fset.Position(tree.Package).Filename)}
		ast.Walk(v, tree)
		found = append(found, v.found...)
	}
	return found
}

func checkImports(src *source, f *file) (found []finding) {
	for _, spec := range f.ast.Imports {
		p := importPath(spec)
		if slices.ContainsFunc(bannedImports[f.dir], func(tree string) bool { return isOrIsBelow(p, tree) }) {
			found = append(found, src.at(spec.Pos(), "%s may not import %s: it would no longer depend on its inputs alone", f.dir, p))
		}
	}
	return found
}

// purityVisitor looks at one file.
type purityVisitor struct {
	src    *source
	info   *types.Info
	name   string // of the file
	sorted map[ast.Node]bool
	found  []finding
}

func (v *purityVisitor) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.GoStmt:
		if v.name != "run.go" {
			v.add(n, "a goroutine may start only in a file named run.go")
		}
	case *ast.RangeStmt:
		if rangesOverMap(v.info.TypeOf(n.X)) {
			v.add(n, "the order of a map differs from run to run: range over a sorted slice")
		}
	case *ast.CallExpr:
		v.visitCall(n)
	case *ast.Ident:
		v.visitUse(n)
	}
	return v
}

// visitCall remembers the maps' iterators that go straight into a function that sorts them.
func (v *purityVisitor) visitCall(n *ast.CallExpr) {
	if pkg, fun := v.used(calledIdent(n)); !slices.Contains(sorters, pkg+"."+fun) {
		return
	}
	for _, arg := range n.Args {
		if call, ok := ast.Unparen(arg).(*ast.CallExpr); ok {
			if v.sorted == nil {
				v.sorted = map[ast.Node]bool{}
			}
			v.sorted[calledIdent(call)] = true
		}
	}
}

func (v *purityVisitor) visitUse(n *ast.Ident) {
	pkg, fun := v.used(n)
	inShell := v.name == "run.go" || v.name == "env.go"
	switch pkg {
	case "time":
		if slices.Contains(clockFuncs, fun) && !inShell {
			v.add(n, "time.%s is the real clock: take the time as an argument", fun)
		}
	case "math/rand", "math/rand/v2":
		if !slices.Contains(seededFuncs, fun) {
			v.add(n, "rand.%s draws from the global generator: use one with a seed", fun)
		}
	case "crypto/rand", "hash/maphash":
		if !inShell {
			v.add(n, "%s.%s differs from run to run", pkg, fun)
		}
	case "maps":
		if slices.Contains([]string{"Keys", "Values", "All"}, fun) && !v.sorted[n] {
			v.add(n, "maps.%s has the order of a map, which differs from run to run: sort it", fun)
		}
	}
}

func (v *purityVisitor) add(n ast.Node, format string, args ...any) {
	v.found = append(v.found, v.src.at(n.Pos(), format, args...))
}

// used is the import path and the name of the package-level function that n uses, however its package is called here.
// Both are empty if n is anything else.
func (v *purityVisitor) used(n *ast.Ident) (pkg, name string) {
	fun, ok := v.info.Uses[n].(*types.Func)
	if !ok || fun.Pkg() == nil || fun.Signature().Recv() != nil {
		return "", ""
	}
	return fun.Pkg().Path(), fun.Name()
}

// calledIdent is the identifier of the called function, without package and type arguments; or nil.
func calledIdent(n *ast.CallExpr) *ast.Ident {
	fun := ast.Unparen(n.Fun)
	switch f := fun.(type) {
	case *ast.IndexExpr:
		fun = f.X
	case *ast.IndexListExpr:
		fun = f.X
	}
	switch f := fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel
	case *ast.Ident:
		return f
	}
	return nil
}

// rangesOverMap reports whether a value of type t is a map, or, for a type parameter, can be one.
func rangesOverMap(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Map:
		return true
	case *types.Interface: // the constraint of a type parameter
		for embedded := range u.EmbeddedTypes() {
			if rangesOverMap(embedded) {
				return true
			}
		}
	case *types.Union:
		for term := range u.Terms() {
			if rangesOverMap(term.Type()) {
				return true
			}
		}
	}
	return false
}

// exports is an importer that reads what the compiler has written of the packages that the pure ones, and those
// planted, depend on. It takes a tenth of a second where checking the standard library from source takes several.
func exports(t *testing.T, fset *token.FileSet) types.Importer {
	t.Helper()
	files, err := exportFiles()
	if err != nil {
		t.Fatal(err)
	}
	return importer.ForCompiler(fset, "gc", func(p string) (io.ReadCloser, error) {
		name, ok := files[p]
		if !ok {
			return nil, fmt.Errorf("no export data of %s: does it compile?", p)
		}
		return os.Open(name)
	})
}

var exportFiles = sync.OnceValues(func() (map[string]string, error) {
	planted, err := load(filepath.Join("testdata", "purity"))
	if err != nil {
		return nil, err
	}
	args := []string{"list", "-e", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}}\t{{.Export}}{{end}}"}
	needed := map[string]bool{}
	for _, f := range planted.files {
		for _, spec := range f.ast.Imports {
			needed[importPath(spec)] = true
		}
	}
	args = append(args, slices.Sorted(maps.Keys(needed))...)
	for _, dir := range pure {
		args = append(args, "./"+dir)
	}
	list := exec.Command("go", args...)
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("go list: %w: %s", err, exit.Stderr)
		}
		return nil, err
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if p, name, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			files[p] = name
		}
	}
	return files, nil
})
