package balsatest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/balsa-raft/balsa"
)

// Disk is what a Durable machine keeps its state on, in a test.
type Disk[C, R any] struct {
	// Open opens the machine that is on the disk, or a new one if there is none.
	Open func() (balsa.StateMachine[C, R], error)
	// Crash is a power failure, or the end of the process if no more can be had: what was not synced may be lost. The machine that is open is
	// not called any more, nor closed. If one of its methods is running, that ends with a panic.
	Crash func()
	// FailAt makes the disk's n-th operation from now on fail, counted from 1, and all that come after it, until Crash. The function that it
	// returns reports whether there were so many. FailAt may be nil: then it is not tested that the disk may crash at each of its
	// operations, which is where state and place come apart.
	FailAt func(n int) (failed func() bool)
	// Room leaves room for so many bytes more on the disk, until it is called again, also after a crash; as many as it takes if bytes is negative. What finds no
	// room fails with an error that is syscall.ENOSPC. If bytes is zero there is none for names either: nothing can be created, renamed or synced. It is for
	// sim.Test alone, and may be nil: then the disk is never full.
	Room func(bytes int64)
	// Rot damages some bytes that were synced, and says which, or nothing if there are none. It is for sim.Test alone, and may be nil (see sim.Machine.FindsRot).
	Rot func(r *rand.Rand) (what string)
}

// Durable tests whether machines keep to the contract of balsa.Durable. disk returns an empty disk, another at every call. StateMachine is for
// the rest of what such a machine must do.
func Durable[C, R any](t *testing.T, disk func() Disk[C, R], command func(*rand.Rand) C, o Options[C, R]) {
	for _, c := range durableChecks(disk) {
		t.Run(c.name, func(t *testing.T) {
			if err := try(c, createOn(disk), command, o); err != nil {
				t.Error(err)
			}
		})
	}
}

func createOn[C, R any](disk func() Disk[C, R]) func() balsa.StateMachine[C, R] {
	return func() balsa.StateMachine[C, R] {
		m, err := disk().Open()
		if err != nil {
			failf("a machine on an empty disk cannot be opened: %v", err)
		}
		return m
	}
}

func durableChecks[C, R any](disk func() Disk[C, R]) []check[C, R] {
	on := func(f func(s *subject[C, R], disk func() Disk[C, R])) func(*subject[C, R], uint64) {
		return func(s *subject[C, R], _ uint64) {
			s.player("a machine that never crashes").to(s.length+tail, one)
			f(s, disk)
		}
	}
	return []check[C, R]{
		{"crashes", on((*subject[C, R]).checkCrashes)},
		{"crashes in a batch", on((*subject[C, R]).checkCrashesInABatch)},
		{"syncs", on((*subject[C, R]).checkSyncs)},
		{"restored", on((*subject[C, R]).checkRestored)},
		{"crashes in a restore", on((*subject[C, R]).checkCrashesInARestore)},
		{"operations", on((*subject[C, R]).checkOperations)},
	}
}

// keeper is a player whose machine keeps its state.
type keeper[C, R any] struct {
	*player[C, R]
	disk    Disk[C, R]
	durable balsa.Durable
	synced  int // entries that were part of the state at the last Sync
	most    int // entries that may be part of it
	fresh   int // of a snapshot that is being restored, or zero
	slot    int // of the machine in subject.opened
}

func (s *subject[C, R]) keeper(disk func() Disk[C, R], format string, args ...any) *keeper[C, R] {
	k := &keeper[C, R]{player: &player[C, R]{s: s, name: fmt.Sprintf(format, args...)}, disk: disk()}
	k.open()
	return k
}

// open opens the machine, and takes its word for where it is, if that can be.
func (k *keeper[C, R]) open() {
	var err error
	if k.machine, err = k.disk.Open(); err != nil {
		failf("%s cannot be opened: %v", k.name, err)
	}
	k.slot = len(k.s.opened)
	k.s.opened = append(k.s.opened, k.machine)
	var ok bool
	if k.durable, ok = k.machine.(balsa.Durable); !ok {
		failf("%T has not the methods of balsa.Durable", k.machine)
	}
	k.at = k.place()
	if k.fresh > 0 && (k.at == 0 || k.at == k.fresh) {
		return // see restoreAgain
	}
	if k.at < k.synced {
		failf("%s was synced after %d commands, and has kept %d", k.name, k.synced, k.at)
	}
	k.look()
}

