package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDev starts a cluster as a stranger would, uses each member, stops it, and finds the data again.
func TestDev(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "balsa-dev")
	person := func(a *app) { a.isTerminal = func(io.Writer) bool { return true } }
	d := startDev(t, dir, 3, person)
	leader := "   leader"
	want := fmt.Sprintf(`
Balsa %s, speaking etcd 3.7.3: a cluster of 3 for development

  member  n1   http://127.0.0.1:%d
  member  n2   http://127.0.0.1:%d
  member  n3   http://127.0.0.1:%d
  data    %s (new)

Try, in another terminal:

  balsa put --endpoints=%[6]s greeting hello
  balsa get --endpoints=%[6]s greeting
  balsa status --endpoints=%[6]s
  etcdctl --endpoints=%[6]s get greeting

Ctrl-C stops the cluster. The data stays: start again to go on with it.

`, version, d.port, d.port+100, d.port+200, dir, d.endpoints())
	if got := d.out.String(); strings.Count(got, leader) != 1 || strings.Replace(got, leader, "", 1) != want {
		t.Errorf("got\n%s\nwant, with a leader,\n%s", got, want)
	}
	// Each line that it tells people to type works as it stands.
	for line := range strings.Lines(d.out.String()) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "balsa" {
			continue
		}
		if got := try(t, "", words[1:]...); got.code != exitOK || got.out == "" {
			t.Errorf("%s: %+v", line, got)
		}
	}
	for _, endpoint := range strings.Split(d.endpoints(), ",") {
		if got := try(t, "", "get", "greeting", "--endpoints", endpoint); got.out != "greeting\nhello\n" {
			t.Errorf("%s: %+v", endpoint, got)
		}
		await(t, "a status of three members with one leader", func() bool {
			got := try(t, "", "status", "-w", "simple", "--endpoints", endpoint)
			return strings.Count(got.out, "\n") == 3 && strings.Count(got.out, "true") == 1
		})
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, d.log)
	}
	if got := d.log.String(); got != "" {
		t.Errorf("a person was shown: %s", got)
	}

	again := startDev(t, dir, 3, person) // on other ports, with as many members as are there
	if got := again.out.String(); !strings.Contains(got, "(found from an earlier start)") {
		t.Errorf("%s", got)
	}
	if got := try(t, "", "get", "greeting", "--endpoints", again.endpoints()); got.out != "greeting\nhello\n" {
		t.Errorf("after a restart: %+v", got)
	}
	again.stop()
}

// TestDevLog: where no person reads, dev writes log lines and nothing else.
func TestDevLog(t *testing.T) {
	t.Parallel()
	d := startDev(t, filepath.Join(t.TempDir(), "balsa-dev"), 1, nil, "--nodes", "1")
	for _, want := range []string{"ready to serve client requests", "cluster is ready", "member=n1", d.endpoints()} {
		if !strings.Contains(d.log.String(), want) {
			t.Errorf("no %q in\n%s", want, d.log)
		}
	}
	d.stop()
	if got := d.out.String(); got != "" {
		t.Errorf("on standard output: %s", got)
	}
	for line := range strings.Lines(d.log.String()) {
		if !strings.HasPrefix(line, "ts=") {
			t.Errorf("no log line: %s", line)
		}
	}
}

