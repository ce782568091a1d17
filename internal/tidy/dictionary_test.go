package tidy

import (
	"bytes"
	"go/ast"
	"os"
	"path"
	"regexp"
	"testing"
)

// TestDictionary: a dictionary with words that nobody speaks any more is worse than none.
func TestDictionary(t *testing.T) {
	text, err := os.ReadFile("../../docs/paper.md")
	if err != nil {
		t.Fatal(err)
	}
	expectNone(t, checkDictionary(loadModule(t), "docs/paper.md", text))
}

func TestDictionaryPlanted(t *testing.T) {
	src := loadPlanted(t, "dictionary")
	found := checkDictionary(src, "paper.md", []byte("`Raft` `Raft.Tick`, `Raft.term` `raft.go`\n`quorum`s in `raft`\n"))
	expectNone(t, found)
	for _, word := range []string{"Raft.tick", "Tock", "raft.term", "Raft.quorum", "other.go", "raft_test.go", "Raft."} {
		found := checkDictionary(src, "paper.md", []byte("Fine.\nThe `"+word+"`.\n"))
		if len(found) != 1 || found[0].line != 2 {
			t.Errorf("%s: found %v", word, found)
		}
	}
}

var codeFont = regexp.MustCompile("`([^`\n]*)`")

// checkDictionary finds words in code font that are neither names of package raft, nor methods or fields as Type.name,
// nor its files.
func checkDictionary(src *source, name string, text []byte) (found []finding) {
	words := raftWords(src)
	n := 0
	for line := range bytes.Lines(text) {
		n++
		for _, m := range codeFont.FindAllStringSubmatch(string(line), -1) {
			if !words[m[1]] {
				found = append(found, finding{name, n, "package raft has no " + m[1]})
			}
		}
	}
	return found
}

// raftWords is what package raft declares, and its own name.
func raftWords(src *source) map[string]bool {
	words := map[string]bool{"raft": true}
	for _, f := range filesOf(src, "raft") {
		words[path.Base(f.path)] = true
		for _, decl := range f.ast.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				addFunc(words, d)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					addSpec(words, spec)
				}
			}
		}
	}
	return words
}

func addFunc(words map[string]bool, d *ast.FuncDecl) {
	if d.Recv == nil {
		words[d.Name.Name] = true
		return
	}
	receiver := d.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if id, ok := receiver.(*ast.Ident); ok {
		words[id.Name+"."+d.Name.Name] = true
	}
}

func addSpec(words map[string]bool, spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			words[name.Name] = true
		}
	case *ast.TypeSpec:
		words[s.Name.Name] = true
		fields, ok := s.Type.(*ast.StructType)
		if !ok {
			return
		}
		for _, field := range fields.Fields.List {
			for _, name := range field.Names {
				words[s.Name.Name+"."+name.Name] = true
				if ast.IsExported(name.Name) {
					words[name.Name] = true // a message's fields are named without their message
				}
			}
		}
	}
}
