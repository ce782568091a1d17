package raft

import (
	_ "context"     // want "raft may not import context"
	_ "io"          // want "raft may not import io"
	_ "io/fs"       // want "raft may not import io/fs"
	_ "log"         // want "raft may not import log"
	_ "log/slog"    // want "raft may not import log/slog"
	_ "net"         // want "raft may not import net"
	_ "os"          // want "raft may not import os"
	_ "sync"        // want "raft may not import sync"
	_ "sync/atomic" // want "raft may not import sync/atomic"
	_ "time"        // want "raft may not import time"

	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
)

type progress struct{ matchIndex uint64 }

type peers map[uint64]*progress

type logLike interface{ ~[]uint64 }

type mapLike interface{ ~map[uint64]uint64 }

func ranges(ps peers, m map[string]int, s []int, ch chan int) {
	for range ps { // want "the order of a map"
	}
	for k, v := range m { // want "the order of a map"
		_, _ = k, v
	}
	for i := range s {
		_ = i
	}
	for range 3 {
	}
	for range ch {
	}
	for range slices.Values(s) {
	}
	for _, k := range slices.Sorted(maps.Keys(ps)) {
		_ = ps[k]
	}
	for range maps.Keys(ps) { // want "maps.Keys has the order of a map"
	}
	unsorted := slices.Collect(maps.Values(m)) // want "maps.Values has the order of a map"
	keys := maps.Keys(m)                       // want "maps.Keys has the order of a map"
	_, _ = unsorted, slices.Sorted(keys)
	_ = slices.SortedFunc((maps.Keys(m)), cmp.Compare[string])
	_ = maps.Collect(maps.All(m))
}

func generic[L logLike, M mapLike, S ~[]E, E any](l L, m M, s S) {
	for range l {
	}
	for range m { // want "the order of a map"
	}
	for range s {
	}
}

func random(seed uint64) int {
	r := rand.New(rand.NewPCG(seed, 0))
	return r.IntN(3) +
		rand.IntN(3) // want "rand.IntN draws from the global generator"
}

func goes() {
	go func() {}() // want "only in a file named run.go"
}
