package server

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/balsa-raft/balsa"
)

// EtcdVersion is the version of etcd whose API this package answers. It is purely numeric because clients parse it.
const EtcdVersion = "3.7.3"

// clusterVersion is EtcdVersion without its patch level, as etcd reports the cluster's and the storage's.
const clusterVersion = "3.7.0"

// The limits of etcd, and of its gRPC server over them.
const (
	maxTxnOpsDefault       = 128
	maxRequestBytesDefault = 3 << 19 // 1.5 MiB
	// grpcOverheadBytes is what a message may exceed MaxRequestBytes by and still be answered with an etcd error
	// instead of gRPC's own.
	grpcOverheadBytes  = 512 << 10
	maxLearnersDefault = 1
)

// MaxRequestBytesLimit is the most that Config.MaxRequestBytes can be: what members send each other has a bound, and a request may take up
// to twice its bytes there.
const MaxRequestBytesLimit = 24 << 20

// Member is one server of the cluster as it first starts.
type Member struct {
	ID       uint64
	Name     string
	PeerURLs []string // http://host:port; the first is the one that peers use
}

// Config describes one member. Name, Dir, ID, ListenClients and either Members or Join are required; the zero value of every other field
// is a good default.
type Config struct {
	// Name is this member's name for people.
	Name string
	// Dir is this member's data folder.
	Dir string
	// ID is this member's id: one of Members', or with Join the one that it was added under. MemberID and NewMemberID make etcd's.
	ID uint64
	// Members is the cluster as it first starts, the same on every member, and ClusterID its id, which ClusterID makes as etcd does.
	// (What clients see as the cluster's id is Status.Cluster, which balsa makes of it.)
	Members   []Member
	ClusterID uint64
	// Join makes this a member of a cluster that exists, instead of Members: the cluster's id as clients see it.
	Join uint64

	// Moved: the members are reached at their addresses in Members, whatever the cluster knows of before.
	Moved bool

	// ListenClients are the addresses (host:port) to answer clients on.
	ListenClients []string
	// ListenHTTP are addresses (host:port) to answer HTTP alone on, as /health and /metrics for probes; none by default.
	ListenHTTP []string
	// AdvertiseClientURLs are the URLs by which clients reach this member; by default those of ListenClients.
	AdvertiseClientURLs []string
	// ListenPeer is the address (host:port) to answer peers on; by default that of this member's first peer URL. Required with Join.
	ListenPeer string
	// AdvertisePeer is the address (host:port) at which peers reach this member; by default that of its first peer URL, or ListenPeer.
	AdvertisePeer string

	// HeartbeatInterval and ElectionTimeout are balsa.Config's.
	HeartbeatInterval, ElectionTimeout time.Duration

	// MaxTxnOps is how many operations a transaction may have; 128 by default.
	MaxTxnOps int
	// MaxRequestBytes is how large a write may be, encoded; 1.5 MiB by default, at most MaxRequestBytesLimit.
	MaxRequestBytes int
	// MaxLearners is how many learners the cluster may have, as far as clients add them to this member; 1 by default, as in etcd.
	MaxLearners int
	// QuotaBackendBytes is reported to clients; nothing enforces it yet.
	QuotaBackendBytes int64
	// MaxConcurrentStreams is how many calls one connection may have open; unlimited by default.
	MaxConcurrentStreams uint32

	// KeepAliveMinTime is how often a client may ping; 5 s by default.
	KeepAliveMinTime time.Duration
	// KeepAliveInterval is how often to ping a silent client, 2 h by default, and KeepAliveTimeout how long to wait for
	// its answer before the connection is closed, 20 s by default. Negative: never ping.
	KeepAliveInterval, KeepAliveTimeout time.Duration

	// Pprof serves Go's profiles on /debug/pprof/ of the client port.
	Pprof bool
	// Version is the program's own version, for /version and the metrics.
	Version string
	// Logger receives what operators should know; slog.Default by default.
	Logger *slog.Logger
}

// withDefaults returns the configuration with every default written out, or an error that names the wrong field.
func (c Config) withDefaults() (Config, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	setDefault(&c.HeartbeatInterval, 100*time.Millisecond)
	setDefault(&c.ElectionTimeout, time.Second)
	setDefault(&c.MaxTxnOps, maxTxnOpsDefault)
	setDefault(&c.MaxRequestBytes, maxRequestBytesDefault)
	setDefault(&c.MaxLearners, maxLearnersDefault)
	setDefault(&c.KeepAliveMinTime, 5*time.Second)
	setDefault(&c.KeepAliveInterval, 2*time.Hour)
	setDefault(&c.KeepAliveTimeout, 20*time.Second)
	if c.Dir == "" {
		return c, errors.New("server: Config.Dir is empty: name a data folder")
	}
	if len(c.ListenClients) == 0 {
		return c, errors.New("server: Config.ListenClients is empty: name an address to answer clients on")
	}
	if c.MaxTxnOps < 0 || c.MaxRequestBytes < 0 || c.MaxLearners < 0 {
		return c, fmt.Errorf("server: Config.MaxTxnOps %d, MaxRequestBytes %d and MaxLearners %d must not be negative", c.MaxTxnOps, c.MaxRequestBytes, c.MaxLearners)
	}
	if c.MaxRequestBytes > MaxRequestBytesLimit {
		return c, fmt.Errorf("server: Config.MaxRequestBytes is %d, at most %d is possible", c.MaxRequestBytes, MaxRequestBytesLimit)
	}
	if c.Join != 0 {
		return c, c.checkJoin()
	}
	self, ok := c.member(c.ID)
	if !ok {
		return c, fmt.Errorf("server: Config.Members does not contain this member's id %x", c.ID)
	}
	for _, m := range c.Members {
		if len(m.PeerURLs) == 0 || peerAddress(m.PeerURLs[0]) == "" {
			return c, fmt.Errorf("server: member %x of Config.Members has peer URLs %q: the first must be http://HOST:PORT", m.ID, m.PeerURLs)
		}
	}
	setDefault(&c.ListenPeer, peerAddress(self.PeerURLs[0]))
	return c, nil
}

func (c Config) checkJoin() error {
	switch {
	case len(c.Members) > 0:
		return errors.New("server: Config.Members and Config.Join exclude each other: a member that joins is told by the others who they are")
	case c.ID == 0:
		return errors.New("server: Config.ID is zero: a member that joins needs the id that it was added under")
	case c.ListenPeer == "":
		return errors.New("server: Config.ListenPeer is empty: a member that joins needs to be told where to answer the others")
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) member(id uint64) (Member, bool) {
	for _, m := range c.Members {
		if m.ID == id {
			return m, true
		}
	}
	return Member{}, false
}

// Cluster names the cluster, as clients see it and balsa.FolderOwner finds it in a data folder.
func (c Config) Cluster() uint64 {
	first := balsa.Config{ClusterID: c.ClusterID, Join: c.Join}
	for _, m := range c.Members {
		first.Members = append(first.Members, balsa.Member{ID: balsa.NodeID(m.ID)})
	}
	return first.Cluster()
}

// peers returns Members as the root wants them.
func (c Config) peers() []balsa.Member {
	var ms []balsa.Member
	for _, m := range c.Members {
		ms = append(ms, balsa.Member{ID: balsa.NodeID(m.ID), Address: peerAddress(m.PeerURLs[0])})
	}
	return ms
}
