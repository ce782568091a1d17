package balsa_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
)

// diary is a journal that keeps itself in a file. What Apply does is in memory until it is synced.
type diary struct {
	file     string
	restores int

	mu   sync.Mutex
	kept diaryKept
}

type diaryKept struct {
	Commands []uint64
	Indexes  []balsa.Index
	Term     balsa.Term // of the last
}

func openDiary(t *testing.T, file string) *diary {
	t.Helper()
	d := &diary{file: file}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &d.kept)
	}
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return d
}

func (k diaryKept) index() balsa.Index {
	if len(k.Indexes) == 0 {
		return 0
	}
	return k.Indexes[len(k.Indexes)-1]
}

func (d *diary) now() diaryKept {
	d.mu.Lock()
	defer d.mu.Unlock()
	return diaryKept{slices.Clone(d.kept.Commands), slices.Clone(d.kept.Indexes), d.kept.Term}
}

func (d *diary) Apply(batch iter.Seq[balsa.Entry[uint64, int]]) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for e := range batch {
		if e.Index <= d.kept.index() || e.Term < d.kept.Term {
			return fmt.Errorf("entry %d of term %d comes behind %d of term %d", e.Index, e.Term, d.kept.index(), d.kept.Term)
		}
		d.kept.Commands, d.kept.Indexes, d.kept.Term = append(d.kept.Commands, e.Command), append(d.kept.Indexes, e.Index), e.Term
		e.Reply(len(d.kept.Commands))
	}
	return nil
}

func (d *diary) Applied() (balsa.Index, balsa.Term, error) { return d.kept.index(), d.kept.Term, nil }

func (d *diary) Sync() error {
	b, err := json.Marshal(d.now())
	if err == nil {
		err = os.WriteFile(d.file+".new", b, fs.FileMode(0o600))
	}
	if err == nil {
		err = os.Rename(d.file+".new", d.file)
	}
	return err
}

func (d *diary) Snapshot() (func(io.Writer) error, error) {
	kept := d.now()
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(kept) }, nil
}

func (d *diary) Restore(r io.Reader) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.restores++
	d.kept = diaryKept{}
	return json.NewDecoder(r).Decode(&d.kept)
}

// TestDurable: members go on from what their machines have kept, through restarts in which a part of that is lost, and with logs that are
// compacted behind them.
func TestDurable(t *testing.T) {
	c := newCluster(t, 3)
	for i := range c.nodes {
		c.stop(i)
	}
	c.dir = t.TempDir()
	diaries := make([]*diary, 3)
	nodes := make([]*balsa.Node[uint64, int], 3)
	file := func(i int) string { return filepath.Join(c.dir, fmt.Sprintf("diary%d", i)) }
	open := func(i int) {
		config := c.config(i)
		config.SnapshotLogBytes, config.LogTailBytes = 2000, 500
		diaries[i] = openDiary(t, file(i))
		kept := diaries[i].now().index()
		var err error
		if nodes[i], err = balsa.Open(t.Context(), config, diaries[i]); err != nil {
			t.Fatal(err)
		}
		// The leader may have been heard by now, and entries executed that are no commands.
		if at, err := nodes[i].Read(t.Context(), balsa.Local); err != nil || at < kept {
			t.Errorf("member %d begins at %d, %v, and its machine was at %d", i, at, err, kept)
		}
	}
	closeAll := func() {
		for _, n := range nodes {
			if n == nil {
				continue
			}
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	for i := range nodes {
		open(i)
	}
	defer closeAll()
	rng := rand.New(rand.NewPCG(1, 1))
	next := uint64(0)
	for round := range 4 {
		for range 50 {
			r, err := nodes[rng.IntN(3)].Propose(t.Context(), next)
			next++
			if err != nil || r.Value != int(next) {
				t.Fatalf("command %d is answered with %d, %v", next-1, r.Value, err)
			}
		}
		i := round % 3
		if _, err := nodes[i].Read(t.Context(), balsa.Linearizable); err != nil { // or it may be brought back by a snapshot
			t.Fatal(err)
		}
		for until := time.Now().Add(patience); round > 0 && nodes[i].Status().FirstIndex == 1 && time.Now().Before(until); {
			time.Sleep(time.Millisecond) // its snapshot is being written
		}
		if err := nodes[i].Close(); err != nil {
			t.Fatal(err)
		}
		if first := nodes[i].Status().FirstIndex; round > 0 && first == 1 {
			t.Errorf("member %d has compacted nothing", i)
		}
		open(i)
		if n := len(diaries[i].now().Commands); diaries[i].restores > 0 || round > 0 && n == 0 {
			t.Errorf("member %d begins with %d commands and was restored %d times", i, n, diaries[i].restores)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i, n := range nodes {
		if _, err := n.Read(ctx, balsa.Linearizable); err != nil {
			t.Fatal(i, err)
		}
		commands := diaries[i].now().Commands
		for k := range next {
			if k >= uint64(len(commands)) || commands[k] != k {
				t.Fatalf("member %d has executed %v", i, commands)
			}
		}
	}
}

// TestDurableElsewhere: a machine that has kept another log's state is refused, and the folder is free again.
func TestDurableElsewhere(t *testing.T) {
	dir := t.TempDir()
	kept := diaryKept{Commands: []uint64{1}, Indexes: []balsa.Index{7}, Term: 3}
	_, err := openOne[uint64, int](t, dir, &diary{kept: kept})
	if err == nil || !strings.Contains(err.Error(), "the state of entry 7, term 3, which is not of this log") {
		t.Errorf("it starts: %v", err)
	}
	n, err := openOne[uint64, int](t, dir, openDiary(t, filepath.Join(dir, "diary")))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
