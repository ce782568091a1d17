package main

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/internal/script"
)

// TestTranscripts runs commands against a cluster of one, and shows all that they write.
func TestTranscripts(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(t *testing.T) func(script.Command) string {
		t.Parallel()
		d := startDev(t, filepath.Join(t.TempDir(), "data"), 1, nil, "--nodes", "1")
		ports := strings.NewReplacer(fmt.Sprint(d.port), "PORT1", fmt.Sprint(d.port+1), "PEER1")
		return func(cmd script.Command) string {
			env := append([]string{"BALSA_ENDPOINTS=" + d.endpoints()}, cmd.List("env")...)
			args := []string{cmd.Name}
			for _, arg := range cmd.Args {
				args = append(args, strings.ReplaceAll(arg, "PEER1", fmt.Sprint(d.port+1)))
			}
			got := tryWith(t, env, cmd.Text("stdin", ""), args...)
			text := got.out + got.err
			if got.code != exitOK {
				text += fmt.Sprintf("exit code %d\n", got.code)
			}
			return steady(ports.Replace(text))
		}
	})
}

// What differs from run to run, in the places where it stands.
var (
	jsonSizes = regexp.MustCompile(`"(dbSize|dbSizeInUse|raftIndex|raftAppliedIndex)":\d+`)
	memberIDs = regexp.MustCompile(`\b[0-9a-f]{10,16}\b`)
	goVersion = regexp.MustCompile(`(?m)^(Go Version|Go OS/Arch|Git SHA): .*$`)
)

func steady(text string) string {
	text = jsonSizes.ReplaceAllString(text, `"$1":N`)
	text = memberIDs.ReplaceAllStringFunc(text, func(id string) string {
		if id == "3ffc10ea47b3dffa" { // n1
			return id
		}
		return "ID"
	})
	return goVersion.ReplaceAllString(text, "$1: ...")
}

// TestEndpoints: the first endpoint that answers is used, whichever way they are named.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	d := startDev(t, filepath.Join(t.TempDir(), "data"), 1, nil, "--nodes", "1")
	dead := deadAddress(t)
	live := d.endpoints()
	for _, test := range []struct {
		args, env []string
		code      int
	}{
		{args: []string{"--endpoints", live}},
		{args: []string{"--endpoints", "http://" + live}},
		{args: []string{"--endpoints", dead + "," + live}},
		{args: []string{"--endpoints", live}, env: []string{"BALSA_ENDPOINTS=" + dead}},
		{env: []string{"BALSA_ENDPOINTS=" + live, "ETCDCTL_ENDPOINTS=" + dead}},
		{env: []string{"ETCDCTL_ENDPOINTS=" + live}},
		{args: []string{"--endpoints", dead}, code: exitConnect},
		{args: []string{"--endpoints", "https://" + live}, code: exitInput},
		{args: []string{"--endpoints", "nowhere"}, code: exitInput},
		{args: []string{"--endpoints", ""}, code: exitInput},
		{env: []string{"ETCDCTL_DIAL_TIMEOUT=soon"}, code: exitInput},
	} {
		for _, command := range [][]string{{"put", "k", "v"}, {"get", "k"}, {"del", "x"}, {"status"}, {"members"}} {
			got := tryWith(t, test.env, "", append(command, test.args...)...)
			if got.code != test.code || strings.Count(got.err, "\n") > 1 {
				t.Errorf("%v %v %v: code %d, want %d: %s", test.env, command, test.args, got.code, test.code, got.err)
			}
		}
	}
	want := fmt.Sprintf("Error: cannot reach %s: connection refused (is it running? \"balsa dev\" starts a cluster, --endpoints names another)\n", dead)
	if got := try(t, "", "get", "k", "--endpoints", dead); got.err != want {
		t.Errorf("got  %swant %s", got.err, want)
	}
}

// deadAddress is one that nobody listens on.
func deadAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1))
}

// TestSilentServer: a server that says nothing costs the timeout and no more.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := try(t, "", "get", "k", "--endpoints", l.Addr().String(), "--dial-timeout", "50ms")
	if got.code != exitConnect || !strings.Contains(got.err, "no connection within 50ms") {
		t.Errorf("%+v", got)
	}
}
