package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/balsatest"
	"github.com/balsa-raft/balsa/vfs"
)

// order is a command of the ledgers.
type order struct {
	Op    string
	Key   string
	Value int
}

func randomOrder(r *rand.Rand) order {
	ops := []string{"set", "add", "delete", "poorest", "sum"}
	return order{ops[r.IntN(len(ops))], string(rune('a' + r.IntN(6))), r.IntN(50)}
}

// ledger is a machine that keeps to the contract. The planted ones change one thing about it.
type ledger struct {
	Values map[string]int
	Count  int
	Index  balsa.Index
	Term   balsa.Term
}

func newLedger() *ledger { return &ledger{Values: map[string]int{}} }

func (l *ledger) Apply(batch iter.Seq[balsa.Entry[order, string]]) error {
	for e := range batch {
		e.Reply(l.execute(e))
	}
	return nil
}

func (l *ledger) execute(e balsa.Entry[order, string]) string {
	l.Index, l.Term = e.Index, e.Term
	l.Count++
	o := e.Command
	switch o.Op {
	case "set":
		l.Values[o.Key] = o.Value
	case "add":
		l.Values[o.Key] += o.Value
	case "delete":
		delete(l.Values, o.Key)
	case "poorest": // loses something, the first of those that have equally little
		if len(l.Values) > 0 {
			poorest := slices.MinFunc(slices.Sorted(maps.Keys(l.Values)), func(a, b string) int { return l.Values[a] - l.Values[b] })
			l.Values[poorest] /= 2
			return poorest
		}
	case "sum":
		sum := 0
		for _, v := range l.Values {
			sum += v
		}
		return fmt.Sprint(sum, " after ", l.Count)
	}
	return fmt.Sprint(l.Values[o.Key])
}

func (l *ledger) Snapshot() (func(io.Writer) error, error) {
	b, err := json.Marshal(l)
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}, err
}

func (l *ledger) Restore(r io.Reader) error {
	*l = ledger{}
	return json.NewDecoder(r).Decode(l)
}

// planted is a ledger of which parts are replaced.
type planted struct {
	*ledger
	execute  func(l *ledger, e balsa.Entry[order, string]) string
	apply    func(l *ledger, batch iter.Seq[balsa.Entry[order, string]]) error
	snapshot func(l *ledger) (func(io.Writer) error, error)
	restore  func(l *ledger, r io.Reader) error
}

func (p *planted) Apply(batch iter.Seq[balsa.Entry[order, string]]) error {
	switch {
	case p.apply != nil:
		return p.apply(p.ledger, batch)
	case p.execute != nil:
		for e := range batch {
			e.Reply(p.execute(p.ledger, e))
		}
		return nil
	}
	return p.ledger.Apply(batch)
}

func (p *planted) Snapshot() (func(io.Writer) error, error) {
	if p.snapshot != nil {
		return p.snapshot(p.ledger)
	}
	return p.ledger.Snapshot()
}

func (p *planted) Restore(r io.Reader) error {
	if p.restore != nil {
		return p.restore(p.ledger, r)
	}
	return p.ledger.Restore(r)
}

func ledgers(plant func(p *planted)) Machine[order, string] {
	return Machine[order, string]{Command: randomOrder, New: func() balsa.StateMachine[order, string] {
		p := &planted{ledger: newLedger()}
		if plant != nil {
			plant(p)
		}
		return p
	}}
}

// modelLedger is a ledger, too: what it is compared with must be wrong somewhere.
func modelLedger() func(balsa.Entry[order, string]) string { return newLedger().execute }

// pass runs some seeds, or as many as -sim.seeds says, none of which may fail.
func pass[C, R any](t *testing.T, m Machine[C, R], o Options) {
	t.Helper()
	if err := find(t, m, o, plan{seeds: max(4, flags.seeds)}); err != nil {
		t.Fatal(err)
	}
}

// TestMachine: a sound machine passes, with all that can be asked for.
func TestMachine(t *testing.T) {
	m := ledgers(nil)
	pass(t, m, Options{})
	m.Model, m.SameBytes = modelLedger, true
	m.State = func(m balsa.StateMachine[order, string]) any {
		l := *m.(*planted).ledger
		l.Values = maps.Clone(l.Values)
		return l
	}
	pass(t, m, Options{Seed: 1000})
}

