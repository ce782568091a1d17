package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/server"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

// How a server finds out who it is. The data folder knows, once there is one; before, a server that joins asks the cluster: with --join its
// clients' port, under etcd's flags, which name no other, its peers' port.
//
// That the folder decides makes each start after the first the same as any other, whatever has become of the cluster meanwhile. That the cluster is
// asked for a member at this server's URL, before one is added, makes a start that was interrupted go on where it was.

const (
	// joinPatience is how long to try to join: others may be joining, or the cluster be without a leader for a moment.
	joinPatience = 30 * time.Second
	// strangerPatience is how long nobody may know of a member at our URL: it may have been added a moment ago.
	strangerPatience = 3 * time.Second
	joinPause        = 250 * time.Millisecond
	joinCallTimeout  = 5 * time.Second
	// checkTimeout bounds a question whose answer a server can start without.
	checkTimeout = time.Second
)

// waitError is why this server cannot join yet.
type waitError struct {
	error
	patience time.Duration
}

func (e *waitError) Unwrap() error { return e.error }

// findPlace makes the configuration that of the member that this server is: one of a new cluster, one that joins, or the one that its data folder
// belongs to.
func (c *serverSettings) findPlace(ctx context.Context, log *slog.Logger) error {
	cluster, id, err := balsa.FolderOwner(c.config.Dir)
	switch {
	case err == nil && c.join != nil:
		return c.rejoin(ctx, log, cluster, uint64(id))
	case err == nil:
		return c.goOn(ctx, log, cluster, uint64(id))
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case c.join != nil:
		return c.patiently(ctx, log, c.joinByClient)
	case c.state == "existing":
		return c.patiently(ctx, log, c.joinByPeers)
	}
	return c.begin(ctx, log)
}

// begin lets a new cluster begin, unless one of its members is one of a cluster that exists, or knows this server with data that it does not have.
func (c *serverSettings) begin(ctx context.Context, log *slog.Logger) error {
	if len(c.others) == 0 {
		return c.overhear(ctx, log)
	}
	for _, p := range c.askPeers(ctx, checkTimeout) {
		switch {
		case p.err != nil: // most likely it has not started yet
		case p.place.Cluster != c.config.Cluster():
			return inputError("the member at %s is of cluster %x already, and these settings begin another one: to add this server to that cluster use --join, "+
				"or add it with \"balsa members add\" and set --initial-cluster-state existing; to begin a new one, give all its members the same "+
				"--initial-cluster and --initial-cluster-token, and empty data folders", p.peer, p.place.Cluster)
		case p.place.Incarnation != 0:
			return c.lostFolder(&pb.Member{ID: uint64(p.place.Member), Name: c.config.Name, PeerURLs: c.peerURLs})
		}
	}
	return nil
}

// belongTo makes the configuration that of a member of a cluster that exists.
func (c *serverSettings) belongTo(cluster, id uint64) {
	c.config.Members, c.config.ClusterID = nil, 0
	c.config.Join, c.config.ID = cluster, id
	c.config.AdvertisePeer = addresses(c.peerURLs)[0]
}

