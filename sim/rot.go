package sim

import (
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/snapshot"
	"github.com/balsa-raft/balsa/vfs/memfs"
	"github.com/balsa-raft/balsa/wal"
)

// Bytes that were synced, and are others when they are read back. A member must notice, say what is damaged, and stop or not start: its operator leaves it down and
// replaces it. In most runs with rot one member at a time has it, of at least three voters, so nothing that was acknowledged may be lost; in some there is no such bound
// (knobs.ruin): then the members that are left may be too few to go on, and it is only demanded that nobody lies.
//
// What no log can tell from an interrupted write is left out: damage to the last frame of all, or to all from some frame on (package wal has the argument).

// harmRot damages some bytes of a member's files, as soon as there is one that may lose them.
func (w *world) harmRot(m *member) {
	w.rotJournal(m)
	w.rotGuest(m)
	w.rotSoon(m, 30)
}

// beginRot has some member get rot, beside those that the nemesis chooses: there are not many moments at which one may.
func (w *world) beginRot() {
	if !w.knobs.drawn.has(FaultRot) {
		return
	}
	for range 2 {
		w.rotSometime(func() { w.rotSoon(w.victim(), 60) })
	}
	w.rotSometime(func() { w.rotsRead = 60 })
	w.rotSometime(func() { w.loseFileSoon(60) })
}

func (w *world) rotSometime(rot func()) { w.sometime(FaultRot, rot) }

// sometime draws when a fault strikes, and whether it may.
func (w *world) sometime(fault Faults, strike func()) {
	w.ambushes++
	d := Decision{Source: sourceAmbush, Number: w.ambushes}
	w.with(w.stream(ofAmbush, uint64(d.Number), 0), func() {
		if at := between(w.rand, 0, w.knobs.duration); w.knobs.faults.has(fault) && !w.leavesOut(d) {
			w.after(at, strike)
		}
	})
}

func (w *world) rotSoon(m *member, tries int) {
	switch {
	case !w.chaos || tries == 0:
	case w.knobs.ruin && !m.disk.rotten && m.standing == isMember || w.mayLose(m):
		w.rot(m)
	default:
		w.after(time.Second, func() { w.rotSoon(w.victim(), tries-1) })
	}
}

func (w *world) rot(m *member) {
	const tries = 8
	if m.diskFailed || m.shelf != nil {
		return
	}
	w.checker.snapshotOf(m) // what is durable is known as that before it is damaged
	before := m.disk.fs.KillClone()
	for range tries {
		name, at, n := w.drawRot(m)
		if name == "" || w.failure != nil {
			return
		}
		verdict, undo := w.rotAt(m, name, at, n, before)
		if verdict == rotOfLast || verdict == rotOfNothing && w.chance(700) {
			undo()
			continue
		}
		m.rots(verdict, name, at, n)
		if m.up && w.chance(300) {
			w.kill(m, death{power: w.chance(500), keep: 1})
		}
		return
	}
}

// rotAt damages n bytes, and says what they were. before is the disk as it was.
func (w *world) rotAt(m *member, name string, at int64, n int, before *memfs.FS) (verdict rotVerdict, undo func()) {
	undo = w.flip(m.disk.fs, name, at, n)
	return w.checker.rotted(m, name, at/blockBytes != (at+int64(n)-1)/blockBytes, before), undo
}

// rots takes in that bytes of a member's files are damaged, and stay so.
func (m *member) rots(verdict rotVerdict, name string, at int64, n int) {
	m.w.report.Rots++
	m.w.strikes(FaultRot, m)
	m.disk.rotten = true
	m.disk.refuses = m.disk.refuses || verdict == rotOfFile
	m.tell("has rot in %s: %d bytes at %d, %v", name, n, at, verdict)
	m.w.reach(rotStates[verdict])
}

// drawRot chooses what is damaged: where there is something in most cases.
func (w *world) drawRot(m *member) (name string, at int64, n int) {
	if m.identity == (host.Identity{}) {
		return "", 0, 0 // its first start has not come to its end: whose log that is nobody was told
	}
	var names []string
	dir := pick(w.rand, logDir, logDir, logDir, snapshotsDir, snapshotsDir, dataDir)
	all, _ := m.disk.fs.KillClone().List(dir)
	for _, name := range all {
		if name = path.Join(dir, name); name != logDir && name != snapshotsDir && !strings.HasSuffix(name, "lock") && len(contents(m.disk.fs.KillClone(), name)) > 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "", 0, 0
	}
	name = names[w.rand.IntN(len(names))]
	b := contents(m.disk.fs.KillClone(), name)
	for range 20 {
		if at = w.rand.Int64N(int64(len(b))); b[at] != 0 {
			break
		}
	}
	return name, at, min(len(b)-int(at), pick(w.rand, 1, 1, 4, 512, 4096))
}

