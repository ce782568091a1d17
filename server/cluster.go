package server

import (
	"context"
	"slices"
	"time"

	"github.com/balsa-raft/balsa"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// clusterService is etcdserverpb.Cluster. As in etcd, its headers carry no revision. Each method works on any member.
type clusterService struct {
	pb.UnimplementedClusterServer
	*member
}

func (s *clusterService) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	err := s.refuseLearner()
	if err == nil {
		err = s.ready(ctx, !r.Linearizable)
	}
	s.metrics.handled(methodMemberList, err)
	if err != nil {
		return nil, err
	}
	s.tellChange(ctx)
	return &pb.MemberListResponse{Header: s.header(), Members: s.roster().members}, nil
}

func (s *clusterService) header() *pb.ResponseHeader { return s.view.fill(&pb.ResponseHeader{}, 0) }

// changed ends a call that changes members, and returns those that there are then.
func (s *clusterService) changed(which method, err error) ([]*pb.Member, error) {
	s.metrics.handled(which, err)
	if err != nil {
		return nil, err
	}
	return s.roster().members, nil
}

func (s *clusterService) MemberAdd(ctx context.Context, r *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	added, err := s.add(ctx, r)
	members, err := s.changed(methodMemberAdd, err)
	if err != nil {
		return nil, err
	}
	return &pb.MemberAddResponse{Header: s.header(), Member: added, Members: members}, nil
}

// add returns as soon as the new server is a member, and the one that it replaces is none. A voter is not waited for: it has not even started.
func (s *clusterService) add(ctx context.Context, r *pb.MemberAddRequest) (*pb.Member, error) {
	if err := s.mayChange(ctx); err != nil {
		return nil, err
	}
	urls, err := parsePeerURLs(r.PeerURLs)
	if err != nil {
		return nil, err
	}
	old, err := replaced(ctx)
	if err != nil {
		return nil, err
	}
	address := peerAddress(urls[0])
	slices.Sort(urls) // as etcd does here, and nowhere else
	id := NewMemberID(urls, time.Now())
	err = s.changeMembers(ctx, func(now roster, again bool) (balsa.Change, error) {
		voter := !r.IsLearner
		switch {
		case again && now.find(id) != nil:
			return balsa.Change{}, nil
		case now.find(id) != nil:
			return balsa.Change{}, rpctypes.ErrGRPCMemberExist
		case old != 0 && now.find(old) == nil:
			return balsa.Change{}, rpctypes.ErrGRPCMemberNotFound
		case now.anyAt(urls, old):
			return balsa.Change{}, rpctypes.ErrGRPCPeerURLExist
		case old != 0 && !now.find(old).IsLearner && !now.mayRemove(old), old == 0 && voter && !now.mayAdd():
			if err := s.notEnoughStarted(ctx, now); err != nil {
				return balsa.Change{}, err
			}
		case !voter && now.learners() >= s.config.MaxLearners:
			return balsa.Change{}, rpctypes.ErrGRPCTooManyLearners
		}
		joining := balsa.Member{ID: balsa.NodeID(id), Address: address, Learner: r.IsLearner}
		return balsa.Change{Members: append(now.without(old), joining)}, nil
	})
	if err == nil && old != 0 {
		err = s.awaitRemoved(ctx, old)
	}
	if err == nil {
		err = s.recordPeerURLs(ctx, id, urls)
	}
	return &pb.Member{ID: id, PeerURLs: urls, IsLearner: r.IsLearner}, err
}

func (s *clusterService) MemberRemove(ctx context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	members, err := s.changed(methodMemberRemove, s.remove(ctx, r.ID))
	if err != nil {
		return nil, err
	}
	return &pb.MemberRemoveResponse{Header: s.header(), Members: members}, nil
}

