package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// read makes settings of arguments, environment and a file's text, as "balsa server" does, and starts nothing.
func read(t *testing.T, args, environ []string, file string) (*serverSettings, []string, error) {
	t.Helper()
	a := testApp(environ)
	cmd := a.serverCommand()
	var c *serverSettings
	var warnings []string
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		c, warnings, err = a.readSettings(cmd)
		return err
	}
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(flagError)
	if file != "" {
		path := filepath.Join(t.TempDir(), "conf.yml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config-file", path)
	}
	if len(args) == 0 {
		args = []string{} // nil would be those of the test
	}
	cmd.SetArgs(twoDashes(args))
	err := cmd.Execute()
	return c, warnings, err
}

func TestSettings(t *testing.T) {
	yard := []string{
		"--name", "n1", "--data-dir", "/x/n1", "--listen-client-urls", "http://127.0.0.1:23800", "--advertise-client-urls", "http://127.0.0.1:23800",
		"--listen-peer-urls", "http://127.0.0.1:23801", "--initial-advertise-peer-urls", "http://127.0.0.1:23801",
		"--initial-cluster", "n0=http://127.0.0.1:23791,n1=http://127.0.0.1:23801,n2=http://127.0.0.1:23811",
		"--initial-cluster-state", "new", "--initial-cluster-token", "yard",
	}
	for _, test := range []struct {
		name string
		args string
		env  string
		file string
		want string // of show
		warn string
	}{
		{name: "nothing", want: "default default.balsa client [localhost:2379] advertise [http://localhost:2379] peer localhost:2380 id 8e9e05c52164694d of cdf818194e3a8c32 [default http://localhost:2380] 100ms 1s"},
		{name: "everything", args: strings.Join(yard, " "), want: "n1 /x/n1 client [127.0.0.1:23800] advertise [http://127.0.0.1:23800] peer 127.0.0.1:23801 id c1c0099cee8b8f11 of 7f51694c07e85998 [n0 http://127.0.0.1:23791 n1 http://127.0.0.1:23801 n2 http://127.0.0.1:23811] 100ms 1s"},
		{name: "one dash", args: "-name=x -heartbeat-interval 50", want: "x x.balsa 50ms"},
		{name: "flag over all", args: "--name flag", env: "ETCD_NAME=etcd BALSA_NAME=balsa", file: "name: file", want: "flag flag.balsa", warn: "--name on the command line is used, BALSA_NAME is not"},
		{name: "BALSA_ over ETCD_", env: "BALSA_NAME=balsa ETCD_NAME=etcd", file: "name: file", want: "balsa balsa.balsa"},
		{name: "environment over file", env: "ETCD_NAME=etcd", file: "name: file", want: "etcd etcd.balsa"},
		{name: "file over default", file: "name: file\ndata-dir:\nelection-timeout: 2000", want: "file file.balsa 100ms 2s"},
		{name: "flag and file mix", args: "--election-timeout 3000", file: "name: file\nelection-timeout: 2000", want: "file file.balsa 100ms 3s"},
		{name: "a flag that repeats the environment", args: "--name x", env: "ETCD_NAME=x", want: "x x.balsa"},
		{name: "file in the environment", env: "ETCD_CONFIG_FILE=testdata/etcd.conf.yml", want: "sample sample.etcd client [10.0.0.1:2379 127.0.0.1:2379] 200ms 2s", warn: "has no meaning in Balsa: ignored"},
		{name: "units", args: "--heartbeat-interval 50ms --election-timeout 1s", want: "50ms 1s"},
		{name: "JSON", file: `{"name": "j", "listen-client-urls": "http://127.0.0.1:1"}`, want: "j j.balsa client [127.0.0.1:1]"},
		{name: "several addresses", args: "--listen-client-urls http://127.0.0.1:1,http://127.0.0.1:2 --listen-metrics-urls http://127.0.0.1:3", want: "client [127.0.0.1:1 127.0.0.1:2]"},
		{name: "several peer URLs", args: "--initial-advertise-peer-urls http://a:1,http://b:1 --initial-cluster default=http://b:1,default=http://a:1", want: "[default http://b:1,http://a:1]"},
		{name: "etcd's flags", args: "--snapshot-count=5 --pre-vote --strict-reconfig-check=false --feature-gates=InitialCorruptCheck=true", warn: "--feature-gates has no meaning in Balsa: ignored; --pre-vote has no meaning in Balsa: ignored; --snapshot-count has no meaning in Balsa: ignored; --strict-reconfig-check has no meaning in Balsa: ignored"},
		{name: "etcd's variables", env: "ETCD_AUTO_COMPACTION_RETENTION=1 ETCD_PORT_2379_TCP=x ETCDCTL_API=3", warn: "ETCD_AUTO_COMPACTION_RETENTION has no meaning in Balsa: ignored"},
		{name: "a variable that is misspelt", env: "BALSA_NAMEE=x", warn: "BALSA_NAMEE is set, and no setting has that name: ignored"},
		{name: "clients' variables", env: "BALSA_ENDPOINTS=x BALSA_WRITE_OUT=json"},
		{name: "an address that nobody reaches", args: "--listen-client-urls http://0.0.0.0:2379", warn: "clients are told to reach this member at 0.0.0.0:2379, which is no address to reach: set --advertise-client-urls"},
		{name: "an even cluster", args: "--initial-cluster default=http://localhost:2380,b=http://b:2380", warn: "a cluster of 2 survives no more failures than one of 1"},
		{name: "an even cluster that this one joins", args: "--initial-cluster-state existing --initial-cluster default=http://localhost:2380,b=http://b:2380", want: "default"},
		{name: "join", args: "--join http://a:2379,b:2379 --listen-peer-urls http://c:2380", want: "peer c:2380 join [a:2379 b:2379] others [] at [http://c:2380]"},
		{name: "join in the environment", env: "BALSA_JOIN=a:2379 BALSA_INITIAL_ADVERTISE_PEER_URLS=http://c:1", want: "peer localhost:2380 join [a:2379] others [] at [http://c:1]"},
		{name: "other members", args: "--initial-cluster default=http://localhost:2380,b=http://b:2380,b=http://b:2381,c=http://c:1", want: "join [] others [b:2380 b:2381 c:1]"},
		{name: "what may be refused, switched off", args: "--force-new-cluster=false --discovery=", want: "default"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, warnings, err := read(t, strings.Fields(test.args), strings.Fields(test.env), test.file)
			if err != nil {
				t.Fatal(err)
			}
			if !containsWords(show(c), test.want) {
				t.Errorf("got  %s\nwant %s", show(c), test.want)
			}
			if got := strings.Join(warnings, "; "); !strings.Contains(got, test.warn) || test.warn == "" && got != "" {
				t.Errorf("warnings: %s\nwant:     %s", got, test.warn)
			}
		})
	}
}

