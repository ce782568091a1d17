// Package conformance holds Balsa's server against the real etcd. It has tests only, and is a module of its own so that
// nobody who uses Balsa downloads etcd.
//
// Every test sends the same requests to one member of etcd 3.7 and to the members of a cluster of Balsa, and compares
// the answers field by field, errors with their code and text. etcd is the oracle: no test says what the answer should
// be. The cases are in testdata/kv, one request a line; sequences from a seed follow, and the first difference found in one
// is shrunk and printed in the form of a case. The real etcdctl, 3.7 and 3.6, is run against both, and official clients
// put load on Balsa and expect no failed request.
//
// Where Balsa differs on purpose, allowance_test.go says where and why.
//
// build.sh builds etcd and etcdctl from the Go module proxy, once; the tests call it. To search longer:
//
//	go test -run Random -seed 1000 -sequences 500
package conformance
