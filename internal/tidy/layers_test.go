package tidy

import (
	"slices"
	"strings"
	"testing"
)

// layer is one row of the table: a package, or with /... a tree of them.
type layer struct {
	path string
	// only, if not nil, names the packages of this module that may be imported. Otherwise all above may.
	only []string
	// thirdParty names the module trees that may be imported beside the standard library.
	thirdParty []string
}

const (
	root     = "." // the package that embedders import
	grpc     = "google.golang.org/grpc"
	etcdAPI  = "go.etcd.io/etcd/api/v3"
	protobuf = "google.golang.org/protobuf"
)

// layers is who may import whom: a package may import only packages above it. It is a statement of policy: do not
// change it to fix a build. What it buys: the core can be simulated because nothing of the world is above it, an
// embedder downloads no third-party package, and kv proves that the root package is enough to build on.
var layers = []layer{
	{path: "internal/loopback", only: []string{}},
	{path: "internal/must", only: []string{}},
	{path: "internal/mutants", only: []string{}}, // breaks copies of the rooms
	{path: "internal/script", only: []string{}},
	{path: "internal/tidy", only: []string{}},
	{path: "vfs", only: []string{"internal/must"}},
	{path: "vfs/vfstest", only: []string{"vfs"}}, // what every file system must pass
	{path: "raft", only: []string{"internal/must"}},
	{path: "wire", only: []string{"internal/must", "raft"}},
	{path: "trace"},
	{path: "vfs/memfs", only: []string{"internal/must", "vfs"}},
	{path: "wal"},
	{path: "snapshot"},
	{path: "host"},
	{path: "transport", only: []string{"internal/must", "raft", "wire"}}, // satisfies host's interface unseen
	{path: root},
	{path: "balsatest", only: []string{"vfs", root}}, // for embedders' own tests
	{path: "sim"},
	{path: "sim/check"},
	{path: "kv", only: []string{root}, thirdParty: []string{"github.com/tidwall/btree"}}, // an embedder like any other
	{path: "dashboard", only: []string{"trace"}},
	{path: "server", thirdParty: []string{grpc, etcdAPI, protobuf, "github.com/prometheus"}},
	{path: "cmd/balsa", thirdParty: []string{grpc, etcdAPI, "github.com/spf13/cobra", "github.com/spf13/pflag",
		"gopkg.in/yaml.v3", "go.yaml.in/yaml", "sigs.k8s.io/yaml"}},
	{path: "examples/...", only: []string{root}},
}

// Tests may import, beside what their package may: the transcripts, the simulator, and these.
var (
	testPackages   = []string{"internal/loopback", "internal/script", "vfs/vfstest", "vfs/memfs", "sim", "sim/check", "balsatest"}
	testThirdParty = []string{"github.com/anishathalye/porcupine", "pgregory.net/rapid"}
)

func TestLayers(t *testing.T) { expectNone(t, checkLayers(loadModule(t))) }

func TestLayersPlanted(t *testing.T) {
	src := loadPlanted(t, "layers")
	expectPlanted(t, src, checkLayers(src))
}

// TestLayersOrder: a row may name only rows above it, or the table would contradict itself.
func TestLayersOrder(t *testing.T) {
	for i, l := range layers {
		for _, name := range l.only {
			if j := rowOf(name); j < 0 || j >= i {
				t.Errorf("layers: %s may not import %s, which is not above it", l.path, name)
			}
		}
	}
}

func checkLayers(src *source) (found []finding) {
	for _, f := range src.files {
		i := rowOf(f.dir)
		if i < 0 {
			found = append(found, src.at(f.ast.Package, "%s has no row in the layers of internal/tidy", f.dir))
			continue
		}
		for _, spec := range f.ast.Imports {
			p := importPath(spec)
			if !mayImport(i, f, p) {
				found = append(found, src.at(spec.Pos(), "%s may not import %s (see layers in internal/tidy)", f.dir, p))
			}
		}
	}
	return found
}

func mayImport(row int, f *file, p string) bool {
	l := layers[row]
	switch {
	case isOrIsBelow(p, modulePath):
		dir := strings.TrimPrefix(strings.TrimPrefix(p, modulePath), "/")
		if dir == "" {
			dir = root
		}
		if f.test && (dir == f.dir || slices.Contains(testPackages, dir)) {
			return true
		}
		if l.only != nil {
			return slices.Contains(l.only, dir)
		}
		above := rowOf(dir)
		return above >= 0 && above < row
	case p == "C":
		return false // Balsa is built without a C compiler
	case strings.Contains(strings.Split(p, "/")[0], "."):
		allowed := l.thirdParty
		if f.test {
			allowed = slices.Concat(allowed, testThirdParty)
		}
		return slices.ContainsFunc(allowed, func(tree string) bool { return isOrIsBelow(p, tree) })
	}
	return true // the standard library
}

// rowOf is the place of a folder in the table, or -1.
func rowOf(dir string) int {
	return slices.IndexFunc(layers, func(l layer) bool {
		tree, isTree := strings.CutSuffix(l.path, "/...")
		return l.path == dir || isTree && isOrIsBelow(dir, tree)
	})
}
