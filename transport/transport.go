package transport

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// Config says who this member is and who its peers are. ID and Listen are required.
type Config struct {
	ID        raft.NodeID
	ClusterID uint64
	// Incarnation is that of this member's data folder. Peers are told it and may refuse another than they know.
	Incarnation uint64
	// Listen is the address to accept peers' connections on, as host:port; port 0 takes any that is free.
	Listen string
	// Advertise is where others reach this member, as host:port of at most 255 bytes. It is told to everybody that this
	// member dials, so that those who do not know it can answer. By default it is this member's own among Peers, or else
	// what is listened on; if that is a wildcard it is empty, and members that do not know this one cannot answer it.
	Advertise string
	// Peers are the addresses of the members, as host:port. This member's own may be among them.
	Peers map[raft.NodeID]string
	// Admit, if it is set, is asked for every connection in either direction, with any member of the right cluster,
	// whether peer may be the one with the data folder of that incarnation. An error refuses the connection, with the
	// verdict UnknownSender if it wraps ErrUnknownSender and WrongIncarnation otherwise; its text is logged, and told to
	// the other side if that dialled: it should say what to do. Admit is called from several goroutines, may be asked
	// more than once about one connection, and must not call the transport. See Recheck.
	Admit func(peer raft.NodeID, incarnation uint64) error
	// Find, if it is set, is asked for those who ask this member (see Ask): which member others reach at address, zero for none, the incarnation of its
	// data folder, zero if it has not shown one, and the place in the log of the configuration that says so. It is called from several goroutines.
	Find func(address string) (member raft.NodeID, incarnation uint64, at raft.Index)
	// Track, if it is set, is called with each packet that is put for a peer. What it returns, if it is not nil, is called when the connection begins to
	// write the packet. It must not block or call the transport, and it keeps nothing of the packet.
	Track func(to raft.NodeID, p wire.Packet) (sending func())
	// Logger receives what operators should know; slog.Default by default.
	Logger *slog.Logger

	// OutboxBytesMax bounds what waits for one peer, encoded; 64 MiB by default. It should hold what the members let be
	// under way to one peer: the unacknowledged entries of all groups, and on a follower its forwarded proposals.
	// Snapshots are not among it: up to 8 MiB of their chunks wait for one peer besides.
	OutboxBytesMax int
	// FrameBytesMax bounds one packet, with four bytes to spare, in both directions; 64 MiB by default. It must exceed
	// the largest command. Members may differ while it is being changed: the smaller limit holds.
	FrameBytesMax int
	// HandshakeTimeout bounds the opening of a connection, by either side; 2 s by default.
	HandshakeTimeout time.Duration
	// IdleTimeout is how long a connection may show no sign of life before it counts as broken; 5 s by default.
	// Signs come about every half second, so it should be at least 1 s. It is also how long a connection for snapshots
	// stays open when there are none.
	IdleTimeout time.Duration
}

// Handler takes what comes from peers. A peer is here also who is not in the configuration and has said hello.
type Handler interface {
	// Receive takes packets that peer from has sent, in its order. The slice, the packets and the bytes that they
	// alias belong to the handler. A batch is of one class: either InstallSnapshots alone, or none. Receive is called
	// from one goroutine at a time for one peer and class; the calls of two peers, or of two classes, overlap.
	//
	// It may block until there is room: then that peer's connection of that class, and no other, backs up. The peer
	// takes one that is stuck for its IdleTimeout for broken. It must return soon once Close has been called.
	Receive(from raft.NodeID, batch []wire.Packet)
	// Unreachable says that the main connection to peer has broken, or that one could not be made, and that what was on
	// its way is lost. It is called once for each such failure, so again and again while a peer is down. It must not
	// block. Nobody is told when chunks of snapshots are lost: their sender misses the answers.
	Unreachable(peer raft.NodeID)
	// Refused says that peer refused our main connection, with the verdict and the text of its answer, which are to be
	// judged as anything that comes from outside. It is called once for each refusal, before Unreachable, so again and
	// again while the cause lasts. It must not block.
	Refused(peer raft.NodeID, verdict wire.Verdict, reason string)
}

// ErrClosed is returned by calls after Close.
var ErrClosed = errors.New("transport: closed")

