package host

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

// keeper is a recorder that keeps what it executes on the member's disk: a Durable. Apply appends to a journal and does not sync it, so
// that a power failure takes back any part of what came after the last Sync.
type keeper struct {
	recorder
	keeperState
	disk vfs.FS
	file vfs.File
	end  int64 // of the journal

	restores, syncs int
	pinned          int   // snapshots that were taken and not written
	syncErr         error // of the next Sync
	wantErr         error // of the next Applied
}

type keeperState struct {
	Index    raft.Index
	Term     raft.Term
	Commands []string
}

// keeperRecord is what a batch adds, or what a Restore begins with.
//
//	length u32 | crc32c u32, of the rest | keeperState as JSON
const (
	keeperDir  = "machine"
	keeperFile = keeperDir + "/journal"
)

// openKeeper reads the journal, up to where a crash has torn it.
func openKeeper(disk vfs.FS) (*keeper, error) {
	k := &keeper{disk: disk}
	err := disk.MkdirAll(keeperDir)
	if err == nil {
		k.file, err = disk.Open(keeperFile)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, err
	}
	size, err := k.file.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := k.file.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	for len(b) > 8 {
		n := int(binary.LittleEndian.Uint32(b))
		if n == 0 || n > len(b)-8 || crc32.Checksum(b[8:8+n], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
			break
		}
		var added keeperState
		if err := json.Unmarshal(b[8:8+n], &added); err != nil {
			return nil, err
		}
		k.take(added)
		k.end += int64(8 + n)
		b = b[8+n:]
	}
	return k, nil
}

func (k *keeper) take(s keeperState) {
	k.Index, k.Term = s.Index, s.Term
	k.commands = append(k.commands, s.Commands...)
}

func (k *keeper) append(file vfs.File, s keeperState) error {
	payload, err := json.Marshal(s)
	if err != nil {
		return err
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(payload, castagnoli))
	b = append(b, payload...)
	_, err = file.WriteAt(b, k.end)
	k.end += int64(len(b))
	return err
}

func (k *keeper) Apply(batch []Entry) error {
	if k.file == nil {
		if err := k.begin(keeperState{}); err != nil {
			return err
		}
	}
	added := keeperState{}
	for i := range batch {
		e := &batch[i]
		if e.Index <= max(k.Index, added.Index) {
			return fmt.Errorf("entry %d is given to a machine that is at %d", e.Index, k.Index)
		}
		added.Index, added.Term = e.Index, e.Term
		added.Commands = append(added.Commands, string(e.Command))
	}
	if err := k.append(k.file, added); err != nil {
		return err
	}
	k.Index, k.Term = added.Index, added.Term
	return k.recorder.Apply(batch)
}

// begin makes a journal of a state, in place of what is there. A crash may leave the one or the other, or neither, which is place zero.
func (k *keeper) begin(s keeperState) (err error) {
	temp := keeperFile + ".new"
	if err := k.disk.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if k.file, err = k.disk.Create(temp); err != nil {
		return err
	}
	k.end = 0
	if err := k.append(k.file, s); err != nil {
		return err
	}
	return k.disk.Rename(temp, keeperFile)
}

func (k *keeper) Snapshot() (func(io.Writer) error, error) {
	s := keeperState{Index: k.Index, Term: k.Term, Commands: slices.Clone(k.commands)}
	k.pinned++
	return func(w io.Writer) error {
		k.pinned--
		return json.NewEncoder(w).Encode(s)
	}, nil
}

func (k *keeper) Restore(from io.Reader) error {
	k.restores++
	var s keeperState
	if err := json.NewDecoder(from).Decode(&s); err != nil {
		return err
	}
	k.commands = nil
	k.take(s)
	return k.begin(s)
}

func (k *keeper) Applied() (raft.Index, raft.Term, error) { return k.Index, k.Term, k.wantErr }

func (k *keeper) Sync() error {
	k.syncs++
	if err := k.syncErr; err != nil {
		k.syncErr = nil
		return err
	}
	if k.file == nil {
		return nil
	}
	return errors.Join(k.file.Sync(), k.disk.SyncDir(keeperDir))
}

// TestKeeper: the keeper, by itself, keeps what it was told to, and a beginning of the rest.
func TestKeeper(t *testing.T) {
	disk := memfs.New()
	k, err := openKeeper(disk)
	if err != nil {
		t.Fatal(err)
	}
	apply := func(i raft.Index) {
		if err := k.Apply([]Entry{{Index: i, Term: 1, Command: fmt.Append(nil, "c", i)}}); err != nil {
			t.Fatal(err)
		}
	}
	apply(1)
	apply(2)
	if err := k.Sync(); err != nil {
		t.Fatal(err)
	}
	apply(4)
	for _, c := range []struct {
		disk *memfs.FS
		want raft.Index
	}{{disk.CrashClone(memfs.CrashConfig{}), 2}, {disk.CrashClone(memfs.CrashConfig{Probability: 1}), 4}, {disk.KillClone(), 4}} {
		again, err := openKeeper(c.disk)
		if err != nil || again.Index != c.want || len(again.commands) != int(min(c.want, 3)) {
			t.Errorf("opened again it is at %d with %q, %v; want %d", again.Index, again.commands, err, c.want)
		}
	}
}
