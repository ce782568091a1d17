package balsatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/balsa-raft/balsa"
)

// order is a command of the tables.
type order struct {
	Op    string
	Key   string
	Value int
}

func randomOrder(r *rand.Rand) order {
	ops := []string{"set", "add", "delete", "sum", "keys"}
	return order{ops[r.IntN(len(ops))], string(rune('a' + r.IntN(8))), r.IntN(100)}
}

// table is a machine that keeps to the contract. Those in planted_test.go change one thing about it.
type table struct {
	values map[string]int
	count  int // of all orders
}

func newTable() *table { return &table{values: map[string]int{}} }

func (t *table) Apply(batch iter.Seq[balsa.Entry[order, string]]) error {
	for e := range batch {
		e.Reply(t.execute(e.Command))
	}
	return nil
}

func (t *table) execute(o order) string {
	t.count++
	old := t.values[o.Key]
	switch o.Op {
	case "set":
		t.values[o.Key] = o.Value
		return fmt.Sprint("it was ", old)
	case "add":
		t.values[o.Key] = old + o.Value
		return fmt.Sprint("it is ", old+o.Value)
	case "delete":
		delete(t.values, o.Key)
		return fmt.Sprint("it was ", old)
	case "keys":
		return fmt.Sprint(slices.Sorted(maps.Keys(t.values)))
	}
	return t.sum()
}

func (t *table) sum() string {
	sum := 0
	for _, v := range t.values {
		sum += v
	}
	return fmt.Sprint(sum, " after ", t.count)
}

// contents is a table as its snapshots have it.
type contents struct {
	Values map[string]int
	Count  int
}

func (t *table) Snapshot() (func(io.Writer) error, error) {
	c := contents{maps.Clone(t.values), t.count}
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(c) }, nil
}

func (t *table) Restore(r io.Reader) error {
	var c contents
	if err := json.NewDecoder(r).Decode(&c); err != nil {
		return err
	}
	t.values, t.count = c.Values, c.Count
	return nil
}

// planted is a table of which parts are replaced.
type planted struct {
	*table
	apply    func(t *table, batch iter.Seq[balsa.Entry[order, string]]) error
	execute  func(t *table, o order) string
	snapshot func(t *table) (func(io.Writer) error, error)
	restore  func(t *table, r io.Reader) error
}

func (p *planted) Apply(batch iter.Seq[balsa.Entry[order, string]]) error {
	switch {
	case p.apply != nil:
		return p.apply(p.table, batch)
	case p.execute != nil:
		for e := range batch {
			e.Reply(p.execute(p.table, e.Command))
		}
		return nil
	}
	return p.table.Apply(batch)
}

func (p *planted) Snapshot() (func(io.Writer) error, error) {
	if p.snapshot != nil {
		return p.snapshot(p.table)
	}
	return p.table.Snapshot()
}

func (p *planted) Restore(r io.Reader) error {
	if p.restore != nil {
		return p.restore(p.table, r)
	}
	return p.table.Restore(r)
}

// texts is a machine whose commands are bytes, and which keeps them.
type texts struct {
	all   [][]byte
	apply func(b []byte) // may be nil
	pin   func(all [][]byte)
}

func (t *texts) Apply(batch iter.Seq[balsa.Entry[[]byte, int]]) error {
	for e := range batch {
		t.all = append(t.all, e.Command)
		if t.apply != nil {
			t.apply(e.Command)
		}
		e.Reply(len(t.all))
	}
	return nil
}

func (t *texts) Snapshot() (func(io.Writer) error, error) {
	if t.pin != nil {
		t.pin(t.all)
	}
	pinned := slices.Clone(t.all)
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(pinned) }, nil
}

func (t *texts) Restore(r io.Reader) error {
	t.all = nil
	return json.NewDecoder(r).Decode(&t.all)
}

func randomText(r *rand.Rand) []byte { return bytes.Repeat([]byte("zyx"), 1+r.IntN(3)) }

// journal answers with the last of what it was told. C is the encoding under test.
type journal[C any] struct {
	read func(C) string
	last []string
}

func (j *journal[C]) Apply(batch iter.Seq[balsa.Entry[C, string]]) error {
	for e := range batch {
		j.last = append(j.last, j.read(e.Command))
		e.Reply(j.last[len(j.last)-1])
	}
	return nil
}

func (j *journal[C]) Snapshot() (func(io.Writer) error, error) {
	pinned := slices.Clone(j.last)
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(pinned) }, nil
}

func (j *journal[C]) Restore(r io.Reader) error {
	j.last = nil
	return json.NewDecoder(r).Decode(&j.last)
}

// silent is a machine whose commands have no results.
type silent struct{ table }

func (s *silent) Apply(batch iter.Seq[balsa.Entry[order, struct{}]]) error {
	for e := range batch {
		s.execute(e.Command)
	}
	return nil
}
