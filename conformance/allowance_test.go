package conformance

import (
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// allowance is a difference from etcd that is meant.
type allowance struct {
	name, reason string
	allows       func(request proto.Message, etcd, balsa outcome) bool
}

// allowances are all of them. The tests fail if they run to the end and one of them was never needed.
var allowances = []allowance{
	{
		name: "unknown compare",
		reason: "etcd takes a compare with a result it does not know for true, and one with a target it does not know for equal. " +
			"A client that is newer than the server would write under a condition that nobody has checked.",
		allows: func(request proto.Message, _, balsa outcome) bool {
			return hasUnknownCompare(request) && balsa.code == codes.InvalidArgument && strings.Contains(balsa.message, "invalid comparison")
		},
	},
}

func hasUnknownCompare(request proto.Message) bool {
	found := false
	visit(request.ProtoReflect(), func(m protoreflect.Message) {
		c, ok := m.Interface().(*pb.Compare)
		if ok && (pb.Compare_CompareResult_name[int32(c.Result)] == "" || pb.Compare_CompareTarget_name[int32(c.Target)] == "") {
			found = true
		}
	})
	return found
}

// used says which allowances were needed so far.
var used = map[string]bool{}

// same says whether Balsa's outcome is etcd's, or differs from it as is meant.
func same(request proto.Message, etcd, balsa outcome) bool {
	if etcd.equal(balsa) {
		return true
	}
	for _, a := range allowances {
		if a.allows(request, etcd, balsa) {
			used[a.name] = true
			return true
		}
	}
	return false
}

// allNeeded says whether every allowance was.
func allNeeded() bool {
	ok := true
	for _, a := range allowances {
		if !used[a.name] {
			say("the allowance %q is not needed: delete it", a.name)
			ok = false
		}
	}
	return ok
}
