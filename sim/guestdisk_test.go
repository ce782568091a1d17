package sim

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"maps"
	"sync"
	"syscall"
	"testing"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/balsatest"
	"github.com/balsa-raft/balsa/vfs"
)

// logbook is a ledger that keeps the orders in a file, one behind the other, each with a checksum that goes on from the one before; a restored one begins with all it knows. Those that are
// planted do one thing otherwise.
type logbook struct {
	*ledger
	mu   sync.Mutex // of what follows: Sync is called while commands are executed, and also while a snapshot is restored
	disk vfs.FS
	file vfs.File
	end  int64
	crc  uint32

	plantedLogbook
}

type plantedLogbook struct {
	deaf     bool // it takes no notice when a page finds no room
	deafSync bool // nor when a Sync does
	behind   bool // nor then, and writes behind the part of a page that there was room for
	panics   bool // it panics then
	vague    bool // it says so in words of its own
	trusting bool // it reads what is there
}

// page is what is written at once.
type page struct {
	Order       order
	Index, Term uint64
	All         *ledger `json:",omitempty"` // in place of an order
}

const logbookHead = 8 // length u32 | crc32 u32

func openLogbook(disk vfs.FS, planted plantedLogbook) (balsa.StateMachine[order, string], error) {
	d := &logbook{ledger: newLedger(), disk: disk, plantedLogbook: planted}
	f, err := disk.Open("logbook")
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	d.file = f
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	for d.take(b[d.end:]) {
	}
	return d, f.Truncate(d.end)
}

// take takes the page in with which b begins, if there is one.
func (d *logbook) take(b []byte) bool {
	if len(b) < logbookHead {
		return false
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || uint64(n) > uint64(len(b)-logbookHead) {
		return false
	}
	text := b[logbookHead : logbookHead+n]
	crc := crc32.Update(d.crc, crc32.IEEETable, text)
	if crc != binary.LittleEndian.Uint32(b[4:]) && !d.trusting {
		return false
	}
	var p page
	if json.Unmarshal(text, &p) != nil {
		return false
	}
	if p.All != nil {
		*d.ledger = *p.All
	} else {
		d.execute(balsa.NewEntry[order, string](balsa.Index(p.Index), balsa.Term(p.Term), p.Order, nil))
	}
	d.end, d.crc = d.end+logbookHead+int64(n), crc
	return true
}

// add writes pages in one piece.
func (d *logbook) add(pages ...page) (err error) {
	if d.file == nil {
		if d.file, err = d.disk.Create("logbook"); err != nil {
			return d.noRoom(err)
		}
	}
	var b []byte
	crc := d.crc
	for _, p := range pages {
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		crc = crc32.Update(crc, crc32.IEEETable, text)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
		b = append(binary.LittleEndian.AppendUint32(b, crc), text...)
	}
	n, err := d.file.WriteAt(b, d.end)
	if errors.Is(err, syscall.ENOSPC) && d.behind {
		d.end += int64(n)
		return nil
	}
	if err != nil {
		return d.noRoom(err)
	}
	d.end, d.crc = d.end+int64(len(b)), crc
	return nil
}

// noRoom is what becomes of an error of the disk.
func (d *logbook) noRoom(err error) error {
	switch {
	case !errors.Is(err, syscall.ENOSPC):
	case d.panics:
		panic(err)
	case d.deaf:
		return nil
	case d.vague:
		return fmt.Errorf("the logbook is full: %v", err)
	}
	return fmt.Errorf("the logbook: %w", err)
}

func (d *logbook) Apply(batch iter.Seq[balsa.Entry[order, string]]) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var pages []page
	for e := range batch {
		e.Reply(d.execute(e))
		pages = append(pages, page{Order: e.Command, Index: uint64(e.Index), Term: uint64(e.Term)})
	}
	return d.add(pages...)
}

func (d *logbook) Restore(r io.Reader) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.ledger.Restore(r); err != nil {
		return err
	}
	if err := d.disk.Remove("logbook.new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.disk.Create("logbook.new")
	if err != nil {
		return err
	}
	d.file, d.end, d.crc = f, 0, 0
	if err := d.add(page{All: d.ledger}); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return d.disk.Rename("logbook.new", "logbook")
}

func (d *logbook) Applied() (balsa.Index, balsa.Term, error) { return d.Index, d.Term, nil }

func (d *logbook) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		return nil
	}
	err := errors.Join(d.file.Sync(), d.disk.SyncDir("."))
	if d.deafSync && errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}

func logbooks(planted plantedLogbook) Machine[order, string] {
	return Machine[order, string]{Command: randomOrder, Model: modelLedger, FindsRot: true,
		State: func(m balsa.StateMachine[order, string]) any {
			l := *m.(*logbook).ledger
			l.Values = maps.Clone(l.Values)
			return l
		},
		Disk: Memory(func(disk vfs.FS) (balsa.StateMachine[order, string], error) { return openLogbook(disk, planted) }),
	}
}

// TestDiskOfMachine: a machine that says what is wrong with its disk passes, and its disk has been full and had rot.
func TestDiskOfMachine(t *testing.T) {
	balsatest.Durable(t, logbooks(plantedLogbook{}).Disk, randomOrder, balsatest.Options[order, string]{Commands: 50})
	for name, m := range map[string]Machine[order, string]{"logbook": logbooks(plantedLogbook{}), "ledger": keptLedgers(func(k *keeper) { k.checks = true })} {
		m.FindsRot = true
		pass(t, m, Options{})
		var all Report
		for seed := uint64(1); seed <= 6; seed++ {
			r, err := m.run(t, Options{Seed: seed, Faults: FaultFull | FaultRot | FaultPower})
			if err != nil {
				t.Fatal(err)
			}
			all.LackedRoom += r.LackedRoom
			all.NoticedRot += r.NoticedRot
			all.Rots += r.Rots
		}
		if all.LackedRoom == 0 || all.Rots == 0 || all.NoticedRot == 0 {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

// TestPlantedOnDisks: each of these takes its disk for another one than it is.
func TestPlantedOnDisks(t *testing.T) {
	for _, test := range []struct {
		name, want string
		planted    plantedLogbook
	}{
		{"a lack of room that nobody hears of", " does not hold: ", plantedLogbook{deaf: true}},
		{"a Sync without room that nobody hears of", "Durable does not hold: ", plantedLogbook{deafSync: true}},
		{"a panic for lack of room", "No Panic does not hold: ", plantedLogbook{panics: true}},
		{"pages behind half a page", " does not hold: ", plantedLogbook{behind: true}},
		{"an error without its cause", "No Error does not hold: ", plantedLogbook{vague: true}},
		{"no look at the checksums", " does not hold: ", plantedLogbook{trusting: true}},
	} {
		t.Run(test.name, func(t *testing.T) { expect(t, logbooks(test.planted), test.want) })
	}
	t.Run("no checksum", func(t *testing.T) {
		m := keptLedgers(func(*keeper) {})
		m.FindsRot = true
		expect(t, m, " does not hold: ")
	})
}
