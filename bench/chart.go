package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The size of a plot, and the room around it for labels.
const (
	chartWidth, chartHeight = 560, 346
	chartLeft, chartRight   = 84, 16
	chartTop, chartBottom   = 54, 52
)

// chart is one plot: a value of each series at each place of the x axis.
type chart struct {
	title   string
	yTitle  string // with the unit
	xTitle  string // likewise
	y       func(float64) string
	xText   func(float64) string
	x       []float64 // ascending
	linear  bool      // the x axis; it is logarithmic otherwise
	zero    bool      // lines: the y axis begins at zero and is linear; it is logarithmic otherwise
	goal    float64   // a line to compare with, if it is not zero
	goalFor string
	series  []series
}

// series is one system's. Values that it does not have are NaN.
type series struct {
	name  string
	class string // its colour, from the page's style
	// values, with the least and the most of the rounds, or nil.
	values, least, most []float64
}

// pointsMax is how many points of a line are drawn as such, and how many places of the x axis have a label of their own.
const pointsMax = 12

// lines draws the values over the places of the x axis.
func (c chart) lines() string {
	low, high := c.bounds()
	if high == 0 {
		return ""
	}
	var ticks []float64
	var y func(float64) float64
	if c.zero {
		ticks = linearTicks(high)
		high = ticks[len(ticks)-1]
		y = func(v float64) float64 { return chartTop + (chartHeight-chartTop-chartBottom)*(1-v/high) }
	} else {
		low, high = math.Pow(10, math.Floor(math.Log10(low)*2)/2), high*1.15
		ticks = logTicks(low, high)
		y = func(v float64) float64 {
			return chartTop + (chartHeight-chartTop-chartBottom)*(1-math.Log(v/low)/math.Log(high/low))
		}
	}
	var b strings.Builder
	c.frame(&b)
	for _, tick := range ticks {
		c.rule(&b, y(tick), c.y(tick))
	}
	for _, x := range c.xTicks() {
		c.label(&b, c.place(x), c.xText(x))
	}
	for _, s := range c.series {
		s.line(&b, c, y)
	}
	c.drawGoal(&b, y)
	b.WriteString("</svg>\n")
	return b.String()
}

// xTicks are the places that get a label.
func (c chart) xTicks() []float64 {
	if len(c.x) <= pointsMax {
		return c.x
	}
	return linearTicksIn(c.x[0], c.x[len(c.x)-1])
}

func (c chart) drawGoal(b *strings.Builder, y func(float64) float64) {
	if c.goal > 0 {
		fmt.Fprintf(b, `<path class="goal" d="M%d %.1fH%d"/><text class="axis" x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			chartLeft, y(c.goal), chartWidth-chartRight, chartWidth-chartRight-4, y(c.goal)-5, html.EscapeString(c.goalFor))
	}
}

func (s series) line(b *strings.Builder, c chart, y func(float64) float64) {
	missing := func(v float64) bool { return math.IsNaN(v) || v <= 0 && !c.zero }
	var path strings.Builder
	for i, v := range s.values {
		if missing(v) {
			continue
		}
		verb := "L"
		if path.Len() == 0 {
			verb = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", verb, c.place(c.x[i]), y(v))
	}
	radius := 4
	if len(c.x) > pointsMax {
		radius = 2
	}
	fmt.Fprintf(b, `<g class="%s"><path d="%s"/>`, s.class, path.String())
	for i, v := range s.values {
		if missing(v) {
			continue
		}
		x := c.place(c.x[i])
		tip := fmt.Sprintf("%s, %s: %s", s.name, c.at(i), c.y(v))
		if s.least != nil && s.least[i] > 0 {
			fmt.Fprintf(b, `<path class="range" d="M%.1f %.1fV%.1f"/>`, x, y(s.least[i]), y(s.most[i]))
			tip += fmt.Sprintf(" (%s to %s)", c.y(s.least[i]), c.y(s.most[i]))
		}
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="%d"><title>%s</title></circle>`, x, y(v), radius, html.EscapeString(tip))
	}
	b.WriteString("</g>\n")
}

