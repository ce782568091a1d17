package main

import (
	"slices"
)

// floorName and ownName are the systems that ratios are about; all others are peers.
const (
	floorName = "floor"
	ownName   = "balsa"
)

// summary is what the rounds say together.
type summary struct {
	ops     []string
	conc    []int
	systems []system
	rows    map[rowKey]*row
}

type rowKey struct {
	op     string
	conc   int
	system string
}

// row is one system, one operation, one number of callers. Figures are medians of the rounds.
type row struct {
	rounds []Result

	opsPerSec, least, most            float64
	p50us, p99us                      float64
	cpuUsPerOp, bytesPerOp, allocsPer float64
	failed                            int64

	// Throughput over that of another in the same round; zero where there is none.
	toFloor, toBestPeer float64
}

func summarize(s *settings, results []Result) *summary {
	sum := &summary{ops: s.workload.ops, conc: s.workload.conc, systems: s.systems, rows: map[rowKey]*row{}}
	for _, r := range results {
		key := rowKey{r.Op, r.Conc, r.System}
		if sum.rows[key] == nil {
			sum.rows[key] = &row{}
		}
		sum.rows[key].rounds = append(sum.rows[key].rounds, r)
	}
	for _, r := range sum.rows {
		r.middle()
	}
	for _, op := range sum.ops {
		for _, conc := range sum.conc {
			best := sum.bestPeer(op, conc)
			for _, sys := range sum.systems {
				if r := sum.row(op, conc, sys.name); r != nil && sys.name != floorName {
					r.toFloor = r.over(sum.row(op, conc, floorName))
					r.toBestPeer = r.over(best)
				}
			}
		}
	}
	return sum
}

func (s *summary) row(op string, conc int, system string) *row {
	return s.rows[rowKey{op, conc, system}]
}

// bestPeer is the fastest of those that are neither the floor nor Balsa; nil if there is none.
func (s *summary) bestPeer(op string, conc int) (best *row) {
	for _, sys := range s.systems {
		r := s.row(op, conc, sys.name)
		if r != nil && sys.name != floorName && sys.name != ownName && (best == nil || r.opsPerSec > best.opsPerSec) {
			best = r
		}
	}
	return best
}

func (r *row) middle() {
	of := func(get func(Result) float64) float64 { return median(each(r.rounds, get)) }
	r.opsPerSec = of(func(x Result) float64 { return x.OpsPerSec })
	r.least = slices.Min(each(r.rounds, func(x Result) float64 { return x.OpsPerSec }))
	r.most = slices.Max(each(r.rounds, func(x Result) float64 { return x.OpsPerSec }))
	r.p50us = of(func(x Result) float64 { return x.P50us })
	r.p99us = of(func(x Result) float64 { return x.P99us })
	r.cpuUsPerOp = of(func(x Result) float64 { return x.CPUusPerOp })
	r.bytesPerOp = of(func(x Result) float64 { return x.BytesPerOp })
	r.allocsPer = of(func(x Result) float64 { return x.AllocsPerOp })
	for _, x := range r.rounds {
		r.failed += x.Failed
	}
}

// over is the median of the ratios to another system's throughput in the same round.
func (r *row) over(o *row) float64 {
	if o == nil {
		return 0
	}
	var ratios []float64
	for _, a := range r.rounds {
		for _, b := range o.rounds {
			if a.Round == b.Round && b.OpsPerSec > 0 {
				ratios = append(ratios, a.OpsPerSec/b.OpsPerSec)
			}
		}
	}
	if len(ratios) == 0 {
		return 0
	}
	return median(ratios)
}

func each(results []Result, get func(Result) float64) (all []float64) {
	for _, r := range results {
		all = append(all, get(r))
	}
	return all
}

// median of at least one.
func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}
