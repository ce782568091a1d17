package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// benchProgressLater is how often a line is written where nobody looks at it as it changes.
const benchProgressLater = 10 * time.Second

// benchProgress shows how a load goes: on a terminal in one line that changes, elsewhere in a line now and then.
type benchProgress struct {
	w        io.Writer
	terminal bool
	prefix   string
	shown    time.Duration // when the last line was written
	width    int           // of the line that stands
}

func (a *app) benchProgress(prefix string) *benchProgress {
	return &benchProgress{w: a.stderr, terminal: a.isTerminal(a.stderr), prefix: prefix}
}

// tick shows what was seen within the last time.
func (p *benchProgress) tick(elapsed, within time.Duration, recent benchSeen) {
	line := fmt.Sprintf("%s%s  %s ops/s  p99 %s  errors %d", p.prefix, elapsed.Round(time.Second), commas(float64(recent.latencies.n)/within.Seconds()),
		latencyText(recent.latencies.quantile(0.99)), recent.failed)
	if p.terminal {
		fmt.Fprintf(p.w, "\r%-*s", p.width, line)
		p.width = len(line)
		return
	}
	if elapsed-p.shown >= benchProgressLater-benchTick/2 {
		p.shown = elapsed
		fmt.Fprintln(p.w, line)
	}
}

// end takes the line away.
func (p *benchProgress) end() {
	if p.width > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.width, "")
		p.width = 0
	}
}

// benchReport is what was measured, as it is written in JSON. Times are in microseconds.
type benchReport struct {
	Workload    string           `json:"workload"`
	Endpoints   []string         `json:"endpoints"`
	Clients     int              `json:"clients"`
	Connections int              `json:"connections"`
	Keys        int              `json:"keys"`
	ValueBytes  int              `json:"valueBytes"`
	Rate        float64          `json:"rate,omitempty"` // that was asked for
	Consistency string           `json:"consistency"`
	Seconds     float64          `json:"seconds"`
	Interrupted bool             `json:"interrupted"`
	Operations  []benchOperation `json:"operations"`
}

type benchOperation struct {
	Name      string           `json:"name"`
	Requests  int64            `json:"requests"` // that succeeded
	PerSecond float64          `json:"perSecond"`
	Failed    int64            `json:"failed"`
	Errors    map[string]int64 `json:"errors,omitempty"`
	Latency   benchLatency     `json:"latencyMicroseconds"`
	Histogram []benchBar       `json:"histogram"`
}

type benchLatency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

// benchBar is how many requests took at most so long, and longer than the bar before.
type benchBar struct {
	UpTo  float64 `json:"upToMicroseconds"`
	Count int64   `json:"count"`
}

func (l *benchLoad) report(interrupted bool) *benchReport {
	b, seconds := l.b, l.stopped.Sub(l.start).Seconds()
	r := &benchReport{
		Workload: b.workload, Endpoints: b.client.endpoints, Clients: b.clients, Connections: b.connections, Keys: b.keys, ValueBytes: b.valueSize,
		Rate: b.rate, Consistency: b.consistency, Seconds: seconds, Interrupted: interrupted,
	}
	for i, name := range l.names {
		seen := &l.operations[i]
		q := func(q float64) float64 { return microseconds(seen.latencies.quantile(q)) }
		o := benchOperation{
			Name: name, Requests: seen.latencies.n, PerSecond: float64(seen.latencies.n) / seconds, Failed: seen.failed, Errors: seen.errors,
			Latency: benchLatency{
				Mean: microseconds(seen.latencies.mean()), P50: q(0.5), P90: q(0.9), P99: q(0.99), P999: q(0.999), Max: microseconds(seen.latencies.max),
			},
			Histogram: []benchBar{},
		}
		for _, row := range seen.latencies.rows() {
			o.Histogram = append(o.Histogram, benchBar{microseconds(row.UpTo), row.Count})
		}
		r.Operations = append(r.Operations, o)
	}
	return r
}

// done is how many requests succeeded.
func (r *benchReport) done() (n int64) {
	for _, o := range r.Operations {
		n += o.Requests
	}
	return n
}

