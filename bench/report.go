package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The page needs nothing from elsewhere: no script, no font, no picture.
const reportStyle = `
:root { color-scheme: light dark; --text: #1a1a1a; --back: #fff; --rule: #ddd; --soft: #666 }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8e8; --back: #16181b; --rule: #383c42; --soft: #a0a4aa } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 1180px; margin: 2em auto; padding: 0 1em }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5em }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 1em }
svg { width: 100%; height: auto; fill: none }
svg text { fill: var(--text); font-size: 12px } svg .title { font-size: 15px; font-weight: 600 } svg .axis { fill: var(--soft) }
@media (max-width: 620px) { svg text { font-size: 16px } svg .title { font-size: 19px } }
svg .rule { stroke: var(--rule) } svg g path { stroke-width: 2 } svg g .range { stroke-width: 1.5; opacity: .6 }
.floor { --c: #8a8f98 } .hashicorp { --c: #d55e00 } .etcd { --c: #009e73 } .dragonboat { --c: #cc79a7 } .balsa { --c: #2b7fd4 }
.s1 { --c: #2b7fd4 } .s2 { --c: #d55e00 } .s3 { --c: #009e73 } svg .goal { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 2 4 }
figure { margin: 0 } figcaption { padding-left: 15% } summary { cursor: pointer; color: var(--soft) }
svg g path { stroke: var(--c) } svg g circle, svg g rect { fill: var(--c) } svg .floor path { stroke-dasharray: 5 4 } svg .balsa path { stroke-width: 3 }
.key span { margin-right: 1.5em; white-space: nowrap } .key i { display: inline-block; width: .9em; height: .9em; border-radius: 50%; background: var(--c); margin-right: .4em; vertical-align: -.1em }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1em 0 }
th, td { padding: .25em .8em; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap } th:first-child, td:first-child { text-align: left }
tr.balsa td { font-weight: 600 } caption { text-align: left; font-weight: 600; padding: .5em 0 } .soft { color: var(--soft) }
`

// page makes the page: systems beside each other, and what scale has measured, as far as there is either.
func (d document) page() ([]byte, error) {
	var b strings.Builder
	pageHead(&b)
	if len(d.Results) > 0 {
		s, err := d.Settings.settings()
		if err != nil {
			return nil, err
		}
		comparison(&b, d.Machine, s, summarize(s, d.Results))
	}
	if d.Scale != nil {
		b.WriteString("<h1>What grows, and what it costs then</h1>\n")
		paragraph(&b, "Balsa, with what there is more of: entries, callers, connections, members, bytes, time. Measured by \"go run . scale\", in processes of their own.")
		if len(d.Scale.Parts) > 0 {
			origin(&b, d.Scale.Parts[0].Machine)
		}
		d.Scale.sections(&b)
	}
	b.WriteString("</body></html>\n")
	return []byte(b.String()), nil
}

func pageHead(b *strings.Builder) {
	fmt.Fprintf(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"+
		"<title>Balsa, measured</title><style>%s</style></head><body>\n", reportStyle)
}

// origin says where figures come from.
func origin(b *strings.Builder, m machine) {
	paragraph(b, fmt.Sprintf("%s. %s. %s.", m.Time, m, strings.Join(m.Versions, ", ")))
}

// comparison is systems beside each other.
func comparison(b *strings.Builder, m machine, s *settings, sum *summary) {
	b.WriteString("<h1>Balsa beside its peers</h1>\n")
	paragraph(b, "Three members in one process, each with its own log, connected over loopback; every write is synced by a majority before it is acknowledged. "+
		"Callers wait for each answer before they call again. The floor is the same disks and sockets with no protocol. CPU and allocations are "+
		"the whole process's: three members and the callers.")
	paragraph(b, fmt.Sprintf("Commands of %d bytes; %d rounds, interleaved, of %v a run; figures are medians of the rounds, plots show the least and the most.",
		s.workload.payload, s.rounds, s.workload.length))
	origin(b, m)
	for _, op := range sum.ops {
		sum.section(b, op)
	}
}

