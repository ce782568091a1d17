package main

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/balsa-raft/balsa/wire"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// A cluster that began with one member, and has grown since, has a weak spot: the settings of that member name nobody else. With its data folder lost
// it would begin a cluster of one again, under the same id, and answer clients with nothing, or take writes that nobody else has. It can ask
// nobody. But the others try to reach it all the time: so before it begins it listens whether somebody does.

const (
	// overhearTime is how long: longer than the others take to try again where nobody listens, or a machine has been down.
	overhearTime     = 2200 * time.Millisecond
	overhearConnsMax = 16
)

// overhear returns an error if a member of the cluster that this server is about to begin tries to reach it.
func (c *serverSettings) overhear(ctx context.Context, log *slog.Logger) error {
	l, err := net.Listen("tcp", c.config.ListenPeer)
	if err != nil {
		return nil // it will be said when the server is opened
	}
	log.Info("about to begin a new cluster; listening first whether there is one that has lost this member", "for", overhearTime.String())
	ctx, cancel := context.WithTimeout(ctx, overhearTime)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer func() { stop(); l.Close() }()
	heard := make(chan wire.Hello)
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for range overhearConnsMax {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go greet(ctx, conn, heard)
		}
	}()
	for {
		select {
		case h := <-heard:
			if h.ClusterID == c.config.Cluster() && uint64(h.To) == c.config.ID && uint64(h.From) != c.config.ID {
				return c.lostFolder(&pb.Member{ID: c.config.ID, Name: c.config.Name, PeerURLs: c.peerURLs})
			}
		case <-ctx.Done():
			<-accepted
			return nil
		}
	}
}

// greet reads what a caller says first.
func greet(ctx context.Context, conn net.Conn, heard chan<- wire.Hello) {
	defer conn.Close()
	end, _ := ctx.Deadline()
	conn.SetDeadline(end)
	h, err := wire.ReadHello(conn)
	if err != nil {
		return
	}
	select {
	case heard <- h:
	case <-ctx.Done():
	}
}