// Transport is one member's connections to its peers. It is safe for concurrent use.
type Transport struct {
	config   Config
	boot     uint64 // random; peers see from it that this process is another than before
	started  time.Time
	handler  Handler
	log      *quietLog
	net      network
	listener net.Listener
	ctx      context.Context // ends when Close begins
	cancel   context.CancelFunc
	running  sync.WaitGroup // every goroutine

	// peers are those that can be sent to, guests among them. The map is replaced, never changed, so that Send needs no
	// lock that others hold.
	peers          atomic.Pointer[map[raft.NodeID]*peer]
	droppedUnknown atomic.Uint64
	refused        atomic.Uint64

	mu        sync.Mutex
	closed    bool
	strangers []net.Conn             // accepted and not yet greeted, oldest first
	leaving   map[raft.NodeID]*peer  // removed, and not yet ended
	receiving map[raft.NodeID]*turns // of each id that has a peer, or a connection from one that ended
}

const (
	outboxBytesMaxDefault   = 64 << 20
	frameBytesMaxDefault    = 64 << 20
	handshakeTimeoutDefault = 2 * time.Second
	idleTimeoutDefault      = 5 * time.Second

	// pingInterval is how long a dialler hears nothing before it writes something to be answered, unless its
	// IdleTimeout asks for more haste.
	pingInterval = 500 * time.Millisecond
	// silentMax is in how many parts an IdleTimeout is waited for. A process that was stopped finds all its deadlines
	// passed when it goes on; it must look for what has arrived meanwhile before it calls its peers silent.
	silentMax = 4
	// pongInterval is how often an acceptor shows signs of life at most.
	pongInterval = 100 * time.Millisecond

	backoffMin = 20 * time.Millisecond
	backoffMax = time.Second

	// flushTimeout is how long what waits for a peer may take to be written after the peer was removed.
	flushTimeout = time.Second

	// strangersMax bounds connections that have not said who they are. The oldest gives way: an honest one needs a
	// round trip, so a newcomer is the likelier to be one.
	strangersMax = 64
)

// withDefaults returns c with its zero fields filled in, or an error that names the field that is wrong.
func (c Config) withDefaults() (Config, error) {
	if c.ID == 0 {
		return c, errors.New("transport: Config.ID is zero, which names nobody")
	}
	if c.Listen == "" {
		return c, errors.New("transport: Config.Listen is empty; give host:port")
	}
	defaultTo(&c.OutboxBytesMax, outboxBytesMaxDefault)
	defaultTo(&c.FrameBytesMax, frameBytesMaxDefault)
	defaultTo(&c.HandshakeTimeout, handshakeTimeoutDefault)
	defaultTo(&c.IdleTimeout, idleTimeoutDefault)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.OutboxBytesMax < 0 {
		return c, fmt.Errorf("transport: Config.OutboxBytesMax is %d", c.OutboxBytesMax)
	}
	if c.FrameBytesMax < 0 || int64(c.FrameBytesMax) > math.MaxInt32 {
		return c, fmt.Errorf("transport: Config.FrameBytesMax is %d, it can be up to %d", c.FrameBytesMax, math.MaxInt32)
	}
	if c.HandshakeTimeout < 0 || c.IdleTimeout < 0 {
		return c, fmt.Errorf("transport: Config.HandshakeTimeout is %v, IdleTimeout %v; neither can be negative", c.HandshakeTimeout, c.IdleTimeout)
	}
	if err := checkAdvertise(c.Advertise); c.Advertise != "" && err != nil {
		return c, fmt.Errorf("transport: Config.Advertise is no address for peers: %w", err)
	}
	for id, address := range c.Peers {
		if id == 0 || address == "" {
			return c, fmt.Errorf("transport: Config.Peers has member %d at %q; ids start at 1, and each needs host:port", id, address)
		}
	}
	return c, nil
}

// advertised returns what Advertise is by default; listening is the listener's address.
func (c Config) advertised(listening string) string {
	for _, address := range [...]string{c.Peers[c.ID], listening} {
		if checkAdvertise(address) == nil {
			return address
		}
	}
	return ""
}

// checkAdvertise returns an error that says why nobody could dial address from elsewhere.
func checkAdvertise(address string) error {
	if err := wire.CheckAddress(address); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return err // it names the address
	case host == "" || port == "" || port == "0":
		return fmt.Errorf("address %q lacks its host or its port", address)
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		return fmt.Errorf("address %q stands for all of this machine's; give the one that peers can dial", address)
	}
	return nil
}

