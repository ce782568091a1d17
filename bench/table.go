package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

var tableHead = []string{"system", "ops/s", "least..most", "of floor", "of best peer", "p50", "p99", "CPU us/op", "B/op", "allocs/op", "failed"}

// writeTable writes a table for each operation and number of callers.
func writeTable(w io.Writer, sum *summary) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, op := range sum.ops {
		for _, conc := range sum.conc {
			fmt.Fprintf(t, "\n%s, %s\n", opTitle(op), callers(conc))
			fmt.Fprintf(t, "%s\t\n", strings.Join(tableHead, "\t"))
			for _, sys := range sum.systems {
				if r := sum.row(op, conc, sys.name); r != nil {
					fmt.Fprintf(t, "%s\t%s\t\n", sys.title, strings.Join(r.cells(), "\t"))
				}
			}
		}
	}
	t.Flush()
}

// cells are a row's, behind the name.
func (r *row) cells() []string {
	return []string{
		count(r.opsPerSec), count(r.least) + ".." + count(r.most), ratio(r.toFloor), ratio(r.toBestPeer), micros(r.p50us), micros(r.p99us),
		fmt.Sprintf("%.1f", r.cpuUsPerOp), count(r.bytesPerOp), fmt.Sprintf("%.1f", r.allocsPer), strconv.FormatInt(r.failed, 10),
	}
}

func opTitle(op string) string {
	return map[string]string{opWrite: "write", opRead: "linearizable read", opFollowerWrite: "write, asked of a follower"}[op]
}

func callers(n int) string {
	if n == 1 {
		return "1 caller"
	}
	return fmt.Sprintf("%d callers", n)
}

// count writes a number with commas.
func count(n float64) string {
	s := strconv.FormatInt(int64(math.Round(n)), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// ratio writes nothing where there is none.
func ratio(r float64) string {
	if r == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", r)
}

// micros writes a time in the unit that fits.
func micros(us float64) string {
	switch {
	case us < 10:
		return fmt.Sprintf("%.1f us", us)
	case us < 1000:
		return fmt.Sprintf("%.0f us", us)
	case us < 1e4:
		return fmt.Sprintf("%.2f ms", us/1e3)
	case us < 1e6:
		return fmt.Sprintf("%.1f ms", us/1e3)
	}
	return fmt.Sprintf("%.1f s", us/1e6)
}