// place is how many commands are part of the state, as the machine says.
func (k *keeper[C, R]) place() int {
	index, term, err := k.durable.Applied()
	if err != nil {
		failf("%s: Applied: %v", k.name, err)
	}
	if index == 0 && term == 0 {
		return 0
	}
	for i := range max(k.most, k.fresh) {
		if e := k.s.entry(i); e.index == index && e.term == term {
			return i + 1
		}
	}
	failf("%s says that it has kept the state of entry %d, term %d, and was given no such entry", k.name, index, term)
	return 0
}

// run executes up to an entry.
func (k *keeper[C, R]) run(end int) *keeper[C, R] {
	for k.at < end {
		n := min(k.s.some(), end-k.at)
		k.most = max(k.most, k.at+n)
		k.apply(n)
	}
	return k
}

func (k *keeper[C, R]) sync() *keeper[C, R] {
	if err := k.durable.Sync(); err != nil {
		failf("%s: Sync: %v", k.name, err)
	}
	k.synced = k.at
	return k
}

// crash lets the power fail and opens the machine again.
func (k *keeper[C, R]) crash() {
	k.disk.Crash()
	k.reopen()
}

// restart ends the machine in peace, if it knows how, and opens it again.
func (k *keeper[C, R]) restart() {
	if c, ok := k.machine.(io.Closer); ok {
		if err := c.Close(); err != nil {
			failf("%s: Close: %v", k.name, err)
		}
		k.reopen()
	}
}

func (k *keeper[C, R]) reopen() {
	k.s.opened[k.slot] = nil // it is gone, and not to be closed
	k.open()
	k.most = k.at // what was lost is given again, maybe in other batches
}

// off is what a machine is ended with in the middle of a call.
type off struct{}

// until calls f, which a power failure may end.
func until(f func()) {
	defer func() {
		if r := recover(); r != nil && r != (off{}) {
			panic(r)
		}
	}()
	f()
}

// checkCrashes: what a machine has kept is the state of the place that it tells, and not less than was synced.
func (s *subject[C, R]) checkCrashes(disk func() Disk[C, R]) {
	k := s.keeper(disk, "a machine that has crashed and was started again")
	if k.at != 0 {
		failf("a machine on an empty disk says that %d commands are part of its state", k.at)
	}
	for k.at < s.length {
		k.run(min(k.at+s.some(), s.length))
		if s.rand.IntN(3) == 0 {
			k.sync()
		}
		if s.rand.IntN(4) == 0 {
			k.crash()
		}
		if s.rand.IntN(4) == 0 {
			k.restart()
		}
	}
	k.sync().crash()
	k.run(s.length + tail)
	k.checkGiven()
}

// checkCrashesInABatch: a crash in the middle of a batch leaves the state of a place in it, or before it.
func (s *subject[C, R]) checkCrashesInABatch(disk func() Disk[C, R]) {
	for range 8 {
		k := s.keeper(disk, "a machine that has crashed in the middle of a batch")
		k.run(s.rand.IntN(s.length))
		if s.rand.IntN(2) == 0 {
			k.sync()
		}
		n := s.some()
		last := k.at + s.rand.IntN(n)
		k.most = k.at + n
		until(func() {
			k.give(n, func(i int) C {
				if i == last {
					k.disk.Crash()
					panic(off{})
				}
				return k.decode(i)
			})
			failf("%s: Apply went on after a panic in its batch", k.name)
		})
		k.reopen()
		k.run(s.length + tail)
	}
}

// checkSyncs: Sync is called while Apply goes on, and keeps at least what there was before.
func (s *subject[C, R]) checkSyncs(disk func() Disk[C, R]) {
	k := s.keeper(disk, "a machine that was synced while Apply went on")
	for k.at < s.length {
		k.run(min(k.at+s.some(), s.length))
		at := k.at
		synced := make(chan error, 1)
		go func(d balsa.Durable) { synced <- d.Sync() }(k.durable)
		k.run(min(k.at+2*s.some(), s.length))
		if err := <-synced; err != nil {
			failf("%s: Sync: %v", k.name, err)
		}
		k.synced = at
		k.crash()
	}
	k.run(s.length + tail)
}

// snapshotOn returns a snapshot that a machine on a disk has taken, after how many commands, more than half of the history.
func (s *subject[C, R]) snapshotOn(disk func() Disk[C, R]) (b []byte, at int) {
	at = s.length - s.rand.IntN((s.length+1)/2)
	k := s.keeper(disk, "a machine of which a snapshot is taken").run(at)
	return k.snapshot(), at
}

// away is a machine that has executed less than what is in a snapshot after at commands.
func (s *subject[C, R]) away(disk func() Disk[C, R], at int, name string) *keeper[C, R] {
	k := s.keeper(disk, "%s from a snapshot after %d commands", name, at).run(s.rand.IntN(at))
	if s.rand.IntN(2) == 0 {
		k.sync()
	}
	k.fresh = at
	return k
}

