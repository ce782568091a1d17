package trace

import (
	"slices"
	"time"
)

// Summary is what many ways say together.
type Summary struct {
	Ways     int
	P50, P99 time.Duration // of the whole way
	Legs     [LegCount]LegSummary
	// DiskShare is the share of the writes that were committed when the leader's disk had them.
	DiskShare float64
}

// LegSummary is about one leg of many ways.
type LegSummary struct {
	P50, P99 time.Duration
	// Share of all the time that callers waited. The shares of all legs come to one.
	Share float64
}

// Summarize puts ways together. The shares of the legs of a branch count only where it was what the write waited for.
func Summarize(ways []Way) Summary {
	s := Summary{Ways: len(ways)}
	if len(ways) == 0 {
		return s
	}
	all := make([]time.Duration, len(ways))
	total := time.Duration(0)
	for i := range ways {
		all[i] = ways[i].End - ways[i].Start
		total += all[i]
		if ways[i].Disk {
			s.DiskShare += 1 / float64(len(ways))
		}
	}
	s.P50, s.P99 = quantiles(all)
	for l := range LegCount {
		waited := time.Duration(0)
		for i := range ways {
			all[i] = ways[i].Legs[l]
			if ways[i].Waited(l) {
				waited += all[i]
			}
		}
		s.Legs[l].P50, s.Legs[l].P99 = quantiles(all)
		s.Legs[l].Share = float64(waited) / float64(max(total, 1))
	}
	return s
}

// quantiles sorts all.
func quantiles(all []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}
