package sim

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
)

// TestProperties: every property that a checker names has a sentence, a source and a trail, and every sentence is of one that is named.
func TestProperties(t *testing.T) {
	files, err := parser.ParseDir(token.NewFileSet(), ".", func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, 0)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{undecided: true, plantedProperty: true}
	for _, f := range files["sim"].Files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); !ok || s.Sel.Name != "fail" {
				return true
			}
			if name, ok := call.Args[0].(*ast.BasicLit); ok {
				text, err := strconv.Unquote(name.Value)
				if err != nil {
					t.Fatal(err)
				}
				named[text] = true
			}
			return true
		})
	}
	if len(named) < 30 {
		t.Errorf("there are %d properties only", len(named))
	}
	for name := range named {
		if p := properties[name]; p.says == "" || !strings.HasSuffix(p.says, ".") && name != undecided || p.source == "" || p.trail == 0 {
			t.Errorf("%s is %+v", name, p)
		}
	}
	for name := range properties {
		if !named[name] {
			t.Errorf("no checker names %s", name)
		}
	}
}

// TestSubject: what a failure is about is read off its text's arguments.
func TestSubject(t *testing.T) {
	op := &operation{Operation: Operation{Member: 3, Key: 2, Write: true, Value: 17}}
	for _, test := range []struct {
		args []any
		want string
	}{
		{nil, "{[] [] [] [] []}"},
		{[]any{raft.NodeID(2), raft.Index(7), raft.Term(3), raft.Index(6), raft.Term(1), raft.NodeID(2), raft.Term(4)}, "{[2] [{7 3} {6 1}] [4] [] []}"},
		{[]any{op, raft.Index(9), raft.Index(9), "x", errors.New("x"), 4}, "{[3] [{9 0}] [] [2] [17]}"},
		{[]any{errors.New("n2 leads term 4 with entry 7 of term 3, and entry 6 n1 n99999999999999999999")}, "{[2 1] [{7 3} {6 0}] [4] [] []}"},
		{[]any{&member{id: 5}, place{1, 2}, writeOf(8), raft.NodeID(0)}, "{[5] [{1 2}] [] [] [8]}"},
		{[]any{brokenHistory(&zone{key: 1, value: 5}, &zone{key: 1, value: 6}, "x")}, "{[] [] [] [1] [5 6]}"},
	} {
		s := subjectOf(test.args)
		if got := fmt.Sprintf("{%v %v %v %v %v}", s.Members, s.Entries, s.Terms, s.Keys, s.Values); got != test.want {
			t.Errorf("%v is about %s, want %s", test.args, got, test.want)
		}
	}
}

// TestFold: what is refused is one line, what repeats is none, and the rest stays.
func TestFold(t *testing.T) {
	var lines []told
	w := &world{story: &story{last: make(map[string][]string)}}
	at := func(ms int) { w.now = time.Duration(ms) * time.Millisecond }
	value := uint64(0)
	put := func(client int, m raft.NodeID) *operation {
		value++
		op := &operation{Operation: Operation{Client: client, Member: m, Key: 1, Write: true, Value: value}}
		w.tellCall(op, false)
		return op
	}
	end := func(op *operation, o Outcome, err error) {
		op.ended, op.Outcome, op.err, op.Index = true, o, err, raft.Index(op.Value)
		w.tellCall(op, true)
	}
	refusal := fmt.Errorf("%w: %w", host.ErrNotCommitted, host.ErrNoLeader)
	beat := raft.AppendEntries{Term: 1, PrevLogIndex: 3, PrevLogTerm: 1}
	at(1)
	a, b := put(8, 2), put(8, 2)
	at(2)
	end(a, OutcomeRefused, refusal)
	end(b, OutcomeRefused, refusal)
	at(3)
	g := put(7, 2)
	c := put(7, 2)
	end(c, OutcomeRefused, refusal)
	w.tellMessage("", 1, 2, beat)
	w.tellMessage("", 1, 3, beat)
	w.tellMessage("", 1, 2, beat)
	w.tellEvent(&member{id: 1}, raft.Event{Kind: raft.EventProbing, Node: 3, Index: 4})
	w.tellEvent(&member{id: 1}, raft.Event{Kind: raft.EventProbing, Node: 3, Index: 4})
	d, e, f := put(8, 1), put(8, 1), put(8, 1)
	at(4)
	end(d, OutcomeApplied, nil)
	end(e, OutcomeApplied, nil)
	w.tell("n1 starts")
	end(g, OutcomeRefused, refusal)
	end(f, OutcomeUnknown, host.ErrUnknownOutcome)
	lines = w.story.lines
	var got []string
	for _, l := range fold(lines) {
		got = append(got, l.text)
	}
	want := []string{
		"clients 7, 8 ask n2 for 4 puts, all refused: no leader (until 0.003)",
		"n2 <- n1 AppendEntries t1 after 3:t1 commit 0",
		"n3 <- n1 AppendEntries t1 after 3:t1 commit 0",
		"n1 probes n3 at 4",
		"client 8 asks n1 for 3 puts: 1=5 1=6 1=7",
		"n1 ends client 8's 1=5 1=6: applied at 5 to 6",
		"n1 starts",
		"n1 ends client 8's put 1=7: unknown: it was not waited for any longer",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d lines are told as\n%s", len(lines), strings.Join(got, "\n"))
	}
	if len(lines) != 20 {
		t.Errorf("all is %d lines", len(lines))
	}
}

