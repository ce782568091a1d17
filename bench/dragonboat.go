package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/logger"
	"github.com/lni/dragonboat/v4/plugin/tan"
	"github.com/lni/dragonboat/v4/statemachine"
)

// dragonboatShard is the id of the one group that there is.
const dragonboatShard = 1

// dragonboatMachine counts.
type dragonboatMachine struct{ n *atomic.Uint64 }

func (m dragonboatMachine) Update(statemachine.Entry) (statemachine.Result, error) {
	return statemachine.Result{Value: m.n.Add(1)}, nil
}
func (m dragonboatMachine) Lookup(any) (any, error) { return m.n.Load(), nil }

func (m dragonboatMachine) SaveSnapshot(w io.Writer, _ statemachine.ISnapshotFileCollection, _ <-chan struct{}) error {
	_, err := w.Write(binary.LittleEndian.AppendUint64(nil, m.n.Load()))
	return err
}

func (m dragonboatMachine) RecoverFromSnapshot(r io.Reader, _ []statemachine.SnapshotFile, _ <-chan struct{}) error {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	m.n.Store(binary.LittleEndian.Uint64(b[:]))
	return nil
}
func (m dragonboatMachine) Close() error { return nil }

type dragonboatCluster struct {
	members  []*dragonboat.NodeHost
	machines []dragonboatMachine
}

// startDragonboat starts members with the faster of its two logs, tan, and an election timeout of a second, as etcd's and hashicorp/raft's are.
func startDragonboat(dir string) (*cluster, error) {
	for _, of := range []string{"config", "dragonboat", "LogDB", "logdb", "pebblekv", "raft", "raftpb", "registry", "rsm", "server", "settings", "tan", "transport"} {
		logger.GetLogger(of).SetLevel(logger.ERROR)
	}
	c := &dragonboatCluster{}
	leader, err := c.start(dir)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	follower := c.members[0]
	if follower == leader {
		follower = c.members[1]
	}
	return &cluster{
		write:         dragonboatWrite(leader),
		followerWrite: dragonboatWrite(follower),
		read: func(context.Context) error {
			r, err := leader.ReadIndex(dragonboatShard, callTimeout)
			return dragonboatAnswer(r, err)
		},
		applied: c.applied,
		close:   c.close,
	}, nil
}

func dragonboatWrite(m *dragonboat.NodeHost) func(context.Context, []byte) error {
	session := m.GetNoOPSession(dragonboatShard)
	return func(_ context.Context, command []byte) error {
		r, err := m.Propose(session, command, callTimeout)
		return dragonboatAnswer(r, err)
	}
}

// dragonboatAnswer waits for the end of a request that was begun, and gives it back to its pool.
func dragonboatAnswer(r *dragonboat.RequestState, err error) error {
	if err != nil {
		return err
	}
	defer r.Release()
	if answer := <-r.ResultC(); !answer.Completed() {
		return fmt.Errorf("not completed: timeout %v, terminated %v, rejected %v, dropped %v",
			answer.Timeout(), answer.Terminated(), answer.Rejected(), answer.Dropped())
	}
	return nil
}

func (c *dragonboatCluster) start(dir string) (leader *dragonboat.NodeHost, err error) {
	addresses, err := balsaMembers(3)
	if err != nil {
		return nil, err
	}
	members := map[uint64]dragonboat.Target{}
	for _, m := range addresses {
		members[uint64(m.ID)] = m.Address
	}
	for id := range uint64(3) {
		if err := c.startMember(filepath.Join(dir, fmt.Sprint(id+1)), id+1, members); err != nil {
			return nil, err
		}
	}
	for deadline := time.Now().Add(leaderTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if id, _, ok, err := c.members[0].GetLeaderID(dragonboatShard); err == nil && ok {
			return c.members[id-1], nil
		}
	}
	return nil, errors.New("no leader")
}

func (c *dragonboatCluster) startMember(dir string, id uint64, members map[uint64]dragonboat.Target) error {
	expert := config.GetDefaultExpertConfig()
	expert.LogDBFactory = tan.Factory
	m, err := dragonboat.NewNodeHost(config.NodeHostConfig{
		NodeHostDir: dir, WALDir: filepath.Join(dir, "wal"), RTTMillisecond: 100, RaftAddress: members[id], Expert: expert,
	})
	if err != nil {
		return err
	}
	machine := dragonboatMachine{new(atomic.Uint64)}
	c.members, c.machines = append(c.members, m), append(c.machines, machine)
	return m.StartReplica(members, false, func(_, _ uint64) statemachine.IStateMachine { return machine },
		config.Config{ShardID: dragonboatShard, ReplicaID: id, ElectionRTT: 10, HeartbeatRTT: 1, CheckQuorum: true})
}

func (c *dragonboatCluster) applied() (all []uint64) {
	for _, m := range c.machines {
		all = append(all, m.n.Load())
	}
	return all
}

func (c *dragonboatCluster) close() error {
	for _, m := range c.members {
		m.Close()
	}
	return nil
}
