package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/balsa-raft/balsa"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

// closeGrace is how long Close waits for calls that are under way. Those that wait for a cluster without a
// quorum would hold it up for the whole request timeout.
const closeGrace = time.Second

// httpIdleTimeout is how long a connection of HTTP/1 may wait for its next request.
const httpIdleTimeout = 2 * time.Minute

// Server is one running member. It is safe for concurrent use.
type Server struct {
	*member
	grpc     *grpc.Server
	health   *health.Server
	http     *http.Server
	sniffers []*sniffer

	ready  chan struct{} // closed once the member is published
	stop   context.CancelFunc
	wait   sync.WaitGroup
	close  sync.Once
	result error // of Close
}

// Open starts a member and answers clients at once; until there is a leader, with errors. The error says what to
// change: the address that is taken, the folder that cannot be used.
func Open(ctx context.Context, config Config) (*Server, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	listeners, err := listen(slices.Concat(config.ListenClients, config.ListenHTTP))
	if err != nil {
		return nil, err
	}
	clients := listeners[:len(config.ListenClients)]
	if len(config.AdvertiseClientURLs) == 0 {
		for _, l := range clients {
			config.AdvertiseClientURLs = append(config.AdvertiseClientURLs, "http://"+l.Addr().String())
		}
	}
	n, st, err := openNode(ctx, config)
	if err != nil {
		closeAll(listeners)
		return nil, err
	}
	return serve(config, n, st, clients, listeners[len(clients):]), nil
}

func listen(addresses []string) ([]net.Listener, error) {
	var out []net.Listener
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			closeAll(out)
			return nil, fmt.Errorf("server: cannot listen for clients: %w", err)
		}
		out = append(out, l)
	}
	return out, nil
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		l.Close()
	}
}

// serve starts the services over a node that runs. It owns the node and the listeners from here on.
func serve(config Config, n node, st store, clients, httpOnly []net.Listener) *Server {
	s := &Server{
		member: &member{
			config: config, node: n, store: st,
			view:    newView(n),
			metrics: &metrics{start: time.Now()},
			timeout: 5*time.Second + 2*config.ElectionTimeout,
		},
		health: health.NewServer(),
		ready:  make(chan struct{}),
	}
	s.grpc = s.newGRPC()
	s.http = &http.Server{Handler: s.httpHandler(), ReadHeaderTimeout: sniffTimeout, IdleTimeout: httpIdleTimeout, MaxHeaderBytes: 64 << 10}
	for _, l := range clients {
		s.serveClients(l)
	}
	for _, l := range httpOnly {
		s.start(func() { s.http.Serve(l) })
		config.Logger.Info("serving client traffic", "address", l.Addr().String(), "traffic", "http")
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.start(func() {
		if s.publish(ctx) {
			config.Logger.Info("ready to serve client requests")
			close(s.ready)
		}
	})
	s.start(func() { s.watchNode(ctx) })
	return s
}

func (s *Server) serveClients(l net.Listener) {
	sn := newSniffer(l)
	s.sniffers = append(s.sniffers, sn)
	s.start(func() { s.grpc.Serve(sn.grpc) })
	s.start(func() { s.http.Serve(sn.http) })
	s.start(func() {
		if err := sn.serve(); err != nil {
			s.config.Logger.Error("stopped accepting clients; restart this member", "address", l.Addr().String(), "error", err)
		}
	})
	s.config.Logger.Info("serving client traffic", "address", l.Addr().String(), "traffic", "grpc+http")
}

// watchNode tells clients and operators when the member stops by itself.
func (s *Server) watchNode(ctx context.Context) {
	select {
	case <-s.node.Done():
		s.health.Shutdown()
		s.config.Logger.Error("this member has stopped", "error", s.node.Err())
	case <-ctx.Done():
	}
}

func (s *Server) newGRPC() *grpc.Server {
	c := s.config
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(c.MaxRequestBytes + grpcOverheadBytes),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: c.KeepAliveMinTime}),
		grpc.UnknownServiceHandler(unimplemented),
		grpc.ConnectionTimeout(sniffTimeout),
		// A goroutine a call would grow its stack anew each time; these have grown theirs already.
		grpc.NumStreamWorkers(streamWorkers),
		grpc.SharedWriteBuffer(true), // an idle connection holds no buffer
	}
	if c.KeepAliveInterval > 0 {
		options = append(options, grpc.KeepaliveParams(keepalive.ServerParameters{Time: c.KeepAliveInterval, Timeout: c.KeepAliveTimeout}))
	}
	if c.MaxConcurrentStreams > 0 {
		options = append(options, grpc.MaxConcurrentStreams(c.MaxConcurrentStreams))
	}
	g := grpc.NewServer(options...)
	g.RegisterService(only(pb.KV_ServiceDesc, "Range", "Put", "DeleteRange", "Txn", "Compact"), &kvService{member: s.member})
	g.RegisterService(&pb.Cluster_ServiceDesc, &clusterService{member: s.member})
	g.RegisterService(only(pb.Maintenance_ServiceDesc, "Status", "Alarm", "MoveLeader"), &maintenanceService{member: s.member})
	grpc_health_v1.RegisterHealthServer(g, s.health)
	return g
}