// TestStory: a story ends with what has happened, all has more lines, and a failure begins with its summary, which is on one screen.
func TestStory(t *testing.T) {
	o := Options{Members: 3, Duration: 20 * time.Second, Faults: FaultDiskError | FaultKill | FaultLoss | FaultPause, planted: true}
	for o.Seed = 11; ; o.Seed++ {
		if _, err := Run(o); err != nil {
			break
		}
	}
	tell := func(all bool) (string, *Violation) {
		var b strings.Builder
		o.Story, o.All = &b, all
		_, err := Run(o)
		var v *Violation
		errors.As(err, &v)
		return b.String(), v
	}
	short, v := tell(false)
	whole, _ := tell(true)
	if v.Summary == "" || !strings.HasPrefix(short, v.Summary) || !strings.HasPrefix(whole, v.Summary) {
		t.Errorf("the summary is %q, and the story begins with %.1000q", v.Summary, short)
	}
	if n := strings.Count(v.Summary, "\n"); n > 40 || n < 12 {
		t.Errorf("the summary has %d lines:\n%s", n, v.Summary)
	}
	for _, line := range strings.Split(v.Summary, "\n") {
		if len(line) > lineMax+20 {
			t.Errorf("a line has %d bytes: %s", len(line), line)
		}
	}
	if n, of := strings.Count(short, "\n"), strings.Count(whole, "\n"); n > of*9/10 {
		t.Errorf("of %d lines %d are told", of, n)
	}
	for _, want := range []string{"Planted does not hold", "found\n", "who led (of n1 n2 n3)", "what went wrong\n", "trail\n", "at the end\n"} {
		if !strings.Contains(v.Summary, want) {
			t.Errorf("%q is not in %s", want, v.Summary)
		}
	}
}

// TestStoryEnds: a run that gets nowhere is told at its beginning and at its end.
func TestStoryEnds(t *testing.T) {
	var b strings.Builder
	w := &world{options: Options{Story: &b}, story: &story{last: make(map[string][]string)}}
	for i := range 3 * storyMax {
		w.tell("line %d", i)
	}
	w.tellStory()
	if n := strings.Count(b.String(), "\n"); n > storyMax+20 || !strings.Contains(b.String(), "line 0\n") || !strings.Contains(b.String(), fmt.Sprintf("line %d\n", 3*storyMax-1)) ||
		!strings.Contains(b.String(), fmt.Sprintf("... %d lines are left out", 2*storyMax)) {
		t.Errorf("%d lines are told", n)
	}
	b.Reset()
	w.story.all = true
	if w.tellStory(); strings.Count(b.String(), "\n") < 3*storyMax {
		t.Error("not all is told")
	}
}
