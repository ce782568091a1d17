package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
)

// TestMain lets the test's program be what bench starts for each system.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "-only" || os.Args[1] == childCommand) {
		main()
		return
	}
	os.Exit(m.Run())
}

// errUnlucky is of a measurement during which the machine may have stood still, so that nothing was done in its 120 ms, or there was an election.
var errUnlucky = errors.New("not as it should be")

// TestSystems: every system starts, does each operation that it has without a failure, and applies on all members what it acknowledged.
func TestSystems(t *testing.T) {
	w := workload{ops: operations, conc: []int{1, 32}, payload: 64, warmUp: 20 * time.Millisecond, length: 120 * time.Millisecond}
	for _, s := range systems {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for tries := 1; ; tries++ {
				runs := map[string]int{}
				err := measure(s, t.TempDir(), w, func(r Result) error {
					if r.Failed > 0 || r.done == 0 || r.P50us <= 0 || r.P99us < r.P50us || r.CPUusPerOp <= 0 || r.AllocsPerOp <= 0 {
						return fmt.Errorf("%w: %+v", errUnlucky, r)
					}
					runs[r.Op]++
					return nil
				})
				if err == nil && (runs[opWrite] != 2 || runs[opRead] != 2 || runs[opFollowerWrite] != 2 && s.name != "hashicorp") {
					t.Fatalf("ran %v", runs)
				}
				if err == nil {
					return
				}
				if !errors.Is(err, errUnlucky) || tries == 4 {
					t.Fatal(err)
				}
				t.Log(err)
			}
		})
	}
}

// TestLost: a system that acknowledges what its members do not apply is found out.
func TestLost(t *testing.T) {
	c := &cluster{applied: func() []uint64 { return []uint64{10, 9, 10} }}
	err := awaitApplied(system{name: "liar"}, c, 10, 20*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "member 2 has applied 9") {
		t.Errorf("got %v", err)
	}
}