func (p *printer) bench(r *benchReport) error {
	switch p.format {
	case "json":
		return p.json(r)
	case "table":
		p.benchTable(r)
		return nil
	}
	fmt.Fprintf(p.w, "%s: %d clients, %d connections to %s, %s keys, values of %d bytes, %.1f s%s\n", r.Workload, r.Clients, r.Connections,
		strings.Join(r.Endpoints, " "), commas(float64(r.Keys)), r.ValueBytes, r.Seconds, interruptedText(r))
	for _, o := range r.Operations {
		p.benchOperation(r, o)
	}
	return nil
}

func interruptedText(r *benchReport) string {
	if r.Interrupted {
		return ", interrupted"
	}
	return ""
}

func (p *printer) benchOperation(r *benchReport, o benchOperation) {
	name := o.Name
	if name == "get" {
		name = map[string]string{"l": "get (linearizable)", "s": "get (serializable)"}[r.Consistency]
	}
	fmt.Fprintf(p.w, "\n%s: %s requests, %s a second, %s failed\n", name, commas(float64(o.Requests)), commas(o.PerSecond), commas(float64(o.Failed)))
	if o.Requests > 0 {
		l := o.Latency
		for _, line := range []struct {
			name string
			us   float64
		}{{"mean", l.Mean}, {"p50", l.P50}, {"p90", l.P90}, {"p99", l.P99}, {"p99.9", l.P999}, {"max", l.Max}} {
			fmt.Fprintf(p.w, "  %-6s %10s\n", line.name, latencyText(ofMicroseconds(line.us)))
		}
		fmt.Fprintln(p.w)
		p.histogram(o)
	}
	for _, kind := range errorKinds(o) {
		fmt.Fprintf(p.w, "  %s times %s\n", commas(float64(o.Errors[kind])), kind)
	}
}

// histogram draws a bar a row.
func (p *printer) histogram(o benchOperation) {
	const widthMax = 40
	most := int64(1)
	for _, bar := range o.Histogram {
		most = max(most, bar.Count)
	}
	for _, bar := range o.Histogram {
		width := int((bar.Count*widthMax + most - 1) / most) // what is there is seen
		fmt.Fprintf(p.w, "  up to %-7s %5.1f%% %11s  %s\n", latencyText(ofMicroseconds(bar.UpTo)), 100*float64(bar.Count)/float64(o.Requests),
			commas(float64(bar.Count)), strings.Repeat("#", width))
	}
}

func (p *printer) benchTable(r *benchReport) {
	var rows, errors [][]string
	for _, o := range r.Operations {
		l := o.Latency
		row := []string{o.Name, commas(float64(o.Requests)), commas(float64(o.Failed)), commas(o.PerSecond)}
		for _, us := range []float64{l.Mean, l.P50, l.P90, l.P99, l.P999, l.Max} {
			row = append(row, latencyText(ofMicroseconds(us)))
		}
		rows = append(rows, row)
		for _, kind := range errorKinds(o) {
			errors = append(errors, []string{o.Name, commas(float64(o.Errors[kind])), kind})
		}
	}
	p.table([]string{"operation", "requests", "failed", "ops/s", "mean", "p50", "p90", "p99", "p99.9", "max"}, rows)
	if len(errors) > 0 {
		p.table([]string{"operation", "times", "error"}, errors)
	}
}

// errorKinds are an operation's, the most frequent first.
func errorKinds(o benchOperation) []string {
	kinds := slices.Sorted(maps.Keys(o.Errors))
	slices.SortStableFunc(kinds, func(a, b string) int { return int(o.Errors[b] - o.Errors[a]) })
	return kinds
}

func microseconds(d time.Duration) float64    { return float64(d) / float64(time.Microsecond) }
func ofMicroseconds(us float64) time.Duration { return time.Duration(us * float64(time.Microsecond)) }

// latencyText writes a duration with three digits.
func latencyText(d time.Duration) string {
	value, unit := float64(d)/float64(time.Microsecond), "us"
	switch {
	case value >= 999_500:
		value, unit = value/1e6, "s"
	case value >= 999.5:
		value, unit = value/1e3, "ms"
	}
	digits := 2
	switch {
	case value >= 99.95 || value == float64(int(value)):
		digits = 0
	case value >= 9.995:
		digits = 1
	}
	return strconv.FormatFloat(value, 'f', digits, 64) + " " + unit
}

// commas writes a whole number for people.
func commas(n float64) string {
	s := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
