package main

import (
	"math/bits"
	"time"
)

// Latencies are counted in buckets that are at most 1/128 wide, so that what is measured costs no memory while it is measured.
const (
	bucketsOctaveBits = 7
	bucketsOctave     = 1 << bucketsOctaveBits
	octavesMax        = 36 - bucketsOctaveBits // 2^36 ns is more than a minute
)

// histogram counts durations.
type histogram struct {
	buckets [octavesMax * bucketsOctave]uint32
	n       uint64
	max     time.Duration
}

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(d)]++
	h.n++
	h.max = max(h.max, d)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}

// quantile returns the duration that the share q of all does not exceed; zero if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	left := uint64(q * float64(h.n))
	for i, n := range h.buckets {
		if uint64(n) > left {
			return min(bucketEnd(i), h.max)
		}
		left -= uint64(n)
	}
	return h.max
}

// bucketOf: the first two octaves' worth of nanoseconds have a bucket each, then each octave has as many as the one before.
func bucketOf(d time.Duration) int {
	ns := uint64(max(d, 0))
	octave := max(0, bits.Len64(ns)-bucketsOctaveBits-1)
	return min(octave*bucketsOctave+int(ns>>octave), octavesMax*bucketsOctave-1)
}

// bucketEnd is the longest duration of a bucket.
func bucketEnd(i int) time.Duration {
	octave := max(0, i/bucketsOctave-1)
	return time.Duration(uint64(i-octave*bucketsOctave+1)<<octave - 1)
}
