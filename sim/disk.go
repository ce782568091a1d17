package sim

import (
	"fmt"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/wal"
)

const (
	dataDir = "data"
	logDir  = "data/wal"
	group   = raft.GroupID(1) // the only one
)

// disk is what of a member outlives its process.
type disk struct {
	fs    *memfs.FS
	guest any        // the disk of an embedder's machine that keeps its state, or nil
	keeps raft.Index // the last command that is durable in the register's own journal

	slow      time.Duration // what an operation takes at most, while slowUntil lies ahead
	slowUntil time.Duration
	takes     time.Duration // what each operation takes; zero: it is quick

	told  time.Duration // the longest promise that was given
	bound time.Duration // and by earlier incarnations

	rotten        bool // synced bytes are damaged
	rottenJournal bool // bytes of a register's own journal are damaged

	lacksFile bool // one that it needs is gone
	refuses   bool // some of those that are read at each start

	isFull  bool // its room is limited
	noNames bool // and there is none for names
	full    int  // how often it was
	wasFull int  // the last incarnation that was given room

	// What its log must hold, for the checker.
	durable     image
	kept        kept
	writes      int           // to the log, since a save began
	tail        string        // the segment that was written to last
	rolls       []raft.Index  // the first entries of segments, as far as there was one in the save that began a segment
	lastBatches [2][]wal.Save // what the last two writes to the log had, the last one first, but for what vouches and moves
	saving      []wal.Save    // given to the log and not known to be durable: a crash may or may not leave it there
}

func newDisk() disk { return disk{fs: memfs.New(), durable: image{first: 1}} }

// image is what a log holds.
type image struct {
	hardState raft.HardState
	first     raft.Index // entries before it are not in the log any more; they are what was committed
	base      raft.Term  // of entry first-1
	entries   []entrySum // from index 1 on
}

// entrySum stands for an entry.
type entrySum struct {
	term raft.Term
	sum  uint64 // of type and data
}

func sumOf(e *raft.Entry) entrySum {
	return entrySum{term: e.Term, sum: mixBytes(uint64(e.Type), e.Data)}
}

func (g *image) last() raft.Index { return raft.Index(len(g.entries)) }

// at returns entry i, or a zero one.
func (g *image) at(i raft.Index) entrySum {
	if i == 0 || i > g.last() {
		return entrySum{}
	}
	return g.entries[i-1]
}

// describe is what a log has at entry i.
func (g *image) describe(i raft.Index) string {
	if i > g.last() {
		return fmt.Sprintf("entries up to %d alone", g.last())
	}
	return fmt.Sprintf("one of term %d", g.at(i).term)
}

// add does what a batch does to a log.
func (g *image) add(c *checker, batch []wal.Save) {
	for i := range batch {
		s := &batch[i]
		if first := max(s.First, 1); first != g.first || s.Reset {
			g.begin(c, first, s.BaseTerm, s.Reset)
		}
		g.hardState = batch[i].HardState
		if es := batch[i].Entries; len(es) > 0 {
			g.entries = g.entries[:es[0].Index-1]
			for k := range es {
				g.entries = append(g.entries, sumOf(&es[k]))
			}
		}
	}
}

func (g *image) clone() image {
	return image{hardState: g.hardState, first: g.first, base: g.base, entries: append([]entrySum(nil), g.entries...)}
}

func (g *image) equal(h *image) bool {
	if g.hardState != h.hardState || g.first != h.first || g.base != h.base || len(g.entries) != len(h.entries) {
		return false
	}
	for i := int(g.first) - 1; i < len(g.entries); i++ {
		if g.entries[i] != h.entries[i] {
			return false
		}
	}
	return true
}

// readImage reads the log on a disk, which it changes: recovery does.
func readImage(fs *memfs.FS, o wal.Options) (image, error) {
	fs.SetCapacity(0) // what there is is asked, not whether there is room
	l, err := wal.Open(fs, logDir, o)
	if err != nil {
		return image{}, err
	}
	defer l.Close()
	g := image{first: 1}
	for _, found := range l.Groups() {
		g.hardState, g.first, g.base = found.HardState, found.FirstIndex, found.BaseTerm
		g.entries = make([]entrySum, g.first-1)
		if g.first > 1 {
			g.entries[g.first-2].term = g.base
		}
		for next := found.FirstIndex; next <= found.LastIndex; {
			es, err := l.Entries(found.Group, next, found.LastIndex, 1<<20)
			if err != nil {
				return image{}, err
			}
			for i := range es {
				g.entries = append(g.entries, sumOf(&es[i]))
			}
			next += raft.Index(len(es))
		}
	}
	return g, nil
}

// death says how a process ends.
type death struct {
	power bool    // the machine loses power; otherwise only the process ends
	keep  float64 // the probability of what is unsynced to survive a power cut
}

// name is the kind of death in traces.
func (d death) name() string {
	if d.power {
		return "power"
	}
	return "kill"
}

func (d death) String() string {
	switch {
	case !d.power:
		return "is killed"
	case d.keep == 0:
		return "loses power and everything unsynced"
	case d.keep == 1:
		return "loses power, the disk keeps everything"
	}
	return "loses power and some of what is unsynced"
}

// crash is what a loss of power does to the disk.
func (m *member) crash(d death) memfs.CrashConfig {
	c := memfs.CrashConfig{Probability: d.keep, Rand: m.w.rand}
	if m.w.chaos && m.w.knobs.faults.has(FaultTear) && d.keep > 0 {
		m.w.strikes(FaultTear, m)
		c.Tear = 0.4
	}
	return c
}

// strike is a fault that waits for an operation of its member.
type strike struct {
	in    int    // operations on the disk and messages until it happens
	death *death // nil: the operation fails
}

// changes reports whether an operation changes a disk. Crashes before others are crashes before the next that does.
func changes(op memfs.Op) bool {
	return op != memfs.OpReadAt && op != memfs.OpOpen && op != memfs.OpList && op != memfs.OpLock
}
