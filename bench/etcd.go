package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"go.etcd.io/raft/v3"
)

// etcd/raft leaves disk, network and the loop around the core to the program. These are as etcd's own server has them: its log (package
// wal, which syncs what must be), its settings, its order of steps, its way to batch and to read. See etcdserver/raft.go and etcdserver/read
// there. What the server adds for clients (a gRPC call, a request in protobuf, the store) is left out.

type etcdCluster struct{ members []*etcdMember }

func startEtcd(dir string) (*cluster, error) {
	c := &etcdCluster{}
	leader, follower, err := c.start(dir)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return &cluster{write: leader.write, followerWrite: follower.write, read: leader.reads.wait, applied: c.applied, close: c.close}, nil
}

func (c *etcdCluster) start(dir string) (leader, follower *etcdMember, err error) {
	listeners := map[uint64]net.Listener{}
	var peers []raft.Peer
	for id := uint64(1); id <= 3; id++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		listeners[id] = l
		peers = append(peers, raft.Peer{ID: id})
	}
	for id := uint64(1); id <= 3; id++ {
		m, err := newEtcdMember(id, filepath.Join(dir, fmt.Sprint(id)), listeners, peers)
		if err != nil {
			return nil, nil, err
		}
		c.members = append(c.members, m)
	}
	if err := c.members[0].node.Campaign(context.Background()); err != nil {
		return nil, nil, err
	}
	for deadline := time.Now().Add(leaderTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if lead := c.leader(); lead > 0 {
			return c.members[lead-1], c.members[lead%3], nil
		}
	}
	return nil, nil, errors.New("no leader")
}

// leader is the one that all agree on, or zero.
func (c *etcdCluster) leader() uint64 {
	lead := c.members[0].lead.Load()
	for _, m := range c.members {
		if m.lead.Load() != lead {
			return 0
		}
	}
	return lead
}

func (c *etcdCluster) applied() (all []uint64) {
	for _, m := range c.members {
		all = append(all, m.commands.Load())
	}
	return all
}

func (c *etcdCluster) close() error {
	var errs []error
	for _, m := range c.members {
		errs = append(errs, m.close())
	}
	return errors.Join(errs...)
}
