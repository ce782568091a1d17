package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"

	"github.com/balsa-raft/balsa/internal/must"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs"
)

// Options of a store. The zero value is good.
type Options struct {
	// ClusterID tells clusters apart: a snapshot that was written under another is refused.
	ClusterID uint64
}

// Store is a folder of snapshots. It is safe for concurrent use; the Writers, Readers and Receivers that it gives are
// each for one goroutine at a time. There must be one Store for a folder, in one process.
type Store struct {
	fs        vfs.FS
	dir       string
	clusterID uint64
	syncBytes int64

	mu     sync.Mutex // guards what follows and the entries; held across no I/O
	groups map[raft.GroupID]*group
	// claimed are the places whose file a Writer or Receiver is making or whose removal is under way. Nobody else gives
	// a file that name, or removes it, meanwhile.
	claimed map[place]bool
}

// syncBytesDefault is how much is written between two syncs: so much a transfer loses when its process is killed, at most
// twice as much when the machine loses power, and so much the log's own syncs may have to wait for. What a Receiver holds
// to is said of its multiples (see boundary), so it may grow by doubling, but not shrink, or what older versions received
// would be believed too far.
const syncBytesDefault = 8 << 20

type group struct {
	entries []*entry // ascending by place
	part    *part    // nil: nothing is being received, and nothing can be resumed
}

// entry is a file with a snapshot's name.
type entry struct {
	meta    Meta // without Configuration if damaged
	size    int64
	err     error // why it cannot be used, as far as known; nil: it can
	readers int
	pruned  bool // out of the group's entries; its last reader removes the file
}

// part is what was received of a snapshot.
type part struct {
	place   place
	open    bool  // a Receiver, or who removes it, has it
	size    int64 // that the transfer said; -1 if that was in an earlier process
	trusted int64 // so much is on the disk if its checksums are right; -1 likewise
}

// Open opens the folder, and makes it if there is none. It removes what Writers left unfinished, keeps what Receivers
// did, and checks the ends of every snapshot. A damaged one does not make it fail: see Latest. It fails if the disk
// does, and if a snapshot is another cluster's.
func Open(fsys vfs.FS, dir string, o Options) (*Store, error) {
	s := &Store{
		fs: fsys, dir: dir, clusterID: o.ClusterID, syncBytes: syncBytesDefault,
		groups: make(map[raft.GroupID]*group), claimed: make(map[place]bool),
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	names, err := fsys.List(dir)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	for _, name := range names {
		if err := s.found(name); err != nil {
			return nil, err
		}
	}
	// An earlier process may have renamed a file and died before it synced the folder. The caller relies on what it is
	// told here, perhaps by compacting its log, so a loss of power must not undo that name.
	if err := fsys.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return s, nil
}

// found takes in a file of the folder. Names come in ascending order.
func (s *Store) found(name string) error {
	p, suffix, ok := parseName(name)
	if !ok {
		return nil
	}
	g := s.groupLocked(p.group)
	switch suffix {
	case tempSuffix:
		return s.removeFile(name)
	case partSuffix:
		if g.part != nil { // a crash kept the removal of the older from becoming durable
			if err := s.removeFile(g.part.place.name() + partSuffix); err != nil {
				return err
			}
		}
		g.part = &part{place: p, size: -1, trusted: -1}
		return nil
	}
	e, err := s.inspect(p)
	if err != nil {
		return err
	}
	g.insert(e)
	return nil
}

func (s *Store) groupLocked(id raft.GroupID) *group {
	if s.groups[id] == nil {
		s.groups[id] = new(group)
	}
	return s.groups[id]
}

// find is where the snapshot of p is, or would be.
func (g *group) find(p place) (i int, found bool) {
	return slices.BinarySearchFunc(g.entries, p, func(e *entry, p place) int { return e.meta.place().compare(p) })
}

// insert puts e into its place; a damaged entry that is there gives way.
func (g *group) insert(e *entry) {
	i, found := g.find(e.meta.place())
	if found {
		must.Be(g.entries[i].err != nil, "only a damaged snapshot is replaced, not that of %v", e.meta)
		g.entries[i] = e
		return
	}
	g.entries = slices.Insert(g.entries, i, e)
}

// newest is where the newest entry is that can be used, as far as known; -1 if there is none.
func (g *group) newest() int {
	for i := len(g.entries) - 1; i >= 0; i-- {
		if g.entries[i].err == nil {
			return i
		}
	}
	return -1
}

// List returns a group's snapshots, the newest last, without those that are known to be damaged.
func (s *Store) List(id raft.GroupID) (ms []Meta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.groups[id]; g != nil {
		for _, e := range g.entries {
			if e.err == nil {
				ms = append(ms, e.meta)
			}
		}
	}
	return ms
}

// Latest returns a group's newest snapshot that is not known to be damaged; ok is false if there is none. The error
// says that there is a newer one that cannot be used: a *CorruptError, or ErrUnsupported. Then m may be older than the
// log's beginning, and m and the log together lack what is between: do not go on from m without looking.
func (s *Store) Latest(id raft.GroupID) (m Meta, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[id]
	if g == nil {
		return Meta{}, false, nil
	}
	i := g.newest()
	if i+1 < len(g.entries) {
		err = g.entries[len(g.entries)-1].err
	}
	if i < 0 {
		return Meta{}, false, err
	}
	return g.entries[i].meta, true, err
}

// Prune removes a group's snapshots below keep, and what was received of one below keep and is not being received now.
// It never removes the newest sound one, nor what is newer than that. One that is being read or streamed is gone for
// List at once, and its file when the last reader closes. An error means that a file is still there; the next Open
// finds it again.
func (s *Store) Prune(id raft.GroupID, keep raft.Index) error {
	entries, old := s.takeOld(id, keep)
	var errs []error
	for _, e := range entries {
		errs = append(errs, s.removePruned(e))
	}
	if old != nil {
		errs = append(errs, s.removeFile(old.place.name()+partSuffix))
		s.endPart(old.place, nil)
	}
	return errors.Join(errs...)
}

// takeOld takes what Prune is to remove out of the group, and claims it. It returns those that nobody reads.
func (s *Store) takeOld(id raft.GroupID, keep raft.Index) (unread []*entry, old *part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[id]
	if g == nil {
		return nil, nil
	}
	newest := g.newest()
	var kept []*entry
	for i, e := range g.entries {
		p := e.meta.place()
		if i >= newest || p.index >= keep || s.claimed[p] {
			kept = append(kept, e)
			continue
		}
		e.pruned = true
		s.claimed[p] = true
		if e.readers == 0 {
			unread = append(unread, e)
		}
	}
	g.entries = kept
	if pt := g.part; pt != nil && !pt.open && pt.place.index < keep {
		pt.open = true
		old = pt
	}
	return unread, old
}

// removePruned removes the file of an entry that is out of its group and has no reader.
func (s *Store) removePruned(e *entry) error {
	p := e.meta.place()
	err := s.removeFile(p.name())
	s.release(p)
	return err
}

// claim reserves the name of p for one who makes its file.
func (s *Store) claim(p place) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claimLocked(p)
}

