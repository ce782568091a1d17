package server

import (
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// clusterService is MemberList of etcdserverpb.Cluster. As in etcd, its headers carry no revision.
type clusterService struct {
	pb.UnimplementedClusterServer
	*member
}

func (s *clusterService) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	err := s.ready(ctx, !r.Linearizable)
	s.metrics.handled(methodMemberList, err)
	if err != nil {
		return nil, err
	}
	return &pb.MemberListResponse{Header: s.view.fill(&pb.ResponseHeader{}, 0), Members: s.members()}, nil
}

// members lists the cluster by id. A member that has not started yet has neither name nor client URLs, as in etcd.
func (s *member) members() []*pb.Member {
	published := s.store.Members()
	var out []*pb.Member
	for _, m := range s.node.Status().Members {
		entry := &pb.Member{ID: uint64(m.ID), PeerURLs: []string{"http://" + m.Address}}
		if first, ok := s.config.member(entry.ID); ok {
			entry.PeerURLs = first.PeerURLs
		}
		for _, p := range published {
			if p.ID == entry.ID {
				entry.Name, entry.ClientURLs = p.Name, p.ClientURLs
			}
		}
		out = append(out, entry)
	}
	slices.SortFunc(out, func(a, b *pb.Member) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return out
}