// patiently tries to join until it succeeds, fails for good, or lasts too long.
func (c *serverSettings) patiently(ctx context.Context, log *slog.Logger, try func(context.Context, *slog.Logger) error) error {
	begin, said := time.Now(), ""
	for {
		err := try(ctx, log)
		var wait *waitError
		if !errors.As(err, &wait) {
			return err
		}
		if time.Since(begin) > wait.patience {
			return wait.error
		}
		if said != err.Error() {
			said = err.Error()
			log.Warn("cannot join yet, trying again", "cause", said)
		}
		select {
		case <-time.After(joinPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *serverSettings) joinClient(timeout time.Duration) *client {
	return &client{endpoints: c.join, dialTimeout: min(timeout, 2*time.Second), timeout: timeout,
		hint: "--join must name servers of the cluster that are running, where they answer clients"}
}

// joinByClient finds this server among the members, or adds it.
func (c *serverSettings) joinByClient(ctx context.Context, log *slog.Logger) error {
	cl := c.joinClient(joinCallTimeout)
	all, err := cl.members(ctx)
	if err != nil {
		return c.mayWait(ctx, err)
	}
	if !all.isBalsa { // etcd would take this server for a voter that is down
		return inputError("--join %s names a cluster of etcd, which Balsa cannot join: begin a cluster of Balsa with --initial-cluster", strings.Join(c.join, ","))
	}
	if m := all.at(c.peerURLs); m != nil {
		if m.Name != "" {
			return c.lostFolder(m)
		}
		log.Info("this server is a member already, and starts for the first time", "member-id", fmt.Sprintf("%x", m.ID))
		c.belongTo(all.cluster, m.ID)
		return nil
	}
	var added *pb.MemberAddResponse
	change := &memberChange{client: *cl}
	err = change.do(ctx, func(ctx context.Context, cluster pb.ClusterClient, reason grpc.CallOption) (err error) {
		added, err = cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: c.peerURLs}, reason)
		return err
	})
	if err != nil {
		return c.mayWait(ctx, err)
	}
	log.Info("this server was added to the cluster; it becomes a voter as soon as it has caught up",
		"member-id", fmt.Sprintf("%x", added.Member.ID), "cluster-id", fmt.Sprintf("%x", added.Header.ClusterId))
	c.belongTo(added.Header.ClusterId, added.Member.ID)
	return nil
}

// mayWait makes an error that waits of one that may pass.
func (c *serverSettings) mayWait(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var code *exitCodeError
	var failure *callFailure
	passes := errors.As(err, &code) && code.code == exitConnect
	if errors.As(err, &failure) {
		passes = failure.unknown || is(failure.message, rpctypes.ErrGRPCMemberNotEnoughStarted, rpctypes.ErrGRPCUnhealthy, rpctypes.ErrGRPCNoLeader,
			rpctypes.ErrGRPCTimeout, rpctypes.ErrGRPCLeaderChanged, rpctypes.ErrGRPCStopped, rpctypes.ErrGRPCPeerURLExist)
	}
	if passes {
		return &waitError{err, joinPatience}
	}
	return fmt.Errorf("cannot join the cluster at %s: %w", strings.Join(c.join, ","), err)
}

// lostFolder is the error of a server without data that the cluster knows as one that has had some.
func (c *serverSettings) lostFolder(m *pb.Member) error {
	again := "with --join " + c.endpoints(nil) + " or --initial-cluster-state existing"
	if c.join != nil {
		again = "as now"
	}
	return &exitCodeError{exitReplaced, fmt.Errorf("the data folder %s is empty, and the cluster knows the member at %s, %s, with another one.\n"+
		"If that was lost, put a new member in its place:\n  balsa members replace %x %s --endpoints %s\nthen delete %s, and start this server again %s.\n"+
		"If it was not, name it with --data-dir. If another server uses this URL, give this one its own with --initial-advertise-peer-urls",
		c.config.Dir, strings.Join(m.PeerURLs, ","), memberText(m), m.ID, c.peerURLs[0], c.endpoints(nil), c.config.Dir, again)}
}

// rejoin goes on with the data folder, if the cluster that is to be joined does not say that it is the wrong one.
func (c *serverSettings) rejoin(ctx context.Context, log *slog.Logger, cluster, id uint64) error {
	all, err := c.joinClient(checkTimeout).members(ctx)
	switch {
	case err != nil:
		log.Info("the cluster that was joined could not be asked; going on with the data folder", "cause", err.Error())
	case all.cluster != cluster:
		return inputError("%s belongs to cluster %x, and --join names cluster %x: choose another folder with --data-dir, or delete this one if nothing in it is needed",
			c.config.Dir, cluster, all.cluster)
	case !slices.ContainsFunc(all.members, func(m *pb.Member) bool { return m.ID == id }):
		return c.removed(id, all.clientURLs(id))
	}
	c.belongTo(cluster, id)
	return nil
}

// goOn goes on with the data folder. As in etcd, the settings that say how a cluster begins do not matter then; they may be of another time. A folder that
// cannot be of this server is left to be refused when it is opened.
func (c *serverSettings) goOn(ctx context.Context, log *slog.Logger, cluster, id uint64) error {
	switch {
	case c.config.Cluster() == cluster: // as it began
		return nil
	case c.state == "new" && c.config.ID != id:
		return nil
	}
	for _, p := range c.askPeers(ctx, checkTimeout) {
		if p.err == nil && p.place.Cluster != cluster {
			return inputError("%s belongs to cluster %x, and the member at %s to cluster %x: choose another folder with --data-dir, or delete this one if nothing in it is needed",
				c.config.Dir, cluster, p.peer, p.place.Cluster)
		}
	}
	log.Info("going on with the data folder; --initial-cluster, which says how a cluster begins, is ignored", "member-id", fmt.Sprintf("%x", id))
	c.begun = c.state == "new"
	c.belongTo(cluster, id)
	return nil
}

// checkBegun refuses a folder that was made with another --initial-cluster, and has seen nothing since: its server would wait for a cluster that
// may never begin.
func (c *serverSettings) checkBegun(s *server.Server) error {
	if !c.begun || len(s.Status().Members) > 0 {
		return nil
	}
	return inputError("%s was made by a start with another --initial-cluster or --initial-cluster-token, and that cluster has not begun: "+
		"start with those again, or delete the folder, in which there is nothing", c.config.Dir)
}

// answer is what a peer says, or why it says nothing.
type answer struct {
	peer  string
	place balsa.Place
	err   error
}

// askPeers asks the other members of --initial-cluster for the member at this server's URLs.
func (c *serverSettings) askPeers(ctx context.Context, timeout time.Duration) []answer {
	return c.ask(ctx, c.others, timeout)
}

// ask asks servers for the member at this server's URLs.
func (c *serverSettings) ask(ctx context.Context, peers []string, timeout time.Duration) []answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answers := make(chan answer, len(peers))
	for _, peer := range peers {
		go func() {
			var best answer
			for _, about := range addresses(c.peerURLs) {
				place, err := balsa.FindPlace(ctx, peer, about)
				if best.peer == "" || best.place.Member == 0 {
					best = answer{peer, place, err}
				}
			}
			answers <- best
		}()
	}
	var all []answer
	for range peers {
		all = append(all, <-answers)
	}
	return all
}

