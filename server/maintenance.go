package server

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maintenanceService is Status and Alarm of etcdserverpb.Maintenance.
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
		DowngradeInfo: &pb.DowngradeInfo{},
	}
	response.Header.RaftTerm = response.RaftTerm // the header's may be older by viewAgeMax
	if st.Leader == 0 {
		response.Errors = append(response.Errors, "etcdserver: no leader")
	}
	return response, nil
}

// Alarm lists the alarms, of which there are none yet. Disarming what is not armed is no error, as in etcd.
func (s *maintenanceService) Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	err := s.ready(ctx, false)
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