// Each mistake is one line that says what to do.
func TestDevWrong(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	base := t.TempDir()
	file, foreign, two := filepath.Join(base, "file"), filepath.Join(base, "foreign"), filepath.Join(base, "two")
	for _, dir := range []string{filepath.Join(foreign, "x"), filepath.Join(two, "n1"), filepath.Join(two, "n2")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	used := filepath.Join(base, "used")
	startDev(t, used, 1, nil, "--nodes", "1")
	free := fmt.Sprint(freePorts(t, 3))
	takenPort := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--client-port", takenPort, "--data-dir", base + "/new"}, exitError, "127.0.0.1:" + takenPort + " is taken by another process: stop that one, or choose another port with --client-port"},
		{[]string{"--client-port", free, "--data-dir", used}, exitError, "is in use: "},
		{[]string{"--client-port", free, "--data-dir", used}, exitError, ": stop the Balsa that uses this folder, or choose another with --data-dir"},
		{[]string{"--client-port", free, "--data-dir", file}, exitError, "choose a folder that this user may write with --data-dir"},
		{[]string{"--client-port", free, "--data-dir", file + "/below"}, exitError, "choose a folder that this user may write with --data-dir"},
		{[]string{"--client-port", free, "--data-dir", foreign}, exitInput, "holds something else than a cluster of balsa dev: choose another folder with --data-dir"},
		{[]string{"--client-port", free, "--data-dir", two, "--nodes", "3"}, exitInput, "holds a cluster of 2: leave --nodes away, choose another folder with --data-dir, or delete it to start afresh"},
		{[]string{"--nodes", "0"}, exitInput, "--nodes 0: choose 1 to 9"},
		{[]string{"--nodes", "10"}, exitInput, "--nodes 10: choose 1 to 9"},
		{[]string{"--data-dir", ""}, exitInput, "--data-dir must not be empty"},
		{[]string{"--client-port", "65500", "--data-dir", base + "/new"}, exitInput, "--client-port 65500: choose one so that the last member's, 65701, is between 1 and 65535"},
		{[]string{"--client-port", "0", "--data-dir", base + "/new"}, exitInput, "--client-port 0: "},
		{[]string{"--log-level", "loud"}, exitInput, `--log-level "loud" is no log level`},
		{[]string{"extra"}, exitInput, "usage: balsa dev [flags]"},
	} {
		got := try(t, "", append([]string{"dev"}, test.args...)...)
		var said string
		for line := range strings.Lines(got.err) {
			if strings.HasPrefix(line, "Error: ") {
				said += line
			} else if !strings.HasPrefix(line, "ts=") {
				t.Errorf("%v: more than a line: %s", test.args, line)
			}
		}
		if got.code != test.code || !strings.Contains(said, test.want) {
			t.Errorf("%v: code %d, want %d\ngot  %swant %s", test.args, got.code, test.code, said, test.want)
		}
	}
	if _, err := os.Stat(base + "/new"); err == nil {
		t.Error("a start that failed has made its folder")
	}
}

// TestDevStopsEarly: Ctrl-C before the cluster is ready is no error.
func TestDevStopsEarly(t *testing.T) {
	t.Parallel()
	a := testApp(nil)
	var log bytes.Buffer
	a.stderr = &log
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if code := a.run(ctx, []string{"dev", "--data-dir", filepath.Join(t.TempDir(), "d"), "--client-port", fmt.Sprint(freePorts(t, 3))}); code != exitOK {
		t.Errorf("exit code %d: %s", code, &log)
	}
}

// TestStatusOfTheWounded: status shows who does not answer, and says so in its exit code.
func TestStatusOfTheWounded(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "balsa-dev")
	d := startDev(t, dir, 3, nil)
	d.stop()
	// The same cluster, of which one member does not come back.
	one := &devCluster{dir: dir, nodes: 3, clientPort: d.port}
	servers, err := openAll(context.Background(), one.configs(newLogger(io.Discard, logLevels["error"], "console"))[:2])
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(servers)
	for _, s := range servers {
		<-s.Ready()
	}
	got := try(t, "", "status", "-w", "simple", "--endpoints", d.endpoints())
	if got.code != exitError || !strings.Contains(got.out, "connection refused") || strings.Count(got.out, "\n") != 3 ||
		!strings.HasPrefix(got.err, "Error: 1 of 3 members did not answer: n3 127.0.0.1:") {
		t.Errorf("%+v", got)
	}
	if got := try(t, "", "put", "k", "v", "--endpoints", d.endpoints()); got.code != exitOK {
		t.Errorf("a majority must be enough: %+v", got)
	}
}

// TestDevRemoved: a member that is removed leaves the others, then and at the next start.
func TestDevRemoved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "balsa-dev")
	d := startDev(t, dir, 3, nil)
	if got := try(t, "", "members", "remove", "n1", "--endpoints", d.endpoints()); got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	await(t, "the end of n1", func() bool { return d.out.String() == "Member n1 was removed. The others go on.\n" })
	_, others, _ := strings.Cut(d.endpoints(), ",")
	if got := try(t, "", "put", "k", "v", "--endpoints", others); got.code != exitOK {
		t.Errorf("%+v", got)
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, d.log)
	}
	again := startDev(t, dir, 3, nil)
	_, others, _ = strings.Cut(again.endpoints(), ",")
	if got := try(t, "", "get", "k", "--endpoints", others); got.out != "k\nv\n" {
		t.Errorf("%+v", got)
	}
}
