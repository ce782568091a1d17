package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/balsa-raft/balsa"
)

// ledgerChunk is how much of a ledger is copied at once.
const ledgerChunk = 64 << 10

// ledger is a state machine with a large state: it keeps the last commands, in a ring. A snapshot shares its chunks, and whoever writes to one of
// them copies it first, so that a snapshot does not hold up what comes.
type ledger struct {
	n         atomic.Uint64 // commands
	snapshots atomic.Uint64 // that were taken

	// Owned by whoever calls Apply, Snapshot and Restore, one at a time.
	chunks [][]byte
	shared []bool // with a snapshot
	at     int    // where the next command goes
}

func newLedger(stateBytes int) *ledger {
	l := &ledger{}
	for range max(1, stateBytes/ledgerChunk) {
		l.chunks, l.shared = append(l.chunks, make([]byte, ledgerChunk)), append(l.shared, false)
	}
	return l
}

func (l *ledger) executed() uint64 { return l.n.Load() }

func (l *ledger) Apply(batch iter.Seq[balsa.Entry[[]byte, struct{}]]) error {
	n := uint64(0)
	for e := range batch {
		for b := e.Command; len(b) > 0; {
			i, from := l.at/ledgerChunk, l.at%ledgerChunk
			if l.shared[i] {
				l.chunks[i], l.shared[i] = bytes.Clone(l.chunks[i]), false
			}
			took := copy(l.chunks[i][from:], b)
			b, l.at = b[took:], (l.at+took)%(len(l.chunks)*ledgerChunk)
		}
		n++
	}
	l.n.Add(n)
	return nil
}

func (l *ledger) Snapshot() (func(io.Writer) error, error) {
	l.snapshots.Add(1)
	for i := range l.shared {
		l.shared[i] = true
	}
	chunks := slices.Clone(l.chunks)
	head := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, l.n.Load()), uint64(l.at))
	return func(w io.Writer) error {
		if _, err := w.Write(head); err != nil {
			return err
		}
		for _, c := range chunks {
			if _, err := w.Write(c); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func (l *ledger) Restore(r io.Reader) error {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	at := binary.LittleEndian.Uint64(head[8:])
	if at >= uint64(len(l.chunks)*ledgerChunk) {
		return errors.New("the snapshot is of a larger ledger")
	}
	for i := range l.chunks {
		l.chunks[i], l.shared[i] = make([]byte, ledgerChunk), false
		if _, err := io.ReadFull(r, l.chunks[i]); err != nil {
			return fmt.Errorf("the snapshot ends early: %w", err)
		}
	}
	l.n.Store(binary.LittleEndian.Uint64(head[:]))
	l.at = int(at)
	return nil
}
