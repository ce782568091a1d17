package server

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/internal/script"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// TestTranscripts calls a member over gRPC: a command is a method's name and its request as text. The ids of members that are added are $1, $2 and
// so on, in the order in which they appear.
func TestTranscripts(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(t *testing.T) func(script.Command) string {
		t.Parallel()
		c := caller{t, start(t, nil).conn}
		var ids []string
		return func(cmd script.Command) string {
			cmd.ArgsMax(1)
			request := ""
			if len(cmd.Args) > 0 {
				request = cmd.Arg(0)
			}
			for i, id := range ids {
				request = strings.ReplaceAll(request, fmt.Sprintf("$%d", i+1), id)
			}
			return sortMembers(memberID.ReplaceAllStringFunc(c.call(cmd.Name, request), func(field string) string {
				id := strings.TrimPrefix(field, "ID:")
				if id == firstID {
					return field
				}
				if !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
				return fmt.Sprintf("ID:$%d", 1+slices.Index(ids, id))
			}))
		}
	})
}

const firstID = "10276657743932975437" // of testConfig

// sortMembers brings the members of an answer, which are in the order of ids that differ from run to run, in one that does not.
func sortMembers(answer string) string {
	parts := strings.Split(answer, " members:")
	slices.Sort(parts[1:])
	return strings.Join(parts, " members:")
}

var memberID = regexp.MustCompile(`\bID:\d+`)

// methods are the calls that tests make.
var methods = map[string]struct {
	path              string
	request, response func() proto.Message
}{
	"Range":         {pb.KV_Range_FullMethodName, func() proto.Message { return &pb.RangeRequest{} }, func() proto.Message { return &pb.RangeResponse{} }},
	"Put":           {pb.KV_Put_FullMethodName, func() proto.Message { return &pb.PutRequest{} }, func() proto.Message { return &pb.PutResponse{} }},
	"DeleteRange":   {pb.KV_DeleteRange_FullMethodName, func() proto.Message { return &pb.DeleteRangeRequest{} }, func() proto.Message { return &pb.DeleteRangeResponse{} }},
	"Txn":           {pb.KV_Txn_FullMethodName, func() proto.Message { return &pb.TxnRequest{} }, func() proto.Message { return &pb.TxnResponse{} }},
	"Compact":       {pb.KV_Compact_FullMethodName, func() proto.Message { return &pb.CompactionRequest{} }, func() proto.Message { return &pb.CompactionResponse{} }},
	"MemberList":    {pb.Cluster_MemberList_FullMethodName, func() proto.Message { return &pb.MemberListRequest{} }, func() proto.Message { return &pb.MemberListResponse{} }},
	"MemberAdd":     {pb.Cluster_MemberAdd_FullMethodName, func() proto.Message { return &pb.MemberAddRequest{} }, func() proto.Message { return &pb.MemberAddResponse{} }},
	"MemberRemove":  {pb.Cluster_MemberRemove_FullMethodName, func() proto.Message { return &pb.MemberRemoveRequest{} }, func() proto.Message { return &pb.MemberRemoveResponse{} }},
	"MemberUpdate":  {pb.Cluster_MemberUpdate_FullMethodName, func() proto.Message { return &pb.MemberUpdateRequest{} }, func() proto.Message { return &pb.MemberUpdateResponse{} }},
	"MemberPromote": {pb.Cluster_MemberPromote_FullMethodName, func() proto.Message { return &pb.MemberPromoteRequest{} }, func() proto.Message { return &pb.MemberPromoteResponse{} }},
	"MoveLeader":    {pb.Maintenance_MoveLeader_FullMethodName, func() proto.Message { return &pb.MoveLeaderRequest{} }, func() proto.Message { return &pb.MoveLeaderResponse{} }},
	"Alarm":         {pb.Maintenance_Alarm_FullMethodName, func() proto.Message { return &pb.AlarmRequest{} }, func() proto.Message { return &pb.AlarmResponse{} }},
	"Status":        {pb.Maintenance_Status_FullMethodName, func() proto.Message { return &pb.StatusRequest{} }, func() proto.Message { return &pb.StatusResponse{} }},
	"Defragment":    {pb.Maintenance_Defragment_FullMethodName, func() proto.Message { return &pb.DefragmentRequest{} }, func() proto.Message { return &pb.DefragmentResponse{} }},
	"Snapshot":      {pb.Maintenance_Snapshot_FullMethodName, func() proto.Message { return &pb.SnapshotRequest{} }, func() proto.Message { return &pb.SnapshotResponse{} }},
	"RangeStream":   {pb.KV_RangeStream_FullMethodName, func() proto.Message { return &pb.RangeRequest{} }, func() proto.Message { return &pb.RangeStreamResponse{} }},
	"LeaseGrant":    {pb.Lease_LeaseGrant_FullMethodName, func() proto.Message { return &pb.LeaseGrantRequest{} }, func() proto.Message { return &pb.LeaseGrantResponse{} }},
	"Watch":         {pb.Watch_Watch_FullMethodName, func() proto.Message { return &pb.WatchRequest{} }, func() proto.Message { return &pb.WatchResponse{} }},
	"AuthEnable":    {pb.Auth_AuthEnable_FullMethodName, func() proto.Message { return &pb.AuthEnableRequest{} }, func() proto.Message { return &pb.AuthEnableResponse{} }},
	"Lock":          {"/v3lockpb.Lock/Lock", func() proto.Message { return &pb.RangeRequest{} }, func() proto.Message { return &pb.RangeResponse{} }},
}

