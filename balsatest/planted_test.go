package balsatest

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
)

// TestSound: machines that keep to the contract pass, also those of unusual types.
func TestSound(t *testing.T) {
	StateMachine(t, func() balsa.StateMachine[order, string] { return newTable() }, randomOrder, Options[order, string]{
		SameBytes: true,
		State:     func(m balsa.StateMachine[order, string]) any { return m.(*table).sum() },
	})
	t.Run("bytes", func(t *testing.T) {
		StateMachine(t, func() balsa.StateMachine[[]byte, int] { return &texts{} }, randomText, Options[[]byte, int]{Commands: 60})
	})
	t.Run("no results", func(t *testing.T) {
		StateMachine(t, func() balsa.StateMachine[order, struct{}] { return &silent{*newTable()} }, randomOrder, Options[order, struct{}]{Commands: 60})
	})
	t.Run("pointers", func(t *testing.T) {
		StateMachine(t, func() balsa.StateMachine[*order, string] {
			return &journal[*order]{read: func(o *order) string { return fmt.Sprint(*o) }}
		}, func(r *rand.Rand) *order { o := randomOrder(r); return &o }, Options[*order, string]{Commands: 60})
	})
}

// expectFailure runs the one check that is to find what is planted.
func expectFailure[C, R any](t *testing.T, name, want string, create func() balsa.StateMachine[C, R], command func(*rand.Rand) C, o Options[C, R]) {
	t.Helper()
	o.Commands = cmpOr(o.Commands, 100)
	for _, c := range checks[C, R]() {
		if c.name == name {
			err := try(c, create, command, o)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s finds: %v\nwant: %s", name, err, want)
			}
			return
		}
	}
	t.Errorf("there is no check %q", name)
}

func cmpOr(a, b int) int {
	if a != 0 {
		return a
	}
	return b
}

// process is what the machines of one process share without knowing it.
var process int