func (s *Store) claimLocked(p place) error {
	if s.claimed[p] {
		return ErrBusy
	}
	if g := s.groups[p.group]; g != nil {
		if i, found := g.find(p); found && g.entries[i].err == nil {
			return ErrExists
		}
	}
	s.claimed[p] = true
	return nil
}

func (s *Store) release(p place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.claimed, p)
}

// acquire finds the snapshot and keeps its file until as many calls of leave.
func (s *Store) acquire(m Meta) (*entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[m.Group]
	if g == nil {
		return nil, ErrNotFound
	}
	i, found := g.find(m.place())
	if !found {
		return nil, ErrNotFound
	}
	e := g.entries[i]
	if e.err != nil {
		return nil, e.err
	}
	e.readers++
	return e, nil
}

// leave ends what acquire began, and removes the file if it was pruned meanwhile and nobody else reads it.
func (s *Store) leave(e *entry) error {
	s.mu.Lock()
	must.Be(e.readers > 0, "the snapshot of %v is left by one who has acquired it", e.meta)
	e.readers--
	last := e.pruned && e.readers == 0
	s.mu.Unlock()
	if !last {
		return nil
	}
	return s.removePruned(e)
}

// damaged remembers that a snapshot cannot be used.
func (s *Store) damaged(e *entry, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.err == nil {
		e.err = err
	}
}

// publish makes a file that is written and synced the snapshot of m. After an error only Open can tell whether it is.
// p is claimed before and free after.
func (s *Store) publish(file vfs.File, name string, m Meta, size int64) error {
	defer s.release(m.place())
	err := file.Close()
	if err == nil {
		err = s.fs.Rename(s.path(name), s.path(m.place().name()))
	}
	if err != nil {
		s.removeFile(name) // the error that counts is err
		return fmt.Errorf("snapshot: %w", err)
	}
	// Without this the caller would compact its log, and a loss of power could then bring back the folder as it was.
	if err := s.fs.SyncDir(s.dir); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groupLocked(m.Group).insert(&entry{meta: m, size: size})
	return nil
}

// create makes an empty file, in place of what an earlier failure may have left of that name.
func (s *Store) create(name string) (vfs.File, error) {
	file, err := s.fs.Create(s.path(name))
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return file, err
	}
	if err := s.fs.Remove(s.path(name)); err != nil {
		return nil, err
	}
	return s.fs.Create(s.path(name))
}

func (s *Store) removeFile(name string) error {
	if err := s.fs.Remove(s.path(name)); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

func (s *Store) path(name string) string { return path.Join(s.dir, name) }