// at says where a value is.
func (c chart) at(i int) string { return c.xText(c.x[i]) + " " + c.xTitle }

// bars draws the values as groups of bars, from zero.
func (c chart) bars() string {
	_, high := c.bounds()
	if high == 0 {
		return ""
	}
	ticks := linearTicks(high)
	high = ticks[len(ticks)-1]
	y := func(v float64) float64 { return chartTop + (chartHeight-chartTop-chartBottom)*(1-v/high) }
	var b strings.Builder
	c.frame(&b)
	for _, tick := range ticks {
		c.rule(&b, y(tick), c.y(tick))
	}
	group := float64(chartWidth-chartLeft-chartRight) / float64(len(c.x))
	width := min(group*0.8/float64(len(c.series)), 90)
	for i := range c.x {
		left := chartLeft + group*(float64(i)+0.5) - width*float64(len(c.series))/2
		c.label(&b, chartLeft+group*(float64(i)+0.5), c.xText(c.x[i]))
		for k, s := range c.series {
			if v := s.values[i]; !math.IsNaN(v) {
				fmt.Fprintf(&b, `<g class="%s"><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect></g>`+"\n",
					s.class, left+width*float64(k)+0.5, min(y(v), y(0)-1), width-1, max(1, y(0)-y(v)), html.EscapeString(fmt.Sprintf("%s, %s: %s", s.name, c.at(i), c.y(v))))
			}
		}
	}
	c.drawGoal(&b, y)
	b.WriteString("</svg>\n")
	return b.String()
}

func (c chart) frame(b *strings.Builder) {
	fmt.Fprintf(b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s"><text class="title" x="4" y="18">%s</text><text class="axis" x="4" y="38">%s</text>`+"\n",
		chartWidth, chartHeight, html.EscapeString(c.title), html.EscapeString(c.title), html.EscapeString(c.yTitle))
	fmt.Fprintf(b, `<text class="axis" x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (chartLeft+chartWidth-chartRight)/2, chartHeight-8, html.EscapeString(c.xTitle))
}

// rule is a line across the plot, with its value.
func (c chart) rule(b *strings.Builder, y float64, label string) {
	fmt.Fprintf(b, `<path class="rule" d="M%d %.1fH%d"/><text class="axis" x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
		chartLeft, y, chartWidth-chartRight, chartLeft-8, y+4, html.EscapeString(label))
}

func (c chart) label(b *strings.Builder, x float64, text string) {
	fmt.Fprintf(b, `<text class="axis" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x, chartHeight-chartBottom+18, html.EscapeString(text))
}

// place is where x stands.
func (c chart) place(x float64) float64 {
	const inner, pad = chartWidth - chartLeft - chartRight, 24
	first, last := c.x[0], c.x[len(c.x)-1]
	if first == last {
		return chartLeft + inner/2
	}
	if c.linear {
		return chartLeft + pad + (inner-2*pad)*(x-first)/(last-first)
	}
	return chartLeft + pad + (inner-2*pad)*math.Log(x/first)/math.Log(last/first)
}

// bounds are the least and the most of all values that are more than zero; zero if there are none.
func (c chart) bounds() (low, high float64) {
	low = math.Inf(1)
	add := func(v float64) {
		if v > 0 {
			low, high = min(low, v), max(high, v)
		}
	}
	for _, s := range c.series {
		for _, v := range slices.Concat(s.values, s.least, s.most) {
			add(v)
		}
	}
	if high > 0 {
		add(c.goal)
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

// linearTicks go from zero to high or just above.
func linearTicks(high float64) []float64 {
	step := linearStep(high)
	return linearTicksIn(0, math.Ceil(high/step)*step)
}

// linearTicksIn are round numbers from low to high.
func linearTicksIn(low, high float64) (ticks []float64) {
	step := linearStep(high - low)
	for n := max(0, math.Ceil(low/step-1e-6)); n*step <= high*(1+1e-9); n++ {
		ticks = append(ticks, n*step)
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