// TestPlanted: each check is seen to fail, on a machine that is sound but for one thing.
func TestPlanted(t *testing.T) {
	for _, test := range []struct {
		name  string
		check string
		want  string
		plant func(p *planted)
	}{
		{"the order of a map in an answer", "batches", "Members would differ", func(p *planted) {
			p.execute = func(t *table, o order) string {
				if o.Op != "keys" {
					return t.execute(o)
				}
				var keys []string
				for k := range t.values {
					keys = append(keys, k)
				}
				return fmt.Sprint(keys)
			}
		}},
		{"the clock in an answer", "batches", "Members would differ", func(p *planted) {
			p.execute = func(t *table, o order) string { return fmt.Sprint(t.execute(o), time.Now().UnixNano()) }
		}},
		{"an address in an answer", "batches", "Members would differ", func(p *planted) {
			p.execute = func(t *table, o order) string { return fmt.Sprintf("%s %p", t.execute(o), t) }
		}},
		{"something that the machines of a process share", "batches", "Members would differ", func(p *planted) {
			p.execute = func(t *table, o order) string {
				process++
				return fmt.Sprint(t.execute(o), process)
			}
		}},
		{"what the batch is like", "batches", "Members would differ", func(p *planted) {
			p.apply = func(t *table, batch iter.Seq[balsa.Entry[order, string]]) error {
				n := 0
				for e := range batch {
					n++
					e.Reply(fmt.Sprint(t.execute(e.Command), n))
				}
				return nil
			}
		}},
		{"no answer to some", "answers", "there was no Reply to command", func(p *planted) {
			p.apply = func(t *table, batch iter.Seq[balsa.Entry[order, string]]) error {
				for e := range batch {
					if answer := t.execute(e.Command); e.Command.Op != "delete" {
						e.Reply(answer)
					}
				}
				return nil
			}
		}},
		{"answers that come too late", "answers", "there was no Reply to command", func(p *planted) {
			later := func() {}
			p.apply = func(t *table, batch iter.Seq[balsa.Entry[order, string]]) error {
				for e := range batch {
					later()
					answer := t.execute(e.Command)
					later = func() { e.Reply(answer) }
				}
				return nil
			}
		}},
		{"a batch that is not read to its end", "answers", "has left its batch of", func(p *planted) {
			p.apply = func(t *table, batch iter.Seq[balsa.Entry[order, string]]) error {
				for e := range batch {
					e.Reply(t.execute(e.Command))
					if e.Command.Op == "delete" {
						break
					}
				}
				return nil
			}
		}},
		{"a batch that is not read", "answers", "has left its batch of", func(p *planted) {
			p.apply = func(*table, iter.Seq[balsa.Entry[order, string]]) error { return nil }
		}},
		{"an error for a command that is refused", "answers", "An error stops the member", func(p *planted) {
			p.apply = func(t *table, batch iter.Seq[balsa.Entry[order, string]]) error {
				for e := range batch {
					if _, ok := t.values[e.Command.Key]; e.Command.Op == "delete" && !ok {
						return errors.New("no such key")
					}
					e.Reply(t.execute(e.Command))
				}
				return nil
			}
		}},
		{"a panic", "answers", "a panic: assignment to entry in nil map", func(p *planted) { p.table.values = nil }},
		{"a field that is not in snapshots", "snapshots", "Members would differ", func(p *planted) {
			p.snapshot = func(t *table) (func(io.Writer) error, error) {
				c := contents{Values: maps.Clone(t.values)}
				return func(w io.Writer) error { return json.NewEncoder(w).Encode(c) }, nil
			}
		}},
		{"a snapshot that is not pinned", "snapshots", "Members would differ", func(p *planted) {
			p.snapshot = func(t *table) (func(io.Writer) error, error) {
				return func(w io.Writer) error { return json.NewEncoder(w).Encode(contents{t.values, t.count}) }, nil
			}
		}},
		{"a snapshot of which a part is not pinned", "snapshots", "Members would differ", func(p *planted) {
			p.snapshot = func(t *table) (func(io.Writer) error, error) {
				values := maps.Clone(t.values)
				return func(w io.Writer) error { return json.NewEncoder(w).Encode(contents{values, t.count}) }, nil
			}
		}},
		{"a snapshot that is gathered while it is written", "snapshots", "Members would differ", func(p *planted) {
			p.snapshot = func(t *table) (func(io.Writer) error, error) {
				keys, count := slices.Sorted(maps.Keys(t.values)), t.count
				return func(w io.Writer) error {
					fmt.Fprintf(w, `{"Count":%d,"Values":{`, count)
					for i, k := range keys {
						fmt.Fprintf(w, "%.*s%q:%d", min(i, 1), ",", k, t.values[k])
					}
					_, err := io.WriteString(w, "}}")
					return err
				}, nil
			}
		}},
		{"a snapshot that changes the machine", "snapshots", "Members would differ", func(p *planted) {
			p.snapshot = func(t *table) (func(io.Writer) error, error) {
				write, err := t.Snapshot()
				return func(w io.Writer) error { t.count = 0; return write(w) }, err
			}
		}},
		{"a restored machine that forgets in its next snapshot", "snapshots", "that was itself restored", func(p *planted) {
			hidden := 0
			p.restore = func(t *table, r io.Reader) error { err := t.Restore(r); hidden = t.count; return err }
			p.snapshot = func(t *table) (func(io.Writer) error, error) {
				c := contents{maps.Clone(t.values), t.count - hidden}
				return func(w io.Writer) error { return json.NewEncoder(w).Encode(c) }, nil
			}
		}},
		{"an empty snapshot that cannot be restored", "snapshots", "Restore of the snapshot after 0 commands: EOF", func(p *planted) {
			p.snapshot = func(t *table) (func(io.Writer) error, error) {
				if t.count == 0 {
					return func(io.Writer) error { return nil }, nil
				}
				return t.Snapshot()
			}
		}},
		{"a lock while a snapshot is written", "snapshots", "Apply, while a snapshot is being written, has not returned", func(p *planted) {
			var mu sync.Mutex
			p.apply = func(t *table, batch iter.Seq[balsa.Entry[order, string]]) error {
				mu.Lock()
				defer mu.Unlock()
				return t.Apply(batch)
			}
			p.snapshot = func(t *table) (func(io.Writer) error, error) {
				write, err := t.Snapshot()
				return func(w io.Writer) error {
					mu.Lock()
					defer mu.Unlock()
					return write(w)
				}, err
			}
		}},
		{"no snapshot", "snapshots", "Snapshot after 0 commands: not today", func(p *planted) {
			p.snapshot = func(*table) (func(io.Writer) error, error) { return nil, errors.New("not today") }
		}},
		{"a writer's error that is lost", "writers", "nothing was said of it", func(p *planted) {
			p.snapshot = func(t *table) (func(io.Writer) error, error) {
				write, err := t.Snapshot()
				return func(w io.Writer) error {
					b := bufio.NewWriter(w)
					defer b.Flush()
					return write(b)
				}, err
			}
		}},
		{"a lock that is kept after a writer's error", "writers", "Apply, after a snapshot that could not be written, has not returned", func(p *planted) {
			var mu sync.Mutex
			p.apply = func(t *table, batch iter.Seq[balsa.Entry[order, string]]) error {
				mu.Lock()
				defer mu.Unlock()
				return t.Apply(batch)
			}
			p.snapshot = func(t *table) (func(io.Writer) error, error) {
				write, err := t.Snapshot()
				return func(w io.Writer) error {
					mu.Lock()
					if err := write(w); err != nil {
						return err
					}
					mu.Unlock()
					return nil
				}, err
			}
		}},
		{"a state that a writer's error changes", "writers", "Members would differ", func(p *planted) {
			p.snapshot = func(t *table) (func(io.Writer) error, error) {
				write, err := t.Snapshot()
				return func(w io.Writer) error {
					err := write(w)
					if err != nil {
						t.count = 0
					}
					return err
				}, err
			}
		}},
		{"a Restore that adds to what is there", "restores", "Members would differ", func(p *planted) {
			p.restore = func(t *table, r io.Reader) error {
				c := contents{Values: t.values} // JSON adds to the map that it finds
				err := json.NewDecoder(r).Decode(&c)
				t.values, t.count = c.Values, c.Count
				return err
			}
		}},
		{"a field that Restore leaves as it was", "restores", "Members would differ", func(p *planted) {
			p.restore = func(t *table, r io.Reader) error {
				was := t.count
				err := t.Restore(r)
				if was > 0 {
					t.count = was
				}
				return err
			}
		}},
		{"a Restore that reads once", "restores", "restored byte by byte: Restore", func(p *planted) {
			p.restore = func(t *table, r io.Reader) error {
				b := make([]byte, 1<<20)
				n, err := r.Read(b)
				if err != nil {
					return err
				}
				return t.Restore(strings.NewReader(string(b[:n])))
			}
		}},
		{"a Restore that drops what comes with the end", "restores", "ends with its last bytes: Restore", func(p *planted) {
			p.restore = func(t *table, r io.Reader) error {
				var all []byte
				for b := make([]byte, 1<<20); ; {
					n, err := r.Read(b)
					if err == io.EOF {
						return t.Restore(strings.NewReader(string(all)))
					}
					if err != nil {
						return err
					}
					all = append(all, b[:n]...)
				}
			}
		}},
		{"a reader's error that is taken for the end", "readers", "Members would differ", func(p *planted) {
			p.snapshot, p.restore = writeLines, func(t *table, r io.Reader) error { return readLines(t, r, true) }
		}},
		{"an unexpected end that is taken for the end", "readers", "io.ErrUnexpectedEOF is not the end", func(p *planted) {
			p.snapshot, p.restore = writeLines, func(t *table, r io.Reader) error {
				if err := readLines(t, r, false); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
					return err
				}
				return nil
			}
		}},
		{"a panic about a snapshot that ends too early", "readers", "a panic: ", func(p *planted) {
			p.restore = func(t *table, r io.Reader) error {
				b, err := io.ReadAll(r)
				if err == nil && b[len(b)-2] != '}' {
					panic("a damaged snapshot")
				}
				return t.Restore(strings.NewReader(string(b)))
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if strings.Contains(test.name, "a lock") {
				defer func(was time.Duration) { patience = was }(patience)
				patience = 50 * time.Millisecond
			}
			want := strings.Replace(test.want, "io.ErrUnexpectedEOF is not the end", "Members would differ", 1)
			expectFailure(t, test.check, want, func() balsa.StateMachine[order, string] {
				p := &planted{table: newTable()}
				test.plant(p)
				return p
			}, randomOrder, Options[order, string]{})
		})
	}
}

