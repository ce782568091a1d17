package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/balsa-raft/balsa/server"
	"github.com/spf13/cobra"
)

// serverSettings is what the flags of "balsa server" say, before the cluster is made of it.
type serverSettings struct {
	config       server.Config
	listenClient []string // URLs, as the next ones
	listenPeer   []string
	advertise    []string
	clientHTTP   []string
	peerURLs     []string
	cluster      string
	token, state string
	join         []string // host:port of servers of a cluster to join
	others       []string // host:port of the other members of --initial-cluster, where peers reach them
	begun        bool     // the data folder must be of a cluster that has begun: see checkBegun
	logLevel     slog.Level
	logFormat    string
	logOutputs   []string
}

// listSetting is the setting of a list of URLs.
func listSetting(name, value, usage string, to func(*serverSettings) *[]string) setting {
	return setting{name, value, usage, "urls", func(c *serverSettings, v string) error {
		if v == "" {
			return nil
		}
		urls, err := parseURLs(v)
		*to(c) = urls
		return err
	}}
}

func textSetting(name, value, usage string, to func(*serverSettings) *string) setting {
	return setting{name, value, usage, "string", func(c *serverSettings, v string) error {
		*to(c) = v
		return nil
	}}
}

// settings are the flags of "balsa server" that have a meaning, in the order in which they are applied.
var settings = []setting{
	textSetting("name", "default", "this member's name", func(c *serverSettings) *string { return &c.config.Name }),
	textSetting("data-dir", "", "this member's data folder (default NAME.balsa)", func(c *serverSettings) *string { return &c.config.Dir }),
	listSetting("listen-client-urls", "http://localhost:2379", "where to answer clients", func(c *serverSettings) *[]string { return &c.listenClient }),
	listSetting("advertise-client-urls", "", "where clients reach this member (default: --listen-client-urls)", func(c *serverSettings) *[]string { return &c.advertise }),
	listSetting("listen-peer-urls", "http://localhost:2380", "where to answer the other members", func(c *serverSettings) *[]string { return &c.listenPeer }),
	listSetting("initial-advertise-peer-urls", "http://localhost:2380", "where the other members reach this one", func(c *serverSettings) *[]string { return &c.peerURLs }),
	textSetting("initial-cluster", "", "the members as the cluster first starts, as NAME=URL,NAME=URL (default: this member alone)", func(c *serverSettings) *string { return &c.cluster }),
	textSetting("initial-cluster-token", "etcd-cluster", "what tells this cluster from others", func(c *serverSettings) *string { return &c.token }),
	{"initial-cluster-state", "new", "new, or existing for a member that joins", "string", func(c *serverSettings, v string) error {
		if v != "new" && v != "existing" {
			return errors.New("must be new or existing")
		}
		c.state = v
		return nil
	}},
	{"join", "", "servers of a cluster to join, where they answer clients; this server is added to it unless it is a member already", "urls", func(c *serverSettings, v string) error {
		if v == "" {
			return nil
		}
		for _, e := range strings.Split(v, ",") {
			address, err := endpointAddress(strings.TrimSpace(e))
			if err != nil {
				return fmt.Errorf("contains %w", err)
			}
			c.join = append(c.join, address)
		}
		return nil
	}},
	{"heartbeat-interval", "100", "how often a leader speaks, in milliseconds", "ms", func(c *serverSettings, v string) (err error) {
		c.config.HeartbeatInterval, err = milliseconds(v)
		return err
	}},
	{"election-timeout", "1000", "how long to wait for a leader before an election, in milliseconds", "ms", func(c *serverSettings, v string) (err error) {
		c.config.ElectionTimeout, err = milliseconds(v)
		return err
	}},
	{"quota-backend-bytes", "0", "the size of the store that is reported as its limit", "bytes", func(c *serverSettings, v string) error {
		n, err := count(strings.TrimPrefix(v, "-"), math.MaxInt64) // etcd: negative means none
		if !strings.HasPrefix(v, "-") {
			c.config.QuotaBackendBytes = int64(n)
		}
		return err
	}},
	{"max-txn-ops", "128", "how many operations a transaction may have", "n", func(c *serverSettings, v string) error {
		n, err := count(v, 1<<20)
		c.config.MaxTxnOps = int(n)
		return err
	}},
	{"max-request-bytes", "1572864", "how large a write may be", "bytes", func(c *serverSettings, v string) error {
		n, err := count(v, math.MaxInt64)
		if n > server.MaxRequestBytesLimit {
			return fmt.Errorf("is more than %d (%d MiB), which is what members can send each other at once", server.MaxRequestBytesLimit, server.MaxRequestBytesLimit>>20)
		}
		c.config.MaxRequestBytes = int(n)
		return err
	}},
	{"max-learners", "1", "how many learners there may be, as far as they are added at this member", "n", func(c *serverSettings, v string) error {
		n, err := count(v, 1<<10)
		if n == 0 && err == nil {
			return errors.New("must not be 0")
		}
		c.config.MaxLearners = int(n)
		return err
	}},
	{"max-concurrent-streams", "4294967295", "how many calls one connection may have open", "n", func(c *serverSettings, v string) error {
		n, err := count(v, math.MaxUint32)
		c.config.MaxConcurrentStreams = uint32(n)
		return err
	}},
	{"grpc-keepalive-min-time", "5s", "how often a client may ping", "duration", func(c *serverSettings, v string) (err error) {
		c.config.KeepAliveMinTime, err = duration(v)
		return err
	}},
	{"grpc-keepalive-interval", "2h", "how often to ping a silent client; 0: never", "duration", func(c *serverSettings, v string) (err error) {
		if c.config.KeepAliveInterval, err = duration(v); c.config.KeepAliveInterval == 0 {
			c.config.KeepAliveInterval = -1
		}
		return err
	}},
	{"grpc-keepalive-timeout", "20s", "how long to wait for its answer", "duration", func(c *serverSettings, v string) (err error) {
		c.config.KeepAliveTimeout, err = duration(v)
		return err
	}},
	listSetting("listen-metrics-urls", "", "where to answer /metrics and /health as well", func(c *serverSettings) *[]string { return &c.config.ListenHTTP }),
	listSetting("listen-client-http-urls", "", "where to answer HTTP as well", func(c *serverSettings) *[]string { return &c.clientHTTP }),
	{"enable-pprof", "false", "serve Go's profiles on /debug/pprof/", "bool", func(c *serverSettings, v string) error {
		if v != "true" && v != "false" {
			return errors.New("must be true or false")
		}
		c.config.Pprof = v == "true"
		return nil
	}},
	{"log-level", "info", "debug, info, warn or error", "string", func(c *serverSettings, v string) (err error) {
		c.logLevel, err = parseLogLevel(v)
		return err
	}},
	{"log-format", "json", "json or console", "string", func(c *serverSettings, v string) error {
		if v != "json" && v != "console" {
			return errors.New("must be json or console")
		}
		c.logFormat = v
		return nil
	}},
	{"log-outputs", "default", "stderr, stdout, or files; several with commas between", "string", func(c *serverSettings, v string) error {
		c.logOutputs = strings.Split(v, ",")
		return nil
	}},
}

