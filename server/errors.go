package server

import (
	"context"
	"errors"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/kv"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// proposeError is what the client sees when Propose failed. ctx is the client's own context, without the
// server's request timeout.
//
// Only an unknown outcome is answered "request timed out". Every other error promises that the write has no effect,
// and clients retry on that promise, so the order of the cases matters: unknown first.
func proposeError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, balsa.ErrUnknownOutcome):
		if ended := contextError(ctx); ended != nil {
			return ended
		}
		return rpctypes.ErrGRPCTimeout
	case errors.Is(err, balsa.ErrTooLarge):
		return rpctypes.ErrGRPCRequestTooLarge
	case errors.Is(err, balsa.ErrOverloaded):
		return rpctypes.ErrGRPCRequestTooManyRequests
	}
	return readError(ctx, err)
}

// readError is what the client sees when the node could not serve a read, or certainly did not take a write.
func readError(ctx context.Context, err error) error {
	if ended := contextError(ctx); ended != nil {
		return ended
	}
	switch {
	case errors.Is(err, balsa.ErrNoLeader):
		return rpctypes.ErrGRPCNoLeader
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return rpctypes.ErrGRPCTimeout
	case errors.Is(err, balsa.ErrClosed), errors.Is(err, balsa.ErrFailed):
		return rpctypes.ErrGRPCStopped
	case errors.Is(err, balsa.ErrOverloaded):
		return rpctypes.ErrGRPCRequestTooManyRequests
	case errors.Is(err, balsa.ErrNotCommitted):
		return rpctypes.ErrGRPCLeaderChanged
	}
	return status.Error(codes.Unknown, err.Error())
}

// errNotEnoughStarted has etcd's text. etcd forgets to give it a code.
var errNotEnoughStarted = rpctypes.ErrGRPCMemberNotEnoughStarted

// changeError is what the client sees when the members were not changed, or perhaps not.
func changeError(ctx context.Context, err error) error {
	var refused *balsa.ChangeError
	if !errors.As(err, &refused) {
		return proposeError(ctx, err)
	}
	switch refused.Reason {
	case balsa.ChangeUnreachable:
		return rpctypes.ErrGRPCUnhealthy
	case balsa.ChangeNotReady:
		return rpctypes.ErrGRPCLearnerNotReady
	}
	return status.Error(codes.FailedPrecondition, "balsa: "+refused.Detail)
}

// transferError is what the client sees when the lead was not handed over. Its code is none that a client retries: the call is the leader's.
func transferError(ctx context.Context, err error) error {
	if ended := contextError(ctx); ended != nil {
		return ended
	}
	if errors.Is(err, balsa.ErrClosed) || errors.Is(err, balsa.ErrFailed) {
		return rpctypes.ErrGRPCStopped
	}
	return status.Error(codes.Aborted, "etcdserver: request timed out, leader transfer took too long: "+err.Error())
}

// contextError is the error of a request that the client itself has ended, nil while it waits.
func contextError(ctx context.Context) error {
	switch ctx.Err() {
	case nil:
		return nil
	case context.Canceled:
		return rpctypes.ErrGRPCCanceled
	}
	return rpctypes.ErrGRPCDeadlineExceeded
}

// storeErrors says which of etcd's errors each of the store's is.
var storeErrors = []struct{ store, client error }{
	{kv.ErrEmptyKey, rpctypes.ErrGRPCEmptyKey},
	{kv.ErrKeyNotFound, rpctypes.ErrGRPCKeyNotFound},
	{kv.ErrValueProvided, rpctypes.ErrGRPCValueProvided},
	{kv.ErrLeaseProvided, rpctypes.ErrGRPCLeaseProvided},
	{kv.ErrTooManyOps, rpctypes.ErrGRPCTooManyOps},
	{kv.ErrDuplicateKey, rpctypes.ErrGRPCDuplicateKey},
	{kv.ErrInvalidSortOption, rpctypes.ErrGRPCInvalidSortOption},
	{kv.ErrCompacted, rpctypes.ErrGRPCCompacted},
	{kv.ErrFutureRevision, rpctypes.ErrGRPCFutureRev},
	{kv.ErrLeaseNotFound, rpctypes.ErrGRPCLeaseNotFound},
	{kv.ErrInvalidCompare, status.Error(codes.InvalidArgument, "etcdserver: invalid comparison in txn request")},
}

// storeError is what the client sees when the store refused a request.
func storeError(err error) error {
	for _, e := range storeErrors {
		if errors.Is(err, e.store) {
			return e.client
		}
	}
	return status.Error(codes.Internal, err.Error())
}
