package main

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// tableRowsMax is how many rows a table has in the page before it is folded away.
const tableRowsMax = 16

// head is the table's.
func (p part) head() []string {
	all := []string{"of", p.x}
	for _, c := range p.columns {
		all = append(all, c.title)
	}
	return all
}

// row writes nothing where there is no value.
func (p part) row(at point) []string {
	all := []string{seriesTitle(at.Series), p.xText(at.X)}
	for _, c := range p.columns {
		text := ""
		if v, ok := at.Values[c.value]; ok {
			text = c.format(v)
		}
		all = append(all, text)
	}
	return all
}

func (p part) conclusion(points []point) string {
	text := ""
	if p.verdict != nil {
		text = p.verdict(points)
	}
	failed := 0.0
	for _, at := range points {
		failed += at.Values[valFailed]
	}
	if failed > 0 {
		text = strings.TrimSpace(fmt.Sprintf("%s %s calls FAILED.", text, count(failed)))
	}
	return text
}

// table writes a part for a terminal.
func (p part) table(w io.Writer, points []point) {
	fmt.Fprintf(w, "\n%s\n", p.title)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\t\n", strings.Join(p.head(), "\t"))
	for _, at := range points {
		fmt.Fprintf(t, "%s\t\n", strings.Join(p.row(at), "\t"))
	}
	t.Flush()
	if text := p.conclusion(points); text != "" {
		fmt.Fprintln(w, text)
	}
}

// section writes a part for the page.
func (p part) section(b *strings.Builder, r *partResults) {
	points := r.Points
	fmt.Fprintf(b, "<h2>%s</h2>\n", html.EscapeString(p.title))
	paragraph(b, p.text)
	if text := p.conclusion(points); text != "" {
		fmt.Fprintf(b, "<p><strong>%s</strong></p>\n", html.EscapeString(text))
	}
	fmt.Fprintf(b, "<p class=\"soft\">%s, <code>%s</code></p>\n<div class=\"plots\">\n", html.EscapeString(r.Machine.Time), html.EscapeString(r.Command))
	for _, plot := range p.plots {
		c := plot.chart(p, points)
		drawn := c.lines()
		if plot.bars {
			drawn = c.bars()
		}
		if drawn == "" {
			continue
		}
		fmt.Fprintf(b, "<figure>%s<figcaption class=\"key\">", drawn)
		for _, s := range c.series {
			fmt.Fprintf(b, `<span class="%s"><i></i>%s</span>`, s.class, html.EscapeString(s.name))
		}
		b.WriteString("</figcaption></figure>\n")
	}
	b.WriteString("</div>\n")
	folded := len(points) > tableRowsMax
	if folded {
		b.WriteString("<details><summary>All figures</summary>\n")
	}
	b.WriteString("<div class=\"wide\"><table><tr>")
	for _, h := range p.head() {
		fmt.Fprintf(b, "<th>%s</th>", html.EscapeString(h))
	}
	b.WriteString("</tr>\n")
	for _, at := range points {
		b.WriteString("<tr>")
		for _, cell := range p.row(at) {
			fmt.Fprintf(b, "<td>%s</td>", html.EscapeString(cell))
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table></div>\n")
	if folded {
		b.WriteString("</details>\n")
	}
}

// chart makes the plot of the points, with a line for each series, or for each value of the only one.
func (q plot) chart(p part, points []point) chart {
	c := chart{title: q.title, yTitle: q.y, xTitle: p.x, y: q.format, xText: p.xText, linear: q.linear, zero: q.zero, goal: q.goal, goalFor: q.goalFor}
	var names []string
	for _, at := range points {
		if !slices.Contains(c.x, at.X) {
			c.x = append(c.x, at.X)
		}
		if !slices.Contains(names, at.Series) {
			names = append(names, at.Series)
		}
	}
	slices.Sort(c.x)
	slices.Sort(names)
	for _, name := range names {
		for _, value := range q.values {
			s := series{name: seriesTitle(name), class: name}
			if len(q.values) > 1 {
				s.name, s.class = q.valueTitle(p, value), value
			}
			if !slices.Contains(ownClasses, s.class) {
				s.class = fmt.Sprintf("s%d", len(c.series)%seriesColours+1)
			}
			some := false
			for _, x := range c.x {
				v := valueAt(points, name, x, value)
				some = some || !math.IsNaN(v)
				s.values = append(s.values, v)
			}
			if some {
				c.series = append(c.series, s)
			}
		}
	}
	return c
}

func (q plot) valueTitle(p part, value string) string {
	for _, c := range p.columns {
		if c.value == value {
			return c.title
		}
	}
	return value
}

// ownClasses are series that the page's style has colours for; others get those of s1 to s3.
var ownClasses = []string{floorName, ownName}

const seriesColours = 3

// sections are all that scale has measured, in the order of parts.
func (r *scaleResults) sections(b *strings.Builder) {
	for _, p := range parts {
		if results := r.of(p.name); results != nil {
			p.section(b, results)
		}
	}
}
