package server

import (
	"context"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/kv"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// kvService is etcdserverpb.KV without RangeStream. Its methods run once a request: no interceptor stands before
// them, and what they allocate is one block a response.
type kvService struct {
	pb.UnimplementedKVServer
	*member
}

// member is what every service shares of this member. It is immutable; what it points to is safe for concurrent use.
type member struct {
	config  Config
	node    node
	store   store
	view    *view
	metrics *metrics
	// timeout is how long a request may wait for the cluster: etcd's 5 s and two elections.
	timeout time.Duration
}

func (s *kvService) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	response, err := s.doRange(ctx, r)
	s.metrics.handled(methodRange, err)
	return response, err
}

func (s *kvService) doRange(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	if !r.Serializable {
		if err := s.refuseLearner(); err != nil {
			return nil, err
		}
	}
	request := rangeRequest(r)
	if err := request.Check(); err != nil {
		return nil, storeError(err)
	}
	if err := s.ready(ctx, r.Serializable); err != nil {
		return nil, err
	}
	got, err := s.store.Range(request)
	if err != nil {
		return nil, storeError(err)
	}
	block := &struct {
		response pb.RangeResponse
		header   pb.ResponseHeader
	}{}
	fillRange(&block.response, &got)
	block.response.Header = s.view.fill(&block.header, got.Revision)
	return &block.response, nil
}

func (s *kvService) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	response, err := s.put(ctx, r)
	s.metrics.handled(methodPut, err)
	return response, err
}

func (s *kvService) put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	got, err := s.propose(ctx, r, kv.Command{Put: putRequest(r)})
	if err != nil {
		return nil, err
	}
	block := &struct {
		response pb.PutResponse
		header   pb.ResponseHeader
	}{}
	block.response.PrevKv = keyValue(got.Put.PrevKV)
	block.response.Header = s.view.fill(&block.header, got.Put.Revision)
	return &block.response, nil
}

func (s *kvService) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	response, err := s.deleteRange(ctx, r)
	s.metrics.handled(methodDeleteRange, err)
	return response, err
}

func (s *kvService) deleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	got, err := s.propose(ctx, r, kv.Command{DeleteRange: deleteRangeRequest(r)})
	if err != nil {
		return nil, err
	}
	d := got.DeleteRange
	return &pb.DeleteRangeResponse{
		Header:  s.view.fill(&pb.ResponseHeader{}, d.Revision),
		Deleted: d.Deleted, PrevKvs: keyValues(d.PrevKVs),
	}, nil
}

func (s *kvService) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	response, err := s.txn(ctx, r)
	s.metrics.handled(methodTxn, err)
	return response, err
}

func (s *kvService) txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	got, err := s.runTxn(ctx, r)
	if err != nil {
		return nil, err
	}
	block := &struct {
		response pb.TxnResponse
		header   pb.ResponseHeader
	}{}
	fillTxn(&block.response, got)
	block.response.Header = s.view.fill(&block.header, got.Revision)
	return &block.response, nil
}

// runTxn sends a transaction through the log unless it only reads.
func (s *kvService) runTxn(ctx context.Context, r *pb.TxnRequest) (*kv.TxnResponse, error) {
	request := txnRequest(r)
	if !request.ReadOnly() {
		got, err := s.propose(ctx, r, kv.Command{Txn: request})
		if err != nil {
			return nil, err
		}
		return got.Txn, nil
	}
	if err := s.refuseLearner(); err != nil {
		return nil, err
	}
	if err := request.Check(s.limits()); err != nil {
		return nil, storeError(err)
	}
	if err := s.ready(ctx, serializable(r)); err != nil {
		return nil, err
	}
	got, err := s.store.ReadTxn(*request)
	if err != nil {
		return nil, storeError(err)
	}
	return &got, nil
}

// serializable reports whether a transaction that only reads may be answered from local state: if it has reads
// and all of them ask for it.
func serializable(r *pb.TxnRequest) bool {
	reads := 0
	for _, branch := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range branch {
			if !op.GetRequestRange().GetSerializable() {
				return false
			}
			reads++
		}
	}
	return reads > 0
}

// Compact ignores Physical: space comes back by itself.
func (s *kvService) Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	got, err := s.propose(ctx, r, kv.Command{Compact: &kv.CompactRequest{Revision: r.Revision}})
	s.metrics.handled(methodCompact, err)
	if err != nil {
		return nil, err
	}
	return &pb.CompactionResponse{Header: s.view.fill(&pb.ResponseHeader{}, got.Compact.Revision)}, nil
}

// ready waits until this member may answer a read: at once for a serializable one.
func (s *member) ready(ctx context.Context, serializable bool) error {
	if err := s.requireLeader(ctx); err != nil {
		return err
	}
	if serializable {
		return nil
	}
	waiting, cancel := s.deadline(ctx)
	defer cancel()
	if _, err := s.node.Read(waiting, balsa.Linearizable); err != nil {
		return readError(ctx, err)
	}
	return nil
}

// propose replicates a command and returns the store's answer to it. The errors it returns are the client's.
func (s *member) propose(ctx context.Context, request proto.Message, command kv.Command) (*kv.Response, error) {
	if err := s.refuseLearner(); err != nil {
		return nil, err
	}
	if err := command.Check(s.limits()); err != nil {
		return nil, storeError(err)
	}
	if proto.Size(request) > s.config.MaxRequestBytes {
		return nil, rpctypes.ErrGRPCRequestTooLarge
	}
	if err := s.requireLeader(ctx); err != nil {
		return nil, err
	}
	waiting, cancel := s.deadline(ctx)
	defer cancel()
	s.metrics.pending.Add(1)
	result, err := s.node.Propose(waiting, command)
	s.metrics.pending.Add(-1)
	if err != nil {
		s.metrics.failed.Add(1)
		return nil, proposeError(ctx, err)
	}
	if result.Value.Err != nil {
		return nil, storeError(result.Value.Err)
	}
	return &result.Value, nil
}

func (s *member) limits() kv.Limits { return kv.Limits{TxnOpsMax: s.config.MaxTxnOps} }

// deadline bounds how long a request may wait for the cluster. A client that has set an earlier end itself costs nothing.
func (s *member) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= s.timeout {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.timeout)
}

// refuseLearner fails if this member is a learner. As in etcd, one answers serializable ranges and its status, and nothing else.
func (s *member) refuseLearner() error {
	if s.view.learner() {
		return rpctypes.ErrGRPCNotSupportedForLearner
	}
	return nil
}

// requireLeader fails at once if the client wants that and this member knows of no leader.
func (s *member) requireLeader(ctx context.Context) error {
	wanted := metadata.ValueFromIncomingContext(ctx, rpctypes.MetadataRequireLeaderKey)
	if len(wanted) > 0 && wanted[0] == rpctypes.MetadataHasLeader && !s.view.hasLeader() {
		return rpctypes.ErrGRPCNoLeader
	}
	return nil
}
