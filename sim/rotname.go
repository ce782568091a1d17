package sim

import (
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/wal"
)

// Files that are gone: after a loss of power a machine repairs its file system, and what it finds without a name it puts elsewhere; or somebody makes room. A member that needs the
// file must say so at its next start and not take what is left for all. That the last segment of a log is gone nobody can see (package wal says so), so it stays.

// loseFileSoon has some member lose a file that it needs, as soon as there is one that may.
func (w *world) loseFileSoon(tries int) {
	if !w.chaos || tries == 0 {
		return
	}
	if m := w.victim(); w.now >= w.undisturbedUntil && m.shelf == nil && w.mayLose(m) && w.loseFile(m) {
		return
	}
	w.after(time.Second, func() { w.loseFileSoon(tries - 1) })
}

// loseFile ends a member's process and takes a file from it, and reports whether there was one that it needs.
func (w *world) loseFile(m *member) bool {
	c := w.checker
	c.snapshotOf(m) // what is durable is known as that before it is gone
	after := m.disk.fs.CrashClone(memfs.CrashConfig{Probability: 1})
	names := w.drawLost(after)
	if len(names) == 0 {
		return false
	}
	name, size := names[len(names)-1], len(contents(after, names[len(names)-1]))
	for _, name := range names {
		if err := errors.Join(after.Remove(name), after.SyncDir(path.Dir(name))); err != nil {
			w.fail("Assertion", "%s cannot be taken away: %v", name, err)
			return false
		}
	}
	verdict := c.withoutFile(m, name, after)
	if w.failure != nil || verdict == rotOfNothing {
		return false
	}
	if m.up {
		m.die(death{power: true, keep: 1})
	}
	m.disk.fs = after
	m.disk.lacksFile, m.disk.refuses = true, true
	m.tell("has lost %v", names)
	m.rots(verdict, name, 0, size)
	w.reach(lostFile)
	return true
}

// drawLost chooses a segment or a snapshot, or all up to it.
func (w *world) drawLost(fs *memfs.FS) []string {
	dir := pick(w.rand, logDir, snapshotsDir)
	names, _ := fs.List(dir)
	names = slices.DeleteFunc(names, func(name string) bool { return strings.Contains(name, ".") || !strings.Contains(name, "-") })
	if dir == logDir && len(names) > 0 {
		names = names[:len(names)-1]
	}
	if len(names) == 0 {
		return nil
	}
	for i := range names {
		names[i] = path.Join(dir, names[i])
	}
	last := w.rand.IntN(len(names))
	return names[pick(w.rand, 0, last) : last+1]
}

// withoutFile says what a file is needed for that is gone, or for nothing, and checks that a log that is opened without it lacks nothing.
func (c *checker) withoutFile(m *member, name string, fs *memfs.FS) rotVerdict {
	d := &m.disk
	has, err := readImage(fs.KillClone(), c.w.knobs.log(m))
	if path.Dir(name) == snapshotsDir {
		store, other := openSnapshots(fs.KillClone())
		if err != nil || other != nil {
			return rotOfNothing // another file says what is wrong
		}
		for _, meta := range store.List(group) {
			if meta.Index+1 >= has.first {
				return rotOfNothing // with it and the log the member has all
			}
		}
		if has.first <= 1 {
			return rotOfNothing
		}
		return rotOfSnapshot
	}
	with := d.durable.clone()
	with.add(c, d.saving)
	switch {
	case errors.Is(err, wal.ErrCorrupt):
		return rotOfLog
	case err != nil:
		c.w.fail("Rot", "n%d's log lacks %s, and is refused for another reason: %v", m.id, name, err)
	case !has.equal(&d.durable) && !has.equal(&with) && !c.lacksLast(d, &has, &d.durable, true) && !c.lacksLast(d, &has, &with, true):
		c.w.fail("Rot", "n%d's log lacks %s, and is opened with %v as if it did not; durable is %v", m.id, name, &has, &d.durable)
	}
	return rotOfNothing
}
