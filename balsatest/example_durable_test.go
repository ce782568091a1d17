package balsatest_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/balsatest"
	"github.com/balsa-raft/balsa/vfs"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// sum adds up numbers, and keeps the sum in a file, with its place in the log.
type sum struct {
	disk vfs.FS
	kept keptSum
}

// keptSum is the file, and the snapshots. Sum and place are in one file, so that no crash comes between them.
type keptSum struct {
	Sum   int
	Index balsa.Index
	Term  balsa.Term
}

// openSum reads the file, if there is one.
func openSum(disk vfs.FS) (*sum, error) {
	s := &sum{disk: disk}
	f, err := disk.Open("sum")
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	return s, json.NewDecoder(io.NewSectionReader(f, 0, size)).Decode(&s.kept)
}

func (s *sum) Apply(batch iter.Seq[balsa.Entry[int, int]]) error {
	for e := range batch {
		s.kept = keptSum{Sum: s.kept.Sum + e.Command, Index: e.Index, Term: e.Term}
		e.Reply(s.kept.Sum)
	}
	return s.save()
}

// save replaces the file by a new one, whose contents are durable before it has the name. That it has the name need not be durable yet.
func (s *sum) save() error {
	b, err := json.Marshal(s.kept)
	if err != nil {
		return err
	}
	if err := s.disk.Remove("sum.new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := s.disk.Create("sum.new")
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(b, 0); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return s.disk.Rename("sum.new", "sum")
}

func (s *sum) Applied() (balsa.Index, balsa.Term, error) { return s.kept.Index, s.kept.Term, nil }

func (s *sum) Sync() error { return s.disk.SyncDir(".") }

func (s *sum) Snapshot() (func(io.Writer) error, error) {
	kept := s.kept
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(kept) }, nil
}

func (s *sum) Restore(r io.Reader) error {
	if err := json.NewDecoder(r).Decode(&s.kept); err != nil {
		return err
	}
	return s.save()
}

var _ balsa.Durable = (*sum)(nil)

// sumDisk is a disk in memory. A machine on files of the operating system can copy its folder when it is to crash, which is as if its process had been
// killed; storage engines often bring a file system of their own that can lose power.
func sumDisk() balsatest.Disk[int, int] {
	disk := memfs.New()
	r := rand.New(rand.NewPCG(1, 2))
	return balsatest.Disk[int, int]{
		Open:  func() (balsa.StateMachine[int, int], error) { return openSum(disk) },
		Crash: func() { disk = disk.CrashClone(memfs.CrashConfig{Probability: 0.5, Rand: r}) },
		FailAt: func(n int) func() bool {
			fault := &memfs.Fault{N: n, Err: memfs.ErrCrashed, Final: true}
			disk.SetHook(fault.Hook)
			return fault.Fired
		},
	}
}

func ExampleDurable() {
	_ = func(t *testing.T) {
		balsatest.Durable(t, sumDisk, func(r *rand.Rand) int { return r.IntN(100) }, balsatest.Options[int, int]{})
	}
}
