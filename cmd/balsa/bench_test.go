package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestBench(t *testing.T) {
	t.Parallel()
	d := startDev(t, filepath.Join(t.TempDir(), "data"), 1, nil, "--nodes", "1")
	env := []string{"BALSA_ENDPOINTS=" + d.endpoints()}
	for _, test := range []struct {
		args string
		want map[string]int64 // requests by operation; 0: some
	}{
		{"put --total 120 --clients 8 --keys 10", map[string]int64{"put": 120}},
		{"get --total 100 --keys 50 --prefix g/", map[string]int64{"get": 100}},
		{"get --total 100 --consistency s --keys 50 --prefix g/ --clients 1", map[string]int64{"get": 100}},
		{"mixed --duration 1s --reads 0.5 --keys 20 --prefix m/ --clients 4", map[string]int64{"put": 0, "get": 0}},
		{"txn --total 60 --value-size 10", map[string]int64{"txn": 60}},
	} {
		got := tryWith(t, env, "", append([]string{"bench", "-w", "json"}, strings.Fields(test.args)...)...)
		var r benchReport
		if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.code != exitOK || got.err != "" {
			t.Fatalf("%s: %v: %+v", test.args, err, got)
		}
		for _, o := range r.Operations {
			want, ok := test.want[o.Name]
			inBars := int64(0)
			for _, bar := range o.Histogram {
				inBars += bar.Count
			}
			l := o.Latency
			if !ok || want > 0 && o.Requests != want || o.Requests == 0 || o.Failed > 0 || inBars != o.Requests || o.PerSecond <= 0 ||
				!slices.IsSorted([]float64{0.1, l.P50, l.P90, l.P99, l.P999, l.Max}) {
				t.Errorf("%s: %+v", test.args, o)
			}
		}
		if len(r.Operations) != len(test.want) {
			t.Errorf("%s: %+v", test.args, r)
		}
	}
	for prefix, want := range map[string]string{"g/": "50\n", "m/": "20\n"} { // what get and mixed wrote first
		if got := tryWith(t, env, "", "get", "--prefix", prefix, "--count-only"); got.out != want {
			t.Errorf("%s: %+v, want %s", prefix, got, want)
		}
	}
	if got := tryWith(t, env, "", "bench", "--total", "40"); got.code != exitOK || !strings.Contains(got.out, "put: 40 requests") || !strings.Contains(got.out, "p99.9") {
		t.Errorf("%+v", got)
	}
	if got := tryWith(t, env, "", "bench", "--total", "3", "--value-size", "3000000", "-w", "table"); got.code != exitError || got.err != "Error: no request succeeded\n" || !strings.Contains(got.out, "ResourceExhausted") {
		t.Errorf("%+v", got)
	}
	began := time.Now()
	if got := tryWith(t, env, "", "bench", "--rate", "100", "--total", "21"); got.code != exitOK || time.Since(began) < 200*time.Millisecond {
		t.Errorf("21 requests at 100 a second took %v: %+v", time.Since(began), got)
	}
	testBenchInterrupted(t, env)
}

// testBenchInterrupted: Ctrl-C ends what would last an hour, and what was measured until then is told.
func testBenchInterrupted(t *testing.T, env []string) {
	var out syncBuffer
	a := testApp(env)
	a.stdout = &out
	ctx, cancel := context.WithCancel(context.Background()) // without a deadline, which the server would be told
	defer cancel()
	go func() { // when there are more writes than clients, at least one of them was answered
		defer cancel()
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if n, err := strconv.Atoi(strings.TrimSpace(tryWith(t, env, "", "get", "--prefix", "i/", "--count-only").out)); err == nil && n > 2 {
				return
			}
		}
	}()
	if code := a.run(ctx, []string{"bench", "--duration", "1h", "--clients", "2", "--prefix", "i/"}); code != exitOK || !strings.Contains(out.String(), ", interrupted\n") || !strings.Contains(out.String(), ", 0 failed\n") || !strings.Contains(out.String(), "p99.9") {
		t.Errorf("code %d: %s", code, &out)
	}
}

// TestBenchTrace: the shares of the steps come to all the time, and each format has every step.
func TestBenchTrace(t *testing.T) {
	t.Parallel()
	got := try(t, "", strings.Fields("bench --trace --clients 3 --duration 1s -w json")...)
	var r traceReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.code != exitOK || got.err != "" {
		t.Fatalf("%v: %+v", err, got)
	}
	share := 0.0
	for _, s := range r.Steps {
		share += s.Share
		if s.P50 < 0 || s.P99 < s.P50 || s.Name == "" {
			t.Errorf("%+v", s)
		}
	}
	if r.Writes == 0 || r.Traced < r.Writes/2 || r.Clients != 3 || r.CommandBytes != traceCommand || share < 0.999 || share > 1.001 {
		t.Errorf("%+v, the shares come to %v", r, share)
	}
	for _, format := range []string{"simple", "table"} {
		var w bytes.Buffer
		if err := (&printer{w: &w, format: format}).trace(&r); err != nil {
			t.Error(err)
		}
		for _, s := range r.Steps {
			if !strings.Contains(w.String(), s.Name) {
				t.Errorf("%s lacks %q:\n%s", format, s.Name, &w)
			}
		}
	}
}