// entryNumber is what a failure says that another seed would say otherwise.
var entryNumber = regexp.MustCompile(`entry \d+`)

// expect runs seeds until one fails, and demands that it does so for this reason.
func expect[C, R any](t *testing.T, m Machine[C, R], wants ...string) {
	t.Helper()
	start := time.Now()
	err := find(t, m, Options{}, plan{seeds: seedsMax}) // on a slow machine too
	if err == nil {
		t.Fatal("nothing was found")
	}
	t.Logf("within %v: %v", time.Since(start), err)
	v := (*Violation)(nil)
	if !errors.As(err, &v) {
		t.Fatalf("not a violation: %v", err)
	}
	text := v.Error() + v.Stack + err.Error() // the summary breaks lines
	for _, want := range append(wants, "again: go test -run '^"+strings.Split(t.Name(), "/")[0]) {
		if !strings.Contains(text, want) && !strings.Contains(entryNumber.ReplaceAllString(text, "entry N"), want) {
			t.Errorf("this does not say %q: %v", want, err)
		}
	}
	if first := fmt.Sprintf("seed %d: %s does not hold, at ", v.Seed, v.Property); !strings.HasPrefix(err.Error(), first) && !strings.HasPrefix(err.Error(), "sim: seed ") {
		t.Errorf("this does not begin with the summary: %v", err)
	}
}

// TestPlanted: each of these breaks one rule.
func TestPlanted(t *testing.T) {
	for _, test := range []struct {
		name, want string
		plant      func(p *planted)
	}{
		{"a map that Apply iterates", "Same Answers does not hold: ", func(p *planted) {
			p.execute = func(l *ledger, e balsa.Entry[order, string]) string {
				if e.Command.Op != "poorest" || len(l.Values) == 0 {
					return l.execute(e)
				}
				l.Index, l.Term = e.Index, e.Term
				l.Count++
				poorest := ""
				for k, v := range l.Values {
					if poorest == "" || v < l.Values[poorest] {
						poorest = k
					}
				}
				l.Values[poorest] /= 2
				return poorest
			}
		}},
		{"a snapshot that shares memory", "Same Answers does not hold: ", func(p *planted) {
			p.snapshot = func(l *ledger) (func(io.Writer) error, error) {
				pinned := *l // the map is the same one
				return func(w io.Writer) error { return json.NewEncoder(w).Encode(pinned) }, nil
			}
		}},
		{"a Restore that does not clear", "Same Answers does not hold: ", func(p *planted) {
			p.restore = func(l *ledger, r io.Reader) error { return json.NewDecoder(r).Decode(l) } // JSON adds to the map that it finds
		}},
		{"a field that is not in the snapshot", "Same Answers does not hold: ", func(p *planted) {
			p.snapshot = func(l *ledger) (func(io.Writer) error, error) {
				pinned := *l
				pinned.Count = 0
				b, err := json.Marshal(pinned)
				return func(w io.Writer) error { _, err := w.Write(b); return err }, err
			}
		}},
		{"time.Now in Apply", "Same Answers does not hold: ", func(p *planted) {
			began := time.Time{}
			p.execute = func(l *ledger, e balsa.Entry[order, string]) string {
				if began.IsZero() {
					began = time.Now()
				}
				// What is kept ends by the member's own clock, in steps so large that the tests' own seconds would not show it.
				if e.Command.Op == "set" && time.Now().Unix()%2 == 0 {
					return "too late"
				}
				return l.execute(e)
			}
		}},
		{"an answer that depends on the batch", "Same Answers does not hold: ", func(p *planted) {
			p.apply = func(l *ledger, batch iter.Seq[balsa.Entry[order, string]]) error {
				n := 0
				for e := range batch {
					n++
					e.Reply(fmt.Sprint(l.execute(e), n))
				}
				return nil
			}
		}},
		{"a panic", "No Panic does not hold: the machine that executes all commands one by one: Apply of entry N, {Op:sum", func(p *planted) {
			p.execute = func(l *ledger, e balsa.Entry[order, string]) string {
				if l.Count > 30 && e.Command.Op == "sum" {
					panic("no more")
				}
				return l.execute(e)
			}
		}},
		{"an error of Apply", "No Error does not hold: the machine that executes all commands one by one: Apply of entry N, {Op:sum", func(p *planted) {
			p.apply = func(l *ledger, batch iter.Seq[balsa.Entry[order, string]]) error {
				for e := range batch {
					if l.Count > 30 && e.Command.Op == "sum" {
						return errors.New("not that one")
					}
					e.Reply(l.execute(e))
				}
				return nil
			}
		}},
		{"a batch that is left", "Apply has left its batch", func(p *planted) {
			p.apply = func(l *ledger, batch iter.Seq[balsa.Entry[order, string]]) error {
				for e := range batch {
					e.Reply(l.execute(e))
					if l.Count%20 == 0 {
						return nil
					}
				}
				return nil
			}
		}},
		{"a batch that is not looked at", "it has not looked at its batch", func(p *planted) {
			p.apply = func(l *ledger, batch iter.Seq[balsa.Entry[order, string]]) error {
				if l.Count > 30 {
					return nil
				}
				return l.Apply(batch)
			}
		}},
		{"an error of Snapshot", "Snapshot: not now", func(p *planted) {
			p.snapshot = func(l *ledger) (func(io.Writer) error, error) { return nil, errors.New("not now") }
		}},
		{"an error of a snapshot's function", "the function of Snapshot: not now", func(p *planted) {
			p.snapshot = func(l *ledger) (func(io.Writer) error, error) {
				return func(io.Writer) error { return errors.New("not now") }, nil
			}
		}},
		{"an error of Restore", "Restore: not now", func(p *planted) {
			p.restore = func(l *ledger, r io.Reader) error { return errors.New("not now") }
		}},
	} {
		t.Run(test.name, func(t *testing.T) { expect(t, ledgers(test.plant), test.want) })
	}
}

