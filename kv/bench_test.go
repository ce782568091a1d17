package kv

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/balsa-raft/balsa"
)

func benchKey(i int) []byte { return fmt.Appendf(nil, "/registry/pods/default/pod-%09d", i) }

func put(key, value string) Command {
	return Command{Put: &PutRequest{Key: []byte(key), Value: []byte(value)}}
}

func entries(commands []Command) []balsa.Entry[Command, Response] {
	batch := make([]balsa.Entry[Command, Response], len(commands))
	for i, c := range commands {
		batch[i] = balsa.Entry[Command, Response]{Index: balsa.Index(i + 1), Command: c}
	}
	return batch
}

// benchPut measures Apply in batches of 64 puts of 256 bytes, decoded from their bytes, over keys that are there.
func benchPut(b *testing.B, keys int, compactEvery int) {
	s := New()
	value := make([]byte, 256)
	random := rand.New(rand.NewSource(1))
	for i := range keys {
		s.apply(Command{Put: &PutRequest{Key: benchKey(i), Value: value}})
	}
	encoded := make([][]byte, 1<<16)
	for i := range encoded {
		encoded[i], _ = Command{Put: &PutRequest{Key: benchKey(random.Intn(keys)), Value: value}}.AppendBinary(nil)
	}
	batch := make([]balsa.Entry[Command, Response], 0, 64)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 64 {
		batch = batch[:0]
		for j := range 64 {
			var c Command
			if err := c.UnmarshalBinary(encoded[(i+j)%len(encoded)]); err != nil {
				b.Fatal(err)
			}
			batch = append(batch, balsa.Entry[Command, Response]{Command: c})
		}
		s.Apply(slices.Values(batch))
		if compactEvery > 0 && i/64%(compactEvery/64) == 0 {
			s.apply(Command{Compact: &CompactRequest{Revision: s.current - 1}})
		}
	}
}

func BenchmarkPut1K(b *testing.B)          { benchPut(b, 1000, 0) }
func BenchmarkPut1M(b *testing.B)          { benchPut(b, 1_000_000, 0) }
func BenchmarkPut1MCompacted(b *testing.B) { benchPut(b, 1_000_000, 100_000) }

func BenchmarkPutNew(b *testing.B) {
	s := New()
	value := make([]byte, 256)
	random := rand.New(rand.NewSource(1))
	batch := make([]balsa.Entry[Command, Response], 64)
	b.ReportAllocs()
	for i := 0; i < b.N; i += 64 {
		for j := range batch {
			batch[j].Command = Command{Put: &PutRequest{Key: benchKey(random.Intn(1e9)), Value: value}}
		}
		s.Apply(slices.Values(batch))
	}
}

func benchStore(keys int) *Store {
	s := New()
	for i := range keys {
		s.apply(Command{Put: &PutRequest{Key: benchKey(i), Value: make([]byte, 256)}})
	}
	return s
}

func BenchmarkGet(b *testing.B) {
	s := benchStore(100_000)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			s.Range(RangeRequest{Key: benchKey(i % 100_000)})
		}
	})
}

func BenchmarkRange1000Of100K(b *testing.B) {
	s := benchStore(100_000)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		s.Range(RangeRequest{Key: benchKey(i * 1000 % 99_000), RangeEnd: benchKey(i*1000%99_000 + 1000)})
	}
}

func BenchmarkRangeAll100KLimit500(b *testing.B) {
	s := benchStore(100_000)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		s.Range(RangeRequest{Key: []byte("/"), RangeEnd: []byte("0"), Limit: 500})
	}
}

// BenchmarkCheckLargest checks the most puts and deletes that fit a request of the default size.
func BenchmarkCheckLargest(b *testing.B) {
	var level []Op
	for i := range 60_000 {
		level = append(level, deleteOp(fmt.Sprintf("%06d", 2*i)), putOp(fmt.Sprintf("%06d", 2*i+1), ""))
	}
	request := TxnRequest{Success: level}
	b.ReportAllocs()
	for range b.N {
		if err := request.Check(Limits{TxnOpsMax: 1 << 20}); err != nil {
			b.Fatal(err)
		}
	}
}
