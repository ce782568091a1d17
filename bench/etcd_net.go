package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	etcdOutboxMax    = 4096 // messages, as etcd's streams
	etcdBufferBytes  = 64 << 10
	etcdFrameByteMax = 64 << 20
)

// etcdNet has a connection to each peer for what is sent, and one from each for what comes.
type etcdNet struct {
	m        *etcdMember
	listener net.Listener
	outboxes map[uint64]chan *raftpb.Message
	stopped  sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn // guarded by mu
	closed bool       // guarded by mu
}

func newEtcdNet(m *etcdMember, listeners map[uint64]net.Listener) *etcdNet {
	n := &etcdNet{m: m, listener: listeners[m.id], outboxes: map[uint64]chan *raftpb.Message{}}
	n.stopped.Go(n.accept)
	for id, l := range listeners {
		if id == m.id {
			continue
		}
		outbox, address := make(chan *raftpb.Message, etcdOutboxMax), l.Addr().String()
		n.outboxes[id] = outbox
		n.stopped.Go(func() { n.write(address, outbox) })
	}
	return n
}

// send never blocks: what a peer does not take in time is dropped, and raft sends it again.
func (n *etcdNet) send(messages []*raftpb.Message) {
	for i, msg := range messages {
		if msg.GetType() == raftpb.MsgAppResp && slices.ContainsFunc(messages[i+1:], func(later *raftpb.Message) bool { return later.GetType() == raftpb.MsgAppResp }) {
			continue // of several acknowledgements the last says all
		}
		to := msg.GetTo()
		outbox, ok := n.outboxes[to]
		if !ok {
			continue
		}
		select {
		case outbox <- msg:
			if msg.GetType() == raftpb.MsgSnap {
				n.m.node.ReportSnapshot(to, raft.SnapshotFinish)
			}
		default:
			n.m.node.ReportUnreachable(to)
		}
	}
}

// write sends what is in the outbox, and flushes when that is empty.
func (n *etcdNet) write(address string, outbox <-chan *raftpb.Message) {
	conn, err := net.Dial("tcp", address)
	if err != nil || !n.keep(conn) {
		return
	}
	defer conn.Close()
	w := bufio.NewWriterSize(conn, etcdBufferBytes)
	var frame []byte
	for {
		select {
		case <-n.m.stop:
			return
		case msg := <-outbox:
			frame, err = proto.MarshalOptions{}.MarshalAppend(append(frame[:0], 0, 0, 0, 0), msg)
			if err != nil {
				return
			}
			binary.LittleEndian.PutUint32(frame, uint32(len(frame)-4))
			if _, err := w.Write(frame); err != nil {
				return
			}
			if len(outbox) == 0 && w.Flush() != nil {
				return
			}
		}
	}
}

func (n *etcdNet) accept() {
	for {
		conn, err := n.listener.Accept()
		if err != nil || !n.keep(conn) {
			return
		}
		n.stopped.Go(func() { n.read(conn) })
	}
}

func (n *etcdNet) read(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, etcdBufferBytes)
	var head [4]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		size := binary.LittleEndian.Uint32(head[:])
		if size > etcdFrameByteMax {
			return
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		msg := &raftpb.Message{}
		if err := proto.Unmarshal(body, msg); err != nil {
			return
		}
		if err := n.m.node.Step(context.Background(), msg); err == raft.ErrStopped {
			return
		}
	}
}

// keep remembers a connection to close it; with false it is closed already.
func (n *etcdNet) keep(conn net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		conn.Close()
		return false
	}
	n.conns = append(n.conns, conn)
	return true
}

func (n *etcdNet) close() {
	n.listener.Close()
	n.mu.Lock()
	n.closed = true
	for _, conn := range n.conns {
		conn.Close()
	}
	n.mu.Unlock()
}

func unmarshal(b []byte, m proto.Message) error { return proto.Unmarshal(b, m) }
