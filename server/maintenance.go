package server

import (
	"context"
	"fmt"
	"slices"

	"github.com/balsa-raft/balsa"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maintenanceService is Status, Alarm and MoveLeader of etcdserverpb.Maintenance.
type maintenanceService struct {
	pb.UnimplementedMaintenanceServer
	*member
}

// Status answers from what this member knows, with or without a leader.
func (s *maintenanceService) Status(ctx context.Context, _ *pb.StatusRequest) (*pb.StatusResponse, error) {
	err := s.requireLeader(ctx)
	s.metrics.handled(methodStatus, err)
	if err != nil {
		return nil, err
	}
	st := s.node.Status()
	revision, _ := s.store.Revision()
	size := max(1, s.store.Size()) // etcdctl divides by it
	response := &pb.StatusResponse{
		Header:  s.view.fill(&pb.ResponseHeader{}, revision),
		Version: EtcdVersion, StorageVersion: clusterVersion,
		DbSize: size, DbSizeInUse: size, DbSizeQuota: s.config.QuotaBackendBytes,
		Leader: uint64(st.Leader), RaftTerm: uint64(st.Term),
		RaftIndex: uint64(st.CommitIndex), RaftAppliedIndex: uint64(st.AppliedIndex),
		DowngradeInfo: &pb.DowngradeInfo{}, IsLearner: slices.ContainsFunc(st.Members, func(m balsa.Member) bool { return m.ID == st.ID && isLearner(m) }),
	}
	s.tellChange(ctx)
	response.Header.RaftTerm = response.RaftTerm // the header's may be older by viewAgeMax
	if st.Leader == 0 {
		response.Errors = append(response.Errors, "etcdserver: no leader")
	}
	return response, nil
}

// Alarm lists the alarms, of which there are none yet. Disarming what is not armed is no error, as in etcd.
func (s *maintenanceService) Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	err := s.refuseLearner()
	if err == nil {
		err = s.ready(ctx, false)
	}
	if err == nil && r.Action == pb.AlarmRequest_ACTIVATE {
		err = status.Error(codes.Unimplemented, fmt.Sprintf("balsa: alarm %s cannot be raised by hand in this version", r.Alarm))
	}
	s.metrics.handled(methodAlarm, err)
	if err != nil {
		return nil, err
	}
	revision, _ := s.store.Revision()
	return &pb.AlarmResponse{Header: s.view.fill(&pb.ResponseHeader{}, revision)}, nil
}

// MoveLeader hands the lead over to a voter. As in etcd it is answered by the leader only, and without a header.
func (s *maintenanceService) MoveLeader(ctx context.Context, r *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	err := s.refuseLearner()
	if err == nil {
		err = s.moveLeader(ctx, balsa.NodeID(r.TargetID))
	}
	s.metrics.handled(methodMoveLeader, err)
	if err != nil {
		return nil, err
	}
	return &pb.MoveLeaderResponse{}, nil
}

func (s *maintenanceService) moveLeader(ctx context.Context, to balsa.NodeID) error {
	if err := s.requireLeader(ctx); err != nil {
		return err
	}
	st := s.node.Status()
	switch {
	case st.Leader != st.ID:
		return rpctypes.ErrGRPCNotLeader
	case !slices.ContainsFunc(st.Members, func(m balsa.Member) bool { return m.ID == to && !m.Learner && !m.Leaving }):
		return rpctypes.ErrGRPCBadLeaderTransferee
	case to == st.ID:
		return nil
	}
	waiting, cancel := s.deadline(ctx)
	defer cancel()
	if err := s.node.Transfer(waiting, to); err != nil {
		return transferError(ctx, err)
	}
	if leader := s.node.Status().Leader; leader != to {
		return status.Errorf(codes.Aborted, "balsa: member %s leads now, and not the one that was asked for", hexID(uint64(leader)))
	}
	return nil
}
