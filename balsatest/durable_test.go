package balsatest

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/vfs"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// kept is a table that keeps its state in a file, which it writes anew after each batch. Those that are planted do one thing differently.
type kept struct {
	*table
	index balsa.Index
	term  balsa.Term
	disk  vfs.FS

	planted plantedKept
}

type plantedKept struct {
	apart    bool // state and place are in two files
	unsynced bool // Sync does nothing
	early    bool // a command's place is kept before what it does
	homeless bool // a Restore does not bring the place along
	steps    bool // a Restore keeps first the place and then the state
	wiping   bool // a Restore begins with nothing, at the old place
	lazy     bool // Sync does nothing if nothing was executed
	termless bool // the place has no term
	torn     bool // a file gets its name before its contents are durable
	deaf     bool // Sync does not pass on what the disk says
	born     bool // an empty disk has a place
	unready  bool // it cannot say where it is
	cleaning bool // it removes its file when it is closed

	dirty bool // for lazy: something was executed
}

// contentsAt is contents with their place.
type contentsAt struct {
	contents
	Index balsa.Index
	Term  balsa.Term
}

func openKept(disk vfs.FS, plant func(*plantedKept)) (*kept, error) {
	k := &kept{table: newTable(), disk: disk}
	plant(&k.planted)
	if err := disk.MkdirAll("kept"); err != nil {
		return nil, err
	}
	var c contentsAt
	found, err := k.read("kept/state", &c)
	if found && k.planted.apart {
		var at contentsAt
		if _, err = k.read("kept/place", &at); err == nil {
			c.Index, c.Term = at.Index, at.Term
		}
	}
	if found {
		k.values, k.count, k.index, k.term = c.Values, c.Count, c.Index, c.Term
	} else if k.planted.born {
		k.index, k.term = 1, 1
	}
	return k, err
}

func (k *kept) read(name string, v any) (found bool, err error) {
	f, err := k.disk.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return false, err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return false, err
	}
	return true, json.Unmarshal(b, v)
}

