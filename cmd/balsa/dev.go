package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/server"
	"github.com/spf13/cobra"
)

const (
	devNodesMax = 9
	// devPortStep puts the members at 2379, 2479, 2579: easy to remember, and free where the first is.
	devPortStep = 100
	// devToken makes the ids depend on the names alone, so that the data is found again on other ports.
	devToken = "balsa-dev"
)

// devCluster is what "balsa dev" runs.
type devCluster struct {
	dir        string
	nodes      int
	nodesGiven bool
	clientPort int
	logLevel   string
	found      bool // the folder holds the cluster from an earlier start
}

func (a *app) devCommand() *cobra.Command {
	d := &devCluster{}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a cluster on this machine, for development",
		Long: `Run a cluster on this machine, for development: its members share a process, and nothing else. Each has its own
folder, its own log and its own ports: 2379, 2479, 2579 for clients, one more for its peers.
The data stays in the folder; start again to go on with it, delete the folder to start afresh.`,
		Args: argCount(0, 0, "dev [flags]"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.nodesGiven = cmd.Flags().Changed("nodes")
			return a.runDev(cmd.Context(), d)
		},
	}
	cmd.Flags().IntVar(&d.nodes, "nodes", 3, "how many members")
	cmd.Flags().StringVar(&d.dir, "data-dir", "balsa-dev", "the folder of all members' data")
	cmd.Flags().IntVar(&d.clientPort, "client-port", 2379, "the first member's port for clients; the next ones are 100 apart")
	cmd.Flags().StringVar(&d.logLevel, "log-level", "", "debug, info, warn or error (default: warn on a terminal, else info)")
	return cmd
}

func (d *devCluster) name(i int) string { return fmt.Sprintf("n%d", i+1) }
func (d *devCluster) id(i int) uint64   { return server.MemberID([]string{d.name(i)}, devToken) }
func (d *devCluster) clientAddress(i int) string {
	return fmt.Sprintf("127.0.0.1:%d", d.clientPort+devPortStep*i)
}
func (d *devCluster) peerAddress(i int) string {
	return fmt.Sprintf("127.0.0.1:%d", d.clientPort+devPortStep*i+1)
}

// endpoints lists the client addresses of the members that run.
func (d *devCluster) endpoints() string {
	var all []string
	for i := range d.nodes {
		if d.removed(d.name(i)) {
			continue
		}
		all = append(all, d.clientAddress(i))
	}
	return strings.Join(all, ",")
}

// prepare checks everything that can be wrong before anything is started.
func (d *devCluster) prepare() error {
	if d.nodes < 1 || d.nodes > devNodesMax {
		return inputError("--nodes %d: choose 1 to %d; an even number survives no more failures than one less", d.nodes, devNodesMax)
	}
	if d.dir == "" {
		return inputError("--data-dir must not be empty")
	}
	if err := d.findData(); err != nil {
		return err
	}
	if last := d.clientPort + devPortStep*(d.nodes-1) + 1; d.clientPort < 1 || last > 65535 {
		return inputError("--client-port %d: choose one so that the last member's, %d, is between 1 and 65535", d.clientPort, last)
	}
	for i := range d.nodes {
		for _, address := range []string{d.clientAddress(i), d.peerAddress(i)} {
			l, err := net.Listen("tcp", address)
			if err != nil {
				return fmt.Errorf("member %s: %w", d.name(i), explainDevPort(err, address))
			}
			l.Close()
		}
	}
	return os.MkdirAll(d.dir, 0o700)
}