// TestCommand runs all of it, with processes of its own.
func TestCommand(t *testing.T) {
	dir := t.TempDir()
	output, results := filepath.Join(dir, "report.html"), filepath.Join(dir, "results.json")
	var out, progress bytes.Buffer
	err := run(context.Background(), []string{"-systems", "floor", "-ops", "write,read", "-conc", "1,8", "-rounds", "2", "-seconds", "0.05", "-warm-up", "0.01",
		"-dir", dir, "-output", output, "-json", results}, &out, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	for _, want := range []string{"write, 8 callers", "linearizable read, 1 caller", "floor"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
	page, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	checkPage(t, page)
	if _, err := os.Stat(results); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "balsa-bench-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestScale runs all parts, with processes of their own, in two runs that make one report.
func TestScale(t *testing.T) {
	for _, counts := range []*[]int{&callerCounts, &connectionCounts, &memberCounts, &commandSizes} {
		all := *counts
		*counts = all[:1]
		defer func() { *counts = all }()
	}
	dir := t.TempDir()
	output, first, second := filepath.Join(dir, "report.html"), filepath.Join(dir, "first.json"), filepath.Join(dir, "second.json")
	for _, run := range [][]string{
		{"-parts", "log,callers,members,memory", "-json", first},
		{"-parts", "connections,soak,large,follower", "-with", first, "-json", second},
	} {
		var out, progress bytes.Buffer
		args := append(run, "-entries", "12000", "-writes", "5000", "-soak", "2s", "-state", "1", "-seconds", "0.3", "-warm-up", "0.01", "-dir", dir, "-output", output)
		if err := runScale(context.Background(), args, &out, &progress); err != nil {
			t.Fatalf("%v\n%s", err, &progress)
		}
	}
	d, err := readDocument(second)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"log": 2, "callers": 2, "connections": 1, "members": 1, "memory": 30, "soak": 2, "large": 2, "follower": 6}
	for _, p := range parts {
		r := d.Scale.of(p.name)
		if r == nil || len(r.Points) != want[p.name] {
			t.Errorf("%s: %+v, want %d points", p.name, r, want[p.name])
			continue
		}
		for _, at := range r.Points {
			for _, c := range p.columns {
				maybe := []string{valSnapshots, valRSS, valCPU, valHeap} // none yet, or not known where /proc is not
				if v, ok := at.Values[c.value]; (!ok || v <= 0) && !slices.Contains(maybe, c.value) {
					t.Errorf("%s: %+v has no %s", p.name, at, c.value)
				}
			}
		}
	}
	page, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	checkPage(t, page)
	if left, _ := filepath.Glob(filepath.Join(dir, "balsa-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestScaleFlags(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-parts log,fly", `no part "fly"`},
		{"-entries 5", "-entries"},
		{"-soak 1ms", "-soak"},
		{"-state -1", "-state"},
		{"-seconds 0", "-seconds"},
		{"-rounds 0", "-rounds"},
		{"log", "no flag"},
	} {
		if _, err := parseScale(strings.Fields(test.args), io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", test.args, err, test.want)
		}
	}
}

// TestLedger: a snapshot does not see what comes after it, and gives back what came before.
func TestLedger(t *testing.T) {
	l := newLedger(2 * ledgerChunk)
	put := func(commands ...string) {
		if err := l.Apply(func(yield func(balsa.Entry[[]byte, struct{}]) bool) {
			for _, c := range commands {
				if !yield(balsa.Entry[[]byte, struct{}]{Command: []byte(c)}) {
					return
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	put(strings.Repeat("a", ledgerChunk+1), "b")
	write, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	put(strings.Repeat("c", 2*ledgerChunk))
	var snapshot bytes.Buffer
	if err := write(&snapshot); err != nil {
		t.Fatal(err)
	}
	again := newLedger(2 * ledgerChunk)
	if err := again.Restore(&snapshot); err != nil {
		t.Fatal(err)
	}
	if again.executed() != 2 || again.at != ledgerChunk+2 || string(again.chunks[1][:3]) != "ab\x00" || again.chunks[0][0] != 'a' || l.chunks[0][0] != 'c' {
		t.Errorf("%d commands, the next at %d, %q", again.executed(), again.at, again.chunks[1][:3])
	}
}

// inPlot is where points and bars may be.
var inPlot = map[string][2]float64{
	"cx": {chartLeft, chartWidth - chartRight}, "x": {chartLeft, chartWidth - chartRight}, "width": {1, chartWidth},
	"cy": {chartTop, chartHeight - chartBottom}, "y": {chartTop, chartHeight - chartBottom}, "height": {1, chartHeight},
}

// checkPage: the page is well formed, and asks for nothing from elsewhere.
func checkPage(t *testing.T, page []byte) {
	t.Helper()
	_, body, _ := bytes.Cut(page, []byte("</style></head>"))
	d := xml.NewDecoder(bytes.NewReader(append([]byte("<html>"), body...)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			for _, a := range e.Attr {
				if a.Name.Local == "src" || a.Name.Local == "href" || strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("<%s %s=%q>", e.Name.Local, a.Name.Local, a.Value)
				}
				if limit, ok := inPlot[a.Name.Local]; ok && (e.Name.Local == "circle" || e.Name.Local == "rect") {
					if v, err := strconv.ParseFloat(a.Value, 64); err != nil || v < limit[0] || v > limit[1] {
						t.Errorf("<%s %s=%q> lies outside of the plot", e.Name.Local, a.Name.Local, a.Value)
					}
				}
			}
		}
	}
}

// TestReport: systems that lack an operation, a single number of callers, and values of zero make no broken plots.
func TestReport(t *testing.T) {
	for _, conc := range [][]int{{1}, {1, 64, 512}} {
		s := &settings{systems: systems, rounds: 3, workload: workload{ops: operations, conc: conc, payload: 128, length: time.Second}}
		var results []Result
		for round := range 3 {
			for i, sys := range systems {
				for _, op := range operations {
					for _, n := range conc {
						if op == opFollowerWrite && sys.name == "hashicorp" || op == opRead && sys.name == "balsa" && n == 64 {
							continue // as after Ctrl-C
						}
						x := float64((i + 1) * n * (round + 1))
						results = append(results, Result{System: sys.name, Round: round, Op: op, Conc: n, OpsPerSec: 1000 * x, P50us: 100 / x, P99us: 1e6 / x, CPUusPerOp: x, AllocsPerOp: float64(i)})
					}
				}
			}
		}
		page, err := document{Machine: machine{CPU: "<a & b>"}, Settings: s.document(), Results: results}.page()
		if err != nil {
			t.Fatal(err)
		}
		checkPage(t, page)
	}
}

func TestSummary(t *testing.T) {
	s := &settings{systems: systems, workload: workload{ops: []string{opWrite}, conc: []int{1}}}
	var results []Result
	for round, ops := range []map[string]float64{
		{"floor": 100, "hashicorp": 20, "etcd": 30, "dragonboat": 15, "balsa": 90},
		{"floor": 200, "hashicorp": 10, "etcd": 40, "dragonboat": 20, "balsa": 60},
		{"floor": 50, "hashicorp": 50, "etcd": 25, "dragonboat": 30, "balsa": 20}, // a moment in which the machine did something else
	} {
		for name, n := range ops {
			results = append(results, Result{System: name, Round: round, Op: opWrite, Conc: 1, OpsPerSec: n})
		}
	}
	sum := summarize(s, results)
	got := fmt.Sprintln()
	for _, sys := range systems {
		r := sum.row(opWrite, 1, sys.name)
		got += fmt.Sprintln(sys.name, r.opsPerSec, r.least, r.most, ratio(r.toFloor), ratio(r.toBestPeer))
	}
	want := `
floor 100 50 200  
hashicorp 20 10 50 0.20 0.67
etcd 30 25 40 0.30 1.00
dragonboat 20 15 30 0.15 0.50
balsa 60 20 90 0.40 1.50
`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestHistogram: a quantile is at most 1/128 above the exact one.
func TestHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h, half histogram
	var all []time.Duration
	for i := range 10_000 {
		d := time.Duration(1 << random.IntN(33))
		d += time.Duration(random.Int64N(int64(d)))
		all = append(all, d)
		if i%2 == 0 {
			h.add(d)
		} else {
			half.add(d)
		}
	}
	h.merge(&half)
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		exact, got := all[min(int(q*float64(len(all))), len(all)-1)], h.quantile(q)
		if got < exact || float64(got) > float64(exact)*(1+1.0/128) {
			t.Errorf("quantile %v: got %v, exact is %v", q, got, exact)
		}
	}
	for i := range octavesMax*bucketsOctave - 1 {
		if d := bucketEnd(i); bucketOf(d) != i || bucketOf(d+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, which is in %d, and the next in %d", i, d, bucketOf(d), bucketOf(d+1))
		}
	}
}

func TestFlags(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-systems etcd,paxos", `no system "paxos"`},
		{"-ops write,fly", `no operation "fly"`},
		{"-conc 0", "1 to 100000"},
		{"-conc many", "1 to 100000"},
		{"-conc ,", "must name something"},
		{"-payload 0", "-payload"},
		{"-seconds 0", "-seconds"},
		{"-rounds 0", "-rounds"},
		{"balsa", "no flag"},
	} {
		_, err := parse(strings.Fields(test.args), io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", test.args, err, test.want)
		}
	}
	if _, err := parse(nil, io.Discard); err != nil {
		t.Error(err)
	}
}
