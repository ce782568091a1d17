package tidy

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// vagueNames say nothing about what a package is for, so everything ends up in it.
var vagueNames = []string{"util", "utils", "common", "types", "helper", "helpers", "base", "misc", "shared", "interfaces"}

func TestPackageComments(t *testing.T) { expectNone(t, checkPackageComments(loadModule(t))) }
func TestPackageNames(t *testing.T)    { expectNone(t, checkPackageNames(loadModule(t))) }

func TestPackageCommentsPlanted(t *testing.T) {
	src := loadPlanted(t, "comments")
	expectPlanted(t, src, checkPackageComments(src))
}

func TestPackageNamesPlanted(t *testing.T) {
	src := loadPlanted(t, "names")
	expectPlanted(t, src, checkPackageNames(src))
}

// checkPackageComments finds packages that do not have exactly one package comment, in the form that go doc shows well.
func checkPackageComments(src *source) (found []finding) {
	for _, p := range src.packages(notTest) {
		documented := 0
		for _, f := range p.files {
			doc := f.ast.Doc.Text()
			if doc == "" {
				continue
			}
			documented++
			if documented > 1 {
				found = append(found, src.at(f.ast.Package, "a second package comment: keep one"))
			}
			opening := "Package " + f.ast.Name.Name + " "
			if f.ast.Name.Name == "main" {
				opening = "Command " + path.Base(p.dir) + " "
			}
			if !strings.HasPrefix(doc, opening) {
				found = append(found, src.at(f.ast.Package, "the package comment must begin with %q", opening))
			}
		}
		if documented == 0 {
			found = append(found, src.at(p.files[0].ast.Package, "no file of the package has a package comment"+
				" (a blank line between comment and package detaches it)"))
		}
	}
	return found
}

func checkPackageNames(src *source) (found []finding) {
	for _, f := range src.files {
		name := strings.TrimSuffix(f.ast.Name.Name, "_test")
		for _, part := range append(strings.Split(f.dir, "/"), name) {
			if slices.Contains(vagueNames, part) {
				found = append(found, src.at(f.ast.Package, "%s names no purpose: put the code where it is used", part))
				break
			}
		}
	}
	return found
}