// keeper is a ledger that keeps itself in a file, and what is wrong with it.
type keeper struct {
	*ledger
	disk vfs.FS

	placeApart bool // the place is in a file of its own, which is durable at once
	lazy       bool // Sync does nothing
	stays      bool // Restore leaves the place as it was
	ahead      bool // Applied says more than it was given
	checks     bool // the file begins with a checksum, which is looked at
}

func write(disk vfs.FS, name string, v any, sync bool) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := disk.Remove(name + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := disk.Create(name + ".new")
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := disk.Rename(name+".new", name); err != nil || !sync {
		return err
	}
	return disk.SyncDir(".")
}

func read(disk vfs.FS, name string, v any) error {
	f, err := disk.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	return json.NewDecoder(io.NewSectionReader(f, 0, size)).Decode(v)
}

func (k *keeper) Apply(batch iter.Seq[balsa.Entry[order, string]]) error {
	for e := range batch {
		e.Reply(k.execute(e))
	}
	return k.save()
}

func (k *keeper) save() error {
	if k.placeApart {
		if err := write(k.disk, "place", [2]uint64{uint64(k.Index), uint64(k.Term)}, true); err != nil {
			return err
		}
	}
	return write(k.disk, "ledger", k.summed(), false)
}

// summed is what the file has.
func (k *keeper) summed() any {
	if !k.checks {
		return k.ledger
	}
	b, _ := json.Marshal(k.ledger)
	return summed{crc32.ChecksumIEEE(b), b}
}

// summed is a ledger with its checksum.
type summed struct {
	Sum    uint32
	Ledger json.RawMessage
}

func (k *keeper) load() error {
	if !k.checks {
		return read(k.disk, "ledger", k.ledger)
	}
	var s summed
	if err := read(k.disk, "ledger", &s); err != nil || s.Ledger == nil {
		return err
	}
	if crc32.ChecksumIEEE(s.Ledger) != s.Sum {
		return errors.New("the ledger is damaged")
	}
	return json.Unmarshal(s.Ledger, k.ledger)
}

func (k *keeper) Restore(r io.Reader) error {
	was := *k.ledger
	if err := k.ledger.Restore(r); err != nil {
		return err
	}
	if k.stays {
		k.Index, k.Term = was.Index, was.Term
	}
	return k.save()
}

