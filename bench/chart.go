package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The size of a plot, and the room around it for labels.
const (
	chartWidth, chartHeight = 560, 320
	chartLeft, chartRight   = 74, 16
	chartTop, chartBottom   = 34, 46
)

// chart is one plot: a value of each series at each number of callers.
type chart struct {
	title  string
	unit   func(float64) string
	conc   []int
	series []series
}

// series is one system's. Values that it does not have are NaN.
type series struct {
	name  string
	class string // its colour, from the page's style
	// values, with the least and the most of the rounds, or nil.
	values, least, most []float64
}

// lines draws the values over the number of callers, both on logarithmic axes.
func (c chart) lines() string {
	var b strings.Builder
	low, high := c.bounds()
	if high == 0 {
		return ""
	}
	low, high = math.Pow(10, math.Floor(math.Log10(low)*2)/2), high*1.15
	y := func(v float64) float64 {
		return chartTop + (chartHeight-chartTop-chartBottom)*(1-math.Log(v/low)/math.Log(high/low))
	}
	c.frame(&b)
	for _, tick := range logTicks(low, high) {
		c.rule(&b, y(tick), c.unit(tick))
	}
	for i, n := range c.conc {
		c.label(&b, c.x(i), fmt.Sprint(n))
	}
	for _, s := range c.series {
		s.line(&b, c, y)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (s series) line(b *strings.Builder, c chart, y func(float64) float64) {
	var path strings.Builder
	for i, v := range s.values {
		if math.IsNaN(v) || v <= 0 {
			continue
		}
		verb := "L"
		if path.Len() == 0 {
			verb = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", verb, c.x(i), y(v))
	}
	fmt.Fprintf(b, `<g class="%s"><path d="%s"/>`, s.class, path.String())
	for i, v := range s.values {
		if math.IsNaN(v) || v <= 0 {
			continue
		}
		tip := fmt.Sprintf("%s, %s: %s", s.name, callers(c.conc[i]), c.unit(v))
		if s.least != nil && s.least[i] > 0 {
			fmt.Fprintf(b, `<path class="range" d="M%.1f %.1fV%.1f"/>`, c.x(i), y(s.least[i]), y(s.most[i]))
			tip += fmt.Sprintf(" (%s to %s)", c.unit(s.least[i]), c.unit(s.most[i]))
		}
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4"><title>%s</title></circle>`, c.x(i), y(v), html.EscapeString(tip))
	}
	b.WriteString("</g>\n")
}

// bars draws the values as groups of bars, from zero.
func (c chart) bars() string {
	var b strings.Builder
	_, high := c.bounds()
	if high == 0 {
		return ""
	}
	step := linearStep(high)
	high = math.Ceil(high/step) * step
	y := func(v float64) float64 { return chartTop + (chartHeight-chartTop-chartBottom)*(1-v/high) }
	c.frame(&b)
	for tick := 0.0; tick <= high*1.001; tick += step {
		c.rule(&b, y(tick), c.unit(tick))
	}
	group := float64(chartWidth-chartLeft-chartRight) / float64(len(c.conc))
	width := group * 0.8 / float64(len(c.series))
	for i, n := range c.conc {
		left := chartLeft + group*(float64(i)+0.1)
		c.label(&b, left+group*0.4, fmt.Sprint(n))
		for k, s := range c.series {
			if v := s.values[i]; !math.IsNaN(v) {
				fmt.Fprintf(&b, `<g class="%s"><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect></g>`+"\n",
					s.class, left+width*float64(k)+0.5, y(v), width-1, max(1, y(0)-y(v)), html.EscapeString(fmt.Sprintf("%s, %s: %s", s.name, callers(n), c.unit(v))))
			}
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (c chart) frame(b *strings.Builder) {
	fmt.Fprintf(b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s"><text class="title" x="%d" y="18">%s</text>`+"\n",
		chartWidth, chartHeight, html.EscapeString(c.title), chartLeft, html.EscapeString(c.title))
	fmt.Fprintf(b, `<text class="axis" x="%d" y="%d" text-anchor="middle">callers</text>`+"\n", (chartLeft+chartWidth-chartRight)/2, chartHeight-8)
}

// rule is a line across the plot, with its value.
func (c chart) rule(b *strings.Builder, y float64, label string) {
	fmt.Fprintf(b, `<path class="rule" d="M%d %.1fH%d"/><text class="axis" x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
		chartLeft, y, chartWidth-chartRight, chartLeft-8, y+4, html.EscapeString(label))
}

func (c chart) label(b *strings.Builder, x float64, text string) {
	fmt.Fprintf(b, `<text class="axis" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x, chartHeight-chartBottom+18, text)
}

// x is where a number of callers stands.
func (c chart) x(i int) float64 {
	const inner, pad = chartWidth - chartLeft - chartRight, 24
	first, last := math.Log(float64(c.conc[0])), math.Log(float64(c.conc[len(c.conc)-1]))
	if first == last {
		return chartLeft + inner/2
	}
	return chartLeft + pad + (inner-2*pad)*(math.Log(float64(c.conc[i]))-first)/(last-first)
}

// bounds are the least and the most of all values that are more than zero; zero if there are none.
func (c chart) bounds() (low, high float64) {
	low = math.Inf(1)
	for _, s := range c.series {
		for _, values := range [][]float64{s.values, s.least, s.most} {
			for _, v := range values {
				if v > 0 {
					low, high = min(low, v), max(high, v)
				}
			}
		}
	}
	return low, high
}

// logTicks are 1, 2 and 5 times the powers of ten, or the powers alone where that would be many.
func logTicks(low, high float64) (ticks []float64) {
	steps := []float64{1, 2, 5}
	if high/low > 2000 {
		steps = steps[:1]
	}
	for power := math.Pow(10, math.Floor(math.Log10(low))); power <= high; power *= 10 {
		for _, step := range steps {
			if t := power * step; t >= low*0.999 && t <= high {
				ticks = append(ticks, t)
			}
		}
	}
	return ticks
}

// linearStep is 1, 2 or 5 times a power of ten, so that there are at most six steps.
func linearStep(high float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(high/6)))
	for _, step := range []float64{1, 2, 5} {
		if high/(power*step) <= 6 {
			return power * step
		}
	}
	return power * 10
}
