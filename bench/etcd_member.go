package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// etcd's defaults.
const (
	etcdTick             = 100 * time.Millisecond
	etcdElectionTicks    = 10
	etcdMessageBytesMax  = 1 << 20
	etcdInflightMax      = 512
	etcdSnapshotEntries  = 10_000
	etcdSnapshotKeptTail = 5_000
)

// etcdMember is one member: the core, its log, and its connections.
type etcdMember struct {
	id      uint64
	node    raft.Node
	storage *raft.MemoryStorage
	log     *wal.WAL
	net     *etcdNet
	reads   *etcdReads

	toApply  chan etcdApply
	lead     atomic.Uint64
	applied  atomic.Uint64 // index
	commands atomic.Uint64

	requests atomic.Uint64
	waits    etcdWaits

	stop    chan struct{}
	stopped sync.WaitGroup
	failed  atomic.Pointer[error] // the first failure of disk
}

// etcdApply is what a step of the core gives to the state machine. saved is closed once what else it gives is saved.
type etcdApply struct {
	raft.Ready
	saved chan struct{}
}

func newEtcdMember(id uint64, dir string, listeners map[uint64]net.Listener, peers []raft.Peer) (*etcdMember, error) {
	l, err := wal.Create(zap.NewNop(), dir, fmt.Append(nil, id))
	if err != nil {
		return nil, err
	}
	m := &etcdMember{
		id: id, log: l, storage: raft.NewMemoryStorage(),
		toApply: make(chan etcdApply, 16), stop: make(chan struct{}),
	}
	m.reads = newEtcdReads(m)
	m.waits.init()
	m.node = raft.StartNode(&raft.Config{
		ID: id, ElectionTick: etcdElectionTicks, HeartbeatTick: 1, Storage: m.storage,
		MaxSizePerMsg: etcdMessageBytesMax, MaxInflightMsgs: etcdInflightMax, CheckQuorum: true, PreVote: true,
		Logger: &raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
	}, peers)
	m.net = newEtcdNet(m, listeners)
	m.stopped.Go(m.run)
	m.stopped.Go(m.apply)
	m.stopped.Go(m.reads.run)
	return m, nil
}

// write proposes the command, and waits until this member has applied it.
func (m *etcdMember) write(ctx context.Context, command []byte) error {
	id := m.id<<56 | m.requests.Add(1)
	done := m.waits.register(id)
	data := append(binary.LittleEndian.AppendUint64(make([]byte, 0, 8+len(command)), id), command...)
	if err := m.node.Propose(ctx, data); err != nil {
		m.waits.trigger(id)
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		m.waits.trigger(id)
		return ctx.Err()
	case <-m.stop:
		return m.failure()
	}
}

// run is etcd's loop: apply meanwhile; the leader sends, then saves; others save, then send.
func (m *etcdMember) run() {
	ticker := time.NewTicker(etcdTick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.node.Tick()
		case rd := <-m.node.Ready():
			if err := m.ready(rd); err != nil {
				m.failed.CompareAndSwap(nil, &err)
				return
			}
			m.node.Advance()
		case <-m.stop:
			return
		}
	}
}

func (m *etcdMember) ready(rd raft.Ready) error {
	if rd.SoftState != nil {
		m.lead.Store(rd.SoftState.Lead)
	}
	if n := len(rd.ReadStates); n > 0 {
		m.reads.answered(rd.ReadStates[n-1])
	}
	work := etcdApply{rd, make(chan struct{})}
	select {
	case m.toApply <- work:
	case <-m.stop:
		return nil
	}
	leads := m.lead.Load() == m.id
	if leads {
		m.net.send(rd.Messages) // beside its own write (thesis 10.2.1)
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		meta := rd.Snapshot.GetMetadata()
		if err := m.log.SaveSnapshot(&walpb.Snapshot{Index: new(meta.GetIndex()), Term: new(meta.GetTerm()), ConfState: meta.GetConfState()}); err != nil {
			return err
		}
	}
	if err := m.log.Save(rd.HardState, rd.Entries); err != nil {
		return err
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := m.storage.ApplySnapshot(rd.Snapshot); err != nil {
			return err
		}
	}
	if err := m.storage.Append(rd.Entries); err != nil {
		return err
	}
	close(work.saved)
	if !leads {
		m.net.send(rd.Messages)
	}
	return nil
}

