package server

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// with returns a context of a call with that metadata.
func with(t *testing.T, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), pairs...)
}

// TestForce: a change that is forced reaches the library so, and etcd's rules do not hold for it.
func TestForce(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	cluster := pb.NewClusterClient(s.conn)
	if _, err := cluster.MemberAdd(t.Context(), &pb.MemberAddRequest{PeerURLs: []string{"http://a:1"}}); err != nil {
		t.Fatal(err)
	}
	var seen []bool
	f := func(ctx context.Context, c balsa.Change) error {
		seen = append(seen, c.Force)
		return s.node.node.ChangeMembers(ctx, c)
	}
	s.node.change.Store(&f)
	var trailer metadata.MD
	add := &pb.MemberAddRequest{PeerURLs: []string{"http://b:1"}}
	if _, err := cluster.MemberAdd(t.Context(), add, grpc.Trailer(&trailer)); err == nil || !strings.HasPrefix(trailer.Get(MetadataReason)[0], "too few of the voters would have started; not started yet: ") {
		t.Errorf("%v, because %v", err, trailer)
	}
	if _, err := cluster.MemberAdd(with(t, MetadataForce, "true"), add); err != nil || len(seen) != 1 || !seen[0] {
		t.Errorf("%v; forced: %v", err, seen)
	}
}

// TestRefusalIsExplained: who is not heard is told by name.
func TestRefusalIsExplained(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	f := func(context.Context, balsa.Change) error {
		return &balsa.ChangeError{Reason: balsa.ChangeUnreachable, Detail: fmt.Sprintf("without n%d, n9, which é", s.config.ID)}
	}
	s.node.change.Store(&f)
	var trailer metadata.MD
	_, err := pb.NewClusterClient(s.conn).MemberAdd(t.Context(), &pb.MemberAddRequest{PeerURLs: []string{"http://a:1"}}, grpc.Trailer(&trailer))
	if want := fmt.Sprintf("without default (%x), 9, which ?", s.config.ID); err == nil || len(trailer.Get(MetadataReason)) != 1 || trailer.Get(MetadataReason)[0] != want {
		t.Errorf("%v: %v, want %s", err, trailer, want)
	}
}

// TestReplace: one call puts a new member in the place of an old one, also at its URL; until the new one has caught up it says so.
func TestReplace(t *testing.T) {
	t.Parallel()
	one := startFounder(t, nil)
	two := one.join(t, false)
	three := one.join(t, false)
	eventually(t, "three voters", func() bool { return one.voters() == 3 })
	url := "http://" + three.config.ListenPeer
	if err := three.Server.Close(); err != nil {
		t.Fatal(err)
	}
	cluster := pb.NewClusterClient(two.conn)
	request := &pb.MemberAddRequest{PeerURLs: []string{url}}
	for _, wrong := range []string{"7", "x", ""} {
		if _, err := cluster.MemberAdd(with(t, MetadataReplaces, wrong), request); err == nil {
			t.Errorf("%q is replaced", wrong)
		}
	}
	r, err := cluster.MemberAdd(with(t, MetadataReplaces, hexID(three.config.ID)), request)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Members) != 3 || r.Member.ID == three.config.ID || len(two.store.Members()) != 2 {
		t.Errorf("%v; %v is known", r, two.store.Members())
	}
	var header metadata.MD
	if _, err := cluster.MemberList(t.Context(), &pb.MemberListRequest{}, grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	if got := header.Get(MetadataCatchingUp); len(got) != 1 || got[0] != hexID(r.Member.ID) || len(header.Get(MetadataPending)) != 1 {
		t.Errorf("%v", header)
	}
	c := testConfig(t)
	c.ListenPeer, c.Name, c.ID, c.Members, c.ClusterID, c.Join, c.AdvertiseClientURLs = three.config.ListenPeer, "new", r.Member.ID, nil, 0, r.Header.ClusterId, nil
	c.ElectionTimeout, c.HeartbeatInterval = one.config.ElectionTimeout, one.config.HeartbeatInterval
	<-open(t, c).Ready()
	eventually(t, "three voters again, and nobody who is catching up, says the follower", func() bool {
		header = nil
		if _, err := pb.NewMaintenanceClient(two.conn).Status(t.Context(), &pb.StatusRequest{}, grpc.Header(&header)); err != nil {
			t.Fatal(err)
		}
		return two.voters() == 3 && len(header.Get(MetadataCatchingUp)) == 0
	})
}