func (a *app) serverCommand() *cobra.Command {
	var showVersion bool
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run one member of a cluster",
		Long: `Run one member of a cluster. The flags are etcd's; each can also be given as ETCD_NAME or BALSA_NAME in the environment,
or in a configuration file under its own name. A flag wins over the environment, that over the file.

--initial-cluster begins a cluster; all its members are started with the same. --join adds this server to a cluster that runs. To start
a server again, give the same flags again: its data folder knows who it is.

Exit codes: 1 something failed, 2 no server of the cluster could be reached, 3 a setting is wrong, 20 this server was removed from the cluster,
21 its data folder was lost. After 20 and 21 a start with the same flags ends in the same way until somebody has done what the error says.`,
		Args: argCount(0, 0, "server [flags]"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if showVersion {
				a.printVersion()
				return nil
			}
			c, warnings, err := a.readSettings(cmd)
			if err != nil {
				return err
			}
			return a.runServer(cmd.Context(), c, warnings)
		},
	}
	addSettings(cmd.Flags(), settings)
	addText(cmd.Flags(), "config-file", "", "file", "a configuration file in etcd's format")
	cmd.Flags().BoolVar(&showVersion, "version", false, "print the version and exit")
	cmd.Flags().SortFlags = false
	return cmd
}

// readSettings makes a configuration of flags, environment and file.
func (a *app) readSettings(cmd *cobra.Command) (*serverSettings, []string, error) {
	var known []string
	for _, s := range settings {
		known = append(known, s.name)
	}
	path := cmd.Flag("config-file").Value.String()
	for _, variable := range []string{"BALSA_CONFIG_FILE", "ETCD_CONFIG_FILE"} {
		if path == "" {
			path = a.getenv(variable)
		}
	}
	var file map[string]given
	if path != "" {
		var err error
		if file, err = readConfigFile(path, known); err != nil {
			return nil, nil, err
		}
	}
	values, warnings, err := resolve(cmd.Flags(), settings, a.environ(), file)
	if err != nil {
		return nil, nil, err
	}
	c := &serverSettings{config: server.Config{Version: version}}
	for _, s := range settings {
		g := values[s.name]
		if err := s.apply(c, g.value); err != nil {
			return nil, nil, inputError("%s %q %w", g.where, g.value, err)
		}
	}
	if err := c.finish(values); err != nil {
		return nil, nil, err
	}
	return c, append(warnings, c.doubts()...), nil
}