func TestBenchRefuses(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"fly", `no workload "fly"`},
		{"put get", "usage: balsa bench"},
		{"--clients 0", "--clients"},
		{"--connections 0", "--connections"},
		{"--keys 0", "--keys"},
		{"--value-size -1", "--value-size"},
		{"--duration 0s", "--duration or --total"},
		{"--total -1", "--duration or --total"},
		{"--rate -1", "--rate"},
		{"--rate NaN", "--rate"},
		{"mixed --reads 2", "--reads"},
		{"get --consistency x", "--consistency"},
		{"--prefix=", "--prefix"},
	} {
		got := try(t, "", append([]string{"bench"}, strings.Fields(test.args)...)...)
		if got.code != exitInput || !strings.Contains(got.err, test.want) || got.out != "" {
			t.Errorf("%s: %+v", test.args, got)
		}
	}
	dead := deadAddress(t)
	if got := try(t, "", "bench", "--endpoints", dead); got.code != exitConnect || !strings.Contains(got.err, dead+": connection refused") {
		t.Errorf("%+v", got)
	}
}

func TestBenchProgress(t *testing.T) {
	var recent benchSeen
	for range 500 {
		recent.add(benchSample{took: 2 * time.Millisecond})
	}
	recent.add(benchSample{err: errors.New("no")})
	var w bytes.Buffer
	p := &benchProgress{w: &w, terminal: true, prefix: "writing: "}
	p.tick(12*time.Second, 500*time.Millisecond, recent)
	p.end()
	line := "writing: 12s  1,000 ops/s  p99 2 ms  errors 1"
	if want := "\r" + line + "\r" + strings.Repeat(" ", len(line)) + "\r"; w.String() != want {
		t.Errorf("got %q, want %q", &w, want)
	}
	w.Reset()
	p = &benchProgress{w: &w}
	for i := range 25 {
		p.tick(time.Duration(i+1)*time.Second, time.Second, benchSeen{})
	}
	p.end()
	if want := "10s  0 ops/s  p99 0 us  errors 0\n20s  0 ops/s  p99 0 us  errors 0\n"; w.String() != want {
		t.Errorf("got %q, want %q", &w, want)
	}
}

// TestBenchErrors: errors are counted by kind, and there is a limit to the kinds.
func TestBenchErrors(t *testing.T) {
	var seen benchSeen
	for range 3 {
		seen.add(benchSample{err: status.Error(codes.Unavailable, "etcdserver: no leader")})
	}
	for range 100 {
		seen.add(benchSample{err: status.Error(codes.Unknown, strings.Repeat("x", 1+rand.IntN(500)))})
	}
	if seen.failed != 103 || seen.errors["Unavailable: etcdserver: no leader"] != 3 || len(seen.errors) > benchErrorsMax+1 || seen.errors["others"] == 0 {
		t.Errorf("%d: %v", seen.failed, seen.errors)
	}
}

// TestLatencies: a quantile is at most 1/128 above the exact one, and the rows of the histogram hold all.
func TestLatencies(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	l := &latencies{}
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(1 << random.IntN(36))
		d += time.Duration(random.Int64N(int64(d)))
		all = append(all, d)
		l.add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		exact, got := all[min(int(q*float64(len(all))), len(all)-1)], l.quantile(q)
		if got < exact || float64(got) > float64(exact)*(1+1.0/128) {
			t.Errorf("quantile %v: got %v, exact is %v", q, got, exact)
		}
	}
	n := int64(0)
	for _, row := range l.rows() {
		n += row.Count
	}
	if n != l.n {
		t.Errorf("the rows hold %d of %d", n, l.n)
	}
	l = &latencies{}
	for _, d := range []time.Duration{1500, 300, 3000, 1900, 20_000} {
		l.add(d * time.Microsecond)
	}
	want := []latencyRow{{500 * time.Microsecond, 1}, {time.Millisecond, 0}, {2 * time.Millisecond, 2}, {5 * time.Millisecond, 1}, {10 * time.Millisecond, 0}, {20 * time.Millisecond, 0}, {50 * time.Millisecond, 1}}
	if got := l.rows(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for i := range latencyOctaves*latencyOctave - 1 {
		if d := latencyBucketEnd(i); latencyBucket(d) != i || latencyBucket(d+1) != i+1 {
			t.Fatalf("bucket %d ends at %v, which is in %d, and the next in %d", i, d, latencyBucket(d), latencyBucket(d+1))
		}
	}
}

func TestLatencyText(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0 us"}, {1500, "1.50 us"}, {99_900, "99.9 us"}, {123_456, "123 us"}, {999_600, "1.00 ms"}, {5 * time.Millisecond, "5 ms"},
		{12_345 * time.Microsecond, "12.3 ms"}, {999_600 * time.Microsecond, "1.00 s"}, {75 * time.Second, "75 s"},
	} {
		if got := latencyText(test.d); got != test.want {
			t.Errorf("%v: got %q, want %q", test.d, got, test.want)
		}
	}
}