// joinByPeers finds this server among the members that the others know of.
func (c *serverSettings) joinByPeers(ctx context.Context, log *slog.Logger) error {
	var best balsa.Place
	var failures []string
	answered := ""
	for _, p := range c.askPeers(ctx, joinCallTimeout) {
		switch {
		case p.err != nil:
			failures = append(failures, p.err.Error())
			continue
		case answered != "" && p.place.Cluster != best.Cluster:
			return inputError("--initial-cluster names members of two clusters: %s is of %x, %s of %x", answered, best.Cluster, p.peer, p.place.Cluster)
		case answered == "" || p.place.Version > best.Version:
			best = p.place
		}
		answered = p.peer
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(c.others) == 0:
		return inputError("--initial-cluster-state existing needs --initial-cluster with the members that there are, or use --join")
	case answered == "":
		slices.Sort(failures)
		return &waitError{&exitCodeError{exitConnect, fmt.Errorf("no other member of --initial-cluster can be asked: %s", strings.Join(failures, "; "))}, joinPatience}
	case best.Member == 0:
		return &waitError{inputError("cluster %x has no member at %s: add it with \"balsa members add\" or \"etcdctl member add\" first, or use --join, which does that too",
			best.Cluster, strings.Join(c.peerURLs, ",")), strangerPatience}
	}
	if best.Incarnation != 0 {
		return c.lostFolder(&pb.Member{ID: uint64(best.Member), Name: c.config.Name, PeerURLs: c.peerURLs})
	}
	log.Info("this server is a member, and starts for the first time", "member-id", fmt.Sprintf("%x", uint64(best.Member)), "cluster-id", fmt.Sprintf("%x", best.Cluster))
	c.belongTo(best.Cluster, uint64(best.Member))
	return nil
}

// removed is the end of a server that is no member any more.
func (c *serverSettings) removed(id uint64, others []string) error {
	return &exitCodeError{exitRemoved, fmt.Errorf("this server, %s (%x), was removed from the cluster, and its data folder is of no use any more. "+
		"To bring it back as a new member, delete %s and start it with --join %s", c.config.Name, id, c.config.Dir, c.endpoints(others))}
}

// removalInterval is how often a server that hears no leader, and is not among the members that it knows of, asks whether it is one.
const removalInterval = time.Second

// awaitRemoval returns true when this server finds that it is no member any more, and false when ctx has ended. One that hears of its removal stops
// by itself. But one that has stopped, or was stopped, and is started again would hear no more: nobody speaks to it, and it does not know whether
// the last configuration in its log was agreed on.
func (c *serverSettings) awaitRemoval(ctx context.Context, s *server.Server) bool {
	tick := time.NewTicker(removalInterval)
	defer tick.Stop()
	silent := 0
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
		st := s.Status()
		if silent++; st.Leader != 0 || slices.ContainsFunc(st.Members, func(m balsa.Member) bool { return m.ID == st.ID }) {
			silent = 0
		}
		if silent > 1 && c.mostSayRemoved(ctx, st) {
			return true
		}
	}
}

// mostSayRemoved reports whether most of the members that this server knows of say that it is none.
func (c *serverSettings) mostSayRemoved(ctx context.Context, st balsa.Status) bool {
	peers := c.others
	if len(st.Members) > 0 {
		peers = nil
		for _, m := range st.Members {
			peers = append(peers, m.Address)
		}
	}
	no := 0
	for _, p := range c.ask(ctx, peers, checkTimeout) {
		if p.err == nil && p.place.Cluster == st.Cluster && p.place.Version > 0 && p.place.Member != st.ID {
			no++
		}
	}
	return no > len(peers)/2
}

// endpoints are those that people are told to use.
func (c *serverSettings) endpoints(others []string) string {
	switch {
	case len(others) > 0:
		return strings.Join(others, ",")
	case len(c.join) > 0:
		return strings.Join(c.join, ",")
	}
	return "http://ANOTHER-MEMBER:2379"
}

// stopped is the error of a member that has stopped by itself.
func (c *serverSettings) stopped(s *server.Server) error {
	err := s.Err()
	switch {
	case errors.Is(err, balsa.ErrRemoved):
		return c.removed(c.config.ID, s.Others())
	case errors.Is(err, balsa.ErrReplaced):
		return c.lostFolder(&pb.Member{ID: c.config.ID, Name: c.config.Name, PeerURLs: c.peerURLs})
	}
	return fmt.Errorf("this member has stopped: %w", err)
}
