package main

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// otherEtcd is a server that is not Balsa.
type otherEtcd struct {
	pb.UnimplementedClusterServer
	t *testing.T
}

func (o otherEtcd) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return &pb.MemberListResponse{Header: &pb.ResponseHeader{ClusterId: 7}, Members: []*pb.Member{{ID: 1, Name: "e", PeerURLs: []string{"http://e:1"}}}}, nil
}

func (o otherEtcd) MemberAdd(context.Context, *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	o.t.Error("a member is added to etcd")
	return &pb.MemberAddResponse{}, nil
}

// TestJoinEtcd: etcd would wait for a member that it cannot talk to.
func TestJoinEtcd(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterClusterServer(s, otherEtcd{t: t})
	go s.Serve(l)
	defer s.Stop()
	got := try(t, "", "server", "--data-dir", filepath.Join(t.TempDir(), "data"), "--listen-peer-urls", "http://127.0.0.1:1", "--join", l.Addr().String())
	if got.code != exitInput || !strings.Contains(got.err, "names a cluster of etcd") {
		t.Errorf("%+v", got)
	}
}

// TestJoinInVain: what lasts too long is told as it is.
func TestJoinInVain(t *testing.T) {
	t.Parallel()
	c := &serverSettings{}
	tries := 0
	err := c.patiently(t.Context(), slog.New(slog.DiscardHandler), func(context.Context, *slog.Logger) error {
		tries++
		return &waitError{inputError("not yet"), 2 * joinPause}
	})
	if err == nil || err.Error() != "not yet" || tries < 2 {
		t.Errorf("%v after %d tries", err, tries)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = c.patiently(ctx, slog.New(slog.DiscardHandler), func(context.Context, *slog.Logger) error {
		cancel()
		return &waitError{inputError("not yet"), joinPatience}
	})
	if err != context.Canceled {
		t.Errorf("stopped: %v", err)
	}
}