// findData looks for an earlier cluster in the folder, and makes the number of members agree with it.
func (d *devCluster) findData() error {
	entries, err := os.ReadDir(d.dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	members := 0
	for i := range devNodesMax {
		if info, err := os.Stat(filepath.Join(d.dir, d.name(i))); err == nil && info.IsDir() {
			members = i + 1
		}
	}
	switch {
	case members == 0:
		return inputError("%s holds something else than a cluster of balsa dev: choose another folder with --data-dir", d.dir)
	case d.nodesGiven && members != d.nodes:
		return inputError("%s holds a cluster of %d: leave --nodes away, choose another folder with --data-dir, or delete it to start afresh", d.dir, members)
	}
	d.nodes, d.found = members, true
	return nil
}

// configs returns the members' configurations.
func (d *devCluster) configs(logger *slog.Logger) []server.Config {
	var members []server.Member
	var ids []uint64
	for i := range d.nodes {
		id := d.id(i)
		members = append(members, server.Member{ID: id, Name: d.name(i), PeerURLs: []string{"http://" + d.peerAddress(i)}})
		ids = append(ids, id)
	}
	var configs []server.Config
	for i, m := range members {
		if d.removed(m.Name) {
			continue // it stays among those that the cluster began with
		}
		configs = append(configs, server.Config{
			Name: m.Name, Dir: filepath.Join(d.dir, m.Name), ID: m.ID, ClusterID: server.ClusterID(ids), Members: members, Moved: true,
			ListenClients: []string{d.clientAddress(i)}, Version: version, Logger: logger.With("member", m.Name),
		})
	}
	return configs
}

// runDev runs the cluster until ctx ends or a member stops by itself.
func (a *app) runDev(ctx context.Context, d *devCluster) error {
	person := a.isTerminal(a.stdout)
	level, err := d.level(person)
	if err != nil {
		return err
	}
	if err := d.prepare(); err != nil {
		return err
	}
	var threshold slog.LevelVar
	threshold.Set(level)
	if person {
		threshold.Set(max(level, slog.LevelError)) // until all are up, it is no news that one does not reach the others
	}
	logger := newLogger(a.stderr, &threshold, "console")
	configs := d.configs(logger)
	if len(configs) == 0 {
		return inputError("%s holds a cluster whose members were all removed: delete it to start afresh", d.dir)
	}
	servers, err := openAll(ctx, configs)
	if ctx.Err() != nil {
		return closeAll(servers) // stopped before it was ready: no error
	}
	if err != nil {
		return err
	}
	defer closeAll(servers)
	run := &devRun{d: d, w: a.stdout, configs: configs, servers: servers, stopped: firstDone(servers), left: len(servers)}
	if err := run.awaitReady(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	threshold.Set(level)
	if person {
		a.printDev(d, uint64(servers[0].Status().Leader))
	} else {
		logger.Info("cluster is ready", "endpoints", d.endpoints(), "data-dir", d.dir)
	}
	if err := run.awaitEnd(ctx); err != nil {
		return err
	}
	if person {
		threshold.Set(slog.LevelError) // that members lose each other now is no news
		fmt.Fprintf(a.stdout, "\nStopping. The data stays in %s.\n", d.dir)
	} else {
		logger.Info("stopping")
	}
	return closeAll(servers)
}

// devRun is the members that run.
type devRun struct {
	d       *devCluster
	w       io.Writer
	configs []server.Config // of each server
	servers []*server.Server
	stopped <-chan int // the numbers of servers that have stopped
	left    int        // how many have not
}

// awaitReady waits until all servers are ready, or ctx ends.
func (r *devRun) awaitReady(ctx context.Context) error {
	for _, s := range r.servers {
		for ready := false; !ready && s.Err() == nil; {
			select {
			case <-s.Ready():
				ready = true
			case i := <-r.stopped:
				if err := r.ended(i); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}

// awaitEnd waits until ctx ends.
func (r *devRun) awaitEnd(ctx context.Context) error {
	for {
		select {
		case i := <-r.stopped:
			if err := r.ended(i); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// ended is the end of a server. One that was removed leaves the others, and is not started again.
func (r *devRun) ended(i int) error {
	r.left--
	name, err := r.configs[i].Name, r.servers[i].Err()
	if !errors.Is(err, balsa.ErrRemoved) || r.left == 0 {
		return fmt.Errorf("member %s has stopped: %w", name, err)
	}
	fmt.Fprintf(r.w, "Member %s was removed. The others go on.\n", name)
	return os.WriteFile(r.d.removedMark(name), nil, 0o600)
}

// removed reports whether a member was removed in an earlier life.
func (d *devCluster) removed(name string) bool {
	_, err := os.Stat(d.removedMark(name))
	return err == nil
}

// removedMark is the file that says that a member was removed.
func (d *devCluster) removedMark(name string) string { return filepath.Join(d.dir, name+".removed") }

// level is what to log: for a person only what is wrong.
func (d *devCluster) level(person bool) (slog.Level, error) {
	switch {
	case d.logLevel != "":
		level, err := parseLogLevel(d.logLevel)
		if err != nil {
			return 0, inputError("--log-level %q %w", d.logLevel, err)
		}
		return level, nil
	case person:
		return slog.LevelWarn, nil
	}
	return slog.LevelInfo, nil
}

// openAll opens every member or none.
func openAll(ctx context.Context, configs []server.Config) ([]*server.Server, error) {
	var servers []*server.Server
	for _, c := range configs {
		s, err := server.Open(ctx, c)
		if err != nil {
			closeAll(servers)
			return nil, fmt.Errorf("member %s: %w", c.Name, err)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// closeAll closes the members at the same time: each waits for calls that may need the others.
func closeAll(servers []*server.Server) error {
	errs := make([]error, len(servers))
	var wait sync.WaitGroup
	for i, s := range servers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			errs[i] = s.Close()
		}()
	}
	wait.Wait()
	return errors.Join(errs...)
}

// firstDone returns the number of a server that has stopped. Its goroutines end when their servers are closed.
func firstDone(servers []*server.Server) <-chan int {
	done := make(chan int, len(servers))
	for i, s := range servers {
		go func() {
			<-s.Done()
			done <- i
		}()
	}
	return done
}

// printDev says what runs and what to type next.
func (a *app) printDev(d *devCluster, leader uint64) {
	folder, err := filepath.Abs(d.dir)
	if err != nil {
		folder = d.dir
	}
	state := "new"
	if d.found {
		state = "found from an earlier start"
	}
	w := a.stdout
	fmt.Fprintf(w, "\nBalsa %s, speaking etcd %s: a cluster of %d for development\n\n", version, server.EtcdVersion, 1+strings.Count(d.endpoints(), ","))
	for i := range d.nodes {
		if d.removed(d.name(i)) {
			continue
		}
		mark := ""
		if leader == d.id(i) {
			mark = "   leader"
		}
		fmt.Fprintf(w, "  member  %-4s http://%s%s\n", d.name(i), d.clientAddress(i), mark)
	}
	fmt.Fprintf(w, "  data    %s (%s)\n\nTry, in another terminal:\n\n", folder, state)
	at := ""
	if d.clientPort != 2379 {
		at = " --endpoints=" + d.endpoints()
	}
	fmt.Fprintf(w, "  %s put%s greeting hello\n", a.call, at)
	fmt.Fprintf(w, "  %s get%s greeting\n", a.call, at)
	fmt.Fprintf(w, "  %s status%s\n", a.call, at)
	fmt.Fprintf(w, "  etcdctl --endpoints=%s get greeting\n\n", d.endpoints())
	fmt.Fprintf(w, "Ctrl-C stops the cluster. The data stays: start again to go on with it.\n\n")
}

func explainDevPort(err error, address string) error {
	if explained := explain(err); explained != err {
		return fmt.Errorf("%w with --client-port", explained)
	}
	return fmt.Errorf("cannot listen on %s: %w", address, err)
}