// streamWorkers is how many goroutines serve calls; a call beyond them gets one of its own. A call that waits for
// the cluster holds its worker, so there are as many as calls are often open.
const streamWorkers = 256

// Addrs returns the addresses that clients are answered on, in the order of Config.ListenClients.
func (s *Server) Addrs() []net.Addr {
	var out []net.Addr
	for _, sn := range s.sniffers {
		out = append(out, sn.listener.Addr())
	}
	return out
}

// Ready is closed once the cluster has a leader and knows this member's name and client URLs.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Status is this member's view of the cluster.
func (s *Server) Status() balsa.Status { return s.node.Status() }

// Others are the client URLs of the other members, as far as this member knows them.
func (s *Server) Others() (urls []string) {
	for _, m := range s.store.Members() {
		if m.ID != s.config.ID {
			urls = append(urls, m.ClientURLs...)
		}
	}
	slices.Sort(urls)
	return urls
}

// Done is closed when the member has stopped, by Close or by itself; Err says why.
func (s *Server) Done() <-chan struct{} { return s.node.Done() }

// Err says why the member stopped: balsa.ErrClosed, or an error that wraps balsa.ErrFailed. It is nil while it runs.
func (s *Server) Err() error { return s.node.Err() }

// Close hands the lead over if this member has it, serving until another one leads; then it refuses new calls, lets those under way end for
// a second, and stops the member. What was acknowledged is durable, closed or not.
func (s *Server) Close() error {
	s.close.Do(func() {
		s.health.Shutdown() // first, so that those who look send no more clients here
		s.handOver()
		s.stop()
		for _, sn := range s.sniffers {
			sn.Close()
		}
		ended := make(chan struct{})
		s.start(func() {
			s.grpc.GracefulStop()
			close(ended)
		})
		select {
		case <-ended:
		case <-time.After(closeGrace):
		}
		// The node goes before Stop: calls that wait on it end, and Stop waits for calls.
		err := s.node.Close()
		for _, sn := range s.sniffers {
			sn.closeConns()
		}
		s.grpc.Stop()
		s.http.Close()
		s.wait.Wait()
		if err != nil && !errors.Is(err, balsa.ErrClosed) {
			s.result = err
		}
	})
	return s.result
}

// handOver lets another member lead before this one stops answering: else every call anywhere would wait for one that nobody can reach.
func (s *Server) handOver() {
	if st := s.node.Status(); s.node.Err() != nil || st.Leader != st.ID {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*s.config.ElectionTimeout)
	defer cancel()
	if err := s.node.Transfer(ctx, 0); err != nil {
		s.config.Logger.Info("the lead was not handed over", "error", err)
	}
}

// hexID is how etcd's tools write member and cluster ids.
func hexID(id uint64) string { return strconv.FormatUint(id, 16) }
