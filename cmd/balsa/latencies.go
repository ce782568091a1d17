package main

import (
	"math/bits"
	"time"
)

// Latencies are counted in buckets that are at most 1/128 wide, so that millions of them take no more memory than a few.
const (
	latencyOctaveBits = 7
	latencyOctave     = 1 << latencyOctaveBits
	latencyOctaves    = 44 - latencyOctaveBits // 2^44 ns are hours
)

// latencies counts durations.
type latencies struct {
	buckets [latencyOctaves * latencyOctave]int64
	n       int64
	sum     time.Duration
	max     time.Duration
}

func (l *latencies) add(d time.Duration) {
	d = max(d, 0)
	l.buckets[latencyBucket(d)]++
	l.n++
	l.sum += d
	l.max = max(l.max, d)
}

// quantile returns the duration that the share q of all does not exceed; zero if there are none.
func (l *latencies) quantile(q float64) time.Duration {
	left := int64(q * float64(l.n))
	for i, n := range l.buckets {
		if n > left {
			return min(latencyBucketEnd(i), l.max)
		}
		left -= n
	}
	return l.max
}

func (l *latencies) mean() time.Duration { return l.sum / time.Duration(max(l.n, 1)) }

// latencyBucket: the first two octaves' worth of nanoseconds have a bucket each, then each octave has as many as the one before.
func latencyBucket(d time.Duration) int {
	octave := max(0, bits.Len64(uint64(d))-latencyOctaveBits-1)
	return min(octave*latencyOctave+int(d>>octave), latencyOctaves*latencyOctave-1)
}

// latencyBucketEnd is the longest duration of a bucket.
func latencyBucketEnd(i int) time.Duration {
	octave := max(0, i/latencyOctave-1)
	return time.Duration(i-octave*latencyOctave+1)<<octave - 1
}

// latencyRow is a line of a histogram: how many took at most UpTo, and more than the row before says.
type latencyRow struct {
	UpTo  time.Duration
	Count int64
}

// latencyLimits are where the rows of a histogram end: 1, 2 and 5 times the powers of ten.
var latencyLimits = func() (limits []time.Duration) {
	for power := 10 * time.Microsecond; power <= 10_000*time.Second; power *= 10 {
		limits = append(limits, power, 2*power, 5*power)
	}
	return limits
}()

// rows are a histogram from the first row that is not empty to the last.
func (l *latencies) rows() (rows []latencyRow) {
	bucket := 0
	for _, limit := range latencyLimits {
		row := latencyRow{UpTo: limit}
		for ; bucket < len(l.buckets) && latencyBucketEnd(bucket) <= limit; bucket++ {
			row.Count += l.buckets[bucket]
		}
		if row.Count > 0 || len(rows) > 0 {
			rows = append(rows, row)
		}
	}
	for len(rows) > 0 && rows[len(rows)-1].Count == 0 {
		rows = rows[:len(rows)-1]
	}
	return rows
}
