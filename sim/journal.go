package sim

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs"
)

// In some runs the registers keep their state on the members' disks by themselves, as host.Durable says: in a journal, whose end a crash may tear.

const (
	journalDir  = "machine"
	journalFile = journalDir + "/journal"
)

// journal is the journal of a process's register. Each batch of commands appends a record, a restored snapshot begins another file:
//
//	length u32 | crc32c u32, of what follows, going on from the record before | the state's place: index, term u64 | its hash u64 | registers: value u64, key u8
type journal struct {
	m    *member
	fs   vfs.FS
	file vfs.File // nil: there is none yet
	end  int64
	crc  uint32

	opened bool
	synced raft.Index // the last command that a crash would keep
	last   raft.Index // the last command that the journal has
	term   raft.Term  // its
}

const (
	journalHead  = 8
	journalPlace = 24
)

var journalTable = crc32.MakeTable(crc32.Castagnoli)

func (r *register) keeps() bool { return r.journal != nil }

// open brings the register to where its journal is.
func (j *journal) open(r *register) error {
	j.opened = true
	err := j.fs.MkdirAll(journalDir)
	if err == nil {
		j.file, err = j.fs.Open(journalFile)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	size, err := j.file.Size()
	if err != nil {
		return err
	}
	b := make([]byte, size)
	if size > 0 {
		if _, err := j.file.ReadAt(b, 0); err != nil {
			return err
		}
	}
	for j.take(r, b) {
	}
	j.m.w.reachIf(keptTorn, j.end < size && !j.m.disk.rottenJournal)
	if j.end < size {
		return j.file.Truncate(j.end)
	}
	return nil
}

// take reads the record that comes next in the file, and reports whether there is one.
func (j *journal) take(r *register, file []byte) bool {
	b := file[j.end:]
	if len(b) < journalHead {
		return false
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n < journalPlace || n > len(b)-journalHead {
		return false
	}
	crc := crc32.Update(j.crc, journalTable, b[journalHead:journalHead+n])
	if crc != binary.LittleEndian.Uint32(b[4:]) {
		return false
	}
	b = b[journalHead : journalHead+n]
	j.last, j.term = raft.Index(binary.LittleEndian.Uint64(b)), raft.Term(binary.LittleEndian.Uint64(b[8:]))
	r.applied, r.state = j.last, binary.LittleEndian.Uint64(b[16:])
	for b = b[journalPlace:]; len(b) >= commandBytes; b = b[commandBytes:] {
		r.values[int(b[8])] = binary.LittleEndian.Uint64(b)
	}
	j.end, j.crc = j.end+int64(journalHead+n), crc
	return true
}

// append adds the register's place and some of its registers.
func (j *journal) append(r *register, t raft.Term, keys []int) error {
	b := make([]byte, journalHead, journalHead+journalPlace+len(keys)*commandBytes)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.applied))
	b = binary.LittleEndian.AppendUint64(b, uint64(t))
	b = binary.LittleEndian.AppendUint64(b, r.state)
	for _, key := range keys {
		b = append(binary.LittleEndian.AppendUint64(b, r.values[key]), byte(key))
	}
	crc := crc32.Update(j.crc, journalTable, b[journalHead:])
	binary.LittleEndian.PutUint32(b, uint32(len(b)-journalHead))
	binary.LittleEndian.PutUint32(b[4:], crc)
	if _, err := j.file.WriteAt(b, j.end); err != nil {
		return err
	}
	j.end, j.crc, j.last, j.term = j.end+int64(len(b)), crc, r.applied, t
	return nil
}

// executed keeps what a batch has done.
func (j *journal) executed(r *register, t raft.Term, keys []int) (err error) {
	if j.file == nil {
		if j.file, err = j.fs.Create(journalFile); err != nil {
			return err
		}
	}
	slices.Sort(keys)
	return j.append(r, t, slices.Compact(keys))
}

// begin keeps what was restored, in place of all else. A crash may leave the old journal, or the new one with less in it, or none: then the place is zero.
func (j *journal) begin(r *register, t raft.Term) error {
	const temp = journalFile + ".new"
	if err := j.fs.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := j.fs.Create(temp)
	if err != nil {
		return err
	}
	j.file, j.end, j.crc, j.synced = file, 0, 0, 0
	if err := j.append(r, t, slices.Sorted(maps.Keys(r.values))); err != nil {
		return err
	}
	return j.fs.Rename(temp, journalFile)
}

func (j *journal) sync() error {
	at := j.last
	if j.file == nil {
		return nil
	}
	if err := errors.Join(j.file.Sync(), j.fs.SyncDir(journalDir)); err != nil {
		return err
	}
	j.synced = max(j.synced, at)
	j.m.disk.keeps = j.synced
	return nil
}

// start says where the register goes on, and checks that it is not behind what was synced.
func (j *journal) start(r *register) (raft.Index, raft.Term, error) {
	if err := j.open(r); err != nil {
		return 0, 0, err
	}
	m := j.m
	j.synced = min(m.disk.keeps, j.last)
	newest := m.w.checker.snapshotOf(m)
	at, _ := m.w.checker.stateAt(newest.Index)
	m.w.reachIf(keptBehind, j.last < at)
	m.lookAtJournal(j.last, at)
	m.w.reachIf(keptBeyond, j.last > at)
	m.tell("has kept the state of command %d", j.last)
	if c := m.w.checker; j.last > c.committedTo() || j.last > 0 && c.committed[j.last-1].term != j.term {
		m.w.fail("Recovery", "n%d has kept the state of entry %d of term %d, which is not committed", m.id, j.last, j.term)
	}
	return j.last, j.term, nil
}

// checkSynced: a snapshot that this member has taken is there only when what its machine has kept goes as far. Else a machine that has its state would
// be restored after the next loss of power.
func (m *member) checkSynced(name string) {
	if m.machine == nil || !m.machine.keeps() || !strings.HasSuffix(name, ".tmp") {
		return
	}
	i, _, ok := parseSnapshot(path.Base(name))
	if !ok {
		m.w.fail("Snapshot Durable", "n%d names a snapshot %q", m.id, name)
		return
	}
	if at, _ := m.w.checker.stateAt(i); m.machine.journal.synced < at {
		m.w.fail("Machine Durable", "n%d has written its snapshot at %d, and its machine's own state was made durable after command %d of %d",
			m.id, i, m.machine.journal.synced, at)
	}
}
