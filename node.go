package balsa

import (
	"bytes"
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/balsa-raft/balsa/host"
	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/transport"
)

// Node is one member's handle on the replicated state machine. It is safe for concurrent use.
type Node[C, R any] struct {
	config    Config
	machine   *machine[C, R]
	host      *host.Host
	group     *host.Group
	transport *transport.Transport

	leave sync.Once // before it is closed
	done  chan struct{}
	once  sync.Once
	err   error // why done is closed; written before
}

// soleGroup is the group of a Node: a Node has one.
const soleGroup = 1

// Open starts this member: it recovers its log from config.Dir (or starts a new one), replays it into machine and takes
// part in the cluster. It returns as soon as the member is running, which may be before there is a leader.
func Open[C, R any](ctx context.Context, config Config, user StateMachine[C, R]) (*Node[C, R], error) {
	config = config.withDefaults()
	if err := errors.Join(ctx.Err(), config.validate()); err != nil {
		return nil, err
	}
	n := &Node[C, R]{
		config:  config,
		machine: &machine[C, R]{user: user, codec: CodecFor[C](), results: CodecFor[R]()},
		done:    make(chan struct{}),
	}
	h, err := host.Open(config.host())
	if err != nil {
		return nil, err
	}
	if err := n.join(h); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return n, nil
}

func (n *Node[C, R]) join(h *host.Host) (err error) {
	n.host = h
	if n.group, err = h.Join(soleGroup, n.config.raft(), n.machine.forHost()); err != nil {
		return err
	}
	n.group.OnStop(n.end)
	if n.transport, err = transport.Listen(n.config.transport(h), h); err != nil {
		return err
	}
	h.Connect(n.transport)
	h.Start()
	return nil
}

// end marks the node as stopped, for the first reason that it is given.
func (n *Node[C, R]) end(err error) {
	n.once.Do(func() {
		n.err = err
		close(n.done)
	})
}

// Propose replicates the command and returns its result once this member has applied it. It may be called on any
// member. It ends with a Result, or with an error that wraps ErrNotCommitted (no effect, now or ever: propose
// again) or ErrUnknownOutcome (ctx ended first); see the errors of this package.
//
// Give ctx an end: without one Propose waits for as long as there is no majority.
func (n *Node[C, R]) Propose(ctx context.Context, command C) (Result[R], error) {
	data, err := n.encode(host.HeaderBytes, command)
	if err != nil {
		return Result[R]{}, err
	}
	w := &waiter[R]{}
	w.Owner, w.Data = w, data
	index, err := n.propose(ctx, &w.Proposal)
	if err != nil {
		return Result[R]{}, err
	}
	return Result[R]{Value: w.value, Index: index}, nil
}

// noHeader is what encode leaves room for.
var noHeader [host.SessionHeaderBytes]byte

// encode returns the command behind so much room.
func (n *Node[C, R]) encode(room int, command C) ([]byte, error) {
	a := arenas.Get().(*arena)
	defer arenas.Put(a)
	data, err := n.machine.codec.Append(a.room(room), command)
	if err != nil {
		return nil, fmt.Errorf("%w: encode the command: %w", ErrNotCommitted, err)
	}
	if len(data) < room || !bytes.Equal(data[:room], noHeader[:room]) {
		return nil, fmt.Errorf("%w: encode the command: its encoding must be appended to what is there", ErrNotCommitted)
	}
	return a.cut(data), nil
}

// propose hands in a proposal and waits for its outcome.
func (n *Node[C, R]) propose(ctx context.Context, p *host.Proposal) (Index, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotCommitted, err)
	}
	return n.group.Do(ctx, p)
}

// Read waits until this member's state machine is as fresh as level demands, and returns the index up to which it
// has then at least been applied. The caller reads the machine itself, after Read has returned. It works on every member.
func (n *Node[C, R]) Read(ctx context.Context, level Level) (Index, error) {
	return n.group.DoRead(ctx, level)
}

// Transfer hands the lead over to another member, which must be a voter that is alive and close behind; to zero chooses one. It is called on
// the leader. It returns when another member leads, and with an error if the lead cannot be handed over, or was not within an election
// timeout: this member then goes on. Commands that are proposed meanwhile wait.
func (n *Node[C, R]) Transfer(ctx context.Context, to NodeID) error {
	t := n.group.Transfer(to)
	select {
	case <-t.Done():
		return t.Err()
	case <-ctx.Done():
		return fmt.Errorf("balsa: the transfer of the lead goes on: %w", ctx.Err())
	}
}

// Status returns the member's view of the cluster.
func (n *Node[C, R]) Status() Status {
	s := n.group.Status()
	log := n.host.LogStats()
	status := Status{
		ID: s.ID, Cluster: n.host.Identity().ClusterID, Leader: s.Leader, Term: s.Term, Role: s.Role.String(),
		CommitIndex: s.CommitIndex, AppliedIndex: s.AppliedIndex, DurableIndex: s.DurableIndex,
		FirstIndex: s.FirstIndex, LastIndex: s.LastIndex, LogBytes: log.Bytes,
		Members: membersOf(s.Configuration.Configuration), MembersVersion: cmp.Or(s.Configuration.Change, host.FirstBase), MembersPending: s.ChangeWaits,
		LeaderChanges: s.LeaderChanges, Pending: s.Pending, Sessions: s.Sessions,
	}
	for _, p := range s.Peers {
		status.Peers = append(status.Peers, PeerStatus(p))
	}
	return status
}

// Done is closed when the node has stopped by a failure, or begins to Close. After a failure Close it too: it still holds its folder
// and its address.
func (n *Node[C, R]) Done() <-chan struct{} { return n.done }

// Err says why the node stopped: ErrClosed, or an error that wraps ErrFailed. It is nil while the node runs.
func (n *Node[C, R]) Err() error {
	select {
	case <-n.done:
		return n.err
	default:
		return nil
	}
}

// Close stops the member and waits until everything it started has ended: calls that wait return, and the state machine is not called
// any more. What was acknowledged is durable. A leader hands over first, so that the others need no election, and calls of Propose get their
// outcome: that takes a few round trips, and at most three election timeouts if it does not succeed. Closing again waits for the first and
// returns the same.
func (n *Node[C, R]) Close() error {
	n.leave.Do(func() {
		n.handOver()
		n.group.Drain()
	})
	n.end(ErrClosed)
	return errors.Join(n.transport.Close(), n.host.Close())
}

// handOver lets another member lead if this one does. Whether it succeeds matters little.
func (n *Node[C, R]) handOver() {
	if n.Err() == nil && n.Status().Role == raft.Leader.String() {
		<-n.group.Transfer(0).Done()
	}
}

// newRand returns randomness that differs between members and between starts.
func newRand() *rand.Rand {
	var seed [16]byte
	cryptorand.Read(seed[:]) // never fails
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(seed[:]), binary.LittleEndian.Uint64(seed[8:])))
}

// epoch is larger at every start, as long as the wall clock is not set back between two of them; zero before 1970 and after 2262.
func epoch() uint64 { return uint64(max(0, time.Now().UnixNano())) }
