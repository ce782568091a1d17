// Package server answers the etcd v3 API over a replicated kv.Store: it is the only room of Balsa that knows
// gRPC. Open starts one member: its store, its balsa.Node, and one listener a client address, on which gRPC
// and HTTP share the port.
//
// # The life of a request
//
// sniff.go tells gRPC from HTTP by a connection's first bytes. kv.go answers the KV service: a write is turned
// into a kv.Command (convert.go), checked, proposed to the node, and its kv.Response is turned back; a linearizable read first waits at the node until this member is fresh enough, a serializable one does not.
// errors.go says which error a client sees: text and code are etcd's, because clients compare them.
//
// # What clients rely on
//
// Names, header fields, limits and error texts are those of etcd 3.7. Two rules are stricter than etcd's. A write is
// answered "request timed out" whenever its outcome is unknown, and with no other retryable error; every other error
// means that it had no effect. A transaction without operations is linearizable.
//
// # What etcd cannot say
//
// What etcd's messages have no field for is in the metadata of the calls: that a change of members is forced, that a new member takes the place
// of an old one, why a change was refused, and what one under way waits for. See MetadataForce and the others.
//
// # What is not here
//
// Watches, leases, authentication, locks, elections, snapshots and TLS are answered with
// Unimplemented and a text that says so.
package server