// checkRestored: the place is part of the snapshot, and is kept with the rest of it.
func (s *subject[C, R]) checkRestored(disk func() Disk[C, R]) {
	for n := range 6 {
		b, at := s.snapshotOn(disk)
		k := s.away(disk, at, "a machine that was restored, and has crashed,")
		synced := make(chan error, 1)
		go func() { synced <- k.durable.Sync() }() // what was applied before
		k.restore(readerOf(b), at)
		if err := <-synced; err != nil {
			failf("%s: Sync: %v", k.name, err)
		}
		if n%2 == 0 {
			k.sync().crash()
			if k.at != at {
				failf("%s was synced then, and says that %d commands are part of its state", k.name, k.at)
			}
		} else {
			k.crash()
		}
		k.restoreAgain(b)
		k.sync()
		k.crash()
		k.run(s.length + tail)
	}
}

// restoreAgain does what Balsa does with a machine that is behind the newest snapshot, and has a look at one that is not.
func (k *keeper[C, R]) restoreAgain(b []byte) {
	at := k.fresh
	if k.at == at {
		k.look()
	} else {
		k.restore(readerOf(b), at)
	}
	k.most, k.fresh = at, 0
}

// checkCrashesInARestore: a Restore that a crash or an error ends leaves the old state, or the new one, or says that there is none.
func (s *subject[C, R]) checkCrashesInARestore(disk func() Disk[C, R]) {
	for n := range 12 {
		b, at := s.snapshotOn(disk)
		k := s.away(disk, at, "a machine that has crashed while it was restored")
		cut := s.rand.IntN(len(b) + 1)
		if n%2 == 0 {
			until(func() {
				k.machine.Restore(io.MultiReader(bytes.NewReader(b[:cut]), crashingReader{k.disk.Crash}))
				k.disk.Crash() // it has not read so far
			})
			k.reopen()
		} else {
			k.machine.Restore(io.MultiReader(bytes.NewReader(b[:cut]), failingReader{io.ErrUnexpectedEOF}))
			k.crash()
		}
		if k.at > 0 && k.at != at {
			k.look()
			if s.rand.IntN(2) == 0 {
				k.fresh = 0
				k.run(s.length + tail)
				continue
			}
		}
		k.restoreAgain(b)
		k.run(s.length + tail)
	}
}

type crashingReader struct{ crash func() }

func (r crashingReader) Read([]byte) (int, error) {
	r.crash()
	panic(off{})
}

// checkOperations: the disk ends at each of its operations.
func (s *subject[C, R]) checkOperations(disk func() Disk[C, R]) {
	if disk().FailAt == nil || s.length > s.options.Commands/rounds {
		return // the last history is longer, and finds no more than the others
	}
	b, at := s.snapshotOn(disk)
	for n, failed := 1, true; failed; n++ {
		k := s.keeper(disk, "a machine whose disk has failed from operation %d on", n)
		fired := k.disk.FailAt(n)
		k.life(b, at)
		failed = fired()
		k.crash()
		if k.fresh > 0 {
			k.restoreAgain(b)
		}
		k.run(s.length + tail).sync().crash()
		if k.at != s.length+tail {
			failf("%s, and was then well: it was synced after %d commands, and has kept %d", k.name, s.length+tail, k.at)
		}
	}
}

// life is what is done to a machine until it says that its disk has failed, or for good: it executes commands, is synced, and is brought
// forward by a snapshot.
func (k *keeper[C, R]) life(b []byte, at int) {
	step := func(end int) error {
		for k.at < end {
			n := min(k.s.some(), end-k.at)
			k.most = max(k.most, k.at+n)
			if err := k.give(n, k.decode); err != nil {
				return err
			}
			if k.s.rand.IntN(2) > 0 {
				continue
			}
			if err := k.durable.Sync(); err != nil {
				return err
			}
			k.synced = k.at
		}
		return nil
	}
	restore := func() error {
		k.fresh = at
		if err := k.machine.Restore(readerOf(b)); err != nil {
			return err
		}
		k.at = at
		if err := k.durable.Sync(); err != nil {
			return err
		}
		k.synced, k.most, k.fresh = at, at, 0
		return nil
	}
	var err error
	for _, f := range []func() error{
		func() error { return step(k.s.rand.IntN(at)) }, restore, func() error { return step(k.s.length) },
	} {
		if err = errors.Join(err, f()); err != nil {
			return
		}
	}
}
