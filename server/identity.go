package server

import (
	"crypto/sha1"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MemberID derives a member's id from its peer URLs and the cluster's token, as etcd does: every member computes the
// same ids from the same flags, and tools that know etcd recognise them.
func MemberID(peerURLs []string, token string) uint64 {
	sorted := slices.Sorted(slices.Values(peerURLs))
	sum := sha1.Sum([]byte(strings.Join(sorted, "") + token))
	return binary.BigEndian.Uint64(sum[:])
}

// NewMemberID makes the id of a server that is added, of its peer URLs and the time, as etcd does. etcd takes seconds: a server that is removed and
// added within one would get its old id, which no other data folder may ever have.
func NewMemberID(peerURLs []string, now time.Time) uint64 {
	return MemberID(peerURLs, strconv.FormatInt(now.UnixNano(), 10))
}

// ClusterID derives the cluster's id from its first members' ids, as etcd does.
func ClusterID(memberIDs []uint64) uint64 {
	var b []byte
	for _, id := range slices.Sorted(slices.Values(memberIDs)) {
		b = binary.BigEndian.AppendUint64(b, id)
	}
	sum := sha1.Sum(b)
	return binary.BigEndian.Uint64(sum[:])
}
