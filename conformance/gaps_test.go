package conformance

import (
	"context"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// What of etcd's API Balsa does not have yet. Whoever adds one takes it off its list and compares it with etcd.
var (
	missingMethods = []string{
		"KV/RangeStream", "Watch/Watch",
		"Lease/LeaseGrant", "Lease/LeaseRevoke", "Lease/LeaseKeepAlive", "Lease/LeaseTimeToLive", "Lease/LeaseLeases",
		"Maintenance/Defragment", "Maintenance/Hash", "Maintenance/HashKV", "Maintenance/Snapshot", "Maintenance/Downgrade",
		"Auth/AuthEnable", "Auth/AuthDisable", "Auth/AuthStatus", "Auth/Authenticate",
		"Auth/UserAdd", "Auth/UserGet", "Auth/UserList", "Auth/UserDelete", "Auth/UserChangePassword", "Auth/UserGrantRole", "Auth/UserRevokeRole",
		"Auth/RoleAdd", "Auth/RoleGet", "Auth/RoleList", "Auth/RoleDelete", "Auth/RoleGrantPermission", "Auth/RoleRevokePermission",
	}
	missingPages []string
)

// comparedMethods are those that the other tests use.
var comparedMethods = []string{
	"KV/Range", "KV/Put", "KV/DeleteRange", "KV/Txn", "KV/Compact", "Maintenance/Status", "Maintenance/Alarm", "Maintenance/MoveLeader",
	"Cluster/MemberList", "Cluster/MemberAdd", "Cluster/MemberRemove", "Cluster/MemberUpdate", "Cluster/MemberPromote",
}

// TestMissing checks that the lists are right, and that what is missing says so at once.
func TestMissing(t *testing.T) {
	services := pb.File_rpc_proto.Services()
	var known []string
	for i := range services.Len() {
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			method := methods.Get(j)
			name := string(services.Get(i).Name()) + "/" + string(method.Name())
			known = append(known, name)
			if slices.Contains(comparedMethods, name) {
				continue
			}
			if !slices.Contains(missingMethods, name) {
				t.Errorf("%s is on no list", name)
			}
			if code := callEmpty(t, balsa(t).members[0], method); code != codes.Unimplemented {
				t.Errorf("%s is on the list of what is missing, and answers %v", name, code)
			}
		}
	}
	for _, name := range slices.Concat(missingMethods, comparedMethods) {
		if !slices.Contains(known, name) {
			t.Errorf("etcd has no %s", name)
		}
	}
	for _, path := range missingPages {
		if want := fetch(t, etcd(t).members[0].endpoint, path); want.status != 200 {
			t.Errorf("etcd's %s is %v", path, want)
		}
		if got := fetch(t, balsa(t).members[0].endpoint, path); got.status != 404 {
			t.Errorf("%s is on the list of what is missing, and answers %v", path, got)
		}
	}
}

// callEmpty calls a method with an empty request and returns how that ends.
func callEmpty(t *testing.T, m *member, method protoreflect.MethodDescriptor) codes.Code {
	t.Helper()
	message := func(d protoreflect.MessageDescriptor) any {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
		if err != nil {
			t.Fatal(err)
		}
		return kind.New().Interface()
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	path := "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
	description := &grpc.StreamDesc{ClientStreams: method.IsStreamingClient(), ServerStreams: method.IsStreamingServer()}
	stream, err := m.conn.NewStream(ctx, description, path)
	if err != nil {
		return status.Code(err)
	}
	// A stream that the server has ended already takes no message. What it ended with is told to the receiver.
	_ = stream.SendMsg(message(method.Input()))
	if !description.ClientStreams {
		_ = stream.CloseSend()
	}
	return status.Code(stream.RecvMsg(message(method.Output())))
}
