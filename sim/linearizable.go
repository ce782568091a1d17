package sim

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
)

// checkLinearizable checks what the clients saw, and nothing else: whether one register a key could have given these answers, each at a
// moment between its call and its return. Values are unique, so each read names its write, and the question has a fast answer (Gibbons and
// Korach, Testing Shared Memories, 1997): take each write with its reads. If one of them returns before another is called, the
// register must hold the value from the one to the other: two values cannot be held at once, and a value whose operations all
// overlap in a stretch needs a moment of that stretch in which no other one must be held.
func checkLinearizable(history []Operation) error {
	keys := make(map[int]map[uint64]*zone)
	for i := range history {
		op := &history[i]
		if op.Outcome == OutcomeRefused {
			continue
		}
		if keys[op.Key] == nil {
			// The value that was there before the first write.
			keys[op.Key] = map[uint64]*zone{0: {key: op.Key, written: true}}
		}
		z := keys[op.Key][op.Value]
		if z == nil {
			z = &zone{key: op.Key, value: op.Value, firstReturn: math.MaxUint64}
			keys[op.Key][op.Value] = z
		}
		z.take(op)
	}
	for key := range math.MaxUint8 + 1 {
		if err := checkKey(keys[key]); err != nil {
			return err
		}
	}
	return nil
}

// historyError says which values a register cannot have held.
type historyError struct {
	text  string
	zones []*zone
}

func (e *historyError) Error() string { return e.text }

func brokenHistory(z, because *zone, format string, args ...any) error {
	e := &historyError{text: fmt.Sprintf(format, args...), zones: []*zone{z}}
	if because != nil {
		e.zones = append(e.zones, because)
	}
	return e
}

// zone is the stretch of time that a value's operations ask for.
type zone struct {
	key     int
	value   uint64
	written bool
	read    bool

	firstReturn   uint64 // of all operations
	lastCall      uint64
	writeCall     uint64
	firstReadBack uint64 // the first return of a read; zero: none
}

func (z *zone) take(op *Operation) {
	z.firstReturn = min(z.firstReturn, op.Return)
	z.lastCall = max(z.lastCall, op.Call)
	if op.Write {
		z.written, z.writeCall = true, op.Call
		return
	}
	if !z.read || op.Return < z.firstReadBack {
		z.firstReadBack = op.Return
	}
	z.read = true
}

// held reports whether the register must hold the value all the time from firstReturn to lastCall. Otherwise one moment from lastCall to
// firstReturn is enough.
func (z *zone) held() bool { return z.firstReturn < z.lastCall }

func (z *zone) String() string {
	return fmt.Sprintf("register %d, value %d (returned first at step %d, asked for last at step %d)", z.key, z.value, z.firstReturn, z.lastCall)
}

func checkKey(values map[uint64]*zone) error {
	var held, brief []*zone
	for _, value := range slices.Sorted(maps.Keys(values)) {
		z := values[value]
		switch {
		case !z.written:
			return brokenHistory(z, nil, "%v was read and never written", z)
		case z.read && z.firstReadBack < z.writeCall:
			return brokenHistory(z, nil, "%v was read before it was written, at step %d", z, z.writeCall)
		case z.held():
			held = append(held, z)
		case z.firstReturn != never: // or it may come after everything else
			brief = append(brief, z)
		}
	}
	slices.SortFunc(held, func(a, b *zone) int { return cmp.Compare(a.firstReturn, b.firstReturn) })
	for i := 1; i < len(held); i++ {
		if held[i].firstReturn < held[i-1].lastCall {
			return brokenHistory(held[i], held[i-1], "%v and %v must be held at the same time", held[i-1], held[i])
		}
	}
	for _, z := range brief {
		// The last stretch that begins before z's does: they are in order and do not overlap, so only it can cover z.
		n, _ := slices.BinarySearchFunc(held, z.lastCall, func(h *zone, at uint64) int { return cmp.Compare(h.firstReturn, at) })
		if n > 0 && z.firstReturn < held[n-1].lastCall {
			return brokenHistory(z, held[n-1], "%v can never have been held, because of %v", z, held[n-1])
		}
	}
	return nil
}
