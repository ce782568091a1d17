package script

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTranscripts runs this package's own transcripts.
func TestTranscripts(t *testing.T) {
	Run(t, "testdata/*.txt", func(*testing.T) func(Command) string { return interpret })
}

func interpret(c Command) string {
	switch c.Name {
	case "show":
		var s strings.Builder
		fmt.Fprintf(&s, "show at %d:", c.Line)
		for i := range c.Args {
			fmt.Fprintf(&s, " %q", c.Arg(i))
		}
		fmt.Fprintf(&s, " size %d name %q wait %v list %v yes %v", c.Uint("size", 0), c.Text("name", "none"),
			c.Duration("wait", 0), c.List("list"), c.Bool("yes", false))
		return s.String()
	case "echo":
		return strings.Join(c.Args, "\n")
	case "quiet":
		return ""
	}
	c.Fatalf("unknown command")
	return ""
}

// recorder is a tester that keeps what is said and ends by a panic of its own type.
type recorder struct{ said []string }

type fatal struct{}

func (r *recorder) Helper() {}
func (r *recorder) Logf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
	panic(fatal{})
}

// runText runs a transcript of the given text and returns what it said, and the file's text afterwards.
func runText(t *testing.T, text string, update bool, run func(Command) string) (said, after string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("f.txt", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var r recorder
	func() {
		defer func() {
			if v := recover(); v != nil {
				if _, ok := v.(fatal); !ok {
					r.said = append(r.said, fmt.Sprintf("panic: %v", v))
				}
			}
		}()
		runFile(&r, "f.txt", update, run)
	}()
	b, err := os.ReadFile("f.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(r.said, "\n"), string(b)
}

func TestMismatch(t *testing.T) {
	const text = "# why\n\nquiet\n----\n\necho a b c\n----\na\nx\nc\n"
	said, after := runText(t, text, false, interpret)
	want := "f.txt:7: the output differs: - is expected, + is what came\n  a\n- x\n+ b\n  c\n"
	if said != want {
		t.Errorf("said:\n%s\nwant:\n%s", said, want)
	}
	if after != text {
		t.Errorf("a run without -update changed the file to:\n%s", after)
	}
}

func TestMismatchOfNothing(t *testing.T) {
	for _, text := range []string{
		"quiet\n----\nx\n", "echo x\n----\n", "echo x\n----", "echo x\n----\nx\nx\n", "echo x x\n----\nx\n",
		"echo x\n----\n x\n", "echo x\n----\nx \n", "echo \"\\n\"\n----\n",
	} {
		if said, _ := runText(t, text, false, interpret); !strings.Contains(said, "the output differs") {
			t.Errorf("%q passed: %s", text, said)
		}
	}
}

func TestUpdate(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"one line", "echo a\n----\nold\nolder\n", "echo a\n----\na\n"},
		{"no newline at the end", "echo a\n----", "echo a\n----\na\n"},
		{"to nothing", "# c\nquiet\n----\nold\n\n# d\n", "# c\nquiet\n----\n\n# d\n"},
		{"from nothing", "echo a\n----\n\necho b\n----\n", "echo a\n----\na\n\necho b\n----\nb\n"},
		{"comments", "# 1\n\necho a\n# 2\necho b\n----\n\n\n# 3\n", "# 1\n\necho a\n# 2\necho b\n----\na\nb\n\n\n# 3\n"},
		{"to doubled", "echo \"a\\n\\nb\"\n----\nold\n\n# d\n", "echo \"a\\n\\nb\"\n----\n----\na\n\nb\n----\n----\n\n# d\n"},
		{"from doubled", "echo a\n----\n----\n\n----\n----\n\n# d\n", "echo a\n----\na\n\n# d\n"},
		{"nothing to do", "echo a\n----\na\n\n\n", "echo a\n----\na\n\n\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			said, after := runText(t, test.text, true, interpret)
			if after != test.want || said != "" {
				t.Errorf("file is\n%s\nwant\n%s\nsaid %q", after, test.want, said)
			}
			if said, again := runText(t, after, false, interpret); said != "" || again != after {
				t.Errorf("an updated file does not pass: %s", said)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "f.txt: no commands"},
		{"# only this\n", "f.txt: no commands"},
		{"quiet\n\n----\n", "f.txt:1: no ---- after the command"},
		{"quiet\n", "f.txt:1: no ---- after the command"},
		{"\n----\nx\n", "f.txt:2: ---- without a command above it"},
		{"echo a\n----\n----\na\n----\n", "f.txt:2: no doubled ---- at the end of the output"},
		{"echo a\n----\n----\na\n----\n----\n# c\n", "f.txt:7: no blank line after the output"},
		{"# c\nshow size=1 size=2\n----\n", "f.txt:2: size= is there twice"},
		{"size=1 show\n----\n", "f.txt:1: the line begins with size=, not with a command"},
		{"show \"a\n----\n", "f.txt:1: no end to the quotes of \"a"},
		{"show \"a\"b\n----\n", "f.txt:1: no space after \"a\""},
		{"\nquiet\n----\n\nshow size=x\n----\n", "f.txt:5: show: size=\"x\" is not a number from 0 on"},
		{"show yes=1\n----\n", "f.txt:1: show: yes=\"1\" is neither true nor false"},
		{"show wait=3\n----\n", "f.txt:1: show: wait=\"3\" is not a duration"},
		{"quiet colour=red\n----\n", "f.txt:1: quiet: takes no colour="},
		{"what\n----\n", "f.txt:1: what: unknown command"},
		{"echo a ---- ----\n----\n", "f.txt:1: the output has or ends in doubled rules"},
		{"echo a ----\n----\n", "f.txt:1: the output has or ends in doubled rules"},
	} {
		for _, update := range []bool{false, true} {
			said, after := runText(t, test.text, update, interpret)
			if !strings.HasPrefix(said, test.want) {
				t.Errorf("%q (update %v): said %q, want %q", test.text, update, said, test.want)
			}
			if after != test.text {
				t.Errorf("%q (update %v): the file became %q", test.text, update, after)
			}
		}
	}
}

func TestCommand(t *testing.T) {
	c, err := parseCommand("  go 7 n=-3 e= url=\"a=b\" 1=2 =x")
	if err != nil {
		t.Fatal(err)
	}
	c.t = t
	if c.ArgUint(0) != 7 || c.Int("n", 0) != -3 || c.Get("e") != "" || c.Get("url") != "a=b" {
		t.Errorf("parsed %+v", c)
	}
	if c.Arg(1) != "1=2" || c.Arg(2) != "=x" || len(c.Args) != 3 {
		t.Errorf("arguments are %q", c.Args)
	}
	if !c.Has("e") || c.Has("f") || c.Int("f", 9) != 9 || c.Duration("f", time.Second) != time.Second || !c.Bool("f", true) {
		t.Error("a key that is not there is not replaced by the default")
	}
	c.ArgsMax(3)
	c.checkUsed()

	for what, call := range map[string]func(){
		"needs 4 arguments, has 3":               func() { c.Arg(3) },
		"argument 1=\"1=2\" is not a number":     func() { c.ArgUint(1) },
		"needs f=...":                            func() { c.Get("f") },
		"url=\"a=b\" is not a number":            func() { c.Int("url", 0) },
		"takes at most 2 arguments, has 3: [\"7": func() { c.ArgsMax(2) },
	} {
		var r recorder
		c.t = &r
		func() {
			defer func() { _ = recover() }()
			call()
		}()
		if said := strings.Join(r.said, "\n"); !strings.HasPrefix(said, ":0: go: "+what) {
			t.Errorf("said %q, want %q", said, what)
		}
	}
}

// TestPanic: whoever reads a broken assertion in a core needs the line of the transcript that broke it.
func TestPanic(t *testing.T) {
	said, _ := runText(t, "quiet\n----\n\nbang\n----\n", false, func(c Command) string {
		if c.Name == "bang" {
			panic("broken invariant")
		}
		return ""
	})
	if want := "f.txt:4: while running bang\npanic: broken invariant"; said != want {
		t.Errorf("said %q, want %q", said, want)
	}
}

// TestRun: a fresh interpreter and a subtest a file, in the order of the names.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.txt", "a.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("count\ncount\n----\n1\n2\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	Run(t, filepath.Join(dir, "*.txt"), func(t *testing.T) func(Command) string {
		names = append(names, filepath.Base(t.Name()))
		n := 0
		return func(Command) string { n++; return fmt.Sprint(n) }
	})
	if got := fmt.Sprint(names); got != "[a b]" {
		t.Errorf("ran %s", got)
	}
}