// apply gives committed entries to the state machine, which counts.
func (m *etcdMember) apply() {
	var conf *raftpb.ConfState
	compacted := uint64(0)
	for {
		select {
		case <-m.stop:
			return
		case rd := <-m.toApply:
			if !raft.IsEmptySnap(rd.Snapshot) {
				m.commands.Store(binary.LittleEndian.Uint64(rd.Snapshot.GetData()))
				m.applied.Store(rd.Snapshot.GetMetadata().GetIndex())
				conf = rd.Snapshot.GetMetadata().GetConfState()
			}
			if c := m.applyEntries(rd.CommittedEntries); c != nil {
				conf = c
			}
			m.reads.hasApplied()
			if at := m.applied.Load(); at >= compacted+etcdSnapshotEntries {
				compacted = at
				select {
				case <-rd.saved: // what is applied may not be in storage before
				case <-m.stop:
					return
				}
				m.compact(at, conf)
			}
		}
	}
}

// applyEntries returns the members, if an entry has changed them.
func (m *etcdMember) applyEntries(entries []*raftpb.Entry) (conf *raftpb.ConfState) {
	if len(entries) == 0 {
		return nil
	}
	n := uint64(0)
	for _, e := range entries {
		switch {
		case e.GetType() == raftpb.EntryConfChange:
			var change raftpb.ConfChange
			if err := unmarshal(e.GetData(), &change); err == nil {
				conf = m.node.ApplyConfChange(&change)
			}
		case len(e.GetData()) >= 8:
			n++
			m.waits.trigger(binary.LittleEndian.Uint64(e.GetData()))
		}
	}
	m.commands.Add(n)
	m.applied.Store(entries[len(entries)-1].GetIndex())
	return conf
}

// compact keeps the log in memory short. The snapshot is in memory too, as etcd's most often are.
func (m *etcdMember) compact(at uint64, conf *raftpb.ConfState) {
	if _, err := m.storage.CreateSnapshot(at, conf, binary.LittleEndian.AppendUint64(nil, m.commands.Load())); err != nil {
		return
	}
	if at > etcdSnapshotKeptTail {
		m.storage.Compact(at - etcdSnapshotKeptTail)
	}
}

// failure says why the member does not answer.
func (m *etcdMember) failure() error {
	if err := m.failed.Load(); err != nil {
		return *err
	}
	return errors.New("the member is closed")
}

func (m *etcdMember) close() error {
	close(m.stop)
	m.net.close()
	m.node.Stop()
	m.stopped.Wait()
	err := m.log.Close()
	if failed := m.failed.Load(); failed != nil {
		err = errors.Join(*failed, err)
	}
	return err
}

// etcdWaits are the callers that wait for an entry, by its id, in so many parts that they seldom wait for each other.
type etcdWaits [64]struct {
	mu sync.Mutex
	m  map[uint64]chan struct{}
}

func (w *etcdWaits) init() {
	for i := range w {
		w[i].m = map[uint64]chan struct{}{}
	}
}

func (w *etcdWaits) register(id uint64) <-chan struct{} {
	part, c := &w[id%uint64(len(w))], make(chan struct{})
	part.mu.Lock()
	part.m[id] = c
	part.mu.Unlock()
	return c
}

// trigger ends the wait for id, if there is one here.
func (w *etcdWaits) trigger(id uint64) {
	part := &w[id%uint64(len(w))]
	part.mu.Lock()
	c, ok := part.m[id]
	delete(part.m, id)
	part.mu.Unlock()
	if ok {
		close(c)
	}
}
