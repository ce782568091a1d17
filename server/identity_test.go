package server

import "testing"

// The ids of the cluster that etcd starts without flags, which stand in thousands of its logs.
func TestIdentity(t *testing.T) {
	member := MemberID([]string{"http://localhost:2380"}, "etcd-cluster")
	if member != 0x8e9e05c52164694d {
		t.Errorf("member %x", member)
	}
	if cluster := ClusterID([]uint64{member}); cluster != 0xcdf818194e3a8c32 {
		t.Errorf("cluster %x", cluster)
	}
	if MemberID([]string{"http://b:1", "http://a:1"}, "x") != MemberID([]string{"http://a:1", "http://b:1"}, "x") {
		t.Error("the order of the URLs counts")
	}
	if ClusterID([]uint64{1, 2}) != ClusterID([]uint64{2, 1}) {
		t.Error("the order of the members counts")
	}
}