// containsWords reports whether the words of part occur in s in their order.
func containsWords(s, part string) bool {
	for _, word := range strings.Fields(part) {
		_, after, ok := strings.Cut(s, word)
		if !ok {
			return false
		}
		s = after
	}
	return true
}

func show(c *serverSettings) string {
	var members []string
	for _, m := range c.config.Members {
		members = append(members, m.Name+" "+strings.Join(m.PeerURLs, ","))
	}
	return fmt.Sprintf("%s %s client %v advertise %v peer %s id %x of %x %v %v %v join %v others %v at %v", c.config.Name, c.config.Dir, c.config.ListenClients,
		c.config.AdvertiseClientURLs, c.config.ListenPeer, c.config.ID, c.config.ClusterID, members, c.config.HeartbeatInterval, c.config.ElectionTimeout,
		c.join, c.others, c.peerURLs)
}

func TestSettingsNumbers(t *testing.T) {
	c, _, err := read(t, strings.Fields("--max-txn-ops 7 --max-request-bytes 8 --max-learners 3 --quota-backend-bytes -1 --max-concurrent-streams 9 "+
		"--grpc-keepalive-min-time 1s --grpc-keepalive-interval 0 --enable-pprof --log-level debug --log-format console"), nil, "grpc-keepalive-timeout: 3000000000")
	if err != nil {
		t.Fatal(err)
	}
	got := c.config
	if got.MaxTxnOps != 7 || got.MaxRequestBytes != 8 || got.MaxLearners != 3 || got.QuotaBackendBytes != 0 || got.MaxConcurrentStreams != 9 || !got.Pprof {
		t.Errorf("%+v", got)
	}
	if got.KeepAliveMinTime != time.Second || got.KeepAliveInterval >= 0 || got.KeepAliveTimeout != 3*time.Second {
		t.Errorf("%v %v %v", got.KeepAliveMinTime, got.KeepAliveInterval, got.KeepAliveTimeout)
	}
}