func (k *keeper) Applied() (balsa.Index, balsa.Term, error) {
	place := [2]uint64{uint64(k.Index), uint64(k.Term)}
	if k.placeApart {
		if err := read(k.disk, "place", &place); err != nil {
			return 0, 0, err
		}
	}
	if k.ahead && k.Index > 0 {
		place[0] += 1000
	}
	return balsa.Index(place[0]), balsa.Term(place[1]), nil
}

func (k *keeper) Sync() error {
	if k.lazy {
		return nil
	}
	return k.disk.SyncDir(".")
}

func keptLedgers(plant func(k *keeper)) Machine[order, string] {
	return Machine[order, string]{Command: randomOrder, Disk: Memory(func(disk vfs.FS) (balsa.StateMachine[order, string], error) {
		k := &keeper{ledger: newLedger(), disk: disk}
		plant(k)
		return k, k.load()
	})}
}

// TestDurableMachine: one that keeps its state passes, too.
func TestDurableMachine(t *testing.T) {
	m := keptLedgers(func(*keeper) {})
	m.Model = modelLedger
	pass(t, m, Options{})

	crashes, disk := 0, m.Disk
	m.Disk = func() balsatest.Disk[order, string] {
		d := disk()
		crash := d.Crash
		d.Crash = func() { crashes++; crash() }
		return d
	}
	r, err := m.run(t, Options{Seed: 1, Faults: FaultPower | FaultKill})
	if err != nil || r.PowerCuts+r.Kills == 0 || crashes < r.PowerCuts+r.Kills {
		t.Errorf("%v: members have died %d times, and their disks have crashed %d times", err, r.PowerCuts+r.Kills, crashes)
	}
}

// TestPlantedDurable: each of these breaks one rule of those that keep their state.
func TestPlantedDurable(t *testing.T) {
	for _, test := range []struct {
		name, want string
		plant      func(k *keeper)
	}{
		{"a place that is durable before its state", "Same Answers does not hold: ", func(k *keeper) { k.placeApart = true }},
		{"a Sync that does nothing", "Durable does not hold: ", func(k *keeper) { k.lazy = true }},
		{"a place that Restore leaves", "Durable does not hold: ", func(k *keeper) { k.stays = true }},
		{"a place that was never given", "and cannot have that", func(k *keeper) { k.ahead = true }},
	} {
		t.Run(test.name, func(t *testing.T) { expect(t, keptLedgers(test.plant), test.want) })
	}
}

// TestMachineDeterminism: the same seed is the same run, or a failure could not be seen again.
func TestMachineDeterminism(t *testing.T) {
	m := ledgers(nil)
	for seed := uint64(1); seed <= 3; seed++ {
		first, err := m.run(t, Options{Seed: seed})
		again, err2 := m.run(t, Options{Seed: seed, Story: io.Discard})
		if err != nil || err2 != nil || first.Trace != again.Trace || first.Steps != again.Steps {
			t.Fatalf("seed %d: %v, %v: trace %x after %d steps, then %x after %d", seed, err, err2, first.Trace, first.Steps, again.Trace, again.Steps)
		}
	}
}

// TestUnsortedSnapshots: snapshots of equal states may have other bytes, and another size, on each member.
func TestUnsortedSnapshots(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pass(t, ledgers(func(p *planted) {
		p.snapshot = func(l *ledger) (func(io.Writer) error, error) {
			b, err := json.Marshal(l)
			b = append(b, strings.Repeat(" ", r.IntN(200))...)
			return func(w io.Writer) error { _, err := w.Write(b); return err }, err
		}
	}), Options{})
}

// TestGoroutines: machines may have some, which end with Close; those that do not are left.
func TestGoroutines(t *testing.T) {
	for _, closes := range []bool{true, false} {
		open := 0
		m := Machine[order, string]{Command: randomOrder, New: func() balsa.StateMachine[order, string] {
			c := &closing{ledger: newLedger(), work: make(chan func()), open: &open}
			open++
			go func() {
				for f := range c.work {
					f()
				}
			}()
			if closes {
				return c
			}
			return hidden{c}
		}}
		pass(t, m, Options{})
		if closes && open != 0 {
			t.Errorf("%d machines are open", open)
		}
	}
}

