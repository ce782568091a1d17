package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// The floor is the work that no system can leave out: three disks and the sockets between them, and no protocol. The leader takes what
// is waiting as one batch, sends it to both followers, writes it to its own disk meanwhile, and answers when that and one follower
// have synced it. There are no elections, terms, checks, recovery, or state machine.

const (
	floorFileBytes = 64 << 20 // filled with zeros beforehand, and written round and round
	floorBatchMax  = 4096     // commands
)

// floorCall is a command of a caller, or a batch of a follower.
type floorCall struct {
	data []byte
	done chan error
}

// floorDisk is one member's log.
type floorDisk struct {
	file *os.File
	at   int64
}

func openFloorDisk(path string) (*floorDisk, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for range floorFileBytes / len(zeros) {
		if _, err := f.Write(zeros); err != nil {
			return nil, err
		}
	}
	return &floorDisk{file: f}, f.Sync()
}

func (d *floorDisk) append(b []byte) error {
	if d.at+int64(len(b)) > floorFileBytes {
		d.at = 0
	}
	if _, err := d.file.WriteAt(b, d.at); err != nil {
		return err
	}
	d.at += int64(len(b))
	return dataSync(d.file)
}

// floorCluster owns all that has to be closed.
type floorCluster struct {
	writes, forwards chan floorCall
	reads            *floorReads
	listeners        []net.Listener
	mu               sync.Mutex
	conns            []net.Conn // guarded by mu
	disks            []*floorDisk
	serving, loops   sync.WaitGroup
}

func startFloor(dir string) (*cluster, error) {
	c := &floorCluster{writes: make(chan floorCall, floorBatchMax), forwards: make(chan floorCall, floorBatchMax), reads: newFloorReads()}
	if err := c.start(dir); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return &cluster{
		write:         func(_ context.Context, b []byte) error { return callFloor(c.writes, b) },
		followerWrite: func(_ context.Context, b []byte) error { return callFloor(c.forwards, b) },
		read:          func(context.Context) error { return c.reads.wait() },
		close:         c.close,
	}, nil
}

func callFloor(queue chan floorCall, b []byte) error {
	call := floorCall{b, make(chan error, 1)}
	queue <- call
	return <-call.done
}

func (c *floorCluster) start(dir string) error {
	for i := range 3 {
		d, err := openFloorDisk(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return err
		}
		c.disks = append(c.disks, d)
	}
	var writePeers, readPeers []*floorPeer
	for _, d := range c.disks[1:] {
		address, err := c.listen(func(b []byte) error {
			if len(b) == 0 {
				return nil // it is for reads
			}
			return d.append(b)
		})
		if err != nil {
			return err
		}
		for _, peers := range []*[]*floorPeer{&writePeers, &readPeers} {
			p, err := c.dial(address)
			if err != nil {
				return err
			}
			*peers = append(*peers, p)
		}
	}
	// What a follower is asked goes to the leader as one of its calls.
	address, err := c.listen(func(b []byte) error { return callFloor(c.writes, b) })
	if err != nil {
		return err
	}
	toLeader, err := c.dial(address)
	if err != nil {
		return err
	}
	writes, reads, forwards := newFloorLink(c.disks[0], writePeers), newFloorLink(nil, readPeers), newFloorLink(nil, []*floorPeer{toLeader})
	c.loops.Go(func() { writes.writeLoop(c.writes) })
	c.loops.Go(func() { c.reads.loop(reads) })
	c.loops.Go(func() { forwards.writeLoop(c.forwards) })
	return nil
}

func (c *floorCluster) close() error {
	for _, l := range c.listeners {
		l.Close()
	}
	c.mu.Lock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.mu.Unlock()
	c.serving.Wait() // a follower may still be writing what was acknowledged without it
	close(c.forwards)
	close(c.reads.wanted)
	close(c.writes)
	c.loops.Wait()
	for _, d := range c.disks {
		d.file.Close()
	}
	return nil
}

// floorLink is what a round goes over: the peers, and the leader's own disk if it is for writes. Its owner is the loop that calls round.
type floorLink struct {
	peers    []*floorPeer
	acks     chan *floorPeer
	toDisk   chan []byte // nil without a disk
	diskDone chan error
}

func newFloorLink(own *floorDisk, peers []*floorPeer) *floorLink {
	l := &floorLink{peers: peers, acks: make(chan *floorPeer, 1<<16)}
	for _, p := range peers {
		go p.readAnswers(l.acks)
	}
	if own != nil {
		l.toDisk, l.diskDone = make(chan []byte, 1), make(chan error, 1)
		go func() {
			for b := range l.toDisk {
				l.diskDone <- own.append(b)
			}
		}()
	}
	return l
}