func paragraph(b *strings.Builder, text string) {
	fmt.Fprintf(b, "<p class=\"soft\">%s</p>\n", html.EscapeString(text))
}

// section is all about one operation.
func (s *summary) section(b *strings.Builder, op string) {
	title := opTitle(op)
	fmt.Fprintf(b, "<h2>%s</h2>\n<p class=\"key\">", html.EscapeString(strings.ToUpper(title[:1])+title[1:]))
	for _, sys := range s.having(op) {
		fmt.Fprintf(b, `<span class="%s"><i></i>%s</span>`, sys.name, html.EscapeString(sys.title))
	}
	b.WriteString("</p>\n<div class=\"plots\">\n")
	throughput := s.chart(op, "Throughput", "operations a second", count, func(r *row) float64 { return r.opsPerSec })
	for i, sys := range s.having(op) {
		throughput.series[i].least = s.values(op, sys, func(r *row) float64 { return r.least })
		throughput.series[i].most = s.values(op, sys, func(r *row) float64 { return r.most })
	}
	b.WriteString(throughput.lines())
	b.WriteString(s.chart(op, "Latency, median", "time of an operation", micros, func(r *row) float64 { return r.p50us }).lines())
	b.WriteString(s.chart(op, "Latency, 99th percentile", "time of an operation", micros, func(r *row) float64 { return r.p99us }).lines())
	b.WriteString(s.chart(op, "CPU an operation", "microseconds of CPU", short, func(r *row) float64 { return r.cpuUsPerOp }).lines())
	b.WriteString(s.chart(op, "Allocations an operation", "allocations", short, func(r *row) float64 { return r.allocsPer }).bars())
	b.WriteString(s.chart(op, "Bytes allocated an operation", "bytes", count, func(r *row) float64 { return r.bytesPerOp }).bars())
	b.WriteString("</div>\n")
	for _, conc := range s.conc {
		s.table(b, op, conc)
	}
}

func (s *summary) table(b *strings.Builder, op string, conc int) {
	fmt.Fprintf(b, "<div class=\"wide\"><table><caption>%s</caption><tr>", callers(conc))
	for _, h := range tableHead {
		fmt.Fprintf(b, "<th>%s</th>", h)
	}
	b.WriteString("</tr>\n")
	for _, sys := range s.systems {
		if r := s.row(op, conc, sys.name); r != nil {
			fmt.Fprintf(b, "<tr class=\"%s\"><td>%s</td>", sys.name, html.EscapeString(sys.title))
			for _, cell := range r.cells() {
				fmt.Fprintf(b, "<td>%s</td>", cell)
			}
			b.WriteString("</tr>\n")
		}
	}
	b.WriteString("</table></div>\n")
}

// having are the systems that have the operation.
func (s *summary) having(op string) (all []system) {
	for _, sys := range s.systems {
		if slices.ContainsFunc(s.conc, func(conc int) bool { return s.row(op, conc, sys.name) != nil }) {
			all = append(all, sys)
		}
	}
	return all
}

func (s *summary) chart(op, title, yTitle string, y func(float64) string, get func(*row) float64) chart {
	c := chart{title: title, yTitle: yTitle, y: y, xTitle: "callers", xText: count}
	for _, n := range s.conc {
		c.x = append(c.x, float64(n))
	}
	for _, sys := range s.having(op) {
		c.series = append(c.series, series{name: sys.title, class: sys.name, values: s.values(op, sys, get)})
	}
	return c
}

func (s *summary) values(op string, sys system, get func(*row) float64) (all []float64) {
	for _, conc := range s.conc {
		v := math.NaN()
		if r := s.row(op, conc, sys.name); r != nil {
			v = get(r)
		}
		all = append(all, v)
	}
	return all
}

// short writes a small number without what does not matter.
func short(n float64) string { return fmt.Sprintf("%.4g", n) }