// writeLines is a snapshot whose end cannot be told from its middle, as is sound: Balsa can.
func writeLines(t *table) (func(io.Writer) error, error) {
	values, count := maps.Clone(t.values), t.count
	return func(w io.Writer) error {
		b := bufio.NewWriter(w)
		fmt.Fprintln(b, "count", count)
		for _, k := range slices.Sorted(maps.Keys(values)) {
			fmt.Fprintln(b, k, values[k])
		}
		return b.Flush()
	}, nil
}

func readLines(t *table, r io.Reader, careless bool) error {
	t.values, t.count = map[string]int{}, 0
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		key, text, _ := strings.Cut(lines.Text(), " ")
		value, _ := strconv.Atoi(text)
		if key == "count" {
			t.count = value
		} else {
			t.values[key] = value
		}
	}
	if careless {
		return nil
	}
	return lines.Err()
}

// TestLinesAreSound: what writeLines and readLines do is not what is planted with them.
func TestLinesAreSound(t *testing.T) {
	StateMachine(t, func() balsa.StateMachine[order, string] {
		return &planted{table: newTable(), snapshot: writeLines, restore: func(t *table, r io.Reader) error { return readLines(t, r, false) }}
	}, randomOrder, Options[order, string]{Commands: 60})
}

// TestPlantedBytes: a machine changes the bytes of commands, at once or later.
func TestPlantedBytes(t *testing.T) {
	for name, m := range map[string]func() balsa.StateMachine[[]byte, int]{
		"at once": func() balsa.StateMachine[[]byte, int] { return &texts{apply: func(b []byte) { slices.Sort(b) }} },
		"when it takes a snapshot": func() balsa.StateMachine[[]byte, int] {
			return &texts{pin: func(all [][]byte) {
				for _, b := range all {
					slices.Sort(b)
				}
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			expectFailure(t, "answers", "has changed the bytes of command", m, randomText, Options[[]byte, int]{})
		})
	}
}

// TestPlantedOptions: what answers do not show, the options can.
func TestPlantedOptions(t *testing.T) {
	create := func(plant func(p *planted)) func() balsa.StateMachine[order, string] {
		return func() balsa.StateMachine[order, string] {
			p := &planted{table: newTable()}
			plant(p)
			return p
		}
	}
	unseen := create(func(p *planted) { // what it does not restore is in no answer
		p.execute = func(t *table, o order) string { t.execute(o); return "done" }
		p.snapshot = func(t *table) (func(io.Writer) error, error) {
			c := contents{Values: maps.Clone(t.values)}
			return func(w io.Writer) error { return json.NewEncoder(w).Encode(c) }, nil
		}
	})
	expectFailure(t, "snapshots", "the state is ", unseen, randomOrder, Options[order, string]{
		State: func(m balsa.StateMachine[order, string]) any { return m.(*planted).sum() },
	})
	unsorted := create(func(p *planted) {
		p.restore = func(t *table, r io.Reader) error { return readLines(t, r, false) }
		p.snapshot = func(t *table) (func(io.Writer) error, error) {
			values, count := maps.Clone(t.values), t.count
			return func(w io.Writer) error {
				text := fmt.Sprintln("count", count)
				for k, v := range values {
					text += fmt.Sprintln(k, v)
				}
				_, err := io.WriteString(w, text)
				return err
			}, nil
		}
	})
	expectFailure(t, "snapshots", "the snapshot of", unsorted, randomOrder, Options[order, string]{SameBytes: true})
	t.Run("other bytes are no failure", func(t *testing.T) { StateMachine(t, unsorted, randomOrder, Options[order, string]{Commands: 60}) })
	never := Options[order, string]{Equal: func(a, b string) bool { return false }}
	expectFailure(t, "batches", "Members would differ", create(func(*planted) {}), randomOrder, never)
}

// Commands whose encodings are wrong, each in a way of its own.
type (
	hidden    struct{ Key, amount string } // JSON does not see amount
	forgetful struct{ Key, Amount string }
	panicking struct{ Number uint32 }
	careless  struct{ Key string }
	rewriting struct{ Key string }
	picky     struct{ Key string }
)

func (c forgetful) MarshalBinary() ([]byte, error)  { return []byte(c.Key), nil }
func (c *forgetful) UnmarshalBinary(b []byte) error { c.Key = string(b); return nil }
func (c panicking) MarshalBinary() ([]byte, error) {
	return binary.LittleEndian.AppendUint32(nil, c.Number), nil
}
func (c *panicking) UnmarshalBinary(b []byte) error {
	c.Number = binary.LittleEndian.Uint32(b)
	return nil
}
func (c careless) AppendBinary([]byte) ([]byte, error) { return []byte(c.Key), nil }
func (c *careless) UnmarshalBinary(b []byte) error     { c.Key = string(b); return nil }
func (c rewriting) MarshalBinary() ([]byte, error)     { return []byte(c.Key), nil }
func (c *rewriting) UnmarshalBinary(b []byte) error {
	c.Key = string(b)
	clear(b)
	return nil
}
func (c picky) MarshalBinary() ([]byte, error) { return []byte(c.Key), nil }
func (c *picky) UnmarshalBinary(b []byte) error {
	if c.Key = string(b); c.Key == "7" {
		return errors.New("not that one")
	}
	return nil
}

// TestPlantedEncodings: what is lost between Propose and Apply.
func TestPlantedEncodings(t *testing.T) {
	number := func(r *rand.Rand) string { return strconv.Itoa(r.IntN(20)) }
	plantedEncoding(t, "Members would differ", func(r *rand.Rand) hidden { return hidden{"k", number(r)} })
	plantedEncoding(t, "Members would differ", func(r *rand.Rand) forgetful { return forgetful{"k", number(r)} })
	plantedEncoding(t, "a panic: runtime error", func(r *rand.Rand) panicking { return panicking{r.Uint32()} })
	plantedEncoding(t, "is not appended to what is there", func(r *rand.Rand) careless { return careless{number(r)} })
	plantedEncoding(t, "has changed", func(r *rand.Rand) rewriting { return rewriting{number(r)} })
	plantedEncoding(t, "cannot be decoded: not that one", func(r *rand.Rand) picky { return picky{number(r)} })
}

func plantedEncoding[C any](t *testing.T, want string, command func(*rand.Rand) C) {
	t.Helper()
	t.Run(fmt.Sprintf("%T", *new(C)), func(t *testing.T) {
		expectFailure(t, "commands", want, func() balsa.StateMachine[C, string] {
			return &journal[C]{read: func(c C) string { return fmt.Sprint(c) }}
		}, command, Options[C, string]{})
	})
}

// closing counts its kind.
type closing struct {
	*table
	open *int
}

func (c closing) Close() error { *c.open--; return nil }

// TestClose: machines are closed, each once, whether or not they pass.
func TestClose(t *testing.T) {
	open, made := 0, 0
	for _, c := range checks[order, string]() {
		for _, equal := range []bool{true, false} {
			try(c, func() balsa.StateMachine[order, string] {
				open++
				made++
				return closing{newTable(), &open}
			}, randomOrder, Options[order, string]{Equal: func(a, b string) bool { return equal }})
		}
	}
	if open != 0 || made == 0 {
		t.Errorf("of %d machines %d are open", made, open)
	}
}
