package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"path"
	"time"

	"github.com/balsa-raft/balsa/vfs"
)

const (
	promiseFile  = "promise"
	promiseMagic = "BALSAPR1"
	promiseBytes = len(promiseMagic) + 8 + 4
)

// encodePromise is the file: magic, nanoseconds u64, crc32c u32 of all before it; little-endian.
func encodePromise(d time.Duration) []byte {
	b := binary.LittleEndian.AppendUint64([]byte(promiseMagic), uint64(d))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodePromise(b []byte) (time.Duration, error) {
	if len(b) != promiseBytes || string(b[:len(promiseMagic)]) != promiseMagic {
		return 0, errors.New("it is not a promise file of this version, or it is damaged")
	}
	body, sum := b[:promiseBytes-4], binary.LittleEndian.Uint32(b[promiseBytes-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return 0, errors.New("its checksum is wrong: the file is damaged")
	}
	d := binary.LittleEndian.Uint64(body[len(promiseMagic):])
	if d > math.MaxInt64 {
		return 0, fmt.Errorf("a promise of %d ns is none", d)
	}
	return time.Duration(d), nil
}

// longestPromise returns the longest raft.Config.Promise that this folder's member may have made, at this start or any before: one that starts
// again with another configuration is bound by what it has said. It is on disk before it is made, and never falls: how long a start was ago
// there is no telling.
func longestPromise(fsys vfs.FS, dir string, promise time.Duration) (time.Duration, error) {
	name := path.Join(dir, promiseFile)
	var longest time.Duration
	b, err := readFile(fsys, name, promiseBytes)
	if err == nil {
		longest, err = decodePromise(b)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("balsa: %s: %w", name, err)
	}
	if promise <= longest {
		return longest, nil
	}
	return promise, writeFile(fsys, dir, promiseFile, encodePromise(promise))
}
