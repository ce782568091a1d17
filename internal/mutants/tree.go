package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// tree is a copy of the source, in which one thing at a time is broken.
type tree struct{ dir string }

// copyTree copies what is at root, but for hidden files. A file that is being edited would change under the runs.
func copyTree(ctx context.Context, root string) (*tree, error) {
	dir, err := os.MkdirTemp("", "balsa-mutants-")
	if err != nil {
		return nil, err
	}
	t := &tree{dir: dir}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || ctx.Err() != nil:
			return errors.Join(err, ctx.Err())
		case strings.HasPrefix(d.Name(), ".") && path != root:
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(dir, path), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path), b, 0o644)
	})
	if err != nil {
		t.remove()
		return nil, err
	}
	return t, nil
}

func (t *tree) remove() { os.RemoveAll(t.dir) }

// apply returns source with the fault in it.
func (m *mutant) apply(source string) (string, error) {
	if n := strings.Count(source, m.old); n != 1 {
		return "", fmt.Errorf("%s: %s has %d places for it, not one: %q", m.name, m.file, n, m.old)
	}
	return strings.Replace(source, m.old, m.new, 1), nil
}

// plant writes the fault, and returns what takes it back.
func (t *tree) plant(m *mutant) (restore func() error, err error) {
	name := filepath.Join(t.dir, m.file)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	broken, err := m.apply(string(b))
	if err != nil {
		return nil, err
	}
	return func() error { return os.WriteFile(name, b, 0o644) }, os.WriteFile(name, []byte(broken), 0o644)
}

// blinders leave the simulator only what clients see: what they were answered, and whether they were.
var blinders = []mutant{
	{name: "blind: assertions", file: "internal/must/must.go",
		old: `	panic("balsa: broken invariant: " + fmt.Sprintf(format, args...))`, new: `	_ = fmt.Sprintf(format, args...)`},
	{name: "blind: what the simulator knows", file: "sim/world.go",
		old: `	if w.failure != nil {
		return
	}
	w.failure`, new: `	if w.failure != nil || property != "Linearizable" && property != "Exactly Once" && property != "Session" && property != "Outcome" && property != "Liveness" {
		return
	}
	w.failure`},
}

func (t *tree) blind() error {
	for i := range blinders {
		if _, err := t.plant(&blinders[i]); err != nil {
			return err
		}
	}
	return nil
}

// try says what has turned red with the fault.
func (t *tree) try(ctx context.Context, o options, m *mutant) (result string, err error) {
	restore, err := t.plant(m)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, restore()) }()
	if o.tests {
		return t.tryTests(ctx, m)
	}
	return t.trySeeds(ctx, o, m)
}

// packages are those with mutants.
var packages = []string{"raft", "host", "wal", "snapshot"}

// survives is the result of a fault that nothing has noticed.
const survives = "**none**"

// tryTests runs the package's own tests first: most die of them.
func (t *tree) tryTests(ctx context.Context, m *mutant) (string, error) {
	own := m.file[:strings.IndexByte(m.file, '/')]
	order := []string{own}
	for _, p := range packages {
		if p != own {
			order = append(order, p)
		}
	}
	for _, p := range order {
		out, failed := t.command(ctx, "go", "test", "-trimpath", "-failfast", "-timeout=60s", "./"+p)
		if strings.Contains(out, "[build failed]") {
			return "", fmt.Errorf("%s does not compile:\n%s", m.name, out)
		}
		if failed {
			return "`" + p + "." + failedTest(out) + "`", nil
		}
	}
	return survives, nil
}

var failLine = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// failedTest is the first test that failed, or its subtest.
func failedTest(out string) string {
	found := failLine.FindAllStringSubmatch(out, 2)
	switch {
	case strings.Contains(out, "panic: test timed out") || len(found) == 0:
		return "a test without an end"
	case len(found) == 2 && strings.HasPrefix(found[1][1], found[0][1]+"/"):
		return found[1][1]
	}
	return found[0][1]
}

const (
	// seedsFirst is how many seeds one process runs to begin with: most faults are found by then. Each process after it runs twice as many, for the last of its
	// seeds leave processors idle.
	seedsFirst = 30
	// seedsAtOnce is few enough that a run without an end is noticed, and that nothing is asked of all seeds together.
	seedsAtOnce = 240
)

func (t *tree) trySeeds(ctx context.Context, o options, m *mutant) (string, error) {
	binary := filepath.Join(t.dir, "sim.test")
	if out, failed := t.command(ctx, "go", "test", "-trimpath", "-ldflags=-s -w", "-c", "-o", binary, "./sim"); failed {
		return "", fmt.Errorf("%s does not compile:\n%s", m.name, out)
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	for first, next := 1, seedsFirst; first <= o.seeds; first, next = first+next, min(2*next, seedsAtOnce) {
		n := min(next, o.seeds-first+1)
		out, failed := t.command(ctx, binary, "-test.run=^TestSeeds$", "-shrink=0", "-seeds", strconv.Itoa(n), "-first", strconv.Itoa(first), "-test.timeout=60s")
		switch {
		case ctx.Err() != nil:
			return fmt.Sprintf("%s of %d", survives, first-1), nil
		case failed:
			return firstRed(out, first), nil
		}
	}
	return fmt.Sprintf("%s of %d", survives, o.seeds), nil
}

var (
	violation = regexp.MustCompile(`sim: seed (\d+): (.+?) does not hold: ([^\n;]*)`)
	broken    = regexp.MustCompile(`broken invariant: ([^\n]*)`)
)

// firstRed is the number of seeds that it took, and the check that fired.
func firstRed(out string, first int) string {
	if v := violation.FindStringSubmatch(out); v != nil {
		what := v[2]
		if b := broken.FindStringSubmatch(v[3]); what == "Assertion" && b != nil {
			what += ": " + shorten(b[1])
		}
		return v[1] + " | " + what
	}
	if b := broken.FindStringSubmatch(out); b != nil {
		return fmt.Sprintf("from %d on | Assertion: %s", first, shorten(b[1]))
	}
	if strings.Contains(out, "test timed out") {
		return fmt.Sprintf("from %d on | a run without an end", first)
	}
	return fmt.Sprintf("from %d on | the test stops", first)
}

var digits = regexp.MustCompile(`\d+`)

// shorten leaves out the values of an assertion, and what would break the page's table.
func shorten(s string) string {
	s, _, _ = strings.Cut(s, " (at ")
	s = strings.ReplaceAll(digits.ReplaceAllString(s, "N"), "|", "/")
	if len(s) > 70 {
		s = s[:70] + "..."
	}
	return s
}

// command runs in the copy, on one processor, and reports whether it failed.
func (t *tree) command(ctx context.Context, name string, args ...string) (out string, failed bool) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = t.dir
	if strings.HasSuffix(name, "sim.test") {
		cmd.Dir = filepath.Join(t.dir, "sim")
	}
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOFLAGS=-p=1")
	cmd.WaitDelay = 5 * time.Second
	b, err := cmd.CombinedOutput()
	return string(b), err != nil
}
