package snapshot

import (
	"testing"

	"github.com/balsa-raft/balsa/vfs"
)

// BenchmarkWrite writes a snapshot of 16 MiB, durably, in place of the one before.
func BenchmarkWrite(b *testing.B) {
	next := at(10)
	bench(b, func(s *Store, _ Meta, content []byte) error {
		next.Index++
		if err := put(s, next, content); err != nil {
			return err
		}
		return s.Prune(next.Group, next.Index)
	})
}

// BenchmarkVerify reads one, with its checksums.
func BenchmarkVerify(b *testing.B) {
	bench(b, func(s *Store, m Meta, _ []byte) error { return s.Verify(m) })
}

func bench(b *testing.B, do func(s *Store, m Meta, content []byte) error) {
	s, err := Open(vfs.OS(), b.TempDir(), Options{ClusterID: clusterID})
	if err != nil {
		b.Fatal(err)
	}
	content := contentOf(at(10), 16<<20)
	mustPut(b, s, at(10), content)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if err := do(s, at(10), content); err != nil {
			b.Fatal(err)
		}
	}
}
