package conformance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var etcdctlVersions = []string{"3.7", "3.6"}

// result is what a run of etcdctl left behind.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
}

// etcdctl runs a command against the endpoints.
func etcdctl(t testing.TB, version, endpoints, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, etcdctlProgram(version), append([]string{"--endpoints=" + endpoints}, args...)...)
	cmd.Env = append(os.Environ(), "ETCDCTL_DIAL_TIMEOUT="+patience.String(), "ETCDCTL_COMMAND_TIMEOUT="+patience.String())
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Errorf("etcdctl %s: %v", args, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// command is a line of a script for etcdctl.
type command struct {
	args  []string
	stdin string
}

type script struct {
	name     string
	commands []command
}

// TestEtcdctl runs the scripts of testdata/etcdctl.txt with both versions of etcdctl, against etcd and against Balsa by way
// of its leader, of a follower and of all members, and compares what they print and their exit codes.
func TestEtcdctl(t *testing.T) {
	scripts := readScripts(t, "testdata/etcdctl.txt")
	runs := 0
	for _, c := range []*cluster{balsa(t), balsaDev(t)} {
		p := pair{etcd: etcd(t).members[0], balsa: c.members}
		for _, version := range etcdctlVersions {
			for _, at := range []struct{ name, endpoints string }{
				{"leader", c.members[0].endpoint}, {"follower", c.members[1].endpoint}, {"all", c.endpoints()},
			} {
				for _, s := range scripts {
					name := fmt.Sprintf("%s/%s/%s/%s", c.name, version, at.name, s.name)
					t.Run(name, func(t *testing.T) { p.runScript(t, version, at.endpoints, s) })
					runs += len(s.commands)
				}
			}
		}
	}
	say("etcdctl: %d commands to etcd and Balsa", runs)
}

func (p pair) runScript(t *testing.T, version, endpoints string, s script) {
	base := p.level(t)
	for _, c := range s.commands {
		args, stdin := append([]string(nil), c.args...), withRevisions(c.stdin, base)
		for i := range args {
			args[i] = withRevisions(args[i], base)
		}
		if slices.Contains(args, "--consistency=s") {
			p.catchUp(t)
		}
		var want, got result
		var both sync.WaitGroup
		both.Go(func() { want = etcdctl(t, version, p.etcd.endpoint, stdin, args...) })
		both.Go(func() { got = etcdctl(t, version, endpoints, stdin, args...) })
		both.Wait()
		want, got = want.masked(p.etcd.endpoint), got.masked(endpoints)
		if want != got {
			t.Errorf("etcdctl %s %q < %q\n--- from etcd:\n%s\n--- from Balsa:\n%s", version, args, stdin, want, got)
		}
	}
}

// catchUp lets every member of Balsa's apply what was acknowledged. Before, local state may be old, which is right and no difference.
func (p pair) catchUp(t *testing.T) {
	t.Helper()
	for _, m := range p.balsa {
		m.revision(t)
	}
}

// relative is a revision that counts from the script's beginning: %1 is what its first change makes.
var relative = regexp.MustCompile(`%(\d+)`)

func withRevisions(text string, base int64) string {
	return relative.ReplaceAllStringFunc(text, func(s string) string {
		n, err := strconv.ParseInt(s[1:], 10, 64)
		if err != nil {
			panic(err)
		}
		return strconv.FormatInt(base+n, 10)
	})
}

// masks replace what differs from cluster to cluster and from time to time.
var masks = []struct{ found, by string }{
	{`"(cluster_id|member_id|raft_term)":\d+`, `"$1":N`},
	{`"(ClusterID|MemberID|RaftTerm)" : \d+`, `"$1" : N`},
	{`(?m)^\{"level":.*\n`, ``}, // the client's log
}

func (r result) masked(endpoints string) result {
	mask := func(s string) string {
		for _, endpoint := range append([]string{endpoints}, strings.Split(endpoints, ",")...) {
			s = strings.ReplaceAll(s, endpoint, "ENDPOINT")
		}
		for _, m := range masks {
			s = regexp.MustCompile(m.found).ReplaceAllString(s, m.by)
		}
		return s
	}
	return result{mask(r.stdout), mask(r.stderr), r.code}
}

// readScripts reads paragraphs of a line "# NAME", lines "$ COMMAND", and the command's input as lines "< TEXT".
func readScripts(t *testing.T, file string) []script {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var scripts []script
	for i, line := range strings.Split(string(text), "\n") {
		mark, rest, _ := strings.Cut(line, " ")
		if mark != "" && mark != "#" && len(scripts) == 0 {
			t.Fatalf("%s:%d: a script begins with a line \"# NAME\"", file, i+1)
		}
		switch mark {
		case "":
		case "#":
			scripts = append(scripts, script{name: rest})
		case "$":
			args, err := words(rest)
			if err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
			s := &scripts[len(scripts)-1]
			s.commands = append(s.commands, command{args: args})
		case "<":
			s := &scripts[len(scripts)-1]
			s.commands[len(s.commands)-1].stdin += rest + "\n"
		default:
			t.Fatalf("%s:%d: a line begins with #, $ or <", file, i+1)
		}
	}
	return scripts
}

// words splits at spaces; a word in double quotes is read as Go does.
func words(line string) ([]string, error) {
	var all []string
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			word, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", quoted, err)
			}
			all, line = append(all, word), line[len(quoted):]
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		all, line = append(all, word), rest
	}
	return all, nil
}