// round returns once one of the peers has answered the frame, and the disk if there is one has it.
func (l *floorLink) round(frame []byte) error {
	if l.toDisk != nil {
		l.toDisk <- frame[8:]
	}
	err := sendFloor(l.peers, frame)
	for got := false; !got && err == nil; {
		p := <-l.acks
		p.owed--
		got, err = p.owed == 0, p.err
	}
	if l.toDisk != nil {
		err = errors.Join(err, <-l.diskDone)
	}
	return err
}

// writeLoop answers the calls of a queue in batches.
func (l *floorLink) writeLoop(queue chan floorCall) {
	if l.toDisk != nil {
		defer close(l.toDisk)
	}
	var calls []floorCall
	var frame []byte
	for first := range queue {
		calls, frame = takeFloorBatch(queue, first, calls[:0], frame[:0])
		err := l.round(frame)
		for _, call := range calls {
			call.done <- err
		}
	}
}

// floorReads are reads that share rounds: all that come while one is under way wait for the next one, on one channel.
type floorReads struct {
	wanted chan struct{}
	mu     sync.Mutex
	next   *floorRound // guarded by mu
}

type floorRound struct {
	done chan struct{}
	err  error // written before done is closed
}

func newFloorReads() *floorReads {
	return &floorReads{wanted: make(chan struct{}, 1), next: &floorRound{done: make(chan struct{})}}
}

func (r *floorReads) wait() error {
	r.mu.Lock()
	round := r.next
	r.mu.Unlock()
	select {
	case r.wanted <- struct{}{}:
	default:
	}
	<-round.done
	return round.err
}

func (r *floorReads) loop(l *floorLink) {
	var empty [8]byte
	for range r.wanted {
		r.mu.Lock()
		round := r.next
		r.next = &floorRound{done: make(chan struct{})}
		r.mu.Unlock()
		round.err = l.round(empty[:])
		close(round.done)
	}
}

// takeFloorBatch takes what is waiting, and makes one frame of it: its length, and the commands.
func takeFloorBatch(queue chan floorCall, first floorCall, calls []floorCall, frame []byte) ([]floorCall, []byte) {
	calls = append(calls, first)
	frame = append(append(frame, make([]byte, 8)...), first.data...)
	for len(calls) < floorBatchMax {
		select {
		case call := <-queue:
			calls = append(calls, call)
			frame = append(frame, call.data...)
			continue
		default:
		}
		break
	}
	binary.LittleEndian.PutUint64(frame, uint64(len(frame)-8))
	return calls, frame
}

func sendFloor(peers []*floorPeer, frame []byte) error {
	for _, p := range peers {
		if _, err := p.conn.Write(frame); err != nil {
			return err
		}
		p.owed++
	}
	return nil
}

// floorPeer is a connection on which frames are sent and answered in order. owed, of floorLink, is how many answers are to come.
type floorPeer struct {
	conn net.Conn
	owed int
	err  error // written before the last answer
}

func (p *floorPeer) readAnswers(acks chan<- *floorPeer) {
	r := bufio.NewReader(p.conn)
	var answer [8]byte
	for {
		if _, err := io.ReadFull(r, answer[:]); err != nil {
			p.err = err
			acks <- p
			return
		}
		acks <- p
	}
}

func (c *floorCluster) dial(address string) (*floorPeer, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c.keep(conn)
	return &floorPeer{conn: conn}, nil
}

func (c *floorCluster) keep(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
}

// listen answers every frame that comes after do has taken it.
func (c *floorCluster) listen(do func([]byte) error) (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	c.listeners = append(c.listeners, l)
	c.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.keep(conn)
			c.serving.Go(func() { serveFloor(conn, do) })
		}
	})
	return l.Addr().String(), nil
}

func serveFloor(conn net.Conn, do func([]byte) error) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 1<<20)
	var head [8]byte
	var body []byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		n := int(binary.LittleEndian.Uint64(head[:]))
		if cap(body) < n {
			body = make([]byte, n)
		}
		if _, err := io.ReadFull(r, body[:n]); err != nil {
			return
		}
		if err := do(body[:n]); err != nil {
			return
		}
		if _, err := conn.Write(head[:]); err != nil {
			return
		}
	}
}