// Each wrong value is one line that says which, where it was set, and what is right.
func TestSettingsWrong(t *testing.T) {
	for _, test := range []struct{ args, env, file, want string }{
		{args: "--initial-clutser x", want: "there is no flag --initial-clutser (did you mean --initial-cluster?); server --help lists them"},
		{args: "--no-such-thing-at-all", want: "there is no flag --no-such-thing-at-all; server --help lists them"},
		{args: "-q", want: "there is no flag -q; server --help lists them"},
		{args: "--heartbeat-interval soon", want: `--heartbeat-interval "soon" is no time: write milliseconds, or a number with a unit as in 100ms or 2s`},
		{env: "ETCD_HEARTBEAT_INTERVAL=-5", want: `ETCD_HEARTBEAT_INTERVAL "-5" is no time: write milliseconds, or a number with a unit as in 100ms or 2s`},
		{file: "a: 1\n", want: "line 1: a is no setting"},
		{file: "name: x\nlisten-client-url: http://x:1\n", want: "line 2: listen-client-url is no setting (did you mean listen-client-urls?)"},
		{file: "name: [a, {b: c}]\n", want: "line 1: name must be a list of words"},
		{file: "name: {a: b}\n", want: "line 1: name must be one value"},
		{file: "just words\n", want: `line 1: expected settings, one "name: value" a line`},
		{file: "\tname: x\n", want: "yaml: "},
		{file: "heartbeat-interval: x\n", want: `conf.yml line 1: heartbeat-interval "x" is no time`},
		{args: "--config-file /none", want: "--config-file: open /none: no such file or directory"},
		{args: "--heartbeat-interval 300", want: "--election-timeout (1s) must be at least five times --heartbeat-interval (300ms)"},
		{args: "--heartbeat-interval 0", want: "--election-timeout (1s) must be at least five times --heartbeat-interval (0s)"},
		{args: "--listen-client-urls localhost:2379", want: `--listen-client-urls "localhost:2379" contains "localhost:2379": write http://HOST:PORT`},
		{args: "--listen-client-urls https://localhost:2379", want: `contains "https://localhost:2379": TLS is not supported yet, write http://HOST:PORT`},
		{args: "--listen-client-urls http://localhost", want: `contains "http://localhost" without a port: write http://HOST:PORT`},
		{args: "--listen-client-urls http://localhost:1/x", want: `contains "http://localhost:1/x" with more than a host and a port: write http://HOST:PORT`},
		{args: "--listen-client-urls http://a:1,unix://b", want: `contains "unix://b": write http://HOST:PORT`},
		{args: "--listen-peer-urls http://a:1,http://b:1", want: "--listen-peer-urls: Balsa listens for members on one address"},
		{args: "--initial-cluster x", want: `--initial-cluster contains "x": write NAME=http://HOST:PORT, with commas between`},
		{args: "--initial-cluster a=http://a:1,b=http://a:1", want: "--initial-cluster gives http://a:1 to a and to b: each member needs a URL of its own"},
		{args: "--initial-cluster a=http://a:1", want: `--initial-cluster does not name this member, "default": add default=http://localhost:2380, or say with --name which one this is`},
		{args: "--initial-cluster default=http://a:1", want: "--initial-cluster says that default is reached at http://a:1, --initial-advertise-peer-urls says at http://localhost:2380: they must agree"},
		{args: "--initial-cluster-state old", want: `--initial-cluster-state "old" must be new or existing`},
		{args: "--max-txn-ops 0", want: "--max-txn-ops and --max-request-bytes must not be 0"},
		{args: "--max-txn-ops many", want: `--max-txn-ops "many" is no number between 0 and 1048576`},
		{args: "--max-request-bytes 25165825", want: `--max-request-bytes "25165825" is more than 25165824 (24 MiB), which is what members can send each other at once`},
		{args: "--max-learners 0", want: `--max-learners "0" must not be 0`},
		{args: "--join a", want: `--join "a" contains "a": write HOST:PORT`},
		{args: "--join https://a:1", want: `TLS is not supported yet`},
		{args: "--join a:1", want: "--initial-advertise-peer-urls is missing: say where the other members reach this one"},
		{args: "--join a:1 --listen-peer-urls http://0.0.0.0:2380", want: "--initial-advertise-peer-urls is missing"},
		{args: "--join a:1 --initial-cluster default=http://localhost:2380", want: "--initial-cluster and --join exclude each other"},
		{args: "--join a:1", env: "ETCD_INITIAL_CLUSTER=default=http://localhost:2380", want: "ETCD_INITIAL_CLUSTER and --join exclude each other"},
		{args: "--log-level loud", want: `--log-level "loud" is no log level: choose debug, info, warn or error`},
		{args: "--log-format xml", want: `--log-format "xml" must be json or console`},
		{args: "--enable-pprof=maybe", want: `--enable-pprof "maybe" must be true or false`},
		{args: "--force-new-cluster", want: "--force-new-cluster is not supported: Balsa cannot make a new cluster of one member's data yet"},
		{env: "ETCD_DISCOVERY=https://x", want: "ETCD_DISCOVERY is not supported: name the members with --initial-cluster"},
		{args: "--name=", want: "--name must not be empty"},
		{args: "extra", want: "usage: balsa server [flags]"},
	} {
		_, _, err := read(t, strings.Fields(test.args), strings.Fields(test.env), test.file)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s%s%s:\ngot  %v\nwant %s", test.args, test.env, test.file, err, test.want)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("more than a line: %v", err)
		}
	}
}

