package script

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "replace the expected outputs of transcripts by the real ones")

// Updating reports whether the flag -update was given, for other tests with expected files.
func Updating() bool { return *update }

// Run runs every transcript that matches glob as a subtest of its own, named after the file. newRun makes a fresh
// interpreter for a file; the interpreter executes one command and returns its output, which gets a newline if it
// lacks one. The first block whose output differs ends its file's subtest.
func Run(t *testing.T, glob string, newRun func(t *testing.T) func(cmd Command) string) {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil {
		t.Fatalf("%s: %v", glob, err)
	}
	if len(files) == 0 {
		t.Fatalf("no transcript matches %s", glob)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		t.Run(name, func(t *testing.T) { runFile(t, file, *update, newRun(t)) })
	}
}

// tester is what this package needs of testing.T.
type tester interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

func runFile(t tester, file string, update bool, run func(Command) string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v", err)
	}
	tr, err := parse(file, string(text))
	if err != nil {
		t.Fatalf("%v", err)
	}
	if len(tr.blocks) == 0 {
		t.Fatalf("%s: no commands", file)
	}
	for i := range tr.blocks {
		b := &tr.blocks[i]
		got := runBlock(t, b, run)
		if update {
			b.want = got
		} else if got != b.want {
			t.Fatalf("%s:%d: the output differs: - is expected, + is what came\n%s", file, b.wantLine, diff(b.want, got))
		}
	}
	if updated := tr.String(); update && updated != string(text) {
		if err := os.WriteFile(file, []byte(updated), 0o644); err != nil {
			t.Fatalf("%v", err)
		}
	}
}

// runBlock executes the block's commands in order and returns their outputs, one after the other.
func runBlock(t tester, b *block, run func(Command) string) string {
	t.Helper()
	var out strings.Builder
	for _, c := range b.commands {
		out.WriteString(runCommand(t, c, run))
	}
	if !canShow(out.String()) {
		t.Fatalf("%s: the output has or ends in doubled rules, which a transcript cannot show:\n%s",
			b.commands[0].Pos(), out.String())
	}
	return out.String()
}

func runCommand(t tester, c Command, run func(Command) string) string {
	t.Helper()
	c.t = t
	returned := false
	defer func() {
		// A panic, or a t.Fatal inside the interpreter, does not know of the transcript.
		if !returned {
			t.Logf("%s: while running %s", c.Pos(), c.Name)
		}
	}()
	out := ended(run(c))
	c.checkUsed()
	returned = true
	return out
}
