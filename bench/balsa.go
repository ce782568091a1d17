package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/balsa-raft/balsa"
)

// leaderTimeout is how long a cluster may take to have a leader.
const leaderTimeout = 30 * time.Second

// counter is the state machine of Balsa's members: it counts.
type counter struct{ n atomic.Uint64 }

func (c *counter) Apply(batch iter.Seq[balsa.Entry[[]byte, struct{}]]) error {
	n := uint64(0)
	for range batch {
		n++
	}
	c.n.Add(n)
	return nil
}

func (c *counter) Snapshot() (func(io.Writer) error, error) {
	n := c.n.Load()
	return func(w io.Writer) error {
		_, err := fmt.Fprintln(w, n)
		return err
	}, nil
}

func (c *counter) Restore(r io.Reader) error {
	var n uint64
	_, err := fmt.Fscanln(r, &n)
	c.n.Store(n)
	return err
}

// balsaMachine is one that tells how many commands it has executed.
type balsaMachine interface {
	balsa.StateMachine[[]byte, struct{}]
	executed() uint64
}

func (c *counter) executed() uint64 { return c.n.Load() }

type balsaCluster struct {
	nodes    []*balsa.Node[[]byte, struct{}]
	machines []balsaMachine
	leader   *balsa.Node[[]byte, struct{}]
}

// startBalsa starts three members.
func startBalsa(dir string) (*cluster, error) {
	c, err := openBalsa(dir, 3, func() balsaMachine { return &counter{} })
	if err != nil {
		return nil, err
	}
	return c.cluster(), nil
}

// openBalsa starts members as a program would, with the defaults.
func openBalsa(dir string, n int, newMachine func() balsaMachine) (*balsaCluster, error) {
	members, err := balsaMembers(n)
	if err != nil {
		return nil, err
	}
	c := &balsaCluster{}
	for _, m := range members {
		machine := newMachine()
		n, err := openBalsaMember(dir, m.ID, members, machine)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.nodes, c.machines = append(c.nodes, n), append(c.machines, machine)
	}
	if c.leader, err = c.awaitLeader(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func openBalsaMember(dir string, id balsa.NodeID, members []balsa.Member, machine balsaMachine) (*balsa.Node[[]byte, struct{}], error) {
	return balsa.Open(context.Background(), balsa.Config{
		Dir: filepath.Join(dir, fmt.Sprint(id)), ID: id, Members: members, Logger: slog.New(slog.DiscardHandler),
	}, machine)
}

func (c *balsaCluster) cluster() *cluster {
	leader, follower := c.leader, c.nodes[0]
	if follower == leader {
		follower = c.nodes[1]
	}
	return &cluster{
		write:         balsaWrite(leader),
		followerWrite: balsaWrite(follower),
		read: func(ctx context.Context) error {
			_, err := leader.Read(ctx, balsa.Linearizable)
			return err
		},
		applied: c.applied,
		close:   c.close,
	}
}

func balsaWrite(n *balsa.Node[[]byte, struct{}]) func(context.Context, []byte) error {
	return func(ctx context.Context, command []byte) error {
		_, err := n.Propose(ctx, command)
		return err
	}
}

// balsaMembers chooses ports that are free now.
func balsaMembers(n int) (members []balsa.Member, err error) {
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after all are chosen, so that they differ
		members = append(members, balsa.Member{ID: balsa.NodeID(i + 1), Address: l.Addr().String()})
	}
	return members, nil
}

func (c *balsaCluster) awaitLeader() (*balsa.Node[[]byte, struct{}], error) {
	for deadline := time.Now().Add(leaderTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, n := range c.nodes {
			if n.Status().Role == "leader" {
				return n, nil
			}
		}
	}
	return nil, errors.New("no leader")
}

func (c *balsaCluster) applied() (all []uint64) {
	for _, m := range c.machines {
		all = append(all, m.executed())
	}
	return all
}

func (c *balsaCluster) close() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}