func defaultTo[T int | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// Listen starts the transport: it listens, and dials every peer. Packets are handed to h from now on.
func Listen(c Config, h Handler) (*Transport, error) { return start(c, h, tcp()) }

func start(c Config, h Handler, n network) (*Transport, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	listener, err := n.listen(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("transport: cannot listen on %s for peers: %w", c.Listen, plain(err))
	}
	t := &Transport{
		config:    c,
		boot:      newBoot(),
		handler:   h,
		net:       n,
		started:   time.Now(),
		listener:  listener,
		log:       newQuietLog(c.Logger),
		leaving:   map[raft.NodeID]*peer{},
		receiving: map[raft.NodeID]*turns{},
	}
	if c.Advertise == "" {
		t.config.Advertise = c.advertised(t.Addr())
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.peers.Store(&map[raft.NodeID]*peer{})
	t.running.Go(t.accept)
	for id, address := range c.Peers {
		t.SetPeer(id, address)
	}
	return t, nil
}

func newBoot() uint64 {
	var b [8]byte
	rand.Read(b[:]) // it never fails
	return binary.LittleEndian.Uint64(b[:])
}

func (t *Transport) uptime() time.Duration { return time.Since(t.started) }

// Addr returns the address that is listened on, as host:port with the port that was taken.
func (t *Transport) Addr() string { return t.listener.Addr().String() }

// Send queues p for the peer, an InstallSnapshot apart from everything else. It never blocks. p is encoded before Send
// returns, so nothing of it is kept. If there is no room, or no such peer, or p is too large, it is dropped and counted
// in Stats; a packet that is queued can be lost all the same.
func (t *Transport) Send(to raft.NodeID, p wire.Packet) {
	peer := (*t.peers.Load())[to]
	if peer == nil {
		t.droppedUnknown.Add(1)
		return
	}
	switch peer.lanes[classOf(p.Message)].out.put(p) {
	case nowhere:
		t.droppedUnknown.Add(1)
	case tooLarge:
		t.log.warn("packet to peer is larger than a frame can be; raise FrameBytesMax on all members",
			"peer", to, "packet", fmt.Sprintf("%T", p.Message), "frameBytesMax", t.config.FrameBytesMax)
	}
}

// SetPeer makes peers of this member include id at address, or changes its address, which opens a new connection. An
// empty address removes the peer: what waits for it is still written, for about a second at most, and then its
// connections are closed. It can come back like anyone who says hello.
func (t *Transport) SetPeer(id raft.NodeID, address string) {
	if id == t.config.ID || id == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	p := (*t.peers.Load())[id]
	switch {
	case p == nil && address != "":
		t.add(id, address, false)
	case p == nil:
	case address != "":
		p.settle(address)
	case p.isGuest():
		t.end(p)
	default:
		t.replace(id, nil)
		t.leaving[id] = p
		p.leave()
	}
}

// add makes a peer or guest of id, which has none. The caller holds the mutex.
func (t *Transport) add(id raft.NodeID, address string, guest bool) *peer {
	if p := t.leaving[id]; p != nil {
		t.end(p) // or its connection and the new one would replace each other
	}
	receiving := t.receiving[id]
	if receiving == nil {
		receiving = newTurns()
		t.receiving[id] = receiving
	}
	receiving.users++
	p := newPeer(t, id, address, guest, receiving)
	t.replace(id, p)
	p.start()
	return p
}

// end ends a peer at once. One that has ended already is left alone. The caller holds the mutex.
func (t *Transport) end(p *peer) {
	switch {
	case (*t.peers.Load())[p.id] == p:
		t.replace(p.id, nil)
	case t.leaving[p.id] == p:
		delete(t.leaving, p.id)
	default:
		return
	}
	p.stop()
	t.yield(p.id)
}

// replace makes p, or nobody, the peer of that id. The caller holds the mutex.
func (t *Transport) replace(id raft.NodeID, p *peer) {
	peers := maps.Clone(*t.peers.Load())
	delete(peers, id)
	if p != nil {
		peers[id] = p
	}
	t.peers.Store(&peers)
}

// Close stops the transport and waits until everything that it started has ended, so no method of the handler is
// running or will be called after it. Packets that wait are dropped.
func (t *Transport) Close() error {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		t.cancel()
		t.listener.Close()
		for _, conn := range t.strangers {
			conn.Close()
		}
		for _, p := range *t.peers.Load() {
			p.stop()
		}
		// Those that leave are stopped by depart, which sees that ctx has ended.
	}
	t.mu.Unlock()
	t.running.Wait()
	return nil
}
