package server

import (
	"context"
	"testing"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/kv"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// The cost of this package alone: the node answers at once. Handler is without gRPC, call is with it.

func benchServer(b *testing.B) *testServer {
	s := start(b, nil)
	answer := func(context.Context, kv.Command) (balsa.Result[kv.Response], error) {
		return balsa.Result[kv.Response]{Value: kv.Response{Put: &kv.PutResponse{Revision: 7}}}, nil
	}
	s.node.propose.Store(&answer)
	return s
}

func benchPut() *pb.PutRequest {
	return &pb.PutRequest{Key: []byte("/bench/000000000001"), Value: make([]byte, 256)}
}

func BenchmarkPutHandler(b *testing.B) {
	s := benchServer(b)
	service := &kvService{member: s.member}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := service.Put(ctx, benchPut()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutCall(b *testing.B) {
	s := benchServer(b)
	client := pb.NewKVClient(s.conn)
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := client.Put(context.Background(), benchPut()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRangeCall(b *testing.B) {
	s := benchServer(b)
	client := pb.NewKVClient(s.conn)
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := client.Range(context.Background(), &pb.RangeRequest{Key: []byte("/bench/000000000001"), Serializable: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
