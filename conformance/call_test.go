package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// call is one request, to etcd and to one of Balsa's members. Its positive revisions count from the revision at which
// the sequence it belongs to begins, so that it can be run again on stores that have moved on.
type call struct {
	request proto.Message
	member  int
}

func (c call) String() string {
	return fmt.Sprintf("%-8s %s", verb(c.request), text(c.request))
}

// text writes a message on one line.
func text(m proto.Message) string { return prototext.MarshalOptions{}.Format(m) }

// outcome is how a call ended: with a response or an error.
type outcome struct {
	response proto.Message // nil if it failed
	code     codes.Code
	message  string
}

func (o outcome) String() string {
	if o.response == nil {
		return fmt.Sprintf("%s: %s", o.code, o.message)
	}
	return "{" + text(o.response) + "}"
}

func (o outcome) equal(other outcome) bool {
	return o.code == other.code && o.message == other.message && proto.Equal(o.response, other.response)
}

// verb names the kind of a request, as in the files of cases.
func verb(request proto.Message) string {
	switch request.(type) {
	case *pb.RangeRequest:
		return "range"
	case *pb.PutRequest:
		return "put"
	case *pb.DeleteRangeRequest:
		return "delete"
	case *pb.TxnRequest:
		return "txn"
	case *pb.CompactionRequest:
		return "compact"
	}
	panic(fmt.Sprintf("no verb for %T", request))
}

// newRequest returns an empty request of the kind that name says, nil if there is none.
func newRequest(name string) proto.Message {
	for _, r := range []proto.Message{&pb.RangeRequest{}, &pb.PutRequest{}, &pb.DeleteRangeRequest{}, &pb.TxnRequest{}, &pb.CompactionRequest{}} {
		if name == verb(r) {
			return r
		}
	}
	return nil
}

// send sends a request and returns its outcome without what differs from cluster to cluster.
func (m *member) send(t testing.TB, request proto.Message) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if readsLocally(request) {
		// Local state may be old, which is right and no difference. After this it is not.
		if _, err := m.kv.Range(ctx, &pb.RangeRequest{Key: []byte("a")}); err != nil {
			t.Fatalf("%s: linearizable read: %v", m.name, err)
		}
	}
	var response proto.Message
	var err error
	switch r := request.(type) {
	case *pb.RangeRequest:
		response, err = m.kv.Range(ctx, r)
	case *pb.PutRequest:
		response, err = m.kv.Put(ctx, r)
	case *pb.DeleteRangeRequest:
		response, err = m.kv.DeleteRange(ctx, r)
	case *pb.TxnRequest:
		response, err = m.kv.Txn(ctx, r)
	case *pb.CompactionRequest:
		response, err = m.kv.Compact(ctx, r)
	default:
		t.Fatalf("cannot send %T", request)
	}
	if err != nil {
		return outcome{code: status.Code(err), message: status.Convert(err).Message()}
	}
	maskHeader(response)
	return outcome{response: response}
}

// maskHeader replaces what differs from cluster to cluster, the two ids and the term, by whether it is there.
func maskHeader(response proto.Message) {
	h := response.(interface{ GetHeader() *pb.ResponseHeader }).GetHeader()
	if h == nil {
		return
	}
	for _, field := range []*uint64{&h.ClusterId, &h.MemberId, &h.RaftTerm} {
		*field = min(*field, 1)
	}
}

// readsLocally says whether the request contains a serializable read.
func readsLocally(request proto.Message) bool {
	found := false
	visit(request.ProtoReflect(), func(m protoreflect.Message) {
		if r, ok := m.Interface().(*pb.RangeRequest); ok && r.Serializable {
			found = true
		}
	})
	return found
}

// visit calls f for m and every message in it.
func visit(m protoreflect.Message, f func(protoreflect.Message)) {
	f(m)
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				visit(value.List().Get(i).Message(), f)
			}
		default:
			visit(value.Message(), f)
		}
		return true
	})
}

// relativeMax is the greatest revision that counts from a sequence's beginning; greater ones are meant as they are.
const relativeMax = 1 << 40

// rebase returns the request with its revisions counted from base.
func rebase(request proto.Message, base int64) proto.Message {
	request = proto.Clone(request)
	visit(request.ProtoReflect(), func(m protoreflect.Message) {
		m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
			if field.Kind() != protoreflect.Int64Kind || !strings.HasSuffix(string(field.Name()), "revision") {
				return true
			}
			if v := value.Int(); v > 0 && v < relativeMax {
				m.Set(field, protoreflect.ValueOfInt64(v+base))
			}
			return true
		})
	})
	return request
}