// closing is a ledger with a goroutine that executes the commands.
type closing struct {
	*ledger
	work chan func()
	open *int
}

func (c *closing) Apply(batch iter.Seq[balsa.Entry[order, string]]) (err error) {
	done := make(chan struct{})
	c.work <- func() { err = c.ledger.Apply(batch); close(done) }
	<-done
	return err
}

func (c *closing) Close() error {
	close(c.work)
	*c.open--
	return nil
}

// hidden has no Close.
type hidden struct {
	balsa.StateMachine[order, string]
}

// TestPlantedOptions: what answers do not show, or cannot, what a Machine says beside them can.
func TestPlantedOptions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	table := func(m balsa.StateMachine[order, string]) any { return maps.Clone(m.(*planted).Values) }
	silent := func(p *planted) {
		p.execute = func(l *ledger, e balsa.Entry[order, string]) string { l.execute(e); return "done" }
	}
	for name, test := range map[string]struct {
		want  string
		plant func(p *planted)
		more  func(m *Machine[order, string])
	}{
		"State": {"Same State does not hold: ", func(p *planted) {
			silent(p)
			p.restore = func(l *ledger, r io.Reader) error { err := l.Restore(r); delete(l.Values, "a"); return err }
		}, func(m *Machine[order, string]) { m.State = table }},
		"SameBytes": {"Same Bytes does not hold: ", func(p *planted) {
			p.snapshot = func(l *ledger) (func(io.Writer) error, error) {
				b, err := json.Marshal(l)
				b = append(b, strings.Repeat(" ", r.IntN(200))...)
				return func(w io.Writer) error { _, err := w.Write(b); return err }, err
			}
		}, func(m *Machine[order, string]) { m.SameBytes = true }},
		"Model": {"Model does not hold: ", func(p *planted) {
			p.execute = func(l *ledger, e balsa.Entry[order, string]) string {
				if e.Command.Value == 49 { // the same on all members, and wrong
					e.Command.Value++
				}
				return l.execute(e)
			}
		}, func(m *Machine[order, string]) { m.Model = modelLedger }},
		"Equal": {"Same Answers does not hold: ", nil, func(m *Machine[order, string]) { m.Equal = func(a, b string) bool { return a == b && a != "0" } }},
	} {
		t.Run(name, func(t *testing.T) {
			m := ledgers(test.plant)
			test.more(&m)
			expect(t, m, test.want)
		})
	}
}

// TestMachineRefused: what cannot be run is refused with a reason.
func TestMachineRefused(t *testing.T) {
	n := 0
	for want, spoil := range map[string]func(m *Machine[order, string]){
		"Machine.Command is nil":       func(m *Machine[order, string]) { m.Command = nil },
		"Machine.New and Machine.Disk": func(m *Machine[order, string]) { m.New = nil },
		"FindsRot needs":               func(m *Machine[order, string]) { m.FindsRot = true },
		"it must depend on that alone": func(m *Machine[order, string]) { m.Command = func(r *rand.Rand) order { n++; return order{Value: n} } },
		"No Error does not hold":       func(m *Machine[order, string]) { m.New, m.Disk = nil, keptLedgers(nil).Disk },
	} {
		m := ledgers(nil)
		spoil(&m)
		if want == "No Error does not hold" { // a machine on a disk that keeps nothing
			m.Disk = func() balsatest.Disk[order, string] {
				return balsatest.Disk[order, string]{Open: func() (balsa.StateMachine[order, string], error) { return newLedger(), nil }, Crash: func() {}}
			}
		}
		if err := find(t, m, Options{}, plan{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not %q, but %v", want, err)
		}
	}
}

// TestShrunk: a failing run of a machine is made smaller, and a line repeats it.
func TestShrunk(t *testing.T) {
	m := ledgers(func(p *planted) {
		p.restore = func(l *ledger, r io.Reader) error { err := l.Restore(r); l.Count = 0; return err }
	})
	err := find(t, m, Options{}, plan{shrink: 10 * time.Second})
	if err == nil || !strings.HasPrefix(err.Error(), "seed ") || !strings.Contains(err.Error(), "That is a smaller run ") {
		t.Fatal(err)
	}
	t.Log(err)
}