// caller makes calls and writes their answers down.
type caller struct {
	t    testing.TB
	conn *grpc.ClientConn
}

// call makes one call, with metadata in pairs, and returns its answer or its error as text.
func (c caller) call(method, request string, md ...string) string {
	c.t.Helper()
	m, ok := methods[method]
	if !ok {
		c.t.Fatalf("no method %s", method)
	}
	in, out := m.request(), m.response()
	if err := prototext.Unmarshal([]byte(request), in); err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	ctx := metadata.AppendToOutgoingContext(context.Background(), md...)
	if err := c.conn.Invoke(ctx, m.path, in, out); err != nil {
		s := status.Convert(err)
		return fmt.Sprintf("%s: %s", s.Code(), s.Message())
	}
	var b strings.Builder
	writeMessage(&b, out.ProtoReflect())
	return b.String()
}

// writeMessage writes a message's fields in the order of their numbers. What differs from run to run is left out.
func writeMessage(b *strings.Builder, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	first := true
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) {
			continue
		}
		write := func(v protoreflect.Value) {
			if !first {
				b.WriteByte(' ')
			}
			first = false
			fmt.Fprintf(b, "%s:", f.Name())
			writeValue(b, f, v)
		}
		if f.IsList() {
			list := m.Get(f).List()
			for i := range list.Len() {
				write(list.Get(i))
			}
			continue
		}
		write(m.Get(f))
	}
}

func writeValue(b *strings.Builder, f protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch name := f.Name(); {
	case name == "cluster_id":
		b.WriteString("C")
	case name == "member_id" || name == "leader":
		b.WriteString("M")
	case name == "raft_term" || name == "raftTerm":
		b.WriteString("T")
	case name == "raftIndex" || name == "raftAppliedIndex" || strings.HasPrefix(string(name), "dbSize"):
		b.WriteString("N")
	case f.Kind() == protoreflect.MessageKind:
		b.WriteByte('{')
		writeMessage(b, v.Message())
		b.WriteByte('}')
	case f.Kind() == protoreflect.BytesKind:
		fmt.Fprintf(b, "%q", v.Bytes())
	case f.Kind() == protoreflect.StringKind:
		fmt.Fprintf(b, "%q", v.String())
	default:
		fmt.Fprint(b, v.Interface())
	}
}