// flip damages n bytes, or takes them for zeros if they are many.
func (w *world) flip(fs *memfs.FS, name string, at int64, n int) (undo func()) {
	masks := make([]byte, n)
	b, zero := contents(fs.KillClone(), name), n > 4 && w.chance(500)
	for i := at; i < at+int64(n); i++ {
		mask := byte(1 << w.rand.IntN(8))
		if n > 4 {
			mask = byte(w.rand.Uint32())
		}
		if zero {
			mask = b[i]
		}
		masks[i-at] = mask
	}
	turn := func() {
		for i, mask := range masks {
			if err := fs.Flip(name, at+int64(i), mask); err != nil {
				w.fail("Assertion", "%s cannot be damaged: %v", name, err)
			}
		}
	}
	turn()
	return turn
}

// blockBytes is what frames of the log are multiples of.
const blockBytes = 4096

// rotVerdict is what damage comes to, as far as it can be said at once.
type rotVerdict uint8

const (
	rotOfNothing rotVerdict = iota // nobody will ever read it, or it can be read all the same
	rotOfLog
	rotOfSnapshot
	rotOfFile // one of those with which a member starts
	rotOfLast // of the last thing that was written, which cannot be told from an interrupted write
)

func (v rotVerdict) String() string {
	return [...]string{"where nothing is", "in the log", "in a snapshot", "in what is read at each start", "in the end of the log"}[v]
}

var rotStates = [...]state{rotOfNothing: rotHarmless, rotOfLog: rotInLog, rotOfSnapshot: rotInSnapshot, rotOfFile: rotInFile}

// rotted says what the damage is to, and checks that it is noticed by who reads it. two says that it is to two blocks, and so perhaps to two frames.
func (c *checker) rotted(m *member, name string, two bool, before *memfs.FS) rotVerdict {
	is := m.disk.fs.CrashClone(memfs.CrashConfig{})
	switch dir := path.Dir(name); {
	case dir == dataDir && strings.HasSuffix(name, ".new"):
		return rotOfNothing // it was not finished
	case dir == dataDir:
		return rotOfFile
	case dir == snapshotsDir:
		if strings.Contains(path.Base(name), ".") {
			return rotOfNothing // of a snapshot that is not whole yet
		}
		// As they are, and not as they would be after a loss of power: one that is not synced yet would be gone.
		c.readDamaged(m, name, before.KillClone(), m.disk.fs.KillClone())
		return rotOfSnapshot
	}
	has, err := readImage(is, c.w.knobs.log(m))
	d := &m.disk
	with := d.durable.clone()
	with.add(c, d.saving)
	switch {
	case errors.Is(err, wal.ErrCorrupt):
		if !strings.Contains(err.Error(), path.Base(name)) && !strings.Contains(err.Error(), "wal-") {
			c.w.fail("Rot", "n%d's log is damaged in %s, and it is not said where: %v", m.id, name, err)
		}
		return rotOfLog
	case err != nil:
		c.w.fail("Rot", "n%d's log is damaged in %s, and is refused for another reason: %v", m.id, name, err)
	case has.equal(&d.durable) || has.equal(&with):
		return rotOfNothing
	case c.lacksLast(d, &has, &d.durable, two) || c.lacksLast(d, &has, &with, two):
	default:
		c.w.fail("Rot", "n%d's log is damaged in %s, and is opened with %v as if it were not; durable is %v", m.id, name, &has, &d.durable)
	}
	return rotOfLast
}

// wrote takes in what the last write to the log had.
func (d *disk) wrote(batch []wal.Save) { d.lastBatches = [2][]wal.Save{batch, d.lastBatches[0]} }

// lacksLast reports whether a log is what is wanted but for the last frame, or for the last two.
func (c *checker) lacksLast(d *disk, has, want *image, two bool) bool {
	g := has.clone()
	if c.lacks(&g, d.lastBatches[0]) && g.equal(want) {
		return true
	}
	g = has.clone()
	return two && c.lacks(&g, d.lastBatches[1]) && c.lacks(&g, d.lastBatches[0]) && g.equal(want)
}

// lacks adds what a write had, if it can follow.
func (c *checker) lacks(g *image, batch []wal.Save) bool {
	for i := range batch {
		s := &batch[i]
		if len(s.Entries) > 0 && s.Entries[0].Index > g.last()+1 && !s.Reset {
			return false
		}
		g.add(c, batch[i:i+1])
	}
	return true
}

