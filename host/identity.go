package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs"
)

// Identity is who a data folder belongs to. It is written when the folder is made and never changes.
type Identity struct {
	ClusterID uint64
	Member    raft.NodeID
	// Incarnation is drawn when the folder is made: a folder that was wiped and made again is another one, although its member's id
	// is the same.
	Incarnation uint64
}

const (
	identityFile  = "identity"
	identityMagic = "BALSAID1"
	identityBytes = len(identityMagic) + 3*8 + 4
)

// encode is the file: magic, cluster id u64, member u64, incarnation u64, crc32c u32 of all before it; little-endian.
func (id Identity) encode() []byte {
	b := []byte(identityMagic)
	b = binary.LittleEndian.AppendUint64(b, id.ClusterID)
	b = binary.LittleEndian.AppendUint64(b, uint64(id.Member))
	b = binary.LittleEndian.AppendUint64(b, id.Incarnation)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func decodeIdentity(b []byte) (id Identity, err error) {
	if len(b) != identityBytes || string(b[:len(identityMagic)]) != identityMagic {
		return id, errors.New("it is not an identity file of this version, or it is damaged")
	}
	body, sum := b[:identityBytes-4], binary.LittleEndian.Uint32(b[identityBytes-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return id, errors.New("its checksum is wrong: the file is damaged")
	}
	f := body[len(identityMagic):]
	return Identity{
		ClusterID:   binary.LittleEndian.Uint64(f),
		Member:      raft.NodeID(binary.LittleEndian.Uint64(f[8:])),
		Incarnation: binary.LittleEndian.Uint64(f[16:]),
	}, nil
}

// openIdentity reads the folder's identity, or makes it want if the folder has none, and checks that it is want's.
func openIdentity(fsys vfs.FS, dir string, want Identity) (Identity, error) {
	id, err := ReadIdentity(fsys, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return want, writeFile(fsys, dir, identityFile, want.encode())
	case err != nil:
		return id, err
	case id.ClusterID != want.ClusterID:
		return id, fmt.Errorf("balsa: %s belongs to cluster %x, not to %x: use another data folder, or give the members and the cluster id or token that it was made with",
			dir, id.ClusterID, want.ClusterID)
	case id.Member != want.Member:
		return id, fmt.Errorf("balsa: %s belongs to member %x, not to %x: every member needs a data folder of its own", dir, id.Member, want.Member)
	}
	return id, nil
}

// ReadIdentity returns whose data folder dir is; with an error that wraps fs.ErrNotExist if it is none yet.
func ReadIdentity(fsys vfs.FS, dir string) (Identity, error) {
	name := path.Join(dir, identityFile)
	b, err := readFile(fsys, name, identityBytes)
	if err != nil {
		return Identity{}, err
	}
	id, err := decodeIdentity(b)
	if err != nil {
		return Identity{}, fmt.Errorf("balsa: %s: %w", name, err)
	}
	return id, nil
}

// writeFile makes or replaces a small file, whole or not at all: written under another name, synced, renamed, its folder synced.
func writeFile(fsys vfs.FS, dir, file string, content []byte) error {
	name, temp := path.Join(dir, file), path.Join(dir, file+".new")
	if err := fsys.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(temp, name); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// readFile reads a small file, at most one byte more than bytesMax.
func readFile(fsys vfs.FS, name string, bytesMax int) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(size, int64(bytesMax)+1))
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, err
	}
	return b, nil
}