// doubts returns warnings of what is allowed and seldom meant.
func (c *serverSettings) doubts() (warnings []string) {
	for _, address := range c.doubtful(c.advertise) {
		warnings = append(warnings, fmt.Sprintf("clients are told to reach this member at %s, which is no address to reach: set --advertise-client-urls", address))
	}
	if n := len(c.config.Members); n%2 == 0 && n > 0 && c.state == "new" {
		warnings = append(warnings, fmt.Sprintf("a cluster of %d survives no more failures than one of %d", n, n-1))
	}
	return warnings
}

// finish checks what several settings say together.
func (c *serverSettings) finish(values map[string]given) error {
	if c.config.Name == "" {
		return inputError("%s must not be empty", values["name"].where)
	}
	if c.config.Dir == "" {
		c.config.Dir = c.config.Name + ".balsa"
	}
	if c.config.HeartbeatInterval <= 0 || c.config.ElectionTimeout < 5*c.config.HeartbeatInterval {
		return inputError("--election-timeout (%v) must be at least five times --heartbeat-interval (%v)", c.config.ElectionTimeout, c.config.HeartbeatInterval)
	}
	if c.config.MaxTxnOps == 0 || c.config.MaxRequestBytes == 0 {
		return inputError("--max-txn-ops and --max-request-bytes must not be 0")
	}
	if c.advertise == nil {
		c.advertise = c.listenClient
	}
	c.config.AdvertiseClientURLs = c.advertise
	c.config.ListenClients = addresses(c.listenClient)
	c.config.ListenHTTP = addresses(append(c.config.ListenHTTP, c.clientHTTP...))
	if len(c.listenPeer) > 1 {
		return inputError("%s: Balsa listens for members on one address", values["listen-peer-urls"].where)
	}
	c.config.ListenPeer = addresses(c.listenPeer)[0]
	if c.join != nil {
		return c.finishJoin(values)
	}
	return c.finishCluster(values)
}