// hasRot reports whether a member's own folder is damaged, in use or not.
func (m *member) hasRot() bool { return m.disk.rotten || m.shelf != nil && m.shelf.disk.rotten }

// saysDamaged reports whether an error says of a member with rot that something is damaged.
func (m *member) saysDamaged(err error) bool {
	return m.disk.rotten && (errors.Is(err, wal.ErrCorrupt) || errors.Is(err, snapshot.ErrCorrupt) || strings.Contains(err.Error(), "damaged") ||
		m.disk.lacksFile && strings.Contains(err.Error(), "the log begins with entry"))
}

// leaveDown is what its operator does with a member whose folder is damaged.
func (m *member) leaveDown() {
	m.standing = isRefused
	m.tell("is left down, because its folder is damaged")
	if m.up {
		m.die(death{})
	}
}

// mendRot takes members away whose folders are damaged, whether they know or not.
func (w *world) mendRot() {
	for _, m := range w.members {
		if m.hasRot() {
			m.endOld()
		}
		if m.disk.rotten && m.standing != isRefused {
			m.leaveDown()
		}
	}
}

// isRuined reports whether more was damaged than a majority of the voters can do without: because that has no bound in this run, or because the members have become fewer since.
func (w *world) isRuined() bool {
	return w.knobs.ruin && slices.ContainsFunc(w.members, func(m *member) bool { return m.disk.rotten }) || !w.soundSuffice()
}

// soundSuffice reports whether those whose folders are neither lost nor damaged are a majority by each configuration that may be in force: the last that is committed, those
// behind it in a log that has it, what these are to become, and what an operator has asked for. One voter of three may have rot, and then two of the others be the voters with it, because a change was
// under way: nobody can go on without the one.
func (w *world) soundSuffice() bool {
	lost := w.lost()
	if len(lost) == 0 {
		return true
	}
	sound := func(id raft.NodeID) bool { return !slices.Contains(lost, id) }
	for _, m := range w.members {
		for _, ch := range m.wishes { // one that was paused has not taken it up yet
			if wanted := votersOf(ch.want); len(wanted) > 0 && !enough(raft.NewConfiguration(wanted...), sound) {
				return false
			}
		}
	}
	return !slices.ContainsFunc(w.checker.mayBeInForce(), func(cfg raft.Configuration) bool { return !enough(cfg, sound) })
}

// endRuined looks at what is left: all who can be started are, and nobody may lie. Nothing is demanded to go on.
func (w *world) endRuined() {
	w.endFaults()
	w.clients.stopped = true
	w.network.mend()
	for _, m := range w.members {
		if m.up && m.disk.rotten {
			m.die(death{})
		}
		m.mend()
	}
	for _, m := range w.members {
		for range ruinedReads {
			if m.up {
				w.clients.begin(w.clients.read(-1, m, w.rand.IntN(w.knobs.keys), ask{}))
			}
		}
	}
	w.run(w.now+10*w.knobs.electionTimeout(), nil)
	for _, p := range w.clients.patrons { // what is still tried may have taken effect
		for _, cmd := range p.open {
			w.clients.history = append(w.clients.history, cmd.Operation)
		}
	}
	w.reach(ruined)
}

// ruinedReads is how many reads each member is asked for then.
const ruinedReads = 3

// mayLose reports whether a voter may lose its folder: at most one is without at a time, and the others must know which one it had. That a server that was never
// heard of since the first election can take an empty folder for the right one is known, and nothing can be done about it. Nor about a
// majority of the first members: they begin anew.
func (w *world) mayLose(m *member) bool { return !w.wouldBeginAnew(m) && w.mayBeLost(m, nil) }

// mayBeLost is mayLose, but for who would begin anew. Who is forgiven need not know which folder it was.
func (w *world) mayBeLost(m *member, forgiven []*member) bool {
	c := w.checker
	at, cfg := c.committedConfiguration(c.committedTo())
	known, ok := cfg.Member(m.id)
	if len(w.lost()) > 0 || !ok || m.standing != isMember || len(cfg.Voters()) < 3 || !cfg.AtRest() || !c.configurationsSettled(at) {
		return false
	}
	for _, id := range cfg.Voters() {
		o := w.member(id)
		_, has := c.configurationOnDisk(o)
		if of, _ := has.Member(m.id); o.standing != isMember || o != m && of.Incarnation != known.Incarnation && !slices.Contains(forgiven, o) {
			return false
		}
	}
	return known.Incarnation != 0 && known.Incarnation == m.identity.Incarnation
}