func (s *clusterService) remove(ctx context.Context, id uint64) error {
	if err := s.mayChange(ctx); err != nil {
		return err
	}
	err := s.changeMembers(ctx, func(now roster, again bool) (balsa.Change, error) {
		m := now.find(id)
		switch {
		case m == nil && again && !slices.Contains(now.leaving, id):
			return balsa.Change{}, nil
		case m == nil && !again:
			return balsa.Change{}, rpctypes.ErrGRPCMemberNotFound
		case m != nil && !m.IsLearner && !now.mayRemove(id):
			if err := s.notEnoughStarted(ctx, now); err != nil {
				return balsa.Change{}, err
			}
		}
		return balsa.Change{Members: now.without(id)}, nil
	})
	if err != nil {
		return err
	}
	return s.awaitRemoved(ctx, id)
}

// awaitRemoved waits until the member is none any more, and forgets what it has published.
func (s *clusterService) awaitRemoved(ctx context.Context, id uint64) error {
	if err := s.awaitMember(ctx, id, func(m balsa.Member) bool { return m.ID == 0 }); err != nil {
		return err
	}
	waiting, cancel := s.deadline(ctx)
	defer cancel()
	if err := s.forgetStrangers(waiting); err != nil {
		s.config.Logger.Debug("what a removed member has published is forgotten later", "error", err)
	}
	return nil
}

func (s *clusterService) MemberPromote(ctx context.Context, r *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	members, err := s.changed(methodMemberPromote, s.promote(ctx, r.ID))
	if err != nil {
		return nil, err
	}
	return &pb.MemberPromoteResponse{Header: s.header(), Members: members}, nil
}

func (s *clusterService) promote(ctx context.Context, id uint64) error {
	if err := s.mayChange(ctx); err != nil {
		return err
	}
	err := s.changeMembers(ctx, func(now roster, again bool) (balsa.Change, error) {
		m := now.find(id)
		switch {
		case m == nil:
			return balsa.Change{}, rpctypes.ErrGRPCMemberNotFound
		case !m.IsLearner && again:
			return balsa.Change{}, nil
		case !m.IsLearner:
			return balsa.Change{}, rpctypes.ErrGRPCMemberNotLearner
		case !now.mayPromote():
			if err := s.notEnoughStarted(ctx, now); err != nil {
				return balsa.Change{}, err
			}
		}
		return balsa.Change{Members: now.with(id, func(m *balsa.Member) { m.Learner = false }), Ready: true}, nil
	})
	if err != nil {
		return err
	}
	return s.awaitMember(ctx, id, func(m balsa.Member) bool { return !m.Learner })
}

func (s *clusterService) MemberUpdate(ctx context.Context, r *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	members, err := s.changed(methodMemberUpdate, s.update(ctx, r))
	if err != nil {
		return nil, err
	}
	return &pb.MemberUpdateResponse{Header: s.header(), Members: members}, nil
}

func (s *clusterService) update(ctx context.Context, r *pb.MemberUpdateRequest) error {
	if err := s.mayChange(ctx); err != nil {
		return err
	}
	urls, err := parsePeerURLs(r.PeerURLs)
	if err != nil {
		return err
	}
	address := peerAddress(urls[0])
	err = s.changeMembers(ctx, func(now roster, _ bool) (balsa.Change, error) {
		switch {
		case now.find(r.ID) == nil:
			return balsa.Change{}, rpctypes.ErrGRPCMemberNotFound
		case now.anyAt(urls, r.ID):
			return balsa.Change{}, rpctypes.ErrGRPCPeerURLExist
		}
		var change balsa.Change
		want := now.with(r.ID, func(m *balsa.Member) { m.Address = address })
		if !slices.Equal(want, now.want) {
			change.Members = want
		}
		return change, nil
	})
	if err != nil {
		return err
	}
	return s.recordPeerURLs(ctx, r.ID, urls)
}

// mayChange says whether this member takes changes of the members at all.
func (s *clusterService) mayChange(ctx context.Context) error {
	if err := s.refuseLearner(); err != nil {
		return err
	}
	return s.requireLeader(ctx)
}
