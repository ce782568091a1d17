package main

import (
	"context"
	"fmt"
	"strings"
)

// system is one that can be measured.
type system struct {
	name    string // of -systems
	title   string // in tables and plots
	modules []string
	start   func(dir string) (*cluster, error)
}

// systems are all that there are, in the order in which they run.
var systems = []system{
	{name: "floor", title: "floor", start: startFloor},
	{name: "hashicorp", title: "hashicorp/raft", modules: []string{"github.com/hashicorp/raft", "github.com/hashicorp/raft-wal"}, start: startHashicorp},
	{name: "etcd", title: "etcd/raft", modules: []string{"go.etcd.io/raft/v3", "go.etcd.io/etcd/server/v3"}, start: startEtcd},
	{name: "dragonboat", title: "dragonboat", modules: []string{"github.com/lni/dragonboat/v4"}, start: startDragonboat},
	{name: "balsa", title: "Balsa", start: startBalsa},
}

func systemNamed(name string) (system, error) {
	var names []string
	for _, s := range systems {
		if s.name == name {
			return s, nil
		}
		names = append(names, s.name)
	}
	return system{}, fmt.Errorf("there is no system %q: choose of %s", name, strings.Join(names, ", "))
}

// cluster is three members that run in this process. A function that is nil is something that the system does not do.
type cluster struct {
	// write returns once the command is committed and the member that was asked has applied it: the leader, or with followerWrite
	// a follower, which hands it on.
	write, followerWrite func(ctx context.Context, command []byte) error
	// read returns once the leader may answer a linearizable read.
	read func(ctx context.Context) error
	// applied is how many commands each member's state machine has been given.
	applied func() []uint64
	close   func() error
}

// The operations of -ops.
const (
	opWrite         = "write"
	opRead          = "read"
	opFollowerWrite = "follower-write"
)

var operations = []string{opWrite, opRead, opFollowerWrite}

// operation returns what op does to the cluster, nil if the system does not have it. newCommand makes the command of a write.
func (c *cluster) operation(op string, newCommand func() []byte) func(context.Context) error {
	write := map[string]func(context.Context, []byte) error{opWrite: c.write, opFollowerWrite: c.followerWrite}[op]
	switch {
	case op == opRead:
		return c.read
	case write == nil:
		return nil
	}
	return func(ctx context.Context) error { return write(ctx, newCommand()) }
}