// finishJoin checks what a server that joins says of itself.
func (c *serverSettings) finishJoin(values map[string]given) error {
	if g := values["initial-cluster"]; g.value != "" {
		return inputError("%s and %s exclude each other: one begins a cluster, the other asks one that runs who its members are", g.where, values["join"].where)
	}
	if values["initial-advertise-peer-urls"].origin != fromDefault {
		return nil
	}
	if len(c.doubtful(c.listenPeer)) > 0 || values["listen-peer-urls"].origin == fromDefault {
		return inputError("--initial-advertise-peer-urls is missing: say where the other members reach this one")
	}
	c.peerURLs = c.listenPeer
	return nil
}

// doubtful returns the addresses of URLs that nobody reaches.
func (c *serverSettings) doubtful(urls []string) (all []string) {
	for _, address := range addresses(urls) {
		host, _, _ := net.SplitHostPort(address) // parsed before
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			all = append(all, address)
		}
	}
	return all
}

func (c *serverSettings) finishCluster(values map[string]given) error {
	where := values["initial-cluster"].where
	if c.cluster == "" {
		var pairs []string
		for _, u := range c.peerURLs {
			pairs = append(pairs, c.config.Name+"="+u)
		}
		c.cluster = strings.Join(pairs, ",")
	}
	members, err := parseCluster(c.cluster, c.token)
	if err != nil {
		return inputError("%s %w", where, err)
	}
	var ids []uint64
	for _, m := range members {
		ids = append(ids, m.ID)
		if m.Name != c.config.Name {
			c.others = append(c.others, addresses(m.PeerURLs)...)
			continue
		}
		c.config.ID = m.ID
		if want, have := slices.Sorted(slices.Values(m.PeerURLs)), slices.Sorted(slices.Values(c.peerURLs)); !slices.Equal(want, have) {
			return inputError("%s says that %s is reached at %s, %s says at %s: they must agree", where, m.Name,
				strings.Join(want, ","), values["initial-advertise-peer-urls"].where, strings.Join(have, ","))
		}
	}
	if c.config.ID == 0 {
		return inputError("%s does not name this member, %q: add %s=%s, or say with --name which one this is", where, c.config.Name, c.config.Name, c.peerURLs[0])
	}
	c.config.Members, c.config.ClusterID = members, server.ClusterID(ids)
	return nil
}

// runServer runs the member until ctx ends or it stops by itself.
func (a *app) runServer(ctx context.Context, c *serverSettings, warnings []string) error {
	if err := checkDataDir(c.config.Dir); err != nil {
		return err
	}
	out, err := a.openLogs(c.logOutputs)
	if err != nil {
		return err
	}
	if f, ok := out.(io.Closer); ok && out != a.stderr && out != a.stdout {
		defer f.Close()
	}
	c.config.Logger = newLogger(out, c.logLevel, c.logFormat)
	for _, w := range warnings {
		c.config.Logger.Warn(w)
	}
	err = c.findPlace(ctx, c.config.Logger)
	var s *server.Server
	if err == nil {
		s, err = server.Open(ctx, c.config)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it was open
		}
		return err
	}
	if err := c.checkBegun(s); err != nil {
		s.Close()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	removed := make(chan struct{})
	go func() {
		if c.awaitRemoval(ctx, s) {
			close(removed)
		}
	}()
	select {
	case <-removed:
		return errors.Join(c.removed(c.config.ID, s.Others()), s.Close())
	case <-ctx.Done():
		c.config.Logger.Info("stopping")
		err = s.Close()
		c.config.Logger.Info("stopped")
		return err
	case <-s.Done():
		err = c.stopped(s)
		s.Close()
		return err
	}
}

// checkDataDir refuses what would be taken for an empty folder and is not.
func checkDataDir(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "member")); err == nil {
		return inputError("%s holds the data of etcd, which Balsa cannot read: choose another folder with --data-dir", dir)
	}
	return nil
}
