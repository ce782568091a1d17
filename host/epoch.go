package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"

	"github.com/balsa-raft/balsa/vfs"
)

const (
	epochFile  = "epoch"
	epochMagic = "BALSAEP1"
	epochBytes = len(epochMagic) + 8 + 4
	// epochStep is more than the requests that one incarnation numbers from its epoch on.
	epochStep = 1 << 40
)

// encodeEpoch is the file: magic, epoch u64, crc32c u32 of all before it; little-endian.
func encodeEpoch(epoch uint64) []byte {
	b := binary.LittleEndian.AppendUint64([]byte(epochMagic), epoch)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeEpoch(b []byte) (uint64, error) {
	if len(b) != epochBytes || string(b[:len(epochMagic)]) != epochMagic {
		return 0, errors.New("it is not an epoch file of this version, or it is damaged")
	}
	body, sum := b[:epochBytes-4], binary.LittleEndian.Uint32(b[epochBytes-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return 0, errors.New("its checksum is wrong: the file is damaged")
	}
	return binary.LittleEndian.Uint64(body[len(epochMagic):]), nil
}

// nextEpoch returns an epoch that no start of this folder has had, nor a request of one: clock, or more if the clock was set back. Without
// the file, leaders would drop what this member forwards, as copies from streams that have ended, until the clock is where it was.
func nextEpoch(fsys vfs.FS, dir string, clock uint64) (uint64, error) {
	name := path.Join(dir, epochFile)
	epoch := clock
	b, err := readFile(fsys, name, epochBytes)
	if err == nil {
		var last uint64
		if last, err = decodeEpoch(b); err == nil {
			epoch = max(epoch, last+epochStep)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("balsa: %s: %w", name, err)
	}
	return epoch, writeFile(fsys, dir, epochFile, encodeEpoch(epoch))
}