func (k *kept) write(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := k.disk.Remove(name + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := k.disk.Create(name + ".new")
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil && !k.planted.torn {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return k.disk.Rename(name+".new", name)
}

func (k *kept) save() error {
	c := contentsAt{contents{k.values, k.count}, k.index, k.term}
	if k.planted.apart {
		if err := k.write("kept/place", c); err != nil {
			return err
		}
	}
	return k.write("kept/state", c)
}

func (k *kept) Apply(batch iter.Seq[balsa.Entry[order, string]]) error {
	if k.planted.early {
		for e := range batch {
			k.index, k.term = e.Index, e.Term
			if err := k.save(); err != nil {
				return err
			}
			e.Reply(k.execute(e.Command))
		}
	} else {
		for e := range batch {
			e.Reply(k.execute(e.Command))
			k.index, k.term = e.Index, e.Term
		}
	}
	if k.planted.lazy {
		k.planted.dirty = true
	}
	return k.save()
}

func (k *kept) Snapshot() (func(io.Writer) error, error) {
	c := contentsAt{contents{maps.Clone(k.values), k.count}, k.index, k.term}
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(c) }, nil
}

func (k *kept) Restore(r io.Reader) error {
	if k.planted.wiping {
		k.values, k.count = map[string]int{}, 0
		if err := k.save(); err != nil {
			return err
		}
	}
	var c contentsAt
	if err := json.NewDecoder(r).Decode(&c); err != nil {
		return err
	}
	if !k.planted.homeless {
		k.index, k.term = c.Index, c.Term
	}
	if k.planted.steps {
		if err := k.save(); err != nil {
			return err
		}
	}
	k.values, k.count = c.Values, c.Count
	return k.save()
}

func (k *kept) Applied() (balsa.Index, balsa.Term, error) {
	switch {
	case k.planted.unready:
		return 0, 0, errors.New("no idea")
	case k.planted.termless:
		return k.index, 0, nil
	}
	return k.index, k.term, nil
}

func (k *kept) Sync() error {
	p := &k.planted
	if p.unsynced || p.lazy && !p.dirty {
		return nil
	}
	err := k.disk.SyncDir("kept")
	if p.deaf {
		return nil
	}
	if p.lazy {
		p.dirty = false
	}
	return err
}

func (k *kept) Close() error {
	if k.planted.cleaning && k.index > 0 {
		return k.disk.Remove("kept/state")
	}
	return nil
}

// inMemory is a disk for Durable: one in memory, of which a crash keeps any part that was not synced.
func inMemory[C, R any](open func(disk vfs.FS) (balsa.StateMachine[C, R], error)) func() Disk[C, R] {
	seed := uint64(0)
	return func() Disk[C, R] {
		disk := memfs.New()
		seed++
		r := rand.New(rand.NewPCG(seed, 0))
		return Disk[C, R]{
			Open:  func() (balsa.StateMachine[C, R], error) { return open(disk) },
			Crash: func() { disk = disk.CrashClone(memfs.CrashConfig{Probability: 0.5, Rand: r}) },
			FailAt: func(n int) func() bool {
				fault := &memfs.Fault{N: n, Err: memfs.ErrCrashed, Final: true}
				disk.SetHook(fault.Hook)
				return fault.Fired
			},
		}
	}
}

func keptDisk(plant func(*plantedKept)) func() Disk[order, string] {
	return inMemory(func(disk vfs.FS) (balsa.StateMachine[order, string], error) { return openKept(disk, plant) })
}

func TestDurableSound(t *testing.T) {
	sound := keptDisk(func(*plantedKept) {})
	o := Options[order, string]{Commands: 100, State: func(m balsa.StateMachine[order, string]) any { return m.(*kept).sum() }}
	Durable(t, sound, randomOrder, o)
	StateMachine(t, createOn(sound), randomOrder, o)
}

// TestDurablePlanted: each check is seen to fail.
func TestDurablePlanted(t *testing.T) {
	for _, test := range []struct {
		name, check, want string
		plant             func(p *plantedKept)
	}{
		{"state and place in two files", "crashes", "Members would differ", func(p *plantedKept) { p.apart = true }},
		{"state and place in two files", "operations", "Members would differ", func(p *plantedKept) { p.apart = true }},
		{"a Sync that does nothing", "crashes", "was synced after", func(p *plantedKept) { p.unsynced = true }},
		{"a Sync that does nothing", "syncs", "was synced after", func(p *plantedKept) { p.unsynced = true }},
		{"a place that is ahead", "crashes in a batch", "Members would differ", func(p *plantedKept) { p.early = true }},
		{"a Restore without the place", "restored", "was synced then, and says", func(p *plantedKept) { p.homeless = true }},
		{"a Restore in steps", "operations", "Members would differ", func(p *plantedKept) { p.steps = true }},
		{"a Sync that does not sync a Restore", "restored", "was synced then, and says", func(p *plantedKept) { p.lazy = true }},
		{"a place without a term", "crashes", "was given no such entry", func(p *plantedKept) { p.termless = true }},
		{"a file that is torn", "crashes", "cannot be opened", func(p *plantedKept) { p.torn = true }},
		{"a Sync that hears nothing", "operations", "was synced after", func(p *plantedKept) { p.deaf = true }},
		{"a place on an empty disk", "crashes", "was given no such entry", func(p *plantedKept) { p.born = true }},
		{"a Close that loses something", "crashes", "was synced after", func(p *plantedKept) { p.cleaning = true }},
		{"a Restore that begins with nothing", "crashes in a restore", "Members would differ", func(p *plantedKept) { p.wiping = true }},
		{"no place", "crashes", "Applied: no idea", func(p *plantedKept) { p.unready = true }},
	} {
		t.Run(test.name+", "+test.check, func(t *testing.T) {
			expectDurableFailure(t, test.check, test.want, keptDisk(test.plant), Options[order, string]{})
		})
	}
}

// TestDurableMistaken: a machine that lacks the methods is told so, and is not tested for less.
func TestDurableMistaken(t *testing.T) {
	disk := inMemory(func(vfs.FS) (balsa.StateMachine[order, string], error) { return newTable(), nil })
	expectDurableFailure(t, "crashes", "has not the methods of balsa.Durable", disk, Options[order, string]{})
	broken := inMemory(func(vfs.FS) (balsa.StateMachine[order, string], error) { return nil, errors.New("no disk") })
	expectDurableFailure(t, "crashes", "on an empty disk cannot be opened: no disk", broken, Options[order, string]{})
}

func expectDurableFailure(t *testing.T, name, want string, disk func() Disk[order, string], o Options[order, string]) {
	t.Helper()
	for _, c := range durableChecks(disk) {
		if c.name == name {
			if err := try(c, createOn(disk), randomOrder, o); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s finds: %v\nwant: %s", name, err, want)
			}
			return
		}
	}
	t.Errorf("there is no check %q", name)
}
