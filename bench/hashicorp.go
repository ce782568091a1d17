package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// hashicorpMachine counts.
type hashicorpMachine struct{ n atomic.Uint64 }

func (m *hashicorpMachine) Apply(*raft.Log) any { m.n.Add(1); return nil }

func (m *hashicorpMachine) Snapshot() (raft.FSMSnapshot, error) {
	return hashicorpSnapshot(m.n.Load()), nil
}

func (m *hashicorpMachine) Restore(r io.ReadCloser) error {
	defer r.Close()
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	m.n.Store(binary.LittleEndian.Uint64(b[:]))
	return nil
}

type hashicorpSnapshot uint64

func (s hashicorpSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(binary.LittleEndian.AppendUint64(nil, uint64(s))); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}
func (hashicorpSnapshot) Release() {}

type hashicorpCluster struct {
	members  []*raft.Raft
	machines []*hashicorpMachine
	closers  []io.Closer // what the members do not close themselves
}

// startHashicorp starts members with the log that Consul and Vault use, and with batches allowed, which are not the default.
func startHashicorp(dir string) (*cluster, error) {
	c := &hashicorpCluster{}
	leader, err := c.start(dir)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return &cluster{
		write: func(_ context.Context, command []byte) error { return leader.Apply(command, callTimeout).Error() },
		// A follower takes no writes: the program has to find the leader itself.
		followerWrite: nil,
		read:          func(context.Context) error { return leader.VerifyLeader().Error() },
		applied:       c.applied,
		close:         c.close,
	}, nil
}

func (c *hashicorpCluster) start(dir string) (leader *raft.Raft, err error) {
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr})
	var transports []*raft.NetworkTransport
	var servers []raft.Server
	for i := range 3 {
		t, err := raft.NewTCPTransportWithLogger("127.0.0.1:0", nil, 5, callTimeout, logger)
		if err != nil {
			return nil, err
		}
		c.closers = append(c.closers, t)
		transports = append(transports, t)
		servers = append(servers, raft.Server{ID: raft.ServerID(fmt.Sprint(i)), Address: t.LocalAddr()})
	}
	for i := range 3 {
		if err := c.startMember(filepath.Join(dir, fmt.Sprint(i)), servers[i].ID, transports[i], logger); err != nil {
			return nil, err
		}
	}
	if err := c.members[0].BootstrapCluster(raft.Configuration{Servers: servers}).Error(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(leaderTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, r := range c.members {
			if r.State() == raft.Leader {
				return r, nil
			}
		}
	}
	return nil, errors.New("no leader")
}

func (c *hashicorpCluster) startMember(dir string, id raft.ServerID, t raft.Transport, logger hclog.Logger) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	config := raft.DefaultConfig()
	config.LocalID = id
	config.Logger = logger
	config.BatchApplyCh = true
	config.MaxAppendEntries = 1024
	log, err := wal.Open(dir)
	if err != nil {
		return err
	}
	c.closers = append(c.closers, log)
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, 2, logger)
	if err != nil {
		return err
	}
	machine := &hashicorpMachine{}
	r, err := raft.NewRaft(config, machine, log, log, snapshots, t)
	if err != nil {
		return err
	}
	c.members, c.machines = append(c.members, r), append(c.machines, machine)
	return nil
}

func (c *hashicorpCluster) applied() (all []uint64) {
	for _, m := range c.machines {
		all = append(all, m.n.Load())
	}
	return all
}

func (c *hashicorpCluster) close() error {
	var errs []error
	for _, r := range c.members {
		errs = append(errs, r.Shutdown().Error())
	}
	for _, closer := range c.closers {
		errs = append(errs, closer.Close())
	}
	return errors.Join(errs...)
}