// TestEtcdFlags: every flag of etcd's own is taken, and none is both ignored and in use.
func TestEtcdFlags(t *testing.T) {
	flags := testApp(nil).serverCommand().Flags()
	for _, s := range settings {
		if _, ok := etcdFlags[s.name]; ok {
			t.Errorf("--%s is in use and ignored", s.name)
		}
	}
	for name := range refusedFlags {
		if _, ok := etcdFlags[name]; ok {
			t.Errorf("--%s is refused and ignored", name)
		}
	}
	for name := range etcdFlags {
		if f := flags.Lookup(name); f == nil || !f.Hidden {
			t.Errorf("--%s is not taken, or shown", name)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "ab", 1}, {"ab", "abc", 1}, {"abc", "axc", 1}, {"abc", "acb", 1}, {"abc", "xyz", 3}, {"", "abc", 3}} {
		if got := editDistance(test.a, test.b); got != test.want {
			t.Errorf("%q %q: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestCheckDataDir(t *testing.T) {
	etcd, empty, used := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(etcd, "member", "wal"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(used, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ dir, want string }{
		{empty, ""}, {used, ""}, {empty + "/none", ""}, {etcd, "holds the data of etcd"},
	} {
		err := checkDataDir(test.dir)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.dir, err)
		}
	}
}
